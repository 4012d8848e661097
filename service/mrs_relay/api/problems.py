"""
Errors as RFC 9457 describes them: one shape for every status, for programs (`type`) and people (`detail`).

A handler raises `ProblemError`; the outermost middleware makes the reply, also of aiohttp's own errors and of ours. To
people, who ask for pages, the same problem is shown as a page.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import pydantic
import structlog
from aiohttp import typedefs, web

from mrs_relay import errors
from mrs_relay.api import models
from mrs_relay.messages import codec
from mrs_relay.read_model import database

CONTENT_TYPE: Final = "application/problem+json"
_AGAIN_S: Final = "2"

_log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_FOR_PROGRAMS: Final = frozenset({"v1", "health", "ready", "metrics"})
"""What paths begin with whose problems are no pages."""


class ProblemError(Exception):
    """
    A reply with a problem.

    Args:
        status: HTTP status.
        kind: end of the problem's type, one for each cause.
        detail: for people: expected, got, what to do.
        faults: what is wrong with which parameter or field.
        headers: of the reply.
        extra: further members of the problem.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        faults: Sequence[models.Fault] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def reply(self) -> web.Response:
        """Make the reply."""
        problem = models.Problem(
            type=f"urn:mrs-relay:problem:{self.kind}",
            title=http.HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            errors=list(self.faults) or None,
        )
        body = codec.encode({**problem.model_dump(mode="json", exclude_none=True), **self.extra})
        return web.Response(status=self.status, body=body, content_type=CONTENT_TYPE, headers=self.headers)


def unavailable(detail: str) -> ProblemError:
    """Return the problem of a service that cannot answer now."""
    return ProblemError(503, "unavailable", detail, headers={"Retry-After": _AGAIN_S})


def of_parameters(error: pydantic.ValidationError, known: Sequence[str]) -> ProblemError:
    """Return the problem of query parameters that a model refuses."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(fault["loc"][0]) if fault["loc"] else ""
        text = str(fault["msg"]).removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            text = f"there is no such parameter; known: {', '.join(known)}"
        faults.append(models.Fault(field=name, message=text))
    return _of_faults(400, "invalid-parameter", faults)


def of_body(error: pydantic.ValidationError) -> ProblemError:
    """Return the problem of a body that a model refuses."""
    faults = [
        models.Fault(field=".".join(map(str, fault["loc"])), message=str(fault["msg"]).removeprefix("Value error, "))
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return _of_faults(422, "invalid-body", faults)


def _of_faults(status: int, kind: str, faults: Sequence[models.Fault]) -> ProblemError:
    detail = "; ".join(f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in faults)
    return ProblemError(status, kind, detail, faults=faults)


Page = Callable[[web.Request, ProblemError], web.Response]
"""Makes the page of a problem."""


def middleware(page: Page) -> typedefs.Middleware:
    """Return the middleware that answers every failure with a problem, to people with its page."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPRedirection:  # of forms: no failure
            raise
        except (asyncio.CancelledError, ConnectionResetError):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort of a handler: logged with its stack
            problem = _of(request, error)
        is_for_programs = request.path.removeprefix("/").partition("/")[0] in _FOR_PROGRAMS
        return problem.reply() if is_for_programs else page(request, problem)

    return check


def _of(request: web.Request, error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, web.HTTPException):
        return _of_aiohttp(request, error)
    if isinstance(error, errors.NotAllowed):
        _log.warning("read_not_allowed", path=request.path, error=str(error))
        return unavailable("Kafka does not allow this service to read what the answer needs; its log names the right")
    if isinstance(error, (database.DatabaseDown, errors.StreamError)):
        _log.warning("api_unavailable", path=request.path, error=str(error))
        return unavailable("the database or Kafka does not answer; try again")
    _log.error("api_failed", path=request.path, exc_info=error)
    return ProblemError(500, "internal-error", "mrs-relay failed on this request; its log says why")


def _of_aiohttp(request: web.Request, error: web.HTTPException) -> ProblemError:
    headers = {name: value for name, value in error.headers.items() if name in {"Allow", "Location"}}
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return ProblemError(405, "method-not-allowed", f"{request.method}: expected {allowed}", headers=headers)
    if isinstance(error, web.HTTPNotFound):
        return ProblemError(404, "no-such-path", f"{request.path[:200]}: there is no such path; see /v1/openapi.json")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return ProblemError(413, "too-large", "the body is larger than api.body_bytes allows", headers=headers)
    return ProblemError(error.status, "http", error.reason or "the request is not accepted", headers=headers)
