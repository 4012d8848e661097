"""Helpers for tests of the Kafka part: settings with short names, and a handler that counts what it sees."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mrs_relay.common import clock
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import records, runtime, settings
from mrs_relay.kafka.memory import memory_broker

IN, EV, DL = "in", "ev", "dl"
LEDGER = "in.ledger"


def kafka_settings(**changes: object) -> settings.KafkaSettings:
    """Return settings for tests: topics `in`, `ev`, `dl`, no status; all else as in production unless changed."""
    base: dict[str, object] = {
        "topics": settings.Topics(requests=IN, events=EV, dead_letters=DL, status=None),
        "app_id": "app",
        "group_id": "group",
    }
    return settings.KafkaSettings.model_validate(base | changes)


def cluster(kafka: settings.KafkaSettings, partitions: int = 4) -> memory_broker.MemoryBroker:
    """Return an in-memory broker with all topics."""
    broker = memory_broker.MemoryBroker(kafka, transactions=kafka.transactional)
    broker.create_topics(partitions)
    return broker


class Counting:
    """
    A handler that numbers its input: key `n` counts records, one event a record carries its offset.

    Attributes:
        leases: every lease that began, by partition, in order.
        taken: offsets by partition as the handlers saw them, uncommitted ones included.
        acted: (partition, offset) for which acting was allowed after the commit.
    """

    def __init__(self) -> None:
        self.leases: dict[int, list[leases.Lease[str]]] = {}
        self.taken: dict[int, list[int]] = {}
        self.acted: list[tuple[int, int]] = []
        self.notices: list[str] = []
        self.before_commit: Callable[[leases.Lease[str]], None] = lambda _lease: None
        self.ended: list[int] = []

    async def __call__(self, lease: leases.Lease[str]) -> None:
        """Count until the feed is closed."""
        self.leases.setdefault(lease.partition, []).append(lease)
        count = int(lease.restored.get(b"n", b"0"))
        not_before_s = 0.0

        while True:
            try:
                batch = await lease.inbox.take(100, not_before_s)
            except inboxes.Closed:
                self.ended.append(lease.partition)
                return

            self.notices.extend(batch.notices)
            if not batch.records:
                continue

            offsets = [record.offset for record in batch.records]
            self.taken.setdefault(lease.partition, []).extend(offsets)
            count += len(offsets)
            out = [records.Outgoing(EV, record.key, b"%d" % record.offset) for record in batch.records]
            self.before_commit(lease)
            change = records.Change(b"n", b"%d" % count)
            epoch = await lease.commit([change], out, lease.inbox.next_offset)
            not_before_s = asyncio.get_running_loop().time() + 0.05
            if lease.may_act(epoch):
                self.acted.extend((lease.partition, offset) for offset in offsets)


@asynccontextmanager
async def running(
    kafka: settings.KafkaSettings, broker: memory_broker.MemoryBroker, handler: Counting
) -> AsyncIterator[runtime.Runtime[str]]:
    """Yield a runtime at work; shut down in order at the end, and its error, if any, is raised."""
    work = runtime.Runtime(kafka, broker, handler, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run(), name="runtime")
        try:
            async with asyncio.timeout(120):
                await work.ready()
            yield work
        finally:
            work.stop()
            await asyncio.wait([task])


def working_cluster(
    guarantee: str = "exactly-once", partitions: int = 4, **changes: object
) -> memory_broker.MemoryBroker:
    """Return an in-memory broker with all topics, for the guarantee and the changed settings."""
    return cluster(kafka_settings(guarantee=guarantee, **changes), partitions)


def feed_in(broker: memory_broker.MemoryBroker, count: int, partitions: int = 4) -> None:
    """Send records, the same number to each partition."""
    for number in range(count):
        broker.put(IN, number % partitions, b"k%d" % number, b"v")


def counts(broker: memory_broker.MemoryBroker) -> list[int]:
    """Return what the ledgers say about how many records were counted, by partition."""
    found = []
    for partition in range(broker.partitions(LEDGER)):
        values = [r.value for r in broker.committed(LEDGER, partition) if r.key == b"n"]
        found.append(int(values[-1] or b"0") if values else 0)
    return found


def events(broker: memory_broker.MemoryBroker) -> list[tuple[bytes | None, bytes | None]]:
    """Return key and value of all committed events."""
    return [(record.key, record.value) for record in broker.committed(EV)]


@contextlib.asynccontextmanager
async def crashing(broker: memory_broker.MemoryBroker, handler: Counting) -> AsyncIterator[runtime.Runtime[str]]:
    """Yield a runtime that is cut off at the end instead of being shut down."""
    work = runtime.Runtime(broker.kafka, broker, handler, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        yield work
        task.cancel()


class Slow(Counting):
    """Thinks for a while between taking and committing, and makes an event of each notice as well."""

    think_s = 0.0

    async def __call__(self, lease: leases.Lease[str]) -> None:
        """Think and commit until the feed is closed."""
        self.leases.setdefault(lease.partition, []).append(lease)
        with contextlib.suppress(inboxes.Closed):
            while True:
                batch = await lease.inbox.take(100)
                keys = [record.key or b"" for record in batch.records] + [note.encode() for note in batch.notices]
                if keys:
                    await asyncio.sleep(self.think_s)
                    out = [records.Outgoing(EV, key, b"v") for key in keys]
                    epoch = await lease.commit([records.Change(b"n", b"1")], out, lease.inbox.next_offset)
                    self.acted.append((lease.partition, lease.may_act(epoch)))
