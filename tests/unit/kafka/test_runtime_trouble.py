"""What goes wrong around a partition: lost replies, bugs, Kafka away, bad ledgers, shutdown; in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import pytest
import structlog
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import partition_worker, records, runtime
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.kafka.topics import topic_setup

pytestmark = pytest.mark.looptime

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_REBALANCED_S = 12.0  # heartbeats, joining and restoring


@pytest.mark.parametrize("applied", [True, False])
@_BOTH
async def test_unknown_outcome_of_a_commit_is_found_out(guarantee: str, applied: bool) -> None:
    """A lost reply and a lost commit look alike; after the restore everything is counted once."""
    broker, handler = runtimes.working_cluster(guarantee, partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        broker.fail_writes(applied=applied, concerns=_counting)
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(10)
        assert work.status().partitions[0].state is partition_worker.State.RUNNING
    assert len(handler.leases[0]) == 2
    assert (runtimes.counts(broker), len(set(runtimes.events(broker)))) == ([10], 10)
    if guarantee == "exactly-once":
        assert len(runtimes.events(broker)) == 10


def _counting(outgoing: Sequence[records.Outgoing]) -> bool:
    return any(record.key == b"n" for record in outgoing)


async def test_bug_in_one_partition_leaves_the_others_alone() -> None:
    """A handler that fails is restarted with growing pauses; its neighbours notice nothing."""
    broker, handler = runtimes.working_cluster(), runtimes.Counting()

    def fail(lease: leases.Lease[str]) -> None:
        if lease.partition == 2:
            raise ZeroDivisionError

    handler.before_commit = fail
    with structlog.testing.capture_logs() as logs:
        async with runtimes.running(broker.kafka, broker, handler) as work:
            runtimes.feed_in(broker, 40)
            await asyncio.sleep(60)
            bad = work.status().partitions[2]
            assert (bad.crashes, bad.failures) == (bad.failures, len(handler.leases[2]))
            assert 5 <= bad.crashes <= 9
            assert bad.error == "ZeroDivisionError"
            handler.before_commit = lambda _lease: None
            await asyncio.sleep(60)
            good = work.status().partitions[2]
            assert (good.state, good.error) == (partition_worker.State.RUNNING, None)
    crashes = [entry for entry in logs if entry["event"] == "handler_failed"]
    assert len(crashes) == bad.crashes
    assert all(entry["partition"] == 2 and "fail" in entry["stack"] for entry in crashes)
    assert [len(handler.leases[partition]) for partition in (0, 1, 3)] == [1, 1, 1]
    assert (runtimes.counts(broker), len(runtimes.events(broker))) == ([10] * 4, 40)


async def test_handler_that_ends_by_itself_is_a_bug() -> None:
    """A partition without a handler would be read and never dealt with."""
    broker = runtimes.working_cluster(partitions=1)
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
    assert "was not asked to" in (status.error or "")


async def test_commit_error_inside_a_task_group_is_no_bug() -> None:
    """Handlers with task groups wrap the error of a commit; it counts as the lease's end all the same."""
    broker = runtimes.working_cluster(partitions=1)
    inner = runtimes.Counting()

    async def grouped(lease: leases.Lease[str]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(inner(lease))

    work = runtime.Runtime(broker.kafka, broker, grouped, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        broker.fail_writes(applied=False, concerns=_counting)
        runtimes.feed_in(broker, 4, partitions=1)
        await asyncio.sleep(10)
        assert work.status().partitions[0].crashes == 0
        work.stop()
        await task
    assert runtimes.counts(broker) == [4]


@_BOTH
async def test_shutdown_commits_what_was_taken(guarantee: str, looptime: float) -> None:
    """Handlers finish what they hold, the group's offsets are reported, and it all takes milliseconds."""
    broker, handler = runtimes.working_cluster(guarantee), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 40)
        await asyncio.sleep(0.003)
        work.stop()
        asked_s = float(looptime)
    assert looptime - asked_s < 0.2
    assert sorted(handler.ended) == [0, 1, 2, 3]
    counted = runtimes.counts(broker)
    assert counted == [len(handler.taken.get(partition, [])) for partition in range(4)]
    assert broker.group.offsets == {records.Position(runtimes.IN, n): count for n, count in enumerate(counted) if count}
    assert broker.group.members == []


async def test_shutdown_does_not_wait_for_ever(looptime: float) -> None:
    """A handler that does not end is cancelled when the time is over."""
    broker = runtimes.working_cluster(shutdown_s=20.0)
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
    assert 12 <= looptime - asked_s < 20
    assert sorted(cancelled) == [0, 1, 2, 3]


async def test_kafka_away_at_the_start_is_waited_for() -> None:
    """The log names the setting, readiness is false, and work begins when Kafka is there."""
    broker, handler = runtimes.working_cluster(), runtimes.Counting()
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
    broker = runtimes.working_cluster()
    broker.go_down()
    work = runtime.Runtime(broker.kafka, broker, runtimes.Counting(), clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await asyncio.sleep(100)
        work.stop()
        await task
    assert looptime < 110


@_BOTH
async def test_kafka_away_for_minutes_is_survived(guarantee: str) -> None:
    """Acting stops, readiness goes and comes back, and nothing is lost or counted twice."""
    broker, handler = runtimes.working_cluster(guarantee), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 40)
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

        runtimes.feed_in(broker, 40)
        await asyncio.sleep(5)

    assert len(handler.leases[0]) == (1 if guarantee == "exactly-once" else 2)  # where nothing fences: read again
    assert (runtimes.counts(broker), len(set(runtimes.events(broker)))) == ([20] * 4, 80)


async def test_commit_while_kafka_is_away_is_restored_afterwards() -> None:
    """A commit that cannot be made ends the lease; the partition tries again until Kafka is back."""
    broker, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 4, partitions=1)
        await asyncio.sleep(0.0005)
        broker.go_down()
        await asyncio.sleep(100)
        assert work.status().partitions[0].state in {partition_worker.State.WAITING, partition_worker.State.RESTORING}
        broker.come_up()
        await asyncio.sleep(60)
        assert work.status().partitions[0].state is partition_worker.State.RUNNING
    assert (runtimes.counts(broker), len(runtimes.events(broker))) == ([4], 4)


