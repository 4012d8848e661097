"""From keywords and models to request messages, checked by the models that the relay uses; pure but for the ids."""

from __future__ import annotations

import uuid
from typing import Any, Final

from mrs_relay.messages import codec, envelope, requests

HEADERS: Final = (("content-type", f"{envelope.STRUCTURED}; charset=UTF-8".encode()),)
"""Of every request record."""

_TYPES: Final = {model: kind for kind, model in requests.MODELS.items()}


def job(cluster: str, job_type: str, *, arguments: list[str] | None = None, **more: Any) -> requests.Request:  # noqa: ANN401 - JSON
    """
    Word a batch job; `job_name` and `properties` describe it, other keywords are fields of `JobSubmit`.

    Raises:
        BadMessage: the relay would reject it; names the field.
    """
    body = {"job_type": job_type, "arguments": arguments or []}
    body |= {name: more.pop(name) for name in ("job_name", "properties") if name in more}
    return _checked("mrs.job.submit", {"cluster": cluster, "job": body, **more})


def sql(cluster: str, engine: str, statement: str, **more: Any) -> requests.Request:  # noqa: ANN401 - JSON
    """
    Word a SQL request; other keywords are fields of `SqlSubmit`.

    Raises:
        BadMessage: the relay would reject it; names the field.
    """
    return _checked("mrs.sql.submit", {"cluster": cluster, "engine": engine, "statement": statement, **more})


def message(request: requests.Request, source: str, request_id: str) -> bytes:
    """
    Write a request as a CloudEvent in structured mode.

    Raises:
        BadMessage: the id or the source is not usable.
    """
    data = request.model_dump(mode="json", exclude_defaults=True)
    kind = _TYPES[type(request)]
    value = codec.encode({"specversion": "1.0", "id": request_id, "source": source, "type": kind, "data": data})
    envelope.read("requests", value, HEADERS)
    return value


def key(request: requests.Request, request_id: str) -> bytes:
    """Kafka key that the relay recommends: the cluster's id; a request without cluster gets its own id."""
    return str(getattr(request, "cluster", None) or request_id).encode()


def new_id() -> str:
    """Return an id that nobody used before."""
    return str(uuid.uuid4())


def _checked(kind: str, data: dict[str, Any]) -> requests.Request:
    return requests.parse(envelope.Envelope("-", "-", kind, data, {}, {}))
