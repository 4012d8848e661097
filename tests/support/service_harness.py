"""
The whole service in one process and in virtual time: replicas, an in-memory broker, an emulated MRS, no sockets.

Everything is the real code but two doors: Kafka is `kafka.memory.MemoryBroker`, and requests reach the emulator by a
function call. Hours pass in milliseconds, and the same test always runs the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support import history, objects, service

from mrs_emulator.core import core, faults, wire
from mrs_emulator.core import settings as emulator_settings
from mrs_relay import settings as all_settings
from mrs_relay import wiring
from mrs_relay.common import clock
from mrs_relay.engine import context as contexts
from mrs_relay.engine import tracing
from mrs_relay.kafka import records, supervisor
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import settings as mrs_settings
from mrs_relay.mrs import transport

HOST = "mrs.test"
LATENCY_S = 0.02


def settings(**groups: Mapping[str, Any]) -> all_settings.Settings:
    """Return settings as in production, but for what a group says otherwise; the status is off."""
    mrs = {
        "endpoint": f"http://{HOST}",
        "project_id": service.PROJECT,
        "access_key": "EMULATORACCESSKEY001",
        "secret_key": "emulator-secret-key-for-local-use-only",
    }
    given = {name: dict(group) for name, group in groups.items()}
    given["mrs"] = {**mrs, **given.get("mrs", {})}
    kafka = given.setdefault("kafka", {})
    kafka["topics"] = {"status": None, **kafka.get("topics", {})}
    return all_settings.Settings(**given)  # type: ignore[arg-type]  # pydantic makes the groups


@dataclass(frozen=True, slots=True)
class Answered:
    """
    One request that was answered.

    Attributes:
        at_s: when, on the loop's clock.
        verb: of the request.
        target: path and query of the request.
        status: of the reply.
    """

    at_s: float
    verb: str
    target: str
    status: int


class Wire:
    """
    Carries requests to the emulator; what it drops is lost, what it holds up takes its time.

    Attributes:
        sent: how many requests were sent.
        answered: those that were answered, in the order of their answers.
    """

    def __init__(self, mrs: core.Emulator, host: str = HOST) -> None:
        self._mrs = mrs
        self._host = host
        self.sent = 0
        self.answered: list[Answered] = []

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        """Send one request for one reply, as over a network with a short delay each way."""
        self.sent += 1
        headers = {**request.headers, "Host": self._host}
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(LATENCY_S)
                reply = await self._mrs.handle(wire.Request.of(request.verb, request.target, headers, request.body))
                await asyncio.sleep(LATENCY_S)
        except TimeoutError as error:
            raise transport.Lost("no reply in time") from error
        if reply.dropped:
            raise transport.Lost("the connection was closed without a reply")
        self.answered.append(Answered(asyncio.get_running_loop().time(), request.verb, request.target, reply.status))
        return transport.Response(reply.status, reply.body, {**reply.headers, "Content-Type": reply.content_type})


@dataclass(eq=False)
class Replica:
    """One replica of the service."""

    served: tuple[wiring.TenantService, ...]
    wire: Wire
    task: asyncio.Task[None] | None = None

    @property
    def kafka(self) -> supervisor.Supervisor[contexts.Notice]:
        """The runtime of the first tenant, or of all where there are none."""
        return self.served[0].kafka

    @property
    def context(self) -> contexts.TenantContext:
        """The tools of the first tenant, or of all where there are none."""
        return self.served[0].context

    async def kill(self) -> None:
        """End it in the middle of whatever it does: nothing is drained, nothing is committed."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])


