"""Turn an envelope into a checked request."""

from __future__ import annotations

import json
from typing import Any, Final

import pydantic

from mrs_relay import errors
from mrs_relay.common import safe_text
from mrs_relay.messages import envelope, v11_rules
from mrs_relay.messages.requests import base, calls, clusters, control, jobs, sql

ClusterRequest = clusters.ClusterCreate | clusters.ClusterFlow | clusters.ClusterResize | clusters.ClusterDelete
Work = jobs.JobSubmit | sql.SqlSubmit | jobs.JobDelete | calls.Call | ClusterRequest
"""Requests that become a job."""

Request = Work | control.JobCancel | control.JobResolve

MODELS: Final[dict[str, type[Request]]] = {
    "mrs.job.submit": jobs.JobSubmit,
    "mrs.sql.submit": sql.SqlSubmit,
    "mrs.job.delete": jobs.JobDelete,
    "mrs.job.cancel": control.JobCancel,
    "mrs.job.resolve": control.JobResolve,
    "mrs.cluster.create": clusters.ClusterCreate,
    "mrs.cluster.flow": clusters.ClusterFlow,
    "mrs.cluster.resize": clusters.ClusterResize,
    "mrs.cluster.delete": clusters.ClusterDelete,
    "mrs.call": calls.Call,
}
"""Request type → the model of its `data`."""

_PYDANTIC_CODES: Final = {"missing": "missing_field", "extra_forbidden": "unknown_field"}
_PYDANTIC_TEXTS: Final = {
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "extra_forbidden": "there is no such field",
    "missing": "is required",
}
"""Replacements for texts of pydantic that refer to Python."""
_MAPS: Final = (("job", "properties"), ("path",), ("query",), ("cluster", "tags"))
"""Places whose names and values belong to the sender and stay out of events."""


def parse(message: envelope.Envelope) -> Request:
    """
    Check the envelope and the data of a request.

    Raises:
        BadMessage: with the first fault's code, field and a text that says how to correct it.
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

    if isinstance(request, jobs.JobSubmit):
        v11_rules.check(request)
    return request


def faults(message: envelope.Envelope) -> list[errors.BadMessage]:
    """Return all faults of a request that its model finds at once, or the first one before that; empty: it has none."""
    try:
        parse(message)
    except errors.BadMessage as error:
        cause = error.__cause__
        if not isinstance(cause, pydantic.ValidationError):
            return [error]
        return [_fault(one) for one in _faults_of(cause)]
    return []


def _shown(value: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps(value[:80]) if isinstance(value, str) else f"that is {envelope.json_type(value)}"


def _faults_of(error: pydantic.ValidationError) -> list[Any]:
    found: list[Any] = error.errors(include_url=False, include_context=False, include_input=False)
    return found


def _first_fault(error: pydantic.ValidationError) -> errors.BadMessage:
    first, *others = _faults_of(error)
    return _fault(first, f" (and {len(others)} more)" if others else "")


def _fault(fault: Any, more: str = "") -> errors.BadMessage:  # noqa: ANN401 - pydantic's
    kind = str(fault["type"])
    code = _PYDANTIC_CODES.get(kind, "wrong_type" if kind.endswith("_type") else "bad_value")
    loc = fault["loc"]
    if len(loc) > 1 and loc[0] == "cluster" and loc[1] in base.CLUSTER_FORMS:
        loc = (loc[0], *loc[2:])
    place = next((given for given in _MAPS if loc[: len(given)] == given), loc)
    field = ".".join(["data", *map(safe_text.name, place)])
    text = _PYDANTIC_TEXTS.get(kind, str(fault["msg"]).removeprefix("Value error, "))
    return errors.BadMessage(code, f"`{field}`: {text}{more}", field=field)
