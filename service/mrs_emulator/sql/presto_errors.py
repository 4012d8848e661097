"""How Presto words things: the first word of a statement, and errors with their place in the text."""

from __future__ import annotations

import re

_BLANK = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_NO_TABLE = re.compile(r"Table with name \"?(?P<name>[^\"\s]+)\"? does not exist")
_NO_COLUMN = re.compile(r"(?:Referenced|does not have a) column (?:named )?\"(?P<name>[^\"]+)\"")
_NO_SCHEMA = re.compile(r"(?:schema named|Schema with name|because schema) \"?(?P<name>[^\"\s!]+)\"?")


def first_word(statement: str) -> str:
    """The first word of a statement in upper case, past blanks, comments and opening parentheses; may be empty."""
    start = _BLANK.match(statement)
    word = _WORD.match(statement, start.end() if start else 0)
    return word.group().upper() if word else ""


def error(message: str, statement: str, database: str, place: tuple[int | None, int | None] = (None, None)) -> str:
    """
    An error as Presto words it, such as `line 1:15: Table hive.default.nope does not exist`.

    Args:
        message: what went wrong, in DuckDB's or the parser's words.
        statement: the statement, to find the place of a name in.
        database: where unqualified names were looked up.
        place: line and column, if the parser reported them.
    """
    name = None
    if found := _NO_SCHEMA.search(message):
        name = found["name"]
        message = f"Schema {name} does not exist"
    elif found := _NO_TABLE.search(message):
        name = found["name"]
        message = f"Table hive.{name if '.' in name else f'{database}.{name}'} does not exist"
    elif found := _NO_COLUMN.search(message):
        name = found["name"]
        message = f"Column '{name}' cannot be resolved"
    line, column = place if place[0] is not None else _place_of(name, statement)
    return f"line {line}:{column}: {message}"


def _place_of(name: str | None, statement: str) -> tuple[int, int]:
    """Line and column, from 1, of a name in the statement; the start when it is not found."""
    if name is None:
        return 1, 1
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", statement, re.IGNORECASE)
    if found is None:
        return 1, 1
    before = statement[: found.start()]
    return before.count("\n") + 1, found.start() - (before.rfind("\n") + 1) + 1
