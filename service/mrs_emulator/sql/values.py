"""Values of result rows as the API prints them: in JSON for SQL jobs, as text for Presto content and CSV."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import msgspec

_LARGEST = 2**63
_json = msgspec.json.Encoder(decimal_format="number")


def plain(value: object) -> object:
    """Return a value as JSON can hold it; decimals stay exact numbers, times and other things become text."""
    match value:
        case float() | Decimal() if not math.isfinite(value):
            return str(value)
        case int() if not -_LARGEST <= value < _LARGEST:
            return Decimal(value)
        case None | bool() | str() | int() | float() | Decimal():
            return value
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return text(value)


def text(value: object) -> str | None:
    """Return a value as text, None for NULL; dates and moments as Presto prints them, nested values as JSON."""
    match value:
        case None | str():
            return value
        case bool():
            shown = "true" if value else "false"
        case Decimal():
            shown = f"{value:f}"
        case dt.datetime():
            unit = "milliseconds" if value.microsecond % 1000 == 0 else "microseconds"
            shown = value.isoformat(sep=" ", timespec=unit)
        case list() | tuple() | dict():
            shown = _json.encode(plain(value)).decode()
        case bytes() | bytearray() | memoryview():
            shown = bytes(value).hex()
        case _:
            shown = str(value)

    return shown