async def test_missing_topics_refuse_the_start() -> None:
    """The error says which and how to make them."""
    kafka = runtimes.kafka_settings()
    work = runtime.Runtime(kafka, memory_broker.MemoryBroker(kafka), runtimes.Counting(), clock.LoopClock())
    with pytest.raises(errors.SettingsError, match="topics create"):
        await work.run()


async def test_a_stop_while_topics_are_waited_for_is_a_good_end() -> None:
    """A person who stops it wants no error about topics that may come."""
    kafka = runtimes.kafka_settings()
    work = runtime.Runtime(kafka, memory_broker.MemoryBroker(kafka), runtimes.Counting(), clock.LoopClock())
    running = asyncio.create_task(work.run())
    await asyncio.sleep(1)
    work.stop()
    await asyncio.wait_for(running, 5)


async def test_topics_that_are_new_to_a_broker_are_waited_for() -> None:
    """Brokers learn of new topics one after the other: a start right after their creation is no failed start."""
    kafka = runtimes.kafka_settings()
    broker = memory_broker.MemoryBroker(kafka)

    async def create_later() -> None:
        await asyncio.sleep(1)
        async with broker.admin() as admin:
            await topic_setup.create(admin, kafka)

    async with asyncio.TaskGroup() as group:
        group.create_task(create_later())
        async with runtimes.running(kafka, broker, runtimes.Counting()) as work:
            assert len(work.status().partitions) == 4


async def test_unreadable_ledger_stops_its_partition_only() -> None:
    """It stays put for a person to look, the others work, and the service counts as ready."""
    broker, handler = runtimes.working_cluster(), runtimes.Counting()
    broker.put(runtimes.LEDGER, 1, b"n", b"7")  # state without an offset
    with structlog.testing.capture_logs() as logs:
        async with runtimes.running(broker.kafka, broker, handler) as work:
            runtimes.feed_in(broker, 40)
            await asyncio.sleep(60)
            partition = work.status().partitions[1]
            assert work.status().ready
    assert (partition.state, sorted(handler.leases)) == (partition_worker.State.UNREADABLE, [0, 2, 3])
    assert "no offset" in (partition.error or "")
    assert [entry["event"] for entry in logs].count("partition_unreadable") == 1


