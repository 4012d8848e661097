"""Records that the ledger alone holds: found again by their offset, whatever else was written and compacted since."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from tests.support import cold_rules, runtimes

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import cold_records, records
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka.memory import memory_broker

pytestmark = pytest.mark.looptime

_INPUT = records.Position(runtimes.IN, 0)
_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_COLLIDING = pytest.mark.parametrize("fingerprint", [hash, lambda _key: 7], ids=["distinct", "colliding"])

Fingerprint = Callable[[bytes], int]


def _due_ms(value: bytes) -> int | None:
    """Return when a value is due: `cold 5000 …` is cold and due at 5000, any other is not cold."""
    return int(value.split()[1]) if value.startswith(b"cold ") else None


def _broker(guarantee: str = "exactly-once") -> memory_broker.MemoryBroker:
    return runtimes.cluster(runtimes.kafka_settings(guarantee=guarantee), partitions=1)


def _ledger(broker: memory_broker.MemoryBroker, fingerprint: Fingerprint = hash) -> ledgers.Ledger:
    kafka = broker.kafka
    rule = cold_rules.rule(_due_ms, fingerprint=fingerprint)
    options = ledgers.Options(runtimes.LEDGER, kafka.transactional, {}, 1_000_000, 60.0, cold=rule)
    return ledgers.Ledger(_INPUT, options, broker, kafka.transactional_id(0) if kafka.transactional else None)


async def _first(broker: memory_broker.MemoryBroker, fingerprint: Fingerprint = hash) -> ledgers.Ledger:
    ledger = _ledger(broker, fingerprint)
    await ledger.open()
    await ledger.commit([], [], 0)
    return ledger


async def _write(ledger: ledgers.Ledger, **values: str | None) -> None:
    """Commit values as the engine does: cold ones are indexed, deletions noted."""
    changes = [records.Change(key.encode(), value.encode() if value else None) for key, value in values.items()]
    await ledger.commit(changes, [records.Outgoing(runtimes.EV, b"k", b"e")], 0)
    cold = _cold(ledger)
    for change in changes:
        if change.value is None:
            cold.deleted(change.key)
        elif (due_ms := _due_ms(change.value)) is not None:
            cold.put(change.key, cold.offset_of(change.key), due_ms)


def _cold(ledger: ledgers.Ledger) -> cold_records.ColdRecords:
    assert ledger.cold is not None
    return ledger.cold


async def _values(ledger: ledgers.Ledger, *keys: str) -> list[bytes | None]:
    """Take what is cold."""
    found = await _cold(ledger).take([key.encode() for key in keys])
    return [found[key.encode()].value if key.encode() in found else None for key in keys]


@_BOTH
@_COLLIDING
async def test_written_values_are_read_back_from_their_offsets(guarantee: str, fingerprint: Fingerprint) -> None:
    """Among events and others of the same commit, and in many commits; each is taken once."""
    broker = _broker(guarantee)
    ledger = await _first(broker, fingerprint)
    for number in range(30):
        await _write(ledger, **{f"a{number}": f"cold {number}", "live": str(number), f"b{number}": f"cold {number} b"})
    assert await _values(ledger, "a0", "b29", "a17", "nobody", "live") == [
        *(b"cold 0", b"cold 29 b", b"cold 17"),
        *(None, None),
    ]
    assert await _values(ledger, "a0", "a1") == [None, b"cold 1"]


@_BOTH
@_COLLIDING
@pytest.mark.parametrize("compacted", [False, True])
async def test_restore_finds_the_newest_record_of_each_key(
    guarantee: str, fingerprint: Fingerprint, *, compacted: bool
) -> None:
    """Repeated ends, a new life, deletions: what an older record said counts no more, compacted away or not."""
    broker = _broker(guarantee)
    ledger = await _first(broker, fingerprint)
    await _write(ledger, again="cold 1", dead="cold 1", alive="cold 1", reborn="cold 1", once="cold 1")
    await _write(ledger, again="cold 2", dead=None, alive="live", reborn=None)
    await _write(ledger, again="cold 3", reborn="live")
    await _write(ledger, reborn="cold 4")
    if compacted:
        broker.compact(runtimes.LEDGER)
    successor = _ledger(broker, fingerprint)
    assert (await successor.open()).state == {b"alive": b"live"}
    assert await _values(successor, "again", "dead", "alive", "reborn", "once") == [
        *(b"cold 3", None, None, b"cold 4", b"cold 1"),
    ]
    assert len(_cold(successor)) == 0


@_COLLIDING
async def test_deletion_of_a_key_in_memory_counts_against_its_older_cold_records(fingerprint: Fingerprint) -> None:
    """A key that was cold once, lives again after a takeover, and is then deleted, does not come back."""
    broker = _broker()
    ledger = await _first(broker, fingerprint)
    await _write(ledger, a="cold 1", b="cold 1")
    await _write(ledger, a="live")
    successor = _ledger(broker, fingerprint)
    assert (await successor.open()).state == {b"a": b"live"}
    await _write(successor, a=None)
    assert await _values(successor, "a", "b") == [None, b"cold 1"]


async def test_record_that_is_gone_is_no_answer() -> None:
    """A record that the index has and the ledger lacks: the partition is read again, and nothing becomes unknown."""
    broker = _broker()
    ledger = await _first(broker)
    await _write(ledger, a="cold 1", b="live")
    end = _cold(ledger).offset_of(b"b")
    broker.cut(runtimes.LEDGER, 0, end)
    with pytest.raises(errors.StreamDown, match="has lost its record"):
        await _values(ledger, "a")


async def test_record_of_another_key_is_no_answer() -> None:
    """A wrong offset would make an ended request a new one: the partition is read again, and finds the right one."""
    broker = _broker()
    ledger = await _first(broker)
    await _write(ledger, a="cold 1", b="live")
    await _values(ledger, "a")
    _cold(ledger).put(b"a", _cold(ledger).offset_of(b"b"), 1)
    with pytest.raises(errors.StreamDown, match="record of another key"):
        await _values(ledger, "a")
    successor = _ledger(broker)
    await successor.open()
    assert await _values(successor, "a") == [b"cold 1"]


async def test_outage_delays_the_answer() -> None:
    """A read is tried again; an outage that is too long for it leads to a restore."""
    broker = _broker()
    ledger = await _first(broker)
    await _write(ledger, a="cold 1")
    broker.go_down()
    asyncio.get_running_loop().call_later(10, broker.come_up)
    assert await _values(ledger, "a") == [b"cold 1"]

    await _write(ledger, b="cold 1")
    broker.go_down()
    began_s = asyncio.get_running_loop().time()
    with pytest.raises(errors.StreamDown, match="for 60 s"):
        await _values(ledger, "b")
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(60, abs=1)
    broker.come_up()
    assert await _values(ledger, "b") == [b"cold 1"]


async def test_answer_waits_as_long_for_a_broker_that_refuses_as_for_one_that_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused at once, while it starts, a read must not use up its tries: a commit would survive that, too."""
    broker = _broker()
    ledger = await _first(broker)
    await _write(ledger, a="cold 1")
    loop, reader = asyncio.get_running_loop(), broker.reader
    until_s = loop.time() + 40

    def refusing(
        position: records.Position, offset: int | None, *, few: bool = False
    ) -> contextlib.AbstractAsyncContextManager[brokers.LogReader]:
        if loop.time() < until_s:
            raise errors.StreamDown("connection refused")
        return reader(position, offset, few=few)

    monkeypatch.setattr(broker, "reader", refusing)
    assert await _values(ledger, "a") == [b"cold 1"]
    assert loop.time() - until_s < 6