@dataclass(eq=False)
class ServiceHarness:
    """A deployment."""

    chosen: all_settings.Settings
    broker: memory_broker.MemoryBroker
    mrs: core.Emulator
    time: clock.LoopClock
    stack: contextlib.AsyncExitStack
    replicas: list[Replica] = field(default_factory=list)
    doors: dict[str, Wire] = field(default_factory=dict)
    observing: tracing.Tracing = tracing.OFF
    objects: objects.ObjectDoor | None = None

    # Read once, however often a test that waits looks at all events.
    _seen: Callable[[records.Headers, bytes], history.Seen] = field(
        default_factory=lambda: functools.lru_cache(maxsize=None)(history.seen)
    )

    async def start_replica(self, door: Wire | None = None) -> Replica:
        """Start one more replica, on a wire of its own, and return at once."""
        door = door or Wire(self.mrs)
        reading = {} if self.objects is None else {"obs": self.objects.connect}

        served = await self.stack.enter_async_context(
            wiring.opened(
                self.chosen,
                lambda mrs: self._connect(mrs, door),
                self.broker.for_group,
                self.time,
                observing=self.observing,
                **reading,
            )
        )

        replica = Replica(served, door)
        replica.task = asyncio.create_task(wiring.run(served), name=f"replica {len(self.replicas) + 1}")
        self.replicas.append(replica)
        return replica

    def _connect(
        self, mrs: mrs_settings.MrsSettings, door: Wire
    ) -> contextlib.AbstractAsyncContextManager[clients.Client]:
        door = self.doors.get(mrs.base_url, door)
        return contextlib.nullcontext(self.observing.client(mrs, door, self.time))

    def put(
        self,
        value: bytes | None,
        *,
        key: bytes | None = b"k",
        partition: int = 0,
        topic: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Let a request arrive."""
        headers = () if traceparent is None else (("traceparent", traceparent.encode()),)
        self.broker.put(topic or self.chosen.kafka.topics.requests, partition, key, value, headers)

    def events(self, topic: str | None = None) -> list[history.Seen]:
        """Return all committed events, partition by partition."""
        topic = topic or self.chosen.kafka.topics.events
        return [self._seen(record.headers, record.value or b"") for record in self.broker.committed(topic)]

    def last(self, request_id: str) -> Any:
        """Return the data of a request's last event."""
        return [event.data for event in self.events() if event.request_id == request_id][-1]

    def states(self, request_id: str) -> list[str]:
        """Return the event states of one request, in order."""
        return [event.state for event in self.events() if event.request_id == request_id]

    async def until_ended(self, request_ids: Sequence[str], timeout_s: float) -> None:
        """Let time pass until every request has its last event."""
        async with asyncio.timeout(timeout_s):
            while not {event.request_id for event in self.events() if event.state in history.LAST} >= set(request_ids):
                await asyncio.sleep(0.5)

    def created(self) -> list[str]:
        """Return names of all jobs that really exist."""
        return [effect.name for effect in self.mrs.effects() if effect.kind == "job"]

    def trouble(self, **order: Any) -> None:
        """Order a fault of the emulator."""
        self.mrs.add_faults(faults.Fault(**order))


@contextlib.asynccontextmanager
async def start(
    chosen: all_settings.Settings | None = None,
    *,
    partitions: int = 1,
    replicas: int = 1,
    emulated: Mapping[str, Any] | None = None,
    observing: tracing.Tracing = tracing.OFF,
) -> AsyncIterator[ServiceHarness]:
    """Yield a deployment with its topics made and its replicas started."""
    chosen = chosen or settings()
    time = clock.LoopClock()
    broker = memory_broker.MemoryBroker(chosen.kafka, transactions=chosen.kafka.transactional)
    for one in chosen.tenancies:
        broker.create_topics(partitions, one.kafka.topics)

    async with contextlib.AsyncExitStack() as stack:
        given = emulator_settings.EmulatorSettings(**{"seed": 1, **(emulated or {})})
        mrs = await stack.enter_async_context(core.Emulator(given, time))
        made = ServiceHarness(chosen, broker, mrs, time, stack, observing=observing)
        try:
            for _ in range(replicas):
                await made.start_replica()
            yield made
        finally:
            for replica in made.replicas:
                wiring.stop(replica.served)
            await asyncio.wait([replica.task for replica in made.replicas if replica.task is not None])
