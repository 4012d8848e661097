"""Slots of clusters: counted over partitions and APIs, restored, and freed."""

from __future__ import annotations

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
    """A full cluster delays no other cluster."""
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
    """A cluster that said it was full has room again, whichever API said so."""
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


async def test_job_that_ends_makes_room_on_a_full_cluster() -> None:
    """MRS said that the cluster is full: one of our jobs there that ends means room, without waiting any longer."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    partition.enter("j1")
    partition.land("j1")
    scheduling_fakes.full(partition.scheduler, ("a", jobs.SUBMISSION), 60.0)
    partition.enter("j2")
    partition.release("j1")
    assert partition.admitted == ["j1", "j2"]
