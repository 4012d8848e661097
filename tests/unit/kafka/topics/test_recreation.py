"""A requests topic that was deleted and created again is noticed, whatever its offsets look like."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import runtimes

from mrs_relay.kafka import ledger_format, partition_worker
from mrs_relay.kafka.memory import memory_broker, memory_topic_io
from mrs_relay.kafka.topics import recreation

pytestmark = pytest.mark.looptime

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


async def _work(broker: memory_broker.MemoryBroker, count: int = 10) -> None:
    async with runtimes.running(broker.kafka, broker, runtimes.Counting()):
        runtimes.feed_in(broker, count, partitions=1)
        await asyncio.sleep(6)


def _recreate(broker: memory_broker.MemoryBroker, count: int) -> None:
    """Put another topic in the place of the requests, with so many messages."""
    broker.create_topic(runtimes.IN, 1)
    runtimes.feed_in(broker, count, partitions=1)


def _accepting(broker: memory_broker.MemoryBroker, *, accept: bool = True) -> memory_broker.MemoryBroker:
    broker._kafka = broker.kafka.model_copy(update={"accept_loss": accept})
    return broker


def _noted(broker: memory_broker.MemoryBroker) -> list[str | None]:
    """Return which topic the commits in the ledger name."""
    read = broker.committed(runtimes.LEDGER, 0)
    return [ledger_format.topic_id(record) for record in read if record.key == ledger_format.OFFSETS]


@_BOTH
@pytest.mark.parametrize("count", [0, 5, 10, 25])
async def test_recreated_topic_stops_its_partition(guarantee: str, count: int) -> None:
    """Shorter than it was, as long, or longer: nothing is read, and the error names both ids and what to do."""
    broker = runtimes.working_cluster(guarantee, partitions=1)
    await _work(broker)
    _recreate(broker, count)
    handler = runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        await asyncio.sleep(30)
        (found,) = work.status().partitions
    assert (found.state, handler.taken) == (partition_worker.State.UNREADABLE, {})
    for reported in ("was deleted and created again", "in#1", "in#7", "kafka.accept_loss=true"):
        assert reported in (found.error or "")


@_BOTH
async def test_accepted_recreation_begins_at_the_new_beginning_for_good(guarantee: str) -> None:
    """Asked to, all of the new topic is read, once, and later starts need not be reported again."""
    broker = runtimes.working_cluster(guarantee, partitions=1)
    await _work(broker)
    _recreate(broker, 25)
    await _work(_accepting(broker), count=0)
    handler = runtimes.Counting()
    async with runtimes.running(_accepting(broker, accept=False).kafka, broker, handler) as work:
        runtimes.feed_in(broker, 1, partitions=1)
        await asyncio.sleep(6)
        assert work.status().partitions[0].state is partition_worker.State.RUNNING
    assert (runtimes.counts(broker), handler.taken) == ([10 + 25 + 1], {0: [25]})


@_BOTH
async def test_topic_that_is_recreated_while_we_read_it_is_noticed_soon(guarantee: str) -> None:
    """The offset fits the new topic, so reading would continue behind its first messages: within seconds it stops."""
    broker, handler = runtimes.working_cluster(guarantee, partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(6)
        _recreate(broker, 10)
        await asyncio.sleep(10)
        (found,) = work.status().partitions
        runtimes.feed_in(broker, 5, partitions=1)
        await asyncio.sleep(30)
    assert found.state is partition_worker.State.UNREADABLE
    assert "was deleted and created again" in (found.error or "")
    assert handler.taken == {0: list(range(10))}


@_BOTH
async def test_ledger_without_an_id_learns_it(guarantee: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of an earlier version continues as it did, and knows its topic from the first start on."""
    broker = runtimes.working_cluster(guarantee, partitions=1)
    with monkeypatch.context() as earlier:
        earlier.setattr(ledger_format, "_TOPIC_HEADER", "x")
        await _work(broker)
    assert set(_noted(broker)) == {None}
    await _work(broker, count=0)
    assert _noted(broker)[-1] == "in#1"
    _recreate(broker, 25)
    async with runtimes.running(broker.kafka, broker, runtimes.Counting()) as work:
        assert work.status().partitions[0].state is partition_worker.State.UNREADABLE


async def test_the_check_finds_it_before_a_start() -> None:
    """The ledger names the topic in which it continues; what was accepted is only a warning."""
    broker = runtimes.working_cluster(partitions=1)
    topic_client = memory_topic_io.MemoryTopicClient(broker)
    await _work(broker)
    assert await recreation.find(topic_client, broker.kafka, "in#1") == []
    assert await recreation.find(topic_client, broker.kafka, None) == []
    (finding,) = await recreation.find(topic_client, broker.kafka, "in#5")
    assert (finding.severity, finding.code) == ("error", "requests_recreated")
    assert "(partitions 0)" in finding.text
    (accepted,) = await recreation.find(topic_client, _accepting(broker).kafka, "in#5")
    assert accepted.severity == "warning"
