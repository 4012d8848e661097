"""One form of a result for all engines, as JSON: recorded values and the emulator's are compared in it."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal


def value(found: object) -> object:  # noqa: PLR0911 - a table of types
    """
    A Python value as JSON.

    Decimals and doubles stay apart (`{"decimal": "1.50"}`, a number), moments are texts, binary is `{"binary": hex}`.
    """
    match found:
        case Decimal():
            return {"decimal": f"{found:f}"}
        case float():
            return found if math.isfinite(found) else {"double": str(found)}
        case dt.datetime():
            text = found.isoformat(sep=" ")
            return text.rstrip("0") if "." in text else text
        case dt.date():
            return found.isoformat()
        case bytes() | bytearray():
            return {"binary": bytes(found).hex()}
        case dict():
            return {str(key): value(item) for key, item in found.items()}
        case tuple() if hasattr(found, "asDict"):
            return {key: value(item) for key, item in found.asDict().items()}
        case list() | tuple():
            return [value(item) for item in found]
        case _:
            return found
