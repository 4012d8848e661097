"""Bodies of the V2 job operations: `JobExecution` is sent, `JobDetail` is the reply, alone or in pages."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, Self

import msgspec
import pydantic

from mrs_relay.mrs.models import base

JobType = Literal[
    "MapReduce", "SparkSubmit", "SparkPython", "HiveScript", "HiveSql", "DistCp", "SparkScript", "SparkSql", "Flink"
]
"""The kind of program that MRS runs. SparkPython is turned into SparkSubmit, and is shown and queried as such."""

MAX_ARGUMENTS: Final = 150_000
"""Characters of all arguments together. Source: CreateExecuteJob, SDK and pages since 2022 (2021 and OTC: 4,096)."""

MAX_PROPERTIES: Final = 2_048
"""Characters of all property names and values together. Source: CreateExecuteJob."""

_encoder: Final = msgspec.json.Encoder()
_REFUSED_STATES = frozenset({"FAILED", "JOBSTAT_SUBMIT_FAILED"})

JobName = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Moment = Annotated[int, pydantic.Field(ge=0)]
JobId = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class JobState(enum.StrEnum):
    """
    Values of `job_state`, in the order of a life. Whether it went well stands in `job_result` alone.

    Source: ShowSingleJobExe.
    """

    NEW = "NEW"
    NEW_SAVING = "NEW_SAVING"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class JobResult(enum.StrEnum):
    """Values of `job_result`; UNDEFINED while the job runs. Source: ShowSingleJobExe."""

    UNDEFINED = "UNDEFINED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    KILLED = "KILLED"


ENDED: Final = frozenset({JobState.FINISHED, JobState.FAILED, JobState.KILLED})
"""States from which a job does not move any more."""


class JobExecution(base.Asked):
    """
    The body of CreateExecuteJob.

    Which characters MRS forbids in arguments and properties is left to it: its own samples break its documented list.
    """

    job_type: JobType
    job_name: JobName
    """1 to 64 letters, digits, `_` and `-`. Need not be unique."""
    arguments: tuple[str, ...] = ()
    """Layout by job type. Stored and echoed in queries: no secrets."""
    properties: dict[str, str] = pydantic.Field(default_factory=dict)
    """System parameters such as fs.obs.endpoint. Echoed in queries."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        length = len("".join(self.arguments))
        if length > MAX_ARGUMENTS:
            raise ValueError(f"arguments: {length} characters in all, MRS takes {MAX_ARGUMENTS}")
        length = len("".join(self.properties)) + len("".join(self.properties.values()))
        if length > MAX_PROPERTIES:
            raise ValueError(f"properties: {length} characters in all names and values, MRS takes {MAX_PROPERTIES}")
        return self


def written(job_type: str, job_name: str, arguments: Sequence[str], properties: Mapping[str, str]) -> bytes:
    """
    Write the body of CreateExecuteJob from values that were checked before.

    It is the JSON of a `JobExecution`, in a fifth of the time that making and writing one takes.
    """
    body = {"job_type": job_type, "job_name": job_name, "arguments": arguments, "properties": properties}
    return _encoder.encode(body)


class JobsToDelete(base.Asked):
    """The body of BatchDeleteJobs."""

    job_id_list: Annotated[tuple[JobId, ...], pydantic.Field(min_length=1)]


class JobQuery(base.Asked):
    """
    Filters and page of ShowJobExeListNew; all filters must match.

    Whether `job_name` matches exactly or in part is not documented: compare the returned names.
    """

    job_name: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")] | None = None
    job_id: JobId | None = None
    user: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z._-][A-Za-z0-9._-]{0,31}$")] | None = None
    job_type: JobType | None = None
    job_state: JobState | None = None
    """One state; there is no way to ask for several at once."""
    job_result: JobResult | None = None
    """UNDEFINED selects the jobs that have not ended."""
    queue: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    limit: Annotated[int, pydantic.Field(ge=1)] | None = None
    """Jobs per page; MRS takes 10 when it is absent. The maximum is not documented; 100 is known to work."""
    offset: Annotated[int, pydantic.Field(ge=1)] | None = None
    """Page number from 1, whatever its name says. Source: the Terraform provider's client."""
    sort_by: Literal["asc", "desc"] | None = None
    """Direction by submission time; desc when absent."""
    submitted_begin_ms: Annotated[_Moment | None, pydantic.Field(alias="submitted_time_begin")] = None
    """Submitted after this moment, in milliseconds since the epoch."""
    submitted_end_ms: Annotated[_Moment | None, pydantic.Field(alias="submitted_time_end")] = None
    """Submitted before this moment, in milliseconds since the epoch."""


