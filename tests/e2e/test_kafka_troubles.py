"""What can happen to a real Kafka under a running owner: full disks; topics that grow, are deleted, cut, compacted."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition
from tests.support import brokers as nodes
from tests.support import runtime_process, waiting

from mrs_relay.common import clock
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import partition_worker, records, runtime, settings, topic_io
from mrs_relay.kafka.adapter import client, connection
from mrs_relay.kafka.topics import topic_setup

pytestmark = pytest.mark.kafka

_LIMIT_BYTES = 12 * 1024 * 1024  # above Kafka's index files of 10 MiB


@dataclass(eq=False)
class Stage:
    """Topics of its own, and one runtime at a time."""

    kafka: settings.KafkaSettings
    broker: client.KafkaBroker
    sent: int = 0
    leases: list[leases.Lease[None]] = field(default_factory=list)

    async def send(self, count: int, partitions: int) -> None:
        """Send records to the partitions in turn."""
        sender = self.broker.producer(None, idempotent=self.kafka.transactional)
        await sender.start()
        try:
            name, numbers = self.kafka.topics.requests, range(self.sent, self.sent + count)
            await sender.write([records.Outgoing(name, b"%d" % n, b"v", (), n % partitions) for n in numbers])
            self.sent += count
        finally:
            await sender.kill()

    async def events(self) -> list[tuple[int, bytes]]:
        """Return partition and text of all committed events."""
        return [
            (one.partition, one.value or b"") async for one in topic_io.read_all(self.broker, self.kafka.topics.events)
        ]

    async def until_event(self, count: int) -> list[tuple[int, bytes]]:
        """Wait for so many different events."""
        found: list[tuple[int, bytes]] = []

        async def reported() -> bool:
            found[:] = await self.events()
            return len(set(found)) >= count

        await waiting.until(reported)
        return found

    @contextlib.asynccontextmanager
    async def running(self, **changes: object) -> AsyncIterator[runtime.Runtime[None]]:
        """Yield a runtime at work."""

        async def handler(lease: leases.Lease[None]) -> None:
            self.leases.append(lease)
            await runtime_process.number(lease)

        kafka = self.kafka.model_copy(update=changes)
        work = runtime.Runtime(kafka, client.KafkaBroker(kafka), handler, clock.SystemClock())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work.run())
            try:
                yield work
            finally:
                work.stop()
                await asyncio.wait([task])

    @contextlib.asynccontextmanager
    async def administering(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Yield the library's own admin client."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


async def _stage(bootstrap: str, guarantee: str = "exactly-once", partitions: int = 1, **changes: object) -> Stage:
    chosen = runtime_process.worker_settings(bootstrap, f"trouble-{uuid.uuid4().hex[:8]}", guarantee)
    kafka = chosen.model_copy(update={"partitions": partitions, "mirror_interval_s": 0.5, **changes})
    broker = client.KafkaBroker(kafka)
    async with broker.admin() as admin:
        await topic_setup.create(admin, kafka)
    return Stage(kafka, broker)


async def _until(work: runtime.Runtime[None], sure: Callable[[], bool]) -> None:
    await waiting.until(sure, work.status)


_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


class _SmallDisk(nodes.KafkaNode):
    """A Kafka whose files cannot grow beyond a limit, until it is started without."""

    full = True

    def _command(self) -> list[str]:
        command = super()._command()
        return ["prlimit", f"--fsize={_LIMIT_BYTES}", "--", *command] if self.full else command


@contextlib.contextmanager
def _small_disk(workdir: Path) -> Iterator[_SmallDisk]:
    node = _SmallDisk(workdir, jvm=nodes.QUICK_JVM)
    try:
        node.start()
        yield node
    finally:
        node.close()


@_BOTH
async def test_full_disk_is_waited_for_and_nothing_is_lost(tmp_path: Path, guarantee: str) -> None:
    """The broker's write fails, its log folder goes offline, and it ends; when there is room again we go on."""
    with _small_disk(tmp_path) as node:
        stage = await _stage(node.bootstrap, guarantee)
        async with stage.running() as work:
            await stage.send(100, 1)
            await stage.until_event(100)
            with contextlib.suppress(Exception):  # fills the disk; the last write fails
                await _fill(stage)
            await waiting.until(lambda: node.pid is None)
            await _until(work, lambda: not work.status().ready)
            node.full = False
            await asyncio.to_thread(node.start)
            await stage.send(100, 1)
            await stage.until_event(200)
            await _until(work, lambda: work.status().ready)

        seen = [tuple(map(int, text.split())) for _, text in await stage.events()]
        assert set(seen) == {(offset, offset + 1) for offset in range(200)}
        assert guarantee == "at-least-once" or len(seen) == 200

        log = node.log.read_text()
        assert "File too large" in log


