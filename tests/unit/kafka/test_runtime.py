"""Who owns a partition: sharing, taking over, rebalances and rivals, in memory and in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import structlog
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.kafka import records, runtime, settings

pytestmark = pytest.mark.looptime

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_REBALANCED_S = 12.0  # heartbeats, joining and restoring
_SESSION_S = 8.0  # after an eviction, until the member hears of it, if it commits no offsets for the group


@_BOTH
async def test_every_record_is_dealt_with_once(guarantee: str) -> None:
    """Records of all partitions are taken in order; state, events and offsets agree; acting was allowed."""
    broker, handler = runtimes.working_cluster(guarantee), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 400)
        await asyncio.sleep(5)
    assert handler.taken == {partition: list(range(100)) for partition in range(4)}
    assert (runtimes.counts(broker), len(set(runtimes.events(broker))), len(runtimes.events(broker))) == (
        [100] * 4,
        400,
        400,
    )
    assert len(handler.acted) == 400


@_BOTH
async def test_successor_of_a_crash_continues_where_commits_ended(guarantee: str) -> None:
    """After a crash in the middle of work nothing is lost and nothing counted twice."""
    broker, first, second = runtimes.working_cluster(guarantee), runtimes.Counting(), runtimes.Counting()
    async with runtimes.crashing(broker, first):
        for _ in range(100):
            runtimes.feed_in(broker, 4)
            await asyncio.sleep(0.007)
    assert 0 < len(runtimes.events(broker)) < 400  # the last group was on its way
    async with runtimes.running(broker.kafka, broker, second):
        runtimes.feed_in(broker, 40)
        await asyncio.sleep(5)
    assert runtimes.counts(broker) == [110] * 4
    assert len(set(runtimes.events(broker))) == 440
    if guarantee == "exactly-once":
        assert len(runtimes.events(broker)) == 440


@_BOTH
async def test_two_share_the_partitions_and_one_takes_over(guarantee: str) -> None:
    """A second member gets half; when it dies the first has all again, with all that was committed."""
    broker, first, second = runtimes.working_cluster(guarantee), runtimes.Counting(), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, first) as work:
        runtimes.feed_in(broker, 200)
        async with runtimes.crashing(broker, second):
            await asyncio.sleep(_REBALANCED_S)
            runtimes.feed_in(broker, 200)
            await asyncio.sleep(0.06)
            assert sorted(second.taken) == [2, 3]
            assert [partition.partition for partition in work.status().partitions] == [0, 1]
        await asyncio.sleep(_REBALANCED_S)
        runtimes.feed_in(broker, 200)
        await asyncio.sleep(5)
        assert [partition.partition for partition in work.status().partitions] == [0, 1, 2, 3]

    assert runtimes.counts(broker) == [150] * 4
    assert len(set(runtimes.events(broker))) == 600

    if guarantee == "exactly-once":
        assert len(runtimes.events(broker)) == 600


async def test_partition_that_comes_back_resumes_warm() -> None:
    """With transactions a lost session costs no restore if no other owner came, and ends what was allowed before."""
    broker, handler = runtimes.working_cluster(), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 40)
        await asyncio.sleep(1)
        held = [handler.leases[partition][0] for partition in range(4)]
        before = [lease.act_epoch for lease in held]
        broker.evict()
        await asyncio.sleep(_SESSION_S + _REBALANCED_S)
        runtimes.feed_in(broker, 40)
        await asyncio.sleep(1)
        assert work.status().ready
        assert all(lease.may_act() and not lease.may_act(epoch) for lease, epoch in zip(held, before, strict=True))
    assert [len(handler.leases[partition]) for partition in range(4)] == [1] * 4
    assert (runtimes.counts(broker), len(runtimes.events(broker))) == ([20] * 4, 80)


@_BOTH
async def test_rebalances_under_load_skip_and_repeat_nothing(guarantee: str) -> None:
    """Records that a poll brings home across a rebalance or a lost session are neither lost nor dealt with twice."""
    times = {"heartbeat_interval_ms": 100, "session_timeout_ms": 1000}
    broker, handler = runtimes.working_cluster(guarantee, **times), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        for number in range(50):
            if number % 2 and broker.group.members:
                broker.evict()
            broker.rebalance()
            for _ in range(10):
                runtimes.feed_in(broker, 12)
                await asyncio.sleep(0.03)
        await asyncio.sleep(_REBALANCED_S)

    assert runtimes.counts(broker) == [1_500] * 4
    assert len(set(runtimes.events(broker))) == 6_000

    if guarantee == "exactly-once":
        assert len(runtimes.events(broker)) == 6_000


async def test_what_a_poll_brings_home_across_a_rebalance_overtakes_no_dropped_record() -> None:
    """Earlier records that waited were dropped: taking the later ones as they come would skip those for ever."""
    broker, slow = runtimes.working_cluster(partitions=1, mirror_interval_s=1e3), runtimes.Slow()
    slow.think_s = 12.0  # longer than until the heartbeat that reports the lost session
    async with runtimes.running(broker.kafka, broker, slow):
        member = broker.group.members[0]
        plain, crossed = member.poll, False

        async def crossing(
            wanted: frozenset[records.Position], **more: Any
        ) -> Mapping[records.Position, Sequence[records.Record]]:
            nonlocal crossed
            arrived = await plain(wanted, **more)
            if arrived and not crossed:
                crossed = True
                broker.evict()
                await asyncio.sleep(_SESSION_S + _REBALANCED_S)
            return arrived

        runtimes.feed_in(broker, 2, partitions=1)  # are taken
        await asyncio.sleep(1)
        runtimes.feed_in(broker, 2, partitions=1)  # wait, and are dropped
        await asyncio.sleep(1)
        member.poll = crossing  # type: ignore[method-assign]
        await asyncio.sleep(0.5)
        runtimes.feed_in(broker, 2, partitions=1)
        await asyncio.sleep(60)
    assert crossed
    assert len(runtimes.events(broker)) == 6


async def test_without_transactions_a_rebalance_restores() -> None:
    """Nothing fences there, so a partition that comes back is claimed and read again."""
    broker, handler = runtimes.working_cluster("at-least-once"), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 40)
        await asyncio.sleep(1)
        broker.rebalance()
        await asyncio.sleep(_REBALANCED_S)
    assert [len(handler.leases[partition]) for partition in range(4)] == [2] * 4
    assert runtimes.counts(broker) == [10] * 4


async def test_commit_while_parked_waits_for_the_partition_to_come_back() -> None:
    """Between revocation and next assignment nothing is written; afterwards it is, once, and may be acted on."""
    broker, handler = runtimes.working_cluster(partitions=1, mirror_interval_s=1e3), runtimes.Slow()
    async with runtimes.running(broker.kafka, broker, handler):
        broker.evict()
        await asyncio.sleep(_SESSION_S - 0.1)
        broker.go_down()  # so that it cannot join again
        await asyncio.sleep(1)
        broker.come_up()
        handler.leases[0][0].inbox.put("parked")
        await asyncio.sleep(5)
        assert (handler.leases[0][0].committing, runtimes.events(broker)) == (True, [])
        await asyncio.sleep(5)
        assert runtimes.events(broker) == [(b"parked", b"v")]
        assert handler.acted == [(0, True)]


async def test_revocation_waits_for_a_slow_commit_for_a_limited_time() -> None:
    """The group waits for us meanwhile; the commit comes after the next assignment, if the partition is still ours."""
    broker, handler = runtimes.working_cluster(partitions=1, mirror_interval_s=1e3), runtimes.Slow()
    handler.think_s = 20.0
    async with runtimes.running(broker.kafka, broker, handler) as work:
        broker.evict()
        await asyncio.sleep(_SESSION_S - 1)
        broker.put(runtimes.IN, 0, b"a", b"v")
        await asyncio.sleep(5)
        assert not work.status().joined
        await asyncio.sleep(2)
        assert work.status().joined
        await asyncio.sleep(20)
    assert (runtimes.events(broker), handler.acted) == ([(b"a", b"v")], [(0, True)])


async def test_commit_of_a_draining_partition_gives_no_right_to_act() -> None:
    """What is committed while the partition is being revoked is safe, but only committed again may it be acted on."""
    broker, handler = runtimes.working_cluster(partitions=1, mirror_interval_s=1e3), runtimes.Slow()
    handler.think_s = 4.0
    async with runtimes.running(broker.kafka, broker, handler):
        broker.evict()
        await asyncio.sleep(_SESSION_S - 1)
        broker.put(runtimes.IN, 0, b"a", b"v")
        await asyncio.sleep(20)
    assert (runtimes.events(broker), handler.acted) == ([(b"a", b"v")], [(0, False)])


@pytest.mark.parametrize("think_s", [2.0, 20.0], ids=["before it has heard of it", "after that"])
async def test_commit_that_meets_a_takeover_is_never_made(think_s: float) -> None:
    """What was taken but not committed when the partition went away is done by the next owner, once."""
    broker, slow, quick = runtimes.working_cluster(partitions=1), runtimes.Slow(), runtimes.Counting()
    slow.think_s = think_s
    async with runtimes.running(broker.kafka, broker, slow):
        broker.put(runtimes.IN, 0, b"a", b"v")
        await asyncio.sleep(0.5)
        broker.evict()  # the next heartbeat, within 3 s, tells it
        async with runtimes.running(broker.kafka, broker, quick):
            await asyncio.sleep(60)
    assert quick.taken == {0: [0]}
    assert (runtimes.events(broker), slow.acted) == ([(b"a", b"0")], [])


async def test_zombie_is_fenced_and_its_events_are_never_seen() -> None:
    """An evicted member continues until its next commit; readers of committed records see each event once."""
    broker, zombie, owner = runtimes.working_cluster(), runtimes.Counting(), runtimes.Counting()
    with structlog.testing.capture_logs() as logs:
        async with runtimes.running(broker.kafka, broker, zombie):
            runtimes.feed_in(broker, 40)
            await asyncio.sleep(1)
            broker.evict()
            async with runtimes.running(broker.kafka, broker, owner):
                for _ in range(100):  # both read everything
                    runtimes.feed_in(broker, 4)
                    await asyncio.sleep(0.3)

    assert not [
        entry for entry in logs if entry["event"] == "ledger_claimed_elsewhere"
    ]  # it asks the group, and gives in

    released = [entry["partition"] for entry in logs if entry["event"] == "partition_released"]
    assert set(released) == set(range(4))
    assert any(offset >= 10 for offset in zombie.taken[0])
    assert (runtimes.counts(broker), len(runtimes.events(broker)), len(set(runtimes.events(broker)))) == (
        [110] * 4,
        440,
        440,
    )


@pytest.mark.parametrize(
    ("first_start", "group_offset", "expected"),
    [("earliest", None, range(10, 20)), ("latest", None, range(0)), ("latest", 15, range(15, 20))],
)
async def test_first_start_begins_where_it_should(
    first_start: str, group_offset: int | None, expected: Sequence[int]
) -> None:
    """Without a ledger: at the group's offset if there is one, else as configured; and it is written down at once."""
    broker, handler = runtimes.working_cluster(partitions=1, first_start=first_start), runtimes.Counting()
    runtimes.feed_in(broker, 20, partitions=1)
    broker.cut(runtimes.IN, 0, 10)
    if group_offset is not None:
        broker.group.offsets[records.Position(runtimes.IN, 0)] = group_offset
    async with runtimes.crashing(broker, handler):  # which tells the group nothing
        await asyncio.sleep(1)
    assert handler.taken.get(0, []) == list(expected)
    runtimes.feed_in(broker, 1, partitions=1)
    async with runtimes.running(broker.kafka, broker, handler):
        await asyncio.sleep(1)
    assert handler.taken[0] == [*expected, 20]


