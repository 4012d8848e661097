"""Slots, order, quota and holds: who may submit next."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from tests.unit.engine import scheduling_fakes

from mrs_relay.engine.model import jobs

pytestmark = pytest.mark.looptime


async def test_higher_priority_goes_first_then_arrival() -> None:
    """Within a line: priority, then arrival, then offset; a later entry never passes an equal one."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    partition.enter("j0")
    for request_id, priority, arrived_ms in [("j5", 5, 9), ("j4", 5, 9), ("j3", 0, 1), ("j2", 9, 9), ("j1", 5, 8)]:
        partition.enter(request_id, priority=priority, arrived_ms=arrived_ms)
    for previous in range(5):
        partition.release(partition.admitted[previous])
    assert partition.admitted == ["j0", "j2", "j1", "j4", "j5", "j3"]


async def test_newcomer_waits_behind_those_who_wait() -> None:
    """A free slot is never taken past a entry that waits in the same line."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=2))
    scheduling_fakes.full(partition.scheduler, ("a", jobs.SUBMISSION), 5.0)
    assert not partition.enter("j1")
    assert not partition.enter_at_once("j2")
    await asyncio.sleep(6)
    assert partition.admitted == ["j1"]
    partition.land("j1")
    assert partition.enter_at_once("j2")


async def test_entry_that_gets_no_turn_at_once_is_not_kept() -> None:
    """`enter_at_once` leaves nothing behind when it says no."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    assert partition.enter_at_once("j1")
    assert not partition.enter_at_once("j2")
    partition.release("j1")
    assert (partition.admitted, scheduling_fakes.waiting(partition.scheduler)) == ([], 0)


async def test_no_more_than_the_limit_are_in_flight() -> None:
    """Submissions in flight are bounded over all clusters and statements; one that lands lets the next one go."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(intents=2))
    assert partition.enter("j1", "a")
    assert partition.enter("s2", "b", statement=True)
    assert not partition.enter("j3", "c")
    assert not partition.enter("s4", "d", statement=True)
    partition.land("j1")
    assert scheduling_fakes.in_flight(partition.scheduler) == 2
    partition.land("s2")
    assert partition.admitted == ["j1", "s2", "j3", "s4"]


async def test_landing_twice_frees_one_place() -> None:
    """Only a submission in flight can land."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(intents=1))
    partition.enter("j1")
    partition.enter("j2")
    partition.enter("j3")
    partition.land("j1")
    partition.land("j1")
    partition.land("j9")
    assert partition.admitted == ["j1", "j2"]


@pytest.mark.parametrize("limit", ["in flight", "quota"])
async def test_lines_take_turns(limit: str) -> None:
    """Where all lines wait for the same thing, each gets its turn: a long line never starves a short one."""
    quota = scheduling_fakes.Quota(rate=1.0) if limit == "quota" else None
    partition = scheduling_fakes.Partition(
        scheduling_fakes.open_scheduler(slots=0, intents=1 if limit == "in flight" else 99, quota=quota)
    )
    partition.enter("x0", "x")
    for number, cluster in itertools.product(range(1, 5), "abc"):
        partition.enter(f"{cluster}{number}", cluster)
    for _ in range(12):
        if limit == "in flight":
            partition.land(partition.admitted[-1])
        await asyncio.sleep(1.01)
    assert "".join(partition.admitted) == "x0a1b1c1a2b2c2a3b3c3a4b4c4"


async def test_quota_paces_submissions() -> None:
    """Without a token no entry is admitted; as soon as there is one, the next is, and not a token more is spent."""
    quota = scheduling_fakes.Quota(rate=0.5, burst=2)
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(quota=quota))
    loop = asyncio.get_running_loop()
    assert [partition.enter(f"j{number}") for number in range(5)] == [True, True, False, False, False]
    times: list[int] = []
    while len(times) < 3:
        before = len(partition.admitted)
        await asyncio.sleep(0.1)
        times += [round(loop.time())] * (len(partition.admitted) - before)
    assert times == [2, 4, 6]
    assert quota.spent == {jobs.SUBMISSION: 5}


