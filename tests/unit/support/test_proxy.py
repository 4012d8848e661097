"""The TCP proxies: what is held arrives later, whole and in order, and each direction has trouble of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.support import ports, proxy

SOON_S = 0.05


@dataclass(eq=False)
class Stage:
    """A proxy before an echo."""

    link: proxy.Link

    @property
    def proxy(self) -> proxy.Proxy:
        return self.link.proxies[0]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.proxy.port)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A link to one echoing server."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    target = server.sockets[0].getsockname()[1]
    async with proxy.open_links([[(ports.free_port(), target)]]) as links:
        yield Stage(links[0])
    server.close()
    await asyncio.sleep(SOON_S)  # the echoes end with their connections


async def _is_silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(SOON_S):
            await reader.readexactly(1)
    except TimeoutError:
        return True
    return False


async def test_bytes_pass_both_ways(stage: Stage) -> None:
    """Nothing is changed."""
    reader, writer = await stage.connect()
    writer.write(b"x" * 300_000)
    assert await reader.readexactly(300_000) == b"x" * 300_000
    writer.close()


@pytest.mark.parametrize("held", ["up", "down"])
async def test_what_one_direction_holds_arrives_later_in_order(stage: Stage, held: str) -> None:
    """The connection stays open meanwhile."""
    reader, writer = await stage.connect()
    direction: proxy.Direction = getattr(stage.proxy, held)
    direction.switch(proxy.Mode.HOLD)
    writer.write(b"one ")
    assert await _is_silent(reader)
    writer.write(b"two")
    assert await _is_silent(reader)
    direction.switch(proxy.Mode.FLOW)
    assert await reader.readexactly(7) == b"one two"
    writer.close()


async def test_held_direction_leaves_the_other_alone(stage: Stage) -> None:
    """What the server says on its own still arrives."""
    reader, writer = await stage.connect()
    stage.proxy.down.switch(proxy.Mode.HOLD)
    writer.write(b"up")
    assert await _is_silent(reader)
    stage.proxy.up.switch(proxy.Mode.HOLD)
    stage.proxy.down.switch(proxy.Mode.FLOW)
    assert await reader.readexactly(2) == b"up"
    writer.close()


async def test_late_pieces_arrive_in_order(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost packet is a delay for TCP, never a hole."""
    monkeypatch.setattr(proxy, "_RETRANSMISSION_S", 0.001)
    stage.proxy.up.loss = 0.5
    stage.proxy.switch(proxy.Mode.LOSE)
    reader, writer = await stage.connect()
    sent = b"".join(b"%04d" % number for number in range(200))
    for number in range(200):
        writer.write(b"%04d" % number)
        await writer.drain()
    assert await reader.readexactly(len(sent)) == sent
    writer.close()


@pytest.mark.parametrize("holding", [False, True])
async def test_cut_resets_connections_and_takes_new_ones(stage: Stage, *, holding: bool) -> None:
    """Also where bytes were held."""
    reader, writer = await stage.connect()
    writer.write(b"x")
    await reader.readexactly(1)

    if holding:
        stage.proxy.switch(proxy.Mode.HOLD)
        writer.write(b"never seen")
        await asyncio.sleep(SOON_S)

    stage.proxy.cut()
    stage.proxy.switch(proxy.Mode.FLOW)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    reader, writer = await stage.connect()
    writer.write(b"y")

    assert await reader.readexactly(1) == b"y"
    writer.close()


async def test_refused_until_it_listens_again(stage: Stage) -> None:
    """As a broker that is down."""
    await stage.proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await stage.connect()
    await stage.proxy.listen()
    reader, writer = await stage.connect()
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    writer.close()


async def test_server_that_is_away_ends_the_connection() -> None:
    """A client meets what it would meet without the proxy: an end, at once."""
    async with proxy.open_links([[(ports.free_port(), ports.free_port())]]) as links:
        reader, _ = await asyncio.open_connection("127.0.0.1", links[0].proxies[0].port)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
