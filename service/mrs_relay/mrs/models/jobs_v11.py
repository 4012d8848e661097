"""Bodies of the V1.1 jobs: programs submitted at once (job-exes), and job objects that wait for their execution."""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, Final, Literal, Self

import pydantic

from mrs_relay.mrs.models import base, fields, sources

MAX_ARGUMENTS: Final = 150_000
"""Characters of `arguments`. Source: SDK; pages until 2024 say 2,047."""

_FORBIDDEN: Final = re.compile(r"[;|&><'$]")
_LOOSE: Final = pydantic.ConfigDict(coerce_numbers_to_str=True)


class ProgramType(enum.IntEnum):
    """Values of `job_type` of submit-job and job-exes; HIVE_SQL and SPARK_SQL are documented as not supported."""

    MAP_REDUCE = 1
    SPARK = 2
    HIVE_SCRIPT = 3
    HIVE_SQL = 4
    DIST_CP = 5
    SPARK_SCRIPT = 6
    SPARK_SQL = 7


class StateV11(enum.IntEnum):
    """
    Values of `job_state`. Whether it went well stands in `job_final_status` alone.

    Source: V1.1 pages and two Terraform providers; the SDK's text lost the minus sign.
    """

    TERMINATED = -1
    STARTING = 1
    RUNNING = 2
    COMPLETED = 3
    ABNORMAL = 4
    ERROR = 5


class FinalStatus(enum.IntEnum):
    """Values of `job_final_status`. Source: ShowJobExes."""

    UNFINISHED = 0
    FAILED = 1
    SUCCEEDED = 2
    CANCELLED = 3


OLD_ENDED: Final = frozenset({StateV11.TERMINATED, StateV11.COMPLETED, StateV11.ABNORMAL, StateV11.ERROR})
"""States from which a V1.1 job does not move any more; a number that is none of `StateV11` is no end."""


def _no_shell_characters(text: str) -> str:
    if _FORBIDDEN.search(text):
        raise ValueError("must not contain ; | & > < ' or $")
    return text


Path = Annotated[str, pydantic.Field(max_length=1023), pydantic.AfterValidator(_no_shell_characters)]
"""A path of OBS (s3a://) or HDFS (/): up to 1023 characters, none of ; | & > < ' $."""


class JobProgram(base.Asked):
    """The kind of program of a V1.1 job. Source: submit-job, run-job-flow."""

    job_type: ProgramType
    job_name: fields.Name
    """1 to 64 letters, digits, `_` and `-`. Need not be unique."""
    jar_path: Path | None = None
    """Needed for MAP_REDUCE and SPARK, where it ends with .jar."""
    arguments: Annotated[str, pydantic.Field(max_length=MAX_ARGUMENTS)] | None = None
    """One text. `@name=value` is stored encrypted and shown as asterisks."""
    input: Path | None = None
    output: Path | None = None
    job_log: Path | None = None
    hive_script_path: Path | None = None
    """Needed for HIVE_SCRIPT and SPARK_SCRIPT; ends with .sql."""
    hql: str | None = None
    file_action: Literal["import", "export", ""] | None = None
    """Needed for DIST_CP: import from OBS to HDFS, or export."""

    @pydantic.model_validator(mode="after")
    def _has_its_program(self) -> Self:
        if self.job_type in (ProgramType.MAP_REDUCE, ProgramType.SPARK):
            _needs("jar_path", self.jar_path, ".jar", self.job_type)
        if self.job_type in (ProgramType.HIVE_SCRIPT, ProgramType.SPARK_SCRIPT):
            _needs("hive_script_path", self.hive_script_path, ".sql", self.job_type)
        if self.job_type is ProgramType.DIST_CP and not self.file_action:
            raise ValueError("file_action: import or export is needed for job_type 5 (DistCp)")
        return self


def _needs(name: str, path: str | None, ending: str, job_type: ProgramType) -> None:
    if path is None or not path.strip():
        raise ValueError(f"{name} is needed for job_type {job_type.value}")
    if not path.lower().endswith(ending):
        raise ValueError(f"{name} must end with {ending} for job_type {job_type.value}")


class JobToSubmit(JobProgram):
    """The body of CreateAndExecuteJob."""

    cluster_id: fields.ClusterId
    is_public: bool | None = None
    is_protected: bool | None = None


class JobQueryV11(base.Asked):
    """Filters and page of ListExecuteJob; all filters must match."""

    cluster_id: fields.ClusterId
    id: fields.ObjectId | None = None
    page_size: Annotated[int, pydantic.Field(ge=1, le=100)] | None = None
    """Jobs per page, at most 100; what MRS takes when it is absent is not documented."""
    current_page: fields.PageNumber | None = None
    """Page number from 1."""
    job_name: fields.Name | None = None
    """Exact or partial match: not documented."""
    state: StateV11 | None = None
    """TERMINATED, RUNNING, COMPLETED or ABNORMAL."""


