"""Budgets in virtual time: even, a little below the documented limits, and stopped as a whole by a 429."""

from __future__ import annotations

import asyncio
import bisect
import itertools

import pytest

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.mrs import limits, operation
from mrs_relay.mrs.operations import clusters, jobs

pytestmark = pytest.mark.looptime

WRITE, READ, UNDOCUMENTED = jobs.CREATE_EXECUTE_JOB, jobs.SHOW_SINGLE_JOB_EXE, clusters.LIST_CLUSTERS


def _limits(*, enabled: bool = True) -> limits.Limits:
    return limits.Limits(clock.LoopClock(), enabled=enabled)


async def _spend(budget: limits.Limits, wanted: operation.AnyOperation, seconds: float) -> list[float]:
    """Return when calls went out, if there was always another one waiting."""
    now_s = asyncio.get_running_loop().time
    end_s = now_s() + seconds
    times: list[float] = []
    while now_s() < end_s:
        if wait_s := budget.try_acquire(wanted):
            await asyncio.sleep(wait_s)
        else:
            times.append(now_s())
    return times


def _most_in_a_minute(times: list[float]) -> int:
    return max(bisect.bisect_left(times, start + 60.0) - number for number, start in enumerate(times))


@pytest.mark.parametrize(("wanted", "limit"), [(WRITE, 60), (READ, 1000), (UNDOCUMENTED, 200)])
async def test_a_budget_is_nearly_used_up_and_never_exceeded(wanted: operation.AnyOperation, limit: int) -> None:
    """While work waits, 95 % of each minute is used at least; no minute, whenever it starts, sees more than it may."""
    times = await _spend(_limits(), wanted, 240.0)
    assert _most_in_a_minute(times) <= limit
    assert len([moment for moment in times if moment >= 60.0]) / 3 >= limit * 0.95


async def test_writes_go_one_by_one() -> None:
    """Writes do not bunch up, not even after a pause: the next is due a second after the last."""
    budget = _limits()
    await asyncio.sleep(300.0)
    times = await _spend(budget, WRITE, 10.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= 1.0


async def test_reads_may_bunch_up_a_little_after_a_pause() -> None:
    """A list of twenty pages goes at once, the next page must wait for its turn."""
    budget = _limits()
    assert [budget.try_acquire(READ) for _ in range(20)] == [0.0] * 20
    assert 0.0 < budget.try_acquire(READ) < 0.1


async def test_each_operation_has_a_budget_of_its_own() -> None:
    """MRS counts by operation: submissions do not eat up the kills."""
    budget = _limits()
    assert budget.try_acquire(WRITE) == 0.0
    assert budget.try_acquire(WRITE) > 0.0
    assert budget.try_acquire(jobs.STOP_JOB) == 0.0


async def test_a_refused_try_takes_nothing() -> None:
    """Asking too early does not move the next turn away."""
    budget = _limits()
    budget.try_acquire(WRITE)
    waits = {budget.try_acquire(WRITE) for _ in range(100)}
    assert len(waits) == 1
    await asyncio.sleep(waits.pop())
    assert budget.try_acquire(WRITE) == 0.0


@pytest.mark.parametrize(("share", "most"), [(0.5, 30), (0.25, 15), (0.1, 6)])
async def test_a_replica_spends_its_share_only(share: float, most: int) -> None:
    """Replicas share a budget without talking: each spends its part of it."""
    budget = _limits()
    budget.set_share(share)
    times = await _spend(budget, WRITE, 600.0)
    assert _most_in_a_minute(times) <= most
    assert len(times) / 10 >= most * 0.95


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1])
async def test_a_share_outside_its_range_is_an_error(share: float) -> None:
    """Nothing and more than everything are no shares."""
    with pytest.raises(ValueError, match="share"):
        _limits().set_share(share)


async def test_those_who_wait_go_in_the_order_in_which_they_came() -> None:
    """No caller overtakes another: turns are given out when they are asked for."""
    budget = _limits()
    went: list[tuple[int, float]] = []

    async def wait(number: int) -> None:
        await budget.acquire(WRITE, 60.0)
        went.append((number, asyncio.get_running_loop().time()))

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(wait(number))
    assert [number for number, _ in went] == list(range(10))
    moments = [moment for _, moment in went]
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(moments))


async def test_a_wait_longer_than_the_timeout_is_refused_at_once() -> None:
    """A caller that cannot get a turn in time gets the time that it would take, and takes nothing from the budget."""
    budget = _limits()
    for _ in range(3):
        await budget.acquire(WRITE, 60.0)
    before_s = asyncio.get_running_loop().time()
    with pytest.raises(errors.MrsThrottled, match="nothing was sent") as caught:
        await budget.acquire(WRITE, 0.5)
    assert asyncio.get_running_loop().time() == before_s
    assert 0.5 < caught.value.retry_after_s <= 1.1
    assert budget.try_acquire(WRITE) == pytest.approx(caught.value.retry_after_s)


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_hold_stops_every_operation_until_it_ends(enabled: bool) -> None:
    """A 429 slows the whole connection, budgets or not; a shorter hold does not end a longer one."""
    budget = _limits(enabled=enabled)
    budget.hold(30.0)
    budget.hold(5.0)
    assert budget.held_s == 30.0
    assert [budget.try_acquire(each) for each in (WRITE, READ, UNDOCUMENTED)] == [30.0] * 3
    await budget.acquire(READ, 60.0)
    assert asyncio.get_running_loop().time() == pytest.approx(30.0)
    assert budget.held_s == 0.0


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_hold_that_comes_while_waiting_is_obeyed(enabled: bool) -> None:
    """Who waits for a turn when the 429 arrives waits for its end as well, or is refused in time."""
    budget = _limits(enabled=enabled)
    await budget.acquire(WRITE, 60.0)
    budget.hold(0.5)
    async with asyncio.TaskGroup() as group:
        patient = group.create_task(budget.acquire(WRITE, 60.0))
        hasty = group.create_task(_throttled(budget, 5.0))
        await asyncio.sleep(0.2)
        budget.hold(20.0)
    assert patient.done()
    assert asyncio.get_running_loop().time() == pytest.approx(20.2)
    assert hasty.result() is True


async def _throttled(budget: limits.Limits, timeout_s: float) -> bool:
    try:
        await budget.acquire(WRITE, timeout_s)
    except errors.MrsThrottled:
        return True
    return False


async def test_without_budgets_everything_goes_at_once() -> None:
    """Turned off, nothing is counted."""
    budget = _limits(enabled=False)
    assert {budget.try_acquire(WRITE) for _ in range(1000)} == {0.0}
    await budget.acquire(WRITE, 0.0)
