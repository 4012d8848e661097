"""
The request types, one model each, and the step from an envelope to a checked request.

A model's docstring and field descriptions are the reference that `schemas/` carries to other teams.
"""

from __future__ import annotations

import decimal
import json
from typing import Annotated, Any, Final, Literal

import pydantic

from mrs_relay import errors
from mrs_relay.kit import clock, sqltext, words
from mrs_relay.messages import envelope, old_jobs, operations

JobType = Literal[
    "MapReduce", "SparkSubmit", "SparkPython", "HiveScript", "HiveSql", "DistCp", "SparkScript", "SparkSql", "Flink"
]

MAX_ARGUMENTS: Final = 150_000
"""Characters of all arguments together. Source: CreateExecuteJob, API reference page of 2025."""

Api = Literal["v2", "v1.1"]
"""Which job API of MRS: V2, or V1.1 for clusters that are too old for it."""

MAX_PROPERTIES: Final = 2_048
"""Characters of all property names and values together. Source: CreateExecuteJob, the same page."""

ClusterId = Annotated[
    str,
    pydantic.Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="MRS cluster id.",
        examples=["6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"],
    ),
]
JobName = Annotated[
    str,
    pydantic.Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name on MRS. A mark of 17 characters is added to it, with the deployment's tag 24, and it is cut "
        "to 47, or 40, before that.",
    ),
]


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:  # noqa: ANN401 - JSON
        """Many JSON writers put null where nothing was set; only a field that is required must not be null."""
        if not isinstance(data, dict) or None not in data.values():
            return data
        fields = cls.model_fields
        return {
            name: value
            for name, value in data.items()
            if value is not None or name not in fields or fields[name].is_required()
        }


class ClusterChoice(_Model):
    """
    Any running cluster with this name and these tags; the one with most free slots is taken.

    The event `accepted` tells which. At least one of the two is needed; both must hold if both are given. The choice is
    made when the request comes, also of one with `not_before`, and holds for all its attempts.
    """

    name: Annotated[
        str | None,
        pydantic.Field(
            min_length=1, max_length=64, description="The whole name on MRS, or the one that a request ordered it by."
        ),
    ] = None
    tags: Annotated[
        dict[
            Annotated[str, pydantic.Field(min_length=1, max_length=127)], Annotated[str, pydantic.Field(max_length=255)]
        ],
        pydantic.Field(max_length=20, description="Tags with their values, all of which the cluster must have."),
    ] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> ClusterChoice:
        if self.name is None and not self.tags:
            raise ValueError("give a name, tags or both; or the cluster's id as text")
        return self


def _form_of_cluster(value: object) -> str:
    return "choice" if isinstance(value, dict | ClusterChoice) else "id"


_FORMS: Final = frozenset({"choice", "id"})

Cluster = Annotated[
    Annotated[ClusterId, pydantic.Tag("id")] | Annotated[ClusterChoice, pydantic.Tag("choice")],
    pydantic.Discriminator(_form_of_cluster),
    pydantic.Field(description="Where to run: the id of a cluster, or what to choose one by."),
]
"""A cluster by its id, or by what it is to be chosen by. Told apart first, so that a fault speaks of one form only."""


def _only_text(moment: Any) -> Any:  # noqa: ANN401 - whatever the message holds; pydantic judges what passes here
    if moment is not None and not (isinstance(moment, str) and moment[4:5] == "-"):
        raise ValueError("use RFC 3339 with offset, such as 2026-11-24T06:00:00Z")
    return moment if moment is None else clock.without_leap_second(moment)


def _whole(number: Any) -> Any:  # noqa: ANN401 - whatever the message holds; pydantic judges what passes here
    return int(number) if isinstance(number, float) and number.is_integer() else number


_WHOLE: Final = pydantic.BeforeValidator(_whole)
"""Takes 5.0 for 5: JSON, and JSON Schema's `integer`, make no difference."""


def _near(number: Any) -> Any:  # noqa: ANN401 - whatever the message holds; pydantic judges the outcome
    return float(number) if isinstance(number, decimal.Decimal) else number