class JobV11(base.Part):
    """
    A V1.1 job as MRS shows it.

    CreateAndExecuteJob prints its times in seconds under `created_at` and `updated_at`, the others in milliseconds
    under `create_at` and `update_at`; they are kept as they come. Source: submit-job, job-exes.
    """

    model_config = _LOOSE

    id: str
    """The id that every later call takes."""
    job_id: str | None = None
    job_name: base.Text = ""
    cluster_id: str | None = None
    job_type: int | None = None
    """One of `ProgramType`."""
    job_state: int
    """One of `StateV11`."""
    job_final_status: int | None = None
    """One of `FinalStatus`."""
    start_time: int | None = None
    end_time: int | None = None
    spend_time: float | None = None
    """Seconds."""
    progress: str | None = None
    """Free text."""
    arguments: str | None = None
    jar_path: str | None = None
    input: str | None = None
    output: str | None = None
    job_log: str | None = None
    hive_script_path: str | None = None
    hql: str | None = None
    file_action: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the state will not change any more."""
        return self.job_state in OLD_ENDED


class JobReplyV11(base.Reply):
    """Reply of CreateAndExecuteJob and ShowJobExes."""

    job_execution: JobV11

    @pydantic.model_validator(mode="before")
    @classmethod
    def _with_envelope(cls, body: Any) -> Any:  # noqa: ANN401 - raw JSON before pydantic has judged it
        """Accept the fields without their envelope, as one table and the SDK have them."""
        return {"job_execution": body} if isinstance(body, dict) and "job_state" in body else body


class JobListReplyV11(base.Reply):
    """Reply of ListExecuteJob: one page."""

    total_record: Annotated[int | None, pydantic.Field(alias="totalRecord")] = None
    """Jobs that match, on all pages."""
    job_executions: tuple[JobV11, ...]


class JobToStore(base.Asked):
    """The body of CreateJob."""

    name: fields.Name
    type: Literal["MapReduce", "Spark", "Hive", "hql", "DistCp", "SparkScript", "SparkSql"]
    mains: tuple[fields.ObjectId, ...] | None = None
    """Ids of job binaries; needed for Hive and SparkScript."""
    libs: tuple[fields.ObjectId, ...] | None = None
    """Ids of job binaries; needed for MapReduce and Spark."""
    description: fields.Description | None = None
    is_protected: bool | None = None
    is_public: bool | None = None
    interface: tuple[Any, ...] | None = None

    @pydantic.model_validator(mode="after")
    def _has_its_binaries(self) -> Self:
        if self.type in ("Hive", "SparkScript") and not self.mains:
            raise ValueError(f"mains must not be empty for type {self.type}")
        if self.type in ("MapReduce", "Spark") and not self.libs:
            raise ValueError(f"libs must not be empty for type {self.type}")
        return self


class JobChange(base.Asked):
    """The body of UpdateJob; what is absent stays. Its binaries cannot be changed."""

    name: fields.Name | None = None
    type: Literal["MapReduce", "Spark", "Hive", "DistCp", "SparkScript"] | None = None
    description: fields.Description | None = None
    mains: tuple[fields.ObjectId, ...] | None = None
    libs: tuple[fields.ObjectId, ...] | None = None
    interface: tuple[Any, ...] | None = None
    is_protected: bool | None = None
    is_public: bool | None = None


class JobConfigs(base.Asked):
    """Configuration of one execution."""

    configs: dict[str, str] = pydantic.Field(default_factory=dict)
    args: tuple[str, ...] = ()
    """For MapReduce and Spark, the first one is what submit-job calls `arguments`."""
    params: dict[str, str] = pydantic.Field(default_factory=dict)


class JobToExecute(base.Asked):
    """The body of ExecuteJob."""

    cluster_id: fields.ClusterId
    input_id: fields.ObjectId
    """A data source."""
    output_id: fields.ObjectId
    """A data source."""
    job_configs: JobConfigs
    is_protected: bool | None = None
    is_public: bool | None = None


class BinaryOfJob(base.Part):
    """A job binary as a stored job shows it."""

    id: str
    name: base.Text = ""
    url: base.Text = ""
    description: base.Text = ""


class StoredJob(base.Part):
    """A stored job. Its times are `YYYY-MM-DDTHH:MM:SS` without a zone."""

    id: str
    name: base.Text = ""
    type: base.Text = ""
    description: base.Text = ""
    mains: tuple[BinaryOfJob, ...] | None = None
    libs: tuple[BinaryOfJob, ...] | None = None
    created_at: str | None = None
    updated_at: str | None = None


class StoredJobReply(base.Reply):
    """Reply of CreateJob, ShowJob and UpdateJob."""

    job: StoredJob


class StoredJobListReply(base.Reply):
    """Reply of ListJobs: one page."""

    markers: sources.Markers = pydantic.Field(default_factory=sources.Markers)
    jobs: tuple[StoredJob, ...]


class Execution(base.Part):
    """
    An execution of a stored job. It has no state: `end_time` is null until it has ended.

    Whether it succeeded is not documented; in OpenStack Sahara, its model, `info.status` says so.
    Source: job executions (V1.1).
    """

    model_config = _LOOSE

    id: Annotated[str, pydantic.Field(validation_alias=pydantic.AliasChoices("id", "Id"))]
    job_id: str | None = None
    """The stored job; "" for a job that was submitted at once."""
    cluster_id: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    start_time: str | None = None
    end_time: str | bool | None = None
    return_code: str | None = None
    input_id: str | None = None
    output_id: str | None = None
    oozie_job_id: str | None = None
    engine_job_id: str | None = None
    info: Any = None
    """An object, or text, or null."""

    @property
    def ended(self) -> bool:
        """Whether it has ended, well or not."""
        return isinstance(self.end_time, str) and bool(self.end_time)


class ExecutionReply(base.Reply):
    """Reply of ExecuteJob, ShowJobExecution and CancelJobExecution."""

    job_execution: Execution


class ExecutionListReply(base.Reply):
    """Reply of ListJobExecutions: one page."""

    markers: sources.Markers = pydantic.Field(default_factory=sources.Markers)
    job_executions: tuple[Execution, ...]
