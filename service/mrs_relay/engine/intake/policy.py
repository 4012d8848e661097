"""
Define the policy of a tenant: allowed requests, limits, and defaults for its requests. Settings only.

`policy_check` applies them to requests, `scheduling` enforces the limits of running work. A tenant is an input topic;
Kafka's ACLs decide who may write to it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self, get_args

import pydantic

from mrs_relay.common import described
from mrs_relay.engine.model import decisions
from mrs_relay.messages import operations, reasons, requests
from mrs_relay.obs import paths

PRESTO: Final = "Presto"
"""The job type that stands for statements of the engine presto."""

NAME: Final = "name:"
TAG: Final = "tag:"

_Seconds = Annotated[float, pydantic.Field(gt=0, le=31_536_000)]
_Count = Annotated[int, pydantic.Field(ge=1, le=1_000_000)]
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TAG: Final = re.compile(r"tag:[^=]{1,127}=.{0,255}")


class _Group(described.Described):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Allow(_Group):
    """The requests that a tenant may send. A rule that is not set restricts nothing; an empty list allows nothing."""

    types: tuple[str, ...] | None = None
    """Types of messages, such as mrs.sql.submit or mrs.job.*. Cancels and resolves are messages, too."""

    operations: tuple[str, ...] | None = None
    """Operations that `mrs.call` may name, such as ListClusters or Show*."""

    job_types: tuple[str, ...] | None = None
    """Job types, such as SparkSql; Presto stands for statements. Counts wherever a request starts a job, in bodies of
    calls and orders of clusters, too."""

    clusters: tuple[str, ...] | None = None
    """Clusters: an id, `name:` with a pattern such as name:night-*, or `tag:` with key=value. One match is enough."""

    @pydantic.field_validator("types")
    @classmethod
    def _known_types(cls, wanted: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _each_fits(wanted, requests.MODELS)

    @pydantic.field_validator("operations")
    @classmethod
    def _known_operations(cls, wanted: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _each_fits(wanted, get_args(operations.Name))

    @pydantic.field_validator("job_types")
    @classmethod
    def _known_job_types(cls, wanted: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _each_fits(wanted, [*get_args(requests.JobType), PRESTO])

    @pydantic.field_validator("clusters")
    @classmethod
    def _readable_clusters(cls, wanted: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for one in wanted or ():
            is_name = one.startswith(NAME) and len(one) > len(NAME)
            if not (is_name or _TAG.fullmatch(one) or _ID.fullmatch(one)):
                raise ValueError(f"{one!r} is no cluster id, no name:PATTERN and no tag:KEY=VALUE")
        return wanted


class Limits(_Group):
    """
    How much a tenant may have at a time. What is not set is not limited.

    Replicas share the counts by their share of the partitions, rounded down, but each has one at least.
    """

    per_minute: _Count | None = None
    """Submissions to MRS in any 60 seconds; further ones wait. As many at once are let through."""

    running: _Count | None = None
    """Requests that have been submitted and have not ended, of all kinds; further ones wait."""

    queued: _Count | None = None
    """Requests that wait for their submission; a further one is rejected (`too_many_queued`)."""

    queue_deadline_s: _Seconds | None = None
    """Longest `queue_deadline_s` of a request, in seconds; one that names none gets this one."""

    run_deadline_s: _Seconds | None = None
    """Longest `run_deadline_s` of a job or SQL request, in seconds; one that names none gets this one."""


class Defaults(_Group):
    """The values of fields that a request of the tenant leaves out. Types that have no such field are left alone."""

    cluster: str | dict[str, Any] | None = None
    """Cluster on which jobs and SQL run, as a request names it; deletions and resizes must name theirs."""

    priority: int | None = None
    """0 to 9; 9 is first."""

    labels: dict[str, str] | None = None
    """Come back in every event; for requests without labels of their own."""

    database: str | None = None
    """Of SQL requests."""

    retry: dict[str, Any] | None = None
    """As a request says it: attempts, backoff_s, on."""

    queue_deadline_s: _Seconds | None = None
    """Seconds that a request may wait for its submission; not more than the limit."""

    run_deadline_s: _Seconds | None = None
    """Seconds from the submission of a job to its end; not more than the limit."""

    @pydantic.field_validator("cluster", "priority", "labels", "database", "retry")
    @classmethod
    def _as_requests_take_it(cls, value: object, field: pydantic.ValidationInfo) -> object:
        name = field.field_name or ""
        if value is not None:
            known = requests.SqlSubmit.model_fields[name]
            taken: pydantic.TypeAdapter[object] = pydantic.TypeAdapter(
                Annotated[known.annotation, known]  # type: ignore[arg-type]  # a form that is known at run time only
            )
            try:
                taken.validate_python(value)
            except pydantic.ValidationError as error:
                raise ValueError(f"a request would be rejected for it: {error.errors()[0]['msg']}") from None
        return value

    @property
    def given(self) -> dict[str, Any]:
        """Those that are set, by the requests' names."""
        return self.model_dump(exclude_none=True)


