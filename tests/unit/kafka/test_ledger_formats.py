"""Which format a ledger says it has: a version that does not read all of it must refuse it."""

from __future__ import annotations

import json

import pytest
from tests.support import cold_rules, runtimes
from tests.unit.kafka import ledger_samples

from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import ledger_format
from mrs_relay.kafka.memory import memory_broker

_BY_NAME, _BY_PLACE = '{"state":"queued"}', "no object"


def _marks(broker: memory_broker.MemoryBroker) -> list[int]:
    """Return what claims and commits say, the oldest first."""
    found = []
    for record in broker.committed(runtimes.LEDGER, 0):
        if record.key == ledger_format.CLAIM:
            found.append(json.loads(record.value or b"")["format"])
        elif record.key == ledger_format.OFFSETS:
            found.append(int(dict(record.headers)["f"]))
    return found


async def _begun(broker: memory_broker.MemoryBroker, form: int) -> ledgers.Ledger:
    ledger = ledger_samples.make_ledger(broker, form=form)
    await ledger.open()
    return ledger


@ledger_samples.BOTH
async def test_ledger_has_the_format_of_its_highest_record(guarantee: str) -> None:
    """An owner that writes format 1 says 2 while a value of format 2 is left in the log, also an overwritten one."""
    broker = ledger_samples.make_broker(guarantee)
    await (await _begun(broker, 1)).commit([ledger_samples.change("a", _BY_NAME)], [], 1)
    assert _marks(broker) == [1, 1]
    await (await _begun(broker, 2)).commit([ledger_samples.change("a", _BY_PLACE)], [], 2)
    assert _marks(broker) == [1, 1, 2, 2]

    # Back again: the value of format 2 is the newest of its key, then overwritten, then compacted away.
    back = await _begun(broker, 1)
    await back.commit([], [], 3)
    await back.commit([ledger_samples.change("a", _BY_NAME)], [], 4)
    await (await _begun(broker, 1)).commit([], [], 5)
    assert _marks(broker)[4:] == [2, 2, 2, 2, 2]
    broker.compact(runtimes.LEDGER)
    await (await _begun(broker, 1)).commit([], [], 6)
    assert _marks(broker)[-2:] == [1, 1]


@ledger_samples.BOTH
async def test_an_earlier_version_refuses_format_2_and_reads_the_ledger_after_the_way_back(
    guarantee: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it found and what to do, and takes nothing; without a record and a mark of format 2 it continues."""
    broker = ledger_samples.make_broker(guarantee)
    await (await _begun(broker, 2)).commit([ledger_samples.change("a", _BY_PLACE)], [], 1)
    before = broker.committed(runtimes.LEDGER, 0)
    says = r"written in format 2, this version reads format 1 at most and leaves it alone: run the newer version again"
    with monkeypatch.context() as earlier:
        earlier.setattr(ledger_format, "FORMAT", 1)
        with pytest.raises(ledger_format.NewerFormat, match=says):
            await _begun(broker, 1)
    assert broker.committed(runtimes.LEDGER, 0) == before

    await (await _begun(broker, 1)).commit([ledger_samples.change("a", _BY_NAME)], [], 2)
    broker.compact(runtimes.LEDGER)
    await (await _begun(broker, 1)).commit([], [], 3)
    broker.compact(runtimes.LEDGER)
    monkeypatch.setattr(ledger_format, "FORMAT", 1)
    restored = await ledger_samples.make_ledger(broker, form=1).open()
    assert (restored.state, restored.next_offset) == ({b"a": _BY_NAME.encode()}, 3)


@ledger_samples.BOTH
async def test_a_value_that_memory_need_not_hold_counts_as_well(guarantee: str) -> None:
    """A remembered request of format 2 is read when it is repeated, however the owner has restored the ledger."""
    broker = ledger_samples.make_broker(guarantee)
    rule = cold_rules.rule(lambda value: 1 if value == _BY_PLACE.encode() else None, 1)

    async def begun(form: int) -> ledgers.Ledger:
        ledger = ledger_samples.make_ledger(broker, form=form, cold=rule)
        await ledger.open()
        return ledger

    newer = await begun(2)
    await newer.commit([], [], 0)
    await newer.commit([ledger_samples.change("a", _BY_PLACE)], [], 1)
    for turn in range(2, 6):
        older = await begun(1)
        assert older.cold is not None
        assert b"a" in older.cold
        await older.commit([ledger_samples.change("b", _BY_NAME)], [], turn)
    assert set(_marks(broker)) == {2}
