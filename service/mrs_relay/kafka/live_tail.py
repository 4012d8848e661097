"""
Keep all values that memory holds near the end of the ledger, so that a new owner finds them without reading the rest.

Every commit notes an offset: all records below it belong to keys that are remembered or deleted, or have been written
again since. A key that nothing happens to is written again before the noted offset moves past its last record:

    noted ............ marked ............ end
          the tail: at most some times as many records as there are values in memory

When half of the tail has passed, the end is marked, with the keys that memory holds at that moment. When the whole has
passed, those of them that were not written since the mark are written again, and then the mark is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import cold_records, ledger_format, log_reading

FEW: Final = 10_000
"""A ledger with fewer offsets is read at once."""

LEAST: Final = 32_768
BY_KEY: Final = 8
"""Offsets in the tail: at least so many, and so many for each key in memory."""

AGE_S: Final = 120.0
"""
Age of a mark before it is noted, in seconds: values that count for a minute after their end are in the tail, also by
another replica's clock.
"""

LOOK_BACK: Final = 1000
"""Offsets at the end of a ledger that are searched for a commit: claims without one may follow it."""


class LiveTail:
    """
    The tail of one ledger partition, for one lease.

    Args:
        end: returns the offset behind the last commit.

    Attributes:
        noted: the noted offset; 0: none is known, the whole ledger must be read.
    """

    def __init__(self, end: Callable[[], int]) -> None:
        self.noted = 0
        self._end = end
        self._marked = 0
        self._marked_s = 0.0
        self._behind: set[bytes] | None = None
        self._stuck: set[bytes] = set()
        self._is_long = False

    def plan(self, held: Collection[bytes], changed: Iterable[bytes], now_s: float) -> None:
        """
        Move on with the next commit; to be called before it, when all earlier ones have been applied.

        Args:
            held: the keys in memory.
            changed: the keys that the commit writes.
            now_s: a monotonic clock, in seconds.
        """
        end, length = self._end(), max(LEAST, BY_KEY * len(held))
        if self._behind is None:
            if end - self.noted >= length // 2:
                self._marked, self._marked_s, self._behind = end, now_s, set(held)
        elif not self._behind and not self._stuck and now_s - self._marked_s >= AGE_S:
            self.noted, self._behind = self._marked, None
        if self._behind:
            self._behind.difference_update(changed)
        if self._stuck:
            self._stuck.difference_update(changed)
            self._stuck.intersection_update(held)
        self._is_long = end - self.noted >= length

    def next_behind(self) -> bytes | None:
        """Return a key that should be written again with this commit, unless memory holds it no longer; None: none."""
        return self._behind.pop() if self._behind and self._is_long else None

    def leave(self, key: bytes) -> None:
        """Note that a key from `next_behind` is not written with this commit."""
        if self._behind is not None:
            self._behind.add(key)

    def keep_in_place(self, key: bytes) -> bool:
        """
        Note that a key from `next_behind` cannot be written again: the tail begins before its record.

        Returns whether it is the only such key so far.
        """
        self._stuck.add(key)
        return len(self._stuck) == 1


async def go_to(tail: LiveTail | None, cold: cold_records.ColdRecords | None, reader: brokers.LogReader) -> int:
    """Go to where the values in memory begin, if that is noted; returns that offset, or 0 at the beginning."""
    if tail is None or cold is None:
        return 0
    tail.noted = await find(reader)
    if tail.noted:
        cold.expect_older()
    reader.seek(tail.noted or reader.beginning)
    return tail.noted


async def find(reader: brokers.LogReader) -> int:
    """
    Return the noted offset of a ledger, from its newest commit that has one; 0: the whole ledger must be read.

    The reader continues anywhere after this.
    """
    if reader.end - reader.beginning < FEW:
        return 0
    reader.seek(max(reader.beginning, reader.end - LOOK_BACK))
    found = empty_reads = 0
    while not reader.caught_up and empty_reads < (1 if found else log_reading.EMPTY_READS):
        read = await reader.read_stored(log_reading.READ_S)
        empty_reads = 0 if read else empty_reads + 1
        for record in read:
            if record.key == ledger_format.OFFSETS and (noted := ledger_format.live_from(record)):
                found = noted if noted <= record.offset else 0
    return found if found > reader.beginning else 0