_FOLDER_LIFE_S: Final = 86_400.0

_PLAIN_PATH: Final = re.compile(r"obs://[\w./=@+-]*")


class Results(_Group):
    """What becomes of the rows of SQL. A tenant's group names what differs from the group `results` of all tenants."""

    path: Annotated[str, pydantic.Field(max_length=500)] | None = None
    """
    OBS folder, such as obs://lake/results, below which MRS writes rows that are to be delivered, and the only one that
    rows are read from. Default none: rows are not read. A tenant that names none gets the folder of its name in that of
    all tenants. Rows of Hive and Spark are removed from it after `folder_life_s`, those of Presto are not: let a life
    cycle of the bucket do so.
    """

    deliver: Literal["inline", "location", "both", "chunks"] | None = None
    """How rows come back to requests without `result`, for `engines`. Default none: as without any results."""

    engines: tuple[Literal["presto", "hive", "spark"], ...] | None = None
    """
    Engines of which `deliver` holds; presto alone unless it is set. A SELECT of hive or spark is then submitted as one
    that writes its rows to a folder, for which the cluster's agency needs the right; their other statements are left
    as they are.
    """

    format: Literal["rows", "csv", "arrow"] | None = None
    """The format where `deliver` holds; rows unless it is set. arrow needs the extra `arrow`."""

    arrow: bool | None = None
    """
    Whether requests may ask for `format` arrow, where the extra `arrow` is installed; true unless it is set. The
    library takes some 60 MB of memory once a request has asked for it.
    """

    max_rows: Annotated[int, pydantic.Field(ge=0, le=1_000_000)] | None = None
    """Most rows in an event; 10,000 unless it is set. Requests may ask for fewer."""

    max_bytes: Annotated[int, pydantic.Field(ge=0, le=900_000)] | None = None
    """Most bytes of rows in an event, where engine.inline_result_bytes allows as many. Requests may ask for fewer."""

    url_life_s: Annotated[int, pydantic.Field(ge=0, le=604_800)] | None = None
    """
    Seconds for which an address that reads rows without keys works; 3600 unless it is set, 0 gives none. Who may read
    the events may use it. Addresses made with temporary keys end with these keys at the latest.
    """

    folder_life_s: Annotated[float, pydantic.Field(ge=0, le=31_536_000)] | None = None
    """
    Seconds after the end of a request of Hive or Spark when the folder of its rows is removed; 86,400, a day, unless it
    is set, 0 keeps it. Only objects that an engine writes into that folder are removed. Until then memory holds the
    request; addresses of its rows end with them.
    """

    @pydantic.field_validator("path")
    @classmethod
    def _is_folder(cls, path: str | None) -> str | None:
        if path is None:
            return None
        if not _PLAIN_PATH.fullmatch(path):
            raise ValueError(
                "has a character that SQL reads otherwise; use letters, digits and - _ . = @ + / after obs://"
            )
        return str(paths.folder(path))

    @property
    def kept_s(self) -> float:
        """Seconds after the end of a request when the folder of its rows is removed; 0: it stays."""
        return _FOLDER_LIFE_S if self.folder_life_s is None else self.folder_life_s

    @property
    def filled(self) -> dict[str, Any]:
        """The field `result` of requests that leave it out; nothing where no rows are read."""
        if self.path is None or self.deliver is None:
            return {}
        return {"result": {"deliver": self.deliver, "format": self.format or "rows"}}

    def below(self, shared: Results, tenant: str) -> Results:
        """Return a tenant's results: its own, and what it leaves out as for all tenants, in a folder of its name."""
        folder = self.path or (f"{shared.path}{tenant}/" if shared.path else None)
        given = {**shared.model_dump(exclude_none=True), **self.model_dump(exclude_none=True), "path": folder}
        return Results.model_validate(given)