async def test_offsets_of_the_group_are_never_read_back() -> None:
    """They are a mirror for lag tools; only the ledger says where to continue."""
    broker, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(1)
    broker.group.offsets[records.Position(runtimes.IN, 0)] = 3
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(1)
    assert handler.taken[0] == list(range(20))


async def test_offsets_are_mirrored_while_working() -> None:
    """Lag tools see the committed offset within seconds."""
    broker, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(6)
        assert broker.group.offsets == {records.Position(runtimes.IN, 0): 10}


async def test_slow_handler_does_not_fill_memory() -> None:
    """Reading pauses while the feed is full, and all comes in order nevertheless."""
    broker, handler = runtimes.working_cluster(partitions=1, feed_records=50), runtimes.Counting()
    most = 0
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 5000, partitions=1)
        lease = handler.leases[0][0]
        while len(handler.taken.get(0, [])) < 5000:
            await asyncio.sleep(0.01)
            most = max(most, lease.inbox.waiting)
    assert handler.taken[0] == list(range(5000))
    assert most < 50 + 1000  # one delivery may overshoot


async def test_deployments_under_one_name_end_with_a_clear_message() -> None:
    """Somebody who claims a partition again and again while it is ours shares our app_id."""
    broker, handler = runtimes.working_cluster(partitions=1, fenced_limit=5), runtimes.Counting()
    rival = broker.producer(broker.kafka.transactional_id(0), idempotent=True)
    claim = records.Outgoing(runtimes.LEDGER, b"\0claim", b'{"nonce":"rival"}', (), 0)
    work = runtime.Runtime(broker.kafka, broker, handler, clock.LoopClock())
    async with asyncio.timeout(600), asyncio.TaskGroup() as group:
        task = group.create_task(_raises_settings_error(work))
        await work.ready()
        while not task.done():
            await rival.start()
            with contextlib.suppress(errors.Fenced):
                await rival.write([claim])
            runtimes.feed_in(broker, 1, partitions=1)
            await asyncio.sleep(5)
    assert "kafka.app_id=app" in task.result()


