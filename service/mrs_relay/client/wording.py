"""Turn keywords and models into request messages, checked by the relay's own models; pure except for the ids."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, TypeVar, Unpack, cast

import pydantic

from mrs_relay.messages import codec, envelope, requests

HEADERS: Final = (("content-type", f"{envelope.STRUCTURED}; charset=UTF-8".encode()),)
"""The headers of every request record."""

Cluster = str | requests.ClusterChoice | Mapping[str, Any]
"""A cluster by its id, or what to choose one by: `requests.ClusterChoice` or the same as a mapping."""

_Model = TypeVar("_Model", requests.JobSubmit, requests.SqlSubmit)

_TYPES: Final[Mapping[type[requests.Request], str]] = {model: kind for kind, model in requests.MODELS.items()}


class Options(TypedDict, total=False):
    """Options of every submission; the fields of `JobSubmit` and `SqlSubmit` explain each."""

    priority: int
    labels: Mapping[str, str]
    not_before: dt.datetime | str
    queue_deadline_s: float
    run_deadline_s: float
    retry: requests.RetryPolicy | Mapping[str, Any]


class JobOptions(Options, total=False):
    """Further options of a batch job; those from `jar_path` on are valid with `api` "v1.1" only."""

    job_name: str
    properties: Mapping[str, str]
    api: requests.Api
    jar_path: str
    hive_script_path: str
    input: str
    output: str
    job_log: str
    file_action: str


class SqlOptions(Options, total=False):
    """Further options of SQL."""

    database: str
    archive_path: str
    job_name: str
    result: requests.Delivery | Mapping[str, Any]


def job(
    cluster: Cluster, job_type: str, *, arguments: Sequence[str] = (), **options: Unpack[JobOptions]
) -> requests.JobSubmit:
    """
    Make the request for a batch job.

    Args:
        cluster: MRS cluster id, or what to choose one by.
        job_type: such as "SparkSubmit"; see `requests.JobType`.
        arguments: as MRS wants them for the job type.
        **options: see `JobOptions`.

    Raises:
        BadMessage: the relay would reject it; names the field.
    """
    data = _plain(options)
    body = {"job_type": job_type, **({"arguments": list(arguments)} if arguments else {})}
    body |= {name: data.pop(name) for name in requests.BatchJob.model_fields if name in data}
    return _checked(requests.JobSubmit, {"cluster": _json(cluster), "job": body, **data})


def sql(cluster: Cluster, engine: str, statement: str, **options: Unpack[SqlOptions]) -> requests.SqlSubmit:
    """
    Make the request for SQL.

    Args:
        cluster: MRS cluster id, or what to choose one by.
        engine: "presto", "spark" or "hive".
        statement: the SQL text.
        **options: see `SqlOptions`.

    Raises:
        BadMessage: the relay would reject it; names the field.
    """
    given = {"cluster": _json(cluster), "engine": engine, "statement": statement}
    return _checked(requests.SqlSubmit, {**given, **_plain(options)})


def message(request: requests.Request, source: str, request_id: str) -> bytes:
    """
    Write a request as a CloudEvent in structured mode.

    Every value that the caller set is written, defaults too: a tenant's default applies only to absent fields.

    Raises:
        BadMessage: the id or the source is not usable.
    """
    data = request.model_dump(mode="json", exclude_unset=True)
    kind = _TYPES[type(request)]
    value = codec.encode({"specversion": "1.0", "id": request_id, "source": source, "type": kind, "data": data})
    envelope.read("requests", value, HEADERS)
    return value


def key(request: requests.Request, request_id: str) -> bytes:
    """Return the Kafka key that the relay recommends: the cluster's id, or the request id where no cluster is named."""
    cluster = getattr(request, "cluster", None)
    return (cluster if isinstance(cluster, str) and cluster else request_id).encode()


def new_id() -> str:
    """Return a new unique id."""
    return str(uuid.uuid4())


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Convert Python values to JSON values, without None; the models are strict, as for any sender."""
    return {name: _json(value) for name, value in options.items() if value is not None}


def _json(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    return dict(value) if isinstance(value, Mapping) else value


def _checked(model: type[_Model], data: dict[str, Any]) -> _Model:
    return cast("_Model", requests.parse(envelope.Envelope("-", "-", _TYPES[model], data, {}, {})))
