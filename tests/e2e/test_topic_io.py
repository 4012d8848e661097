"""Taps on real brokers: what is sent is seen, from where it was asked for, and only what was committed."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest
from tests.support import brokers, ports

from mrs_relay import errors
from mrs_relay.kafka import broker, records, settings, topic_io
from mrs_relay.kafka.adapter import client


@pytest.fixture(params=["kafka", "embedded"])
def node(request: pytest.FixtureRequest) -> brokers.Node:
    """Each broker in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, brokers.Node)
    return found


def _kafka(node: brokers.Node) -> client.KafkaBroker:
    return client.KafkaBroker(settings.KafkaSettings(bootstrap_servers=node.bootstrap))


async def _topic(kafka: client.KafkaBroker, partitions: int = 3) -> str:
    name = f"tap-{uuid.uuid4().hex[:8]}"
    async with kafka.admin() as admin:
        assert await admin.create([broker.TopicSpec(name, partitions)]) == {}
        async with asyncio.timeout(60):
            while name not in await admin.partition_counts():
                await asyncio.sleep(0.05)
    return name


def _records(topic: str, *values: str, partition: int | None = None) -> list[records.Outgoing]:
    return [
        records.Outgoing(topic, value.encode(), value.encode(), (("h", b"1"),), partition=partition) for value in values
    ]


async def _take(tail: topic_io.Tail, count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            found += [(record.value or b"").decode() for record in await tail.take(0.2)]
    return sorted(found)


async def test_a_tail_from_now_sees_what_is_sent_after_it_was_opened(node: brokers.Node) -> None:
    """Nothing that was there before, everything that comes, from all partitions."""
    kafka = _kafka(node)
    topic = await _topic(kafka)
    await topic_io.send(kafka, _records(topic, "old-1", "old-2", "old-3"))
    async with topic_io.tail(kafka, topic, topic_io.NOW) as tail:
        new = [f"new-{number}" for number in range(9)]
        await topic_io.send(kafka, _records(topic, *new))
        assert await _take(tail, 9) == new
        assert await tail.take(0.2) == []


async def test_a_tail_from_the_beginning_sees_all(node: brokers.Node) -> None:
    """What was sent before counts too, header and key included."""
    kafka = _kafka(node)
    topic = await _topic(kafka)
    await topic_io.send(kafka, _records(topic, "a"))
    async with topic_io.tail(kafka, topic, topic_io.BEGINNING) as tail, asyncio.timeout(60):
        async for record in tail:
            assert (record.key, record.value, record.headers) == (b"a", b"a", (("h", b"1"),))
            break


async def test_a_tail_from_a_time_leaves_out_what_is_older(node: brokers.Node) -> None:
    """`--from 10m` begins at the first record that is not older."""
    kafka = _kafka(node)
    topic = await _topic(kafka)
    await topic_io.send(kafka, _records(topic, "old", partition=0))
    await asyncio.sleep(0.05)
    moment_ms = time.time_ns() // 1_000_000
    await asyncio.sleep(0.05)
    await topic_io.send(kafka, _records(topic, "new", partition=0))
    async with topic_io.tail(kafka, topic, topic_io.Start(moment_ms)) as tail:
        assert await _take(tail, 1) == ["new"]
        assert await tail.take(0.2) == []


async def test_read_all_ends_where_the_topic_ended(node: brokers.Node) -> None:
    """All partitions are read to their end, empty ones too, and then it stops by itself."""
    kafka = _kafka(node)
    topic = await _topic(kafka)
    values = sorted(f"v{number:04d}" for number in range(1200))
    await topic_io.send(kafka, _records(topic, *values[:700], partition=0))
    await topic_io.send(kafka, _records(topic, *values[700:], partition=2))
    async with asyncio.timeout(60):
        found = [(record.value or b"").decode() async for record in topic_io.read_all(kafka, topic)]
    assert sorted(found) == values


async def test_read_all_of_an_empty_topic_ends_at_once(node: brokers.Node) -> None:
    """Nothing to read is no reason to wait."""
    kafka = _kafka(node)
    topic = await _topic(kafka)
    async with asyncio.timeout(60):
        assert [record async for record in topic_io.read_all(kafka, topic)] == []


async def test_read_all_passes_over_transactions_and_ends_behind_their_markers(kafka: brokers.KafkaNode) -> None:
    """Committed records are read, the marker at the end of the log does not keep the reader waiting."""
    kafka_broker = _kafka(kafka)
    topic = await _topic(kafka_broker, partitions=1)
    producer = kafka_broker.producer(f"tap-{uuid.uuid4().hex}", idempotent=True)
    await producer.start()
    try:
        await producer.write(_records(topic, "a", "b", partition=0))
    finally:
        await producer.kill()
    found: list[bytes | None] = []
    async with asyncio.timeout(60):
        while not found:  # a commit is answered before its marker is written
            found = [record.value async for record in topic_io.read_all(kafka_broker, topic)]
    assert found == [b"a", b"b"]


async def test_a_missing_topic_is_named_and_not_made(node: brokers.Node) -> None:
    """Asking for a topic must not create it; the message says which command does."""
    kafka = _kafka(node)
    name = f"none-{uuid.uuid4().hex[:8]}"
    with pytest.raises(errors.SettingsError, match=rf"{name}[\s\S]*mrs-relay topics create"):
        async with topic_io.tail(kafka, name, topic_io.NOW):
            pass
    with pytest.raises(errors.SettingsError, match=name):
        await topic_io.send(kafka, _records(name, "x"))
    async with kafka.admin() as admin:
        assert name not in await admin.partition_counts()


async def test_an_unreachable_broker_is_named_with_its_setting() -> None:
    """The error says which address and which variable."""
    address = f"127.0.0.1:{ports.free_port()}"
    kafka = client.KafkaBroker(settings.KafkaSettings(bootstrap_servers=address))
    with pytest.raises(errors.StreamDown, match=rf"{address}[\s\S]*MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS"):
        async with topic_io.tail(kafka, "any", topic_io.NOW):
            pass
