"""Who may write a ledger: zombies, claims, newer formats, and a producer that must be replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from tests.support import runtimes
from tests.unit.kafka import ledger_samples

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import ledger_format, records
from mrs_relay.kafka.memory import memory_broker, memory_clients

pytestmark = pytest.mark.looptime


@ledger_samples.BOTH
async def test_replaced_owner_cannot_commit(guarantee: str) -> None:
    """A zombie's commit raises Fenced, and the next restore knows nothing of it."""
    broker = ledger_samples.make_broker(guarantee)
    zombie = await ledger_samples.begun_ledger(broker)
    owner = ledger_samples.make_ledger(broker)
    await owner.open()
    with pytest.raises(errors.Fenced):
        await zombie.commit([ledger_samples.change("a", "zombie")], [], 3)
    assert (await ledger_samples.make_ledger(broker).open()).state == {}


async def _owner_beside_a_zombie(broker: memory_broker.MemoryBroker) -> ledgers.Ledger:
    """Return an owner that has committed a key, which a replaced owner has written after it."""
    zombie = await ledger_samples.begun_ledger(broker)
    owner = ledger_samples.make_ledger(broker)
    await owner.open()
    await owner.commit([ledger_samples.change("a", "mine")], [], 3)
    with pytest.raises(errors.Fenced):
        await zombie.commit([ledger_samples.change("a", "zombie"), ledger_samples.change("z", "zombie")], [], 1)
    return owner


async def test_owner_without_transactions_notices_a_zombie() -> None:
    """Where the broker does not fence, foreign records in between tell: the owner restores, and has lost nothing."""
    broker = ledger_samples.make_broker("at-least-once")
    owner = await _owner_beside_a_zombie(broker)
    with pytest.raises(errors.Fenced, match="another process"):
        await owner.commit([ledger_samples.change("b", "mine")], [], 4)
    restored = await ledger_samples.make_ledger(broker).open()
    assert (restored.state, restored.next_offset) == ({b"a": b"mine", b"b": b"mine"}, 4)


async def test_key_of_a_zombie_is_written_again_before_compaction_can_keep_it() -> None:
    """Compaction would keep the zombie's later record; the next owner overwrites it first."""
    broker = ledger_samples.make_broker("at-least-once")
    await _owner_beside_a_zombie(broker)
    await ledger_samples.make_ledger(broker).open()
    broker.compact(runtimes.LEDGER)
    restored = await ledger_samples.make_ledger(broker).open()
    assert (restored.state, restored.next_offset) == ({b"a": b"mine"}, 3)


@ledger_samples.BOTH
@pytest.mark.parametrize("where", ["claim", "commit"])
async def test_newer_format_is_refused_before_anything_is_taken(guarantee: str, where: str) -> None:
    """Nothing is written, not even a claim, and the newer owner is not fenced."""
    broker = ledger_samples.make_broker(guarantee)
    newer = await ledger_samples.begun_ledger(broker)
    for number in range(3):  # more than one read
        await newer.commit([ledger_samples.change(f"{number}-{one}", "x") for one in range(500)], [], number + 1)
    if where == "claim":
        broker.put(runtimes.LEDGER, 0, b"\0claim", b'{"nonce":"newer","format":3}')
    else:
        broker.put(runtimes.LEDGER, 0, b"\0offsets", b'{"in":9}', (("f", b"3"),))
    before = broker.committed(runtimes.LEDGER, 0)
    with pytest.raises(ledger_format.NewerFormat, match="format 3, this version reads format 2"):
        await ledger_samples.make_ledger(broker).open()
    assert broker.committed(runtimes.LEDGER, 0) == before
    if guarantee == "exactly-once":  # without transactions the record that we put there counts as another owner's
        await newer.commit([ledger_samples.change("a", "1")], [], 10)