async def _fill(stage: Stage) -> None:
    ballast = records.Outgoing(stage.kafka.topics.dead_letters, None, b"x" * 400_000)
    sender = stage.broker.producer(None, idempotent=False)
    await sender.start()
    try:
        for _ in range(_LIMIT_BYTES // 400_000 + 5):
            await sender.write([ballast])
    finally:
        await sender.kill()


async def test_partitions_that_are_added_wait_for_their_ledger(
    kafka: nodes.KafkaNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Input first, ledger later: the new partition says what is missing, and goes on by itself with all its records."""
    _notice_soon(monkeypatch)
    stage = await _stage(kafka.bootstrap, partitions=2)
    name, ledger = stage.kafka.topics.requests, stage.kafka.topics.ledger

    async with stage.running() as work:
        await _until(work, lambda: work.status().ready)
        async with stage.administering() as admin:
            await admin.create_partitions({name: NewPartitions(3), stage.kafka.topics.events: NewPartitions(3)})
            await _until_partitions(stage, 3)
            await stage.send(30, 3)
            await _until(work, lambda: len(work.status().partitions) == 3 and bool(work.status().error))
            waiting = work.status()
            await stage.until_event(20)
            await admin.create_partitions({ledger: NewPartitions(3)})
        found = await stage.until_event(30)
        await _until(work, lambda: work.status().ready and work.status().error is None)

    assert f"{ledger} has 2 partitions, {name} has 3" in (waiting.error or "")
    assert waiting.partitions[2].state in {partition_worker.State.WAITING, partition_worker.State.RESTORING}
    assert len(found) == 30


async def _until_partitions(stage: Stage, count: int) -> None:
    """Wait until the broker tells so many partitions of the requests."""
    async with stage.broker.admin() as admin:

        async def known() -> bool:
            return (await admin.partition_counts())[stage.kafka.topics.requests] == count

        await waiting.until(known)


def _notice_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library look for new partitions every second, not every five minutes."""
    original = connection.Connection.options

    def options(self: connection.Connection, role: str) -> dict[str, Any]:
        return {**original(self, role), "metadata_max_age_ms": 1000}

    monkeypatch.setattr(connection.Connection, "options", options)


async def test_deleted_ledger_is_named_and_an_empty_one_stops_the_partition(kafka: nodes.KafkaNode) -> None:
    """Deleted while we run: said with its name; made anew: nobody begins from nothing unless told to."""
    stage = await _stage(kafka.bootstrap, commit_timeout_s=4.0, request_timeout_ms=2_000)
    ledger = stage.kafka.topics.ledger
    async with stage.running() as work:
        await stage.send(50, 1)
        await stage.until_event(50)
        async with stage.administering() as admin:
            position = TopicPartition(stage.kafka.topics.requests, 0)

            async def heard() -> bool:
                offsets = await admin.list_consumer_group_offsets(stage.kafka.group_id)
                return position in offsets and offsets[position].offset == 50

            await waiting.until(heard)  # the group knows what is done
            await admin.delete_topics([ledger])
            await stage.send(10, 1)
            await _until(work, lambda: f"missing topics: {ledger}" in (work.status().error or ""))
            async with stage.broker.admin() as ours:
                await topic_setup.create(ours, stage.kafka)
        await _until(work, lambda: work.status().partitions[0].state is partition_worker.State.UNREADABLE)
        assert "is empty" in (work.status().partitions[0].error or "")
    async with stage.running() as work:
        await _until(work, lambda: work.status().partitions[:1] != () and work.status().partitions[0].error is not None)
        assert work.status().partitions[0].state is partition_worker.State.UNREADABLE
    async with stage.running(accept_loss=True):
        await stage.until_event(60)


def _policy(stage: Stage, policy: str) -> ConfigResource:
    return ConfigResource(ConfigResourceType.TOPIC, stage.kafka.topics.ledger, {"cleanup.policy": policy})


async def test_ledger_whose_beginning_was_deleted_stops_the_partition(kafka: nodes.KafkaNode) -> None:
    """Kafka deletes records up to an offset: the log begins later, which compaction never does."""
    stage = await _stage(kafka.bootstrap)
    async with stage.running():
        await stage.send(50, 1)
        await stage.until_event(50)
    async with stage.administering() as admin:
        await admin.alter_configs([_policy(stage, "delete")])  # from compacted topics Kafka deletes nothing
        await admin.delete_records({TopicPartition(stage.kafka.topics.ledger, 0): RecordsToDelete(3)})
        await admin.alter_configs([_policy(stage, "compact")])
    async with stage.running() as work:
        await _until(work, lambda: work.status().partitions[:1] != () and work.status().partitions[0].error is not None)
        found = work.status().partitions[0]
    assert (found.state, "begins at offset 3" in (found.error or "")) == (partition_worker.State.UNREADABLE, True)


@_BOTH
async def test_compacted_ledger_is_whole(kafka: nodes.KafkaNode, guarantee: str) -> None:
    """Compaction takes records away but leaves the log's beginning at 0, on which the check for deletions relies."""
    stage = await _stage(kafka.bootstrap, guarantee)
    ledger = records.Position(stage.kafka.topics.ledger, 0)
    # The library replaces all of a topic's settings, not only those that it is given.
    eager = {
        "cleanup.policy": "compact",
        "segment.ms": "500",
        "min.cleanable.dirty.ratio": "0.01",
        "min.compaction.lag.ms": "0",
    }
    async with stage.administering() as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, ledger.topic, eager)])
    for number in range(4):  # each owner writes a claim, so that the first record of all can go, too
        async with stage.running():
            await stage.send(20, 1)
            await stage.until_event(20 * (number + 1))
            await asyncio.sleep(0.7)

    async def compacted() -> bool:
        return (await _first_record(stage, ledger)).offset > 0

    await waiting.until(compacted)
    async with stage.broker.reader(ledger, None) as reader:
        assert reader.beginning == 0
    async with stage.running() as work:
        await stage.send(20, 1)
        await stage.until_event(100)
        assert work.status().partitions[0].state is partition_worker.State.RUNNING


async def _first_record(stage: Stage, position: records.Position) -> records.Record:
    async with stage.broker.reader(position, None) as reader:
        while not (read := await reader.read(1.0)):
            pass
    return read[0]
