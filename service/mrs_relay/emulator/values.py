"""Values of result rows as the API prints them: in JSON for SQL jobs, as text for Presto content and CSV."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

_LARGEST = 2**63


def plain(value: object) -> object:
    """A value as JSON can hold it; decimals stay exact numbers, times and other things become text."""
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
    """A value as text, None for NULL; dates as 2026-11-23, times of day and moments as Presto prints them."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case dt.datetime():
            return value.isoformat(
                sep=" ", timespec="milliseconds" if value.microsecond % 1000 == 0 else "microseconds"
            )
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case _:
            return str(value)
