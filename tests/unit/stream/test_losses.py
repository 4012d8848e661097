"""Ledgers and topics that lose something, grow or are changed while we run: told, waited for, and never passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
import structlog
from tests.support import streams

from mrs_relay.kit import clock
from mrs_relay.stream import actor, memory, records, runtime

pytestmark = pytest.mark.looptime

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_MIRRORED_S = 6.0
_REBALANCED_S = 12.0


async def _work(broker: memory.MemoryBroker, count: int = 10) -> None:
    """Run once over some records, long enough for the group to hear of it."""
    async with streams.running(broker.kafka, broker, streams.Counting()):
        streams.feed_in(broker, count, partitions=1)
        await asyncio.sleep(_MIRRORED_S)


async def _look(broker: memory.MemoryBroker, count: int = 1) -> tuple[actor.State, str]:
    """Start anew, send some more records and say what becomes of the partition."""
    async with streams.running(broker.kafka, broker, streams.Counting()) as work:
        streams.feed_in(broker, count, partitions=1)
        await asyncio.sleep(1)
        found = work.status().partitions[0]
    return found.state, found.error or ""


def _accepting(broker: memory.MemoryBroker) -> memory.MemoryBroker:
    """The same broker seen by a process that was told to accept the loss."""
    broker._kafka = broker.kafka.model_copy(update={"accept_loss": True})
    return broker


def _strict(broker: memory.MemoryBroker) -> memory.MemoryBroker:
    broker._kafka = broker.kafka.model_copy(update={"accept_loss": False})
    return broker


def _made_anew(broker: memory.MemoryBroker) -> None:
    broker.create_topic(streams.LEDGER, 1, {"cleanup.policy": "compact"})


def _begin_cut(broker: memory.MemoryBroker) -> None:
    broker.cut(streams.LEDGER, 0, 3)


def _end_lost(broker: memory.MemoryBroker) -> None:
    """All commits that tell of offset 10: with at-least-once a hand-over in order writes it twice."""
    told = [record for record in broker.committed(streams.LEDGER, 0) if record.key == b"\0offsets"]
    last = next(record.offset for record in told if record.value == told[-1].value)
    broker.truncate(streams.LEDGER, 0, last - 1)


_LOSSES = pytest.mark.parametrize(
    ("lose", "told"),
    [(_made_anew, "is empty"), (_begin_cut, "begins at offset 3"), (_end_lost, "has been at offset 10")],
)


@_LOSSES
@_BOTH
async def test_ledger_that_has_lost_something_stops_its_partition(
    guarantee: str, lose: Callable[[memory.MemoryBroker], None], told: str
) -> None:
    """Deleted and made anew, cut at its beginning or set back: going on would forget jobs or start them twice."""
    broker = streams.working_cluster(guarantee, partitions=1)
    await _work(broker)
    lose(broker)
    state, error = await _look(broker)
    assert (state, told in error, "kafka.accept_loss" in error) == (actor.State.UNREADABLE, True, True)


@_LOSSES
@_BOTH
async def test_accepted_loss_is_accepted_for_good(
    guarantee: str,
    lose: Callable[[memory.MemoryBroker], None],
    told: str,  # noqa: ARG001 - the table's
) -> None:
    """Told to, the partition goes on with what there is, and later starts need not be told again."""
    broker = streams.working_cluster(guarantee, partitions=1)
    await _work(broker)
    lose(broker)
    assert (await _look(_accepting(broker), count=0))[0] is actor.State.RUNNING
    await _work(_strict(broker))
    assert (await _look(broker))[0] is actor.State.RUNNING


@_BOTH
async def test_compaction_is_no_loss(guarantee: str) -> None:
    """What compaction takes away was replaced: the partition goes on, however often it happened."""
    broker = streams.working_cluster(guarantee, partitions=1)
    for _ in range(3):
        await _work(broker)
        broker.compact(streams.LEDGER)
    assert (await _look(broker))[0] is actor.State.RUNNING
    assert streams.counts(broker) == [31]


@_BOTH
async def test_ledger_made_anew_while_it_is_written_stops_its_partition_for_good(guarantee: str) -> None:
    """The first commit into the new topic is the last one, and the next start sees that it is not the whole story."""
    broker, handler = streams.working_cluster(guarantee, partitions=1), streams.Counting()
    async with streams.running(broker.kafka, broker, handler) as work:
        for _ in range(5):
            streams.feed_in(broker, 2, partitions=1)
            await asyncio.sleep(1)
        broker.create_topic(streams.LEDGER, 1, {"cleanup.policy": "compact"})
        streams.feed_in(broker, 2, partitions=1)
        await asyncio.sleep(5)
        first = work.status().partitions[0]
    assert (first.state, "made anew" in (first.error or "")) == (actor.State.UNREADABLE, True)
    state, error = await _look(broker)
    assert (state, "made anew" in error) == (actor.State.UNREADABLE, True)


@_BOTH
async def test_deleted_ledger_is_named_and_never_begun_anew_by_itself(guarantee: str) -> None:
    """While it is missing the partition waits, and the error names the topic; an empty one in its place stops it."""
    broker, handler = streams.working_cluster(guarantee, partitions=1), streams.Counting()
    with structlog.testing.capture_logs() as logs:
        async with streams.running(broker.kafka, broker, handler) as work:
            streams.feed_in(broker, 2, partitions=1)
            await asyncio.sleep(_MIRRORED_S)
            broker.drop_topic(streams.LEDGER)
            streams.feed_in(broker, 2, partitions=1)
            await asyncio.sleep(60)
            missing = work.status()
            _made_anew(broker)
            await asyncio.sleep(60)
            empty = work.status().partitions[0]
    assert (missing.ready, missing.partitions[0].state) == (False, actor.State.WAITING)
    assert "missing topics: in.ledger" in (missing.error or "")
    assert (empty.state, "is empty" in (empty.error or "")) == (actor.State.UNREADABLE, True)
    assert [entry["event"] for entry in logs].count("kafka_setup_wrong") == 1
    assert len(streams.events(broker)) == 2


async def test_requests_that_were_deleted_unread_stop_the_partition_until_that_is_accepted() -> None:
    """Retention that was too short is told with the offsets; told to, we go on behind the gap."""
    broker = streams.working_cluster(partitions=1)
    await _work(broker)
    streams.feed_in(broker, 40, partitions=1)
    broker.cut(streams.IN, 0, 30)
    state, error = await _look(broker)
    assert (state, "the topic begins at 30" in error) == (actor.State.UNREADABLE, True)
    with structlog.testing.capture_logs() as logs:
        state, _ = await _look(_accepting(broker))
    assert state is actor.State.RUNNING
    assert [(entry["first"], entry["before"]) for entry in logs if entry["event"] == "requests_lost"] == [(10, 30)]


@_BOTH
@pytest.mark.parametrize("where", ["claim", "commit"])
async def test_ledger_of_a_newer_format_stops_its_partition_alone(guarantee: str, where: str) -> None:
    """A version that does not know the format keeps its hands off, and says what to do."""
    broker, handler = streams.working_cluster(guarantee), streams.Counting()
    if where == "claim":
        broker.put(streams.LEDGER, 1, b"\0claim", b'{"nonce":"newer","format":2}')
    else:
        broker.put(streams.LEDGER, 1, b"\0offsets", b'{"in":0}', (("f", b"2"),))
    async with streams.running(broker.kafka, broker, handler) as work:
        streams.feed_in(broker, 40)
        await asyncio.sleep(5)
        states = [partition.state for partition in work.status().partitions]
        error = work.status().partitions[1].error or ""
    assert states == [actor.State.RUNNING, actor.State.UNREADABLE, actor.State.RUNNING, actor.State.RUNNING]
    assert "format 2" in error
    assert "run the newer version again" in error


@_BOTH
async def test_new_partition_waits_for_its_ledger_and_loses_nothing(guarantee: str) -> None:
    """Said until the ledger has grown, too; then it goes on by itself, from its beginning even for "latest"."""
    broker, handler = streams.working_cluster(guarantee, partitions=2, first_start="latest"), streams.Counting()
    shares: list[tuple[int, int]] = []
    work = runtime.Runtime(
        broker.kafka, broker, handler, clock.LoopClock(), on_share=lambda *share: shares.append(share)
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        broker.grow(streams.IN, 3)
        streams.feed_in(broker, 3, partitions=3)
        await asyncio.sleep(30)
        waiting = work.status()
        broker.grow(streams.LEDGER, 3)
        async with asyncio.timeout(60):
            await work.ready()
        streams.feed_in(broker, 3, partitions=3)
        await asyncio.sleep(1)
        settled = work.status()
        work.stop()
        await task
    assert [partition.state for partition in waiting.partitions[:2]] == [actor.State.RUNNING] * 2
    assert (waiting.ready, waiting.partitions[2].state in {actor.State.WAITING, actor.State.RESTORING}) == (False, True)
    assert "in.ledger has 2 partitions, in has 3" in (waiting.error or "")
    assert (settled.ready, settled.error) == (True, None)
    assert (handler.taken[2], streams.counts(broker)) == ([0, 1], [2, 2, 2])
    assert (shares[0], shares[-1]) == ((2, 2), (3, 3))


@_BOTH
async def test_new_partition_loses_nothing_if_we_are_restarted_before_its_ledger_has_grown(guarantee: str) -> None:
    """A new process cannot tell that the partition is new; the group's offset, left by the one before, can."""
    broker = streams.working_cluster(guarantee, partitions=2, first_start="latest")

    async def live(change: Callable[[], None], handler: streams.Counting, *, grown: bool) -> None:
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
        broker.grow(streams.IN, 3)
        streams.feed_in(broker, 3, partitions=3)

    await live(grow, streams.Counting(), grown=False)
    broker.grow(streams.LEDGER, 3)
    handler = streams.Counting()
    await live(lambda: None, handler, grown=True)
    assert handler.taken[2] == [0]