class JobSubmitResult(base.Part):
    """The reply to a submission."""

    job_id: str | None = None
    """The id of every later call; an MRS id, not a YARN one."""
    state: base.Word | None = None
    """COMPLETE: submitted. FAILED or JOBSTAT_SUBMIT_FAILED: not."""


class SubmitReply(base.Reply):
    """Reply of CreateExecuteJob."""

    job_submit_result: JobSubmitResult

    @property
    def job_id(self) -> str:
        """The new job's id."""
        return self.job_submit_result.job_id or ""

    def failure(self) -> base.Failure | None:
        """
        Return the failure that the body reports, here, at the top or nested, or a reply that names no job.

        Source: CreateExecuteJob: the state can be FAILED (SDK, 2021) or JOBSTAT_SUBMIT_FAILED (OTC) with status 2xx,
        and error_code can be nested inside job_submit_result.
        """
        result = self.job_submit_result
        if result.job_id and result.state not in _REFUSED_STATES and not (result.model_extra or self.model_extra):
            return None
        if failure := super().failure():
            return failure
        extra = result.model_extra or {}
        code, message = extra.get("error_code"), extra.get("error_msg")
        if code or result.state in _REFUSED_STATES:
            return base.Failure(message=str(message or "the submission failed"), code=str(code) if code else None)
        return None if result.job_id else base.Failure(message="the reply names no job", certain=False)


def _undefined_for_null(value: object) -> object:
    return JobResult.UNDEFINED if value is None else value


class JobDetail(base.Part):
    """
    One job as MRS shows it.

    Times are milliseconds since the epoch; 0 or None means that it has not happened, and some pages leave out even the
    end of an ended job. Source: ShowSingleJobExe, ShowJobExeListNew.
    """

    job_id: str
    job_name: base.Text = ""
    user: str | None = None
    job_state: base.Word
    """One of `JobState`, or a word that MRS has learnt since."""
    job_result: Annotated[base.Word, pydantic.BeforeValidator(_undefined_for_null)] = JobResult.UNDEFINED
    """One of `JobResult`. A FINISHED job may have FAILED."""
    job_progress: float | None = None
    """Percent, 0 to 100."""
    job_type: str | None = None
    submitted_ms: Annotated[int | None, pydantic.Field(alias="submitted_time")] = None
    started_ms: Annotated[int | None, pydantic.Field(alias="started_time")] = None
    finished_ms: Annotated[int | None, pydantic.Field(alias="finished_time")] = None
    elapsed_ms: Annotated[int | None, pydantic.Field(alias="elapsed_time")] = None
    """Duration in milliseconds."""
    queue: str | None = None
    launcher_id: str | None = None
    """YARN application of the launcher that MRS starts first."""
    app_id: str | None = None
    """YARN application of the job itself; absent until it exists."""
    tracking_url: str | None = None
    arguments: str | tuple[str, ...] | None = None
    """`[a, b]` in Java's rendering; the tables of two regions say a list."""
    properties: str | dict[str, str] | None = None
    """`{k=v, k2=v2}` in Java's rendering; the tables of two regions say an object."""

    @property
    def ended(self) -> bool:
        """Whether the job's state will not change any more. Its result may still be UNDEFINED."""
        return self.job_state in ENDED


class JobReply(base.Reply):
    """Reply of ShowSingleJobExe."""

    job_detail: JobDetail


class JobListReply(base.Reply):
    """Reply of ShowJobExeListNew: one page."""

    total_record: int | None = None
    """Jobs that match, on all pages."""
    job_list: tuple[JobDetail, ...] | None = None

    @property
    def jobs(self) -> tuple[JobDetail, ...]:
        """The jobs of this page; empty past the last one."""
        return self.job_list or ()

    def failure(self) -> base.Failure | None:
        """Return the failure that the body reports, or that it is no page: no list must not look like no jobs."""
        if self.job_list is None and self.total_record != 0:
            return super().failure() or base.Failure(message="the reply has no job_list", certain=False)
        return super().failure()


class StatementResultsReply(base.Reply):
    """Reply of ShowSqlResultWithJob: the rows of each statement of a SparkSql or SparkScript job."""

    sql_results: Annotated[
        dict[str, tuple[dict[str, pydantic.JsonValue], ...]],
        pydantic.Field(validation_alias=pydantic.AliasChoices("sql_results", "sql-results")),
    ]
    """By statement index as text, from "0". A statement without rows gives [{"result": "succeed"}]."""

    @property
    def statements(self) -> tuple[tuple[dict[str, pydantic.JsonValue], ...], ...]:
        """The rows by statement, in the order of the statements."""
        order = sorted(self.sql_results, key=lambda index: (not index.isdecimal(), index.zfill(9)))
        return tuple(self.sql_results[index] for index in order)
