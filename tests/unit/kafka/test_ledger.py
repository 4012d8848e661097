"""Claiming, restoring, committing: both guarantees, with an owner that is replaced, crashes or loses a reply."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.support import runtimes
from tests.unit.kafka import ledger_samples

from mrs_relay import errors
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import records
from mrs_relay.kafka.memory import memory_broker, memory_log

pytestmark = pytest.mark.looptime


def _event(value: str) -> records.Outgoing:
    return records.Outgoing(runtimes.EV, b"k", value.encode())


def _events(broker: memory_broker.MemoryBroker) -> list[bytes | None]:
    return [record.value for record in broker.committed(runtimes.EV)]


@ledger_samples.BOTH
async def test_next_owner_reads_all_that_was_committed(guarantee: str) -> None:
    """State, offset and events of every acknowledged commit are there."""
    broker = ledger_samples.make_broker(guarantee)
    ledger = await ledger_samples.begun_ledger(broker)
    await ledger.commit([ledger_samples.change("a", "1"), ledger_samples.change("b", "1")], [_event("e1")], 5)
    await ledger.commit([ledger_samples.change("a", "2"), ledger_samples.change("b", None)], [_event("e2")], 7)
    restored = await ledger_samples.make_ledger(broker).open()
    assert (restored.state, restored.next_offset) == ({b"a": b"2"}, 7)
    assert set(_events(broker)) == {b"e1", b"e2"}


@ledger_samples.BOTH
async def test_next_owner_reads_on_until_its_own_claim(guarantee: str) -> None:
    """A ledger that takes many reads is restored whole: the restore ends at its claim, not at the end of a read."""
    broker = ledger_samples.make_broker(guarantee)
    ledger = await ledger_samples.begun_ledger(broker)
    for number in range(30):
        await ledger.commit([ledger_samples.change(f"{number}-{one}", "x") for one in range(100)], [], number + 1)

    async def owner_continues() -> None:
        for number in range(30, 60):
            await ledger.commit([ledger_samples.change(f"{number}-{one}", "x") for one in range(100)], [], number + 1)

    restored = await ledger_samples.make_ledger(broker).open(before_fencing=owner_continues)
    assert (len(restored.state), restored.next_offset) == (6000, 60)


@ledger_samples.BOTH
async def test_next_owner_reads_a_compacted_ledger(guarantee: str) -> None:
    """Compaction takes away nothing that counts."""
    broker = ledger_samples.make_broker(guarantee)
    ledger = await ledger_samples.begun_ledger(broker)
    for number in range(5):
        await ledger.commit(
            [ledger_samples.change("a", str(number)), ledger_samples.change(f"k{number}", "x")], [_event("e")], number
        )
    broker.compact(runtimes.LEDGER)
    restored = await ledger_samples.make_ledger(broker).open()
    assert restored.state == {b"a": b"4"} | {b"k%d" % number: b"x" for number in range(5)}
    assert restored.next_offset == 4


async def test_outbox_is_empty_after_the_next_commit() -> None:
    """What was sent is kept no longer, also that of an owner before and where the guarantee has changed meanwhile."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings(guarantee="at-least-once"), transactions=True)
    broker.create_topics(1)
    large = [_event("x" * 100_000) for _ in range(3)]
    ledger = await ledger_samples.begun_ledger(broker)
    await ledger.commit([], large, 1)
    assert len(_outbox(broker)) == 3
    await ledger.commit([ledger_samples.change("a", "1")], [_event("e")], 2)
    assert len(_outbox(broker)) == 1
    await ledger.commit([ledger_samples.change("a", "2")], [], 3)
    assert _outbox(broker) == []

    await ledger.commit([], large, 4)
    successor = ledger_samples.make_ledger(broker)
    await successor.open()  # sends them again, since nothing says that they were sent
    await successor.commit([], [], 5)
    assert _outbox(broker) == []

    await successor.commit([], large, 6)
    options = ledgers.Options(runtimes.LEDGER, True, {}, 1_000_000, 60.0)
    transactional = ledgers.Ledger(ledger_samples.INPUT, options, broker, "app.group.in.0")
    await transactional.open()
    await transactional.commit([], [], 7)
    assert _outbox(broker) == []
    assert len(_events(broker)) == 3 * 5 + 1


