"""
What a simulated replica sees of the world: its line to the broker, its place in the group, its wire to MRS.

A replica that died says nothing more: its session runs out, its open transaction is aborted by the next owner or by
time, and what it has sent to MRS arrives all the same.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support import simulation_loop

from mrs_emulator.core import core, faults, wire
from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.memory import memory_broker, memory_clients, memory_group, memory_log
from mrs_relay.mrs import transport

NO_MACHINE = contextvars.Context()
"""Where the world's own tasks run: no machine stops them."""


class Trace:
    """A running hash over everything that MRS and the broker saw; equal traces mean the same run."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.lines: list[str] | None = None

    def add(self, what: str) -> None:
        """Note that something happened now."""
        line = f"{asyncio.get_running_loop().time():.6f} {what}"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """The hash so far."""
        return self._hash.hexdigest()[:16]


@dataclass(slots=True)
class Weather:
    """
    How much goes wrong at the moment, as chances from 0 to 1.

    Attributes:
        drop: a request to MRS, or its reply, is lost.
        refuse: MRS answers 429, 0177 or 5xx, or 401 to a read.
        slow: a message to MRS or back takes seconds.
        unreached: a request to the broker is lost.
        slow_broker: one takes up to a second.
        tainted: a commit succeeds, but its producer saw trouble.
        hanging: MRS does what it is asked and answers only long after the call's timeout.
    """

    drop: float = 0.0
    refuse: float = 0.0
    slow: float = 0.0
    unreached: float = 0.0
    slow_broker: float = 0.0
    tainted: float = 0.0
    hanging: float = 0.0


@dataclass(eq=False)
class Nature:
    """
    What all machines share.

    Attributes:
        chance: draws everything.
        longest_way_s: longest time that a request to MRS is on its way, in seconds.
        projects: the MRS of each connection, by host; to be set before anything starts.
        tags: how often which tag was set on a cluster.
        trap: called with the machine whose commit is answered next.
    """

    chance: random.Random
    trace: Trace
    weather: Weather
    longest_way_s: float
    projects: dict[str, core.Emulator] = field(default_factory=dict)
    tags: Counter[str] = field(default_factory=Counter)
    trap: Callable[[simulation_loop.Machine], None] | None = None
    flying: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, work: object, name: str) -> asyncio.Task[None]:
        """Run a task of the world's own."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name, context=NO_MACHINE.copy())  # type: ignore[arg-type]
        self.flying.add(task)
        task.add_done_callback(self.flying.discard)
        return task


class Line(memory_broker.MemoryBroker):
    """One machine's connections to the broker `hub`, which share everything but their troubles."""

    def __init__(self, hub: memory_broker.MemoryBroker, machine: simulation_loop.Machine, nature: Nature) -> None:
        self.__dict__.update(hub.__dict__)
        self._hub = hub
        self.machine = machine
        self.nature = nature

    def for_group(self, kafka: kafka_settings.KafkaSettings) -> Line:
        """Return the same connections, for a consumer group of another topic."""
        line = Line(self._hub, self.machine, self.nature)
        line.group = self._groups.setdefault(kafka.group_id, memory_group.Group(self._hub, kafka))
        return line

    @property
    def up(self) -> bool:
        """The broker answers."""
        return self._hub.up and not self.machine.dead

    def consumer(self) -> brokers.GroupConsumer:
        """Return a member of the group, not yet started."""
        return Member(self)

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> brokers.Producer:
        """Return a producer, not yet started."""
        super().producer(transactional_id, idempotent=idempotent)  # refuses what the broker cannot do
        return _Producer(self, transactional_id)

    async def reach(self) -> None:
        """Take the time of a request; a dead machine never gets an answer."""
        chance, weather = self.nature.chance, self.nature.weather
        await asyncio.sleep(
            chance.uniform(0.05, 1.0) if chance.random() < weather.slow_broker else chance.random() / 200
        )
        if self.machine.dead:
            await asyncio.get_running_loop().create_future()
        if not self._hub.up or chance.random() < weather.unreached:
            await asyncio.sleep(self.kafka.request_timeout_ms / 1000)
            raise errors.StreamDown("no answer from the simulated broker")

    def store(
        self, outgoing: Sequence[records.Outgoing], transaction: memory_log.Transaction | None
    ) -> list[records.Block]:
        """Append to the logs."""
        blocks = super().store(outgoing, transaction)
        for block in blocks:
            self.nature.trace.add(f"{self.machine.name} wrote {block.position} {block.first_offset}+{block.count}")
        return blocks