async def test_quota_of_statements_is_their_own() -> None:
    """Statements go while jobs wait for quota, and the other way round."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(quota=scheduling_fakes.Quota(rate=0.01)))
    assert partition.enter("j1")
    assert not partition.enter("j2")
    assert partition.enter("s3", statement=True)
    assert not partition.enter("s4", statement=True)


async def test_quota_is_spent_only_by_those_who_go() -> None:
    """A line without a slot or under a hold spends nothing."""
    quota = scheduling_fakes.Quota()
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1, quota=quota))
    partition.enter("j1")
    partition.enter("j2")
    scheduling_fakes.full(partition.scheduler, ("b", jobs.SUBMISSION), 9.0)
    partition.enter("j3", "b")
    assert quota.spent == {jobs.SUBMISSION: 1}


async def test_partition_that_leaves_takes_everything_with_it() -> None:
    """Entrys, slots and places in flight of a lost partition are free at once, for those who stay."""
    scheduler = scheduling_fakes.open_scheduler(slots=1, intents=2)
    leaving, staying = scheduling_fakes.Partition(scheduler), scheduling_fakes.Partition(scheduler)
    leaving.enter("j1", "a")
    leaving.scheduler.occupy(*scheduling_fakes.keyed(scheduling_fakes.job("j2", "b")), leaving)
    leaving.enter("s3", "c", statement=True)
    leaving.enter("j4", "a")
    for request_id, cluster in [("j5", "a"), ("j6", "b")]:
        assert not staying.enter(request_id, cluster)
    scheduler.leave(leaving)
    assert sorted(staying.admitted) == ["j5", "j6"]
    assert leaving.admitted == ["j1", "s3"]
    assert (scheduling_fakes.waiting(scheduler), scheduling_fakes.in_flight(scheduler)) == (0, 2)


async def test_late_word_of_a_partition_that_left_is_ignored() -> None:
    """What a lost partition still says changes nothing for others."""
    scheduler = scheduling_fakes.open_scheduler(slots=1, intents=1)
    leaving, staying = scheduling_fakes.Partition(scheduler), scheduling_fakes.Partition(scheduler)
    leaving.enter("j1")
    scheduler.leave(leaving)
    assert staying.enter("j2")
    leaving.land("j1")
    leaving.release("j1")
    assert not staying.enter("j3")


async def test_nothing_is_kept_of_places_without_entries() -> None:
    """A scheduler that has seen many clusters keeps only those with entries that wait or work."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(intents=10_000))
    for number in range(1000):
        partition.enter(f"j{number}", f"c{number}")
        partition.enter(f"s{number}", f"c{number}", statement=True)
    for number in range(1000):
        partition.release(f"j{number}", f"c{number}")
        partition.release(f"s{number}", f"c{number}", statement=True)
        partition.land(f"j{number}")
        partition.land(f"s{number}")
    assert len(partition.scheduler._admission.clusters) == 0
    assert not any(partition.scheduler._queue._open.values())


async def test_closed_gate_leaves_no_alarm() -> None:
    """After `close` no timer of the scheduler rings."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    partition.scheduler.pauses.pause(5.0)
    partition.enter("j1")
    partition.scheduler.close()
    partition.scheduler.close()
    await asyncio.sleep(10)
    assert partition.admitted == []


async def test_entry_carries_the_order_of_its_job() -> None:
    """An entry's rank is priority first, then arrival, then offset."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    ranks = [
        scheduling_fakes.entry(
            scheduling_fakes.job("j", priority=priority, arrived_ms=arrived_ms, order=order), partition
        )
        for priority, arrived_ms, order in [(9, 9, 9), (5, 1, 7), (5, 1, 8), (5, 2, 1), (0, 0, 0)]
    ]
    assert sorted(ranks[place] for place in (3, 1, 4, 0, 2)) == ranks


async def test_an_unused_place_takes_no_memory() -> None:
    """Each cluster that is ever deleted is a place of its own, and only for a moment."""
    scheduler = scheduling_fakes.open_scheduler()
    partition = scheduling_fakes.Partition(scheduler)
    for number in range(50):
        deletion = jobs.Call("DeleteCluster", {"cluster_id": f"c{number}"})
        going = scheduling_fakes.job(f"r{number}", f"c{number}", subject="cluster", work=deletion)
        assert scheduler.enter_at_once(scheduling_fakes.entry(going, partition))
        partition.land(f"r{number}")
        partition.release(f"r{number}", f"c{number}", subject="cluster", work=None)
        partition.withdraw(f"r{number}")
    assert scheduler._admission.clusters == {}
