"""Requests that may have arrived: connections that die, replies that break off, calls that are cancelled."""

from __future__ import annotations

import asyncio
import gzip
import socket

import pytest
from tests.unit.mrs import servers, support
from tests.unit.mrs.servers import each_kind  # noqa: F401 - each test is played over both transports

from mrs_relay.mrs import transport

PUT = transport.Request("PUT", "/v2/p/jobs", {"Host": "h"}, b"{}")


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
        await servers.silence(wire)

    return script


HALF = b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{"


TROUBLES: dict[str, support.Script] = {
    "never replies": servers.silence,
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


@pytest.mark.parametrize("request_", [servers.POST, servers.GET, PUT], ids=lambda request: request.verb)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_after_the_connection_exists_a_request_may_have_arrived(
    trouble: str, request_: transport.Request
) -> None:
    """Whatever happens once there is a connection leaves the outcome open, is sent once, and no library error leaks."""
    async with support.server(TROUBLES[trouble]) as server, servers.opened(server.url) as door:
        with pytest.raises(transport.Lost) as caught:
            await door.send(request_, servers.SHORT_S)
        assert server.connections == 1
    assert server.url in str(caught.value)


async def test_a_server_that_closes_at_once_is_reported_without_a_second_try() -> None:
    """Whether the request was written before the end was noticed is a race; either answer is true then."""

    async def script(_wire: support.Wire) -> None:
        pass

    async with support.server(script) as server, servers.opened(server.url) as door:
        with pytest.raises(transport.SendError):
            await door.send(servers.POST, servers.LONG_S)
        assert server.connections == 1


@pytest.mark.parametrize("request_", [servers.POST, servers.GET, PUT], ids=lambda request: request.verb)
async def test_a_kept_connection_that_dies_is_not_tried_again(request_: transport.Request) -> None:
    """A request that meets a dying connection is not repeated by itself, whatever its verb."""
    requests: list[bytes] = []

    async def script(wire: support.Wire) -> None:
        requests.append(await wire.request())
        await wire.reply(202, b"{}")
        requests.append(await wire.request())

    async with support.server(script) as server, servers.opened(server.url) as door:
        await door.send(servers.GET, servers.LONG_S)
        with pytest.raises(transport.Lost):
            await door.send(request_, servers.LONG_S)
        assert (server.connections, len(requests)) == (1, 2)


async def test_a_connection_that_mrs_has_closed_is_not_used() -> None:
    """A kept connection that is known to be closed costs no doubt: a new one is opened."""

    async def script(wire: support.Wire) -> None:
        await wire.request()
        await wire.reply(202, b"{}")

    async with support.server(script) as server, servers.opened(server.url) as door:
        await door.send(servers.POST, servers.LONG_S)
        await asyncio.sleep(servers.SHORT_S)
        await door.send(servers.POST, servers.LONG_S)
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
    async with support.server(then(reply)) as server, servers.opened(server.url, max_reply_bytes=4096) as door:
        with pytest.raises(transport.TooLarge, match=r"max_reply_bytes \(4096\)"):
            await door.send(servers.GET, servers.LONG_S)


# --- connections ---
async def test_calls_in_a_row_share_a_connection() -> None:
    """A connection is kept for the next call."""
    async with support.server(servers.ok) as server, servers.opened(server.url) as door:
        for _ in range(5):
            await door.send(servers.POST, servers.LONG_S)
        assert server.connections == 1


@pytest.mark.parametrize(("keepalive_s", "idle_s"), [(0.05, 0.12), (0.0, 0.0)])
async def test_a_connection_that_has_idled_is_not_used_again(keepalive_s: float, idle_s: float) -> None:
    """After keepalive_s of idling a gateway may be closing it; with 0 none is used twice."""
    async with support.server(servers.ok) as server, servers.opened(server.url, keepalive_s=keepalive_s) as door:
        await door.send(servers.POST, servers.LONG_S)
        await asyncio.sleep(idle_s)
        await door.send(servers.POST, servers.LONG_S)
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

    async with support.server(script) as server, servers.opened(server.url) as door, asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(door.send(servers.POST, servers.LONG_S))
    assert arrived == 100


async def test_a_cancelled_call_gives_its_connection_up() -> None:
    """Cancelling is passed on, and the late reply of a cancelled call never answers another one."""
    hold = asyncio.Event()

    async def script(wire: support.Wire) -> None:
        if server.connections == 1:
            await wire.request()
            hold.set()
            await servers.silence(wire)
        await servers.ok(wire)

    async with support.server(script) as server, servers.opened(server.url) as door:
        task = asyncio.create_task(door.send(servers.POST, servers.LONG_S))
        await hold.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await door.send(servers.POST, servers.LONG_S)).status == 202
        assert server.connections == 2


async def test_closing_ends_calls_under_way_as_lost() -> None:
    """A call that is under way when the transport closes may have arrived."""
    hold = asyncio.Event()

    async def script(wire: support.Wire) -> None:
        await wire.request()
        hold.set()
        await servers.silence(wire)

    async with support.server(script) as server:
        async with servers.opened(server.url) as door:
            task = asyncio.create_task(servers.kind_of_failure(door, servers.POST, servers.LONG_S))
            await hold.wait()
        assert await task is transport.Lost
