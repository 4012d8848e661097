"""One form of a result for all engines, as JSON: recorded values and the emulator's are compared in it."""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal


def value(found: object) -> object:  # noqa: PLR0911 - a table of types
    """
    Return a Python value as JSON.

    Decimals and doubles stay apart (`{"decimal": "1.50"}`, a number), moments are texts, binary is `{"binary": hex}`.
    """
    match found:
        case Decimal():
            return {"decimal": f"{found:f}"}
        case float():
            return found if math.isfinite(found) else {"double": str(found)}
        case dt.datetime():
            return short(found.isoformat(sep=" "))
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


def short(text: str) -> str:
    """Return a moment as text without zeros at the end of its fraction."""
    return re.sub(r"([.][0-9]*?)0+$", r"\1", text).removesuffix(".")


def same(got: object, wanted: object) -> bool:  # noqa: PLR0911 - a table of types
    """Return whether two values are equal to a client: whole decimals are like integers, doubles differ a little."""
    match got, wanted:
        case bool(), _:
            return got is wanted
        case int(), {"decimal": text}:
            return str(got) == str(text)
        case {"decimal": text}, int():
            return str(wanted) == str(text)
        case float(), float():
            return math.isclose(got, wanted, rel_tol=1e-14)
        case list(), list():
            return len(got) == len(wanted) and all(map(same, got, wanted))
        case dict(), dict():
            return got.keys() == wanted.keys() and all(same(got[key], wanted[key]) for key in wanted)
        case _:
            return type(got) is type(wanted) and got == wanted
