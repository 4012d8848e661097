"""
Remove a request's own values from MRS's texts about its job. Pure.

MRS's texts may quote the SQL, an argument or a password of the request, and events have other readers than its sender.
So an event shows a text without the request's own values, and without pieces of its SQL that are more than a name.
Names of tables and columns stay: the text is of use by them.

NB: the relay keeps no text of a statement that MRS has taken. An engine's later text about it is cut where engines
begin to print the statement, and loses quoted values that are no names; a value that looks like a name can stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

ELLIPSIS: Final = "…"

_LEAST: Final = 4
"""Shortest value to look for, in characters; shorter ones occur in any text."""

_PIECE: Final = 12
"""Shortest piece of SQL that counts as a quotation, in characters."""

_LITERAL: Final = re.compile(r"'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"")
_QUOTED: Final = re.compile(rf"(?<!\w)(?:{_LITERAL.pattern})(?!\w)")
"""NB: an apostrophe inside a word begins no quotation."""

_OPENED: Final = re.compile(rf"{_QUOTED.pattern}|(?<!\w)(['\"])")
"""A quotation, or as group 3 a quotation mark without its end."""

_NAME: Final = re.compile(r"[A-Za-z_][\w.$-]*")
_NAMES: Final = re.compile(r"[\w.$]+")
_PRINTED_SQL: Final = re.compile(r"==\s*SQL\s*==")

MAX_LENGTH: Final = 8_000
"""
Characters of a text that are searched; the rest is cut off first. Four times the length in an event, so that removed
values do not shorten the event's text. This and the request's own size bound the work for one text.
"""

NEVER_SHOWN: Final = frozenset(
    {
        *("arguments", "args", "properties", "job_configs", "job_parameters", "conf"),
        *("hql", "sql", "sql_content", "statement"),
    }
)
_NEVER_AS_TEXT: Final = frozenset({"parameters", "info"})
"""
Arguments of a script, and Oozie's text about a run, which may quote the run's arguments; as objects they hold neither.

Source: CreateCluster (bootstrap_scripts, exec_scripts); job executions (V1.1).
"""

_SECRET_WORDS: Final = ("password", "secret", "token", "credential", "private_key", "access_key", "accesskey")


class Asked(NamedTuple):
    """
    Values of a request that MRS may quote and no event may show.

    Attributes:
        values: texts to remove.
        statements: SQL, of which literals and pieces longer than a name are removed.
    """

    values: Iterable[str]
    statements: Sequence[str] = ()


def is_hidden(name: str, value: object) -> bool:
    """Return whether the value of this field of the API never appears in events."""
    lowered = name.lower()
    if lowered in NEVER_SHOWN or is_secret(name):
        return True
    return lowered in _NEVER_AS_TEXT and isinstance(value, str)


def is_secret(name: str) -> bool:
    """Return whether a field or property of this name holds a password, a key or another secret."""
    lowered = name.lower()
    return any(word in lowered for word in _SECRET_WORDS)


def redact(text: str, asked: Asked | None) -> str:
    """
    Return the text without the request's values; without quoted values if the request's are not known any more.

    Takes time in proportion to the request's size for any text; returns at most `MAX_LENGTH` characters.
    """
    is_cut = len(text) > MAX_LENGTH
    text = text[:MAX_LENGTH]

    # An engine's copy of the statement is cut off first.
    if (printed := _PRINTED_SQL.search(text)) is not None:
        text, is_cut = f"{text[: printed.start()].rstrip()} {ELLIPSIS}", False
    if asked is None:
        return _closed(_QUOTED.sub(_only_names, text), is_cut=is_cut)

    # Long values go first: a short one may be part of them.
    for value in sorted(_occurring(text, (*asked.values, *_literals(asked.statements))), key=len, reverse=True):
        if is_cut:
            text = _without_begun(text, value)
        text = text.replace(value, ELLIPSIS)
    for statement in asked.statements:
        text = _without_pieces(text, " ".join(statement.split()))
    return text


def _closed(text: str, *, is_cut: bool) -> str:
    """Remove the end of a text that was cut off within quotation marks."""
    if not is_cut:
        return text
    opened = next((found for found in _OPENED.finditer(text) if found[3]), None)
    return text if opened is None else text[: opened.start()] + ELLIPSIS


def _occurring(text: str, values: Iterable[str]) -> set[str]:
    """Return the values that may occur in the text, or begin at its end, by their first characters."""
    begins = {text[at : at + _LEAST] for at in range(len(text) - _LEAST + 1)}
    return {value for value in values if len(value) >= _LEAST and value[:_LEAST] in begins}


def _without_begun(text: str, value: str) -> str:
    """Return the text without the beginning of a value at its end; the rest of that value was cut off."""
    at = text.find(value[:_LEAST], max(0, len(text) - len(value) + 1))
    while at >= 0:
        if value.startswith(text[at:]):
            return text[:at] + ELLIPSIS
        at = text.find(value[:_LEAST], at + 1)
    return text


def _only_names(found: re.Match[str]) -> str:
    return found[0] if _NAME.fullmatch(found[1] or found[2] or "") else ELLIPSIS


def _literals(statements: Iterable[str]) -> Iterator[str]:
    for statement in statements:
        for found in _LITERAL.finditer(statement):
            if found[1]:
                value = found[1].replace("''", "'")
                yield from (found[1], value, " ".join(value.split()))


def secrets(value: Any, *, hidden: bool = False) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield the values in a body of the API that never appear in events."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from secrets(inner, hidden=hidden or is_hidden(str(name), inner))
    elif isinstance(value, list):
        for inner in value:
            yield from secrets(inner, hidden=hidden)
    elif hidden and not isinstance(value, bool) and value is not None:
        yield str(value)


def _without_pieces(text: str, statement: str) -> str:
    """Return the text without each longest run that the statement contains too, unless the run is one name."""
    pieces = {text[at : at + _PIECE] for at in range(len(text) - _PIECE + 1)}
    pieces.intersection_update(statement[at : at + _PIECE] for at in range(len(statement) - _PIECE + 1))
    if not pieces:
        return text

    kept: list[str] = []
    first = 0
    while first < len(text):
        end = first
        while text[end : end + _PIECE] in pieces:
            end += 1
        if end == first:
            kept.append(text[first])
            first += 1
            continue

        run = text[first : end + _PIECE - 1]
        shown = run if _NAMES.fullmatch(run.strip()) else run[: len(run) - len(run.lstrip())] + ELLIPSIS
        kept.append(shown)
        first += len(run)
    return "".join(kept)
