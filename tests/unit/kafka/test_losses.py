"""Ledgers and topics that lose something, grow or change while we run: reported, waited for, never ignored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
import structlog
from tests.support import runtimes

from mrs_relay.common import clock
from mrs_relay.kafka import hooks, partition_worker, records, runtime
from mrs_relay.kafka.memory import memory_broker

pytestmark = pytest.mark.looptime

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_MIRRORED_S = 6.0
_REBALANCED_S = 12.0


async def _work(broker: memory_broker.MemoryBroker, count: int = 10) -> None:
    """Run once over some records, long enough for the group to hear of it."""
    async with runtimes.running(broker.kafka, broker, runtimes.Counting()):
        runtimes.feed_in(broker, count, partitions=1)
        await asyncio.sleep(_MIRRORED_S)


async def _look(broker: memory_broker.MemoryBroker, count: int = 1) -> tuple[partition_worker.State, str]:
    """Start again, send some more records and say what becomes of the partition."""
    async with runtimes.running(broker.kafka, broker, runtimes.Counting()) as work:
        runtimes.feed_in(broker, count, partitions=1)
        await asyncio.sleep(1)
        found = work.status().partitions[0]
    return found.state, found.error or ""


def _accepting(broker: memory_broker.MemoryBroker) -> memory_broker.MemoryBroker:
    """Return the same broker seen by a process that was asked to accept the loss."""
    broker._kafka = broker.kafka.model_copy(update={"accept_loss": True})
    return broker


def _strict(broker: memory_broker.MemoryBroker) -> memory_broker.MemoryBroker:
    broker._kafka = broker.kafka.model_copy(update={"accept_loss": False})
    return broker


def _made_again(broker: memory_broker.MemoryBroker) -> None:
    broker.create_topic(runtimes.LEDGER, 1, {"cleanup.policy": "compact"})


def _begin_cut(broker: memory_broker.MemoryBroker) -> None:
    broker.cut(runtimes.LEDGER, 0, 3)


def _end_lost(broker: memory_broker.MemoryBroker) -> None:
    """Check all commits that report offset 10: with at-least-once a hand-over in order writes it twice."""
    reported = [record for record in broker.committed(runtimes.LEDGER, 0) if record.key == b"\0offsets"]
    last = next(record.offset for record in reported if record.value == reported[-1].value)
    broker.truncate(runtimes.LEDGER, 0, last - 1)


_LOSSES = pytest.mark.parametrize(
    ("lose", "reported"),
    [(_made_again, "is empty"), (_begin_cut, "begins at offset 3"), (_end_lost, "has been at offset 10")],
)


@_LOSSES
@_BOTH
async def test_ledger_that_has_lost_something_stops_its_partition(
    guarantee: str, lose: Callable[[memory_broker.MemoryBroker], None], reported: str
) -> None:
    """Deleted and made again, cut at its beginning or set back: going on would forget jobs or start them twice."""
    broker = runtimes.working_cluster(guarantee, partitions=1)
    await _work(broker)
    lose(broker)
    state, error = await _look(broker)
    assert (state, reported in error, "kafka.accept_loss" in error) == (partition_worker.State.UNREADABLE, True, True)


@_LOSSES
@_BOTH
async def test_accepted_loss_is_accepted_for_good(
    guarantee: str,
    lose: Callable[[memory_broker.MemoryBroker], None],
    reported: str,  # noqa: ARG001 - the table's
) -> None:
    """Asked to, the partition continues with what there is, and later starts need not be reported again."""
    broker = runtimes.working_cluster(guarantee, partitions=1)
    await _work(broker)
    lose(broker)
    assert (await _look(_accepting(broker), count=0))[0] is partition_worker.State.RUNNING
    await _work(_strict(broker))
    assert (await _look(broker))[0] is partition_worker.State.RUNNING


@_BOTH
async def test_compaction_is_no_loss(guarantee: str) -> None:
    """What compaction takes away was replaced: the partition continues, however often it happened."""
    broker = runtimes.working_cluster(guarantee, partitions=1)
    for _ in range(3):
        await _work(broker)
        broker.compact(runtimes.LEDGER)
    assert (await _look(broker))[0] is partition_worker.State.RUNNING
    assert runtimes.counts(broker) == [31]


@_BOTH
async def test_ledger_made_again_while_it_is_written_stops_its_partition_for_good(guarantee: str) -> None:
    """The first commit into the new topic is the last one, and the next start sees that it is not the whole story."""
    broker, handler = runtimes.working_cluster(guarantee, partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        for _ in range(5):
            runtimes.feed_in(broker, 2, partitions=1)
            await asyncio.sleep(1)
        broker.create_topic(runtimes.LEDGER, 1, {"cleanup.policy": "compact"})
        runtimes.feed_in(broker, 2, partitions=1)
        await asyncio.sleep(5)
        first = work.status().partitions[0]
    assert (first.state, "created again" in (first.error or "")) == (partition_worker.State.UNREADABLE, True)
    state, error = await _look(broker)
    assert (state, "created again" in error) == (partition_worker.State.UNREADABLE, True)


@_BOTH
async def test_deleted_ledger_is_named_and_never_begun_again_by_itself(guarantee: str) -> None:
    """While it is missing the partition waits, and the error names the topic; an empty one in its place stops it."""
    broker, handler = runtimes.working_cluster(guarantee, partitions=1), runtimes.Counting()
    with structlog.testing.capture_logs() as logs:
        async with runtimes.running(broker.kafka, broker, handler) as work:
            runtimes.feed_in(broker, 2, partitions=1)
            await asyncio.sleep(_MIRRORED_S)
            broker.drop_topic(runtimes.LEDGER)
            runtimes.feed_in(broker, 2, partitions=1)
            await asyncio.sleep(60)
            missing = work.status()
            _made_again(broker)
            await asyncio.sleep(60)
            empty = work.status().partitions[0]

    assert (missing.ready, missing.partitions[0].state) == (False, partition_worker.State.WAITING)
    assert "missing topics: in.ledger" in (missing.error or "")
    assert (empty.state, "is empty" in (empty.error or "")) == (partition_worker.State.UNREADABLE, True)
    assert [entry["event"] for entry in logs].count("topic_faults_found") == 1
    assert len(runtimes.events(broker)) == 2


async def test_requests_that_were_deleted_unread_stop_the_partition_until_that_is_accepted() -> None:
    """Retention that was too short is reported with the offsets; asked to, we continue behind the gap."""
    broker = runtimes.working_cluster(partitions=1)
    await _work(broker)
    runtimes.feed_in(broker, 40, partitions=1)
    broker.cut(runtimes.IN, 0, 30)
    state, error = await _look(broker)
    assert (state, "the topic begins at 30" in error) == (partition_worker.State.UNREADABLE, True)
    with structlog.testing.capture_logs() as logs:
        state, _ = await _look(_accepting(broker))
    assert state is partition_worker.State.RUNNING
    assert [(entry["first"], entry["before"]) for entry in logs if entry["event"] == "requests_lost"] == [(10, 30)]


@_BOTH
@pytest.mark.parametrize("where", ["claim", "commit"])
async def test_ledger_of_a_newer_format_stops_its_partition_alone(guarantee: str, where: str) -> None:
    """A version that does not know the format keeps its hands off, and says what to do."""
    broker, handler = runtimes.working_cluster(guarantee), runtimes.Counting()
    if where == "claim":
        broker.put(runtimes.LEDGER, 1, b"\0claim", b'{"nonce":"newer","format":3}')
    else:
        broker.put(runtimes.LEDGER, 1, b"\0offsets", b'{"in":0}', (("f", b"3"),))

    async with runtimes.running(broker.kafka, broker, handler) as work:
        runtimes.feed_in(broker, 40)
        await asyncio.sleep(5)
        states = [partition.state for partition in work.status().partitions]
        error = work.status().partitions[1].error or ""

    assert states == [
        partition_worker.State.RUNNING,
        partition_worker.State.UNREADABLE,
        partition_worker.State.RUNNING,
        partition_worker.State.RUNNING,
    ]

    assert "format 3" in error
    assert "run the newer version again" in error


@_BOTH
async def test_new_partition_waits_for_its_ledger_and_loses_nothing(guarantee: str) -> None:
    """Said until the ledger has grown, too; then it continues by itself, from its beginning even for "latest"."""
    broker, handler = runtimes.working_cluster(guarantee, partitions=2, first_start="latest"), runtimes.Counting()
    shares: list[tuple[int, int]] = []
    work = runtime.Runtime(
        broker.kafka, broker, handler, clock.LoopClock(), hooks=hooks.Hooks(lambda *share: shares.append(share))
    )

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        broker.grow(runtimes.IN, 3)
        runtimes.feed_in(broker, 3, partitions=3)
        await asyncio.sleep(30)
        waiting = work.status()
        broker.grow(runtimes.LEDGER, 3)
        async with asyncio.timeout(60):
            await work.ready()
        runtimes.feed_in(broker, 3, partitions=3)
        await asyncio.sleep(1)
        settled = work.status()
        work.stop()
        await task

    assert [partition.state for partition in waiting.partitions[:2]] == [partition_worker.State.RUNNING] * 2
    assert (
        waiting.ready,
        waiting.partitions[2].state in {partition_worker.State.WAITING, partition_worker.State.RESTORING},
    ) == (False, True)
    assert "in.ledger has 2 partitions, in has 3" in (waiting.error or "")
    assert (settled.ready, settled.error) == (True, None)
    assert (handler.taken[2], runtimes.counts(broker)) == ([0, 1], [2, 2, 2])
    assert (shares[0], shares[-1]) == ((2, 2), (3, 3))


@_BOTH
async def test_new_partition_loses_nothing_if_we_are_restarted_before_its_ledger_has_grown(guarantee: str) -> None:
    """A new process cannot tell that the partition is new; the group's offset, left by the one before, can."""
    broker = runtimes.working_cluster(guarantee, partitions=2, first_start="latest")

    async def live(change: Callable[[], None], handler: runtimes.Counting, *, grown: bool) -> None:
        work = runtime.Runtime(broker.kafka, broker, handler, clock.LoopClock())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work.run())
            await work.ready()
            change()
            await asyncio.sleep(100)
            assert work.status().ready is grown
            work.stop()
            await task

    def grow() -> None:
        broker.grow(runtimes.IN, 3)
        runtimes.feed_in(broker, 3, partitions=3)

    await live(grow, runtimes.Counting(), grown=False)
    broker.grow(runtimes.LEDGER, 3)
    handler = runtimes.Counting()
    await live(lambda: None, handler, grown=True)
    assert handler.taken[2] == [0]


