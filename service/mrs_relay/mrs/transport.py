"""
Send one request, once, over aiohttp's connections, and report whether it may have left this process.

`client` combines that report with the safety class of the operation. Nothing here retries, follows a redirect or keeps
a cookie. aiohttp opens and keeps the connections and parses replies; this module writes the request, in one piece. So
it knows for certain whether a request had a connection, and a call costs 43 us of CPU instead of the 171 us that it
costs through `ClientSession` (`bench/transports.py`).

NB: `Connection.protocol`, its `set_response_params` and `read` are what `ClientSession` itself uses, but aiohttp does
not document them (3.12, 3.13 and 3.14 agree). Where a release lacks them, `session_transport` uses the documented way;
the tests over sockets cover both.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self

import aiohttp
import msgspec
import multidict
import yarl
from aiohttp import http

import mrs_relay
from mrs_relay.common import tls
from mrs_relay.mrs import deadlines, permission, settings

LIBRARY_ERRORS: Final = (
    aiohttp.ClientError,
    aiohttp.EofStream,
    http.HttpProcessingError,
    OSError,  # TimeoutError is one
    ValueError,
    RuntimeError,  # uvloop's error for a transport that has just been closed
)

_INFORMATIONAL: Final = range(100, 200)


class Request(msgspec.Struct, frozen=True):
    """
    One signed request.

    Attributes:
        verb: HTTP verb in upper case.
        target: path and query, percent-encoded; sent exactly like this.
        headers: headers in addition to those of every request.
        body: the bytes to send; b"" for none.
    """

    verb: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


NO_PERMISSION: Final = "the permission to send it has ended"


class Response(msgspec.Struct, frozen=True):
    """
    A whole response.

    Attributes:
        status: HTTP status.
        body: all bytes of the body.
        headers: all headers, found by their names in any case; in fakes only as spelled, such as `X-Request-Id`.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def request_id(self) -> str | None:
        """X-Request-Id, which the support of MRS asks for; IAM has its own name for it."""
        return self.headers.get("X-Request-Id") or self.headers.get("X-IAM-Trace-Id")


class SendError(Exception):
    """No whole reply arrived. The message names address and cause, never headers or bodies."""


class NotSent(SendError):  # noqa: N818 - named for what is known
    """The request certainly never left this process."""


class NoConnection(NotSent):
    """The address cannot be reached."""


class Lost(SendError):  # noqa: N818 - named for what is known
    """A connection existed: the request may have arrived, and its effect may have happened."""


class TooLarge(Lost):
    """The reply is larger than `max_reply_bytes`; the request was answered."""


class Transport(Protocol):
    """Send requests to one address; `AiohttpTransport` over sockets, fakes in tests."""

    async def send(self, request: Request, timeout_s: float) -> Response:
        """
        Send once and read the whole reply within `timeout_s` seconds.

        Raises:
            NotSent: the request never left this process.
            Lost: the request may have arrived.
        """


