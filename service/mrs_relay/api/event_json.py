"""Make JSON values of stored events for answers and pages, which cannot hold what a foreign producer may nest."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_DEPTH: Final = 100
"""Nesting that every writer and reader of JSON still takes; pydantic takes 250."""

_CUT: Final = "(nested too deeply to be shown)"


def decoded(event: str) -> dict[str, Any]:
    """Return an event of the read model; what is nested too deeply in it is replaced by a text that says so."""
    found: dict[str, Any] = _cut(msgspec.json.decode(event), _DEPTH)
    return found


def _cut(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _cut(one, depth - 1) for name, one in value.items()} if depth else _CUT
    if isinstance(value, list):
        return [_cut(one, depth - 1) for one in value] if depth else _CUT
    return value