class Causes(_Group):
    """
    Which logs of failed jobs are read for their cause. A tenant's group names what differs from the group `causes`.

    They are logs of batch jobs, SQL of Spark and Hive included; a failed job's log is read once, before `failed`.
    """

    path: Annotated[str, pydantic.Field(max_length=500)] | None = None
    """
    OBS folder, such as obs://lake/logs, below which clusters leave the logs of their jobs, and the only one that logs
    are read from. Default none: no log is read, and events say that MRS has it.
    """

    files: Annotated[tuple[str, ...], pydantic.Field(min_length=1, max_length=4)] | None = None
    """
    Paths of a job's logs below `path`, with {cluster} and {job} for MRS's ids and {app} for YARN's;
    {cluster}/{job}/stderr unless it is set. The first that shows a cause counts, else the first that exists.
    """

    within_s: Annotated[float, pydantic.Field(ge=1, le=300)] | None = None
    """
    Seconds that `failed` waits for the log, which is written after the end of the job; 30 unless it is set. Smaller
    misses logs that come late; larger delays the events of jobs that leave none.
    """

    detail: Literal["none", "redacted", "full"] | None = None
    """
    What events show of the log: "none", the cause alone; "redacted", without the request's SQL, arguments and
    properties; "full", with them. Passwords, tokens, keys and signatures are removed in any case. redacted unless it is
    set. A job whose log is to be redacted keeps its work in memory and in the ledger while it runs.
    """

    max_detail: Annotated[int, pydantic.Field(ge=100, le=reasons.MAX_DETAIL)] | None = None
    """Characters of the log in an event; 2,000 unless it is set."""

    tail_bytes: Annotated[int, pydantic.Field(ge=1_024, le=262_144)] | None = None
    """Bytes that are read of a log, from its end; 65,536 unless it is set."""

    @pydantic.field_validator("path")
    @classmethod
    def _is_folder(cls, path: str | None) -> str | None:
        return None if path is None else str(paths.folder(path))

    @pydantic.field_validator("files")
    @classmethod
    def _are_paths(cls, files: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for file in files or ():
            left = file.replace("{cluster}", "c").replace("{job}", "j").replace("{app}", "a")
            if "{" in left or "}" in left:
                raise ValueError(f"{file!r}: expected {{cluster}}, {{job}} and {{app}} as its only places")
            if "{job}" not in file and "{app}" not in file:
                raise ValueError(f"{file!r}: expected {{job}} or {{app}}, or all jobs would have one log")
            paths.parse(f"obs://bucket/{left}")
        return files

    @property
    def rules(self) -> decisions.LogRules | None:
        """The rules that decisions follow; None: no log is read."""
        if self.path is None:
            return None
        given: dict[str, Any] = {
            "files": self.files,
            "within_ms": None if self.within_s is None else round(self.within_s * 1000),
            "shows": self.detail,
            "max_detail": self.max_detail,
            "tail_bytes": self.tail_bytes,
        }
        return decisions.LogRules(self.path, **{name: value for name, value in given.items() if value is not None})

    def over(self, shared: Causes) -> Causes:
        """Return a tenant's rules: its own, and what it leaves out as for all tenants."""
        return Causes.model_validate({**shared.model_dump(exclude_none=True), **self.model_dump(exclude_none=True)})


class TenantPolicy(_Group):
    """The groups of one tenant that say what it may do."""

    allow: Allow = Allow()
    """The requests that it may send; see the group."""

    limits: Limits = Limits()
    """The limits of its use; see the group."""

    defaults: Defaults = Defaults()
    """The values of fields that a request leaves out; see the group."""

    results: Results = Results()
    """What becomes of the rows of its SQL, where it differs from the group `results`; see the group."""

    causes: Causes = Causes()
    """Which logs of its failed jobs are read, where it differs from the group `causes`; see the group."""

    @pydantic.model_validator(mode="after")
    def _defaults_keep_the_limits(self) -> Self:
        for name in ("queue_deadline_s", "run_deadline_s"):
            wanted, most = getattr(self.defaults, name), getattr(self.limits, name)
            if wanted is not None and most is not None and wanted > most:
                raise ValueError(f"defaults.{name} ({wanted:g}) is more than limits.{name} ({most:g})")
        return self


@dataclass(frozen=True, slots=True)
class Policy:
    """
    The policy of one tenant.

    Attributes:
        tenant: its name; "" where there are no tenants.
        results: what becomes of rows of SQL; without a path nothing is read.
        causes: which logs of failed jobs are read; without a path none are.
        has_chunks: there is a topic for rows in chunks.
        has_arrow: the library that makes Arrow is installed.
        deployment: name of the deployment that serves it; "" if that has none of its own.
        filled: values for the fields that a request leaves out, by the requests' names: the defaults, the longest
            deadlines where there is no default, and how rows are delivered.
    """

    tenant: str = ""
    allow: Allow = field(default_factory=Allow)
    limits: Limits = field(default_factory=Limits)
    defaults: Defaults = field(default_factory=Defaults)
    deployment: str = ""
    results: Results = field(default_factory=Results)
    causes: Causes = field(default_factory=Causes)
    has_chunks: bool = False
    has_arrow: bool = False
    filled: Mapping[str, Any] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        longest = self.limits.model_dump(include={"queue_deadline_s", "run_deadline_s"}, exclude_none=True)
        given = {**longest, **self.defaults.given, **self.results.filled}
        object.__setattr__(self, "filled", given)  # used for each message


def fits(name: str, patterns: tuple[str, ...] | None) -> bool:
    """Return whether a name matches one of the patterns, case-sensitively; None matches all names."""
    return patterns is None or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _each_fits(wanted: tuple[str, ...] | None, known: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - names
    for pattern in wanted or ():
        if not fnmatch.filter(known, pattern):
            raise ValueError(f"unknown name {pattern!r}: expected one of {', '.join(known)}")
    return wanted
