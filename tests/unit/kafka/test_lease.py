"""What a handler may do and when: acting, committing, being parked, dying."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import records

pytestmark = pytest.mark.looptime

_STALE_S = 45.0


class _Writer:
    """Writes down commits; each takes a second; raises what it is asked to."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.error: BaseException | None = None
        self.running = 0
        self.most_running = 0

    async def commit(
        self, _changes: Sequence[records.Change], _outgoing: Sequence[records.Outgoing], next_offset: int
    ) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(1)
        self.running -= 1
        if self.error is not None:
            raise self.error
        self.offsets.append(next_offset)

    async def settle(self) -> None:
        pass

    def limit_bytes(self, _topic: str | None) -> int:
        return 1000


def _lease(writer: _Writer) -> leases.Lease[str]:
    inbox: inboxes.Inbox[str] = inboxes.Inbox(capacity=10, next_offset=7)
    start = leases.Start({}, 7, 0.0)
    position = records.Position("in", 3)
    return leases.Lease(position, start, inbox, writer, clock=clock.LoopClock(), stale_after_s=_STALE_S)


async def test_commit_without_offset_repeats_the_last_one() -> None:
    """The input offset stays where it is unless a new one is given."""
    writer = _Writer()
    lease = _lease(writer)
    await lease.commit([], [])
    await lease.commit([], [], 9)
    await lease.commit([], [])
    assert writer.offsets == [7, 9, 9]
    assert lease.next_offset == 9


async def test_commits_stand_in_line() -> None:
    """Two commits at once are written one after the other."""
    writer = _Writer()
    lease = _lease(writer)
    async with asyncio.TaskGroup() as group:
        group.create_task(lease.commit([], [], 8))
        group.create_task(lease.commit([], [], 9))
    assert (writer.offsets, writer.most_running) == ([8, 9], 1)


async def test_intent_is_good_in_its_own_epoch_only() -> None:
    """After a parking and a resumption an earlier intent no longer allows acting; a new one does."""
    lease = _lease(_Writer())
    intent = await lease.commit([], [], 8)
    assert lease.may_act(intent)
    lease.drain()
    assert not lease.may_act()
    lease.park()
    lease.resume()
    assert lease.may_act()
    assert not lease.may_act(intent)
    assert lease.may_act(await lease.commit([], [], 9))


async def test_commit_under_way_at_the_revocation_gives_no_right_afterwards() -> None:
    """The epoch of an intent is that of its beginning, not that of its end."""
    lease = _lease(_Writer())
    async with asyncio.TaskGroup() as group:
        commit = group.create_task(lease.commit([], [], 8))
        await asyncio.sleep(0.5)
        lease.drain()
        lease.park()
        lease.resume()
    assert not lease.may_act(commit.result())


async def test_parked_commit_waits_for_the_resumption() -> None:
    """While the partition may have another owner nothing is written."""
    writer = _Writer()
    lease = _lease(writer)
    lease.park()
    async with asyncio.TaskGroup() as group:
        commit = group.create_task(lease.commit([], [], 8))
        await asyncio.sleep(100)
        assert (writer.offsets, commit.done()) == ([], False)
        lease.resume()
    assert writer.offsets == [8]
    assert lease.may_act(commit.result())


async def test_parked_commit_fails_when_the_lease_ends() -> None:
    """A commit that waits while the partition goes to another member raises Fenced."""
    writer = _Writer()
    lease = _lease(writer)
    lease.park()
    async with asyncio.TaskGroup() as group:
        commit = group.create_task(_fenced_commit(lease))
        await asyncio.sleep(1)
        lease.die(errors.Fenced("gone"))
    assert commit.result()
    assert writer.offsets == []


async def _fenced_commit(lease: leases.Lease[str]) -> bool:
    with pytest.raises(errors.Fenced):
        await lease.commit([], [], 8)
    return True


