r"""
Rewrite header names that are not UTF-8: one such record must not keep a partition from being read.

Kafka takes any bytes as a header's name, and aiokafka decodes them strictly. A batch with such names is rewritten with
their invalid bytes escaped (`\xff`), as text that can be written again; all other bytes stay as they are.
"""

from __future__ import annotations

from typing import Any

from aiokafka.record import default_records

_OFFSET_AND_LENGTH_BYTES = 12
_LENGTH_AT = slice(8, 12)
_FIRST_TIMESTAMP_AT = slice(27, 35)
_HEAD_BYTES = 61
_NO_LIMIT_BYTES = (1 << 31) - 1


def rewritten(batch: bytes) -> bytes:
    """Return an uncompressed batch of format v2 with header names that are UTF-8."""
    found: Any = default_records._DefaultRecordBatchPy(batch)  # noqa: SLF001 - the one written in Python
    found._buffer = _Buffer(found._buffer)  # noqa: SLF001 - the same
    body = default_records.DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, _NO_LIMIT_BYTES)
    first_timestamp = None
    for record in found:
        first_timestamp = record.timestamp if first_timestamp is None else first_timestamp
        offset = record.offset - found.base_offset
        body.append(offset, record.timestamp, record.key, record.value, record.headers)
    head = bytearray(batch[:_HEAD_BYTES])
    records = bytes(body.build())[_HEAD_BYTES:]
    head[_LENGTH_AT] = (_HEAD_BYTES - _OFFSET_AND_LENGTH_BYTES + len(records)).to_bytes(4, "big")
    head[_FIRST_TIMESTAMP_AT] = (first_timestamp or 0).to_bytes(8, "big", signed=True)
    return bytes(head) + records


class _Buffer(bytearray):
    """A buffer whose slices decode invalid bytes as escapes."""

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - as bytearray's
        found = super().__getitem__(place)
        return found if isinstance(found, int) else _Slice(found)


class _Slice(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)
