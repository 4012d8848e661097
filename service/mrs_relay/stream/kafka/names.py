r"""
Header names that are not UTF-8: one such record must not keep a partition from being read.

Kafka takes any bytes as a header's name and aiokafka decodes them strictly: its fetch then fails at that record for
ever, and drops those before it. Here such a name is read with its odd bytes written out (`\xff`), as text that can be
written again; everything else of the record stays as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from aiokafka import errors as kafka_errors
from aiokafka.consumer import fetcher
from aiokafka.record import default_records

_Strict: Final = fetcher.MemoryRecords

_LENGTH: Final = struct.Struct(">i")
_LENGTH_AT: Final = 8
_LOG_OVERHEAD: Final = 12
"""Bytes of a batch's offset and length. Source: Kafka's message format v2."""

_MAGIC_WITH_HEADERS: Final = 2


def install() -> None:
    """Let all consumers of this process read any header name. May be called again."""
    fetcher.MemoryRecords = Records


class Records:
    """
    The library's `MemoryRecords`, with batches that can be read to their end.

    Args:
        raw: what a fetch brought of one partition.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._strict: Any = _Strict(raw)
        self._at = 0

    def size_in_bytes(self) -> int:
        """As the library's."""
        return int(self._strict.size_in_bytes())

    def has_next(self) -> bool:
        """As the library's."""
        return bool(self._strict.has_next())

    def next_batch(self) -> Any:  # noqa: ANN401 - the library's own type, or one that behaves like it
        """As the library's."""
        batch = self._strict.next_batch()
        first, self._at = self._at, self._at + _LOG_OVERHEAD + _LENGTH.unpack_from(self._raw, self._at + _LENGTH_AT)[0]
        if batch is None or batch.magic < _MAGIC_WITH_HEADERS:
            return batch
        return _Batch(batch, self._raw, slice(first, self._at))


class _Batch:
    """A batch that goes on where the library's gives up; all the rest is the library's."""

    def __init__(self, strict: Any, raw: bytes, place: slice) -> None:  # noqa: ANN401 - the library ships no types
        self._strict = strict
        self._raw = raw
        self._place = place

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the same
        return getattr(self._strict, name)

    def __next__(self) -> Any:  # noqa: ANN401 - the same
        return next(self._strict)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._strict
        except (UnicodeDecodeError, kafka_errors.CorruptRecordException) as error:
            if not isinstance(error.__cause__ or error, UnicodeDecodeError):
                raise
            # NB: begins with the first record again; the fetcher passes over those that it has had.
            yield from _tolerant(self._raw[self._place])


def _tolerant(raw: bytes) -> Any:  # noqa: ANN401 - the same
    batch: Any = default_records._DefaultRecordBatchPy(bytearray(raw))  # noqa: SLF001 - the one written in Python
    batch._maybe_uncompress()  # noqa: SLF001 - the same
    batch._buffer = _Buffer(batch._buffer)  # noqa: SLF001 - the same
    return batch


class _Buffer(bytearray):
    """Its slices are decoded without complaint."""

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - as bytearray's
        found = super().__getitem__(place)
        return found if isinstance(found, int) else _Slice(found)


class _Slice(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)
