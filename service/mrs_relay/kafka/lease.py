"""
The lease of a handler: the right to read, decide, commit and act for one partition, until it is revoked.

A lease begins after the restore, when the handler starts, and ends with the handler. In between it may be parked (a
rebalance is under way: commits wait, acting is forbidden) and resumed. After a failed commit it is dead for good: the
outcome is unknown until a restore from the ledger. `ledger.py` writes, `partition_worker.py` starts and ends leases.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from mrs_relay import errors
from mrs_relay.common import clock as clocks
from mrs_relay.kafka import budget as budgets
from mrs_relay.kafka import cold_records, live_tail, records
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import progress as progresses

T = TypeVar("T")

_UNBOUNDED_BYTES: Final = 1 << 62


class State(enum.Enum):
    """State of a lease."""

    RUNNING = "running"  # reads, commits, acts
    DRAINING = "draining"  # the partition is being revoked: commits, acts no more
    PARKED = "parked"  # the partition may have another owner: commits wait
    DEAD = "dead"  # every commit is refused


class Writer(Protocol):
    """The ledger as the lease sees it."""

    async def commit(
        self, changes: Sequence[records.Change], outgoing: Sequence[records.Outgoing], next_offset: int
    ) -> None:
        """Write everything, or raise; after an error other than TooLarge the outcome is unknown."""

    async def settle(self) -> None:
        """Note that all outgoing records are sent; after an error the outcome is unknown."""

    def limit_bytes(self, topic: str | None) -> int:
        """Return the largest record, by `records.size_bytes`, that the topic takes; None means the ledger itself."""


@dataclass(frozen=True, slots=True)
class Start:
    """
    The state and offset at which a lease begins.

    Attributes:
        state: ledger key -> value, read up to the claim.
        next_offset: offset of the first input record that is not in the state.
        owned_since_s: time of the claim on the event loop's clock, in seconds.
        budget: of the partition's commits, which outlives the lease; None: they may be of any size.
        progress: knows the ends of the input topic and how far it has been read; None: all counts as read.
        cold: the values of the ledger that are not in `state`; None if all are.
        tail: where the records of the values in memory begin; None: anywhere.
    """

    state: dict[bytes, bytes]
    next_offset: int
    owned_since_s: float
    budget: budgets.CommitBudget | None = None
    progress: progresses.Progress | None = None
    cold: cold_records.ColdRecords | None = None
    tail: live_tail.LiveTail | None = None


class Lease(Generic[T]):
    """
    The handler's side of one owned partition.

    Attributes:
        topic: the input topic.
        partition: number of the input partition, and of its ledger partition.
        inbox: `inbox.take` returns records and notices.
        restored: ledger key -> value, as it was when the lease began. It is the handler's: pop it empty to save
        memory.
        owned_since_s: time of the claim on the event loop's clock, in seconds.
        progress: see `Start`.
        cold: see `Start`.
        tail: see `Start`.
    """

    def __init__(
        self,
        position: records.Position,
        start: Start,
        inbox: inboxes.Inbox[T],
        writer: Writer,
        *,
        clock: clocks.Clock,
        stale_after_s: float,
    ) -> None:
        self.topic = position.topic
        self.partition = position.partition
        self.inbox = inbox
        self.restored = start.state
        self.owned_since_s = start.owned_since_s
        self.progress = start.progress
        self.cold = start.cold
        self.tail = start.tail
        self._writer = writer
        self._clock = clock
        self._stale_after_s = stale_after_s
        self._budget = start.budget or budgets.CommitBudget(_UNBOUNDED_BYTES, stale_after_s)
        self._next_offset = start.next_offset
        self._state = State.RUNNING
        self._stopping = False
        self._act_epoch = 1
        self._fresh_s = clock.boottime_s()
        self._changed = asyncio.Event()  # set whenever a parked commit should check the state again
        self._one_at_a_time = asyncio.Lock()
        self._on_dead: Callable[[errors.StreamError], None] = lambda _error: None
        self._death: errors.StreamError | None = None

    # What the handler uses

    @property
    def state(self) -> State:
        """The state of the lease."""
        return self._state

    @property
    def next_offset(self) -> int:
        """Offset of the first input record that is not yet committed."""
        return self._next_offset

    @property
    def indexed(self) -> float | None:
        """Part of the ledger that has been indexed, from 0 to 1, while messages wait for the rest; None: all of it."""
        return None if self.cold is None or self.cold.is_complete else self.cold.older_part

    @property
    def stopping(self) -> bool:
        """Whether the process shuts down: finish what was taken, start nothing."""
        return self._stopping

    @property
    def act_epoch(self) -> int:
        """Changes whenever acting was interrupted; an intent is good only in the epoch in which it was committed."""
        return self._act_epoch

    def may_act(self, epoch: int | None = None) -> bool:
        """
        Say whether calls that change something outside are allowed now; ask as late as possible.

        True while the lease runs, the process does not stop, and Kafka answered for this partition within the session
        timeout.

        Args:
            epoch: the one that `commit` returned for the intent; a different present epoch makes the answer False.
        """
        if self._state is not State.RUNNING or self._stopping:
            return False
        if self._clock.boottime_s() - self._fresh_s > self._stale_after_s:
            return False
        return epoch is None or epoch == self._act_epoch

    @property
    def budget_bytes(self) -> int:
        """Return the most bytes that the next commit should write, by `records.rough_bytes`; one record always may."""
        return self._budget.bytes

    def limit_bytes(self, topic: str | None) -> int:
        """Return the largest record, by `records.size_bytes`, that a commit to a topic takes; None: a ledger change."""
        return self._writer.limit_bytes(topic)

    async def commit(
        self,
        changes: Sequence[records.Change],
        outgoing: Sequence[records.Outgoing],
        next_offset: int | None = None,
    ) -> int:
        """
        Write state, outgoing records and the input offset together.

        With exactly-once they become visible in one transaction. With at-least-once the state is written first,
        carrying the outgoing records, so that a crash in between repeats records but loses none. While the lease is
        parked the call waits until the partition comes back. One commit at a time; others wait in line.

        Args:
            changes: ledger writes, the last one of a key wins.
            outgoing: records for other topics, kept in order per partition.
            next_offset: offset of the first input record that is not processed yet; None leaves it where it is.

        Returns:
            The act epoch in which the commit was written; pass it to `may_act` before acting on the intent.

        Raises:
            TooLarge: nothing was written, the lease continues; send the record elsewhere or shrink it.
            Fenced: end the handler; the outcome is unknown until the restore that follows.
            StreamDown: the same, and Kafka does not answer.
        """
        async with self._one_at_a_time:
            await self._until_open()
            epoch = self._act_epoch
            offset = self._next_offset if next_offset is None else next_offset
            await self._or_die(self._write(changes, outgoing, offset))
            self._next_offset = offset
            self.touch()
            return epoch

    async def keep_fresh(self) -> None:
        """
        Commit nothing if Kafka has not answered for half a session timeout: the partition is ours if that succeeds.

        For handlers that take no records for long: an inbox that is full is not read, so Kafka gives no answers.
        """
        silent_s = self._clock.boottime_s() - self._fresh_s
        if self._state is State.RUNNING and not self.committing and silent_s > self._stale_after_s / 2:
            await self.commit([], [])

    # What the runtime uses

    def on_dead(self, call: Callable[[errors.StreamError], None]) -> None:
        """Register a function that is called once, when the lease dies."""
        self._on_dead = call

    @property
    def death(self) -> errors.StreamError | None:
        """The error of which the lease died, or None."""
        return self._death

    @property
    def committing(self) -> bool:
        """Whether a commit is being written or waits."""
        return self._one_at_a_time.locked()

    def touch(self) -> None:
        """
        Note that Kafka has just answered for this partition.

        An answer that comes after a silence longer than the session timeout does not make old intents good again:
        another owner may have come and gone, so the epoch moves on.
        """
        now_s = self._clock.boottime_s()
        if now_s - self._fresh_s > self._stale_after_s:
            self._act_epoch += 1
        self._fresh_s = now_s

    @property
    def stale(self) -> bool:
        """Whether Kafka has not answered for this partition for longer than the session timeout."""
        return self._clock.boottime_s() - self._fresh_s > self._stale_after_s

    @property
    def done_to(self) -> int:
        """Offset up to which every readable record is committed; beyond `next_offset` where markers follow."""
        return max(self._next_offset, self.inbox.advanced_to) if self._is_idle else self._next_offset

    @property
    def _is_idle(self) -> bool:
        """Whether all records that the handler took are committed."""
        return self._next_offset >= self.inbox.next_offset

    async def catch_up(self) -> None:
        """Commit the offset `done_to`, if it is beyond the committed one and no commit is under way."""
        if self._state is State.RUNNING and not self.committing and self.done_to > self._next_offset:
            self.inbox.skip()
            await self.commit([], [], self.inbox.next_offset)

    def drain(self) -> None:
        """Forbid acting, drop the records that wait; commits still work."""
        if self._state is State.RUNNING:
            self._state = State.DRAINING
            self._act_epoch += 1
        self.inbox.drop_records()

    def park(self) -> None:
        """Block commits until `resume`; acting is forbidden, too."""
        if self._state is not State.DEAD:
            self.drain()
            self._state = State.PARKED
            self._changed.clear()

    def resume(self) -> None:
        """Go on after `park`: if another owner has committed in between, the next commit fails."""
        if self._state in {State.PARKED, State.DRAINING}:
            self._state = State.RUNNING
            self._fresh_s = self._clock.boottime_s()
            self._act_epoch += 1
            self._changed.set()

    async def settle(self) -> None:
        """Note in the ledger that all outgoing records are sent, so that the next owner repeats none."""
        async with self._one_at_a_time:
            if self._state is not State.DEAD:
                await self._or_die(self._writer.settle())

    def stop(self) -> None:
        """Begin the shutdown: set `stopping` and close the inbox."""
        self._stopping = True
        self.inbox.close()

    def die(self, error: errors.StreamError) -> None:
        """End the lease for good; a commit that waits raises Fenced."""
        if self._state is not State.DEAD:
            self._state = State.DEAD
            self._act_epoch += 1
            self._death = error
            self._changed.set()
            self._on_dead(error)

    async def _write(
        self, changes: Sequence[records.Change], outgoing: Sequence[records.Outgoing], next_offset: int
    ) -> None:
        """Write the commit, and report its size and duration to the budget."""
        size_bytes = records.rough_bytes(changes) + records.rough_bytes(outgoing)
        begun_s = asyncio.get_running_loop().time()

        try:
            await self._writer.commit(changes, outgoing, next_offset)
        except records.TooLarge:
            raise
        except errors.StreamError:
            self._budget.failed(size_bytes)
            raise
        self._budget.succeeded(size_bytes, asyncio.get_running_loop().time() - begun_s)

    async def _or_die(self, write: Awaitable[None]) -> None:
        try:
            await write
        except (records.TooLarge, ValueError):
            raise  # nothing was written
        except errors.StreamError as error:
            self.die(error)
            raise
        except BaseException:
            self.die(errors.Fenced(f"a commit of {self.topic}-{self.partition} was cut off, its outcome is unknown"))
            raise

    async def _until_open(self) -> None:
        while self._state is State.PARKED:
            await self._changed.wait()
        if self._state is State.DEAD:
            raise errors.Fenced(f"the lease of {self.topic}-{self.partition} has ended: {self._death}") from self._death