_NEAR: Final = pydantic.BeforeValidator(_near)
"""Takes the nearest float for a number with more digits than a float holds."""


def _text_of_long(number: Any) -> Any:  # noqa: ANN401 - whatever the message holds; pydantic judges the outcome
    return str(number) if isinstance(number, decimal.Decimal) else number


class _Queued(_Model):
    priority: Annotated[
        int,
        pydantic.Field(
            ge=0, le=9, description="9 goes first, 0 last, among jobs that wait for the same cluster; waiting lifts it."
        ),
        _WHOLE,
    ] = 5
    labels: Annotated[
        dict[Annotated[str, pydantic.Field(max_length=63)], Annotated[str, pydantic.Field(max_length=255)]],
        pydantic.Field(max_length=16, description="Your own words; they come back in every event."),
    ] = pydantic.Field(default_factory=dict)
    not_before: Annotated[
        pydantic.AwareDatetime | None,
        pydantic.Field(strict=False, description="Do not submit before this moment (RFC 3339 with offset)."),
        pydantic.BeforeValidator(_only_text),
    ] = None
    queue_deadline_s: Annotated[
        float | None,
        pydantic.Field(
            gt=0,
            le=31_536_000,
            description="Cancel if not submitted so many seconds after it could be: after it came, after `not_before`, "
            "or after the wait before a further attempt.",
        ),
        _NEAR,
    ] = None


class RetryPolicy(_Model):
    """A further attempt after a bad end; each attempt is a new job on MRS with a mark of its own."""

    attempts: Annotated[int, pydantic.Field(ge=2, le=20, description="Submissions in all, the first included."), _WHOLE]
    backoff_s: Annotated[
        float,
        pydantic.Field(
            ge=0,
            le=86_400,
            description="Seconds to wait before the second; doubles each time, up to an hour or this value if longer.",
        ),
        _NEAR,
    ] = 30.0
    on: Annotated[
        list[Literal["job_failed", "job_killed", "refused"]],
        pydantic.Field(min_length=1, description="Classes of reasons after which to try again."),
    ] = ["job_failed"]


_OldPath = Annotated[str, pydantic.Field(max_length=1023, pattern=r"^(/|s3a://|obs://)[^;|&><'$]*$")]


class BatchJob(_Model):
    """What MRS runs: the body of CreateExecuteJob, or with `api` v1.1 that of CreateAndExecuteJob."""

    job_type: Annotated[
        JobType, pydantic.Field(description="With `api` v1.1: MapReduce, SparkSubmit, HiveScript, DistCp, SparkScript.")
    ]
    job_name: JobName = "job"
    arguments: Annotated[
        list[str],
        pydantic.Field(description="As MRS wants them for the job type. They come back in MRS queries: no secrets."),
    ] = pydantic.Field(default_factory=list)
    properties: Annotated[dict[str, str], pydantic.Field(description="MRS system parameters; `api` v2 only.")] = (
        pydantic.Field(default_factory=dict)
    )
    jar_path: Annotated[
        _OldPath | None,
        pydantic.Field(description="`api` v1.1: the program of MapReduce and SparkSubmit, ends with .jar."),
    ] = None
    hive_script_path: Annotated[
        _OldPath | None,
        pydantic.Field(description="`api` v1.1: the script of HiveScript and SparkScript, ends with .sql."),
    ] = None
    input: Annotated[_OldPath | None, pydantic.Field(description="`api` v1.1: where the job reads.")] = None
    output: Annotated[_OldPath | None, pydantic.Field(description="`api` v1.1: where the job writes.")] = None
    job_log: Annotated[_OldPath | None, pydantic.Field(description="`api` v1.1: folder for the job's log.")] = None
    file_action: Annotated[
        Literal["import", "export"] | None,
        pydantic.Field(description="`api` v1.1, DistCp: import from OBS to HDFS, or export from HDFS to OBS."),
    ] = None

    @pydantic.field_validator("arguments")
    @classmethod
    def _arguments_fit(cls, arguments: list[str]) -> list[str]:
        length = sum(map(len, arguments))
        if length > MAX_ARGUMENTS:
            raise ValueError(f"{length} characters in all; MRS takes {MAX_ARGUMENTS}")
        return arguments

    @pydantic.field_validator("properties")
    @classmethod
    def _properties_fit(cls, properties: dict[str, str]) -> dict[str, str]:
        length = sum(map(len, properties)) + sum(map(len, properties.values()))
        if length > MAX_PROPERTIES:
            raise ValueError(f"{length} characters in all; MRS takes {MAX_PROPERTIES}")
        return properties


