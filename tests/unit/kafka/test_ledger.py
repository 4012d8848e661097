"""Claiming, restoring, committing: both guarantees, with an owner that is replaced, crashes or loses a reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import ledger_format, records
from mrs_relay.kafka.memory import memory_broker, memory_clients, memory_log

pytestmark = pytest.mark.looptime

_INPUT = records.Position(runtimes.IN, 0)
_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


def _broker(guarantee: str) -> memory_broker.MemoryBroker:
    return runtimes.cluster(runtimes.kafka_settings(guarantee=guarantee), partitions=1)


def _ledger(broker: memory_broker.MemoryBroker, limits_bytes: dict[str, int] | None = None) -> ledgers.Ledger:
    kafka = broker.kafka
    options = ledgers.Options(runtimes.LEDGER, kafka.transactional, limits_bytes or {}, 1_000_000, 60.0)
    return ledgers.Ledger(_INPUT, options, broker, kafka.transactional_id(0) if kafka.transactional else None)


def _change(key: str, value: str | None) -> records.Change:
    return records.Change(key.encode(), None if value is None else value.encode())


def _event(value: str) -> records.Outgoing:
    return records.Outgoing(runtimes.EV, b"k", value.encode())


def _events(broker: memory_broker.MemoryBroker) -> list[bytes | None]:
    return [record.value for record in broker.committed(runtimes.EV)]


async def _first(broker: memory_broker.MemoryBroker) -> ledgers.Ledger:
    """A ledger that has begun: its first commit wrote the offset alone, as the runtime does."""
    ledger = _ledger(broker)
    assert (await ledger.open()).next_offset is None
    await ledger.commit([], [], 0)
    return ledger


@_BOTH
async def test_next_owner_reads_all_that_was_committed(guarantee: str) -> None:
    """State, offset and events of every acknowledged commit are there."""
    broker = _broker(guarantee)
    ledger = await _first(broker)
    await ledger.commit([_change("a", "1"), _change("b", "1")], [_event("e1")], 5)
    await ledger.commit([_change("a", "2"), _change("b", None)], [_event("e2")], 7)
    restored = await _ledger(broker).open()
    assert (restored.state, restored.next_offset) == ({b"a": b"2"}, 7)
    assert set(_events(broker)) == {b"e1", b"e2"}


@_BOTH
async def test_next_owner_reads_on_until_its_own_claim(guarantee: str) -> None:
    """A ledger that takes many reads is restored whole: the restore ends at its claim, not at the end of a read."""
    broker = _broker(guarantee)
    ledger = await _first(broker)
    for number in range(30):
        await ledger.commit([_change(f"{number}-{one}", "x") for one in range(100)], [], number + 1)
    restored = await _ledger(broker).open()
    assert (len(restored.state), restored.next_offset) == (3000, 30)


@_BOTH
async def test_next_owner_reads_a_compacted_ledger(guarantee: str) -> None:
    """Compaction takes away nothing that counts."""
    broker = _broker(guarantee)
    ledger = await _first(broker)
    for number in range(5):
        await ledger.commit([_change("a", str(number)), _change(f"k{number}", "x")], [_event("e")], number)
    broker.compact(runtimes.LEDGER)
    restored = await _ledger(broker).open()
    assert restored.state == {b"a": b"4"} | {b"k%d" % number: b"x" for number in range(5)}
    assert restored.next_offset == 4


@_BOTH
async def test_replaced_owner_cannot_commit(guarantee: str) -> None:
    """A zombie's commit raises Fenced, and the next restore knows nothing of it."""
    broker = _broker(guarantee)
    zombie = await _first(broker)
    owner = _ledger(broker)
    await owner.open()
    with pytest.raises(errors.Fenced):
        await zombie.commit([_change("a", "zombie")], [], 3)
    assert (await _ledger(broker).open()).state == {}


