"""Read query parameters and make JSON replies, with ETags."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec
import pydantic
from aiohttp import web

from mrs_relay.api import models, problems

_Query = TypeVar("_Query", bound=pydantic.BaseModel)
_Place = TypeVar("_Place", bound=msgspec.Struct)


def query(request: web.Request, model: type[_Query], *, extra: Collection[str] = ()) -> _Query:
    """
    Read the query parameters, without extra ones that others read.

    Raises:
        ProblemError: one is wrong, unknown or given twice.
    """
    if twice := sorted({name for name in request.query if len(request.query.getall(name)) > 1}):
        faults = [models.Fault(field=name, message="expected once, got several") for name in twice]
        text = f"{', '.join(twice)}: expected once, got several"
        raise problems.ProblemError(400, "invalid-parameter", text, faults=faults)
    return checked({name: value for name, value in request.query.items() if name not in extra}, model)


def checked(given: Mapping[str, str], model: type[_Query]) -> _Query:
    """
    Read parameters that come once each.

    Raises:
        ProblemError: one is wrong or unknown.
    """
    try:
        return model.model_validate(given)
    except pydantic.ValidationError as error:
        raise problems.of_parameters(error, list(model.model_fields)) from None


def reply(request: web.Request, model: pydantic.BaseModel) -> web.Response:
    """Answer with a model, or with 304 if the client has the same answer already."""
    body = model.model_dump_json(exclude_none=True).encode()
    etag = hashlib.blake2b(body, digest_size=16).hexdigest()
    known = request.if_none_match or ()
    if any(one.value in {etag, "*"} for one in known):
        return web.Response(status=304, headers={"ETag": f'"{etag}"'})
    response = web.Response(body=body, content_type="application/json", headers={"Cache-Control": "private, no-cache"})
    response.etag = etag
    return response


def cursor(place: msgspec.Struct | None, filters: object) -> str | None:
    """Write where a page ends as opaque text that belongs to these filters."""
    if place is None:
        return None
    return base64.urlsafe_b64encode(_digest(filters) + msgspec.json.encode(place)).rstrip(b"=").decode()


def place(text: str | None, kind: type[_Place], filters: object) -> _Place | None:
    """
    Read a cursor.

    Raises:
        ProblemError: it is none, or belongs to other filters.
    """
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        found = msgspec.json.decode(raw[4:], type=kind)
    except (ValueError, msgspec.DecodeError):
        raise _bad_cursor("expected the `next` of an earlier page") from None
    if raw[:4] != _digest(filters):
        raise _bad_cursor("it belongs to other filters; begin again without a cursor")
    return found


def _bad_cursor(text: str) -> problems.ProblemError:
    fault = models.Fault(field="cursor", message=text)
    return problems.ProblemError(400, "invalid-cursor", f"cursor: {text}", faults=[fault])


def _digest(filters: Any) -> bytes:  # noqa: ANN401 - whatever a page was asked by
    text = msgspec.json.encode(filters, order="deterministic")  # sets, too: other replicas read the cursor
    return hashlib.blake2b(text, digest_size=4).digest()
