"""How many calls are under way: kinds apart, shared by tenants and their clusters, with places for newcomers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from tests.unit.engine import scheduling_fakes

from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import lanes

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("CreateExecuteJob", "submissions"),
        ("CreateAndExecuteJob", "submissions"),
        ("ExecuteSql", "submissions"),
        ("DeleteCluster", "writes"),
        ("CreateCluster", "writes"),
        ("ListHosts", "reads"),
        ("ShowJobExeListNew", "reads"),
        ("", "writes"),
    ],
)
def test_each_operation_has_its_lane(operation: str, kind: str) -> None:
    """Jobs and statements are submissions; calls go by whether they change anything."""
    assert lanes.kind_of(operation) == kind


async def _hang(lane: lanes.InFlight, group: lanes.Group, seconds: float, done: list[lanes.Group]) -> None:
    async with lane.place(group):
        await asyncio.sleep(seconds)
    done.append(group)


async def test_a_lane_is_bounded_and_one_tenant_alone_may_use_all_of_it() -> None:
    """By two clusters it can; a single one leaves the last eighth to others."""
    lane = lanes.InFlight(64)
    done: list[lanes.Group] = []
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(_hang(lane, ("a", f"c{number % 2}"), 10.0, done))
        await asyncio.sleep(1)
        assert lane.taken == 64
    assert (len(done), lane.taken) == (100, 0)
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(_hang(lane, ("a", "c"), 10.0, done))
        await asyncio.sleep(1)
        assert lane.taken == 56


@pytest.mark.parametrize("newcomer", [("b", "d"), ("a", "d")])
async def test_a_newcomer_need_not_wait_for_calls_that_hang(newcomer: lanes.Group) -> None:
    """Another tenant's, or another cluster of the same tenant: one place after the other is at once its."""
    lane = lanes.InFlight(64)
    lane.share_between(2)
    done: list[lanes.Group] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(_hang(lane, ("a", "hangs"), 60.0, []))
        await asyncio.sleep(1)
        for _ in range(100):
            group.create_task(_hang(lane, newcomer, 0.1, done))
        await asyncio.sleep(2)
        assert len(done) == 100


async def test_a_tenant_whose_clusters_all_hang_leaves_places_to_others() -> None:
    """Where there are several tenants, one never has all of a lane."""
    lane = lanes.InFlight(64)
    lane.share_between(2)
    done: list[lanes.Group] = []
    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(_hang(lane, ("a", f"c{number}"), 60.0, []))
        await asyncio.sleep(1)
        assert lane.taken == 56
        group.create_task(_hang(lane, ("b", "d"), 0.1, done))
        await asyncio.sleep(0.2)
        assert done == [("b", "d")]


async def test_a_free_place_goes_to_the_tenant_with_the_fewest_calls() -> None:
    """First by tenant, then by cluster; of equals to the one that has waited longest since its turn."""
    lane = lanes.InFlight(4)
    for group in [("a", "x"), ("a", "x"), ("a", "y"), ("b", "z")]:
        await lane.acquire(group)
    order: list[lanes.Group] = []

    async def wait(group: lanes.Group) -> None:
        await lane.acquire(group)
        order.append(group)

    tasks = [asyncio.create_task(wait(group)) for group in [("a", "x"), ("a", "y"), ("b", "z"), ("c", "w"), ("b", "z")]]
    await asyncio.sleep(0)
    for group in [("a", "x"), ("a", "x"), ("a", "y"), ("b", "z"), ("c", "w")]:
        lane.release(group)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == [("c", "w"), ("a", "x"), ("b", "z"), ("a", "y"), ("b", "z")]


@pytest.mark.parametrize("tenants", [1, 3])
async def test_of_many_that_wait_the_one_with_the_fewest_calls_goes_and_no_place_stays_free(tenants: int) -> None:
    """In any order of calls and ends; twelve clusters each, so that none comes near its bound."""
    chance, lane = random.Random(tenants), lanes.InFlight(16)  # noqa: S311 - draws, no secrets
    lane.share_between(tenants)
    counts, waiting, running = lane._lane, Counter[lanes.Group](), list[lanes.Group]()

    async def call(group: lanes.Group) -> None:
        waiting[group] += 1
        await lane.acquire(group)
        waiting[group] -= 1
        running.append(group)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2000):
            before = len(running)
            if chance.random() < 0.5 and waiting.total() < 40:
                tenant = chance.choice([None, "a", "b"][:tenants])  # look-ups have no tenant
                tasks.create_task(call((tenant, f"c{chance.randrange(12)}")))
            elif running:
                lane.release(running.pop(chance.randrange(before)))
                before -= 1
            await asyncio.sleep(0)

            others = [group for group, count in waiting.items() if count]
            assert not (others and counts.taken < 16)
            for chosen in running[before:]:
                for other in others:
                    same = other[0] == chosen[0]
                    assert counts.of_tenant(chosen[0]) - 1 <= counts.of_tenant(other[0]) - same
                    assert not same or counts.of_group(chosen) - 1 <= counts.of_group(other) - (other == chosen)

        while running or waiting.total():
            lane.release(running.pop())
            await asyncio.sleep(0)
    assert lane.taken == 0


