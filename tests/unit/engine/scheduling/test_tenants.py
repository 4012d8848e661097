"""Several tenants at one scheduler: they take turns for quota and for slots, and each keeps its own limits."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.engine import scheduling_fakes

pytestmark = pytest.mark.looptime


async def test_tenants_take_turns_for_quota_however_many_lines_they_have() -> None:
    """One tenant waits for five clusters, the other for one: each gets every second token."""
    scheduler = scheduling_fakes.open_scheduler(slots=0, quota=scheduling_fakes.Quota(rate=1.0))
    busy, quiet = (
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("a")),
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("b")),
    )
    for number in range(40):
        busy.enter(f"a{number}", f"c{number % 5}")
    for number in range(10):
        quiet.enter(f"b{number}", "c0")
    await asyncio.sleep(10.5)
    assert len(quiet.admitted) == 5
    assert len(busy.admitted) in {6, 7}


async def test_partitions_of_one_tenant_have_its_turns_together() -> None:
    """More partitions do not mean more turns."""
    scheduler = scheduling_fakes.open_scheduler(slots=0, quota=scheduling_fakes.Quota(rate=1.0))
    tenant_quota = scheduling_fakes.account("a")
    several = [scheduling_fakes.Partition(scheduler, tenant_quota) for _ in range(4)]
    single = scheduling_fakes.Partition(scheduler, scheduling_fakes.account("b"))
    for number in range(40):
        several[number % 4].enter(f"a{number}", f"c{number % 4}")
        single.enter(f"b{number}", "c0")
    await asyncio.sleep(20.5)
    assert abs(sum(len(one.admitted) for one in several) - len(single.admitted)) <= 1


@pytest.mark.parametrize("elsewhere", ["a", "b"])
async def test_the_last_free_slot_is_his_whose_turn_there_is_longer_ago(elsewhere: str) -> None:
    """Slots of a full cluster go by turns, also when one tenant has turns elsewhere all the time."""
    scheduler = scheduling_fakes.open_scheduler(slots=1, intents=1000, quota=scheduling_fakes.Quota(rate=1.0))
    tenants = {name: scheduling_fakes.Partition(scheduler, scheduling_fakes.account(name)) for name in "ab"}
    for number in range(6):
        for name, partition in tenants.items():
            partition.enter(f"{name}{number}", "c")
    for number in range(20):  # these wait for quota of their own, and one goes each second
        tenants[elsewhere].enter(f"x{number}", "c", statement=True)
    order = ["a0"]
    for _ in range(6):
        await asyncio.sleep(1.01)
        tenants[order[-1][0]].release(order[-1], "c")
        here = {one for partition in tenants.values() for one in partition.admitted if one[0] != "x"}
        order += here - set(order)
    assert [one[0] for one in order] == [*"abababa"]


async def test_a_tenant_at_its_limit_delays_no_other_tenant() -> None:
    """`running`: its entrys wait until one of its own ends, of whatever kind; those of others go past."""
    scheduler = scheduling_fakes.open_scheduler(slots=10)
    limited, free = (
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("a", running=2)),
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("b")),
    )
    assert limited.enter("a0")
    assert limited.enter("a1", statement=True)
    assert not limited.enter("a2")
    assert not limited.enter("a3", "other", statement=True)
    assert free.enter("b0")
    limited.land("a1")
    assert limited.admitted == ["a0", "a1"]
    limited.release("a1", statement=True)
    assert len(limited.admitted) == 3


async def test_a_tenant_s_pace_is_kept_and_the_rest_follows_when_it_may() -> None:
    """`per_minute`: as many at once, the next when the first is a minute old; the scheduler wakes by itself."""
    scheduler = scheduling_fakes.open_scheduler(slots=0)
    paced, free = (
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("a", per_minute=3)),
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("b")),
    )
    for number in range(5):
        paced.enter(f"a{number}")
    assert paced.admitted == ["a0", "a1", "a2"]
    assert free.enter("b0")
    await asyncio.sleep(59.5)
    assert len(paced.admitted) == 3
    await asyncio.sleep(1)
    assert paced.admitted == ["a0", "a1", "a2", "a3", "a4"]


async def test_what_a_lost_partition_had_under_way_makes_room() -> None:
    """Its jobs are another owner's; here they count no more."""
    scheduler = scheduling_fakes.open_scheduler()
    tenant_quota = scheduling_fakes.account("a", running=1)
    leaving, staying = (
        scheduling_fakes.Partition(scheduler, tenant_quota),
        scheduling_fakes.Partition(scheduler, tenant_quota),
    )
    assert leaving.enter("a0")
    assert not staying.enter("a1")
    scheduler.leave(leaving)
    assert staying.admitted == ["a1"]


async def test_slots_of_a_cluster_are_counted_over_all_tenants() -> None:
    """MRS counts them so."""
    scheduler = scheduling_fakes.open_scheduler(slots=2)
    one, two = (
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("a")),
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("b")),
    )
    assert one.enter("a0")
    assert two.enter("b0")
    assert not one.enter("a1")
    assert not two.enter("b1")


async def test_a_cluster_that_is_busy_is_busy_for_all_tenants() -> None:
    """What MRS says of a cluster to one counts for the others, too: one tries, and carefully."""
    scheduler = scheduling_fakes.open_scheduler()
    one, two = (
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("a")),
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("b")),
    )
    scheduling_fakes.full(scheduler, ("a", "CreateExecuteJob"), 10.0)
    assert not one.enter("a0")
    assert not two.enter("b0")
    await asyncio.sleep(10.5)
    assert len(one.admitted) + len(two.admitted) == 1


async def test_a_tenant_whose_share_has_grown_uses_it_at_once() -> None:
    """More partitions mean a larger part of the limit; its waiting requests need not wait until one of theirs ends."""
    scheduler = scheduling_fakes.open_scheduler()
    tenant_quota = scheduling_fakes.account("a", running=4)
    tenant_quota.share.owned, tenant_quota.share.total = 1, 2
    partition = scheduling_fakes.Partition(scheduler, tenant_quota)
    for number in range(5):
        partition.enter(f"a{number}")
    assert partition.admitted == ["a0", "a1"]
    tenant_quota.share.owned = 2
    scheduler.look_again()
    assert partition.admitted == ["a0", "a1", "a2", "a3"]


async def test_the_last_free_slot_waits_for_no_tenant_that_has_no_place_in_flight() -> None:
    """A tenant whose calls hang elsewhere cannot take the slot: it is no reason to keep the others from it."""
    scheduler = scheduling_fakes.open_scheduler(slots=1, intents=16)
    hanging, well = (
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("a")),
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account("b")),
    )
    admitted = [hanging.enter(f"s{number}", f"c{number}", statement=True) for number in range(16)]
    assert admitted == [True] * 14 + [False] * 2  # the rest is reserved for newcomers
    assert not hanging.enter("a0", "c")
    assert well.enter("b0", "c")
    assert not well.enter("b1", "c")
    well.land("b0")
    well.release("b0", "c")
    assert well.admitted == ["b0", "b1"]