@pytest.mark.parametrize(("retention", "match"), [(True, "topic begins at 30"), (False, "topic ends at 0")])
async def test_offset_outside_the_topic_stops_the_partition(retention: bool, match: str) -> None:
    """Records that were removed before they were read, or a topic that has lost its end, need a person."""
    broker, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(1)
    if retention:
        runtimes.feed_in(broker, 40, partitions=1)
        broker.cut(runtimes.IN, 0, 30)
    else:
        broker.truncate(runtimes.IN, 0, 0)
    async with runtimes.running(broker.kafka, broker, handler) as work:
        partition = work.status().partitions[0]
    assert partition.state is partition_worker.State.UNREADABLE
    assert match in (partition.error or "")


async def test_ledger_that_was_deleted_stops_its_partitions() -> None:
    """An empty ledger of a partition that was worked on is no first start: jobs under way would be forgotten."""
    broker, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(6)
    broker.create_topic(runtimes.LEDGER, 1, {"cleanup.policy": "compact"})
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(30)
        partition = work.status().partitions[0]
    assert (partition.state, len(handler.taken[0])) == (partition_worker.State.UNREADABLE, 10)
    assert "is empty, but it has been at offset 10" in (partition.error or "")


async def test_ledger_whose_beginning_was_deleted_stops_its_partition() -> None:
    """Compaction keeps the first offset; whatever moved it has deleted jobs."""
    broker, handler = runtimes.working_cluster(partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler):
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(1)
    broker.compact(runtimes.LEDGER)
    async with runtimes.running(broker.kafka, broker, handler) as work:
        await asyncio.sleep(5)
        assert work.status().partitions[0].state is partition_worker.State.RUNNING
    broker.cut(runtimes.LEDGER, 0, 3)
    async with runtimes.running(broker.kafka, broker, handler) as work:
        await asyncio.sleep(5)
        partition = work.status().partitions[0]
    assert partition.state is partition_worker.State.UNREADABLE
    assert "begins at offset 3" in (partition.error or "")


async def test_partition_that_the_input_has_gained_waits_for_its_ledger() -> None:
    """Its requests are not touched, and it is said what to do; the others continue, and it joins once it can."""
    broker, handler = runtimes.working_cluster(partitions=2), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 10, partitions=2)
        await asyncio.sleep(1)
        broker.grow(runtimes.IN, 3)
        runtimes.feed_in(broker, 30, partitions=3)
        await asyncio.sleep(60)
        assert {number for number, taken in handler.taken.items() if taken} == {0, 1}
        new = next(one for one in work.status().partitions if one.partition == 2)
        assert "partition" in (new.error or "")
        broker.grow(runtimes.LEDGER, 3)
        await asyncio.sleep(120)
        assert len(handler.taken[2]) == 10


async def test_records_removed_while_they_wait_stop_the_partition() -> None:
    """Retention that overtakes a slow partition is noticed on the way as well."""
    broker, handler = runtimes.working_cluster(partitions=1, feed_records=1), runtimes.Slow()
    handler.think_s = 1.0
    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 3000, partitions=1)
        await asyncio.sleep(0.5)
        broker.cut(runtimes.IN, 0, 2990)
        await asyncio.sleep(60)
        assert work.status().partitions[0].state is partition_worker.State.UNREADABLE


async def test_handler_that_fails_while_parked_waits_for_the_assignment() -> None:
    """Whose partition it is is not known then, so no member is fenced; afterwards it begins again."""
    broker = runtimes.working_cluster(partitions=1, mirror_interval_s=1e3)
    leases_seen: list[leases.Lease[str]] = []

    async def fragile(lease: leases.Lease[str]) -> None:
        leases_seen.append(lease)
        with contextlib.suppress(inboxes.Closed):
            while not (await lease.inbox.take(1)).notices:
                pass
            raise ZeroDivisionError

    def claims() -> int:
        return len([record for record in broker.committed(runtimes.LEDGER, 0) if record.key == b"\0claim"])

    work = runtime.Runtime(broker.kafka, broker, fragile, clock.LoopClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        broker.evict()
        await asyncio.sleep(7.9)
        broker.go_down()  # so that it cannot join again when it hears that its session has ended
        await asyncio.sleep(1)
        broker.come_up()
        before = claims()
        leases_seen[0].inbox.put("fail")
        await asyncio.sleep(5)
        assert (claims(), work.status().joined) == (before, False)
        await asyncio.sleep(5)
        assert (claims(), work.status().partitions[0].state) == (before + 1, partition_worker.State.RUNNING)
        work.stop()
        await task
