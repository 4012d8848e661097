"""Both transports over real sockets on loopback: what was surely not sent, and what may have arrived."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.mrs import servers, support
from tests.unit.mrs.servers import each_kind  # noqa: F401 - each test is played over both transports

from mrs_relay.mrs import permission, session_transport, transport


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """Yield a port whose queue of connections is full, so that further ones are never established."""
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
    """Return a port without a listener."""
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

    async with support.server(script) as server, servers.opened(server.url) as door:
        response = await door.send(servers.POST, servers.LONG_S)
        await door.send(servers.GET, servers.LONG_S)
        await door.send(transport.Request("POST", "/kill", {"Host": "h"}), servers.LONG_S)
    assert (response.status, response.body, response.request_id) == (202, b"{}", "r-1")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert body == servers.POST.body
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

    async with support.server(script) as server, servers.opened(server.url) as door:
        await door.send(transport.Request("POST", "/", {}, body), servers.LONG_S)
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

    async with support.server(script) as server, servers.opened(server.url) as door:
        response = await door.send(servers.POST, servers.LONG_S)
    assert (response.status, response.body) == (200, b"hello")


async def test_a_reply_without_content_has_an_empty_body() -> None:
    """204 ends with its head."""

    async def script(wire: support.Wire) -> None:
        await wire.request()
        await wire.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await wire.request()

    async with support.server(script) as server, servers.opened(server.url) as door:
        assert await door.send(servers.POST, servers.LONG_S) == transport.Response(204, b"", {})


async def test_a_redirect_is_not_followed() -> None:
    """A redirect comes back as it is: what was signed for one address is not sent to another."""

    async def script(wire: support.Wire) -> None:
        await wire.request()
        await wire.reply(307, b"", "Location: http://elsewhere.invalid/")

    async with support.server(script) as server, servers.opened(server.url) as door:
        response = await door.send(servers.GET, servers.LONG_S)
    assert (response.status, response.headers["location"]) == (307, "http://elsewhere.invalid/")


async def test_no_cookie_comes_back() -> None:
    """A cookie that a gateway sets is not sent along with later requests."""
    seen: list[bytes] = []

    async def script(wire: support.Wire) -> None:
        while True:
            seen.append(await wire.request())
            await wire.reply(200, b"", "Set-Cookie: a=b")

    async with support.server(script) as server, servers.opened(server.url) as door:
        await door.send(servers.GET, servers.LONG_S)
        await door.send(servers.GET, servers.LONG_S)
    assert b"cookie" not in seen[1].lower()


# --- surely not sent ---
async def test_a_closed_port_was_not_reached() -> None:
    """A refused connection carries nothing, and the message names the address and what to check."""
    async with servers.opened(f"http://127.0.0.1:{closed_port()}") as door:
        with pytest.raises(transport.NotSent, match=r"cannot reach http://127\.0\.0\.1:.*check endpoint") as caught:
            await door.send(servers.POST, servers.LONG_S)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("connect_timeout_s", "timeout_s"),
    [(servers.SHORT_S, servers.LONG_S), (servers.LONG_S, servers.SHORT_S)],
    ids=["connect timeout", "total timeout"],
)
async def test_a_connection_that_never_comes_about_sent_nothing(connect_timeout_s: float, timeout_s: float) -> None:
    """Whichever timeout fires while connecting, nothing has left."""
    with deaf_port() as port:
        async with servers.opened(f"http://127.0.0.1:{port}", connect_timeout_s=connect_timeout_s) as door:
            with pytest.raises(transport.NotSent):
                await door.send(servers.POST, timeout_s)


async def test_a_failed_handshake_sent_nothing() -> None:
    """A server that does not speak TLS has not seen the request."""
    seen: list[bytes] = []

    async def script(wire: support.Wire) -> None:
        seen.append(await wire.reader.read(65536))
        await wire.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with support.server(script) as server, servers.opened(server.url.replace("http:", "https:")) as door:
        with pytest.raises(transport.NotSent):
            await door.send(servers.POST, servers.LONG_S)
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
    async with server, servers.opened(f"https://127.0.0.1:{port}") as door:
        with pytest.raises(transport.NotSent, match=r"(?i)certificate"):
            await door.send(servers.POST, servers.LONG_S)
    assert b"".join(seen) == b""


async def test_an_unknown_host_name_was_not_reached() -> None:
    """Without DNS nothing leaves the house, and the message names the host."""
    async with servers.opened("https://mrs.invalid") as door:
        with pytest.raises(transport.NotSent, match=r"mrs\.invalid"):
            await door.send(servers.POST, servers.LONG_S)


async def test_a_handshake_that_hangs_sent_nothing() -> None:
    """A timeout in the middle of the TLS handshake is one before anything was sent."""
    async with support.server(servers.silence) as server, servers.opened(server.url.replace("http:", "https:")) as door:
        with pytest.raises(transport.NotSent):
            await door.send(servers.POST, servers.SHORT_S)


async def test_a_request_whose_permission_ends_while_it_gets_a_connection_is_not_written() -> None:
    """A process may be frozen while it connects, and another one has its work when it wakes up."""
    seen: list[bytes] = []

    async def script(wire: support.Wire) -> None:
        while True:
            seen.append(await wire.request())
            await wire.reply(202, b"{}")

    async with support.server(script) as server, servers.opened(server.url) as door:
        for _ in range(2):  # over a new connection, and over one that is kept
            with permission.asking(lambda: False), pytest.raises(transport.NotSent):
                await door.send(servers.POST, servers.LONG_S)
            await door.send(servers.GET, servers.LONG_S)
    assert [request.split()[0] for request in seen] == [b"GET", b"GET"]


async def test_waiting_for_a_free_connection_sends_nothing() -> None:
    """A call that times out in the queue for a connection never left, while the one that holds it may have."""
    async with support.server(servers.silence) as server, servers.opened(server.url, max_connections=1) as door:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(servers.kind_of_failure(door, servers.POST, servers.SHORT_S * 3))
            await asyncio.sleep(servers.SHORT_S / 2)
            second = group.create_task(servers.kind_of_failure(door, servers.POST, servers.SHORT_S))
        assert (first.result(), second.result()) == (transport.Lost, transport.NotSent)


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
    async with support.server(servers.ok) as server, servers.opened(server.url) as door:
        with pytest.raises(transport.NotSent):
            await door.send(request_, servers.LONG_S)
        assert server.connections == 0


async def test_without_time_or_transport_nothing_is_sent() -> None:
    """A call whose time is over, and one after the end, do not even connect."""
    async with support.server(servers.ok) as server:
        async with servers.opened(server.url) as door:
            with pytest.raises(transport.NotSent, match="no time"):
                await door.send(servers.POST, 0.0)
        with pytest.raises(transport.NotSent, match="closed"):
            await door.send(servers.POST, servers.LONG_S)
        assert server.connections == 0


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
    missing: str | None, kind: servers.TransportKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release of aiohttp that takes an undocumented part away costs time, and no request."""
    if missing is not None:
        monkeypatch.setattr(session_transport, "_INTERNALS", ((_Lacking, missing),))
    async with (
        support.server(servers.ok) as server,
        session_transport.open_transport(support.group(endpoint=server.url)) as door,
    ):
        answer = await door.send(servers.POST, servers.LONG_S)
    assert (type(door), answer.status) == (kind, 202)


class _Lacking:
    """A class of the library without what is asked for."""
