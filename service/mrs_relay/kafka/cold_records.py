"""
Keep records of a ledger on Kafka alone, and read single ones back: memory has an index of their offsets.

A value is cold if nothing happens to its key by itself for a long time. `ColdRule` tells which values are; this module
does not know what they mean. The index has the newest cold record of each key, so Kafka's compaction keeps that record.
An older record, or one of another key with the same fingerprint, may be indexed beside it, and may have been compacted
away: the records that are read decide, the newest of each key counts. So no answer depends on a fingerprint.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, tasks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import cold_index, log_reading, records

_NEAR: Final = 256
"""Offsets between two wanted records up to which reading on is cheaper than another fetch."""

_PAUSES: Final = backoff.Backoff(first_s=0.5, most_s=5.0)
_TRIES_BY_TIMEOUT: Final = 3
"""A connection that gives nothing for this part of the longest wait is replaced by another one."""

_AGAIN_MS: Final = 600_000
"""Keys that were due and are still there are due again after this time."""

log = structlog.get_logger(__name__)

Written = tuple[bytes, bytes | None, int]
"""Key, value and offset of a committed record."""


@dataclass(frozen=True, slots=True)
class ColdRule:
    """
    Which values of a ledger are cold.

    Attributes:
        due_ms: returns for each value when its key is due, epoch milliseconds; None: the value is not cold, or it is
            None, a tombstone.
        unit_ms: accuracy of these times, milliseconds.
        fingerprint: returns the fingerprint of a key, see `cold_index`.
    """

    due_ms: Callable[[Sequence[bytes | None]], Sequence[int | None]]
    unit_ms: int
    fingerprint: Callable[[bytes], int] = hash


class ColdRecords:
    """
    The cold records of one ledger partition; for one lease.

    Args:
        whose: the input partition, for people.
        place: the ledger partition.
        broker: keeps it.
        rule: tells which values are cold.
        timeout_s: longest wait without a record that was asked for, over all tries, in seconds.

    Attributes:
        older_part: part of the ledger that has been indexed while this is not complete, from 0 to 1; for people.
    """

    def __init__(
        self,
        whose: records.Position,
        place: records.Position,
        broker: brokers.Broker,
        rule: ColdRule,
        timeout_s: float,
    ) -> None:
        self._whose = whose
        self._place = place
        self._broker = broker
        self._rule = rule
        self._timeout_s = timeout_s
        self._index = cold_index.ColdIndex(rule.unit_ms)
        self._fingerprint = rule.fingerprint
        self._last_changes: Sequence[records.Change] = ()
        self._last_blocks: Sequence[records.Block] = ()
        self._last_offsets: dict[bytes, int] | None = None
        self._known: set[bytes] | None = None
        self._completed = asyncio.Event()
        self._completed.set()
        self.older_part = 0.0

    def __len__(self) -> int:
        """Return the number of indexed records."""
        return len(self._index)

    def __contains__(self, key: bytes) -> bool:
        """Whether the key may have a cold record."""
        return self._fingerprint(key) in self._index

    # What the tail of the ledger does not have

    def expect_older(self) -> None:
        """Begin with the tail of the ledger alone; records before it follow by `add_older`, up to `complete`."""
        self._known = set()
        self._completed.clear()

    @property
    def is_complete(self) -> bool:
        """Whether every cold record is indexed: only then a key without an entry has none."""
        return self._known is None

    async def completed(self, most_s: float) -> None:
        """Wait until every cold record is indexed, for `most_s` seconds at most."""
        await tasks.sleep_until(self._completed, most_s)

    def add_older(self, newest: Mapping[bytes, records.Stored]) -> list[bytes]:
        """
        Index records before the tail, unless the tail has others of their keys; for one part after the other, in order.

        Args:
            newest: the newest record of each key in this part.

        Returns:
            Keys of values that memory must hold.
        """
        known = self._known
        if known and not known.isdisjoint(newest):
            newest = {key: record for key, record in newest.items() if key not in known}
        due_ms = self._rule.due_ms([record.value for record in newest.values()])
        live: list[bytes] = []
        if None in due_ms:
            for (key, record), moment_ms in zip(newest.items(), due_ms, strict=True):
                if moment_ms is None:
                    self._replaced(key, record.offset)
                    if record.value is not None:
                        live.append(key)
            is_cold = [moment_ms is not None for moment_ms in due_ms]
            newest = dict(itertools.compress(newest.items(), is_cold))

        offsets = [record.offset for record in newest.values()]
        cold_ms = [moment_ms for moment_ms in due_ms if moment_ms is not None]
        self._index.put_all(list(map(self._fingerprint, newest)), offsets, cold_ms)
        if self.older_part:
            self._index.expect(int(len(self._index) / self.older_part))
        return live

    def is_newer(self, key: bytes, end: int) -> bool:
        """Return whether the key has a record behind an offset, or has had one."""
        if self._known is not None and key in self._known:
            return True
        return any(entry.offset >= end for entry in self._index.entries(self._fingerprint(key)))

    def complete(self) -> None:
        """Note that every cold record is indexed."""
        self._known = None
        self._completed.set()

    def _note_known(self, key: bytes) -> None:
        """Note a key whose records before the tail do not count, since a later one is not cold."""
        if self._known is not None:
            self._known.add(key)

    # What is written

    def replayed(self, read: Sequence[Written]) -> list[bool]:
        """Index the records of a commit that a restore has read, if they are cold; returns for each whether it is."""
        due_ms = self._rule.due_ms([value for _, value, _ in read])
        cold: list[tuple[int, int, int]] = []
        for (key, _, offset), moment_ms in zip(read, due_ms, strict=True):
            if moment_ms is not None:
                cold.append((self._fingerprint(key), offset, moment_ms))
            else:
                self._put_all(cold)
                self._note_known(key)
                self._replaced(key, offset)
        self._put_all(cold)
        return [moment_ms is not None for moment_ms in due_ms]

    def _put_all(self, cold: list[tuple[int, int, int]]) -> None:
        """Index records of which fingerprint, offset and time are given; empties the list."""
        if cold:
            self._index.put_all(*zip(*cold, strict=True))
            cold.clear()

    def stored(self, changes: Sequence[records.Change], blocks: Sequence[records.Block]) -> None:
        """Note where the changes of a commit are stored; for the ledger. The first records of the blocks are these."""
        self._last_changes, self._last_blocks, self._last_offsets = changes, blocks, None

    def offset_of(self, key: bytes) -> int:
        """Return the offset of a key's change in the last commit."""
        if self._last_offsets is None:
            offsets = (block.first_offset + number for block in self._last_blocks for number in range(block.count))
            self._last_offsets = {change.key: at for change, at in zip(self._last_changes, offsets, strict=False)}
        return self._last_offsets[key]

    def put(self, key: bytes, offset: int, due_ms: int) -> None:
        """Index the newest record of a key that memory holds no longer; it is due at `due_ms`, epoch milliseconds."""
        self._index.put(self._fingerprint(key), offset, due_ms)

    def deleted(self, key: bytes) -> None:
        """Note that the last commit has deleted a key, of which older records may be indexed."""
        if key in self:
            self._replaced(key, self.offset_of(key))

    def _replaced(self, key: bytes, offset: int) -> None:
        fingerprint = self._fingerprint(key)
        if len(self._index) and fingerprint in self._index:
            self._index.put_replacement(fingerprint, offset)

    # What is read back

    async def take(self, keys: Collection[bytes]) -> dict[bytes, records.Stored]:
        """
        Read the cold records of keys; they leave the index, so the caller keeps them. Keys without one are missing.

        Raises:
            StreamDown: Kafka does not answer, or a record is gone: restore from the ledger.
        """
        read = await self._read(entry.offset for key in keys for entry in self._index.entries(self._fingerprint(key)))
        found: dict[bytes, records.Stored] = {}
        for key in keys:
            fingerprint = self._fingerprint(key)
            record = self._newest(fingerprint, read).get(key)
            if record is not None:
                self._index.drop(fingerprint, cold_index.Entry(record.offset, is_replacement=False))
                self._note_known(key)
                found[key] = record
        return found

    @property
    def next_due_ms(self) -> int | None:
        """When the next keys are due, epoch milliseconds; None without any."""
        return self._index.next_due_ms

    async def due(self, now_ms: int, most: int) -> list[bytes]:
        """
        Return keys that are due; they stay in the index, and are due again later.

        Args:
            now_ms: the present, epoch milliseconds.
            most: most fingerprints to look at.

        Raises:
            StreamDown: Kafka does not answer; they are due again later.
        """
        fingerprints = self._index.take_due(now_ms, most)
        again_ms = now_ms + _AGAIN_MS
        keys: list[bytes] = []

        try:
            read = await self._read(entry.offset for one in fingerprints for entry in self._index.entries(one))
            for fingerprint in fingerprints:
                for key, record in self._newest(fingerprint, read).items():
                    (due_ms,) = self._rule.due_ms([record.value])
                    if due_ms is not None and due_ms > now_ms:
                        self._index.note_due(fingerprint, due_ms)
                    else:
                        keys.append(key)
                        self._index.note_due(fingerprint, again_ms)
        except errors.StreamDown:
            for fingerprint in fingerprints:
                self._index.note_due(fingerprint, again_ms)
            raise

        return keys

    def _newest(self, fingerprint: int, read: Mapping[int, records.Stored | None]) -> dict[bytes, records.Stored]:
        """
        Return the newest record of each key with a fingerprint, if it is cold; drops entries of older records.

        A record that is gone was replaced by a newer one of its key: compaction removes no others.

        Raises:
            StreamDown: the newest record is gone, or a record has a key with another fingerprint.
        """
        newest: dict[bytes, records.Stored] = {}
        known: set[bytes | None] = set()
        for number, entry in enumerate(self._index.entries(fingerprint)):
            if entry.offset not in read:
                continue  # it came while the others were being read

            record = read[entry.offset]
            if record is None and number == 0 and not entry.is_replacement:
                raise errors.StreamDown(
                    f"the ledger of {self._whose} has lost its record at offset {entry.offset}: it is read again"
                )
            if record is not None and (record.key is None or self._fingerprint(record.key) != fingerprint):
                raise errors.StreamDown(
                    f"the ledger of {self._whose} has a record of another key at offset {entry.offset}: read again"
                )
            if record is None or entry.is_replacement or record.key in known:
                self._index.drop(fingerprint, entry)
            elif record.key is not None:
                newest[record.key] = record
            if record is not None:
                known.add(record.key)
        return newest

    async def _read(self, offsets: Iterable[int]) -> dict[int, records.Stored | None]:
        """
        Read the records at some offsets; None for each that is gone.

        An outage that a commit survives ends no lease here either: the read is tried again while its time lasts.
        """
        wanted = deque(sorted(set(offsets)))
        found: dict[int, records.Stored | None] = dict.fromkeys(wanted)
        failures = 0

        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                while wanted:
                    try:
                        await self._read_on(wanted, found, limit)
                    except errors.StreamDown as error:
                        failures += 1
                        log.info("cold_read_failed", position=str(self._whose), records=len(wanted), error=str(error))
                        await asyncio.sleep(_PAUSES.delay_s(failures))
        except TimeoutError as error:
            raise errors.StreamDown(
                f"{len(wanted)} records of the ledger of {self._whose} could not be read for {self._timeout_s:g} s"
            ) from error

        return found

    async def _read_on(
        self, wanted: deque[int], found: dict[int, records.Stored | None], limit: asyncio.Timeout
    ) -> None:
        """Read with one connection; moves offsets from `wanted` to `found`, and the limit of time on with them."""
        loop = asyncio.get_running_loop()
        async with self._broker.reader(self._place, wanted[0], few=True) as reader:
            at = wanted[0]
            while wanted:
                if wanted[0] - at > _NEAR:
                    at = wanted[0]
                    reader.seek(at)

                # NB: behind each of these records there is another one, the end of its commit.
                patience_s = self._timeout_s / _TRIES_BY_TIMEOUT
                for record in await log_reading.next_records(reader, self._whose, patience_s):
                    at = record.offset + 1
                    while wanted and wanted[0] < record.offset:
                        wanted.popleft()
                    if wanted and wanted[0] == record.offset:
                        found[wanted.popleft()] = record
                limit.reschedule(loop.time() + self._timeout_s)