class AiohttpTransport:
    """
    Send to one address over aiohttp's connections; an async context manager that owns them.

    Args:
        group: the connection's settings.
        url: another address than MRS's: scheme, host and port.
    """

    def __init__(self, group: settings.MrsSettings, url: str | None = None) -> None:
        self._group = group
        self._url = url or group.base_url
        self._connector: aiohttp.TCPConnector | None = None
        self._deadlines = deadlines.Deadlines()
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in fixed_headers(group).items())
        self._before_target = ""
        if group.proxy is not None and self._url.startswith("http:"):  # not tunnelled: the proxy reads the full URL
            self._before_target = self._url
            self._fixed += "".join(f"{name}: {value}\r\n" for name, value in _proxy_headers(group).items())

    async def __aenter__(self) -> Self:
        group = self._group
        self._connector = connector_of(group)
        self._connect_timeout = aiohttp.ClientTimeout(total=None, sock_connect=group.connect_timeout_s)
        # The connector only needs a request's address, which is the same for all requests.
        self._address = aiohttp.ClientRequest(
            "GET", yarl.URL(self._url), loop=asyncio.get_running_loop(), **_through(group)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connector, self._connector = self._connector, None
        if connector is not None:
            await connector.close()
            self._deadlines.close()

    async def send(self, request: Request, timeout_s: float) -> Response:
        """Send once and read the whole reply; see `Transport.send`."""
        connector = self._connector
        if connector is None:
            raise NotSent("the transport is closed")
        if timeout_s <= 0:
            raise NotSent("no time was left to send it")

        connection: aiohttp.connector.Connection | None = None
        left = False
        try:
            data = self._bytes_of(request)
            with self._deadlines.within(timeout_s):
                connection = await connector.connect(self._address, [], self._connect_timeout)
                protocol, wire = connection.protocol, connection.transport
                if protocol is None or wire is None or wire.is_closing():
                    raise ConnectionResetError("the connection was just closed")

                protocol.set_response_params(read_until_eof=True)
                if not permission.is_granted():
                    raise NotSent(NO_PERMISSION)
                left = True
                wire.write(data)

                message, content = await protocol.read()
                while message.code in _INFORMATIONAL:
                    message, content = await protocol.read()
                body = await content.readany()
                if not content.at_eof() or len(body) > self._group.max_reply_bytes:
                    body = await read_whole(content, body, self._group.max_reply_bytes)
            connection.release()
            connection = None
        except LIBRARY_ERRORS as error:
            raise failure(self._url, error, timeout_s, left=left) from error
        finally:
            if connection is not None:
                connection.close()
        return Response(message.code, body, message.headers)

    def _bytes_of(self, request: Request) -> bytes:
        lines = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
        length = f"Content-Length: {len(request.body)}\r\n" if request.body or request.verb != "GET" else ""
        head = f"{request.verb} {self._before_target}{request.target} HTTP/1.1\r\n{self._fixed}{lines}{length}\r\n"
        if head.count("\n") != len(request.headers) + self._fixed.count("\n") + (3 if length else 2):
            raise ValueError("a header or the path holds a line break")
        return head.encode("ascii") + request.body


def fixed_headers(group: settings.MrsSettings) -> dict[str, str]:
    """Return the headers of every request."""
    return {
        "User-Agent": f"mrs-relay/{mrs_relay.__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "X-Language": group.language,
    }


def connector_of(group: settings.MrsSettings) -> aiohttp.TCPConnector:
    """
    Create the library's pool of connections.

    Raises:
        SettingsError: `ca_file` cannot be used.
    """
    # NB: to close every connection after use would be safest for writes but costs a handshake each. Instead, a
    # connection that has idled for `keepalive_s` is not used again, because a gateway may be closing it at this moment.
    keep: dict[str, Any] = {"keepalive_timeout": group.keepalive_s} if group.keepalive_s else {"force_close": True}
    if group.ca_file is not None:
        keep["ssl"] = tls.trusting(group.ca_file, "mrs.ca_file")
    return aiohttp.TCPConnector(limit=group.max_connections, **keep)


async def read_whole(content: aiohttp.StreamReader, first: bytes, limit_bytes: int) -> bytes:
    """
    Read the rest of a body after its first part.

    Raises:
        TooLarge: it is larger than `max_reply_bytes`.
    """
    pieces, size = [first], len(first)
    while size <= limit_bytes and (piece := await content.readany()):
        pieces.append(piece)
        size += len(piece)
    if size > limit_bytes:
        raise TooLarge(f"the reply is larger than max_reply_bytes ({limit_bytes})")
    return b"".join(pieces)


def failure(url: str, error: Exception, timeout_s: float, *, left: bool) -> SendError:
    """Convert an error of the library: whether the request may have left this process, and why there is no reply."""
    cause = f"{type(error).__name__}: {error}".split("\n", 1)[0][:300].rstrip(": ")
    if left:
        cause = f"no reply within {timeout_s:.3g} s" if isinstance(error, TimeoutError) else cause
        return Lost(f"the reply of {url} was lost: {cause}")

    cause = "no connection in time" if isinstance(error, TimeoutError) else cause
    # NB: the whole call's time may have passed in the queue for a connection: the address can be reached then.
    is_late = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError)
    kind = NotSent if is_late else NoConnection
    return kind(f"cannot reach {url}: {cause}; check endpoint, network and proxies")


def _through(group: settings.MrsSettings) -> dict[str, Any]:
    """Return the library's arguments for the proxy, if there is one."""
    if group.proxy is None:
        return {}
    return {"proxy": yarl.URL(group.proxy), "proxy_headers": multidict.CIMultiDict(_proxy_headers(group))}


def _proxy_headers(group: settings.MrsSettings) -> dict[str, str]:
    if group.proxy_user is None:
        return {}
    password = "" if group.proxy_password is None else group.proxy_password.get_secret_value()
    who = base64.b64encode(f"{group.proxy_user}:{password}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {who}"}
