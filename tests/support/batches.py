"""Kafka's batches as a broker stores them, sound and broken, made without a broker."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from aiokafka.record import default_records, legacy_records, util

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""Numbers of the compressions by the names of compression.type."""

HEAD_BYTES = 61
_ATTRIBUTES_AT = 21
_CRC_AT = 17

Headers = list[tuple[str, bytes | None]]


def batch(
    first: int,
    values: Sequence[bytes | None],
    *,
    codec: str = "none",
    headers: Sequence[Headers] = (),
    producer_id: int = -1,
) -> bytes:
    """Return a batch of format v2 with these values, of a transaction if it has a producer's id."""
    transactional = int(producer_id >= 0)
    # The builder written in Python asks `tests.support.raw_records.Name` for its bytes; the compiled one does not.
    builder = default_records._DefaultRecordBatchBuilderPy(2, CODECS[codec], transactional, producer_id, 0, -1, 1 << 30)
    for number, value in enumerate(values):
        builder.append(number, 1_700_000_000_000 + number, b"k", value, list(headers[number]) if headers else [])
    raw = builder.build()
    raw[:8] = first.to_bytes(8, "big")
    return bytes(raw)


def marker(first: int, producer_id: int, *, commit: bool) -> bytes:
    """Return the control batch that ends a transaction."""
    builder: Any = default_records._DefaultRecordBatchBuilderPy(2, 0, 1, producer_id, 0, -1, 1 << 20)
    builder.append(0, 0, struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, 0), [])
    raw = builder.build()
    raw[:8] = first.to_bytes(8, "big")
    return changed(bytes(raw), attributes=0x30)


def old_batch(first: int, values: Sequence[bytes], *, codec: str = "none", magic: Any = 1) -> bytes:
    """Return a message set of format v0 or v1."""
    builder = legacy_records._LegacyRecordBatchBuilderPy(magic, CODECS[codec], 1 << 30)
    for number, value in enumerate(values):
        builder.append(first + number, 1_700_000_000_000, b"k", value)
    raw = builder.build()
    if codec != "none":
        raw[:8] = (first + len(values) - 1).to_bytes(8, "big")  # as the broker does
    return bytes(raw)


def changed(raw: bytes, *, attributes: int | None = None, body: bytes | None = None) -> bytes:
    """Return the batch with other attributes or another body, and a checksum that is right for them."""
    new = bytearray(raw[:HEAD_BYTES] + (raw[HEAD_BYTES:] if body is None else body))
    if attributes is not None:
        struct.pack_into(">h", new, _ATTRIBUTES_AT, attributes)
    struct.pack_into(">i", new, 8, len(new) - 12)
    struct.pack_into(">I", new, _CRC_AT, util.calc_crc32c(bytes(new[_ATTRIBUTES_AT:])))
    return bytes(new)


def damaged(raw: bytes) -> bytes:
    """Return the batch with one bit turned."""
    return raw[:-1] + bytes([raw[-1] ^ 1])
