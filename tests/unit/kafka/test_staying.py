"""Members read on through a rebalance, and hand over what moves."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import runtimes

from mrs_relay.common import clock
from mrs_relay.kafka import runtime

pytestmark = pytest.mark.looptime

_REBALANCED_S = 12.0  # heartbeats, joining and restoring


def _deaf(delay_s: float) -> None:
    """Notice no rebalance."""
    del delay_s


async def test_rebalance_that_waits_for_a_member_stops_nobody() -> None:
    """With transactions all go on with what they have until the new shares are known, and what was allowed stays so."""
    broker, handler, other = runtimes.working_cluster(), runtimes.Counting(), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work, runtimes.running(broker.kafka, broker, other):
        await asyncio.sleep(_REBALANCED_S)
        hung = broker.group.members[1]
        hung.notice = _deaf  # type: ignore[method-assign] # it hangs
        held = handler.leases[0][-1]
        before = held.act_epoch
        broker.rebalance()

        for _ in range(20):
            runtimes.feed_in(broker, 4)
            await asyncio.sleep(1)

        assert [len(handler.taken[partition]) for partition in (0, 1)] == [20, 20]
        assert (work.status().ready, work.membership, held.may_act(before)) == (True, None, True)

        del hung.notice
        await asyncio.sleep(20)  # it is thrown out, and comes back
        assert work.membership is not None

    assert [len(handler.leases[partition]) for partition in range(2)] == [1, 1]
    assert (runtimes.counts(broker), len(set(runtimes.events(broker)))) == ([20] * 4, len(runtimes.events(broker)))


@pytest.mark.parametrize(("think_s", "commits"), [(3.0, 1), (60.0, 0)], ids=["in time", "too slow"])
async def test_partition_that_goes_to_a_newcomer_finishes_what_it_holds(think_s: float, commits: int) -> None:
    """No member has it until then, or until its owner has had enough time; nothing is done twice."""
    broker, slow, quick = runtimes.working_cluster(partitions=2), runtimes.Slow(), runtimes.Slow()
    slow.think_s = think_s
    async with runtimes.running(broker.kafka, broker, slow):
        await asyncio.sleep(1)
        for partition in range(2):
            broker.put(runtimes.IN, partition, b"a%d" % partition, b"v")
        async with runtimes.running(broker.kafka, broker, quick):
            await asyncio.sleep(_REBALANCED_S)
            assert [lease.partition for lease in quick.leases[1]] == [1]
            await asyncio.sleep(60)
        moved = [value for value in runtimes.events(broker) if value[0] == b"a1"]
        assert (len(moved), len([one for one in slow.acted if one[0] == 1])) == (1, commits)
        assert len([one for one in quick.acted if one[0] == 1]) == 1 - commits


async def test_partition_that_comes_back_while_it_is_handed_over_is_read_on() -> None:
    """The newcomer leaves again; the former work on the partition ends late, and must not stop what follows it."""
    broker, slow, newcomer = runtimes.working_cluster(partitions=2, revoke_drain_s=10), runtimes.Slow(), runtimes.Slow()
    slow.think_s = 9.5
    async with runtimes.running(broker.kafka, broker, slow):
        await asyncio.sleep(1)
        came = asyncio.create_task(runtime.Runtime(broker.kafka, broker, newcomer, clock.LoopClock()).run())
        await asyncio.sleep(1)
        broker.put(runtimes.IN, 1, b"a", b"v")
        await asyncio.sleep(1)
        came.cancel()
        await asyncio.wait([came])
        await asyncio.sleep(15)
        broker.put(runtimes.IN, 1, b"b", b"v")
        await asyncio.sleep(30)

    assert len(slow.leases[1]) == 2
    assert runtimes.events(broker) == [(b"a", b"v"), (b"b", b"v")]


async def test_partition_that_fails_in_a_rebalance_is_restored_after_it() -> None:
    """Its claim would take it from the member that has got it meanwhile."""
    broker, handler, other = runtimes.working_cluster(), runtimes.Counting(), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler), runtimes.running(broker.kafka, broker, other):
        await asyncio.sleep(_REBALANCED_S)
        broker.group.members[1].notice = _deaf  # type: ignore[method-assign] # it hangs
        broker.rebalance()
        await asyncio.sleep(5)
        held = len(handler.leases[0])
        broker.fail_writes(applied=False)
        broker.put(runtimes.IN, 0, b"a", b"v")
        await asyncio.sleep(15)
        assert len(handler.leases[0]) == held
        await asyncio.sleep(20)  # the other one is thrown out
        assert len(handler.leases[0]) == held + 1
    assert runtimes.counts(broker)[0] == 1


async def test_member_that_loses_its_place_while_the_group_waits_parks_its_partitions() -> None:
    """From then on others may have them."""
    broker, handler, other = runtimes.working_cluster(), runtimes.Counting(), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler), runtimes.running(broker.kafka, broker, other):
        await asyncio.sleep(_REBALANCED_S)
        broker.group.members[1].notice = _deaf  # type: ignore[method-assign] # it hangs
        held = handler.leases[0][-1]
        broker.rebalance()
        await asyncio.sleep(5)
        assert held.may_act()
        broker.evict()
        await asyncio.sleep(5)
        assert not held.may_act()