def _outbox(broker: memory_broker.MemoryBroker) -> list[bytes]:
    """Return the keys of outbox records that compaction would leave."""
    last = {record.key: record.value for record in broker.committed(runtimes.LEDGER) if record.key is not None}
    return sorted(key for key, value in last.items() if key.startswith(b"\0outbox.") and value is not None)


@ledger_samples.BOTH
async def test_lost_reply_is_decided_by_the_restore(guarantee: str) -> None:
    """A commit whose reply was lost was made; who restores finds it, with its events."""
    broker = ledger_samples.make_broker(guarantee)
    ledger = await ledger_samples.begun_ledger(broker)
    broker.fail_writes(applied=True)
    with pytest.raises(errors.StreamError):
        await ledger.commit([ledger_samples.change("a", "1")], [_event("e1")], 5)
    restored = await ledger_samples.make_ledger(broker).open()
    assert (restored.state, restored.next_offset, _events(broker)) == ({b"a": b"1"}, 5, [b"e1"])


@ledger_samples.BOTH
async def test_lost_commit_is_undone_by_the_restore(guarantee: str) -> None:
    """A commit that did not get through left nothing behind."""
    broker = ledger_samples.make_broker(guarantee)
    ledger = await ledger_samples.begun_ledger(broker)
    broker.fail_writes(applied=False)
    with pytest.raises(errors.StreamError):
        await ledger.commit([ledger_samples.change("a", "1")], [_event("e1")], 5)
    restored = await ledger_samples.make_ledger(broker).open()
    assert (restored.state, restored.next_offset, _events(broker)) == ({}, 0, [])


async def test_crash_between_state_and_events_loses_no_event() -> None:
    """Without transactions the next owner sends what the last one had only written down, before anything else."""
    broker = ledger_samples.make_broker("at-least-once")
    ledger = await ledger_samples.begun_ledger(broker)
    broker.fail_writes(applied=False, concerns=_to_events)
    with pytest.raises(errors.StreamError):
        await ledger.commit([ledger_samples.change("a", "1")], [_event("e1"), _event("e2")], 5)
    assert _events(broker) == []
    restored = await ledger_samples.make_ledger(broker).open()
    assert (restored.state, restored.next_offset, _events(broker)) == ({b"a": b"1"}, 5, [b"e1", b"e2"])


def _to_events(outgoing: Sequence[records.Outgoing]) -> bool:
    return any(record.topic == runtimes.EV for record in outgoing)


async def test_repeated_events_end_with_the_repair() -> None:
    """What one owner has sent again the next one does not, once that owner has settled or committed."""
    broker = ledger_samples.make_broker("at-least-once")
    ledger = await ledger_samples.begun_ledger(broker)
    await ledger.commit([], [_event("e1")], 5)
    next_owner = ledger_samples.make_ledger(broker)
    await next_owner.open()
    assert _events(broker) == [b"e1", b"e1"]
    await next_owner.settle()
    await ledger_samples.make_ledger(broker).open()
    assert _events(broker) == [b"e1", b"e1"]


async def test_settled_ledger_repeats_nothing() -> None:
    """An orderly hand-over repeats no event."""
    broker = ledger_samples.make_broker("at-least-once")
    ledger = await ledger_samples.begun_ledger(broker)
    await ledger.commit([], [_event("e1")], 5)
    await ledger.settle()
    await ledger_samples.make_ledger(broker).open()
    assert _events(broker) == [b"e1"]


async def test_commit_cut_in_the_middle_is_undone_for_good() -> None:
    """Half of a commit without transactions is ignored now and overwritten, so that it never comes up."""
    broker = ledger_samples.make_broker("at-least-once")
    ledger = await ledger_samples.begun_ledger(broker)
    await ledger.commit([ledger_samples.change("a", "1")], [], 5)
    token = broker.committed(runtimes.LEDGER, 0)[-1].headers[-1]
    broker.put(runtimes.LEDGER, 0, b"a", b"half", (token,))
    broker.put(runtimes.LEDGER, 0, b"new", b"half", (token,))
    assert (await ledger_samples.make_ledger(broker).open()).state == {b"a": b"1"}
    broker.compact(runtimes.LEDGER)
    assert (await ledger_samples.make_ledger(broker).open()).state == {b"a": b"1"}