class Submission(_Queued):
    """Run something on a cluster."""

    cluster: Cluster
    run_deadline_s: Annotated[
        float | None,
        pydantic.Field(
            gt=0,
            le=31_536_000,
            description="Cancel if not ended so many seconds after its submission; each attempt anew.",
        ),
        _NEAR,
    ] = None
    retry: Annotated[RetryPolicy | None, pydantic.Field(description="Try again after a bad end; never by default.")] = (
        None
    )


class JobSubmit(Submission):
    """
    Run one batch job on a cluster.

    Answered by `mrs.job.*` events.
    """

    api: Annotated[
        Api,
        pydantic.Field(
            description="The job API of MRS that runs it: v1.1 is for clusters that are too old for v2, and takes "
            "other fields of `job`."
        ),
    ] = "v2"
    job: BatchJob


def _check_single(statement: str) -> None:
    single = sqltext.single(statement)
    words_left = sqltext.code(single)
    if not words_left.strip():
        raise ValueError("no SQL in it")
    if ";" in words_left:
        raise ValueError("presto takes exactly one statement, without a semicolon; send one request for each")
    if ";" in single:
        raise ValueError("presto takes no semicolon, not even in quotes; write chr(59) instead")


class SqlSubmit(Submission):
    """
    Run SQL on a cluster.

    `presto` goes through the SQL endpoint: exactly one statement. `spark` and `hive` run as a SparkSql or HiveSql job
    and may hold several statements. Answered by `mrs.sql.*` events.
    """

    engine: Literal["presto", "spark", "hive"]
    statement: Annotated[str, pydantic.Field(min_length=1, max_length=MAX_ARGUMENTS - 200, description="The SQL text.")]
    database: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_]{1,128}$")] = "default"
    archive_path: Annotated[
        str | None,
        pydantic.Field(
            pattern=r"^obs://[^\s/][^\s]{0,999}$",
            description="OBS folder for the rows of a Presto SELECT; presto only.",
        ),
    ] = None
    job_name: Annotated[JobName, pydantic.Field(description="Name of the job on MRS; spark and hive only.")] = "sql"

    @pydantic.field_validator("statement")
    @classmethod
    def _not_blank(cls, statement: str) -> str:
        if not statement.strip(" \t\r\n;"):
            raise ValueError("no SQL in it")
        return statement

    @pydantic.model_validator(mode="after")
    def _fits_its_engine(self) -> SqlSubmit:
        if self.engine == "presto":
            _check_single(self.statement)
        if self.engine != "presto" and self.archive_path is not None:
            raise ValueError("archive_path is for presto only")
        return self


class Call(_Queued):
    """
    Call any one operation of the MRS API.

    Answered by `mrs.call.succeeded` with MRS's reply, or `mrs.call.failed` with MRS's reason. After a lost reply an
    operation that may be repeated is sent again, a few times; any other ends in `unknown`. Nothing is tracked: for work
    that goes on after the reply use the type made for it; a tenant with limits of what runs must. Passwords in a body
    stand in the requests topic, as you sent them.
    """

    operation: Annotated[
        operations.Name, pydantic.Field(description="The API's name for it; docs/operations.md has them all.")
    ]
    path: Annotated[
        dict[str, str], pydantic.Field(max_length=8, description="Its path values, without project_id.")
    ] = pydantic.Field(default_factory=dict)
    query: Annotated[
        dict[str, Annotated[str | int | float | bool | list[str], pydantic.BeforeValidator(_text_of_long)]],
        pydantic.Field(max_length=64, description="Its query, by the API's names."),
    ] = pydantic.Field(default_factory=dict)
    body: Annotated[dict[str, Any] | None, pydantic.Field(description="Its body, by the API's names.")] = None


