"""
Split a Presto statement into code, comments, quotes and semicolons. Pure.

A comment begins with two hyphens and ends with the line, or stands between /* and the next */; comments do not nest.
Quotes are doubled inside quotes, and a backslash means nothing.

Source: Presto's grammar SqlBase.g4: SIMPLE_COMMENT, BRACKETED_COMMENT, STRING, QUOTED_IDENTIFIER.
"""

from __future__ import annotations

import re
from typing import Final

_PIECES: Final = re.compile(
    r"""
    (?P<comment> --[^\r\n]* | /\*.*?\*/ )
  | (?P<open> /\*.* )
  | '(?:[^']|'')*'? | "(?:[^"]|"")*"? | `(?:[^`]|``)*`?
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANK: Final = " \t\r\n\f\v"


def code(statement: str) -> str:
    """Mask a statement, keeping all positions: comments become blanks, and quoted text becomes quote characters."""
    return _PIECES.sub(_masked, statement)


def single(statement: str) -> str:
    """
    Return the statement without semicolons at its end and without comments that hold any, as it can be sent alone.

    A remaining semicolon separates two statements or is quoted.
    """
    if ";" not in statement:
        return statement.rstrip(_BLANK)
    end = len(code(statement).rstrip(_BLANK + ";"))
    kept = statement[:end] if ";" in statement[end:] else statement
    return _PIECES.sub(_without_semicolon, kept).rstrip(_BLANK)


def _masked(piece: re.Match[str]) -> str:
    if piece["open"]:  # it never ends, so Presto takes it for no comment
        return piece[0]
    return (" " if piece["comment"] else "'") * len(piece[0])


def _without_semicolon(piece: re.Match[str]) -> str:
    return " " if piece["comment"] and ";" in piece[0] else piece[0]