class _Producer(memory_clients.Producer):
    """A producer that sometimes has seen trouble."""

    def __init__(self, line: Line, transactional_id: str | None) -> None:
        super().__init__(line, transactional_id)
        self._nature = line.nature
        self._machine = line.machine

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        """Write, and perhaps fall into a trap when the answer is there."""
        blocks = await super().write(outgoing)
        if self._nature.trap is not None:
            self._nature.trap(self._machine)
        return blocks

    @property
    def tainted(self) -> bool:
        """Half of its replies went astray."""
        return self._nature.chance.random() < self._nature.weather.tainted


class Member(memory_group.MemoryGroupConsumer):
    """A member of the group that may fall silent; the coordinator then waits for its session to end."""

    def __init__(self, line: Line) -> None:
        super().__init__(line.group)
        self._cluster = line
        self._line = line
        self.group = line.group
        self.machine = line.machine

    async def poll(
        self, wanted: frozenset[records.Position], *, limit: int, timeout_s: float
    ) -> Mapping[records.Position, Sequence[records.Record]]:
        """Wait for records as long as a second: idle polls are most of what a simulation does."""
        return await super().poll(wanted, limit=limit, timeout_s=max(timeout_s, 1.0))

    async def close(self) -> None:
        """Leave the group; the dead do not."""
        if not self.machine.dead:
            await super().close()
            return
        if self._notice is not None:
            self._notice.cancel()
        await self._task_supervisor.close()


class Wire:
    """Carries requests to the MRS at a host; a request that was sent arrives, whatever happens to its sender."""

    def __init__(self, machine: simulation_loop.Machine, nature: Nature, host: str) -> None:
        self._machine = machine
        self._nature = nature
        self._host = host

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        """Send one request for one reply."""
        chance, weather = self._nature.chance, self._nature.weather
        if chance.random() < weather.drop / 4:
            raise transport.NoConnection("no connection")
        answer: asyncio.Future[wire.Reply] = asyncio.get_running_loop().create_future()
        self._nature.start(self._carry(request, answer), "request to MRS")
        try:
            async with asyncio.timeout(timeout_s):
                reply = await answer
        except TimeoutError as error:
            raise transport.Lost("no reply in time") from error
        if reply.dropped:
            raise transport.Lost("the connection was closed without a reply")
        return transport.Response(reply.status, reply.body, {**reply.headers, "Content-Type": reply.content_type})

    async def _carry(self, request: transport.Request, answer: asyncio.Future[wire.Reply]) -> None:
        nature = self._nature
        trouble = _trouble(nature, request.verb)
        await asyncio.sleep(self._way_s())

        reply = trouble.before("simulated")
        if reply is None:
            headers = {**request.headers, "Host": self._host}
            mrs = nature.projects[self._host]
            reply = await mrs.handle(wire.Request.of(request.verb, request.target, headers, request.body))
            if request.verb == "POST" and request.target.endswith("/tags") and reply.status < 300:
                nature.tags[json.loads(request.body)["tag"]["key"]] += 1
            reply = trouble.after(reply, "simulated")

        nature.trace.add(f"{self._machine.name} {request.verb} {request.target} {reply.status} {len(reply.body)}")
        hangs = nature.chance.random() < nature.weather.hanging
        await asyncio.sleep(3 * nature.longest_way_s if hangs else self._way_s())
        if not answer.done():
            answer.set_result(reply)

    def _way_s(self) -> float:
        chance = self._nature.chance
        if chance.random() < self._nature.weather.slow:
            return chance.uniform(0.0, self._nature.longest_way_s)
        return chance.uniform(0.002, 0.05)


_EXPIRED = {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information"}


def _trouble(nature: Nature, verb: str) -> faults.Trouble:
    chance, weather = nature.chance, nature.weather
    if chance.random() < weather.drop:
        action = chance.choice((faults.Action.DROP_BEFORE, faults.Action.DROP_AFTER))
        return faults.Trouble(fault=faults.Fault(action=action))

    if chance.random() < weather.refuse:
        kind = chance.randrange(5)
        if kind == 0:
            return faults.Trouble(fault=faults.Fault(action="status", status=429))
        if kind == 1 and verb == "POST":
            return faults.Trouble(fault=faults.Fault(action="busy"))
        if kind == 2 and verb == "GET":
            return faults.Trouble(fault=faults.Fault(action="status", status=401, body=_EXPIRED))
        after = "status_after" if chance.random() < 0.5 else "status"
        # 503 says that IAM could not be asked, which is never true of a call that had its effect
        status = chance.choice((500, 502, 504) if after == "status_after" else (500, 502, 503, 504))
        return faults.Trouble(fault=faults.Fault(action=after, status=status))

    return faults.NO_TROUBLE
