"""Slots, order, quota and holds: who may submit next."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from tests.unit.engine import scheduling_fakes

from mrs_relay.engine.model import jobs

pytestmark = pytest.mark.looptime


async def test_no_more_than_the_slots_of_a_cluster_are_let_through() -> None:
    """A cluster's slots bound its jobs; each slot given back lets one more through."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=2))
    assert [partition.enter(f"j{number}") for number in range(4)] == [True, True, False, False]
    assert (scheduling_fakes.waiting(partition.scheduler), scheduling_fakes.in_flight(partition.scheduler)) == (2, 2)
    partition.land("j0")
    assert partition.admitted == ["j0", "j1"]
    partition.release("j0")
    assert partition.admitted == ["j0", "j1", "j2"]
    partition.release("j1")
    partition.release("j1")
    assert partition.admitted == ["j0", "j1", "j2", "j3"]
    assert scheduling_fakes.waiting(partition.scheduler) == 0


async def test_slots_of_one_cluster_are_not_those_of_another() -> None:
    """A full cluster holds up nobody else."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    assert partition.enter("j1", "a")
    assert not partition.enter("j2", "a")
    assert partition.enter("j3", "b")


async def test_slots_are_counted_over_all_partitions() -> None:
    """Partitions of one process share the slots; each gives back only its own."""
    scheduler = scheduling_fakes.open_scheduler(slots=1)
    one, two = scheduling_fakes.Partition(scheduler), scheduling_fakes.Partition(scheduler)
    assert one.enter("j1")
    assert not two.enter("j1")
    two.release("j1")
    assert two.admitted == []
    one.release("j1")
    assert two.admitted == ["j1"]


async def test_no_limit_of_slots_means_none() -> None:
    """With slots 0, only MRS says when a cluster is full."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=0, intents=1000))
    assert all(partition.enter(f"j{number}") for number in range(500))


async def test_statement_takes_no_slot() -> None:
    """Statements pass a cluster whose slots are all taken, and take none."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    assert partition.enter("s1", statement=True)
    assert partition.enter("s2", statement=True)
    assert partition.enter("j1")
    assert partition.enter("s3", statement=True)
    partition.release("s1", statement=True)
    assert not partition.enter("j2")


async def test_jobs_of_both_apis_share_the_slots_of_their_cluster() -> None:
    """A slot given back by a job of one API lets the next one through, of either; quotas are apart."""
    quota = scheduling_fakes.Quota()
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=2, quota=quota))
    assert partition.enter("j1")
    assert partition.enter("o2", api="v1.1")
    assert not partition.enter("j3")
    assert not partition.enter("o4", api="v1.1")
    partition.release("j1")
    partition.release("o2", api="v1.1")
    assert partition.admitted == ["j1", "o2", "j3", "o4"]
    partition.release("j3")
    assert partition.enter("o5", api="v1.1")
    assert not partition.enter("j6")
    partition.release("o5", api="v1.1")
    assert partition.admitted[-1] == "j6"
    assert quota.spent == {"CreateExecuteJob": 3, "CreateAndExecuteJob": 3}


async def test_load_of_a_cluster_counts_jobs_of_both_apis() -> None:
    """Who chooses a cluster by its free slots must see all that takes them."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    assert partition.enter("o1", api="v1.1")
    assert not partition.enter("j2")
    assert not partition.enter("o3", api="v1.1")
    assert (partition.scheduler.load("a"), partition.scheduler.load("b")) == ((1, 2), (0, 0))


async def test_restored_job_of_the_other_api_holds_its_slot() -> None:
    """Whatever was taken over counts, by the API that the ledger names."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    partition.scheduler.occupy(*scheduling_fakes.keyed(scheduling_fakes.job("o1", api="v1.1")), partition)
    assert not partition.enter("j2")
    partition.release("o1", api="v1.1")
    assert partition.admitted == ["j2"]


async def test_job_that_ends_makes_room_for_the_other_api_too() -> None:
    """A cluster that said it was full has room again, whichever API was told so."""
    scheduler = scheduling_fakes.open_scheduler(slots=0)
    partition = scheduling_fakes.Partition(scheduler)
    assert partition.enter("o1", api="v1.1")
    scheduling_fakes.full(scheduler, ("a", "CreateExecuteJob"), 1000.0)
    assert not partition.enter("j2")
    partition.release("o1", api="v1.1")
    assert partition.admitted == ["o1", "j2"]


async def test_restored_job_holds_its_slot() -> None:
    """Jobs under way before a restart count, also beyond the limit; statements do not."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    partition.scheduler.occupy(*scheduling_fakes.keyed(scheduling_fakes.job("j1")), partition)
    partition.scheduler.occupy(*scheduling_fakes.keyed(scheduling_fakes.job("j2")), partition)
    partition.scheduler.occupy(*scheduling_fakes.keyed(scheduling_fakes.job("s1", statement=True)), partition)
    assert not partition.enter("j3")
    partition.release("j1")
    assert partition.admitted == []
    partition.release("j2")
    assert partition.admitted == ["j3"]


async def test_higher_priority_goes_first_then_arrival() -> None:
    """Within a line: priority, then arrival, then offset; whoever comes later never passes an equal."""
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
    """Without a token nobody goes; as soon as there is one, the next goes, and not a token more is spent."""
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


async def test_held_line_goes_on_when_the_time_has_come() -> None:
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


async def test_job_that_ends_makes_room_on_a_full_cluster() -> None:
    """MRS said that the cluster is full: one of our jobs there that ends means room, without waiting any longer."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    partition.enter("j1")
    partition.land("j1")
    scheduling_fakes.full(partition.scheduler, ("a", jobs.SUBMISSION), 60.0)
    partition.enter("j2")
    partition.release("j1")
    assert partition.admitted == ["j1", "j2"]


async def test_job_that_was_told_full_does_not_lift_the_hold() -> None:
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
    """When nobody was told "full" for a minute, as many go at once as there are slots; other lines always do."""
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


async def test_nothing_is_kept_of_places_where_nobody_is() -> None:
    """A scheduler that has seen many clusters keeps only those where somebody waits or works."""
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


async def test_a_place_that_nobody_uses_any_more_takes_no_memory() -> None:
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