class JobDelete(_Queued):
    """
    Delete the records of jobs from a cluster's job list on MRS.

    Answered by `mrs.job.*` events; deleting what is gone does no harm. V1.1 deletes one at a time, and stops a job that
    still runs.
    """

    cluster: ClusterId
    api: Annotated[Api, pydantic.Field(description="The job API that ran them; v1.1 takes one id.")] = "v2"
    job_ids: Annotated[
        list[Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]],
        pydantic.Field(min_length=1, max_length=100, description="MRS's ids of the jobs."),
    ]

    @pydantic.field_validator("job_ids")
    @classmethod
    def _one_for_v11(cls, job_ids: list[str], given: pydantic.ValidationInfo) -> list[str]:
        if given.data.get("api") == "v1.1" and len(job_ids) > 1:
            raise ValueError("V1.1 deletes one job at a time; send one request for each")
        return job_ids


class _ClusterOrder(_Queued):
    body: Annotated[
        dict[str, Any],
        pydantic.Field(
            description="The body of the MRS operation, by the API's names. A mark of 17 characters is added to "
            "cluster_name, with the deployment's tag 24, and it is cut to 47, or 40, before that. Passwords in it "
            "stand in the requests topic as sent."
        ),
    ]


class ClusterCreate(_ClusterOrder):
    """
    Order a cluster (CreateCluster of V2) and follow it until it runs.

    Answered by `mrs.cluster.*` events: `succeeded` when it runs, `failed` when its creation failed.
    """


class ClusterFlow(_ClusterOrder):
    """
    Order a cluster together with jobs (RunJobFlow of V2) and follow it until the jobs have ended.

    Answered by `mrs.cluster.*` events: `succeeded` when all jobs did, `failed` when one failed or the cluster did.
    """


class ClusterResize(_Queued):
    """
    Add nodes to a cluster or remove some (UpdateClusterScaling), and follow it until that is done.

    `parameters` are those of the operation. Answered by `mrs.cluster.*` events: `succeeded` when the cluster runs with
    the number of nodes that follows from it.
    """

    cluster: ClusterId
    parameters: Annotated[dict[str, Any], pydantic.Field(description="`parameters` of UpdateClusterScaling.")]


class ClusterDelete(_Queued):
    """
    Delete a cluster and follow it until it is gone.

    Answered by `mrs.cluster.*` events.
    """

    cluster: ClusterId


class Target(_Model):
    """The request that a message speaks of."""

    id: Annotated[str, pydantic.Field(min_length=1, max_length=envelope.MAX_ID, description="Its id.")]
    source: Annotated[
        str | None,
        pydantic.Field(
            min_length=1, max_length=envelope.MAX_ID, description="Its source; that of this message if missing."
        ),
    ] = None

    @pydantic.field_validator("id", "source")
    @classmethod
    def _is_text(cls, name: str | None, field: pydantic.ValidationInfo) -> str | None:
        if name is not None and (not envelope.is_text(name) or (field.field_name == "source" and " " in name)):
            raise ValueError("must be text without control characters, a source without spaces, as every request's are")
        return name


class JobCancel(_Model):
    """
    Stop a request, whatever its state, also before it came.

    Send it with the Kafka key of the request. Answered by the request's own events: `cancelled` once MRS confirms, the
    job's own verdict if that came first, or `unknown` if a reply was lost and nobody can tell what MRS did; `rejected`
    under this message's id if no such request comes in time.
    """

    request: Annotated[Target, pydantic.Field(description="Which request.")]
    note: Annotated[str, pydantic.Field(max_length=500, description="Why; comes back in the reason.")] = ""


