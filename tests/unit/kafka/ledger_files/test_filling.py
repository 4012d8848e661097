"""A ledger that is filled from another one: what its next owner finds, and who may not use it meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from tests.support import runtimes
from tests.unit.kafka import ledger_samples

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import records
from mrs_relay.kafka.ledger_files import filling, last_values, snapshot
from mrs_relay.kafka.memory import memory_broker

pytestmark = pytest.mark.looptime

_STATE = {b"a": b"1", b"b": b"2", b"c": b"\xdcplaced"}


def _target(file_id: str = "f1", *, merge: bool = False, next_offset: int = 0) -> filling.Target:
    return filling.Target(ledger_samples.INPUT, file_id, next_offset, "in#1", 2, merge)


@asynccontextmanager
async def _filling(broker: memory_broker.MemoryBroker, target: filling.Target) -> AsyncIterator[filling.Filling]:
    with last_values.LastValues() as has:
        made = filling.Filling(broker, broker.kafka, target, has)
        try:
            await made.open()
            yield made
        finally:
            await made.close()


async def _fill(
    broker: memory_broker.MemoryBroker,
    target: filling.Target,
    state: Mapping[bytes, bytes] = _STATE,
    unsent: tuple[records.Outgoing, ...] = (),
) -> None:
    async with _filling(broker, target) as partition:
        await partition.add([records.Change(key, value) for key, value in state.items() if not partition.has(key)])
        await partition.finish(unsent)


async def _opened(broker: memory_broker.MemoryBroker) -> ledgers.Restored:
    """Return what the next owner finds."""
    return await ledger_samples.make_ledger(broker).open()


async def _used(broker: memory_broker.MemoryBroker) -> ledgers.Ledger:
    """Return a ledger that a relay has used: one request, one that was forgotten, offset 5."""
    ledger = await ledger_samples.begun_ledger(broker)
    await ledger.commit([ledger_samples.change("a", "own"), ledger_samples.change("gone", "x")], [], 4)
    await ledger.commit([ledger_samples.change("gone", None)], [], 5)
    return ledger


@ledger_samples.BOTH
async def test_next_owner_finds_what_was_imported(guarantee: str) -> None:
    """State, offset and the topic's id, and it can commit."""
    broker = ledger_samples.make_broker(guarantee)
    await _fill(broker, _target(next_offset=3))
    ledger = ledger_samples.make_ledger(broker)
    found = await ledger.open()
    assert (found.state, found.next_offset, found.topic_id) == (_STATE, 3, "in#1")
    await ledger.commit([ledger_samples.change("d", "4")], [], 4)
    assert (await _opened(broker)).state == {**_STATE, b"d": b"4"}


@ledger_samples.BOTH
async def test_what_was_not_sent_is_sent_by_the_next_owner(guarantee: str) -> None:
    """An event that the old owner had committed without transactions reaches its readers on the new Kafka."""
    broker = ledger_samples.make_broker(guarantee)
    await _fill(broker, _target(), unsent=(records.Outgoing(runtimes.EV, b"k", b"event"),))
    ledger = ledger_samples.make_ledger(broker)
    await ledger.open()
    assert [record.value for record in broker.committed(runtimes.EV)] == [b"event"]
    await ledger.settle()
    await _opened(broker)
    assert len(broker.committed(runtimes.EV)) == 1


@ledger_samples.BOTH
async def test_ledger_that_is_filled_in_part_is_refused_until_the_same_file_fills_it(guarantee: str) -> None:
    """A relay that would begin with half of the requests would start the others a second time."""
    broker = ledger_samples.make_broker(guarantee)
    async with _filling(broker, _target()) as partition:
        await partition.add([records.Change(b"a", b"1")])
    with pytest.raises(errors.StateUnreadable, match="import of file f1 has not ended"):
        await _opened(broker)
    with pytest.raises(errors.SettingsError, match="import that file, or delete the topic"):
        await _fill(broker, _target("f2"))
    await _fill(broker, _target(next_offset=3))
    found = await _opened(broker)
    assert (found.state, found.next_offset) == (_STATE, 3)


@ledger_samples.BOTH
async def test_ledger_that_was_used_is_refused_untouched(guarantee: str) -> None:
    """Nothing is written, and its owner is not fenced."""
    broker = ledger_samples.make_broker(guarantee)
    owner = await _used(broker)
    before = broker.committed(runtimes.LEDGER, 0)
    with pytest.raises(errors.SettingsError, match="is not empty: it has 1 requests and continues at offset 5"):
        await _fill(broker, _target())
    with last_values.LastValues() as has, pytest.raises(errors.SettingsError, match="is not empty"):
        await filling.Filling(broker, broker.kafka, _target(), has).look()
    assert broker.committed(runtimes.LEDGER, 0) == before
    await owner.commit([ledger_samples.change("b", "own")], [], 6)


@ledger_samples.BOTH
async def test_merge_keeps_what_the_ledger_has_and_its_offset(guarantee: str) -> None:
    """Also that it has forgotten a request lately; and an import that was interrupted keeps the offset, too."""
    broker = ledger_samples.make_broker(guarantee)
    await _used(broker)
    async with _filling(broker, _target(merge=True)) as partition:
        assert [partition.has(key) for key in (b"a", b"gone", b"b")] == [True, True, False]
        await partition.add([records.Change(b"b", b"2")])
    await _fill(broker, _target(merge=True), {**_STATE, b"gone": b"again"})
    found = await _opened(broker)
    assert (found.state, found.next_offset) == ({**_STATE, b"a": b"own"}, 5)


