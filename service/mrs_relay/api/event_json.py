"""Make JSON values of stored events for answers and pages, which cannot hold what a foreign producer may nest."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

_DEPTH: Final = 100
"""Nesting that every writer and reader of JSON still takes; pydantic takes 250."""

_SHOWN: Final = 40
"""Characters of a number that an answer shows."""

_CUT: Final = "(nested too deeply to be shown)"


def decoded(event: str) -> dict[str, Any]:
    """Return an event of the read model; what is nested too deeply, or too large a number, becomes a text."""
    try:
        members = msgspec.json.decode(event)
    except msgspec.ValidationError:
        members = json.loads(event, parse_int=_number, parse_float=_number)
    found: dict[str, Any] = _cut(members, _DEPTH)
    return found


def _number(text: str) -> float | str:
    """Read a number; one that neither a float nor an int of Python takes becomes a text that says so."""
    try:
        value = int(text) if text.removeprefix("-").isdecimal() else float(text)
    except ValueError:  # too many digits
        value = math.inf
    return f"(too large a number to be shown: {text[:_SHOWN]})" if math.isinf(value) else value


def _cut(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _cut(one, depth - 1) for name, one in value.items()} if depth else _CUT
    if isinstance(value, list):
        return [_cut(one, depth - 1) for one in value] if depth else _CUT
    return value
