"""
Turn the fetched bytes of one partition into batches that the library reads without fail.

aiokafka checks, unpacks and parses batches inside `getmany`, on the event loop and without a bound. An error there
loses the records of other partitions, whose positions have moved on already. So every batch is checked, unpacked and
parsed here first, up to the first one that cannot be read.

Pure, and slow for large batches: `unpacking.py` calls it, in a thread where it may take long.

Source: Kafka's message formats v0 to v2; aiokafka 0.14, consumer/fetcher.py (`getall`), record/.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from aiokafka.record import control_record, memory_records

from mrs_relay.kafka import codecs
from mrs_relay.kafka.adapter import names

HEAD: Final = struct.Struct(">qiibIhiqqqhii")
"""Head of a batch of format v2; see `Head`."""

_OFFSET_AND_LENGTH: Final = struct.Struct(">qi")
_MAGIC_AT: Final = 16
_V2: Final = 2
_CODEC: Final = 0x07
_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20

_OLD_ATTRIBUTES_AT: Final = 17
_OLD_KEY_AT: Final = (18, 26)  # in formats v0 and v1
_OLD_LENGTH: Final = struct.Struct(">i")


class Head(NamedTuple):
    """The head of a batch of format v2, in its order."""

    first: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_delta: int
    first_timestamp: int
    most_timestamp: int
    producer_id: int
    producer_epoch: int
    sequence: int
    records: int


@dataclass(frozen=True, slots=True)
class Bad:
    """
    A batch that cannot be read.

    Attributes:
        first: its first offset.
        next_offset: the first offset behind it.
        reason: for people.
    """

    first: int
    next_offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Readable:
    """
    The readable batches of one partition in a fetch.

    Attributes:
        raw: whole batches, uncompressed and in order; empty if the first one is bad, or exceeds the room left.
        unpacked_bytes: bytes of it that were unpacked.
        bad: the first batch that cannot be read; it follows right behind `raw`.
    """

    raw: bytes
    unpacked_bytes: int = 0
    bad: Bad | None = None


def compressed(raw: bytes) -> bool:
    """Return whether any batch is compressed."""
    return any(_codec(batch) for batch in _split(raw))


def are_plain(raw: bytes) -> bool:
    """Return whether all whole batches are of format v2, uncompressed and undamaged: the library reads these as is."""
    found, count = memory_records.MemoryRecords(raw), 0
    try:
        while (batch := found.next_batch()) is not None:
            if batch.magic != _V2 or batch.compression_type or not batch.validate_crc():
                return False
            count += 1
    except Exception:  # noqa: BLE001 - `readable` says what is wrong
        return False
    return count > 0


def readable(
    raw: bytes, aborted: Sequence[tuple[int, int]], most_bytes: int, left_bytes: int, *, parses: bool = True
) -> Readable:
    """
    Check and unpack batches up to the first unreadable one, or until no room is left.

    Args:
        raw: the fetched bytes, perhaps with a part of one more batch at their end.
        aborted: producer id and first offset of each aborted transaction.
        most_bytes: bound of the unpacked bytes of one batch.
        left_bytes: bound of all bytes unpacked now; batches beyond it are fetched again.
        parses: whether to parse the records, which may fail although a batch is whole.
    """
    parts: list[bytes] = []
    unpacked_bytes = 0
    hidden = _Hidden(aborted)

    for batch in _split(raw):
        if batch[_MAGIC_AT] != raw[_MAGIC_AT]:
            break  # NB: the library reads all batches in the format of the first one
        room_bytes = min(most_bytes, left_bytes - unpacked_bytes)
        try:
            part = batch if hidden.hides(batch) else _unpacked(batch, room_bytes, parses=parses)
        except codecs.TooLarge as error:
            bad = _bad_batch(batch, error) if room_bytes == most_bytes else None
            return Readable(b"".join(parts), unpacked_bytes, bad)
        except Exception as error:  # noqa: BLE001 - an error of one batch must not end the reading of others
            return Readable(b"".join(parts), unpacked_bytes, _bad_batch(batch, error))

        parts.append(part)
        unpacked_bytes += len(part) if part is not batch else 0

    if raw and not parts:
        return Readable(
            b"", bad=_bad_batch(raw, codecs.Unreadable(f"its length is wrong: {len(raw)} bytes of it came"))
        )
    return Readable(b"".join(parts), unpacked_bytes)


class _Hidden:
    """Knows the batches of aborted transactions: the library skips them unread, so they need not be readable."""

    def __init__(self, aborted: Sequence[tuple[int, int]]) -> None:
        self._ahead = sorted(aborted, key=lambda one: one[1], reverse=True)
        self._producers: set[int] = set()

    def hides(self, batch: bytes) -> bool:
        """Return whether the next batch belongs to an aborted transaction."""
        if batch[_MAGIC_AT] != _V2:
            return False
        head = Head(*HEAD.unpack_from(batch))
        while self._ahead and self._ahead[-1][1] <= head.first:
            self._producers.add(self._ahead.pop()[0])
        if head.attributes & _CONTROL:
            self._producers.discard(head.producer_id)
        return bool(head.attributes & _TRANSACTIONAL) and head.producer_id in self._producers


def _split(raw: bytes) -> Iterator[bytes]:
    """Yield whole batches; after a broken length the rest comes as one."""
    at = 0
    while len(raw) - at > _MAGIC_AT:
        _, length = _OFFSET_AND_LENGTH.unpack_from(raw, at)
        end = at + _OFFSET_AND_LENGTH.size + length
        if end > len(raw):
            return
        if end <= at + _MAGIC_AT:
            end = len(raw)
        yield raw if (at, end) == (0, len(raw)) else raw[at:end]
        at = end


def _codec(batch: bytes) -> int:
    if batch[_MAGIC_AT] != _V2:
        return batch[_OLD_ATTRIBUTES_AT] & _CODEC if len(batch) > _OLD_ATTRIBUTES_AT else 0
    return Head(*HEAD.unpack_from(batch)).attributes & _CODEC if len(batch) >= HEAD.size else 0


def _unpacked(batch: bytes, most_bytes: int, *, parses: bool) -> bytes:
    """Check a batch and unpack it; raises an error that names its fault."""
    if (magic := batch[_MAGIC_AT]) > _V2:
        raise codecs.Unreadable(f"its format is {magic}: expected 0 to {_V2}")

    parsed = memory_records.MemoryRecords(batch).next_batch()
    if parsed is None:
        raise codecs.Unreadable("its length is wrong")
    if not parsed.validate_crc():
        raise codecs.Unreadable("its checksum is wrong: it was damaged on its way or on the broker's disk")

    codec = _codec(batch)
    if magic < _V2:
        if codec:
            codecs.unpack(codec, _old_value(batch, magic), most_bytes)  # checks the bound; the library unpacks again
    elif codec:
        head = functools.partial(_plain_head, batch)
        batch = codecs.unpack(codec, memoryview(batch)[HEAD.size :], most_bytes, head)

    return _parsed(batch) if parses else batch


def _plain_head(batch: bytes, size: int) -> bytes:
    """Return the head of the batch for `size` bytes of uncompressed records; its checksum is not updated."""
    head = Head(*HEAD.unpack_from(batch))
    length = HEAD.size - _OFFSET_AND_LENGTH.size + size
    return HEAD.pack(*head._replace(length=length, attributes=head.attributes & ~_CODEC))


def _parsed(batch: bytes) -> bytes:
    """Return the batch if the library can parse it, else the batch with rewritten header names."""
    found = memory_records.MemoryRecords(batch).next_batch()
    try:
        if found.is_control_batch:
            control_record.ControlRecord.parse(next(found).key)
        else:
            for _ in found:
                pass
    except Exception as error:
        if not isinstance(error.__cause__ or error, UnicodeDecodeError):
            raise
        return names.rewritten(batch)
    return batch


def _old_value(batch: bytes, magic: int) -> memoryview:
    at = _OLD_KEY_AT[magic]
    at += _OLD_LENGTH.size + max(0, _OLD_LENGTH.unpack_from(batch, at)[0])
    size = _OLD_LENGTH.unpack_from(batch, at)[0]
    return memoryview(batch)[at + _OLD_LENGTH.size :][: max(0, size)]


def _bad_batch(batch: bytes, error: Exception) -> Bad:
    first = _OFFSET_AND_LENGTH.unpack_from(batch)[0] if len(batch) >= _OFFSET_AND_LENGTH.size else -1
    more = 0
    if len(batch) >= HEAD.size and batch[_MAGIC_AT] == _V2:
        more = max(0, Head(*HEAD.unpack_from(batch)).last_delta)
    reason = str(error) if isinstance(error, codecs.Unreadable) else f"its records are damaged: {error!r}"
    return Bad(first, first + more + 1, reason)
