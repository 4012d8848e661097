"""
TCP proxies between relays and brokers, for trouble of the network that no signal to a process can make.

A `Link` is the way of some relays to all brokers of a cluster: one `Proxy` for each broker. TCP has no holes: what a
one-way partition or a lost packet holds up is sent again later, or the connection breaks. So held bytes arrive,
in order, when the trouble ends, unless the connections are reset then.

    FLOW        bytes pass
    HOLD        bytes of one direction wait, and so does its end; the connection stays open
    LOSE        some of the pieces come late, as after one or several retransmissions

Everything runs on the event loop of the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import Enum

_PIECE = 64 * 1024
_RETRANSMISSION_S = 0.2
_MOST_RETRANSMISSIONS = 4
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds


class Mode(Enum):
    """What happens to the bytes of one direction."""

    FLOW = "flow"
    HOLD = "hold"
    LOSE = "lose"


@dataclass(eq=False)
class Direction:
    """
    One direction of a proxy, over all its connections.

    Args:
        chance: decides which pieces are late.
        loss: share of the pieces that are late in mode LOSE.
    """

    chance: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - delays, no secrets
    loss: float = 0.1
    _mode: Mode = Mode.FLOW
    _flows: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._flows.set()

    def switch(self, mode: Mode) -> None:
        """Change the mode; bytes that are held continue unless they are to be held again."""
        self._mode = mode
        if mode is Mode.HOLD:
            self._flows.clear()
        else:
            self._flows.set()

    async def passage(self) -> None:
        """Wait until a piece may pass."""
        await self._flows.wait()
        if self._mode is Mode.LOSE and self.chance.random() < self.loss:
            times = self.chance.randint(1, _MOST_RETRANSMISSIONS)
            await asyncio.sleep(_RETRANSMISSION_S * (2**times - 1))
            await self._flows.wait()


@dataclass(eq=False)
class Proxy:
    """
    Forward connections to a port of the loopback address.

    Args:
        port: where it listens.
        target: where the broker listens.

    Attributes:
        up: what clients send.
        down: what the broker sends.
    """

    port: int
    target: int
    up: Direction = field(default_factory=Direction)
    down: Direction = field(default_factory=Direction)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self) -> None:
        """Accept connections; nothing happens when it does already."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=_PIECE)

    def switch(self, mode: Mode) -> None:
        """Change the mode of both directions."""
        self.up.switch(mode)
        self.down.switch(mode)

    def cut(self) -> None:
        """Reset all connections; new ones are accepted as before."""
        for writer in tuple(self._writers):
            _reset(writer)

    async def refuse(self) -> None:
        """Reset all connections and refuse new ones until `listen` is called."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def close(self) -> None:
        """Stop listening and end every connection and task."""
        await self.refuse()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self.target, limit=_PIECE)
        except OSError:
            self._forget(writer)
            return

        self._writers.add(broker_writer)
        if writer.transport.is_closing():  # reset while we connected
            _reset(broker_writer)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, broker_writer, self.up))
                group.create_task(_pump(broker_reader, writer, self.down))
        except* OSError:
            pass  # one side was reset: so is the other
        finally:
            self._forget(writer, broker_writer)

    def _forget(self, *writers: asyncio.StreamWriter) -> None:
        for writer in writers:
            _reset(writer)
            self._writers.discard(writer)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
    """
    Forward one direction until it ends.

    Raises:
        ConnectionResetError: always at the end, so that the other direction ends as well: Kafka closes both at once.
    """
    while piece := await reader.read(_PIECE):
        await direction.passage()
        writer.write(piece)
        await writer.drain()
    await direction.passage()
    raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST instead of FIN."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


@dataclass(eq=False)
class Link:
    """
    The way to all brokers of a cluster: one proxy for each.

    Attributes:
        proxies: in the order of the cluster's nodes.
        bootstrap: the addresses for the clients of this link.
    """

    proxies: Sequence[Proxy]

    @property
    def bootstrap(self) -> str:
        """The addresses for the clients of this link."""
        return ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies)

    def each(self, what: Callable[[Proxy], None]) -> None:
        """Do something to the way to each broker."""
        for proxy in self.proxies:
            what(proxy)


@contextlib.asynccontextmanager
async def open_links(addresses: Sequence[Sequence[tuple[int, int]]]) -> AsyncIterator[list[Link]]:
    """Listen on all links; `addresses` has, for each link and broker, the proxy's port and the broker's."""
    links = [Link([Proxy(port, target) for port, target in ways]) for ways in addresses]
    proxies = [each for link in links for each in link.proxies]
    try:
        for each in proxies:
            await each.listen()
        yield links
    finally:
        for each in proxies:
            await each.close()
