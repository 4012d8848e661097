"""An unreadable batch stops the messages behind it: not the jobs of its partition, not its neighbours."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.kafka import broker, partition_worker, records, runtime, topic_io
from mrs_relay.kafka.memory import memory_broker, memory_topic_io

pytestmark = pytest.mark.looptime

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_REASON = "it is compressed with codec 5"


def _spoil(cluster: memory_broker.MemoryBroker, topic: str, partition: int, first: int, next_offset: int) -> None:
    cluster.log(records.Position(topic, partition)).spoil(first, next_offset, _REASON)


@_BOTH
async def test_unreadable_batch_stops_its_partition_and_names_it(guarantee: str) -> None:
    """What stands before it and all of the neighbours is done; state and reason are shown, and Kafka is not blamed."""
    cluster, handler = runtimes.working_cluster(guarantee), runtimes.Counting()
    runtimes.feed_in(cluster, 40)
    _spoil(cluster, runtimes.IN, 1, 4, 6)

    with structlog.testing.capture_logs() as logs:
        async with runtimes.running(cluster.kafka, cluster, handler) as work:
            await asyncio.sleep(120)
            status = work.status()
            # Commits of what is under way continue: jobs need no new messages.
            await handler.leases[1][0].commit([records.Change(b"job", b"ended")], [])

    assert (handler.taken[1], handler.taken[2], len(handler.leases[1])) == ([0, 1, 2, 3], list(range(10)), 1)
    assert [one.state.value for one in status.partitions] == ["running", "unreadable", "running", "running"]
    assert status.partitions[1].error == f"the batch at offsets 4 to 5 of in-1 cannot be read: {_REASON}"
    assert (status.partitions[1].lag, status.ready, status.connected, status.error) == (6, True, True, None)

    logged = [entry for entry in logs if entry["event"] == "partition_unreadable"]
    assert [(entry["partition"], entry["first"], entry["next_offset"]) for entry in logged] == [(1, 4, 6)]
    assert "records_not_polled" not in {entry["event"] for entry in logs}


async def test_unreadable_batch_is_met_again_after_a_rebalance_and_gone_when_it_was_removed() -> None:
    """Whoever owns the partition next says the same, until the batch is removed from the topic."""
    cluster, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    runtimes.feed_in(cluster, 10, partitions=1)
    _spoil(cluster, runtimes.IN, 0, 4, 6)

    async with runtimes.running(cluster.kafka, cluster, handler) as work:
        await asyncio.sleep(5)
        cluster.rebalance()
        await asyncio.sleep(20)
        assert work.status().partitions[0].state is partition_worker.State.UNREADABLE
        cluster.log(records.Position(runtimes.IN, 0))._spoilt.clear()
        cluster.rebalance()
        await asyncio.sleep(20)
        assert (work.status().partitions[0].state, work.status().partitions[0].error) == (
            partition_worker.State.RUNNING,
            None,
        )

    assert (handler.taken[0], len(handler.leases[0])) == (list(range(10)), 1)


async def test_ledger_that_was_repaired_is_read_again_after_a_rebalance() -> None:
    """A person who has repaired it need not restart the process."""
    cluster, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    runtimes.feed_in(cluster, 10, partitions=1)
    async with runtimes.running(cluster.kafka, cluster, handler):
        await asyncio.sleep(5)
    _spoil(cluster, runtimes.LEDGER, 0, 1, 3)
    async with runtimes.running(cluster.kafka, cluster, handler) as work:
        await asyncio.sleep(5)
        assert work.status().partitions[0].state is partition_worker.State.UNREADABLE
        cluster.log(records.Position(runtimes.LEDGER, 0))._spoilt.clear()
        cluster.rebalance()
        await asyncio.sleep(20)
        assert work.status().partitions[0].state is partition_worker.State.RUNNING


@_BOTH
async def test_batch_that_was_given_up_is_one_record_without_content(guarantee: str) -> None:
    """Only the batch that the setting names is passed over, once; the next one stops the partition as before."""
    cluster = runtimes.working_cluster(guarantee, partitions=1, skip_unreadable=["0@4", "1@8"])
    handler = _Seeing()
    runtimes.feed_in(cluster, 10, partitions=1)
    _spoil(cluster, runtimes.IN, 0, 4, 6)
    _spoil(cluster, runtimes.IN, 0, 8, 9)

    with structlog.testing.capture_logs() as logs:
        async with runtimes.running(cluster.kafka, cluster, handler) as work:
            await asyncio.sleep(10)
            assert work.status().partitions[0].state is partition_worker.State.UNREADABLE

    assert [(one.offset, one.value, one.unreadable) for one in handler.seen[3:6]] == [
        (3, b"v", None),
        (5, None, f"the batch at offsets 4 to 5 of in-0 cannot be read: {_REASON}"),
        (6, b"v", None),
    ]
    assert handler.seen[-1].offset == 7
    assert [entry["event"] for entry in logs].count("batch_skipped") == 1


class _Seeing(runtimes.Counting):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[records.Record] = []

    async def __call__(self, lease: object) -> None:
        take = lease.inbox.take  # type: ignore[attr-defined]

        async def seen(*args: object) -> object:
            batch = await take(*args)
            self.seen.extend(batch.records)
            return batch

        lease.inbox.take = seen  # type: ignore[attr-defined]
        await super().__call__(lease)  # type: ignore[arg-type]


async def test_ledger_that_cannot_be_read_stops_its_partition_alone() -> None:
    """A restore never continues without a part of the ledger."""
    cluster, handler = runtimes.working_cluster(partitions=2), runtimes.Counting()
    async with runtimes.running(cluster.kafka, cluster, handler):
        runtimes.feed_in(cluster, 10, partitions=2)
        await asyncio.sleep(1)
    _spoil(cluster, runtimes.LEDGER, 0, 2, 3)
    handler = runtimes.Counting()
    async with runtimes.running(cluster.kafka, cluster, handler) as work:
        await asyncio.sleep(1)
        found = work.status().partitions
    assert [one.state for one in found] == [partition_worker.State.UNREADABLE, partition_worker.State.RUNNING]
    assert found[0].error == f"the batch at offset 2 of in.ledger-0 cannot be read: {_REASON}"
    assert sorted(handler.leases) == [1]


async def test_readers_of_topics_say_what_cannot_be_read() -> None:
    """People and tools get what stands before it, then the reason."""
    cluster = runtimes.working_cluster(partitions=1)
    runtimes.feed_in(cluster, 10, partitions=1)
    _spoil(cluster, runtimes.IN, 0, 4, 6)
    reading = topic_io.read_all(memory_topic_io.MemoryTopicClient(cluster), runtimes.IN)
    assert [(await anext(reading)).offset for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(broker.BatchUnreadable, match=r"offsets 4 to 5 of in-0") as raised:
        await anext(reading)
    assert isinstance(raised.value, errors.StateUnreadable)


async def test_records_read_of_others_survive_an_unreadable_neighbour() -> None:
    """Also when they are many and the poll hands out few at a time."""
    cluster, handler = runtimes.working_cluster(), runtimes.Counting()
    runtimes.feed_in(cluster, 8000)
    for number in range(3):
        _spoil(cluster, runtimes.IN, number, 0, 5)
    work = runtime.Runtime(cluster.kafka, cluster, handler, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(work.run())
        await asyncio.sleep(30)
        work.stop()
    assert handler.taken == {3: list(range(2000))}
