"""A takeover reads the end of the ledger first, which has all that memory holds; the rest is indexed meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.support import cold_rules, runtimes

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import cold_records, ledger_format, live_tail, older_records, records
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka.memory import memory_broker

pytestmark = pytest.mark.looptime

_INPUT = records.Position(runtimes.IN, 0)


@pytest.fixture(autouse=True)
def _short_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tails of some dozen records, noted at once."""
    monkeypatch.setattr(live_tail, "FEW", 10)
    monkeypatch.setattr(live_tail, "LEAST", 40)
    monkeypatch.setattr(live_tail, "BY_KEY", 2)
    monkeypatch.setattr(live_tail, "AGE_S", 0.0)
    monkeypatch.setattr(live_tail, "LOOK_BACK", 20)


def _due_ms(value: bytes) -> int | None:
    return int(value.split()[1]) if value.startswith(b"cold ") else None


def _broker(guarantee: str = "exactly-once") -> memory_broker.MemoryBroker:
    return runtimes.cluster(runtimes.kafka_settings(guarantee=guarantee), partitions=1)


class _Partition:
    """A partition's owner as far as the ledger sees it: values in memory, and commits."""

    def __init__(
        self, broker: memory_broker.MemoryBroker, *, whole: bool = False, form: int = ledger_format.FORMAT
    ) -> None:
        kafka = broker.kafka
        rule = cold_rules.rule(_due_ms)
        options = ledgers.Options(runtimes.LEDGER, kafka.transactional, {}, 1_000_000, 60.0, cold=rule, format=form)
        transactional_id = kafka.transactional_id(0) if kafka.transactional else None
        self.ledger = ledgers.Ledger(_INPUT, options, broker, transactional_id)
        self.ledger.reads_whole = whole
        self.held: dict[bytes, bytes] = {}
        self.again = 0

    @property
    def cold(self) -> cold_records.ColdRecords:
        assert self.ledger.cold is not None
        return self.ledger.cold

    async def open(self) -> _Partition:
        restored = await self.ledger.open()
        self.held = restored.state
        if restored.next_offset is None:
            await self.ledger.commit([], [], 0)
        return self

    async def write(self, **values: str | None) -> None:
        """Commit values, and those that the tail needs again, as the engine does."""
        changed = {key.encode(): value.encode() if value else None for key, value in values.items()}
        tail = self.ledger.tail
        again: dict[bytes, bytes] = {}
        if tail is not None:
            tail.plan(self.held.keys(), changed, 0.0)
            while len(again) < 3 and (key := tail.next_behind()) is not None:
                if key in self.held:
                    again[key] = self.held[key]
        self.again += len(again)
        changes = [records.Change(key, value) for key, value in {**changed, **again}.items()]
        await self.ledger.commit(changes, [records.Outgoing(runtimes.EV, b"k", b"e")], 0)

        for key, value in changed.items():
            self.held.pop(key, None)
            if value is None:
                self.cold.deleted(key)
            elif (due_ms := _due_ms(value)) is not None:
                self.cold.put(key, self.cold.offset_of(key), due_ms)
            else:
                self.held[key] = value

    async def take(self, key: str) -> bytes | None:
        """Read what is cold back into memory."""
        record = (await self.cold.take([key.encode()])).get(key.encode())
        return None if record is None else record.value


async def _remembering(broker: memory_broker.MemoryBroker, ended: int = 60) -> _Partition:
    """Return a partition with one quiet job that began first, and many requests that ended since."""
    one = await _Partition(broker).open()
    await one.write(quiet="runs")
    for number in range(ended):
        await one.write(**{f"e{number}": "runs"})
        await one.write(**{f"e{number}": f"cold {number}"})
    return one