@ledger_samples.BOTH
async def test_newer_format_is_refused_also_where_the_first_reads_bring_nothing(
    guarantee: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow connection or a leader that moves is not taken for the end of the ledger."""
    broker = ledger_samples.make_broker(guarantee)
    await ledger_samples.begun_ledger(broker)
    broker.put(runtimes.LEDGER, 0, b"\0claim", b'{"nonce":"newer","format":3}')
    before = broker.committed(runtimes.LEDGER, 0)
    read, silences = memory_clients.Reader.read, iter(range(3))

    async def slow(reader: memory_clients.Reader, timeout_s: float) -> Sequence[records.Record]:
        return [] if next(silences, None) is not None else await read(reader, timeout_s)

    monkeypatch.setattr(memory_clients.Reader, "read", slow)
    with pytest.raises(ledger_format.NewerFormat):
        await ledger_samples.make_ledger(broker).open()
    assert broker.committed(runtimes.LEDGER, 0) == before


@ledger_samples.BOTH
async def test_membership_is_confirmed_between_reading_and_fencing(guarantee: str) -> None:
    """Reading a large ledger takes long: a member that was put out meanwhile takes nothing from its successor."""
    broker = ledger_samples.make_broker(guarantee)
    owner = await ledger_samples.begun_ledger(broker)

    async def put_out() -> None:
        raise errors.StreamDown("not a member")

    with pytest.raises(errors.StreamDown, match="not a member"):
        await ledger_samples.make_ledger(broker).open(None, put_out)
    await owner.commit([ledger_samples.change("a", "1")], [], 1)


@ledger_samples.BOTH
async def test_renewed_claim_of_the_same_owner_is_not_foreign(guarantee: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that replaced its producer and restores afterwards meets its own claim, not a rival's."""
    broker = ledger_samples.make_broker(guarantee)
    ledger = ledger_samples.make_ledger(broker)
    first = await ledger.open()
    with monkeypatch.context() as trouble:
        trouble.setattr(memory_clients.Producer, "tainted", property(lambda _producer: True))
        await ledger.commit([], [], 0)
    await ledger.kill()
    again = ledgers.Ledger(ledger_samples.INPUT, ledger._options, broker, ledger._transactional_id)
    assert (await again.open(first.claim_offset)).foreign_claims == 0


@ledger_samples.BOTH
async def test_foreign_claims_since_ours_are_reported(guarantee: str) -> None:
    """A repeated restore finds a claim of another owner in between."""
    broker = ledger_samples.make_broker(guarantee)
    ledger = ledger_samples.make_ledger(broker)
    mine = await ledger.open()
    assert (await ledger_samples.make_ledger(broker).open(mine.claim_offset)).foreign_claims == 0
    second = await ledger_samples.make_ledger(broker).open()
    await ledger_samples.make_ledger(broker).open()
    assert (await ledger_samples.make_ledger(broker).open(second.claim_offset)).foreign_claims == 1


async def test_restore_without_progress_gives_up(looptime: float) -> None:
    """A claim that never shows up ends the restore after the time limit."""
    broker = ledger_samples.make_broker("at-least-once")
    broker.cut(runtimes.LEDGER, 0, 10)  # everything that is written now counts as already removed
    with pytest.raises(errors.StreamDown, match="no progress"):
        await ledger_samples.make_ledger(broker).open()
    assert 60 <= looptime < 62


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
    ledger = await ledger_samples.begun_ledger(broker)
    await ledger.commit([ledger_samples.change("a", "1")], [], 1)
    await ledger.commit([ledger_samples.change("a", "2")], [], 2)
    assert (await ledger_samples.make_ledger(broker).open()).state == {b"a": b"2"}


async def test_replacement_gives_up_if_another_owner_wrote() -> None:
    """A new producer fences everybody, so it must make sure that nothing was written that it has not read."""
    broker = _TaintingBroker(lambda cluster: cluster.put(runtimes.LEDGER, 0, b"a", b"foreign"))
    ledger = ledger_samples.make_ledger(broker)
    await ledger.open()
    with pytest.raises(errors.Fenced, match="another process"):
        await ledger.commit([], [], 0)


@ledger_samples.BOTH
async def test_what_is_written_after_a_renewed_claim_belongs_to_that_claim(
    guarantee: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that replaces its producer claims again; its later records are not taken for those of a zombie."""
    broker = ledger_samples.make_broker(guarantee)
    ledger = await ledger_samples.begun_ledger(broker)
    with monkeypatch.context() as trouble:
        trouble.setattr(memory_clients.Producer, "tainted", property(lambda _producer: True))
        await ledger.commit([ledger_samples.change("a", "1")], [], 1)
    await ledger.commit([ledger_samples.change("a", "2")], [], 2)
    restored = await ledger_samples.make_ledger(broker).open()
    assert (restored.state, restored.next_offset) == ({b"a": b"2"}, 2)
