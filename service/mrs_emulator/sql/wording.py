"""
Errors while a statement runs, in the words of the engine that is played; DuckDB's words never leave.

What has no wording here is refused as not played: the emulator failed at it, and the engine may not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from mrs_emulator.sql import macros, statement

_UNKNOWN = f"{macros.REFUSED}something in this statement; simplify it, or test it on a cluster of MRS"
_NO_SCHEMA = re.compile(r'(?:schema named|Schema with name|because schema) "?(?P<name>[^"\s!]+)"?')
_ZERO = re.compile(r"Division by zero", re.IGNORECASE)
_SEVERAL = re.compile(r"More than one row returned by a subquery", re.IGNORECASE)
_OVERFLOW = re.compile(r"Overflow in (?P<what>\w+) of INT(?P<bits>8|16|32|64) \((?P<sum>[^)]*)\)")
_PLAYED = re.compile(rf"(?P<text>{macros.REFUSED}.*)' to UINT8", re.DOTALL)
_ENGINE = re.compile(rf"{macros.FAILED}(?P<text>.*)' to UINT8", re.DOTALL)

_PRESTO: Mapping[re.Pattern[str], str] = {
    _ZERO: "Division by zero",
    _NO_SCHEMA: "line 1:1: Schema '{name}' does not exist",
    _SEVERAL: "Scalar sub-query has returned multiple rows",
}


def said(message: str, spoken: statement.Dialect, first_line: Callable[[str], str]) -> str:
    """
    Return what the engine says where DuckDB says `message`.

    Args:
        message: DuckDB's message.
        spoken: the dialect.
        first_line: cuts a message down to its first line.
    """
    line = first_line(message)
    if found := _PLAYED.search(line):
        text = found["text"]
        return text if ";" in text else f"{text}; leave it out, or test this statement on a cluster of MRS"
    if found := _ENGINE.search(line):
        return found["text"]
    return _presto(line) if spoken == "presto" else _UNKNOWN


def _presto(line: str) -> str:
    """Return what Presto says when rows show a mistake; the others answer NULL, or their words were not recorded."""
    for pattern, words in _PRESTO.items():
        if found := pattern.search(line):
            return words.format(**found.groupdict())
    if found := _OVERFLOW.search(line):
        kind = {"8": "tinyint", "16": "smallint", "32": "integer", "64": "bigint"}[found["bits"]]
        return f"{kind} {found['what']} overflow: {found['sum']}"
    return _UNKNOWN
