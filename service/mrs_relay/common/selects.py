"""
Tell whether a statement of Hive or Spark is one plain SELECT, and where that word stands. Pure.

A plain SELECT begins with SELECT, or with WITH whose main query does, and has no semicolon, not even in quotes: so it
is one statement, however a program splits it. What two engines could read differently is refused. Quotes end at the
next one that no backslash escapes.

Source: SqlBaseLexer.g4 of Spark 3.5 and HiveLexer.g of Hive 3.1: strings, quoted names, comments; SqlBaseParser.g4 and
HiveParser.g: `ctes? insertInto query` and `withClause? insertClause selectStatement`.
"""

from __future__ import annotations

import re
from typing import Final

_PIECES: Final = re.compile(
    r"""
    (?P<comment> --[^\r\n]* | /\*.*?\*/ )
  | (?P<quoted> '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" )
  | `(?:[^`]|``)*`
  | (?P<open> /\* | ['"`] )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANK: Final = " \t\r\n\f\v"
_FIRST_WORD: Final = re.compile(r"\s*(\w+|\S)")
_IN_HINT: Final = re.compile(r"['\"`]|--")
"""What Spark reads on behind the end of a hint that Hive sees."""

_INSERT: Final = re.compile(r"\binsert\b", re.IGNORECASE)

_TABLE: Final = r"(?:\w+|'+)\s*(?:\(\s*\)\s*)?(?:as\s*)?\(\s*\)\s*"
_WITH: Final = re.compile(rf"\s*with\s+{_TABLE}(?:,\s*{_TABLE})*(?P<select>select)\b", re.IGNORECASE)
_SELECT: Final = re.compile(r"\s*(?P<select>select)\b", re.IGNORECASE)


def split(statement: str) -> tuple[str, str]:
    """
    Split a statement before its main SELECT; semicolons at its end are left out.

    Raises:
        ValueError: it is no plain SELECT; says why.
    """
    code = _masked(statement)
    end = len(code.rstrip(_BLANK + ";"))
    kept, code = statement[:end], code[:end]
    if ";" in kept:
        raise ValueError("it has a semicolon; send one SELECT, and write chr(59) for a semicolon within quotes")

    flat = _without_brackets(code)
    found = _SELECT.match(flat) or _WITH.match(flat)
    if found is None:
        first = _FIRST_WORD.match(flat)
        raise ValueError(f"it begins with {first[1][:30]!r}" if first else "there is no SQL in it")
    if _INSERT.search(flat):
        raise ValueError("it has the word INSERT")
    at = found.start("select")
    return kept[:at], kept[at:]


def is_plain(statement: str) -> bool:
    """Return whether a statement is one plain SELECT."""
    try:
        split(statement)
    except ValueError:
        return False
    return True


def _masked(statement: str) -> str:
    """Return the statement with comments as blanks and quoted text as quotation marks, all at their places."""

    def mask(piece: re.Match[str]) -> str:
        text = piece[0]
        if piece["open"]:
            raise ValueError("it has a quotation or a comment without an end")
        if piece["comment"]:
            # NB: Spark continues a comment behind a backslash, and nests comments in brackets; Hive does neither.
            if text.endswith("\\") or "/*" in text[2:]:
                raise ValueError("it has a comment that not all engines end at the same place; leave it out")
            if text.startswith("/*+") and _IN_HINT.search(text):
                raise ValueError("it has a hint with a quotation or a comment in it; leave those out")
            return " " * len(text)
        before = statement[max(0, piece.start() - 2) : piece.start()]
        if piece["quoted"] and "\\" in text and re.search(r"(?:^|\W)[rR]$", before):
            raise ValueError("it has a raw string with a backslash; write it as a plain string")
        return "'" * len(text)

    return _PIECES.sub(mask, statement)


def _without_brackets(code: str) -> str:
    """Return the code with all blanks in brackets, which stay themselves."""
    depth, shown = 0, []
    for part in re.split(r"([()])", code):
        if part == ")":
            depth -= 1
        shown.append(part if depth == 0 else " " * len(part))
        if part == "(":
            depth += 1
        if depth < 0:
            break
    if depth:
        raise ValueError("its brackets do not match")
    return "".join(shown)
