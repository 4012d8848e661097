"""
Where a statement stops to be one, for the frequent slips of the pen; each engine has its words for each situation.

The engines' parsers say what they expected at a token. That depends on their grammars, so a situation is recognised by
the words around it, and what is not recognised is said without expectations.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot

_TYPE = sqlglot.TokenType
_QUOTED = frozenset(
    [
        _TYPE.STRING,
        _TYPE.IDENTIFIER,
        _TYPE.RAW_STRING,
        _TYPE.NATIONAL_STRING,
        _TYPE.HEX_STRING,
        _TYPE.BIT_STRING,
        _TYPE.BYTE_STRING,
        _TYPE.UNICODE_STRING,
    ]
)
_STATEMENTS = frozenset(
    [
        "ALTER",
        "ANALYZE",
        "CACHE",
        "CALL",
        "CLEAR",
        "COMMENT",
        "COMMIT",
        "CREATE",
        "DEALLOCATE",
        "DELETE",
        "DESC",
        "DESCRIBE",
        "DROP",
        "EXECUTE",
        "EXPLAIN",
        "EXPORT",
        "FROM",
        "GRANT",
        "IMPORT",
        "INSERT",
        "LOAD",
        "LOCK",
        "MERGE",
        "MSCK",
        "PREPARE",
        "REFRESH",
        "RELOAD",
        "REPAIR",
        "REPLACE",
        "RESET",
        "REVOKE",
        "ROLLBACK",
        "SELECT",
        "SET",
        "SHOW",
        "START",
        "TABLE",
        "TRUNCATE",
        "UNCACHE",
        "UNLOCK",
        "UPDATE",
        "USE",
        "VALUES",
        "WITH",
        "ADD",
        "LIST",
        "(",
    ]
)
_CLAUSES = frozenset(["FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "UNION"])
_CONDITIONS = frozenset(["WHERE", "HAVING", "AND", "OR", "ON"])


class Slip(enum.Enum):
    """What is wrong at a token."""

    STATEMENT = "no statement starts like this"
    NO_COLUMNS = "SELECT has no columns"
    NO_COLUMN = "a comma has no column behind it"
    SECOND_ALIAS = "a name after an alias"
    NO_TABLE = "FROM has no table"
    NO_CONDITION = "WHERE has no condition"
    NO_BY = "ORDER or GROUP without BY"
    TWO_OPERATORS = "an operator after an operator"
    OPEN = "a bracket is not closed before FROM"
    CLOSED = "a bracket closes nothing"
    NO_END = "CASE has no END before FROM"
    LIMIT = "LIMIT has no number"
    NO_INTO = "INSERT without INTO"
    NO_KIND = "DROP of nothing"
    NO_NAME = "CREATE TABLE without a name"


@dataclass(frozen=True, slots=True)
class Found:
    """
    A slip.

    Attributes:
        slip: what it is.
        index: index of the token at which it shows; the number of tokens at the end of the statement.
    """

    slip: Slip
    index: int


def find(tokens: Sequence[Any]) -> Found | None:
    """Return the first slip that the words show."""
    texts = _words(tokens)
    if texts[0] not in _STATEMENTS:
        return Found(Slip.STATEMENT, 0)

    depth = 0
    cases: list[int] = []

    for index, text in enumerate(texts):
        before = texts[index - 1] if index else ""
        if slip := _after(before, text, texts, index):
            return Found(slip, index)
        if text == "FROM" and (slip := _at_from(texts, index, depth, cases)):
            return Found(slip, index)

        depth += {"(": 1, ")": -1}.get(text, 0)
        if text == "CASE":
            cases.append(depth)
        elif text == "END":
            cases = cases[:-1]

        if depth < 0:
            return Found(Slip.CLOSED, index)
        if not depth and _is_second_alias(tokens, index):
            return Found(Slip.SECOND_ALIAS, index)

    return None


def _at_from(texts: Sequence[str], index: int, depth: int, cases: Sequence[int]) -> Slip | None:
    """Return what is open at a FROM; `cases` are the depths of brackets at which CASE stands open."""
    if _special(texts, index):
        return None
    if cases and depth <= cases[-1]:  # deeper, it is the FROM of a query in brackets
        return Slip.NO_END
    return Slip.OPEN if depth and "SELECT" not in texts[_opening(texts, index) : index] else None


def _words(tokens: Sequence[Any]) -> list[str]:
    """Return the words of a statement; what is quoted, or stands behind a dot, is a text or a name whatever it says."""
    found = [token.text.upper() if token.token_type not in _QUOTED else "''" for token in tokens]
    pairs = zip(["", *found], found, strict=False)
    names = ["''" if before == "." and text.isalpha() else text for before, text in pairs]
    return [*names, "<EOF>"]


def _after(before: str, text: str, texts: Sequence[str], index: int) -> Slip | None:
    """Return what is wrong with a word because of the one before it."""
    lacks = text in _CLAUSES or text == "<EOF>"
    if lacks and (before in _NEEDING or before in _CONDITIONS):
        return _NEEDING.get(before, Slip.NO_CONDITION)
    if before in {"ORDER", "GROUP"} and index > 1 and "FROM" in texts[:index]:
        return Slip.NO_BY
    if before == "=" and text == "=":
        return Slip.TWO_OPERATORS
    if before == "LIMIT" and not text.isdigit() and text not in {"ALL", "-", "("}:
        return Slip.LIMIT
    return _at_start(before, text, texts, index)


def _at_start(before: str, text: str, texts: Sequence[str], index: int) -> Slip | None:
    """Return what is wrong with the first words of INSERT, DROP and CREATE TABLE."""
    if index == 1 and before == "INSERT" and text not in {"INTO", "OVERWRITE"}:
        return Slip.NO_INTO
    if index == 1 and before == "DROP" and text not in _DROPPED:
        return Slip.NO_KIND
    if before == "TABLE" and texts[0] == "CREATE" and text == "(":
        return Slip.NO_NAME
    return None


_NEEDING = {"SELECT": Slip.NO_COLUMNS, ",": Slip.NO_COLUMN, "FROM": Slip.NO_TABLE}
"""Words that need something behind them, and what it is when a clause follows."""
_DROPPED = frozenset(
    "TABLE VIEW SCHEMA DATABASE ROLE FUNCTION TEMPORARY INDEX MACRO NAMESPACE VARIABLE MATERIALIZED".split()  # noqa: SIM905 - a list of words
)


def _opening(texts: Sequence[str], index: int) -> int:
    """Return where the innermost bracket is open at a place."""
    depth = 0
    for place in range(index - 1, -1, -1):
        depth += {"(": 1, ")": -1}.get(texts[place], 0)
        if depth == 1:
            return place
    return 0


def _special(texts: Sequence[str], index: int) -> bool:
    """Return whether FROM is part of a function: extract, trim, substring, or IS DISTINCT FROM."""
    opening = _opening(texts, index)
    return texts[index - 1] == "DISTINCT" or texts[opening - 1] in {"EXTRACT", "TRIM", "SUBSTRING", "SUBSTR", "OVERLAY"}


def _is_second_alias(tokens: Sequence[Any], index: int) -> bool:
    """Return whether three names stand in a row before FROM, or two and a name where a clause would be."""
    if index < 2 or index >= len(tokens):  # noqa: PLR2004 - a name, an alias, and one more
        return False
    names = [token.token_type == _TYPE.VAR for token in tokens[index - 2 : index + 1]]
    if not all(names):
        return False
    start = tokens[index - 3].text.upper() if index > 2 else ""  # noqa: PLR2004
    return start in {"SELECT", ",", "FROM"} and tokens[0].text.upper() in {"SELECT", "WITH"}