async def test_budget_is_shared_by_the_present_number_of_partitions() -> None:
    """Of two replicas each counts its partitions against all of them as soon as there are more."""
    broker, shares = runtimes.working_cluster(partitions=2), dict[int, tuple[int, int]]()

    def replica(number: int) -> runtime.Runtime[str]:
        def note(*share: int) -> None:
            shares[number] = (share[0], share[1])

        return runtime.Runtime(broker.kafka, broker, runtimes.Counting(), clock.LoopClock(), hooks=hooks.Hooks(note))

    replicas = [replica(0), replica(1)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run()) for one in replicas]
        await asyncio.sleep(_REBALANCED_S)
        broker.grow(runtimes.LEDGER, 8)
        broker.grow(runtimes.IN, 8)
        await asyncio.sleep(100)
        for one in replicas:
            one.stop()
        await asyncio.wait(tasks)
    assert shares == {0: (4, 8), 1: (4, 8)}


async def test_ledger_that_is_set_to_forget_by_age_is_reported_while_we_run() -> None:
    """What a start would refuse is reported within a minute when it is changed later, and so is its repair."""
    broker = runtimes.working_cluster(partitions=1)
    with structlog.testing.capture_logs() as logs:
        async with runtimes.running(broker.kafka, broker, runtimes.Counting()) as work:
            broker.configure(runtimes.LEDGER, cleanup_policy="compact,delete")
            await asyncio.sleep(70)
            wrong = work.status()
            broker.configure(runtimes.LEDGER, cleanup_policy="compact")
            await asyncio.sleep(10)
            right = work.status()
    assert "must not delete" in (wrong.error or "")
    assert (wrong.ready, right.error) == (True, None)
    logged = [entry["event"] for entry in logs if entry["event"].startswith("topic_faults")]
    assert logged == ["topic_faults_found", "topic_faults_resolved"]


