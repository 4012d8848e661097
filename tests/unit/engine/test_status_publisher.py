"""The status is published when it changes, again and again, and never at anyone's expense."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog.testing
from tests.support import runtimes

from mrs_relay.common import clock
from mrs_relay.engine import status_publisher
from mrs_relay.kafka import records, settings
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.messages import status

pytestmark = pytest.mark.looptime

_TOPICS = settings.Topics(requests="in", events="ev", dead_letters="dl", status="st")
_PARTITION = status.partition_key("in", 0)
_CLUSTER = status.cluster_key("me", "mrs", "c-1")


class Stage:
    """A broker, and what is there to be published."""

    def __init__(self) -> None:
        self.broker = memory_broker.MemoryBroker(runtimes.kafka_settings(topics=_TOPICS))
        self.broker.create_topics(1)
        self.present: dict[str, status.Content] = {}

    def use(self, slots: int) -> None:
        """Let a cluster have so many slots taken."""
        self.present[_CLUSTER] = status.Cluster(connection="mrs", cluster="c-1", slots_used=slots)

    @property
    def published(self) -> list[records.Record]:
        """All records."""
        return self.broker.committed("st")


@contextlib.asynccontextmanager
async def publishing() -> AsyncIterator[Stage]:
    """Publish for the length of the context."""
    stage = Stage()
    stage.use(1)
    made = status_publisher.StatusPublisher(stage.broker, "st", "me", clock.LoopClock(), stage.present.items)
    task = asyncio.create_task(made.run())
    try:
        yield stage
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_it_is_written_once_a_second_at_most_and_only_if_it_changed() -> None:
    """Changes within a second are one record."""
    async with publishing() as stage:
        await asyncio.sleep(0.5)
        stage.use(2)
        await asyncio.sleep(0.1)
        stage.use(3)
        await asyncio.sleep(4)
        found = [status.decode(record.value or b"") for record in stage.published]
        assert [one.content.slots_used for one in found if one and isinstance(one.content, status.Cluster)] == [1, 3]


async def test_what_does_not_change_is_written_again_so_that_it_does_not_count_as_stale() -> None:
    """Twice within the time after which a reader gives it up."""
    async with publishing() as stage:
        await asyncio.sleep(25)
        assert len(stage.published) == 3
        times = [found.at_ms for record in stage.published if (found := status.decode(record.value or b""))]
        assert max(after - before for before, after in itertools.pairwise(times)) < status.STALE_MS / 2


async def test_what_is_gone_is_removed_except_a_partition_that_has_its_next_owner() -> None:
    """The next owner may have written the partition's key before we notice that it is gone."""
    async with publishing() as stage:
        stage.present[_PARTITION] = status.Partition(topic="in", partition=0, state="running")
        await asyncio.sleep(2)
        stage.present.clear()
        await asyncio.sleep(2)
        last = {record.key: record.value for record in stage.published}
        assert last[_CLUSTER.encode()] is None
        assert last[_PARTITION.encode()] is not None
        stage.use(1)
        await asyncio.sleep(2)
    assert stage.published[-1].value is None  # removed by the one that leaves


async def test_many_contents_are_described_with_pauses_and_written_at_once() -> None:
    """The event loop does its other work in between; a reader sees all of the same second."""
    asked = 0
    asked_before_other_work: list[int] = []

    def described() -> Iterator[status_publisher.Described]:
        nonlocal asked
        asyncio.get_running_loop().call_soon(lambda: asked_before_other_work.append(asked))
        for number in range(1_000):
            asked += 1
            key = status.cluster_key("me", "mrs", f"c-{number}")
            yield key, status.Cluster(connection="mrs", cluster=f"c-{number}", slots_used=number)

    stage = Stage()
    made = status_publisher.StatusPublisher(stage.broker, "st", "me", clock.LoopClock(), described)
    task = asyncio.create_task(made.run())
    await asyncio.sleep(0.5)
    assert asked_before_other_work[0] <= 100
    assert len(stage.published) == 1_000
    assert len({record.timestamp_ms for record in stage.published}) == 1
    task.cancel()
    await asyncio.wait([task])


async def test_a_topic_that_is_missing_is_said_once_and_found_later() -> None:
    """Nothing else is disturbed, and no topic is made by writing to it."""
    with structlog.testing.capture_logs() as logs:
        async with publishing() as stage:
            stage.broker.drop_topic("st")
            await asyncio.sleep(300)
            assert "st" not in stage.broker.topics
            stage.broker.create_topic("st", 1)
            await asyncio.sleep(70)
            assert stage.published
    said = [log for log in logs if log["event"].startswith("status_")]
    assert [log["event"] for log in said] == ["status_not_published", "status_published_again"]
    assert "`mrs-relay topics create` makes it" in said[0]["error"]


async def test_writes_that_fail_are_tried_again_and_end_nothing() -> None:
    """After them all is written anew, as nobody knows what Kafka has."""
    async with publishing() as stage:
        stage.present[_PARTITION] = status.Partition(topic="in", partition=0, state="running")
        await asyncio.sleep(2)
        stage.broker.fail_writes(1, applied=False, concerns=lambda _outgoing: True)
        stage.use(2)
        await asyncio.sleep(7)
        last = {record.key: status.decode(record.value or b"") for record in stage.published}
        cluster, partition = last[_CLUSTER.encode()], last[_PARTITION.encode()]
        assert cluster is not None
        assert partition is not None
        assert cluster.content == stage.present[_CLUSTER]
        assert cluster.at_ms == partition.at_ms


async def test_a_record_is_bounded_and_says_how_many_there_are() -> None:
    """Long ids and thousands of queues fit, with fewer names."""
    line = [status.InLine("s" * 500, "i" * 500, 5, 1)] * status.FIRST
    queues = [status.Queue(tenant=f"t-{number}", operation="x", waiting=99, line=line) for number in range(2000)]
    made = status.encode_content(status.Cluster(connection="mrs", cluster="c", slots_used=7, queues=queues))
    assert len(made) <= status.MOST_BYTES
    found = status.decode(status.encode(made, at_ms=1, replica="me", epoch_ms=1))
    assert found is not None
    assert isinstance(found.content, status.Cluster)
    assert (found.content.slots_used, found.content.queues[0].waiting) == (7, 99)
    made = status.encode_content(status.Cluster(connection="mrs", cluster="c", queues=queues[:5]))
    found = status.decode(status.encode(made, at_ms=1, replica="me", epoch_ms=1))
    assert found is not None
    assert isinstance(found.content, status.Cluster)
    assert [len(one.line) for one in found.content.queues] == [5] * 5
