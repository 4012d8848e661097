"""The inbox of a partition: order, grouping, room, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import records

pytestmark = pytest.mark.looptime


def _records(*offsets: int) -> list[records.Record]:
    return [records.Record("in", 0, offset, 0, b"k", b"v") for offset in offsets]


def _offsets(batch: inboxes.Batch[str]) -> list[int]:
    return [record.offset for record in batch.records]


def _feed(capacity: int = 100, next_offset: int = 0) -> inboxes.Inbox[str]:
    return inboxes.Inbox(capacity=capacity, next_offset=next_offset)


async def test_idle_taker_gets_the_first_item_at_once(looptime: float) -> None:
    """When the earliest time of return has passed, anything that arrives is returned in the same instant."""
    inbox = _feed()
    asyncio.get_running_loop().call_later(5, inbox.put, "a")
    batch = await inbox.take(10, not_before_s=1.0)
    assert batch.notices == ["a"]
    assert looptime == 5


async def test_busy_taker_gets_a_group_at_the_earliest_time(looptime: float) -> None:
    """Items that arrive before the earliest time of return wait for each other."""
    inbox = _feed()
    inbox.put("a")
    asyncio.get_running_loop().call_later(0.5, inbox.deliver, _records(0, 1))
    batch = await inbox.take(10, not_before_s=2.0)
    assert (batch.notices, _offsets(batch)) == (["a"], [0, 1])
    assert looptime == 2


async def test_full_batch_does_not_wait(looptime: float) -> None:
    """As many items as were asked for are returned before the earliest time of return."""
    inbox = _feed()
    asyncio.get_running_loop().call_later(1, inbox.deliver, _records(0, 1, 2))
    batch = await inbox.take(2, not_before_s=60.0)
    assert _offsets(batch) == [0, 1]
    assert looptime == 1


async def test_notices_go_before_records_and_count_towards_the_limit() -> None:
    """One batch holds at most the limit, notices first; the rest waits for the next."""
    inbox = _feed()
    inbox.deliver(_records(0, 1, 2))
    inbox.put("a")
    inbox.put("b")
    first = await inbox.take(3)
    second = await inbox.take(3)
    assert (first.notices, _offsets(first)) == (["a", "b"], [0])
    assert (second.notices, _offsets(second)) == ([], [1, 2])


async def test_records_wait_while_none_may_be_taken_and_notices_do_not(looptime: float) -> None:
    """A notice that comes meanwhile is returned alone; the taker asks again and again whether it may take records."""
    inbox = _feed()
    inbox.deliver(_records(0, 1, 2))
    asyncio.get_running_loop().call_later(1, inbox.put, "a")
    alone = await inbox.take(10, most_records=lambda: 0)
    assert (alone.notices, _offsets(alone)) == (["a"], [])
    assert looptime == 1

    some = await inbox.take(10, not_before_s=1.5, most_records=lambda: 2 if looptime >= 2 else 0)
    assert (some.notices, _offsets(some)) == ([], [0, 1])
    assert 2 <= looptime < 2.1
    assert (inbox.next_offset, inbox.waiting) == (2, 1)


async def test_records_read_twice_are_ignored() -> None:
    """Offsets below the next expected one are dropped, whether they still wait or were taken."""
    inbox = _feed(next_offset=5)
    inbox.deliver(_records(3, 4, 5, 6))
    inbox.deliver(_records(5, 6, 7))
    assert _offsets(await inbox.take(10)) == [5, 6, 7]
    inbox.deliver(_records(6, 7, 9))
    assert _offsets(await inbox.take(10)) == [9]
    assert inbox.next_offset == 10


async def test_dropped_records_are_accepted_again() -> None:
    """After a rebalance reading continues behind what was taken, not behind what was delivered."""
    inbox = _feed()
    inbox.deliver(_records(0, 1, 2, 3))
    await inbox.take(2)
    inbox.drop_records()
    assert (inbox.next_offset, inbox.waiting) == (2, 0)
    inbox.deliver(_records(2, 3))
    assert _offsets(await inbox.take(10)) == [2, 3]


async def test_full_feed_wants_again_at_half() -> None:
    """A feed stops wanting at its capacity and starts at half of it, and says so once."""
    rooms: list[int] = []
    inbox: inboxes.Inbox[str] = inboxes.Inbox(capacity=4, next_offset=0, on_room=lambda: rooms.append(1))
    inbox.deliver(_records(0, 1, 2))
    assert inbox.accepts_records
    inbox.deliver(_records(3, 4))
    assert inbox.full
    await inbox.take(2)
    assert (inbox.accepts_records, rooms) == (False, [])
    await inbox.take(1)
    assert (inbox.accepts_records, rooms) == (True, [1])


async def test_close_drops_records_but_not_notices() -> None:
    """After the close only notices are left to take, then `Closed` is raised; later notices can still be taken."""
    inbox = _feed()
    inbox.deliver(_records(0, 1))
    inbox.put("a")
    inbox.close()
    inbox.deliver(_records(2))
    batch = await inbox.take(10, not_before_s=60.0)
    assert (batch.notices, _offsets(batch)) == (["a"], [])
    with pytest.raises(inboxes.Closed):
        await inbox.take(10)
    inbox.put("late")
    assert (await inbox.take(10)).notices == ["late"]


async def test_close_wakes_the_taker(looptime: float) -> None:
    """A taker that waits for items learns of the close at once."""
    inbox = _feed()
    asyncio.get_running_loop().call_later(3, inbox.close)
    with pytest.raises(inboxes.Closed):
        await inbox.take(10)
    assert looptime == 3


async def test_idle_means_that_the_taker_is_back_and_finds_nothing() -> None:
    """`idle` returns only when everything taken before has been dealt with."""
    inbox = _feed()
    inbox.deliver(_records(0))
    working = asyncio.Event()

    async def handle() -> None:
        await inbox.take(10)
        await working.wait()
        await inbox.take(10)

    async with asyncio.TaskGroup() as group:
        group.create_task(handle())
        await asyncio.sleep(1)
        idle = group.create_task(inbox.idle())
        await asyncio.sleep(1)
        assert not idle.done()
        working.set()
        await idle
        inbox.put("end")


async def test_ended_feed_counts_as_idle() -> None:
    """Nobody waits for a handler that is gone, not even after a late notice."""
    inbox = _feed()
    inbox.end()
    inbox.put("late")
    async with asyncio.timeout(1):
        await inbox.idle()


async def test_feed_is_full_by_bytes_as_well() -> None:
    """A few large records are as many as a lot of small ones; it wants more at half of the bytes."""
    room: list[int] = []
    inbox: inboxes.Inbox[str] = inboxes.Inbox(
        capacity=1000, capacity_bytes=100, next_offset=0, on_room=lambda: room.append(1)
    )
    large = [records.Record("in", 0, number, 0, None, b"v" * 40) for number in range(5)]
    inbox.deliver(large[:2])
    wants = [inbox.accepts_records]
    inbox.deliver(large[2:])
    wants.append(inbox.accepts_records)
    await inbox.take(3)
    wants.append(inbox.accepts_records)

    assert room == []

    await inbox.take(1)
    wants.append(inbox.accepts_records)
    assert room == [1]

    inbox.deliver([records.Record("in", 0, 5, 0, None, b"v" * 100)])
    inbox.drop_records()
    wants.append(inbox.accepts_records)

    assert wants == [True, False, False, True, True]
