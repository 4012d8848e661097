"""
Keep the fields of a ledger record that only a later version knows, so that they survive this version. Pure.

Used by `named_records` alone, and only for records with such fields.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def split(value: bytes, known: Collection[str]) -> tuple[bytes, bytes]:
    """
    Split a record into a record of the known fields, and the other fields as JSON without its braces.

    Raises:
        MsgspecError: it is not a JSON object.
    """
    fields = _decoder.decode(value)
    others = [msgspec.json.encode(name) + b":" + bytes(raw) for name, raw in fields.items() if name not in known]
    return msgspec.json.encode({name: raw for name, raw in fields.items() if name in known}), b",".join(others)


def join(value: bytes, others: bytes) -> bytes:
    """Put such fields back into a record, a JSON object that is not empty."""
    return value[:-1] + b"," + others + b"}"