@_BOTH
async def test_broker_that_takes_no_writes_is_waited_for_and_nothing_is_done_on_credit(guarantee: str) -> None:
    """A full disk: reading works, every write fails for minutes. Nothing is acted on, nothing lost, nothing twice."""
    broker, handler = runtimes.working_cluster(guarantee, partitions=1), runtimes.Counting()
    async with runtimes.running(broker.kafka, broker, handler) as work:
        broker.fail_writes(1_000_000, applied=False)
        runtimes.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(300)
        full = work.status()
        assert (handler.acted, runtimes.events(broker), full.ready) == ([], [], False)
        broker._faults.clear()
        await asyncio.sleep(60)
        assert work.status().ready
    assert full.partitions[0].error
    assert (runtimes.counts(broker), len(runtimes.events(broker)), len(handler.acted)) == ([10], 10, 10)


@_BOTH
async def test_disk_of_one_partition_leaves_the_others_alone(guarantee: str) -> None:
    """Of four ledgers one cannot be written: three partitions continue, the fourth follows later."""
    broker, handler = runtimes.working_cluster(guarantee), runtimes.Counting()

    def second(outgoing: Sequence[records.Outgoing]) -> bool:
        return any((record.topic, record.partition) == (runtimes.LEDGER, 2) for record in outgoing)

    async with runtimes.running(broker.kafka, broker, handler):
        broker.fail_writes(1_000_000, applied=False, concerns=second)
        runtimes.feed_in(broker, 40)
        await asyncio.sleep(100)
        during = runtimes.counts(broker)
        broker._faults.clear()
        await asyncio.sleep(60)
    assert (during, runtimes.counts(broker)) == ([10, 10, 0, 10], [10] * 4)
