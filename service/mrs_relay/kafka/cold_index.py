"""
Find the ledger offsets of keys whose values memory does not hold: fingerprints and offsets in many small arrays. Pure.

A fingerprint is a signed number of 64 bits: Python's own keyed hash of the key, another one in each process. Keys may
share a fingerprint: it has an entry for each of their offsets then, and `cold_records` decides by the records
themselves. A key takes about 26 bytes: fingerprint and offset, and the fingerprint once more among those that are due
together.

The lowest bits of a fingerprint say which bucket it is in. A bucket is not sorted: to add an entry is to append it, and
to find one is to search two kilobytes. Buckets are divided one at a time while the index grows, and joined while
it shrinks (linear hashing), so no entry waits until all others have been moved.
"""

from __future__ import annotations

import itertools
import struct
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

_MOST: Final = 256
"""With more entries for each bucket one of them is divided."""

_FEW: Final = _MOST // 4
"""With fewer entries for each bucket two of them are joined."""

_MOST_EXPECTED: Final = 16
"""A guess of how many entries will come is believed up to so many times the entries that are there."""

_BYTES: Final = 8
"""Bytes of a fingerprint."""

_fingerprint: Final = struct.Struct("=q")


class Entry(NamedTuple):
    """
    One record of a key with a fingerprint.

    Attributes:
        offset: of the record.
        is_replacement: the record replaces older ones of its key, and its own value is not cold.
    """

    offset: int
    is_replacement: bool