async def test_commit_that_a_relay_did_not_end_is_never_ended_by_an_import() -> None:
    """Its jobs would move on without their events, and without the offset; a relay repairs it first."""
    broker = ledger_samples.make_broker("at-least-once")
    owner = await _used(broker)
    for key in (b"a", b"new"):
        broker.put(runtimes.LEDGER, 0, key, b"half", owner._token)
    with last_values.LastValues() as has, pytest.raises(errors.SettingsError, match="has not ended its last commit"):
        await filling.Filling(broker, broker.kafka, _target(merge=True), has).look()
    with pytest.raises(errors.SettingsError, match="start a relay and stop it again"):
        await _fill(broker, _target(merge=True))
    assert (await _opened(broker)).state == {b"a": b"own"}
    await _fill(broker, _target(merge=True))
    found = await _opened(broker)
    assert (found.state, found.next_offset) == ({**_STATE, b"a": b"own"}, 5)


async def test_commit_that_a_relay_begins_meanwhile_is_never_ended_by_an_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It came between the first reading of the ledger and the claim."""
    broker = ledger_samples.make_broker("at-least-once")
    owner = await _used(broker)
    make = broker.producer

    def producer(transactional_id: str | None, *, idempotent: bool) -> brokers.Producer:
        broker.put(runtimes.LEDGER, 0, b"a", b"half", owner._token)
        return make(transactional_id, idempotent=idempotent)

    monkeypatch.setattr(broker, "producer", producer)
    with pytest.raises(errors.SettingsError, match="has not ended its last commit"):
        await _fill(broker, _target(merge=True))
    monkeypatch.undo()
    assert (await _opened(broker)).state == {b"a": b"own"}


@ledger_samples.BOTH
async def test_import_fences_the_owner(guarantee: str) -> None:
    """A relay that runs on the ledger cannot write to it any more: its commit fails, and it has to read the ledger."""
    broker = ledger_samples.make_broker(guarantee)
    owner = await _used(broker)
    async with _filling(broker, _target(merge=True)) as partition:
        with pytest.raises(errors.Fenced):
            await owner.commit([ledger_samples.change("z", "zombie")], [], 6)
        if guarantee == "exactly-once":
            await partition.add([])
            await partition.finish([])
            found = await _opened(broker)
            assert (found.state, found.next_offset) == ({b"a": b"own"}, 5)


@ledger_samples.BOTH
async def test_relay_that_begins_meanwhile_ends_the_import(guarantee: str) -> None:
    """It refuses the ledger, and what the import still writes does not count."""
    broker = ledger_samples.make_broker(guarantee)
    async with _filling(broker, _target()) as partition:
        await partition.add([records.Change(b"a", b"1")])
        with pytest.raises(errors.StateUnreadable, match="has not ended"):
            await _opened(broker)
        with pytest.raises(errors.Fenced):
            await partition.add([records.Change(b"b", b"2")])
        with pytest.raises(errors.Fenced):
            await partition.finish([])
    with pytest.raises(errors.StateUnreadable, match="has not ended"):
        await _opened(broker)
    await _fill(broker, _target())
    assert (await _opened(broker)).state == _STATE


@ledger_samples.BOTH
async def test_snapshot_has_what_the_next_owner_finds_and_disturbs_nobody(guarantee: str) -> None:
    """Neither does it claim, nor does it see a commit that has not ended."""
    broker = ledger_samples.make_broker(guarantee)
    owner = await _used(broker)
    event = records.Outgoing(runtimes.EV, b"k", b"event")
    await owner.commit([ledger_samples.change("b", "2")], [event], 6)
    if guarantee == "at-least-once":
        broker.put(runtimes.LEDGER, 0, b"half", b"a commit", (("t", b"0"),))
    before = broker.committed(runtimes.LEDGER, 0)

    with last_values.LastValues() as values:
        taken = await snapshot.take(broker, ledger_samples.INPUT, runtimes.LEDGER, values)
        assert dict(values.items()) == {b"a": b"own", b"b": b"2"}
        assert (len(values), values.get(b"gone"), values.get(b"a")) == (2, None, b"own")

    assert taken.next_offset == 6
    assert list(taken.unsent) == ([event] if guarantee == "at-least-once" else [])
    assert broker.committed(runtimes.LEDGER, 0) == before

    if guarantee == "exactly-once":
        await owner.commit([ledger_samples.change("c", "3")], [], 7)


async def test_snapshot_of_a_ledger_that_lost_its_beginning_is_refused() -> None:
    """An export that lacks requests would not be noticed before they run twice."""
    broker = ledger_samples.make_broker("exactly-once")
    await _used(broker)
    broker.cut(runtimes.LEDGER, 0, 3)
    with last_values.LastValues() as values, pytest.raises(errors.StateUnreadable, match="begins at offset 3"):
        await snapshot.take(broker, ledger_samples.INPUT, runtimes.LEDGER, values)