async def test_events_are_seen_only_with_the_state_that_they_belong_to() -> None:
    """One transaction holds both: when the part with the state fails, the events are gone as well."""
    broker = ledger_samples.make_broker("exactly-once")
    ledger = await ledger_samples.begun_ledger(broker)
    broker.fail_writes(applied=False, concerns=lambda outgoing: any(record.key == b"a" for record in outgoing))
    with pytest.raises(errors.StreamError):
        await ledger.commit([ledger_samples.change("a", "1")], [_event("e1")], 5)
    restored = await ledger_samples.make_ledger(broker).open()
    assert (restored.state, restored.next_offset, _events(broker)) == ({}, 0, [])


async def test_restore_waits_for_nothing_undecided() -> None:
    """Fencing decides an open transaction, so a restore neither sees its records nor waits for its end."""
    broker = ledger_samples.make_broker("exactly-once")
    await ledger_samples.begun_ledger(broker)
    transactional_id = broker.kafka.transactional_id(0)
    epoch = broker.coordinator.register(transactional_id)
    open_one = broker.coordinator.begin(transactional_id, epoch)
    broker.store([records.Outgoing(runtimes.LEDGER, b"a", b"open", (), 0)], open_one)
    began_s = asyncio.get_running_loop().time()
    restored = await ledger_samples.make_ledger(broker).open()
    assert asyncio.get_running_loop().time() - began_s < 0.1
    assert restored.state == {}
    assert all(record.value != b"open" for record in broker.committed(runtimes.LEDGER, 0))
    with pytest.raises(errors.Fenced):
        broker.coordinator.end(transactional_id, epoch, memory_log.Outcome.COMMITTED)


@ledger_samples.BOTH
async def test_oversized_records_are_refused_before_anything_is_written(guarantee: str) -> None:
    """Too large a change or event raises TooLarge, and the ledger continues."""
    broker = ledger_samples.make_broker(guarantee)
    ledger = ledger_samples.make_ledger(broker, {runtimes.LEDGER: 5000, runtimes.EV: 1000})
    await ledger.open()
    await ledger.commit([], [], 0)
    before = len(broker.committed(runtimes.LEDGER, 0))
    with pytest.raises(records.TooLarge, match="takes 1000"):
        await ledger.commit([ledger_samples.change("a", "1")], [_event("x" * 1000)], 1)
    with pytest.raises(records.TooLarge, match="takes 5000"):
        await ledger.commit([ledger_samples.change("a", "x" * 5000)], [], 1)
    assert len(broker.committed(runtimes.LEDGER, 0)) == before
    await ledger.commit([ledger_samples.change("a", "1")], [_event("x" * 800)], 1)


async def test_event_must_fit_into_the_outbox() -> None:
    """Without transactions a record also has to fit into the ledger."""
    broker = ledger_samples.make_broker("at-least-once")
    ledger = ledger_samples.make_ledger(broker, {runtimes.LEDGER: 1000, runtimes.EV: 5000})
    assert ledger.limit_bytes(runtimes.EV) < 1000
    assert (
        ledger_samples.make_ledger(
            ledger_samples.make_broker("exactly-once"), {runtimes.LEDGER: 1000, runtimes.EV: 5000}
        ).limit_bytes(runtimes.EV)
        == 5000
    )


async def test_reserved_keys_are_refused() -> None:
    """Keys that begin with a zero byte belong to the ledger."""
    ledger = await ledger_samples.begun_ledger(ledger_samples.make_broker("exactly-once"))
    with pytest.raises(ValueError, match="belongs to the ledger"):
        await ledger.commit([records.Change(b"\0offsets", b"x")], [], 1)
    await ledger.commit([], [], 1)
