"""
Fields of a ledger record that only a later version knows: kept as they were read, so that they survive this one. Pure.

Used by `jobs` alone, and only for records that hold such fields.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def split(value: bytes, known: Collection[str]) -> tuple[bytes, bytes]:
    """
    Split a record into one with the known fields, and the others as they are written between braces.

    Raises:
        MsgspecError: it is not a JSON object.
    """
    fields = _decoder.decode(value)
    others = [msgspec.json.encode(name) + b":" + bytes(raw) for name, raw in fields.items() if name not in known]
    return msgspec.json.encode({name: raw for name, raw in fields.items() if name in known}), b",".join(others)


def join(value: bytes, others: bytes) -> bytes:
    """Put such fields back into a record, a JSON object that is not empty."""
    return value[:-1] + b"," + others + b"}"