async def test_connection_that_gives_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that hangs costs a part of the time, not the lease."""
    broker = _broker()
    ledger = await _first(broker)
    await _write(ledger, a="cold 1")
    reader, opened = broker.reader, 0

    @contextlib.asynccontextmanager
    async def hanging(
        position: records.Position, offset: int | None, *, few: bool = False
    ) -> AsyncIterator[brokers.LogReader]:
        nonlocal opened
        opened += 1
        async with reader(position, 10_000 if opened == 1 else offset, few=few) as one:
            yield one

    monkeypatch.setattr(broker, "reader", hanging)
    assert await _values(ledger, "a") == [b"cold 1"]
    assert opened == 2


async def test_right_value_of_a_cold_key_is_written_again() -> None:
    """A replaced owner's record must not win by compaction: the new owner writes the key's value, which is not lost."""
    broker = _broker("at-least-once")
    zombie = await _first(broker)
    await _write(zombie, a="cold 1", b="cold 2")
    owner = _ledger(broker)
    await owner.open()
    with pytest.raises(errors.Fenced):
        await _write(zombie, a="cold 9", b=None)
    successor = _ledger(broker)
    restored = await successor.open()
    assert restored.state == {b"a": b"cold 1", b"b": b"cold 2"}
    broker.compact(runtimes.LEDGER)
    last = _ledger(broker)
    await last.open()
    assert await _values(last, "a", "b") == [b"cold 1", b"cold 2"]


async def _due(ledger: ledgers.Ledger, now_ms: int, most: int = 100) -> list[bytes]:
    return sorted(await _cold(ledger).due(now_ms, most))


@_COLLIDING
async def test_keys_that_are_due_are_read_and_stay(fingerprint: Fingerprint) -> None:
    """They are due again later, in case they could not be forgotten; those that were forgotten are not."""
    broker = _broker()
    ledger = await _first(broker, fingerprint)
    await _write(ledger, a="cold 1000", b="cold 2000", c="cold 5000", live="x")
    assert await _due(ledger, 900) == []
    assert await _due(ledger, 2000) == [b"a", b"b"]
    await _values(ledger, "a")
    await _write(ledger, a=None)
    assert await _due(ledger, 5000) == ([b"c"] if fingerprint is hash else [b"b", b"c"])
    assert await _due(ledger, 700_000) == [b"b", b"c"]


async def test_due_time_of_the_record_counts() -> None:
    """A key that came back to the index with another time is due at that time."""
    ledger = await _first(_broker())
    await _write(ledger, a="cold 1000")
    await _values(ledger, "a")
    await _write(ledger, a="cold 9000")
    assert await _due(ledger, 1000) == []
    assert await _due(ledger, 9000) == [b"a"]


async def test_key_that_is_not_due_yet_is_not_read_again_and_again() -> None:
    """A job whose outcome was unknown is kept for longer once it is settled."""
    ledger = await _first(_broker())
    await _write(ledger, a="cold 1000")
    await _values(ledger, "a")
    await _write(ledger, a="cold 9000000")
    assert await _due(ledger, 1000) == []
    assert _cold(ledger).next_due_ms == 9_000_000
    assert await _due(ledger, 9_000_000) == [b"a"]


async def test_outage_delays_what_is_due() -> None:
    """Nothing is forgotten, nothing is lost."""
    broker = _broker()
    ledger = await _first(broker)
    await _write(ledger, a="cold 1000")
    broker.go_down()
    with pytest.raises(errors.StreamDown):
        await _due(ledger, 1000)
    broker.come_up()
    assert await _due(ledger, 700_000) == [b"a"]


async def test_far_records_are_sought_and_near_ones_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the distances, every record is found."""
    monkeypatch.setattr(cold_records, "_NEAR", 25)
    ledger = await _first(_broker())
    for number in range(40):
        await _write(ledger, **{f"{number}-{one}": f"cold {number}" for one in range(number)})
    wanted: Sequence[str] = ["2-0", "2-1", "10-3", "20-1", "20-19", "39-0", "39-38", "40-1"]
    assert await _values(ledger, *wanted) == [
        *(b"cold 2", b"cold 2", b"cold 10", b"cold 20", b"cold 20", b"cold 39", b"cold 39"),
        None,
    ]
