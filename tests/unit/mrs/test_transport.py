"""Both transports over real sockets on loopback: what was surely not sent, and what may have arrived."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest
from tests.unit.mrs import support

from mrs_relay.mrs import session_transport, transport

POST = transport.Request("POST", "/v2/p/jobs", {"Host": "h", "X-Sdk-Date": "d"}, b'{"a":1}')
GET = transport.Request("GET", "/v2/p/jobs?a=%20b&c=%2F", {"Host": "h"})
PUT = transport.Request("PUT", "/v2/p/jobs", {"Host": "h"}, b"{}")
LONG_S = 5.0
SHORT_S = 0.3


_Kind = type[transport.AiohttpTransport | session_transport.SessionTransport]
_kind: ContextVar[_Kind] = ContextVar("kind")


@pytest.fixture(params=[transport.AiohttpTransport, session_transport.SessionTransport], autouse=True)
def each_kind(request: pytest.FixtureRequest) -> None:
    """Play each test over the quick transport and over the plain one."""
    _kind.set(request.param)


@contextlib.asynccontextmanager
async def opened(url: str, **changes: object) -> AsyncIterator[transport.Transport]:
    """A transport to this address."""
    async with _kind.get()(support.group(endpoint=url, **changes)) as door:
        yield door


async def ok(wire: support.Wire) -> None:
    """Answer every request of the connection."""
    while True:
        await wire.request()
        await wire.reply(202, b"{}")


async def silence(wire: support.Wire) -> None:
    """Read and never answer."""
    while await wire.reader.read(65536):
        pass


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that further ones are never established."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def closed_port() -> int:
    """A port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def test_a_request_goes_out_exactly_as_signed() -> None:
    """Target, headers and body are sent as they are; only unsigned headers are added."""
    seen: list[bytes] = []

    async def script(wire: support.Wire) -> None:
        while True:
            seen.append(await wire.request())
            await wire.reply(202, b"{}", "X-Request-Id: r-1")

    async with support.server(script) as server, opened(server.url) as door:
        response = await door.send(POST, LONG_S)
        await door.send(GET, LONG_S)
        await door.send(transport.Request("POST", "/kill", {"Host": "h"}), LONG_S)
    assert (response.status, response.body, response.request_id) == (202, b"{}", "r-1")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert body == POST.body
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v2/p/jobs HTTP/1.1"
    assert {"Host: h", "X-Sdk-Date: d", "Content-Length: 7", "X-Language: en-us"} <= set(lines)
    assert seen[1].startswith(b"GET /v2/p/jobs?a=%20b&c=%2F HTTP/1.1\r\n")
    assert b"content-length" not in seen[1].lower()
    assert b"\r\nContent-Length: 0\r\n" in seen[2]