@pytest.mark.parametrize("granted", [True, False])
async def test_a_call_that_is_given_up_leaves_no_place_taken(granted: bool) -> None:
    """Cancelled while it waits, or when its place has just come: the next one goes."""
    lane = lanes.InFlight(1)
    await lane.acquire(("a", "x"))
    given_up = asyncio.create_task(lane.acquire(("b", "y")))
    following = asyncio.create_task(lane.acquire(("b", "y")))
    await asyncio.sleep(0)
    if granted:
        lane.release(("a", "x"))
    given_up.cancel()
    if not granted:
        lane.release(("a", "x"))
    await asyncio.wait([given_up, following])
    assert (given_up.cancelled(), following.done(), lane.taken) == (True, True, 1)
    lane.release(("b", "y"))
    await asyncio.wait_for(lane.acquire(("b", "y")), 1)


async def test_calls_of_other_kinds_never_take_the_turn_of_submissions() -> None:
    """Reads that hang fill their own lane, in the scheduler, too; so do other writes. None waits with a token spent."""
    scheduler = scheduling_fakes.open_scheduler(slots=0, intents=64, max_in_flight=16, max_others_in_flight=4)
    partition = scheduling_fakes.Partition(scheduler)
    for number in range(20):
        read = jobs.Call("ListHosts", {"cluster_id": "a"}, repeatable=True)
        partition.enter(f"r{number}", subject="call", work=read)
        partition.enter(f"w{number}", subject="cluster", work=jobs.Call("DeleteCluster", {"cluster_id": "a"}))
    assert [sum(one.startswith(kind) for one in partition.admitted) for kind in "rw"] == [4, 4]
    assert all(partition.enter(f"j{number}", "b") for number in range(12))


async def test_intents_of_a_cluster_that_hangs_leave_places_to_other_clusters() -> None:
    """The last eighth of all intents is for those who have few."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=0, intents=64))
    for number in range(100):
        partition.enter(f"j{number}", "hangs")
    assert scheduling_fakes.in_flight(partition.scheduler) == 56
    assert all(partition.enter(f"k{number}", "works") for number in range(8))
    assert not partition.enter("k9", "works")
    partition.land("j0")
    partition.land("j1")
    assert partition.admitted[-1] == "k9"


async def test_messages_are_read_as_there_are_places_while_calls_end_quickly() -> None:
    """A job that is admitted as it is accepted takes two ledger records, one that waits for a place takes three."""
    scheduler = scheduling_fakes.open_scheduler(slots=0, intents=64)
    partition = scheduling_fakes.Partition(scheduler)
    assert scheduler.room(partition) == 56  # the last eighth is for other clusters
    for number in range(60):
        partition.enter(f"r{number}")
    assert scheduler.room(partition) == 0
    for number in range(10):
        partition.land(f"r{number}")  # four of these places go to the jobs that wait
    assert scheduler.room(partition) == 6
    await asyncio.sleep(0.4)
    assert scheduler.room(partition) == 6
    scheduler.close()


async def test_messages_are_read_at_once_while_calls_hang_or_too_many_jobs_wait() -> None:
    """Among them may be cancels, and requests for other clusters: they do not wait for a slow MRS."""
    scheduler = scheduling_fakes.open_scheduler(slots=0, intents=64)
    partition = scheduling_fakes.Partition(scheduler)
    for number in range(56):
        partition.enter(f"r{number}")
    assert scheduler.room(partition) == 0
    await asyncio.sleep(0.6)
    assert scheduler.room(partition) is None
    for number in range(56):
        partition.land(f"r{number}")
    assert scheduler.room(partition) == 56

    for number in range(100, 100 + 56 + 8 * 64):
        partition.enter(f"r{number}")
    assert scheduler.room(partition) == 0
    partition.enter("r999")
    assert scheduler.room(partition) is None
    scheduler.close()


async def test_messages_of_a_tenant_with_few_calls_do_not_wait_for_anothers() -> None:
    """Reserved places are for it: its messages are read although another tenant has taken all that it may."""
    scheduler = scheduling_fakes.open_scheduler(slots=0, intents=64)
    busy, calm = (
        scheduling_fakes.Partition(scheduler, scheduling_fakes.account(tenant)) for tenant in ("busy", "calm")
    )
    for number in range(64):
        busy.enter(f"r{number}", cluster=f"c{number % 2}")
    assert (scheduler.room(busy), scheduler.room(calm)) == (0, 8)
    scheduler.close()
