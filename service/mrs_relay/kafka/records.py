"""
Records read, records to write, ledger changes, and partitions; every module of this package uses them.

The structs are msgspec's because thousands of them are made a second: frozen, compared by value, outside the garbage
collector (they hold bytes and tuples, so they form no cycles).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from mrs_relay import errors

Headers = tuple[tuple[str, bytes], ...]

_BATCH_OVERHEAD_BYTES = 61
_RECORD_OVERHEAD_BYTES = 21 + 3 * 5
_HEADER_OVERHEAD_BYTES = 2 * 5
_USUAL_OVERHEAD_BYTES = 400
_COUNTED_TOGETHER = 64


class TooLarge(errors.StreamError):
    """
    A record exceeds its topic's limit; nothing of the commit was written and the lease continues.

    Attributes:
        topic: the record's topic.
        size_bytes: size of the record as `size_bytes` counts it.
        limit_bytes: the largest size the topic takes.
    """

    def __init__(self, topic: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"a record for {topic} takes {size_bytes} bytes, the topic takes {limit_bytes} at most")
        self.topic = topic
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class Position(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class Record(msgspec.Struct, frozen=True, gc=False):
    """
    One record read from Kafka.

    Attributes:
        topic: it was read from this topic.
        partition: the topic's partition.
        offset: its place in the partition; grows, with gaps.
        timestamp_ms: milliseconds since the epoch, as the producer or the broker stamped it.
        key: or None.
        value: None is a tombstone.
        headers: in their order; a name may appear twice. A null header value reads as empty.
        unreadable: names an unreadable batch that is skipped, with the reason. The record has no content then, and the
        offset is the batch's last one.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    unreadable: str | None = None


class Stored(Protocol):
    """A record as a ledger reads it: a `Record`, or the library's own, which is made in half of the time."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def key(self) -> bytes | None:
        """Or None."""

    @property
    def value(self) -> bytes | None:
        """None is a tombstone."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """In their order."""


class Outgoing(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """
    One record to be written.

    Attributes:
        topic: the target.
        key: or None.
        value: None is a tombstone and needs a key.
        headers: in their order.
        partition: None lets Kafka's default decide: murmur2 of the key; records without a key are spread.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


class Change(msgspec.Struct, frozen=True, gc=False):
    """
    One write to the ledger.

    Attributes:
        key: must not begin with a zero byte; such keys belong to the ledger itself.
        value: the new value, or None to forget the key.
    """

    key: bytes
    value: bytes | None


class Block(msgspec.Struct, frozen=True, gc=False):
    """
    Consecutive records as the broker stored them.

    Attributes:
        position: the partition they were written to.
        first_offset: of the first record; negative if the broker did not report it.
        count: number of records.
    """

    position: Position
    first_offset: int
    count: int


def size_bytes(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> int:
    """
    Return the upper bound of the bytes that a record takes in a batch of its own, uncompressed.

    Source: Kafka's message format v2 (batch header 61 bytes, at most 21 bytes of record attributes, varints of up
    to 5).
    """
    size = _BATCH_OVERHEAD_BYTES + _RECORD_OVERHEAD_BYTES
    if key is not None:
        size += len(key)
    if value is not None:
        size += len(value)
    for name, content in headers:
        # A character of UTF-8 takes up to four bytes; header names are nearly always ASCII, where it takes one.
        size += _HEADER_OVERHEAD_BYTES + (len(name) if name.isascii() else 4 * len(name)) + len(content)
    return size


def fits(record: Outgoing, limit_bytes: int) -> bool:
    """Return whether `size_bytes` of a record is at most `limit_bytes`; quick if it is far less."""
    content = sum(map(len, itertools.chain.from_iterable(record.headers)))
    content += len(record.key or b"") + len(record.value or b"")
    # A character of a header's name takes up to four bytes.
    most = _BATCH_OVERHEAD_BYTES + _RECORD_OVERHEAD_BYTES + len(record.headers) * _HEADER_OVERHEAD_BYTES + 4 * content
    return most <= limit_bytes or size_bytes(record.key, record.value, record.headers) <= limit_bytes


def require_all_fit(written: Sequence[Outgoing], limit_bytes: int) -> None:
    """
    Make sure that each of many records takes at most `limit_bytes`; quick if all of them are far smaller.

    MessagePack counts the bytes of many records at once. It takes at least four bytes for a header beside its name and
    content, and a byte for each character of a name, so four times its length is an upper bound for each record.

    Raises:
        TooLarge: one takes more.
    """
    for first in range(0, len(written), _COUNTED_TOGETHER):
        part = written[first : first + _COUNTED_TOGETHER]
        if _BATCH_OVERHEAD_BYTES + _RECORD_OVERHEAD_BYTES + 4 * len(msgspec.msgpack.encode(part)) > limit_bytes:
            for record in part:
                require_fit(record, limit_bytes)


def require_fit(record: Outgoing, limit_bytes: int) -> None:
    """
    Make sure that a record takes at most `limit_bytes`.

    Raises:
        TooLarge: it takes more.
    """
    if not fits(record, limit_bytes):
        raise TooLarge(record.topic, size_bytes(record.key, record.value, record.headers), limit_bytes)


def rough_bytes(written: Sequence[Outgoing | Change]) -> int:
    """Estimate the bytes that records add to a commit: values, and the usual size of keys, headers and framing."""
    return len(written) * _USUAL_OVERHEAD_BYTES + sum([len(one.value) for one in written if one.value is not None])


def slices(incoming: Sequence[Record], most: int, most_bytes: int) -> Iterator[Sequence[Record]]:
    """Yield parts of at most so many records, and so many bytes of values; a larger record is a part of its own."""
    first = size = 0
    for number, record in enumerate(incoming):
        more = len(record.value or b"")
        if number > first and (number - first >= most or size + more > most_bytes):
            yield incoming[first:number]
            first, size = number, 0
        size += more
    if incoming:
        yield incoming[first:]


def in_parts(outgoing: Sequence[Outgoing], most_bytes: int) -> Iterator[list[Outgoing]]:
    """
    Divide records into parts of at most so many bytes, in their order; a larger record is a part of its own.

    Args:
        outgoing: the records.
        most_bytes: upper bound of a part, by `size_bytes`.
    """
    part: list[Outgoing] = []
    part_bytes = 0
    for record in outgoing:
        record_bytes = size_bytes(record.key, record.value, record.headers)
        if part and part_bytes + record_bytes > most_bytes:
            yield part
            part, part_bytes = [], 0

        part.append(record)
        part_bytes += record_bytes
    if part:
        yield part