async def test_a_large_body_arrives_whole() -> None:
    """A body of several MiB is no special case."""
    body = b"x" * 3_000_000
    sizes: list[int] = []

    async def script(wire: support.Wire) -> None:
        sizes.append(len((await wire.request()).partition(b"\r\n\r\n")[2]))
        await wire.reply(200, b"")

    async with support.server(script) as server, opened(server.url) as door:
        await door.send(transport.Request("POST", "/", {}, body), LONG_S)
    assert sizes == [len(body)]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
        % (len(gzip.compress(b"hello")), gzip.compress(b"hello")),
    ],
    ids=["length", "chunked", "until close", "after informational", "gzip"],
)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_body_is_read_whole_in_every_framing(reply: bytes, pieces: int) -> None:
    """However the server frames and cuts its reply, the whole body comes back."""

    async def script(wire: support.Wire) -> None:
        await wire.request()
        step = -(-len(reply) // pieces)
        for start in range(0, len(reply), step):
            await wire.write(reply[start : start + step])
            await asyncio.sleep(0)

    async with support.server(script) as server, opened(server.url) as door:
        response = await door.send(POST, LONG_S)
    assert (response.status, response.body) == (200, b"hello")


async def test_a_reply_without_content_has_an_empty_body() -> None:
    """204 ends with its head."""

    async def script(wire: support.Wire) -> None:
        await wire.request()
        await wire.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await wire.request()

    async with support.server(script) as server, opened(server.url) as door:
        assert await door.send(POST, LONG_S) == transport.Response(204, b"", {})


async def test_a_redirect_is_not_followed() -> None:
    """A redirect comes back as it is: what was signed for one address is not sent to another."""

    async def script(wire: support.Wire) -> None:
        await wire.request()
        await wire.reply(307, b"", "Location: http://elsewhere.invalid/")

    async with support.server(script) as server, opened(server.url) as door:
        response = await door.send(GET, LONG_S)
    assert (response.status, response.headers["location"]) == (307, "http://elsewhere.invalid/")


async def test_no_cookie_comes_back() -> None:
    """A cookie that a gateway sets is not sent along with later requests."""
    seen: list[bytes] = []

    async def script(wire: support.Wire) -> None:
        while True:
            seen.append(await wire.request())
            await wire.reply(200, b"", "Set-Cookie: a=b")

    async with support.server(script) as server, opened(server.url) as door:
        await door.send(GET, LONG_S)
        await door.send(GET, LONG_S)
    assert b"cookie" not in seen[1].lower()


# --- surely not sent ---


async def test_a_closed_port_was_not_reached() -> None:
    """A refused connection carries nothing, and the message names the address and what to check."""
    async with opened(f"http://127.0.0.1:{closed_port()}") as door:
        with pytest.raises(transport.NotSent, match=r"cannot reach http://127\.0\.0\.1:.*check endpoint") as caught:
            await door.send(POST, LONG_S)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("connect_timeout_s", "timeout_s"), [(SHORT_S, LONG_S), (LONG_S, SHORT_S)], ids=["connect timeout", "total timeout"]
)
async def test_a_connection_that_never_comes_about_sent_nothing(connect_timeout_s: float, timeout_s: float) -> None:
    """Whichever timeout fires while connecting, nothing has left."""
    with deaf_port() as port:
        async with opened(f"http://127.0.0.1:{port}", connect_timeout_s=connect_timeout_s) as door:
            with pytest.raises(transport.NotSent):
                await door.send(POST, timeout_s)


async def test_a_failed_handshake_sent_nothing() -> None:
    """A server that does not speak TLS has not seen the request."""
    seen: list[bytes] = []

    async def script(wire: support.Wire) -> None:
        seen.append(await wire.reader.read(65536))
        await wire.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with support.server(script) as server, opened(server.url.replace("http:", "https:")) as door:
        with pytest.raises(transport.NotSent):
            await door.send(POST, LONG_S)
    assert b"POST" not in seen[0]


