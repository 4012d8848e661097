"""
Find the ledger offsets of keys whose values memory does not hold: fingerprints and offsets in sorted arrays. Pure.

A fingerprint is a signed number of 64 bits: Python's own keyed hash of the key, another one in each process. Keys may
share a fingerprint: it has an entry for each of their offsets then, and `cold_records` decides by the records
themselves. A key takes about 25 bytes: fingerprint and offset, and the fingerprint once more among those that are due
together.

The arrays have some hundred entries each, so that no insertion moves more than some kilobytes.
"""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

_MOST: Final = 1024
"""An array with more entries is divided into two."""

_FEW: Final = _MOST // 4
"""An array with fewer entries is joined with its neighbour."""

_LOWEST: Final = -(1 << 63)
"""The lowest fingerprint."""


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
    A sorted multimap from fingerprints to offsets, and the times at which they are due.

    Args:
        unit_ms: accuracy of these times, milliseconds.
    """

    def __init__(self, unit_ms: int) -> None:
        self._unit_ms = unit_ms
        self._lowest = [_LOWEST]
        self._fingerprints = [array("q")]
        self._offsets = [array("q")]
        self._due: dict[int, array[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return the number of entries."""
        return self._count

    def __contains__(self, fingerprint: int) -> bool:
        """Whether there is an entry with this fingerprint."""
        within = self._fingerprints[bisect.bisect_right(self._lowest, fingerprint) - 1]
        at = bisect.bisect_left(within, fingerprint)
        return at < len(within) and within[at] == fingerprint

    def entries(self, fingerprint: int) -> list[Entry]:
        """Return all entries with this fingerprint, the newest first."""
        part = bisect.bisect_right(self._lowest, fingerprint) - 1
        within = self._fingerprints[part]
        found = self._offsets[part][bisect.bisect_left(within, fingerprint) : bisect.bisect_right(within, fingerprint)]
        return sorted((Entry(at, False) if at >= 0 else Entry(~at, True) for at in found), reverse=True)

    def put(self, fingerprint: int, offset: int, due_ms: int) -> None:
        """Add the newest record of a key whose value is cold; epoch milliseconds."""
        self._insert(fingerprint, offset)
        self.note_due(fingerprint, due_ms)

    def put_replacement(self, fingerprint: int, offset: int) -> None:
        """Add the newest record of a key whose value is not cold; only where an older record may be indexed."""
        self._insert(fingerprint, ~offset)

    def drop(self, fingerprint: int, entry: Entry) -> None:
        """Remove an entry; does nothing if it is not there."""
        part = bisect.bisect_right(self._lowest, fingerprint) - 1
        within, offsets = self._fingerprints[part], self._offsets[part]
        stored = ~entry.offset if entry.is_replacement else entry.offset

        at = bisect.bisect_left(within, fingerprint)
        while at < len(within) and within[at] == fingerprint:
            if offsets[at] == stored:
                del within[at], offsets[at]
                self._count -= 1
                if len(within) < _FEW and len(self._lowest) > 1:
                    self._join(max(0, part - 1))
                return
            at += 1

    # Times

    def note_due(self, fingerprint: int, due_ms: int) -> None:
        """Note when the entries with a fingerprint are due, epoch milliseconds; earlier notes stay."""
        unit = -(-due_ms // self._unit_ms)
        due = self._due.get(unit)
        if due is None:
            due = self._due[unit] = array("q")
        due.append(fingerprint)

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

    # Arrays

    def _insert(self, fingerprint: int, stored: int) -> None:
        part = bisect.bisect_right(self._lowest, fingerprint) - 1
        within = self._fingerprints[part]
        at = bisect.bisect_right(within, fingerprint)
        within.insert(at, fingerprint)
        self._offsets[part].insert(at, stored)
        self._count += 1
        if len(within) > _MOST:
            self._divide(part)

    def _divide(self, part: int) -> None:
        """Divide an array into two; equal fingerprints stay together, so an array of equal ones stays whole."""
        within, offsets = self._fingerprints[part], self._offsets[part]
        middle = within[len(within) // 2]
        at = bisect.bisect_left(within, middle) or bisect.bisect_right(within, middle)
        if at < len(within):
            self._lowest.insert(part + 1, within[at])
            self._replace(part, 1, (within[:at], within[at:]), (offsets[:at], offsets[at:]))

    def _join(self, part: int) -> None:
        """
        Join an array with the next one.

        NB: arrays do not give memory back when single entries are removed; the joined one is new.
        """
        del self._lowest[part + 1]
        within = self._fingerprints[part] + self._fingerprints[part + 1]
        offsets = self._offsets[part] + self._offsets[part + 1]
        self._replace(part, 2, (within,), (offsets,))
        if len(within) > _MOST:
            self._divide(part)

    def _replace(
        self, part: int, count: int, fingerprints: Iterable[array[int]], offsets: Iterable[array[int]]
    ) -> None:
        self._fingerprints[part : part + count] = fingerprints
        self._offsets[part : part + count] = offsets