async def _raises_settings_error(work: runtime.Runtime[str]) -> str:
    with pytest.raises(errors.SettingsError) as raised:
        await work.run()
    return str(raised.value)


async def test_rightful_owners_in_between_are_no_rivals() -> None:
    """Partitions that wander between replicas for hours never look like two deployments."""
    broker, handler = runtimes.working_cluster(fenced_limit=2), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        for _ in range(10):
            async with runtimes.running(broker.kafka, broker, runtimes.Counting()):
                await asyncio.sleep(_REBALANCED_S)
                runtimes.feed_in(broker, 4)
            await asyncio.sleep(_REBALANCED_S)
    assert runtimes.counts(broker) == [10] * 4


async def test_owners_while_we_were_put_out_are_no_rivals() -> None:
    """A member that was put out unawares and came back resumes warm, is fenced, restores; again and again."""
    broker, handler, other = (
        runtimes.working_cluster(fenced_limit=2, mirror_interval_s=1e6),
        runtimes.Counting(),
        runtimes.Counting(),
    )
    async with runtimes.running(broker.kafka, broker, handler):
        member = broker.group.members[0]
        async with runtimes.running(broker.kafka, broker, other):
            for _ in range(4):
                await asyncio.sleep(_REBALANCED_S)
                member.evict()  # the other takes over all, until the session timeout has passed
                await asyncio.sleep(60)
                runtimes.feed_in(broker, 4)
                await asyncio.sleep(5)

    assert [len(handler.leases[partition]) > 2 for partition in range(4)].count(True) == 2
    assert runtimes.counts(broker) == [4] * 4


async def test_notices_survive_a_rebalance() -> None:
    """What others tell a parked partition waits for it."""
    broker, handler = runtimes.working_cluster(partitions=1, mirror_interval_s=1e3), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        lease = handler.leases[0][0]
        broker.evict()
        await asyncio.sleep(_SESSION_S + 0.0005)  # it parks, and takes a millisecond to join again
        assert not lease.may_act()
        lease.inbox.put("while parked")
        await asyncio.sleep(_REBALANCED_S)
    assert handler.notices == ["while parked"]


def test_settings_type_is_what_the_runtime_takes() -> None:
    """The part receives its own settings group, never the whole."""
    assert runtime.Runtime.__init__.__annotations__["kafka"] == f"{settings.__name__.rpartition('.')[2]}.KafkaSettings"
