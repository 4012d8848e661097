"""Replicas that share a budget: it is used where work waits, and no minute sees too many calls, whatever fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.support import clocks, quota_fleet

T = TypeVar("T")

_BUSY = 5.0
"""Calls a second that are wanted where work never ends."""

_WARM_UP_S = 120
"""A first coordinator knows after a minute what was spent, and gives what idle ones kept in hand in the next."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run in virtual time."""
    with asyncio.Runner(loop_factory=clocks.virtual_loop) as runner:
        return runner.run(work)


async def _under_load(rates: list[float], seed: int) -> tuple[float, int]:
    async with quota_fleet.Fleet(8, seed) as fleet:
        for rate in rates:
            fleet.add().rate = rate
        await fleet.rebalance()
        await asyncio.sleep(_WARM_UP_S + 4 * 61)
        assert fleet.faults == []
        return fleet.used(_WARM_UP_S, _WARM_UP_S + 4 * 61), fleet.most_in_a_minute()


@settings(max_examples=8, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.lists(st.sampled_from([0.0, 0.02, 0.2, _BUSY]), min_size=0, max_size=7), st.integers(0, 1 << 16))
def test_the_budget_is_used_wherever_the_work_is(others: list[float], seed: int) -> None:
    """One to eight replicas, any distribution of work: about 95 % are used at least, and never more than the limit."""
    rates = [_BUSY, *others]
    random.Random(seed).shuffle(rates)  # noqa: S311 - an order, no secret
    used, most = run(_under_load(rates, seed))
    assert used >= 0.94  # one call more or less in the four windows is half a per cent
    assert most <= quota_fleet.LIMIT


async def _in_trouble(seed: int) -> int:
    """Work, owners, losses, deaths and freezes at random."""
    chance = random.Random(seed)  # noqa: S311 - troubles, no secrets
    lost, slowest_s = chance.choice([0.0, 0.02, 0.2]), chance.choice([0.02, 0.5])
    async with quota_fleet.Fleet(8, seed, lost=lost, slowest_s=slowest_s) as fleet:
        for _ in range(chance.randint(1, 5)):
            fleet.add()
        await fleet.rebalance()
        for _ in range(chance.randint(4, 8)):
            for one in fleet.replicas:
                one.rate = chance.choice([0.0, 0.0, 0.05, 0.3, _BUSY, _BUSY])
            await fleet.trouble()
            await asyncio.sleep(chance.choice([3, 20, 70]))
        assert fleet.faults == []
        return fleet.most_in_a_minute()


@settings(max_examples=10, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 1 << 32))
def test_no_minute_sees_more_than_the_limit_whatever_fails(seed: int) -> None:
    """Lost and late notes, clocks apart, replicas that come, go and stand still, and coordinators that move."""
    assert run(_in_trouble(seed)) <= quota_fleet.LIMIT


async def _hot(fleet: quota_fleet.Fleet, replicas: int, hot: int) -> None:
    for number in range(replicas):
        fleet.add().rate = _BUSY if number == hot else 0.0
    await fleet.rebalance()
    await asyncio.sleep(120)


async def test_what_a_frozen_replica_had_goes_to_the_others_within_a_window() -> None:
    """Its grant ends by itself, and only what it may have called unheard stays set aside for a minute."""

    async def story() -> None:
        async with quota_fleet.Fleet(8, 1) as fleet:
            await _hot(fleet, 4, 2)
            frozen, heir = fleet.replicas[2], fleet.replicas[3]
            frozen.thawed.clear()
            heir.rate = _BUSY
            begin_s = asyncio.get_running_loop().time()
            await asyncio.sleep(45)
            await fleet.rebalance()
            await asyncio.sleep(555)
            assert fleet.used(begin_s, begin_s + 600) >= 0.95
            assert fleet.most_in_a_minute() <= quota_fleet.LIMIT

    await asyncio.to_thread(run, story())


@pytest.mark.parametrize("hot", [0, 3])
async def test_a_frozen_coordinator_leaves_static_shares_until_the_group_moves_on(hot: int) -> None:
    """Each replica may spend exactly its partitions' part then."""

    async def story() -> None:
        async with quota_fleet.Fleet(8, 1) as fleet:
            await _hot(fleet, 4, hot)
            fleet.replicas[0].thawed.clear()
            heir = fleet.replicas[3]
            heir.rate = _BUSY
            begin_s = asyncio.get_running_loop().time()
            await asyncio.sleep(120)
            late = sum(begin_s + 60 <= moment < begin_s + 120 for moment in heir.calls)
            assert 14 <= late <= 15
            await fleet.rebalance()
            await asyncio.sleep(180)
            now_s = asyncio.get_running_loop().time()
            assert fleet.used(now_s - 90, now_s) >= 0.95
            assert fleet.most_in_a_minute() <= quota_fleet.LIMIT

    await asyncio.to_thread(run, story())


async def test_a_broker_that_keeps_no_notes_leaves_static_shares() -> None:
    """Found out by reading one's own note, within seconds."""

    async def story() -> None:
        async with quota_fleet.Fleet(4, 1) as fleet:
            fleet.group.keeps_notes = False
            for _ in range(4):
                fleet.add().rate = _BUSY
            await fleet.rebalance()
            await asyncio.sleep(130)
            assert [14 <= sum(70 <= one < 130 for one in replica.calls) <= 15 for replica in fleet.replicas] == [
                True
            ] * 4
            assert fleet.most_in_a_minute() <= quota_fleet.LIMIT

    await asyncio.to_thread(run, story())


async def test_a_429_stops_all_replicas() -> None:
    """The coordinator gets the report, and no replica calls before the wait is over."""

    async def story() -> None:
        async with quota_fleet.Fleet(4, 1) as fleet:
            for _ in range(4):
                fleet.add().rate = _BUSY
            await fleet.rebalance()
            await asyncio.sleep(100)
            begin_s = asyncio.get_running_loop().time()
            fleet.replicas[2].budget.hold(30.0)
            await asyncio.sleep(60)
            assert [one for one in fleet.calls if begin_s + 4 < one < begin_s + 29] == []
            assert [one for one in fleet.calls if begin_s + 33 < one < begin_s + 45] != []

    await asyncio.to_thread(run, story())