async def test_outbox_is_empty_after_the_next_commit() -> None:
    """What was sent is kept no longer, also that of an owner before and where the guarantee has changed meanwhile."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings(guarantee="at-least-once"), transactions=True)
    broker.create_topics(1)
    large = [_event("x" * 100_000) for _ in range(3)]
    ledger = await _first(broker)
    await ledger.commit([], large, 1)
    assert len(_outbox(broker)) == 3
    await ledger.commit([_change("a", "1")], [_event("e")], 2)
    assert len(_outbox(broker)) == 1
    await ledger.commit([_change("a", "2")], [], 3)
    assert _outbox(broker) == []

    await ledger.commit([], large, 4)
    successor = _ledger(broker)
    await successor.open()  # sends them again, since nothing says that they were sent
    await successor.commit([], [], 5)
    assert _outbox(broker) == []

    await successor.commit([], large, 6)
    options = ledgers.Options(runtimes.LEDGER, True, {}, 1_000_000, 60.0)
    transactional = ledgers.Ledger(_INPUT, options, broker, "app.group.in.0")
    await transactional.open()
    await transactional.commit([], [], 7)
    assert _outbox(broker) == []
    assert len(_events(broker)) == 3 * 5 + 1


def _outbox(broker: memory_broker.MemoryBroker) -> list[bytes]:
    """The keys of outbox records that compaction would leave."""
    last = {record.key: record.value for record in broker.committed(runtimes.LEDGER) if record.key is not None}
    return sorted(key for key, value in last.items() if key.startswith(b"\0outbox.") and value is not None)


async def test_owner_without_transactions_notices_a_zombie() -> None:
    """Where the broker does not fence, foreign records in between tell: the owner restores, and has lost nothing."""
    broker = _broker("at-least-once")
    zombie = await _first(broker)
    owner = _ledger(broker)
    await owner.open()
    await owner.commit([_change("a", "mine")], [], 3)
    with pytest.raises(errors.Fenced):
        await zombie.commit([_change("a", "zombie"), _change("z", "zombie")], [], 1)
    with pytest.raises(errors.Fenced, match="another process"):
        await owner.commit([_change("b", "mine")], [], 4)
    restored = await _ledger(broker).open()
    assert (restored.state, restored.next_offset) == ({b"a": b"mine", b"b": b"mine"}, 4)


async def test_key_of_a_zombie_is_written_again_before_compaction_can_keep_it() -> None:
    """Compaction would keep the zombie's later record; the next owner overwrites it first."""
    broker = _broker("at-least-once")
    zombie = await _first(broker)
    owner = _ledger(broker)
    await owner.open()
    await owner.commit([_change("a", "mine")], [], 3)
    with pytest.raises(errors.Fenced):
        await zombie.commit([_change("a", "zombie"), _change("z", "zombie")], [], 1)
    await _ledger(broker).open()
    broker.compact(runtimes.LEDGER)
    restored = await _ledger(broker).open()
    assert (restored.state, restored.next_offset) == ({b"a": b"mine"}, 3)


@_BOTH
async def test_lost_reply_is_decided_by_the_restore(guarantee: str) -> None:
    """A commit whose reply was lost was made; who restores finds it, with its events."""
    broker = _broker(guarantee)
    ledger = await _first(broker)
    broker.fail_writes(applied=True)
    with pytest.raises(errors.StreamError):
        await ledger.commit([_change("a", "1")], [_event("e1")], 5)
    restored = await _ledger(broker).open()
    assert (restored.state, restored.next_offset, _events(broker)) == ({b"a": b"1"}, 5, [b"e1"])


@_BOTH
async def test_lost_commit_is_undone_by_the_restore(guarantee: str) -> None:
    """A commit that did not get through left nothing behind."""
    broker = _broker(guarantee)
    ledger = await _first(broker)
    broker.fail_writes(applied=False)
    with pytest.raises(errors.StreamError):
        await ledger.commit([_change("a", "1")], [_event("e1")], 5)
    restored = await _ledger(broker).open()
    assert (restored.state, restored.next_offset, _events(broker)) == ({}, 0, [])