class JobResolve(_Model):
    """
    Settle a request that is `unknown`, by hand.

    Send it with the Kafka key of the request, after a look at MRS. Answered by the request's own last event.
    """

    request: Annotated[Target, pydantic.Field(description="Which request.")]
    verdict: Annotated[
        Literal["succeeded", "failed", "cancelled"], pydantic.Field(description="How the request ended.")
    ]
    note: Annotated[str, pydantic.Field(min_length=1, max_length=500, description="Who says so and why.")]


ClusterRequest = ClusterCreate | ClusterFlow | ClusterResize | ClusterDelete
Work = JobSubmit | SqlSubmit | JobDelete | Call | ClusterRequest
"""Requests that become a job."""

Request = Work | JobCancel | JobResolve

MODELS: Final[dict[str, type[Request]]] = {
    "mrs.job.submit": JobSubmit,
    "mrs.sql.submit": SqlSubmit,
    "mrs.job.delete": JobDelete,
    "mrs.job.cancel": JobCancel,
    "mrs.job.resolve": JobResolve,
    "mrs.cluster.create": ClusterCreate,
    "mrs.cluster.flow": ClusterFlow,
    "mrs.cluster.resize": ClusterResize,
    "mrs.cluster.delete": ClusterDelete,
    "mrs.call": Call,
}
"""Request type → the model of its `data`."""

_PYDANTIC_CODES: Final = {"missing": "missing_field", "extra_forbidden": "unknown_field"}
_PYDANTIC_TEXTS: Final = {
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "extra_forbidden": "there is no such field",
    "missing": "is required",
}
"""Where pydantic's own text speaks of Python."""
_MAPS: Final = (("job", "properties"), ("path",), ("query",), ("cluster", "tags"))
"""Where names are the sender's and stay out of events, like all that stands there."""


def parse(message: envelope.Envelope) -> Request:
    """
    Check the envelope and the data of a request.

    Raises:
        BadMessage: with the first fault's code, field and a text that says how to mend it.
    """
    version = message.attributes.get("specversion", "1.0")
    if version != "1.0":
        raise errors.BadMessage(
            "bad_specversion", f'unsupported specversion {_shown(version)}: expected "1.0"', field="specversion"
        )
    model = MODELS.get(message.type)
    if model is None:
        known = ", ".join(sorted(MODELS))
        raise errors.BadMessage(
            "unknown_type", f"type {_shown(message.type)} is not known; known: {known}", field="type"
        )
    envelope.check_json(message.attributes.get("datacontenttype", "application/json"))
    if isinstance(message.data, errors.BadMessage):
        raise message.data
    if message.data is None:
        raise errors.BadMessage("missing_field", "`data` is required: expected an object", field="data")
    if not isinstance(message.data, dict):
        text = f"`data`: expected an object, got {envelope.json_type(message.data)}"
        raise errors.BadMessage("wrong_type", text, field="data")
    try:
        request = model.model_validate(message.data)
    except pydantic.ValidationError as error:
        raise _first_fault(error) from error
    if isinstance(request, JobSubmit):
        old_jobs.check(request)
    return request


def _shown(value: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps(value[:80]) if isinstance(value, str) else f"that is {envelope.json_type(value)}"


def _first_fault(error: pydantic.ValidationError) -> errors.BadMessage:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    fault: Any = faults[0]
    kind = str(fault["type"])
    code = _PYDANTIC_CODES.get(kind, "wrong_type" if kind.endswith("_type") else "bad_value")
    loc = fault["loc"]
    if len(loc) > 1 and loc[0] == "cluster" and loc[1] in _FORMS:
        loc = (loc[0], *loc[2:])
    place = next((given for given in _MAPS if loc[: len(given)] == given), loc)
    field = ".".join(["data", *map(words.name, place)])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    text = _PYDANTIC_TEXTS.get(kind, str(fault["msg"]).removeprefix("Value error, "))
    return errors.BadMessage(code, f"`{field}`: {text}{more}", field=field)