async def test_budget_is_shared_by_the_present_number_of_partitions() -> None:
    """Of two replicas each counts its partitions against all of them as soon as there are more."""
    broker, shares = streams.working_cluster(partitions=2), dict[int, tuple[int, int]]()

    def replica(number: int) -> runtime.Runtime[str]:
        def note(*share: int) -> None:
            shares[number] = (share[0], share[1])

        return runtime.Runtime(broker.kafka, broker, streams.Counting(), clock.LoopClock(), on_share=note)

    replicas = [replica(0), replica(1)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run()) for one in replicas]
        await asyncio.sleep(_REBALANCED_S)
        broker.grow(streams.LEDGER, 8)
        broker.grow(streams.IN, 8)
        await asyncio.sleep(100)
        for one in replicas:
            one.stop()
        await asyncio.wait(tasks)
    assert shares == {0: (4, 8), 1: (4, 8)}


async def test_ledger_that_is_set_to_forget_by_age_is_told_while_we_run() -> None:
    """What a start would refuse is told within a minute when it is changed later, and so is its repair."""
    broker = streams.working_cluster(partitions=1)
    with structlog.testing.capture_logs() as logs:
        async with streams.running(broker.kafka, broker, streams.Counting()) as work:
            broker.configure(streams.LEDGER, cleanup_policy="compact,delete")
            await asyncio.sleep(70)
            wrong = work.status()
            broker.configure(streams.LEDGER, cleanup_policy="compact")
            await asyncio.sleep(10)
            right = work.status()
    assert "must not delete" in (wrong.error or "")
    assert (wrong.ready, right.error) == (True, None)
    told = [entry["event"] for entry in logs if entry["event"].startswith("kafka_setup")]
    assert told == ["kafka_setup_wrong", "kafka_setup_right"]


