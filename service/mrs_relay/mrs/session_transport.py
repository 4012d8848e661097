"""
Send over aiohttp's `ClientSession`, by documented parts of the library only.

`open_transport` uses `transport.AiohttpTransport`, which costs a quarter as much for each call, as long as aiohttp has
the undocumented parts that it calls. This transport is the fallback for a release without them. A call has a
connection, and may have left this process, from the moment at which aiohttp's traces report one. Permission to send is
asked before a connection is made, not after: the traces cannot end a new connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self

import aiohttp
import yarl
from aiohttp import client_proto, connector

from mrs_relay.mrs import permission, settings, transport

_FIRST_FINAL_STATUS: Final = 200


@dataclass(slots=True)
class _Progress:
    """Progress of one call."""

    has_connection: bool = False


class _SecondTryError(Exception):
    """The library is about to repeat a request that it considers safe; this transport repeats nothing."""


class SessionTransport:
    """
    Send to one address through a `ClientSession`; an async context manager that owns it. See `transport.Transport`.

    Args:
        group: the connection's settings.
        url: another address than MRS's: scheme, host and port.
    """

    def __init__(self, group: settings.MrsSettings, url: str | None = None) -> None:
        self._group = group
        self._url = url or group.base_url
        self._fixed = transport.fixed_headers(group)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=transport.connector_of(self._group),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._group.connect_timeout_s),
            skip_auto_headers=("Content-Type",),
            trace_configs=[_trace()],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        """Send once and read the whole reply; see `Transport.send`."""
        if self._session is None:
            raise transport.NotSent("the transport is closed")
        if timeout_s <= 0:
            raise transport.NotSent("no time was left to send it")

        progress = _Progress()
        try:
            _require_writable(request)
            async with asyncio.timeout(timeout_s):
                return await self._exchange(self._session, request, progress)
        except (*transport.LIBRARY_ERRORS, _SecondTryError) as error:
            raise transport.failure(self._url, error, timeout_s, left=progress.has_connection) from error

    async def _exchange(
        self, session: aiohttp.ClientSession, request: transport.Request, progress: _Progress
    ) -> transport.Response:
        sending = session.request(
            request.verb,
            yarl.URL(self._url + request.target, encoded=True),
            data=io.BytesIO(request.body) if request.body else None,  # bytes of a MiB and more cause a warning
            headers={**self._fixed, **request.headers},
            allow_redirects=False,
            trace_request_ctx=progress,
            **_through(self._group),
        )
        async with sending as reply:
            if reply.status < _FIRST_FINAL_STATUS:
                raise ValueError(f"status {reply.status} is no reply")
            body = await transport.read_whole(reply.content, b"", self._group.max_reply_bytes)
            return transport.Response(reply.status, body, reply.headers)


def _require_writable(request: transport.Request) -> None:
    """Check before there is a connection that a whole request can be written: ASCII without line breaks."""
    texts = [request.target, *request.headers, *request.headers.values()]
    for text in texts:
        if "\r" in text or "\n" in text:
            raise ValueError("a header or the path holds a line break")
        text.encode("ascii")


def _trace() -> aiohttp.TraceConfig:
    """Note when a call has its connection, and refuse it a second one."""

    async def begins(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        if context.trace_request_ctx.has_connection:
            raise _SecondTryError("the connection was lost; the request is not repeated")
        if not permission.is_granted():
            raise transport.NotSent(transport.NO_PERMISSION)

    async def connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.has_connection = True

    async def reused(session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:
        await begins(session, context, params)
        await connected(session, context, params)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(begins)
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(reused)
    return trace


def _through(group: settings.MrsSettings) -> dict[str, Any]:
    """Return the library's arguments for the proxy, if there is one."""
    if group.proxy is None:
        return {}
    if group.proxy_user is None:
        return {"proxy": group.proxy}
    password = "" if group.proxy_password is None else group.proxy_password.get_secret_value()
    return {"proxy": group.proxy, "proxy_auth": aiohttp.BasicAuth(group.proxy_user, password, "utf-8")}


_INTERNALS: Final = (
    (client_proto.ResponseHandler, "set_response_params"),
    (client_proto.ResponseHandler, "read"),
    (connector.Connection, "protocol"),
    (connector.Connection, "transport"),
    (connector.Connection, "release"),
)
"""Undocumented parts of aiohttp that `AiohttpTransport` uses."""


def has_internals() -> bool:
    """Return whether this release of aiohttp has all parts that `AiohttpTransport` uses."""
    if not all(hasattr(owner, name) for owner, name in _INTERNALS):
        return False
    takes = inspect.signature(client_proto.ResponseHandler.set_response_params).parameters
    connects = inspect.signature(aiohttp.TCPConnector.connect).parameters
    return "read_until_eof" in takes and list(connects) == ["self", "req", "traces", "timeout"]


@contextlib.asynccontextmanager
async def open_transport(
    group: settings.MrsSettings, url: str | None = None
) -> AsyncIterator[transport.AiohttpTransport | SessionTransport]:
    """
    Open the fast transport, or the documented one where aiohttp lacks the parts that the fast one uses.

    Args:
        group: the connection's settings.
        url: another address than MRS's: scheme, host and port.
    """
    kind = transport.AiohttpTransport if has_internals() else SessionTransport
    async with kind(group, url) as door:
        yield door
