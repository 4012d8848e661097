"""
Convert between bytes and JSON values: all JSON of messages passes through here.

msgspec itself refuses NaN, Infinity and lone surrogates, as RFC 8259 requires; this module refuses too deep nesting. Of
two members of one name the last one counts. A byte order mark before the text is skipped (RFC 8259, section 8.1).

Numbers keep their value: a whole number becomes an int however it is spelled, as in RFC 8785 (3600.0 and 3.6e3 are
3600); a fraction becomes a float, or a Decimal if it has more digits than a float holds.
"""

from __future__ import annotations

import codecs
import decimal
import math
import re
from typing import Any, Final

import msgspec

from mrs_relay import errors

_FLOAT_DIGITS: Final = 17
"""The most significant digits that a double needs; a number with at most so many means the nearest double."""

_SAFE: Final = 2**53
"""Below it a double holds every whole number."""

_WHOLE_DIGITS: Final = 21
"""Whole numbers with more digits keep their exponent. Source: RFC 8785, section 3.2.2.3 (ECMAScript)."""

_TOO_WIDE: Final = 10.0**_WHOLE_DIGITS

_EXACT: Final = decimal.Context(prec=decimal.MAX_PREC, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)
"""A context that never rounds."""

_FAULT_AT: Final = re.compile(r"\(byte (\d+)\)")
_NOT_NUMBERS: Final = re.compile(rb"-?(NaN|Infinity)")


def number(text: str) -> int | float | decimal.Decimal:
    """
    Read a number that has a fraction or an exponent, without a change of its value.

    Raises:
        ValueError: it is larger than any double.
    """
    value = float(text)
    if len(text) <= _FLOAT_DIGITS and 0 < abs(value) < _SAFE:
        return int(value) if value.is_integer() else value

    if math.isinf(value):
        raise ValueError("Number out of range")

    exact = _EXACT.create_decimal(text)
    if exact.adjusted() < _WHOLE_DIGITS and exact == (whole := int(exact)):
        return whole
    if exact == decimal.Decimal(value):
        return value

    # No double equals this number: keep all digits if they are more than a double holds, without the zeros at the end.
    if len(text) > _FLOAT_DIGITS or not value:
        exact = exact.normalize(_EXACT)
        if len(exact.as_tuple().digits) > _FLOAT_DIGITS or not value:
            return exact
    return int(value) if value.is_integer() and abs(value) < _TOO_WIDE else value


_decoder = msgspec.json.Decoder(float_hook=number)
_plain_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder(decimal_format="number")
_ordered = msgspec.json.Encoder(order="deterministic", decimal_format="number")


def decode(raw: bytes) -> Any:  # noqa: ANN401 - JSON is any value; it ends in a model right after
    """
    Parse one JSON text.

    Raises:
        BadMessage: code `unreadable_json`, with the position of the first fault.
    """
    return _decoded(_decoder, raw)


def decode_plainly(raw: bytes) -> Any:  # noqa: ANN401 - JSON
    """Parse like `decode`, but make every number with a fraction or an exponent a float, as most readers do."""
    return _decoded(_plain_decoder, raw)


def encode(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Write `value` as compact JSON in UTF-8."""
    return _encoder.encode(value)


def encode_ordered(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Write `value` as compact JSON in UTF-8, members in the order of their names: equal values give equal bytes."""
    return _ordered.encode(value)


def _decoded(decoder: msgspec.json.Decoder[Any], text: bytes) -> Any:  # noqa: ANN401 - JSON
    raw = text.removeprefix(codecs.BOM_UTF8)
    try:
        return decoder.decode(raw)
    except RecursionError as error:
        raise errors.BadMessage("unreadable_json", "the JSON is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.BadMessage("unreadable_json", f"not valid JSON: {error}{_advice(str(error), raw)}") from error


def _advice(fault: str, raw: bytes) -> str:
    place = _FAULT_AT.search(fault)
    found = _NOT_NUMBERS.match(raw, int(place[1])) if place else None
    return f"; JSON has no {found[1].decode()}: send a number or null" if found else ""