class ColdIndex:
    """
    A multimap from fingerprints to offsets, and the times at which they are due.

    Args:
        unit_ms: accuracy of these times, milliseconds.
    """

    def __init__(self, unit_ms: int) -> None:
        self._unit_ms = unit_ms
        self._fingerprints = [array("q")]
        self._offsets = [array("q")]
        self._bits = 0
        """All lowest bits of a fingerprint that may say its bucket; where there is no such bucket yet, one bit less."""
        self._due: dict[int, array[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return the number of entries."""
        return self._count

    def __contains__(self, fingerprint: int) -> bool:
        """Whether there is an entry with this fingerprint."""
        return _next(self._fingerprints[self._bucket(fingerprint)], fingerprint, 0) >= 0

    def entries(self, fingerprint: int) -> list[Entry]:
        """Return all entries with this fingerprint, the newest first."""
        bucket = self._bucket(fingerprint)
        within, offsets = self._fingerprints[bucket], self._offsets[bucket]
        found = []
        at = _next(within, fingerprint, 0)
        while at >= 0:
            stored = offsets[at]
            found.append(Entry(stored, False) if stored >= 0 else Entry(~stored, True))
            at = _next(within, fingerprint, at + 1)
        found.sort(reverse=True)
        return found

    def put(self, fingerprint: int, offset: int, due_ms: int) -> None:
        """Add the newest record of a key whose value is cold; epoch milliseconds."""
        self._insert(fingerprint, offset)
        self.note_due(fingerprint, due_ms)

    def put_all(self, fingerprints: Sequence[int], offsets: Sequence[int], due_ms: Sequence[int]) -> None:
        """Add many such records, each in a fraction of the time that `put` takes."""
        within, stored = self._fingerprints, self._offsets
        bits, buckets = self._bits, len(within)
        for fingerprint, offset in zip(fingerprints, offsets, strict=True):
            bucket = fingerprint & bits
            if bucket >= buckets:
                bucket &= bits >> 1
            within[bucket].append(fingerprint)
            stored[bucket].append(offset)
        self._count += len(fingerprints)
        self.expect(self._count)

        due: array[int] = array("q")
        after_ms = until_ms = 0
        for fingerprint, moment_ms in zip(fingerprints, due_ms, strict=True):
            if not after_ms < moment_ms <= until_ms:  # neighbours in the ledger are mostly due together
                due = self._due_at(moment_ms)
                until_ms = -(-moment_ms // self._unit_ms) * self._unit_ms
                after_ms = until_ms - self._unit_ms
            due.append(fingerprint)

    def expect(self, count: int) -> None:
        """Divide buckets for so many entries while they are nearly empty, which takes less time."""
        count = min(count, _MOST_EXPECTED * self._count)
        while count > _MOST * len(self._fingerprints):
            self._divide()

    def put_replacement(self, fingerprint: int, offset: int) -> None:
        """Add the newest record of a key whose value is not cold; only where an older record may be indexed."""
        self._insert(fingerprint, ~offset)

    def drop(self, fingerprint: int, entry: Entry) -> None:
        """Remove an entry; does nothing if it is not there."""
        bucket = self._bucket(fingerprint)
        within, offsets = self._fingerprints[bucket], self._offsets[bucket]
        stored = ~entry.offset if entry.is_replacement else entry.offset

        at = _next(within, fingerprint, 0)
        while at >= 0 and offsets[at] != stored:
            at = _next(within, fingerprint, at + 1)
        if at < 0:
            return
        within[at], offsets[at] = within[-1], offsets[-1]
        within.pop()
        offsets.pop()
        self._count -= 1
        if self._count < _FEW * len(self._fingerprints) and len(self._fingerprints) > 1:
            self._join()

    # Times

    def note_due(self, fingerprint: int, due_ms: int) -> None:
        """Note when the entries with a fingerprint are due, epoch milliseconds; earlier notes stay."""
        self._due_at(due_ms).append(fingerprint)

    @property
    def next_due_ms(self) -> int | None:
        """When the next entries are due, epoch milliseconds; None without any."""
        return min(self._due) * self._unit_ms if self._due else None

    def take_due(self, now_ms: int, most: int) -> list[int]:
        """Return fingerprints that are due and have entries, each once, `most` at most; forgets that they are due."""
        taken: dict[int, None] = {}
        for unit in sorted(unit for unit in self._due if unit * self._unit_ms <= now_ms):
            due = self._due.pop(unit)
            while due and len(taken) < most:
                fingerprint = due.pop()
                if fingerprint in self:
                    taken[fingerprint] = None
            if due:
                self._due[unit] = due
                break
        return list(taken)

    def _due_at(self, due_ms: int) -> array[int]:
        unit = -(-due_ms // self._unit_ms)
        due = self._due.get(unit)
        if due is None:
            due = self._due[unit] = array("q")
        return due

    # Buckets

    def _bucket(self, fingerprint: int) -> int:
        bucket = fingerprint & self._bits
        return bucket if bucket < len(self._fingerprints) else bucket & (self._bits >> 1)

    def _insert(self, fingerprint: int, stored: int) -> None:
        bucket = self._bucket(fingerprint)
        self._fingerprints[bucket].append(fingerprint)
        self._offsets[bucket].append(stored)
        self._count += 1
        if self._count > _MOST * len(self._fingerprints):
            self._divide()

    def _divide(self) -> None:
        """Divide the next bucket in turn by one more bit; its second half becomes the last bucket."""
        last = len(self._fingerprints)
        if last > self._bits:
            self._bits = 2 * self._bits + 1
        bit = (self._bits + 1) >> 1
        bucket = last - bit
        within, offsets = self._fingerprints[bucket], self._offsets[bucket]
        moves = [fingerprint & bit for fingerprint in within]
        stays = [not one for one in moves]
        self._fingerprints.append(array("q", itertools.compress(within, moves)))
        self._offsets.append(array("q", itertools.compress(offsets, moves)))
        self._fingerprints[bucket] = array("q", itertools.compress(within, stays))
        self._offsets[bucket] = array("q", itertools.compress(offsets, stays))

    def _join(self) -> None:
        """
        Join the last bucket with the one that it was divided from.

        NB: arrays do not give memory back when single entries are removed; the joined one is new.
        """
        within, offsets = self._fingerprints.pop(), self._offsets.pop()
        bit = (self._bits + 1) >> 1
        bucket = len(self._fingerprints) - bit
        self._fingerprints[bucket] = self._fingerprints[bucket] + within
        self._offsets[bucket] = self._offsets[bucket] + offsets
        if len(self._fingerprints) == bit:
            self._bits >>= 1


def _next(within: array[int], fingerprint: int, first: int) -> int:
    """Return the first place of a fingerprint from the place `first` on; -1: there is none."""
    content, wanted = within.tobytes(), _fingerprint.pack(fingerprint)
    at = content.find(wanted, first * _BYTES)
    while at >= 0 and at % _BYTES:  # the same bytes, in parts of two others
        at = content.find(wanted, at + 1)
    return at // _BYTES if at >= 0 else -1
