"""The first word of a statement of Presto."""

from __future__ import annotations

import re

_BLANK = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")


def first_word(statement: str) -> str:
    """Return the first word in upper case, past blanks, comments and opening parentheses; may be empty."""
    start = _BLANK.match(statement)
    word = _WORD.match(statement, start.end() if start else 0)
    return word.group().upper() if word else ""
