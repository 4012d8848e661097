"""One replica's part in sharing budgets: what it takes from notes, and what it writes."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import quota_fleet

from mrs_relay.engine.quota_sharing import notes

pytestmark = pytest.mark.looptime


async def _pair(seed: int = 1) -> quota_fleet.Fleet:
    fleet = quota_fleet.Fleet(2, seed)
    fleet.add()
    fleet.add()
    await fleet.rebalance()
    return fleet


async def test_a_grant_ends_by_itself_on_the_clock_of_its_replica() -> None:
    """A replica that stands still after it was granted something finds that it may spend nothing of it later."""
    async with await _pair() as fleet:
        granted = fleet.replicas[1]
        await asyncio.sleep(90)
        assert granted.budget.try_acquire(quota_fleet.OPERATION) == 0.0
        granted.thawed.clear()
        await asyncio.sleep(12)
        assert granted.budget.try_acquire(quota_fleet.OPERATION) > 0.0


async def test_a_lone_replica_writes_no_notes_and_spends_everything_at_once() -> None:
    """There is no other replica to share with."""
    async with quota_fleet.Fleet(2, 1) as fleet:
        replica = fleet.add()
        await fleet.rebalance()
        await asyncio.sleep(1)
        assert replica.budget.try_acquire(quota_fleet.OPERATION) == 0.0
        await asyncio.sleep(60)
        assert fleet.group.notes == {}


async def test_notes_of_others_and_of_later_versions_are_passed_over() -> None:
    """An unreadable note is ignored, and the rest is read."""
    async with await _pair() as fleet:
        for text in ("", "{", '{"demand": 5}', '{"grants": {"c": "x"}}', '{"later": true}'):
            fleet.group.notes[1] = text
            await asyncio.sleep(3)
        await asyncio.sleep(90)
        assert fleet.faults == []
        assert fleet.replicas[1].budget.try_acquire(quota_fleet.OPERATION) == 0.0


async def test_what_an_older_version_spends_is_set_aside() -> None:
    """Its partitions have no demand: their part of the budget is not granted to others."""
    async with await _pair() as fleet:
        await fleet.replicas[1].task_supervisor.close()  # it continues, but writes no notes, as older versions do
        fleet.group.notes.pop(1, None)
        await fleet.rebalance()
        fleet.group.notes.pop(1, None)
        fleet.replicas[0].rate = 5.0
        await asyncio.sleep(200)
        assert fleet.used(140, 200) <= 0.5


def test_a_note_for_thirty_replicas_fits_beside_an_offset() -> None:
    """With the operations that are used together, the text stays below what Kafka keeps."""
    operations = ["CreateExecuteJob", "ShowJobExeListNew", "ShowSingleJobExe", "ShowSqlResultWithJob"]
    grant = notes.Grant(10_000, [250, 250, 250, 250, 250], [1030, 1030, 1030, 1030])
    grants = notes.Grants("0a1b2c3d-1000", 100_000, operations, {f"{number:08x}": grant for number in range(30)})
    buckets = [16] * 61
    demand = notes.Demand("0a1b2c3d", 10_000, {"mrs.requests": (1000, [0])}, used=dict.fromkeys(operations, buckets))
    text = notes.encode(notes.Note(demand, grants))
    assert len(text) < notes.MOST_BYTES
    assert notes.decode(text) == notes.Note(demand, grants)


def test_a_note_of_a_replica_with_150_tenants_fits_beside_an_offset_with_short_names() -> None:
    """Names of topics in full take too much; who knows the topics reads the same from the short ones."""
    topics = [f"team-{number:03}.analytics.mrs.requests" for number in range(150)]
    owned: dict[str, tuple[int, list[int]]] = {topic: (12, [3]) for topic in topics}
    buckets = [16] * 61
    demand = notes.Demand("0a1b2c3d", 10_000, owned, used={"CreateExecuteJob": buckets, "ShowJobExeListNew": buckets})
    grants = notes.Grants("0a1b2c3d-1000", 1, [], {f"{number:08x}": notes.Grant(1, [250], []) for number in range(4)})
    assert len(notes.encode(notes.Note(demand, grants))) > notes.MOST_BYTES

    text = notes.encode(notes.shorten(notes.Note(demand, grants)))
    assert len(text) < notes.MOST_BYTES
    read = notes.decode(text)
    assert read.grants == grants
    assert read.demand is not None
    assert notes.lengthen(read.demand, topics) == demand
    assert len(notes.lengthen(read.demand, topics[:1]).owned) == 150


def test_a_note_without_short_names_is_read_as_it_is() -> None:
    """As earlier versions write it."""
    demand = notes.Demand("0a1b2c3d", 1, {"mrs.requests": (1, [0])})
    assert notes.lengthen(demand, ["mrs.requests"]) is demand
    assert notes.shorten(notes.Note()) == notes.Note()
