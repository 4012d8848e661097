r"""
One partition's ledger: claimed and restored by its new owner, then written by it alone, with all outgoing records.

    open       read the log and refuse a newer format; then fence older owners, write a claim, and read on up to that
               claim: no write below it is undecided
    commit     exactly-once: records, changes and `\0offsets` in one transaction
               at-least-once: changes, outbox and `\0offsets`, then the records. After a crash in between the next owner
               sends the outbox again, the same ids, before anything else: none is lost
    settle     without transactions, note that all was sent, so that the next owner repeats nothing
    renew      replace a producer that saw trouble, and make sure that no other owner came in between

Without transactions an owner also notices the writes of another one: its own records no longer follow each other.
`ledger_format.py` defines the records, `lease.py` is the handler's interface.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import cold_records, ledger_format, live_tail, log_reading, older_records, records, settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """
    Options that are the same for all partitions.

    Attributes:
        topic: the ledger topic.
        idempotent: without transactions, whether the broker knows idempotent producers.
        limits_bytes: largest record a topic takes, by `records.size_bytes`.
        default_limit_bytes: the same for topics of which the broker reports no limit.
        restore_timeout_s: longest time without progress of a restore, in seconds.
        accept_loss: continue where a part of the ledger is missing.
        owner: names this runtime in its claims; no other process has the same.
        cold: tells which values need not be held in memory; None: all are.
        format: of the values that the handler writes.
    """

    topic: str
    idempotent: bool
    limits_bytes: Mapping[str, int]
    default_limit_bytes: int
    restore_timeout_s: float
    accept_loss: bool = False
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    cold: cold_records.ColdRule | None = None
    format: int = ledger_format.FORMAT


def options(
    kafka: settings.KafkaSettings,
    abilities: brokers.Abilities,
    limits_bytes: Mapping[str, int],
    cold: cold_records.ColdRule | None,
) -> Options:
    """Return the options of a runtime, by its settings and by what the broker reports of itself and of its topics."""
    return Options(
        topic=kafka.topics.ledger,
        idempotent=abilities.idempotence,
        limits_bytes=limits_bytes,
        default_limit_bytes=kafka.record_bytes,
        restore_timeout_s=kafka.restore_timeout_s,
        accept_loss=kafka.accept_loss,
        cold=cold,
        format=kafka.ledger_format,
    )


@dataclass(frozen=True, slots=True)
class Restored:
    """
    The result of `Ledger.open`.

    Attributes:
        state: ledger key -> value, without those that are in `Ledger.cold`; the caller's own.
        next_offset: offset of the first input record that is not in the state; None at the very first start.
        claimed_at_s: when the claim was written, on the event loop's clock.
        claim_offset: that of the claim.
        foreign_claims: number of claims by others since our previous claim.
        topic_id: of the input topic to which `next_offset` belongs; None where the ledger does not say.
    """

    state: dict[bytes, bytes]
    next_offset: int | None
    claimed_at_s: float
    claim_offset: int
    foreign_claims: int
    topic_id: str | None = None


class Ledger:
    """
    The ledger of one partition for one lease; a new lease makes a new one.

    Args:
        position: the input partition; its ledger partition has the same number.
        options: those of all partitions.
        broker: keeps the ledger and the topics of the outgoing records.
        transactional_id: the partition's, for exactly-once; None for at-least-once.

    Attributes:
        topic_id: of the input topic; every commit notes it. It is that of the last commit until the owner sets it.
        cold: the values that are not in memory; None if all are. `index_older` completes it.
        tail: where the values in memory begin; None: anywhere, which a commit without transactions cannot say.
        reads_whole: `open` is to read the whole ledger, although its tail should be enough.
        read_part: part of the ledger that `open` has read, from 0 to 1; for people.
    """

    def __init__(
        self, position: records.Position, options: Options, broker: brokers.Broker, transactional_id: str | None
    ) -> None:
        self._input = position
        self._place = records.Position(options.topic, position.partition)
        self._options = options
        self._broker = broker
        self._transactional_id = transactional_id
        self._producer: brokers.Producer | None = None
        self._token: records.Headers = ()
        self._end = 0
        self._beginning = 0
        self._next_offset: int | None = None
        self._unsettled = False
        self._outbox_left = 0
        self._mark = options.format
        self.topic_id: str | None = None
        self.cold = self._cold(options.cold)
        has_tail = transactional_id is not None and self.cold is not None
        self.tail = live_tail.LiveTail(lambda: self._end) if has_tail else None
        self.reads_whole = False
        self.read_part = 0.0

    async def open(
        self, previous_claim: int | None = None, before_fencing: Callable[[], Awaitable[None]] | None = None
    ) -> Restored:
        """
        Become the owner and read the committed state.

        Args:
            previous_claim: offset of the claim that this process held last, to count claims of others since then.
            before_fencing: awaited when the ledger has been read and nothing has been taken yet.

        Raises:
            NewerFormat: a newer version has written here; nothing was changed, and its owner was not disturbed, unless
                it has begun to write while this method claimed the ledger.
            StateUnreadable: a person must decide; nothing was changed but the claim.
            Fenced, StreamDown: try again with a new ledger.
        """
        nonce = self._nonce()
        async with self._broker.reader(self._place, None) as reader:
            # All values are looked at while a higher format than ours may be left.
            is_whole = self.reads_whole or self._options.format < ledger_format.FORMAT
            live_from = 0 if is_whole else await live_tail.go_to(self.tail, self.cold, reader)
            replay = ledger_format.Replay(self._input, nonce, previous_claim, self.cold, live_from)

            # Before we fence the owner, make sure that we can read its ledger.
            await self._catch_up(reader, replay)
            self._mark = max(self._options.format, replay.values_format)
            if before_fencing is not None:
                await before_fencing()
            await self._start_producer()
            await self._claim(nonce)
            claimed_at_s = asyncio.get_running_loop().time()
            while not replay.done:
                replay.add(await self._read(reader))

        loss = replay.loss(reader.beginning)
        if loss is not None and not self._options.accept_loss:
            raise errors.StateUnreadable(f"{loss}; kafka.accept_loss=true continues without them")

        self._beginning = reader.beginning
        self._mark = max(self._options.format, replay.values_format)
        if self._mark > self._options.format:
            log.info("ledger_format_kept", position=str(self._input), format=self._mark, written=self._options.format)
        self.topic_id = replay.topic_id
        self._outbox_left = replay.outbox_end
        claim_offset = -1 if replay.claim_offset is None else replay.claim_offset
        self._settle_in(claim_offset)
        if replay.stale_keys:
            await self.index_older()  # their right values may be cold

        next_offset = replay.next_offset
        if next_offset is not None:
            await self._finish_for_predecessor(replay, next_offset, loss)
        return Restored(replay.state, next_offset, claimed_at_s, claim_offset, replay.foreign_claims, replay.topic_id)

    async def index_older(self) -> None:
        """
        Index what `open` has not read, beside the work on what it has; see `older_records`.

        Raises:
            OlderDiffers, StateUnreadable, StreamDown: the ledger must be restored again.
        """
        if self.cold is not None and self.tail is not None and not self.cold.is_complete:
            older = older_records.Older(self._input, self._place, self.tail.noted, self._options.restore_timeout_s)
            await older_records.index(self._broker, older, self.cold)

    async def commit(
        self, changes: Sequence[records.Change], outgoing: Sequence[records.Outgoing], next_offset: int
    ) -> None:
        """
        Write changes, outgoing records and the offset; see `lease.Lease.commit`.

        Raises:
            TooLarge: nothing was written. Fenced, StreamDown: the outcome is unknown; the ledger is dead.
            StateUnreadable: the topic is another one than before.
            ValueError: a key belongs to the ledger itself.
        """
        state = [self._to_ledger(change.key, change.value) for change in changes]
        self._check(state, outgoing)

        if self._transactional_id is None:
            blocks = await self._commit_plainly(state, outgoing, next_offset)
        else:
            state += self._cleared(0)  # left from a time without transactions
            blocks = await self._alive.write([*outgoing, *state, self._last(next_offset, outbox=0)])
            blocks = [block for block in blocks if block.position == self._place]
            await self._advance(blocks)
            self._outbox_left = 0

        self._next_offset = next_offset
        if self.cold is not None and changes:
            self.cold.stored(changes, blocks)
        if self._alive.tainted:
            await self._renew()

    async def settle(self) -> None:
        """Note that all outgoing records were sent. Raises Fenced, StreamDown; the ledger is dead then."""
        if self._unsettled and self._next_offset is not None:
            await self._commit_plainly([], [], self._next_offset)

    async def kill(self) -> None:
        """Stop all writes; never raises."""
        if self._producer is not None:
            await self._producer.kill()

    def limit_bytes(self, topic: str | None) -> int:
        """Return the largest record that `commit` takes for the topic; None means a change of the ledger."""
        limits, default = self._options.limits_bytes, self._options.default_limit_bytes
        ledger_bytes = limits.get(self._options.topic, default)
        if topic is None:
            return ledger_bytes
        limit_bytes = limits.get(topic, default)
        if self._transactional_id is None:
            return min(limit_bytes, ledger_bytes - ledger_format.OUTBOX_OVERHEAD_BYTES)
        return limit_bytes

    async def _advance(self, blocks: Sequence[records.Block]) -> None:
        """Note the end of the ledger; a log that was longer before is another one."""
        if (first := min(block.first_offset for block in blocks)) < self._end:
            await self.kill()
            raise errors.StateUnreadable(
                f"the ledger of {self._input} ended at {self._end} and we have just written at {first}: the topic "
                f"{self._place.topic} was deleted and created again, and its records are gone"
            )
        self._end = max(block.first_offset + block.count for block in blocks)

    async def _commit_plainly(
        self, state: Sequence[records.Outgoing], outgoing: Sequence[records.Outgoing], next_offset: int
    ) -> Sequence[records.Block]:
        """Write the state, then the outgoing records; returns the blocks of the former."""
        outbox = [self._to_ledger(key, value) for key, value in ledger_format.outbox(outgoing)]
        last = self._last(next_offset, outbox=len(outbox))

        blocks = await self._alive.write([*state, *outbox, *self._cleared(len(outbox)), last])
        for block in blocks:
            if block.first_offset != self._end:
                await self.kill()
                raise errors.Fenced(
                    f"another process has written to the ledger of {self._input}: our records stand at "
                    f"{block.first_offset} instead of {self._end}"
                )
            self._end += block.count

        self._outbox_left = len(outbox)
        if outgoing:
            await self._alive.write(outgoing)
        self._unsettled = bool(outgoing)
        return blocks

    async def _finish_for_predecessor(self, replay: ledger_format.Replay, next_offset: int, loss: str | None) -> None:
        """Send the last owner's unsent records, overwrite records of fenced owners, write down an accepted loss."""
        unsent = replay.unsent
        stale = [key for key in sorted(replay.stale_keys) if not key.startswith(b"\0")]

        if loss is not None:
            log.error("ledger_loss_accepted", position=str(self._input), loss=loss)
        elif not unsent and not replay.stale_keys:
            self._next_offset = next_offset
            return

        if self.cold is not None:  # a value that is written again is not cold at its old place
            replay.state.update(
                {
                    key: record.value or b""
                    for key, record in (await self.cold.take(stale)).items()
                    if key not in replay.state
                }
            )

        log.info("ledger_repaired", position=str(self._input), sent_again=len(unsent), rewritten=len(stale))
        await self.commit([records.Change(key, replay.state.get(key)) for key in stale], unsent, next_offset)

    async def _renew(self) -> None:
        """
        Replace the producer after a success that saw trouble.

        The new producer fences every other owner, also one that came in between and whose writes we have not read. So
        the ledger is read from our last record up to a new claim, and the renewal fails if any other record is there.
        """
        log.info("producer_replaced", position=str(self._input))
        await self.kill()
        await self._start_producer()

        end, nonce = self._end, self._nonce()
        await self._claim(nonce)
        async with self._broker.reader(self._place, end) as reader:
            first = next(iter(await self._read(reader)))

        replay = ledger_format.Replay(self._input, nonce)
        replay.add([first])
        if not replay.done:
            await self.kill()
            raise errors.Fenced(f"another process has written to the ledger of {self._input} at {first.offset}")
        self._settle_in(first.offset)  # our next writes belong to this claim

    def _cold(self, rule: cold_records.ColdRule | None) -> cold_records.ColdRecords | None:
        if rule is None:
            return None
        return cold_records.ColdRecords(self._input, self._place, self._broker, rule, self._options.restore_timeout_s)

    async def _start_producer(self) -> None:
        self._producer = self._broker.producer(self._transactional_id, idempotent=self._options.idempotent)
        await self._producer.start()

    def _nonce(self) -> str:
        return f"{self._options.owner}.{uuid.uuid4().hex}"

    async def _claim(self, nonce: str) -> None:
        key, value = ledger_format.claim(nonce, self._mark)
        await self._alive.write([records.Outgoing(self._place.topic, key, value, (), self._place.partition)])

    async def _catch_up(self, reader: brokers.LogReader, replay: ledger_format.Replay) -> None:
        """Read to the present end."""
        async for read in log_reading.to_end(reader):
            replay.add(read)
            self.read_part = reader.part

    async def _read(self, reader: brokers.LogReader) -> Sequence[records.Stored]:
        return await log_reading.next_records(reader, self._input, self._options.restore_timeout_s)

    def _settle_in(self, claim_offset: int) -> None:
        self._end = claim_offset + 1
        if self._transactional_id is None:
            self._token = ledger_format.token(claim_offset)

    def _cleared(self, outbox: int) -> list[records.Outgoing]:
        """Return tombstones for records of earlier commits in the outbox, behind the records of this one."""
        return [self._to_ledger(key, None) for key in ledger_format.outbox_keys(outbox, self._outbox_left)]

    def _last(self, next_offset: int, *, outbox: int) -> records.Outgoing:
        """Return the record that ends a commit."""
        topic, end, beginning = self._input.topic, self._end, self._beginning
        offsets = {"outbox": outbox, "end": end, "beginning": beginning}
        key, value, headers = ledger_format.offsets(topic, next_offset, **offsets, topic_id=self.topic_id)
        headers = ledger_format.format_header(self._mark) + headers
        if self.tail is not None:
            headers += ledger_format.live_header(self.tail.noted)
        return self._to_ledger(key, value, headers)

    def _to_ledger(self, key: bytes, value: bytes | None, headers: records.Headers = ()) -> records.Outgoing:
        return records.Outgoing(self._place.topic, key, value, headers + self._token, self._place.partition)

    def _check(self, state: Sequence[records.Outgoing], outgoing: Sequence[records.Outgoing]) -> None:
        for change in state:
            if change.key is not None and change.key.startswith(b"\0"):
                raise ValueError(f"the key {change.key!r} belongs to the ledger itself")
        records.require_all_fit(state, self.limit_bytes(None))

        by_topic: dict[str, list[records.Outgoing]] = {}
        for record in outgoing:
            by_topic.setdefault(record.topic, []).append(record)
        for topic, sent in by_topic.items():
            records.require_all_fit(sent, self.limit_bytes(topic))

    @property
    def _alive(self) -> brokers.Producer:
        if self._producer is None:
            raise errors.Fenced(f"the ledger of {self._input} was never opened")
        return self._producer