async def test_crash_between_state_and_events_loses_no_event() -> None:
    """Without transactions the next owner sends what the last one had only written down, before anything else."""
    broker = _broker("at-least-once")
    ledger = await _first(broker)
    broker.fail_writes(applied=False, concerns=_to_events)
    with pytest.raises(errors.StreamError):
        await ledger.commit([_change("a", "1")], [_event("e1"), _event("e2")], 5)
    assert _events(broker) == []
    restored = await _ledger(broker).open()
    assert (restored.state, restored.next_offset, _events(broker)) == ({b"a": b"1"}, 5, [b"e1", b"e2"])


def _to_events(outgoing: Sequence[records.Outgoing]) -> bool:
    return any(record.topic == runtimes.EV for record in outgoing)


async def test_repeated_events_end_with_the_repair() -> None:
    """What one owner has sent again the next one does not, once that owner has settled or committed."""
    broker = _broker("at-least-once")
    ledger = await _first(broker)
    await ledger.commit([], [_event("e1")], 5)
    next_owner = _ledger(broker)
    await next_owner.open()
    assert _events(broker) == [b"e1", b"e1"]
    await next_owner.settle()
    await _ledger(broker).open()
    assert _events(broker) == [b"e1", b"e1"]


async def test_settled_ledger_repeats_nothing() -> None:
    """An orderly hand-over repeats no event."""
    broker = _broker("at-least-once")
    ledger = await _first(broker)
    await ledger.commit([], [_event("e1")], 5)
    await ledger.settle()
    await _ledger(broker).open()
    assert _events(broker) == [b"e1"]


async def test_commit_cut_in_the_middle_is_undone_for_good() -> None:
    """Half of a commit without transactions is ignored now and overwritten, so that it never comes up."""
    broker = _broker("at-least-once")
    ledger = await _first(broker)
    await ledger.commit([_change("a", "1")], [], 5)
    token = broker.committed(runtimes.LEDGER, 0)[-1].headers[-1]
    broker.put(runtimes.LEDGER, 0, b"a", b"half", (token,))
    broker.put(runtimes.LEDGER, 0, b"new", b"half", (token,))
    assert (await _ledger(broker).open()).state == {b"a": b"1"}
    broker.compact(runtimes.LEDGER)
    assert (await _ledger(broker).open()).state == {b"a": b"1"}


async def test_events_are_seen_only_with_the_state_that_they_belong_to() -> None:
    """One transaction holds both: when the part with the state fails, the events are gone as well."""
    broker = _broker("exactly-once")
    ledger = await _first(broker)
    broker.fail_writes(applied=False, concerns=lambda outgoing: any(record.key == b"a" for record in outgoing))
    with pytest.raises(errors.StreamError):
        await ledger.commit([_change("a", "1")], [_event("e1")], 5)
    restored = await _ledger(broker).open()
    assert (restored.state, restored.next_offset, _events(broker)) == ({}, 0, [])


async def test_restore_waits_for_nothing_undecided() -> None:
    """Fencing decides an open transaction, so a restore neither sees its records nor waits for its end."""
    broker = _broker("exactly-once")
    await _first(broker)
    transactional_id = broker.kafka.transactional_id(0)
    epoch = broker.coordinator.register(transactional_id)
    open_one = broker.coordinator.begin(transactional_id, epoch)
    broker.store([records.Outgoing(runtimes.LEDGER, b"a", b"open", (), 0)], open_one)
    began_s = asyncio.get_running_loop().time()
    restored = await _ledger(broker).open()
    assert asyncio.get_running_loop().time() - began_s < 0.1
    assert restored.state == {}
    assert all(record.value != b"open" for record in broker.committed(runtimes.LEDGER, 0))
    with pytest.raises(errors.Fenced):
        broker.coordinator.end(transactional_id, epoch, memory_log.Outcome.COMMITTED)


