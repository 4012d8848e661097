"""
Bytes ↔ JSON values: the only JSON on the way of a message.

msgspec refuses NaN, Infinity and lone surrogates by itself, as RFC 8259 wants; too deep nesting is refused here.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from mrs_relay import errors

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="deterministic")


def decode(raw: bytes) -> Any:  # noqa: ANN401 - JSON is any value; it ends in a model right after
    """
    Parse one JSON text.

    Raises:
        BadMessage: code `unreadable_json`, with the position of the first fault.
    """
    try:
        return _decoder.decode(raw)
    except RecursionError as error:
        raise errors.BadMessage("unreadable_json", "the JSON is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.BadMessage("unreadable_json", f"not valid JSON: {error}") from error


def encode(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Write `value` as compact JSON in UTF-8."""
    return _encoder.encode(value)


def digest(kind: str, data: Any) -> str:  # noqa: ANN401 - any JSON value
    """
    Name a payload: the same for the same type and data whatever the order of keys and the white space.

    Returns 32 hexadecimal digits (128 bits of SHA-256).
    """
    fingerprint = hashlib.sha256(kind.encode())
    fingerprint.update(b"\n")
    fingerprint.update(_canonical.encode(data))
    return fingerprint.hexdigest()[:32]
