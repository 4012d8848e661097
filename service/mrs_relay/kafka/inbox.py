"""
One partition's inbox: records from Kafka and notices from other tasks, taken in batches by its one handler.

The runtime delivers records, any task of the event loop puts notices, the handler takes both. The inbox never blocks a
sender: `accepts_records` says whether it has room, and the runtime does not poll the partition while it has none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mrs_relay.kafka import records

T = TypeVar("T")

_TICK_S = 0.000_1  # timers may fire this much early by the loop's clock
_ASK_AGAIN_S = 0.01  # for records that may not be taken yet
_UNBOUNDED = 1 << 62


class Closed(Exception):  # noqa: N818 - a state of the inbox, not a failure
    """The inbox is closed and empty: no more records will come."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """
    The records and notices of one `take`.

    Attributes:
        records: in the order of their offsets; may be empty.
        notices: in the order in which they were put; may be empty.
    """

    records: Sequence[records.Record]
    notices: Sequence[T]


class Inbox(Generic[T]):
    """
    Queues records and notices for one handler, from any number of senders in the same event loop.

    Args:
        capacity: waiting records at which the inbox is full; it has room again at half of that.
        capacity_bytes: the same for the bytes of their values.
        next_offset: offset of the first record that the handler has not seen; lower ones are ignored.
        on_room: called when a full inbox has room again; it must not block.
    """

    def __init__(
        self,
        *,
        capacity: int,
        next_offset: int,
        capacity_bytes: int = _UNBOUNDED,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self._capacity = max(1, capacity)
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self._on_room = on_room
        self._records: deque[records.Record] = deque()
        self._notices: deque[T] = deque()
        self._taken_to = next_offset
        self._accepted_to = next_offset
        self._full = False
        self._are_held = False
        self._closed = False
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()

    @property
    def next_offset(self) -> int:
        """Offset of the first record that the handler has not taken."""
        return self._taken_to

    @property
    def expected_offset(self) -> int:
        """Offset of the first record that has not been delivered."""
        return self._accepted_to

    @property
    def advanced_to(self) -> int:
        """Offset below which the handler has taken every readable record."""
        return self._taken_to if self._records else self._accepted_to

    @property
    def full(self) -> bool:
        """Whether so many records wait that no more should be delivered for now."""
        return self._full

    @property
    def accepts_records(self) -> bool:
        """Whether the inbox accepts records: neither full nor closed."""
        return not (self._full or self._closed)

    @property
    def waiting(self) -> int:
        """Number of records and notices that wait."""
        return len(self._records) + len(self._notices)

    def hold_records(self) -> None:
        """Keep all records waiting until `release_records`; notices can be taken."""
        self._are_held = True

    def release_records(self) -> None:
        """Let records be taken again."""
        self._are_held = False
        self._wake()

    def waiting_records(self, offset: int) -> Sequence[records.Record]:
        """Return the records that wait, from an offset on; they stay."""
        return [record for record in self._records if record.offset >= offset]

    def put(self, notice: T) -> None:
        """Add a notice; never blocks, never refuses. Also possible after `close`, while the handler still takes."""
        self._notices.append(notice)
        self._wake()

    def deliver(self, arrived: Sequence[records.Record]) -> None:
        """
        Add records in the order of their offsets; for the runtime.

        Records below the next expected offset are ignored: after a rebalance some are read twice.
        """
        if self._closed:
            return
        for record in arrived:
            if record.offset >= self._accepted_to:
                self._records.append(record)
                self._bytes += len(record.value or b"")
                self._accepted_to = record.offset + 1

        self._full = self._full or len(self._records) >= self._capacity or self._bytes >= self._capacity_bytes
        self._wake()

    def advance_to(self, offset: int) -> None:
        """Note that no record below an offset is left to deliver; for the runtime."""
        if not self._closed:
            self._accepted_to = max(self._accepted_to, offset)

    def skip(self) -> None:
        """Count markers and aborted records behind the last record as taken by the handler; for the runtime."""
        self._taken_to = self.advanced_to

    def drop_records(self) -> None:
        """Drop records that wait: they are read again from `next_offset`. For the runtime at a rebalance."""
        self._records.clear()
        self._bytes = 0
        self._accepted_to = self._taken_to
        self._make_room()

    def close(self) -> None:
        """Stop taking records in: those that wait are dropped for the next owner to read, notices can be taken."""
        if not self._closed:
            self._closed = True
            self.drop_records()
            self._wake()

    def end(self) -> None:
        """Note that the handler has ended, so that `idle` returns; for the runtime."""
        self.close()
        self._ended = True
        self._idle.set()

    async def take(
        self, limit: int, not_before_s: float = 0.0, most_records: Callable[[], int] = lambda: _UNBOUNDED
    ) -> Batch[T]:
        """
        Wait for records or notices, and take them.

        Returns as soon as anything waits, but not before `not_before_s` unless `limit` items wait or the inbox is
        closed. Passing "last commit + commit interval" therefore commits at once when idle and in groups under load.
        Notices go before records.

        Args:
            limit: most records and notices together, at least 1.
            not_before_s: earliest time of return, on the clock of the event loop, in seconds.
            most_records: returns how many records may be taken now; while it is 0 they wait, and notices do not.

        Raises:
            Closed: the inbox was closed and is empty; notices put later can still be taken by another call.
        """
        loop = asyncio.get_running_loop()
        while not self._ready(limit, not_before_s, now_s := loop.time(), most_records):
            if self._closed:
                raise Closed
            self._waiter = loop.create_future()

            # Items wait, but it is too early: a timer ends the wait. Without items the handler is idle.
            timer = None
            if self._notices or (self._records and not self._are_held):
                timer = loop.call_at(not_before_s if not_before_s > now_s else now_s + _ASK_AGAIN_S, self._wake)
            else:
                self._idle.set()
            try:
                await self._waiter
            finally:
                self._waiter = None
                self._idle.clear()
                if timer is not None:
                    timer.cancel()
        return self._collect(limit, most_records())

    async def idle(self) -> None:
        """Return once the handler waits in `take` for more: it is done with all that it took before."""
        await self._idle.wait()

    def _ready(self, limit: int, not_before_s: float, now_s: float, most_records: Callable[[], int]) -> bool:
        waiting = len(self._notices)
        if self._records and not self._are_held:
            waiting += min(len(self._records), most_records())
        return waiting > 0 and (self._closed or waiting >= limit or now_s + _TICK_S >= not_before_s)

    def _collect(self, limit: int, most_records: int) -> Batch[T]:
        notices = [self._notices.popleft() for _ in range(min(limit, len(self._notices)))]
        count = 0 if self._are_held else min(limit - len(notices), len(self._records), most_records)
        taken = [self._records.popleft() for _ in range(count)]
        if taken:
            self._bytes -= sum(len(record.value or b"") for record in taken)
            self._taken_to = taken[-1].offset + 1
            self._make_room()
        return Batch(taken, notices)

    def _make_room(self) -> None:
        if self._full and 2 * len(self._records) <= self._capacity and 2 * self._bytes <= self._capacity_bytes:
            self._full = False
            self._on_room()

    def _wake(self) -> None:
        if not self._ended:
            self._idle.clear()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
