"""Pauses of a connection and of a cluster: how long they hold, and how they end."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.engine import scheduling_fakes

from mrs_relay.engine.model import jobs

pytestmark = pytest.mark.looptime


async def test_held_line_continues_when_the_time_has_come() -> None:
    """A hold of one line stops that line alone, for its time alone."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    scheduling_fakes.full(partition.scheduler, ("a", jobs.SUBMISSION), 10.0)
    assert not partition.enter("j1", "a")
    assert partition.enter("s2", "a", statement=True)
    assert partition.enter("j3", "b")
    await asyncio.sleep(9.9)
    assert partition.admitted == ["s2", "j3"]
    await asyncio.sleep(0.2)
    assert partition.admitted == ["s2", "j3", "j1"]


async def test_hold_of_all_stops_everybody_for_the_longest_time() -> None:
    """A hold of all stops all lines; a shorter one that follows does not shorten it."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    partition.scheduler.pauses.pause(10.0)
    partition.scheduler.pauses.pause(1.0)
    partition.enter("j1", "a")
    partition.enter("s2", "b", statement=True)
    await asyncio.sleep(9.9)
    assert partition.admitted == []
    await asyncio.sleep(0.2)
    assert partition.admitted == ["j1", "s2"]


async def test_holds_end_each_at_its_own_time() -> None:
    """Several holds at once, set in any order, each end when they should: no alarm drowns another."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    for cluster, wait_s in [("c", 30.0), ("a", 10.0), ("d", 40.0), ("b", 20.0)]:
        scheduling_fakes.full(partition.scheduler, (cluster, jobs.SUBMISSION), wait_s)
        partition.enter(f"j{wait_s:.0f}", cluster)
    for passed in range(1, 5):
        await asyncio.sleep(10.002)
        assert partition.admitted == [f"j{number}0" for number in range(1, passed + 1)]


async def test_job_that_was_reported_full_does_not_lift_the_hold() -> None:
    """The job that met the full cluster goes back into the line, and the hold stands for its whole time."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    partition.enter("j1")
    scheduling_fakes.full(partition.scheduler, ("a", jobs.SUBMISSION), 60.0)
    partition.land("j1")
    partition.release("j1", state=jobs.State.QUEUED)
    assert not partition.enter("j1")
    await asyncio.sleep(59)
    assert partition.admitted == ["j1"]
    await asyncio.sleep(2)
    assert partition.admitted == ["j1", "j1"]


async def test_line_that_was_held_sends_one_after_the_other() -> None:
    """
    After "full" a line tries with one job and waits for its outcome; refused once more, it spends no second token.

    A burst would be refused but for the few that find a slot, each refusal a token of a quota that all clusters share.
    """
    quota = scheduling_fakes.Quota()
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(quota=quota))
    scheduling_fakes.full(partition.scheduler, ("a", jobs.SUBMISSION), 15.0)
    for number in range(5):
        partition.enter(f"j{number}")
    await asyncio.sleep(16)

    assert (partition.admitted, quota.spent[jobs.SUBMISSION]) == (["j0"], 1)

    scheduling_fakes.full(partition.scheduler, ("a", jobs.SUBMISSION), 15.0)
    partition.land("j0")
    partition.release("j0", state=jobs.State.QUEUED)

    assert quota.spent[jobs.SUBMISSION] == 1

    await asyncio.sleep(16)
    assert partition.admitted == ["j0", "j1"]

    partition.land("j1")
    assert partition.admitted == ["j0", "j1", "j2"]


async def test_line_that_was_held_is_trusted_again_after_a_minute() -> None:
    """When no call was refused as "full" for a minute, as many go at once as there are slots; other lines always do."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    scheduling_fakes.full(partition.scheduler, ("a", jobs.SUBMISSION), 15.0)
    partition.enter("j1")
    await asyncio.sleep(16)
    assert not partition.enter("j2")
    assert partition.enter("j3", "b")
    assert partition.enter("j4", "b")
    await asyncio.sleep(60)
    assert partition.admitted == ["j1", "j3", "j4", "j2"]
    assert partition.enter("j5")


async def test_hold_of_a_line_does_not_end_a_hold_of_all() -> None:
    """A job that ends gives its cluster room; when all must wait, its cluster waits with them."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    partition.enter("j1")
    partition.scheduler.pauses.pause(60.0)
    partition.enter("j2")
    partition.release("j1")
    assert partition.admitted == ["j1"]
    await asyncio.sleep(61)
    assert partition.admitted == ["j1", "j2"]
