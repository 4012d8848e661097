"""
One partition's inbox: records from Kafka and notices from everybody else, taken in batches by its one handler.

The runtime delivers records, anyone in the event loop puts notices, the handler takes. The inbox never blocks a giver;
instead it says whether it `wants` more records, and the runtime leaves the partition alone until it does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mrs_relay.kafka import records

T = TypeVar("T")

_TICK_S = 0.000_1  # timers may fire this much early, as far as the clock's readings tell


class Closed(Exception):  # noqa: N818 - a state of the inbox, not a failure
    """No more records will come and everything that waited has been taken."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """
    What the handler gets from one `take`.

    Attributes:
        records: in the order of their offsets; may be empty.
        notices: in the order in which they were put; may be empty.
    """

    records: Sequence[records.Record]
    notices: Sequence[T]


class Inbox(Generic[T]):
    """
    The inbox; one taker, any number of givers, all in one event loop.

    Args:
        capacity: records that may wait before the inbox accepts no more; it accepts again at half of it.
        capacity_bytes: the same for the bytes of their values.
        next_offset: offset of the first record that the handler has not seen; lower ones are ignored.
        on_room: called when a full inbox accepts records again; it must not block.
    """

    def __init__(
        self,
        *,
        capacity: int,
        next_offset: int,
        capacity_bytes: int = 1 << 62,
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
        self._closed = False
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()

    @property
    def next_offset(self) -> int:
        """Offset of the first record that has not been handed to the handler."""
        return self._taken_to

    @property
    def expected_offset(self) -> int:
        """Offset of the first record that has not been delivered."""
        return self._accepted_to

    @property
    def advanced_to(self) -> int:
        """Offset below which no readable record is left that has not been handed to the handler."""
        return self._taken_to if self._records else self._accepted_to

    @property
    def full(self) -> bool:
        """So many records wait that no more should be delivered for now."""
        return self._full

    @property
    def accepts_records(self) -> bool:
        """More records are welcome: neither full nor closed."""
        return not (self._full or self._closed)

    @property
    def waiting(self) -> int:
        """Number of records and notices that wait."""
        return len(self._records) + len(self._notices)

    def put(self, notice: T) -> None:
        """Add a notice; never blocks, never refuses. Also possible after `close`, as long as the handler takes."""
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
        """Note that below an offset there is nothing to deliver any more; for the runtime."""
        if not self._closed:
            self._accepted_to = max(self._accepted_to, offset)

    def skip(self) -> None:
        """Count what is no record, at the end of what was delivered, as handed to the handler; for the runtime."""
        self._taken_to = self.advanced_to

    def drop_records(self) -> None:
        """Forget records that wait: they will be read again from `next_offset`. For the runtime at a rebalance."""
        self._records.clear()
        self._bytes = 0
        self._accepted_to = self._taken_to
        self._make_room()

    def close(self) -> None:
        """End the intake: waiting records are dropped (the partition's next owner reads them), notices can be taken."""
        if not self._closed:
            self._closed = True
            self.drop_records()
            self._wake()

    def end(self) -> None:
        """Note that the handler is gone: whoever waits for it to be idle need not. For the runtime."""
        self.close()
        self._ended = True
        self._idle.set()

    async def take(self, limit: int, not_before_s: float = 0.0) -> Batch[T]:
        """
        Wait for something to do.

        Returns as soon as anything waits, but not before `not_before_s` unless `limit` items wait or the inbox is
        closed. Passing "last commit + commit interval" therefore commits at once when idle and in groups under load.
        Notices go before records.

        Args:
            limit: most records and notices together, at least 1.
            not_before_s: earliest time of return, on the clock of the event loop, in seconds.

        Raises:
            Closed: the inbox was closed and is empty; notices put later can still be taken by another call.
        """
        loop = asyncio.get_running_loop()
        while not self._ready(limit, not_before_s, loop.time()):
            if self._closed:
                raise Closed
            self._waiter = loop.create_future()
            timer = None
            if self.waiting:
                timer = loop.call_at(not_before_s, self._wake)
            else:
                self._idle.set()
            try:
                await self._waiter
            finally:
                self._waiter = None
                self._idle.clear()
                if timer is not None:
                    timer.cancel()
        return self._collect(limit)

    async def idle(self) -> None:
        """Return once the handler has come back for more and finds nothing: all it took before is dealt with."""
        await self._idle.wait()

    def _ready(self, limit: int, not_before_s: float, now_s: float) -> bool:
        waiting = self.waiting
        return waiting > 0 and (self._closed or waiting >= limit or now_s + _TICK_S >= not_before_s)

    def _collect(self, limit: int) -> Batch[T]:
        notices = [self._notices.popleft() for _ in range(min(limit, len(self._notices)))]
        taken = [self._records.popleft() for _ in range(min(limit - len(notices), len(self._records)))]
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