async def test_a_certificate_without_a_known_authority_is_not_trusted() -> None:
    """Another server, or a proxy in between: nothing is sent to it, and the message says why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("untrusted.pem"))
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            seen.append(await reader.read(65536))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server, opened(f"https://127.0.0.1:{port}") as door:
        with pytest.raises(transport.NotSent, match=r"(?i)certificate"):
            await door.send(POST, LONG_S)
    assert b"".join(seen) == b""


async def test_an_unknown_host_name_was_not_reached() -> None:
    """Without DNS nothing leaves the house, and the message names the host."""
    async with opened("https://mrs.invalid") as door:
        with pytest.raises(transport.NotSent, match=r"mrs\.invalid"):
            await door.send(POST, LONG_S)


async def test_a_handshake_that_hangs_sent_nothing() -> None:
    """A timeout in the middle of the TLS handshake is one before anything was sent."""
    async with support.server(silence) as server, opened(server.url.replace("http:", "https:")) as door:
        with pytest.raises(transport.NotSent):
            await door.send(POST, SHORT_S)


async def test_waiting_for_a_free_connection_sends_nothing() -> None:
    """A call that times out in the queue for a connection never left, while the one that holds it may have."""
    async with support.server(silence) as server, opened(server.url, max_connections=1) as door:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(_kind_of_failure(door, POST, SHORT_S * 3))
            await asyncio.sleep(SHORT_S / 2)
            second = group.create_task(_kind_of_failure(door, POST, SHORT_S))
        assert (first.result(), second.result()) == (transport.Lost, transport.NotSent)


async def _kind_of_failure(
    door: transport.Transport, request: transport.Request, timeout_s: float
) -> type[transport.SendError]:
    with pytest.raises(transport.SendError) as caught:
        await door.send(request, timeout_s)
    return type(caught.value)


@pytest.mark.parametrize(
    "request_",
    [
        transport.Request("POST", "/a\r\nX: y", {}, b""),
        transport.Request("POST", "/", {"X-Security-Token": "a\nX: y"}, b""),
        transport.Request("POST", "/", {"X-Odd": "数"}, b""),
    ],
)
async def test_a_request_that_cannot_be_written_is_not_sent(request_: transport.Request) -> None:
    """A line break cannot smuggle a header in, and a header is plain ASCII."""
    async with support.server(ok) as server, opened(server.url) as door:
        with pytest.raises(transport.NotSent):
            await door.send(request_, LONG_S)
        assert server.connections == 0


async def test_without_time_or_transport_nothing_is_sent() -> None:
    """A call whose time is over, and one after the end, do not even connect."""
    async with support.server(ok) as server:
        async with opened(server.url) as door:
            with pytest.raises(transport.NotSent, match="no time"):
                await door.send(POST, 0.0)
        with pytest.raises(transport.NotSent, match="closed"):
            await door.send(POST, LONG_S)
        assert server.connections == 0


# --- may have arrived ---


async def close_after_reading(wire: support.Wire) -> None:
    """Read the request and close."""
    await wire.request()


async def reset(wire: support.Wire) -> None:
    """Read the request and reset the connection."""
    await wire.request()
    raw = wire.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def then(data: bytes) -> support.Script:
    """Read the request, send these bytes, close."""

    async def script(wire: support.Wire) -> None:
        await wire.request()
        await wire.write(data)

    return script


def then_hang(data: bytes) -> support.Script:
    """Read the request, send these bytes, say no more."""

    async def script(wire: support.Wire) -> None:
        await wire.request()
        await wire.write(data)
        await silence(wire)

    return script


HALF = b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{"

TROUBLES: dict[str, support.Script] = {
    "never replies": silence,
    "closes after reading": close_after_reading,
    "resets": reset,
    "half a head": then(b"HTTP/1.1 202 Acc"),
    "half a head, then nothing": then_hang(b"HTTP/1.1 202 Acc"),
    "half a body": then(HALF),
    "half a body, then nothing": then_hang(HALF),
    "half a chunk": then(b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"),
    "bad chunk": then(b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhe"),
    "bad gzip": then(b"HTTP/1.1 202 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "no HTTP": then(b"220 smtp.example.com ready\r\n"),
    "bad length": then(b"HTTP/1.1 202 X\r\nContent-Length: -5\r\n\r\n"),
    "endless head": then(b"HTTP/1.1 202 X\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n"),
    "only informational": then_hang(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "switches protocols": then_hang(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
}


@pytest.mark.parametrize("request_", [POST, GET, PUT], ids=lambda request: request.verb)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_after_the_connection_exists_a_request_may_have_arrived(
    trouble: str, request_: transport.Request
) -> None:
    """Whatever happens once there is a connection leaves the outcome open, is sent once, and no library error leaks."""
    async with support.server(TROUBLES[trouble]) as server, opened(server.url) as door:
        with pytest.raises(transport.Lost) as caught:
            await door.send(request_, SHORT_S)
        assert server.connections == 1
    assert server.url in str(caught.value)


async def test_a_server_that_closes_at_once_is_reported_without_a_second_try() -> None:
    """Whether the request was written before the end was noticed is a race; either answer is true then."""

    async def script(_wire: support.Wire) -> None:
        pass

    async with support.server(script) as server, opened(server.url) as door:
        with pytest.raises(transport.SendError):
            await door.send(POST, LONG_S)
        assert server.connections == 1


@pytest.mark.parametrize("request_", [POST, GET, PUT], ids=lambda request: request.verb)
async def test_a_kept_connection_that_dies_is_not_tried_again(request_: transport.Request) -> None:
    """A request that meets a dying connection is not repeated by itself, whatever its verb."""
    requests: list[bytes] = []

    async def script(wire: support.Wire) -> None:
        requests.append(await wire.request())
        await wire.reply(202, b"{}")
        requests.append(await wire.request())

    async with support.server(script) as server, opened(server.url) as door:
        await door.send(GET, LONG_S)
        with pytest.raises(transport.Lost):
            await door.send(request_, LONG_S)
        assert (server.connections, len(requests)) == (1, 2)


async def test_a_connection_that_mrs_has_closed_is_not_used() -> None:
    """A kept connection that is known to be closed costs no doubt: a new one is opened."""

    async def script(wire: support.Wire) -> None:
        await wire.request()
        await wire.reply(202, b"{}")

    async with support.server(script) as server, opened(server.url) as door:
        await door.send(POST, LONG_S)
        await asyncio.sleep(SHORT_S / 2)
        await door.send(POST, LONG_S)
        assert server.connections == 2


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + b"x" * 1000 + b"\r\n" + b"fa0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b"x" * 50_000_000),
    ],
    ids=["length", "until close", "chunked", "gzip"],
)
async def test_a_reply_beyond_the_limit_is_given_up(reply: bytes) -> None:
    """A reply larger than max_reply_bytes is not read to its end, packed or not, and the setting is named."""
    if b"chunked" in reply:
        reply += b"x" * 4000 + b"\r\n0\r\n\r\n"
    async with support.server(then(reply)) as server, opened(server.url, max_reply_bytes=4096) as door:
        with pytest.raises(transport.TooLarge, match=r"max_reply_bytes \(4096\)"):
            await door.send(GET, LONG_S)


# --- connections ---


async def test_calls_in_a_row_share_a_connection() -> None:
    """A connection is kept for the next call."""
    async with support.server(ok) as server, opened(server.url) as door:
        for _ in range(5):
            await door.send(POST, LONG_S)
        assert server.connections == 1


@pytest.mark.parametrize(("keepalive_s", "idle_s"), [(0.05, 0.12), (0.0, 0.0)])
async def test_a_connection_that_has_idled_is_not_used_again(keepalive_s: float, idle_s: float) -> None:
    """After keepalive_s of idling a gateway may be closing it; with 0 none is used twice."""
    async with support.server(ok) as server, opened(server.url, keepalive_s=keepalive_s) as door:
        await door.send(POST, LONG_S)
        await asyncio.sleep(idle_s)
        await door.send(POST, LONG_S)
        assert server.connections == 2


async def test_many_calls_at_once_do_not_queue() -> None:
    """Up to max_connections calls are on their way together: none is answered before all have arrived."""
    arrived = 0
    everybody = asyncio.Event()

    async def script(wire: support.Wire) -> None:
        nonlocal arrived
        await wire.request()
        arrived += 1
        if arrived == 100:
            everybody.set()
        await everybody.wait()
        await wire.reply(202, b"{}")

    async with support.server(script) as server, opened(server.url) as door, asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(door.send(POST, LONG_S))
    assert arrived == 100


async def test_a_cancelled_call_gives_its_connection_up() -> None:
    """Cancelling is passed on, and the late reply of a cancelled call never answers another one."""
    hold = asyncio.Event()

    async def script(wire: support.Wire) -> None:
        if server.connections == 1:
            await wire.request()
            hold.set()
            await silence(wire)
        await ok(wire)

    async with support.server(script) as server, opened(server.url) as door:
        task = asyncio.create_task(door.send(POST, LONG_S))
        await hold.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await door.send(POST, LONG_S)).status == 202
        assert server.connections == 2


async def test_closing_ends_calls_under_way_as_lost() -> None:
    """A call that is under way when the transport closes may have arrived."""
    hold = asyncio.Event()

    async def script(wire: support.Wire) -> None:
        await wire.request()
        hold.set()
        await silence(wire)

    async with support.server(script) as server:
        async with opened(server.url) as door:
            task = asyncio.create_task(_kind_of_failure(door, POST, LONG_S))
            await hold.wait()
        assert await task is transport.Lost


# --- which of the two ---


@pytest.mark.parametrize(
    ("missing", "kind"),
    [
        (None, transport.AiohttpTransport),
        ("set_response_params", session_transport.SessionTransport),
        ("read", session_transport.SessionTransport),
    ],
)
async def test_the_plain_transport_is_taken_where_aiohttp_lacks_what_the_quick_one_calls(
    missing: str | None, kind: _Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release of aiohttp that takes an undocumented part away costs time, and no request."""
    if missing is not None:
        monkeypatch.setattr(session_transport, "_INTERNALS", ((_Lacking, missing),))
    async with (
        support.server(ok) as server,
        session_transport.open_transport(support.group(endpoint=server.url)) as door,
    ):
        answer = await door.send(POST, LONG_S)
    assert (type(door), answer.status) == (kind, 202)


class _Lacking:
    """A class of the library without what is asked for."""
