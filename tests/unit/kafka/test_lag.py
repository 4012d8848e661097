"""Lag counts what can be read and has not been: neither markers nor aborted records, in the status and at the group."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import runtimes

from mrs_relay.kafka import records
from mrs_relay.kafka.memory import memory_broker, memory_log

pytestmark = pytest.mark.looptime

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_AT = records.Position(runtimes.IN, 0)


def _transaction(cluster: memory_broker.MemoryBroker, count: int, outcome: memory_log.Outcome | None) -> None:
    """Write records of a sender's transaction; None leaves it open."""
    transaction = memory_log.Transaction()
    cluster.log(_AT).append([records.Outgoing(runtimes.IN, b"k", b"v")] * count, 0, transaction)
    if outcome is not None:
        transaction.end(outcome)
    cluster.announce()


@_BOTH
async def test_markers_and_aborted_records_are_no_lag(guarantee: str) -> None:
    """The status says so at once, the group's offset within seconds, and the ledger goes with it."""
    cluster, handler = runtimes.working_cluster(guarantee, partitions=1), runtimes.Counting()
    async with runtimes.running(cluster.kafka, cluster, handler) as work:
        runtimes.feed_in(cluster, 5, partitions=1)
        _transaction(cluster, 1, memory_log.Outcome.COMMITTED)
        _transaction(cluster, 500, memory_log.Outcome.ABORTED)
        await asyncio.sleep(1)
        assert (cluster.log(_AT).end, work.status().partitions[0].lag) == (508, 0)
        await asyncio.sleep(12)
        assert cluster.group.offsets[_AT] == 508
        written = cluster.log(records.Position(runtimes.LEDGER, 0)).end
        await asyncio.sleep(60)
        assert cluster.log(records.Position(runtimes.LEDGER, 0)).end == written

    assert handler.taken[0] == list(range(6))

    handler = runtimes.Counting()
    async with runtimes.running(cluster.kafka, cluster, handler) as work:
        runtimes.feed_in(cluster, 1, partitions=1)
        await asyncio.sleep(1)
        assert (work.status().partitions[0].error, handler.taken) == (None, {0: [508]})


async def test_records_that_wait_or_are_not_committed_are_lag() -> None:
    """Only what is committed counts as done, and an open transaction cannot be read yet."""
    cluster, handler = runtimes.working_cluster(partitions=1), runtimes.Slow()
    handler.think_s = 30.0
    async with runtimes.running(cluster.kafka, cluster, handler) as work:
        runtimes.feed_in(cluster, 5, partitions=1)
        _transaction(cluster, 500, memory_log.Outcome.ABORTED)
        await asyncio.sleep(20)
        assert work.status().partitions[0].lag == 506
        assert cluster.group.offsets.get(_AT, 0) == 0
        await asyncio.sleep(30)
        assert (work.status().partitions[0].lag, cluster.group.offsets[_AT]) == (0, 506)
        _transaction(cluster, 3, None)
        await asyncio.sleep(10)
        assert (work.status().partitions[0].lag, cluster.group.offsets[_AT]) == (0, 506)


@_BOTH
async def test_offset_behind_markers_survives_rebalances_and_trouble(guarantee: str) -> None:
    """Every record is handed out once, whatever is between them and whenever the partition comes back."""
    cluster, handler = runtimes.working_cluster(guarantee, partitions=1), runtimes.Counting()
    async with runtimes.running(cluster.kafka, cluster, handler):
        for number in range(12):
            _transaction(cluster, 2, memory_log.Outcome.COMMITTED)
            _transaction(cluster, 3, memory_log.Outcome.ABORTED)
            await asyncio.sleep(4)
            if number % 3 == 0:
                cluster.rebalance()
        await asyncio.sleep(30)
    assert sorted(set(handler.taken[0])) == [record.offset for record in cluster.committed(runtimes.IN, 0)]
    assert runtimes.counts(cluster) == [24]
