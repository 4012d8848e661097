"""
What Spark and Hive say about slips of syntax.

Source: Spark 3.5.3 and Hive 3.1.3, recorded in `tests/unit/emulator/mistakes/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mrs_emulator.core import failures
from mrs_emulator.sql import places, refusing, syntax

_S = syntax.Slip
_LACKING: Final = frozenset({_S.NO_COLUMNS, _S.NO_COLUMN, _S.NO_TABLE, _S.NO_CONDITION})
EOF: Final = "<EOF>"
"""What stands for the end of a statement."""
_HIVE_IN: Final[Mapping[syntax.Slip, str]] = {
    _S.STATEMENT: "",
    _S.NO_COLUMNS: " in select clause",
    _S.NO_TABLE: " in join source",
    _S.NO_CONDITION: " in expression specification",
    _S.TWO_OPERATORS: " in expression specification",
    _S.NO_INTO: " in insert clause",
    _S.NO_KIND: " in ddl statement",
    _S.NO_NAME: " in table name",
}
_HIVE_MISSING: Final[Mapping[syntax.Slip, str]] = {_S.NO_BY: "BY", _S.OPEN: ")", _S.NO_END: "KW_END"}


def spark(sql: str, tokens: Sequence[Any], found: syntax.Found) -> failures.SqlRefused:
    """Return Spark's error at a slip; where it takes the next keyword for a name, the statement is not played."""
    whens = [place for place, token in enumerate(tokens) if token.text.upper() == "WHEN"]
    if found.slip in _LACKING or found.slip is _S.LIMIT or (found.slip is _S.NO_END and not whens):
        return refusing.not_played(f"a statement where {found.slip.value}", "add what is missing")
    index = found.index
    if found.slip is _S.NO_END:  # CASE is then a column, WHEN its alias
        index = whens[0] + 1
    is_extra = index == len(tokens) - 1 and found.slip in {_S.NO_BY, _S.SECOND_ALIAS}
    offset, text = _at(sql, tokens, index)
    return spark_near(sql, offset, text, f": extra input '{text}'" if is_extra else "")


def spark_near(sql: str, offset: int, text: str, more: str = "") -> failures.SqlRefused:
    """Return Spark's syntax error, with the statement and a mark under the place."""
    said = f"near '{text}'" if text != EOF else "near end of input"
    return spark_parse(sql, offset, f"[PARSE_SYNTAX_ERROR] Syntax error at or {said}{more}.")


def spark_parse(sql: str, offset: int, text: str) -> failures.SqlRefused:
    """Return an error of Spark's parser, with the statement and a mark under the place."""
    line, column = places.line_column(sql, offset)
    lines = sql.split("\n")
    shown = "\n".join([*lines[:line], "-" * (column - 1) + "^^^", *lines[line:]])
    place = f"(line {line}, pos {column - 1})"
    return failures.SqlRefused(f"\n{text}{place}\n\n== SQL ==\n{shown}\n", line=line, column=column)


def hive(sql: str, tokens: Sequence[Any], found: syntax.Found) -> failures.SqlRefused:
    """Return Hive's error at a slip."""
    index = found.index
    if found.slip in _HIVE_IN:
        start = 0 if found.slip in {_S.NO_INTO, _S.NO_KIND} else index
        near = " ".join(f"'{_at(sql, tokens, start + step)[1]}'" for step in range(3))
        return hive_parse(sql, _at(sql, tokens, index)[0], f"cannot recognize input near {near}{_HIVE_IN[found.slip]}")
    if found.slip in _HIVE_MISSING:
        offset, text = _at(sql, tokens, index)
        return hive_parse(sql, offset, f"missing {_HIVE_MISSING[found.slip]} at '{text}' near '{EOF}'")
    if found.slip is _S.NO_COLUMN:
        index -= 1
    offset, text = _at(sql, tokens, index)
    if index == len(tokens) - 1:
        return hive_parse(sql, offset, f"extraneous input '{text}' expecting EOF near '{EOF}'")
    return hive_parse(sql, offset, f"missing EOF at '{text}' near '{_at(sql, tokens, index - 1)[1]}'")


def hive_parse(sql: str, offset: int, text: str) -> failures.SqlRefused:
    """Return an error of Hive's parser."""
    line, column = places.line_column(sql, offset)
    return failures.SqlRefused(f"FAILED: ParseException line {line}:{column - 1} {text}", line=line, column=column)


def hive_type(sql: str, tokens: Sequence[Any], offset: int, where: str) -> failures.SqlRefused:
    """Return a type that Hive does not have."""
    index = next(place for place, token in enumerate(tokens) if token.start == offset)
    near = " ".join(f"'{_at(sql, tokens, index + step)[1]}'" for step in range(3))
    return hive_parse(sql, offset, f"cannot recognize input near {near} in {where}")


def _at(sql: str, tokens: Sequence[Any], index: int) -> tuple[int, str]:
    """Return where a token is, and its text; past the last one the end of the statement."""
    if index >= len(tokens):
        return len(sql), EOF
    return tokens[index].start, sql[tokens[index].start : tokens[index].end + 1]