async def test_draining_lease_commits_but_does_not_act() -> None:
    """During a revocation the last commit still goes through."""
    writer = _Writer()
    lease = _lease(writer)
    lease.drain()
    await lease.commit([], [], 8)
    assert writer.offsets == [8]
    assert not lease.may_act()


async def test_draining_lease_drops_the_records_that_wait() -> None:
    """The handler gets none of them while the partition goes away; they are read again by the next owner."""
    lease = _lease(_Writer())
    waiting = [records.Record("in", 3, offset, 0, b"k", b"v", ()) for offset in (7, 8)]
    lease.inbox.deliver(waiting)
    lease.drain()
    assert (lease.inbox.waiting, lease.inbox.next_offset) == (0, 7)
    lease.park()
    lease.resume()
    lease.inbox.deliver(waiting)
    assert (await lease.inbox.take(10)).records == waiting


async def test_commit_of_a_draining_lease_gives_no_right_after_the_resumption() -> None:
    """What was committed while the partition went away may be acted on by the next owner alone."""
    lease = _lease(_Writer())
    lease.drain()
    intent = await lease.commit([], [], 8)
    lease.park()
    lease.resume()
    assert lease.may_act()
    assert not lease.may_act(intent)


@pytest.mark.parametrize("error", [errors.Fenced("x"), errors.StreamDown("x"), RuntimeError("x")])
async def test_failed_commit_ends_the_lease(error: Exception) -> None:
    """Once the outcome of a commit is unknown there is no second one."""
    writer = _Writer()
    lease = _lease(writer)
    deaths: list[errors.StreamError] = []
    lease.on_dead(deaths.append)
    writer.error = error
    with pytest.raises(type(error)):
        await lease.commit([], [], 8)
    writer.error = None
    with pytest.raises(errors.Fenced):
        await lease.commit([], [], 8)
    assert (lease.state, lease.next_offset, len(deaths)) == (leases.State.DEAD, 7, 1)
    assert not lease.may_act()


async def test_cancelled_commit_ends_the_lease() -> None:
    """A cancelled commit may have been written: nothing may follow it."""
    lease = _lease(_Writer())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await lease.commit([], [], 8)
    assert lease.state is leases.State.DEAD


@pytest.mark.parametrize("error", [records.TooLarge("ev", 2, 1), ValueError("x")])
async def test_refused_commit_leaves_the_lease_alive(error: Exception) -> None:
    """What was refused before anything was written can be tried differently."""
    writer = _Writer()
    lease = _lease(writer)
    writer.error = error
    with pytest.raises(type(error)):
        await lease.commit([], [], 8)
    writer.error = None
    await lease.commit([], [], 8)
    assert writer.offsets == [8]


async def test_no_acting_after_a_long_silence() -> None:
    """When Kafka has not answered within the session timeout, another member may own the partition."""
    lease = _lease(_Writer())
    await asyncio.sleep(_STALE_S - 1)
    assert lease.may_act()
    await asyncio.sleep(2)
    assert not lease.may_act()


async def test_answer_after_a_long_silence_does_not_revive_old_intents() -> None:
    """Acting is allowed again, but only for what is committed after the silence."""
    lease = _lease(_Writer())
    intent = await lease.commit([], [], 8)
    await asyncio.sleep(_STALE_S + 1)
    lease.touch()
    assert lease.may_act()
    assert not lease.may_act(intent)


async def test_answers_in_time_keep_intents_good() -> None:
    """Regular answers keep the right to act for hours."""
    lease = _lease(_Writer())
    intent = await lease.commit([], [], 8)
    for _ in range(100):
        await asyncio.sleep(_STALE_S - 1)
        lease.touch()
    assert lease.may_act(intent)


async def test_stopping_lease_commits_but_does_not_act() -> None:
    """At shutdown the handler finishes what it holds; the intake is closed."""
    writer = _Writer()
    lease = _lease(writer)
    lease.stop()
    await lease.commit([], [], 8)
    assert (lease.stopping, lease.inbox.accepts_records, writer.offsets) == (True, False, [8])
    assert not lease.may_act()
