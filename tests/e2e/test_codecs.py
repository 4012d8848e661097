"""Batches of every compression on a real Kafka, batches that nobody can read, and what is no record at all."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from tests.support import batches, runtime_process, service, waiting
from tests.support import brokers as nodes

from mrs_relay.common import clock
from mrs_relay.kafka import broker, partition_worker, records, runtime, settings, topic_io
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import topic_setup

pytestmark = pytest.mark.kafka

_ONE_STOPPED = [partition_worker.State.RUNNING, partition_worker.State.UNREADABLE]
_TEXT = b'{"id": "r", "type": "mrs.sql.submit", "data": {"statement": "select 1"}} ' * 20


@dataclass(eq=False)
class Stage:
    """Topics of its own on the broker, and one runtime at a time."""

    kafka: settings.KafkaSettings
    seen: list[records.Record] = field(default_factory=list)
    restored: list[dict[bytes, bytes]] = field(default_factory=list)

    async def send(self, values: list[bytes], partition: int = 0, codec: str = "none") -> None:
        """Send requests in one batch of the compression."""
        await _send(self.kafka.bootstrap_servers, self.kafka.topics.requests, values, partition=partition, codec=codec)

    @contextlib.asynccontextmanager
    async def running(self, **changes: object) -> AsyncIterator[runtime.Runtime[None]]:
        """Yield a runtime that numbers the records."""

        async def handler(lease: leases.Lease[None]) -> None:
            self.restored.append(dict(lease.restored))
            deliver = lease.inbox.deliver

            def seen(arrived: list[records.Record]) -> None:
                self.seen.extend(arrived)
                deliver(arrived)

            lease.inbox.deliver = seen  # type: ignore[assignment, method-assign]
            await runtime_process.number(lease)

        kafka = settings.KafkaSettings.model_validate({**dict(self.kafka), **changes})
        work = runtime.Runtime(kafka, client.KafkaBroker(kafka), handler, clock.SystemClock())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work.run())
            try:
                yield work
            finally:
                work.stop()
                await asyncio.wait([task])

    async def events(self) -> list[bytes]:
        """Return the text of all committed events."""
        found = topic_io.read_all(client.KafkaBroker(self.kafka), self.kafka.topics.events)
        return [one.value or b"" async for one in found]


async def _send(bootstrap: str, topic: str, values: list[bytes], *, partition: int = 0, codec: str = "none") -> None:
    """Send records in one batch, as any client does."""
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        max_batch_size=32 << 20,
        max_request_size=32 << 20,
    )

    await producer.start()
    try:
        batch = producer.create_batch()
        for value in values:
            assert batch.append(key=b"k", value=value, timestamp=None) is not None
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()


async def _stage(node: nodes.KafkaNode, partitions: int = 1, compression: str | None = None) -> Stage:
    chosen = runtime_process.worker_settings(node.bootstrap, f"codec-{uuid.uuid4().hex[:8]}", "exactly-once")
    kafka = chosen.model_copy(update={"partitions": partitions, "mirror_interval_s": 0.5})
    async with client.KafkaBroker(kafka).admin() as admin:
        configs = {} if compression is None else {"compression.type": compression}
        specs = topic_setup.plan(kafka, partitions=partitions)
        specs = tuple(broker.TopicSpec(one.name, one.partitions, 1, {**one.configs, **configs}) for one in specs)
        assert await admin.create(specs) == {}
    return Stage(kafka)


def _states(work: runtime.Runtime[None]) -> list[partition_worker.State]:
    return [one.state for one in work.status().partitions]


@pytest.mark.parametrize("compression", ["producer", "gzip", "snappy", "lz4", "zstd", "uncompressed"])
async def test_requests_ledger_and_events_of_every_compression_are_read(
    kafka: nodes.KafkaNode, compression: str
) -> None:
    """Whatever senders choose, and whatever the topics are set to, all is read, and the ledger is restored."""
    stage = await _stage(kafka, compression=compression)
    for codec in batches.CODECS:
        await stage.send([_TEXT] * 10, codec=codec)

    async def is_published() -> bool:
        return len(await stage.events()) == 50

    async with stage.running():
        await waiting.until(is_published)
    assert [one.value for one in stage.seen] == [_TEXT] * 50
    async with stage.running() as work:
        await work.ready()
    assert stage.restored[-1] == {b"n": b"50"}


async def test_batch_that_unpacks_to_too_much_stops_its_partition_alone_until_it_is_given_up(
    kafka: nodes.KafkaNode,
) -> None:
    """A few kilobytes that unpack to 16 MB are never unpacked; the reason is told, and a person can pass over them."""
    stage = await _stage(kafka, partitions=2)
    await stage.send([b"a", b"b"], partition=1)
    await stage.send([b"\0" * (16 << 20), b"x"], partition=1, codec="zstd")
    await stage.send([b"c"], partition=1)

    async with stage.running(unpacked_bytes=1 << 20) as work:

        async def neighbour_works() -> bool:
            await stage.send([b"n"], partition=0)
            return len(await stage.events()) >= 12 and _states(work) == _ONE_STOPPED

        await waiting.until(neighbour_works, work.status)
        status = work.status()
        assert "the batch at offsets 2 to 3 of" in (status.partitions[1].error or "")
        assert "unpacks to more than 1048576 bytes" in (status.partitions[1].error or "")
        assert (status.ready, status.error, status.partitions[1].lag) == (True, None, 3)
        assert _states(work) == _ONE_STOPPED
    small = stage.kafka.model_copy(update={"unpacked_bytes": 1 << 20})
    with pytest.raises(broker.BatchUnreadable, match="offsets 2 to 3 of"):
        _ = [one async for one in topic_io.read_all(client.KafkaBroker(small), stage.kafka.topics.requests)]

    async def passed() -> bool:
        return any(one.value == b"c" for one in stage.seen)

    async with stage.running(unpacked_bytes=1 << 20, skip_unreadable=["1@2"]):
        await waiting.until(passed)
    assert [(one.offset, one.value) for one in stage.seen if one.partition == 1] == [
        (0, b"a"),
        (1, b"b"),
        (3, None),
        (4, b"c"),
    ]


async def test_ledger_that_cannot_be_read_stops_its_partition_alone(kafka: nodes.KafkaNode) -> None:
    """Its owner claims it, reads up to the batch, and says which one it is; the neighbours work."""
    stage = await _stage(kafka, partitions=2)
    ledger = stage.kafka.topics.ledger
    await _send(kafka.bootstrap, ledger, [b"\0" * (8 << 20)], partition=1, codec="snappy")

    async with stage.running(unpacked_bytes=1 << 20) as work:

        async def neighbour_works() -> bool:
            await stage.send([b"n"], partition=0)
            return len(await stage.events()) >= 5 and _states(work) == _ONE_STOPPED

        await waiting.until(neighbour_works, work.status)
        found = work.status().partitions
    assert f"the batch at offset 0 of {ledger}-1 cannot be read" in (found[1].error or "")


async def test_commands_name_what_they_cannot_read(kafka: nodes.KafkaNode, tmp_path: Path) -> None:
    """Partition, offset and reason on standard error, and exit code 1; the check knows all compressions."""
    small = {"KAFKA__UNPACKED_BYTES": str(1 << 20)}
    name = f"codec-{uuid.uuid4().hex[:8]}"
    here = service.Deployment(kafka.bootstrap, name, "http://localhost:1", tmp_path, more=small)
    await asyncio.to_thread(here.create_topics, 1)
    for topic in (here.dead_letters, f"{here.requests}.ledger"):
        await _send(kafka.bootstrap, topic, [b"\0" * (8 << 20)], codec="lz4")

    for words, topic in (
        (("dead-letters", "list"), here.dead_letters),
        (("dead-letters", "replay", "--all", "--note", "read now"), here.dead_letters),
        (("jobs",), f"{here.requests}.ledger"),
        (("jobs", "--json"), f"{here.requests}.ledger"),
    ):
        code, text = await asyncio.to_thread(here.command, *words)
        assert code == 1, text
        assert f"the batch at offset 0 of {topic}-0 cannot be read: it unpacks to more than 1048576 bytes" in text
        assert "Traceback" not in text

    code, text = await asyncio.to_thread(here.command, "check")
    assert code == 3, text  # MRS is not there
    assert "gzip, lz4, snappy, zstd are unpacked as they were packed" in text


async def test_aborted_records_and_markers_are_no_lag_for_anybody(kafka: nodes.KafkaNode) -> None:
    """The status is 0, and the group's committed offset is the end of the log, where lag tools look."""
    stage = await _stage(kafka)
    name, topic = stage.kafka.topics.requests, TopicPartition(stage.kafka.topics.requests, 0)
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=name)
    await producer.start()
    try:
        for count, commit in ((3, True), (500, False)):
            await producer.begin_transaction()
            await asyncio.gather(*[await producer.send(name, b"v", partition=0) for _ in range(count)])
            await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:

        async def caught_up() -> bool:
            offsets = await admin.list_consumer_group_offsets(stage.kafka.group_id)
            return topic in offsets and offsets[topic].offset == 505

        async with stage.running() as work:
            await waiting.until(caught_up)
            await waiting.until(lambda: [one.lag for one in work.status().partitions] == [0], work.status)
        await stage.send([b"behind"])

        async def is_published() -> bool:
            return len(await stage.events()) == 4

        async with stage.running() as work:
            await waiting.until(is_published)
            assert work.status().partitions[0].error is None
    finally:
        await admin.close()
    assert await stage.events() == [b"0 1", b"1 2", b"2 3", b"505 4"]
