"""The ownership protocol as a whole, on the in-memory broker and in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
import structlog
from tests.support import streams

from mrs_relay import errors
from mrs_relay.kit import clock
from mrs_relay.stream import actor, memory, records, runtime, settings
from mrs_relay.stream import feed as feeds
from mrs_relay.stream import lease as leases

pytestmark = pytest.mark.looptime

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_REBALANCED_S = 12.0  # heartbeats, joining and restoring


def _cluster(guarantee: str = "exactly-once", partitions: int = 4, **changes: object) -> memory.MemoryBroker:
    return streams.cluster(streams.kafka_settings(guarantee=guarantee, **changes), partitions)


def _feed_in(broker: memory.MemoryBroker, count: int, partitions: int = 4) -> None:
    """Send records, the same number to each partition."""
    for number in range(count):
        broker.put(streams.IN, number % partitions, b"k%d" % number, b"v")


def _counts(broker: memory.MemoryBroker) -> list[int]:
    """What the ledgers say about how many records were counted, by partition."""
    found = []
    for partition in range(broker.partitions(streams.LEDGER)):
        values = [r.value for r in broker.committed(streams.LEDGER, partition) if r.key == b"n"]
        found.append(int(values[-1] or b"0") if values else 0)
    return found


def _events(broker: memory.MemoryBroker) -> list[tuple[bytes | None, bytes | None]]:
    return [(record.key, record.value) for record in broker.committed(streams.EV)]


@contextlib.asynccontextmanager
async def _crashing(broker: memory.MemoryBroker, handler: streams.Counting) -> AsyncIterator[runtime.Runtime[str]]:
    """A runtime that is cut off at the end instead of being shut down."""
    work = runtime.Runtime(broker.kafka, broker, handler, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        yield work
        task.cancel()


@_BOTH
async def test_every_record_is_dealt_with_once(guarantee: str) -> None:
    """Records of all partitions are taken in order; state, events and offsets agree; acting was allowed."""
    broker, handler = _cluster(guarantee), streams.Counting()
    async with streams.running(broker.kafka, broker, handler):
        _feed_in(broker, 400)
        await asyncio.sleep(5)
    assert handler.taken == {partition: list(range(100)) for partition in range(4)}
    assert (_counts(broker), len(set(_events(broker))), len(_events(broker))) == ([100] * 4, 400, 400)
    assert len(handler.acted) == 400


@_BOTH
async def test_successor_of_a_crash_goes_on_where_commits_ended(guarantee: str) -> None:
    """After a crash in the middle of work nothing is lost and nothing counted twice."""
    broker, first, second = _cluster(guarantee), streams.Counting(), streams.Counting()
    async with _crashing(broker, first):
        for _ in range(100):
            _feed_in(broker, 4)
            await asyncio.sleep(0.007)
    assert 0 < len(_events(broker)) < 400  # the last group was on its way
    async with streams.running(broker.kafka, broker, second):
        _feed_in(broker, 40)
        await asyncio.sleep(5)
    assert _counts(broker) == [110] * 4
    assert len(set(_events(broker))) == 440
    if guarantee == "exactly-once":
        assert len(_events(broker)) == 440


@_BOTH
async def test_two_share_the_partitions_and_one_takes_over(guarantee: str) -> None:
    """A second member gets half; when it dies the first has all again, with all that was committed."""
    broker, first, second = _cluster(guarantee), streams.Counting(), streams.Counting()
    async with streams.running(broker.kafka, broker, first) as work:
        _feed_in(broker, 200)
        async with _crashing(broker, second):
            await asyncio.sleep(_REBALANCED_S)
            _feed_in(broker, 200)
            await asyncio.sleep(0.06)
            assert sorted(second.taken) == [2, 3]
            assert [partition.partition for partition in work.status().partitions] == [0, 1]
        await asyncio.sleep(_REBALANCED_S)
        _feed_in(broker, 200)
        await asyncio.sleep(5)
        assert [partition.partition for partition in work.status().partitions] == [0, 1, 2, 3]
    assert _counts(broker) == [150] * 4
    assert len(set(_events(broker))) == 600
    if guarantee == "exactly-once":
        assert len(_events(broker)) == 600


async def test_partition_that_comes_back_resumes_warm() -> None:
    """With transactions a rebalance that changes nothing costs no restore, and the handler is told."""
    broker, handler = _cluster(), streams.Counting()
    async with streams.running(broker.kafka, broker, handler) as work:
        _feed_in(broker, 40)
        await asyncio.sleep(1)
        broker.rebalance()
        await asyncio.sleep(_REBALANCED_S)
        _feed_in(broker, 40)
        await asyncio.sleep(1)
        assert work.status().ready
    assert [len(handler.leases[partition]) for partition in range(4)] == [1] * 4
    assert sorted(handler.resumed) == [0, 1, 2, 3]
    assert (_counts(broker), len(_events(broker))) == ([20] * 4, 80)


@_BOTH
async def test_rebalances_under_load_skip_and_repeat_nothing(guarantee: str) -> None:
    """Records that a poll brings home across a rebalance are neither lost nor dealt with twice."""
    broker, handler = _cluster(guarantee, heartbeat_interval_ms=100), streams.Counting()
    async with streams.running(broker.kafka, broker, handler):
        for _ in range(50):
            broker.rebalance()
            for _ in range(10):
                _feed_in(broker, 12)
                await asyncio.sleep(0.03)
        await asyncio.sleep(_REBALANCED_S)
    assert _counts(broker) == [1_500] * 4
    assert len(set(_events(broker))) == 6_000
    if guarantee == "exactly-once":
        assert len(_events(broker)) == 6_000


async def test_without_transactions_a_rebalance_restores() -> None:
    """Nothing fences there, so a partition that comes back is claimed and read anew."""
    broker, handler = _cluster("at-least-once"), streams.Counting()
    async with streams.running(broker.kafka, broker, handler):
        _feed_in(broker, 40)
        await asyncio.sleep(1)
        broker.rebalance()
        await asyncio.sleep(_REBALANCED_S)
    assert [len(handler.leases[partition]) for partition in range(4)] == [2] * 4
    assert _counts(broker) == [10] * 4


class _Slow(streams.Counting):
    """Thinks for a while between taking and committing, and makes an event of each notice as well."""

    think_s = 0.0

    async def __call__(self, lease: leases.Lease[str]) -> None:
        """Think and commit until the feed is closed."""
        self.leases.setdefault(lease.partition, []).append(lease)
        with contextlib.suppress(feeds.Closed):
            while True:
                batch = await lease.feed.take(100)
                keys = [record.key or b"" for record in batch.records] + [note.encode() for note in batch.notices]
                if keys:
                    await asyncio.sleep(self.think_s)
                    out = [records.Outgoing(streams.EV, key, b"v") for key in keys]
                    epoch = await lease.commit([records.Change(b"n", b"1")], out, lease.feed.next_offset)
                    self.acted.append((lease.partition, lease.may_act(epoch)))


async def test_commit_while_parked_waits_for_the_partition_to_come_back(looptime: float) -> None:
    """Between revocation and next assignment nothing is written; afterwards it is, once, and may be acted on."""
    broker, slow, handler = _cluster(partitions=2), _Slow(), _Slow()
    slow.think_s = 30.0
    async with streams.running(broker.kafka, broker, handler), streams.running(broker.kafka, broker, slow):
        broker.put(streams.IN, 1, b"slow", b"v")  # holds the rebalance up until its drain is cut off after 5 s
        await asyncio.sleep(1)
        began_s = float(looptime)
        broker.rebalance()
        await asyncio.sleep(4)
        handler.leases[0][0].feed.put("parked")
        await asyncio.sleep(3.9)
        assert (handler.leases[0][0].committing, _events(broker)) == (True, [])
        await asyncio.sleep(1)
        assert looptime - began_s > 8
        assert _events(broker) == [(b"parked", b"v")]
        assert handler.acted == [(0, True)]


async def test_commit_of_a_draining_partition_gives_no_right_to_act() -> None:
    """What is committed while the partition is being revoked is safe, but only committed again may it be acted on."""
    broker, handler = _cluster(partitions=1), _Slow()
    handler.think_s = 4.0
    async with streams.running(broker.kafka, broker, handler):
        broker.put(streams.IN, 0, b"a", b"v")
        await asyncio.sleep(0.5)
        broker.rebalance()
        await asyncio.sleep(20)
    assert (_events(broker), handler.acted) == ([(b"a", b"v")], [(0, False)])


async def test_commit_that_meets_a_takeover_is_never_made() -> None:
    """What was taken but not committed when the partition went away is done by the next owner, once."""
    broker, slow, quick = _cluster(partitions=1), _Slow(), streams.Counting()
    slow.think_s = 20.0
    async with streams.running(broker.kafka, broker, slow):
        broker.put(streams.IN, 0, b"a", b"v")
        await asyncio.sleep(0.5)
        broker.evict()  # it learns of it only 45 s later
        async with streams.running(broker.kafka, broker, quick):
            await asyncio.sleep(60)
    assert quick.taken == {0: [0]}
    assert (_events(broker), slow.acted) == ([(b"a", b"0")], [])


async def test_zombie_is_fenced_and_its_events_are_never_seen() -> None:
    """An evicted member goes on until its next commit; readers of committed records see each event once."""
    broker, zombie, owner = _cluster(), streams.Counting(), streams.Counting()
    with structlog.testing.capture_logs() as logs:
        async with streams.running(broker.kafka, broker, zombie):
            _feed_in(broker, 40)
            await asyncio.sleep(1)
            broker.evict()
            async with streams.running(broker.kafka, broker, owner):
                for _ in range(100):  # both read everything
                    _feed_in(broker, 4)
                    await asyncio.sleep(0.3)
    assert not [entry for entry in logs if entry["event"] == "claimed_by_others"]  # it asks the group, and gives in
    assert any(offset >= 10 for offset in zombie.taken[0])
    assert (_counts(broker), len(_events(broker)), len(set(_events(broker)))) == ([110] * 4, 440, 440)


@pytest.mark.parametrize("applied", [True, False])
@_BOTH
async def test_unknown_outcome_of_a_commit_is_found_out(guarantee: str, applied: bool) -> None:
    """A lost reply and a lost commit look alike; after the restore everything is counted once."""
    broker, handler = _cluster(guarantee, partitions=1), streams.Counting()
    async with streams.running(broker.kafka, broker, handler) as work:
        broker.fail_writes(applied=applied, concerns=_counting)
        _feed_in(broker, 10, partitions=1)
        await asyncio.sleep(10)
        assert work.status().partitions[0].state is actor.State.RUNNING
    assert len(handler.leases[0]) == 2
    assert (_counts(broker), len(set(_events(broker)))) == ([10], 10)
    if guarantee == "exactly-once":
        assert len(_events(broker)) == 10


def _counting(outgoing: Sequence[records.Outgoing]) -> bool:
    return any(record.key == b"n" for record in outgoing)


async def test_bug_in_one_partition_leaves_the_others_alone() -> None:
    """A handler that fails is restarted with growing pauses; its neighbours notice nothing."""
    broker, handler = _cluster(), streams.Counting()

    def fail(lease: leases.Lease[str]) -> None:
        if lease.partition == 2:
            raise ZeroDivisionError

    handler.before_commit = fail
    with structlog.testing.capture_logs() as logs:
        async with streams.running(broker.kafka, broker, handler) as work:
            _feed_in(broker, 40)
            await asyncio.sleep(60)
            bad = work.status().partitions[2]
            assert (bad.crashes, bad.failures) == (bad.failures, len(handler.leases[2]))
            assert 5 <= bad.crashes <= 9
            assert bad.error == "ZeroDivisionError()"
            handler.before_commit = lambda _lease: None
            await asyncio.sleep(60)
            good = work.status().partitions[2]
            assert (good.state, good.error) == (actor.State.RUNNING, None)
    crashes = [entry for entry in logs if entry["event"] == "handler_failed"]
    assert len(crashes) == bad.crashes
    assert all(entry["partition"] == 2 and entry["exc_info"] for entry in crashes)
    assert [len(handler.leases[partition]) for partition in (0, 1, 3)] == [1, 1, 1]
    assert (_counts(broker), len(_events(broker))) == ([10] * 4, 40)


async def test_handler_that_ends_by_itself_is_a_bug() -> None:
    """A partition without a handler would be read and never dealt with."""
    broker = _cluster(partitions=1)
    started: list[int] = []

    async def lazy(lease: leases.Lease[str]) -> None:
        started.append(lease.partition)

    work = runtime.Runtime(broker.kafka, broker, lazy, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await asyncio.sleep(10)
        status = work.status().partitions[0]
        work.stop()
        await task
    assert status.crashes == len(started) >= 3
    assert "nobody asked it to" in (status.error or "")


async def test_commit_error_inside_a_task_group_is_no_bug() -> None:
    """Handlers with task groups wrap the error of a commit; it counts as the lease's end all the same."""
    broker = _cluster(partitions=1)
    inner = streams.Counting()

    async def grouped(lease: leases.Lease[str]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(inner(lease))

    work = runtime.Runtime(broker.kafka, broker, grouped, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        broker.fail_writes(applied=False, concerns=_counting)
        _feed_in(broker, 4, partitions=1)
        await asyncio.sleep(10)
        assert work.status().partitions[0].crashes == 0
        work.stop()
        await task
    assert _counts(broker) == [4]


@_BOTH
async def test_shutdown_commits_what_was_taken(guarantee: str, looptime: float) -> None:
    """Handlers finish what they hold, the group's offsets are told, and it all takes milliseconds."""
    broker, handler = _cluster(guarantee), streams.Counting()
    async with streams.running(broker.kafka, broker, handler) as work:
        _feed_in(broker, 40)
        await asyncio.sleep(0.003)
        work.stop()
        asked_s = float(looptime)
    assert looptime - asked_s < 0.2
    assert sorted(handler.ended) == [0, 1, 2, 3]
    counted = _counts(broker)
    assert counted == [len(handler.taken.get(partition, [])) for partition in range(4)]
    assert broker.group.offsets == {records.Position(streams.IN, n): count for n, count in enumerate(counted) if count}
    assert broker.group.members == []


async def test_shutdown_does_not_wait_for_ever(looptime: float) -> None:
    """A handler that does not end is cancelled when the time is over."""
    broker = _cluster(shutdown_s=20.0)
    cancelled: list[int] = []

    async def stubborn(lease: leases.Lease[str]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(lease.partition)

    work = runtime.Runtime(broker.kafka, broker, stubborn, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        asked_s = float(looptime)
        work.stop()
        await task
    assert 20 <= looptime - asked_s < 21
    assert sorted(cancelled) == [0, 1, 2, 3]


async def test_kafka_away_at_the_start_is_waited_for() -> None:
    """The log names the setting, readiness is false, and work begins when Kafka is there."""
    broker, handler = _cluster(), streams.Counting()
    broker.go_down()
    work = runtime.Runtime(broker.kafka, broker, handler, clock.LoopClock())
    with structlog.testing.capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work.run())
            await asyncio.sleep(60)
            status = work.status()
            broker.come_up()
            async with asyncio.timeout(60):
                await work.ready()
            work.stop()
            await task
    assert (status.ready, status.connected) == (False, False)
    assert "kafka.bootstrap_servers" in (status.error or "")
    waits = [entry for entry in logs if entry["event"] == "kafka_unreachable"]
    assert 3 <= len(waits) <= 12
    assert all("kafka.bootstrap_servers" in entry["error"] for entry in waits)


async def test_stop_while_kafka_is_away_ends_at_once(looptime: float) -> None:
    """A service that never got going can be stopped as well."""
    broker = _cluster()
    broker.go_down()
    work = runtime.Runtime(broker.kafka, broker, streams.Counting(), clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await asyncio.sleep(100)
        work.stop()
        await task
    assert looptime < 110


@_BOTH
async def test_kafka_away_for_minutes_is_survived(guarantee: str) -> None:
    """Acting stops, readiness goes and comes back, and nothing is lost or counted twice."""
    broker, handler = _cluster(guarantee), streams.Counting()
    async with streams.running(broker.kafka, broker, handler) as work:
        _feed_in(broker, 40)
        await asyncio.sleep(1)
        lease = handler.leases[0][0]
        intent = lease.act_epoch
        assert lease.may_act(intent)
        broker.go_down()
        await asyncio.sleep(180)
        assert (lease.may_act(), work.status().ready) == (False, False)
        broker.come_up()
        async with asyncio.timeout(60):
            await work.ready()
        assert not lease.may_act(intent)
        _feed_in(broker, 40)
        await asyncio.sleep(5)
    assert len(handler.leases[0]) == (1 if guarantee == "exactly-once" else 2)  # where nothing fences: read anew
    assert (_counts(broker), len(set(_events(broker)))) == ([20] * 4, 80)


async def test_commit_while_kafka_is_away_is_restored_afterwards() -> None:
    """A commit that cannot be made ends the lease; the partition tries again until Kafka is back."""
    broker, handler = _cluster(partitions=1), streams.Counting()
    async with streams.running(broker.kafka, broker, handler) as work:
        _feed_in(broker, 4, partitions=1)
        await asyncio.sleep(0.0005)
        broker.go_down()
        await asyncio.sleep(100)
        assert work.status().partitions[0].state in {actor.State.WAITING, actor.State.RESTORING}
        broker.come_up()
        await asyncio.sleep(60)
        assert work.status().partitions[0].state is actor.State.RUNNING
    assert (_counts(broker), len(_events(broker))) == ([4], 4)


async def test_missing_topics_refuse_the_start() -> None:
    """The error says which and how to make them."""
    kafka = streams.kafka_settings()
    work = runtime.Runtime(kafka, memory.MemoryBroker(kafka), streams.Counting(), clock.LoopClock())
    with pytest.raises(errors.SettingsError, match="topics create"):
        await work.run()


async def test_unreadable_ledger_stops_its_partition_only() -> None:
    """It stays put for a person to look, the others work, and the service counts as ready."""
    broker, handler = _cluster(), streams.Counting()
    broker.put(streams.LEDGER, 1, b"n", b"7")  # state without an offset
    with structlog.testing.capture_logs() as logs:
        async with streams.running(broker.kafka, broker, handler) as work:
            _feed_in(broker, 40)
            await asyncio.sleep(60)
            partition = work.status().partitions[1]
            assert work.status().ready
    assert (partition.state, sorted(handler.leases)) == (actor.State.UNREADABLE, [0, 2, 3])
    assert "no offset" in (partition.error or "")
    assert [entry["event"] for entry in logs].count("partition_unreadable") == 1


@pytest.mark.parametrize(("retention", "match"), [(True, "topic begins at 30"), (False, "topic ends at 0")])
async def test_offset_outside_the_topic_stops_the_partition(retention: bool, match: str) -> None:
    """Records that were removed before they were read, or a topic made anew, need a person."""
    broker, handler = _cluster(partitions=1), streams.Counting()
    async with streams.running(broker.kafka, broker, handler):
        _feed_in(broker, 10, partitions=1)
        await asyncio.sleep(1)
    if retention:
        _feed_in(broker, 40, partitions=1)
        broker.cut(streams.IN, 0, 30)
    else:
        broker.create_topic(streams.IN, 1)
    async with streams.running(broker.kafka, broker, handler) as work:
        partition = work.status().partitions[0]
    assert partition.state is actor.State.UNREADABLE
    assert match in (partition.error or "")


async def test_records_removed_while_they_wait_stop_the_partition() -> None:
    """Retention that overtakes a slow partition is noticed on the way as well."""
    broker, handler = _cluster(partitions=1, feed_records=1), _Slow()
    handler.think_s = 1.0
    async with streams.running(broker.kafka, broker, handler) as work:
        _feed_in(broker, 3000, partitions=1)
        await asyncio.sleep(0.5)
        broker.cut(streams.IN, 0, 2990)
        await asyncio.sleep(60)
        assert work.status().partitions[0].state is actor.State.UNREADABLE


@pytest.mark.parametrize(
    ("first_start", "group_offset", "expected"),
    [("earliest", None, range(10, 20)), ("latest", None, range(0)), ("latest", 15, range(15, 20))],
)
async def test_first_start_begins_where_it_should(
    first_start: str, group_offset: int | None, expected: Sequence[int]
) -> None:
    """Without a ledger: at the group's offset if there is one, else as configured; and it is written down at once."""
    broker, handler = _cluster(partitions=1, first_start=first_start), streams.Counting()
    _feed_in(broker, 20, partitions=1)
    broker.cut(streams.IN, 0, 10)
    if group_offset is not None:
        broker.group.offsets[records.Position(streams.IN, 0)] = group_offset
    async with _crashing(broker, handler):  # which tells the group nothing
        await asyncio.sleep(1)
    assert handler.taken.get(0, []) == list(expected)
    _feed_in(broker, 1, partitions=1)
    async with streams.running(broker.kafka, broker, handler):
        await asyncio.sleep(1)
    assert handler.taken[0] == [*expected, 20]


async def test_offsets_of_the_group_are_never_read_back() -> None:
    """They are a mirror for lag tools; only the ledger says where to go on."""
    broker, handler = _cluster(partitions=1), streams.Counting()
    async with streams.running(broker.kafka, broker, handler):
        _feed_in(broker, 10, partitions=1)
        await asyncio.sleep(1)
    broker.group.offsets[records.Position(streams.IN, 0)] = 3
    async with streams.running(broker.kafka, broker, handler):
        _feed_in(broker, 10, partitions=1)
        await asyncio.sleep(1)
    assert handler.taken[0] == list(range(20))


async def test_offsets_are_mirrored_while_working() -> None:
    """Lag tools see the committed offset within seconds."""
    broker, handler = _cluster(partitions=1), streams.Counting()
    async with streams.running(broker.kafka, broker, handler):
        _feed_in(broker, 10, partitions=1)
        await asyncio.sleep(6)
        assert broker.group.offsets == {records.Position(streams.IN, 0): 10}


async def test_slow_handler_does_not_fill_memory() -> None:
    """Reading pauses while the feed is full, and all comes in order nevertheless."""
    broker, handler = _cluster(partitions=1, feed_records=50), streams.Counting()
    most = 0
    async with streams.running(broker.kafka, broker, handler):
        _feed_in(broker, 5000, partitions=1)
        lease = handler.leases[0][0]
        while len(handler.taken.get(0, [])) < 5000:
            await asyncio.sleep(0.01)
            most = max(most, lease.feed.waiting)
    assert handler.taken[0] == list(range(5000))
    assert most < 50 + 1000  # one delivery may overshoot


async def test_deployments_under_one_name_end_with_a_clear_message() -> None:
    """Somebody who claims a partition again and again while it is ours shares our app_id."""
    broker, handler = _cluster(partitions=1, fenced_limit=5), streams.Counting()
    rival = broker.producer(broker.kafka.transactional_id(0), idempotent=True)
    claim = records.Outgoing(streams.LEDGER, b"\0claim", b'{"nonce":"rival"}', (), 0)
    work = runtime.Runtime(broker.kafka, broker, handler, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_raises_settings_error(work))
        await work.ready()
        while not task.done():
            await rival.start()
            with contextlib.suppress(errors.Fenced):
                await rival.write([claim])
            _feed_in(broker, 1, partitions=1)
            await asyncio.sleep(5)
    assert "kafka.app_id=app" in task.result()


async def _raises_settings_error(work: runtime.Runtime[str]) -> str:
    with pytest.raises(errors.SettingsError) as raised:
        await work.run()
    return str(raised.value)


async def test_rightful_owners_in_between_are_no_rivals() -> None:
    """Partitions that wander between replicas for hours never look like two deployments."""
    broker, handler = _cluster(fenced_limit=2), streams.Counting()
    async with streams.running(broker.kafka, broker, handler):
        for _ in range(10):
            async with streams.running(broker.kafka, broker, streams.Counting()):
                await asyncio.sleep(_REBALANCED_S)
                _feed_in(broker, 4)
            await asyncio.sleep(_REBALANCED_S)
    assert _counts(broker) == [10] * 4


async def test_owners_while_we_were_put_out_are_no_rivals() -> None:
    """A member that was put out unawares and came back resumes warm, is fenced, restores; again and again."""
    broker, handler, other = _cluster(fenced_limit=2, mirror_interval_s=1e6), streams.Counting(), streams.Counting()
    async with streams.running(broker.kafka, broker, handler):
        member = broker.group.members[0]
        async with streams.running(broker.kafka, broker, other):
            for _ in range(4):
                await asyncio.sleep(_REBALANCED_S)
                member.evict()  # the other takes over all, until the session timeout has passed
                await asyncio.sleep(60)
                _feed_in(broker, 4)
                await asyncio.sleep(5)
    assert [len(handler.leases[partition]) > 2 for partition in range(4)].count(True) == 2
    assert _counts(broker) == [4] * 4


async def test_handler_that_fails_while_parked_waits_for_the_assignment() -> None:
    """Whose partition it is is not known then, so nobody is fenced; afterwards it begins anew."""
    broker, slow = _cluster(partitions=2), _Slow()
    slow.think_s = 30.0
    leases_seen: list[leases.Lease[str]] = []

    async def fragile(lease: leases.Lease[str]) -> None:
        leases_seen.append(lease)
        with contextlib.suppress(feeds.Closed):
            while not (await lease.feed.take(1)).notices:
                pass
            raise ZeroDivisionError

    def claims() -> int:
        return len([record for record in broker.committed(streams.LEDGER, 0) if record.key == b"\0claim"])

    work = runtime.Runtime(broker.kafka, broker, fragile, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        async with streams.running(broker.kafka, broker, slow):
            broker.put(streams.IN, 1, b"slow", b"v")
            await asyncio.sleep(1)
            broker.rebalance()
            await asyncio.sleep(4)
            before = claims()
            next(lease for lease in leases_seen if lease.partition == 0).feed.put("fail")
            await asyncio.sleep(3.9)
            assert (claims(), work.status().joined) == (before, False)
            await asyncio.sleep(5)
            assert (claims(), work.status().partitions[0].state) == (before + 1, actor.State.RUNNING)
        work.stop()
        await task


async def test_notices_survive_a_rebalance() -> None:
    """What others tell a parked partition waits for it."""
    broker, handler = _cluster(partitions=1), streams.Counting()
    async with streams.running(broker.kafka, broker, handler):
        lease = handler.leases[0][0]
        broker.rebalance()
        await asyncio.sleep(3.0005)
        lease.feed.put("while parked")
        await asyncio.sleep(_REBALANCED_S)
    assert handler.notices == ["while parked"]


def test_settings_type_is_what_the_runtime_takes() -> None:
    """The part receives its own settings group, never the whole."""
    assert runtime.Runtime.__init__.__annotations__["kafka"] == f"{settings.__name__.rpartition('.')[2]}.KafkaSettings"