@_BOTH
async def test_broker_that_takes_no_writes_is_waited_for_and_nothing_is_done_on_credit(guarantee: str) -> None:
    """A full disk: reading works, every write fails for minutes. Nothing is acted on, nothing lost, nothing twice."""
    broker, handler = streams.working_cluster(guarantee, partitions=1), streams.Counting()
    async with streams.running(broker.kafka, broker, handler) as work:
        broker.fail_writes(1_000_000, applied=False)
        streams.feed_in(broker, 10, partitions=1)
        await asyncio.sleep(300)
        full = work.status()
        assert (handler.acted, streams.events(broker), full.ready) == ([], [], False)
        broker._faults.clear()
        await asyncio.sleep(60)
        assert work.status().ready
    assert full.partitions[0].error
    assert (streams.counts(broker), len(streams.events(broker)), len(handler.acted)) == ([10], 10, 10)


@_BOTH
async def test_disk_of_one_partition_leaves_the_others_alone(guarantee: str) -> None:
    """Of four ledgers one cannot be written: three partitions go on, the fourth follows later."""
    broker, handler = streams.working_cluster(guarantee), streams.Counting()

    def second(outgoing: Sequence[records.Outgoing]) -> bool:
        return any((record.topic, record.partition) == (streams.LEDGER, 2) for record in outgoing)

    async with streams.running(broker.kafka, broker, handler):
        broker.fail_writes(1_000_000, applied=False, concerns=second)
        streams.feed_in(broker, 40)
        await asyncio.sleep(100)
        during = streams.counts(broker)
        broker._faults.clear()
        await asyncio.sleep(60)
    assert (during, streams.counts(broker)) == ([10, 10, 0, 10], [10] * 4)