class _Reads:
    """Counts the records that readers return."""

    def __init__(self, broker: memory_broker.MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._reader = broker.reader
        monkeypatch.setattr(broker, "reader", self.reader)

    @contextlib.asynccontextmanager
    async def reader(
        self, position: records.Position, offset: int | None, *, few: bool = False
    ) -> AsyncIterator[brokers.LogReader]:
        async with self._reader(position, offset, few=few) as one:
            read = one.read

            async def counted(timeout_s: float) -> Sequence[records.Record]:
                found = await read(timeout_s)
                self.count += len(found)
                return found

            one.read = counted  # type: ignore[method-assign]
            yield one


async def test_restore_reads_the_tail_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value of memory is found in the last few records, however much is remembered before."""
    broker = _broker()
    await _remembering(broker, 300)
    reads = _Reads(broker, monkeypatch)
    two = await _Partition(broker).open()
    assert two.held == {b"quiet": b"runs"}
    assert not two.cold.is_complete
    assert reads.count < 150  # of 1,200


async def test_quiet_value_is_written_again_once_for_many_others() -> None:
    """Keeping the tail short costs little."""
    broker = _broker()
    one = await _remembering(broker, 300)
    assert 10 < one.again < 90  # of 1,800 offsets, 20 between two


async def test_values_that_end_soon_are_never_written_again() -> None:
    """Only what stays behind is."""
    broker = _broker()
    one = await _Partition(broker).open()
    for number in range(300):
        await one.write(**{f"e{number}": "runs"})
        await one.write(**{f"e{number}": f"cold {number}"})
    assert one.again == 0


def test_mark_is_noted_only_at_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts for a minute after its end has to be in the tail for longer than that."""
    monkeypatch.setattr(live_tail, "AGE_S", 120.0)
    tail = live_tail.LiveTail(lambda: 1000)
    tail.plan([], [], 7.0)
    tail.plan([], [], 126.0)
    assert tail.noted == 0
    tail.plan([], [], 127.0)
    assert tail.noted == 1000


async def test_remembered_value_is_found_when_the_rest_is_indexed() -> None:
    """Before that a missing key proves nothing; then each is there, and is known not to be in memory."""
    broker = _broker()
    await _remembering(broker)
    two = await _Partition(broker).open()
    assert b"e0" not in two.cold
    await two.ledger.index_older()
    assert two.cold.is_complete
    assert [await two.take(f"e{number}") for number in (0, 30, 59)] == [b"cold 0", b"cold 30", b"cold 59"]


async def test_deletion_in_the_tail_hides_an_older_record() -> None:
    """A forgotten request stays forgotten, although the record of its end is read after its deletion."""
    broker = _broker()
    one = await _remembering(broker)
    assert await one.take("e0") == b"cold 0"
    await one.write(e0=None)
    two = await _Partition(broker).open()
    await two.ledger.index_older()
    assert await two.take("e0") is None
    assert b"e0" not in await two.cold.due(1000, 100)


async def test_deletion_while_the_rest_is_indexed_hides_an_older_record() -> None:
    """The same if the owner deletes the key before its old record has been read."""
    broker = _broker()
    one = await _remembering(broker)
    await one.take("e0")
    await one.write(e0="cold 5000")
    two = await _Partition(broker).open()
    assert await two.take("e0") == b"cold 5000"
    await two.write(e0=None)
    await two.ledger.index_older()
    assert await two.take("e0") is None


async def test_value_that_was_taken_back_meanwhile_is_not_due() -> None:
    """A remembered request that runs again is not forgotten by the record of its first end."""
    broker = _broker()
    one = await _remembering(broker)
    await one.take("e0")
    await one.write(e0="cold 5000")
    two = await _Partition(broker).open()
    assert await two.take("e0") == b"cold 5000"
    await two.write(e0="runs a third time")
    await two.ledger.index_older()
    assert b"e0" not in await two.cold.due(9000, 1000)


async def test_owner_after_the_next_reads_the_tail_alone_too() -> None:
    """The noted offset is handed on, also by an owner that was killed before it had indexed the rest."""
    broker = _broker()
    await _remembering(broker)
    two = await _Partition(broker).open()
    await two.write(new="runs")
    three = await _Partition(broker).open()
    assert three.held == {b"quiet": b"runs", b"new": b"runs"}
    assert not three.cold.is_complete
    await three.ledger.index_older()
    assert await three.take("e0") == b"cold 0"


@pytest.mark.parametrize("change", ["earlier version", "few", "at-least-once"])
async def test_whole_ledger_is_read_where_no_tail_can_be_trusted(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a noted offset, in a short ledger, and without transactions, all is known before the work begins."""
    if change == "earlier version":
        monkeypatch.setattr(ledger_format, "live_header", lambda _offset: ())
    broker = _broker("at-least-once" if change == "at-least-once" else "exactly-once")
    await _remembering(broker, 3 if change == "few" else 60)
    monkeypatch.setattr(live_tail, "FEW", 1000 if change == "few" else 10)
    two = await _Partition(broker).open()
    assert two.cold.is_complete
    assert two.held == {b"quiet": b"runs"}
    assert await two.take("e0") == b"cold 0"


async def test_owner_of_an_earlier_version_in_between_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It notes no offset, and what it writes lies behind the noted one: a rolling upgrade may go back and forth."""
    broker = _broker()
    await _remembering(broker)
    with monkeypatch.context() as earlier:
        earlier.setattr(ledger_format, "live_header", lambda _offset: ())
        two = await _Partition(broker, whole=True).open()
        await two.write(old="runs", quiet="cold 9")
    three = await _Partition(broker).open()
    assert not three.cold.is_complete
    assert three.held == {b"old": b"runs"}
    await three.ledger.index_older()
    assert await three.take("quiet") == b"cold 9"


async def test_value_missing_in_the_tail_ends_the_restore_and_the_next_reads_all() -> None:
    """What the tail should have and has not is never taken for forgotten."""
    broker = _broker()
    one = await _remembering(broker)
    del one.held[b"quiet"]  # a bug: it is not written again
    for number in range(100):
        await one.write(**{f"f{number}": f"cold {number}"})
    two = await _Partition(broker).open()
    assert two.held == {}
    with pytest.raises(older_records.OlderDiffers, match="1 values before offset"):
        await two.ledger.index_older()
    three = await _Partition(broker, whole=True).open()
    assert three.held == {b"quiet": b"runs"}


async def test_newer_format_before_the_tail_is_refused() -> None:
    """As in a ledger that is read as a whole."""
    broker = _broker()
    await _remembering(broker, 1)
    newer = b'{"nonce":"x.y","format":%d}' % (ledger_format.FORMAT + 1)
    older = records.Record(runtimes.LEDGER, 0, 5, 0, ledger_format.CLAIM, newer)
    replay = older_records.OlderReplay(_INPUT, 10, _Partition(broker).cold)
    with pytest.raises(ledger_format.NewerFormat):
        replay.add([older])


async def test_note_is_found_although_the_first_read_brings_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow connection, or a leader that moves, makes no takeover read the whole ledger."""
    broker = _broker()
    await _remembering(broker)
    reader = broker.reader

    @contextlib.asynccontextmanager
    async def slow(
        position: records.Position, offset: int | None, *, few: bool = False
    ) -> AsyncIterator[brokers.LogReader]:
        async with reader(position, offset, few=few) as one:
            read, empty = one.read, [True, True]

            async def late(timeout_s: float) -> Sequence[records.Record]:
                return () if empty and empty.pop() else await read(timeout_s)

            one.read = late  # type: ignore[method-assign]
            yield one

    monkeypatch.setattr(broker, "reader", slow)
    two = await _Partition(broker).open()
    assert not two.cold.is_complete
    assert two.held == {b"quiet": b"runs"}


@pytest.mark.parametrize("seed", range(40))
async def test_tail_and_rest_together_say_what_the_whole_ledger_says(seed: int) -> None:
    """Random lives of requests, owners that come in the middle of all, and compaction: both ways agree on every key."""
    draw = random.Random(seed)  # noqa: S311 - chooses a history
    broker = _broker()
    keys = [f"k{number}" for number in range(draw.choice([5, 40]))]
    expected: dict[str, str] = {}
    one = await _Partition(broker).open()
    for _ in range(draw.choice([2, 4])):
        indexing = asyncio.create_task(one.ledger.index_older())
        for step in range(draw.randrange(150)):
            await _lead_on(draw, one, draw.choice(keys), f"{step}", expected)
            if draw.random() < 0.02:
                await indexing
                broker.compact(runtimes.LEDGER)
        if draw.random() < 0.5:
            await indexing
        indexing.cancel()
        await asyncio.wait([indexing])
        one = await _Partition(broker, whole=draw.random() < 0.2).open()

    live = {key.encode(): value.encode() for key, value in expected.items() if not value.startswith("cold")}
    assert one.held == live
    await one.ledger.index_older()
    for key in keys:
        value = expected.get(key, "")
        assert await one.take(key) == (value.encode() if value.startswith("cold") else None)


async def _lead_on(draw: random.Random, one: _Partition, key: str, step: str, expected: dict[str, str]) -> None:
    """Change one key as an engine would: what may be remembered is asked for only if the index is whole."""
    if key.encode() not in one.held:
        if not one.cold.is_complete and key.encode() not in one.cold:
            return
        await one.take(key)
    value = draw.choice([f"runs {step}", f"cold 9 {step}", None])
    await one.write(**{key: value})
    expected.pop(key, None)
    if value is not None:
        expected[key] = value


async def test_partition_that_is_restored_while_kafka_is_away_indexes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage ends the indexing with an error that leads to another restore."""
    broker = _broker()
    await _remembering(broker)
    two = await _Partition(broker).open()

    def refusing(
        position: records.Position, offset: int | None, *, few: bool = False
    ) -> contextlib.AbstractAsyncContextManager[brokers.LogReader]:
        raise errors.StreamDown(f"no connection to {position} at {offset}, few {few}")

    monkeypatch.setattr(broker, "reader", refusing)
    with pytest.raises(errors.StreamDown):
        await two.ledger.index_older()
    assert not two.cold.is_complete


async def test_owner_that_writes_the_former_format_reads_the_whole_ledger() -> None:
    """It alone can find that no value of the later format is left, and say so; a tail has the former marks."""
    broker = _broker()
    one = await _remembering(broker)
    assert one.ledger.tail is not None
    assert one.ledger.tail.noted > 0
    former = await _Partition(broker, form=1).open()
    assert former.cold.is_complete
    await former.write(quiet="{}")
    assert _mark(broker) == b"2"

    for number in range(60):
        await former.write(**{f"e{number}": None})
    broker.compact(runtimes.LEDGER)
    former = await _Partition(broker, form=1).open()
    await former.write(quiet="{}")
    assert _mark(broker) == b"1"


def _mark(broker: memory_broker.MemoryBroker) -> bytes:
    """Return the format that the last commit says."""
    last = [record for record in broker.committed(runtimes.LEDGER, 0) if record.key == ledger_format.OFFSETS][-1]
    return dict(last.headers)["f"]
