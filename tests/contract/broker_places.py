"""A broker with topics of its own for one test, and members of its group."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from tests.support import waiting

from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.kafka.topics import topic_setup

SOON_S = waiting.LIMIT_S
PARTITIONS = 4


@dataclass
class Place:
    """A broker with topics of its own for one test."""

    name: str
    kafka: settings.KafkaSettings
    broker: brokers.Broker
    topic: str = field(init=False)

    def __post_init__(self) -> None:
        self.topic = self.kafka.topics.requests

    @property
    def transactional(self) -> bool:
        return self.kafka.transactional

    def producer(self, transactional_id: str | None = None) -> brokers.Producer:
        return self.broker.producer(transactional_id, idempotent=self.transactional)

    async def create(self) -> None:
        """Make all topics, and wait until the broker leads all their partitions."""
        async with self.broker.admin() as admin:
            await topic_setup.create(admin, self.kafka)
        async with self.sending() as producer:
            for name, number in itertools.product(topic_setup.names(self.kafka)[1:3], range(PARTITIONS)):
                await producer.write([records.Outgoing(name, b"\0warm", None, (), number)])

    @contextlib.asynccontextmanager
    async def sending(self, transactional_id: str | None = None) -> AsyncIterator[brokers.Producer]:
        """Yield a started producer, killed at the end."""
        producer = self.producer(transactional_id)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.kill()

    async def send(self, *values: str, partition: int = 0) -> Sequence[records.Block]:
        """Write values to the requests topic."""
        async with self.sending() as producer:
            return await producer.write(
                [records.Outgoing(self.topic, b"k", value.encode(), (), partition) for value in values]
            )

    async def read(self, topic: str, partition: int, count: int, offset: int | None = None) -> list[records.Record]:
        """Read so many records, but not what `create` wrote."""
        found: list[records.Record] = []
        async with asyncio.timeout(SOON_S), self.broker.reader(records.Position(topic, partition), offset) as reader:
            while len(found) < count:
                found += [record for record in await reader.read(0.5) if record.key != b"\0warm"]
        return found


def place_on(name: str, bootstrap: str, session_ms: int) -> Place:
    own = f"contract-{uuid.uuid4().hex[:8]}"
    kafka = settings.KafkaSettings(
        bootstrap_servers=bootstrap,
        topics=settings.Topics(requests=own, events=f"{own}.ev", dead_letters=f"{own}.dl", status=None),
        app_id=own,
        group_id=own,
        guarantee="at-least-once" if name == "embedded" else "exactly-once",
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=session_ms // 4,
        batch_bytes=16 * 1024,
        partitions=PARTITIONS,
    )
    broker: brokers.Broker = memory_broker.MemoryBroker(kafka) if name == "memory" else client.KafkaBroker(kafka)
    return Place(name, kafka, broker)


class Member:
    """A group member that lets everything flow from 0 and writes down what happens to it."""

    def __init__(self, place: Place, *, flows: bool = True) -> None:
        self.consumer = place.broker.consumer()
        self.assignments: list[frozenset[records.Position]] = []
        self.revocations: list[frozenset[records.Position]] = []
        self.rejoins = 0
        self.lets_flow = flows

    async def rejoining(self) -> None:
        self.rejoins += 1

    async def revoked(self, positions: frozenset[records.Position]) -> None:
        self.revocations.append(positions)

    async def assigned(self, positions: frozenset[records.Position]) -> None:
        kept = self.assignments[-1] if self.rejoins and self.assignments else frozenset()
        self.assignments.append(positions)
        if lost := kept - positions:
            self.consumer.release(lost)
        for position in positions - kept if self.lets_flow else ():
            self.consumer.flow(position, 0)

    async def poll(self, *, limit: int = 1000) -> list[records.Record]:
        """Return whatever comes within half a second, of all that is ours."""
        wanted = self.assignments[-1] if self.assignments else frozenset()
        arrived = await self.consumer.poll(wanted, limit=limit, timeout_s=0.2)
        return [record for found in arrived.values() for record in found]

    async def until(self, happened: Callable[[], bool]) -> list[records.Record]:
        """Poll until something is the case."""
        found: list[records.Record] = []
        async with asyncio.timeout(SOON_S):
            while not happened():
                found += await self.poll()
                await asyncio.sleep(0.01)
        return found


@contextlib.asynccontextmanager
async def joined(place: Place, *, flows: bool = True) -> AsyncIterator[Member]:
    member = Member(place, flows=flows)
    await member.consumer.start(member)
    try:
        await member.until(lambda: bool(member.assignments))
        yield member
    finally:
        await member.consumer.close()