@_BOTH
@pytest.mark.parametrize("where", ["claim", "commit"])
async def test_newer_format_is_refused_before_anything_is_taken(guarantee: str, where: str) -> None:
    """Nothing is written, not even a claim, and the newer owner is not fenced."""
    broker = _broker(guarantee)
    newer = await _first(broker)
    for number in range(3):  # more than one read
        await newer.commit([_change(f"{number}-{one}", "x") for one in range(500)], [], number + 1)
    if where == "claim":
        broker.put(runtimes.LEDGER, 0, b"\0claim", b'{"nonce":"newer","format":2}')
    else:
        broker.put(runtimes.LEDGER, 0, b"\0offsets", b'{"in":9}', (("f", b"2"),))
    before = broker.committed(runtimes.LEDGER, 0)
    with pytest.raises(ledger_format.NewerFormat, match="format 2, this version reads format 1"):
        await _ledger(broker).open()
    assert broker.committed(runtimes.LEDGER, 0) == before
    if guarantee == "exactly-once":  # without transactions the record that we put there counts as another owner's
        await newer.commit([_change("a", "1")], [], 10)


@_BOTH
async def test_newer_format_is_refused_also_where_the_first_reads_bring_nothing(
    guarantee: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow connection or a leader that moves is not taken for the end of the ledger."""
    broker = _broker(guarantee)
    await _first(broker)
    broker.put(runtimes.LEDGER, 0, b"\0claim", b'{"nonce":"newer","format":2}')
    before = broker.committed(runtimes.LEDGER, 0)
    read, silences = memory_clients.Reader.read, iter(range(3))

    async def slow(reader: memory_clients.Reader, timeout_s: float) -> Sequence[records.Record]:
        return [] if next(silences, None) is not None else await read(reader, timeout_s)

    monkeypatch.setattr(memory_clients.Reader, "read", slow)
    with pytest.raises(ledger_format.NewerFormat):
        await _ledger(broker).open()
    assert broker.committed(runtimes.LEDGER, 0) == before


@_BOTH
async def test_membership_is_confirmed_between_reading_and_fencing(guarantee: str) -> None:
    """Reading a large ledger takes long: a member that was put out meanwhile takes nothing from its successor."""
    broker = _broker(guarantee)
    owner = await _first(broker)

    async def put_out() -> None:
        raise errors.StreamDown("not a member")

    with pytest.raises(errors.StreamDown, match="not a member"):
        await _ledger(broker).open(None, put_out)
    await owner.commit([_change("a", "1")], [], 1)


@_BOTH
async def test_renewed_claim_of_the_same_owner_is_not_foreign(guarantee: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that replaced its producer and restores afterwards meets its own claim, not a rival's."""
    broker = _broker(guarantee)
    ledger = _ledger(broker)
    first = await ledger.open()
    with monkeypatch.context() as trouble:
        trouble.setattr(memory_clients.Producer, "tainted", property(lambda _producer: True))
        await ledger.commit([], [], 0)
    await ledger.kill()
    again = ledgers.Ledger(_INPUT, ledger._options, broker, ledger._transactional_id)
    assert (await again.open(first.claim_offset)).foreign_claims == 0


@_BOTH
async def test_foreign_claims_since_ours_are_reported(guarantee: str) -> None:
    """A repeated restore finds a claim of another owner in between."""
    broker = _broker(guarantee)
    ledger = _ledger(broker)
    mine = await ledger.open()
    assert (await _ledger(broker).open(mine.claim_offset)).foreign_claims == 0
    second = await _ledger(broker).open()
    await _ledger(broker).open()
    assert (await _ledger(broker).open(second.claim_offset)).foreign_claims == 1


async def test_restore_without_progress_gives_up(looptime: float) -> None:
    """A claim that never shows up ends the restore after the time limit."""
    broker = _broker("at-least-once")
    broker.cut(runtimes.LEDGER, 0, 10)  # everything that is written now counts as already removed
    with pytest.raises(errors.StreamDown, match="no progress"):
        await _ledger(broker).open()
    assert 60 <= looptime < 62


@_BOTH
async def test_oversized_records_are_refused_before_anything_is_written(guarantee: str) -> None:
    """Too large a change or event raises TooLarge, and the ledger continues."""
    broker = _broker(guarantee)
    ledger = _ledger(broker, {runtimes.LEDGER: 5000, runtimes.EV: 1000})
    await ledger.open()
    await ledger.commit([], [], 0)
    before = len(broker.committed(runtimes.LEDGER, 0))
    with pytest.raises(records.TooLarge, match="takes 1000"):
        await ledger.commit([_change("a", "1")], [_event("x" * 1000)], 1)
    with pytest.raises(records.TooLarge, match="takes 5000"):
        await ledger.commit([_change("a", "x" * 5000)], [], 1)
    assert len(broker.committed(runtimes.LEDGER, 0)) == before
    await ledger.commit([_change("a", "1")], [_event("x" * 800)], 1)


async def test_event_must_fit_into_the_outbox() -> None:
    """Without transactions a record also has to fit into the ledger."""
    broker = _broker("at-least-once")
    ledger = _ledger(broker, {runtimes.LEDGER: 1000, runtimes.EV: 5000})
    assert ledger.limit_bytes(runtimes.EV) < 1000
    assert _ledger(_broker("exactly-once"), {runtimes.LEDGER: 1000, runtimes.EV: 5000}).limit_bytes(runtimes.EV) == 5000


async def test_reserved_keys_are_refused() -> None:
    """Keys that begin with a zero byte belong to the ledger."""
    ledger = await _first(_broker("exactly-once"))
    with pytest.raises(ValueError, match="belongs to the ledger"):
        await ledger.commit([records.Change(b"\0offsets", b"x")], [], 1)
    await ledger.commit([], [], 1)


class _TaintingBroker(memory_broker.MemoryBroker):
    """Its producers report trouble after their second write, although it succeeded, and take no third one."""

    def __init__(
        self, before_replacement: Callable[[memory_broker.MemoryBroker], object] = lambda _broker: None
    ) -> None:
        super().__init__(runtimes.kafka_settings())
        self.create_topics(1)
        self._before_replacement = before_replacement

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> brokers.Producer:
        inner = super().producer(transactional_id, idempotent=idempotent)
        return _TaintedProducer(inner, lambda: self._before_replacement(self))


class _TaintedProducer(brokers.Producer):
    def __init__(self, inner: brokers.Producer, before_kill: Callable[[], object]) -> None:
        self._inner = inner
        self._before_kill = before_kill
        self._writes = 0

    @property
    def tainted(self) -> bool:
        return self._writes >= 2

    async def start(self) -> None:
        await self._inner.start()

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        if self.tainted:
            raise errors.Fenced("this producer has been given up")
        self._writes += 1
        return await self._inner.write(outgoing)

    async def kill(self) -> None:
        self._before_kill()
        await self._inner.kill()


async def test_tainted_producer_is_replaced_without_a_restore() -> None:
    """After a success that saw trouble the next commit goes through a new producer."""
    broker = _TaintingBroker()
    ledger = await _first(broker)
    await ledger.commit([_change("a", "1")], [], 1)
    await ledger.commit([_change("a", "2")], [], 2)
    assert (await _ledger(broker).open()).state == {b"a": b"2"}


async def test_replacement_gives_up_if_another_owner_wrote() -> None:
    """A new producer fences everybody, so it must make sure that nothing was written that it has not read."""
    broker = _TaintingBroker(lambda cluster: cluster.put(runtimes.LEDGER, 0, b"a", b"foreign"))
    ledger = _ledger(broker)
    await ledger.open()
    with pytest.raises(errors.Fenced, match="another process"):
        await ledger.commit([], [], 0)


@_BOTH
async def test_what_is_written_after_a_renewed_claim_belongs_to_that_claim(
    guarantee: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that replaces its producer claims again; its later records are not taken for those of a zombie."""
    broker = _broker(guarantee)
    ledger = await _first(broker)
    with monkeypatch.context() as trouble:
        trouble.setattr(memory_clients.Producer, "tainted", property(lambda _producer: True))
        await ledger.commit([_change("a", "1")], [], 1)
    await ledger.commit([_change("a", "2")], [], 2)
    restored = await _ledger(broker).open()
    assert (restored.state, restored.next_offset) == ({b"a": b"2"}, 2)
