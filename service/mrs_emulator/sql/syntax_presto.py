"""
What Presto says about slips of syntax.

Source: Presto 333, recorded in `tests/unit/emulator/mistakes/presto.jsonl`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mrs_emulator.core import failures
from mrs_emulator.sql import syntax

_S = syntax.Slip
_AFTER_ITEM: Final = (
    "',', 'EXCEPT', 'FETCH', 'FROM', 'GROUP', 'HAVING', 'INTERSECT', 'LIMIT', 'OFFSET', 'ORDER', 'UNION', 'WHERE', "
    "<EOF>"
)
_STATEMENT_EXPECTS: Final = (
    "'ALTER', 'ANALYZE', 'CALL', 'COMMENT', 'COMMIT', 'CREATE', 'DEALLOCATE', 'DELETE', 'DESC', 'DESCRIBE', "
    "'DROP', 'EXECUTE', 'EXPLAIN', 'GRANT', 'INSERT', 'PREPARE', 'RESET', 'REVOKE', 'ROLLBACK', 'SET', 'SHOW', "
    "'START', 'USE', <query>"
)
_CLOSED_EXPECTS: Final = (
    "'%', '*', '+', ',', '-', '.', '/', 'AND', 'AS', 'AT', 'EXCEPT', 'FETCH', 'FROM', 'GROUP', 'HAVING', "
    "'INTERSECT', 'LIMIT', 'OFFSET', 'OR', 'ORDER', 'UNION', 'WHERE', '[', '||', <EOF>, <identifier>, "
    "<predicate>"
)
_LIMIT_EXPECTS: Final = (
    "'(', ',', 'CROSS', 'EXCEPT', 'FETCH', 'FULL', 'GROUP', 'HAVING', 'INNER', 'INTERSECT', 'JOIN', 'LEFT', "
    "'LIMIT', 'NATURAL', 'OFFSET', 'ORDER', 'RIGHT', 'TABLESAMPLE', 'UNION', 'WHERE', <EOF>"
)
_EXPECTED: Final[Mapping[syntax.Slip, str]] = {
    _S.NO_COLUMNS: "'*', 'ALL', 'DISTINCT', <expression>",
    _S.NO_COLUMN: "'*', <expression>",
    _S.SECOND_ALIAS: _AFTER_ITEM,
    _S.NO_TABLE: "'(', 'LATERAL', 'UNNEST', <identifier>",
    _S.NO_CONDITION: "<expression>",
    _S.NO_BY: "'BY'",
    _S.TWO_OPERATORS: "<predicate>",
    _S.OPEN: "')', ','",
    _S.NO_END: "'ELSE', 'END', 'WHEN'",
    _S.NO_INTO: "'INTO'",
    _S.NO_KIND: "'ROLE', 'SCHEMA', 'TABLE', 'VIEW'",
    _S.NO_NAME: "'IF', <identifier>",
    _S.STATEMENT: _STATEMENT_EXPECTS,
    _S.CLOSED: _CLOSED_EXPECTS,
    _S.LIMIT: _LIMIT_EXPECTS,
}


def refused(sql: str, tokens: Sequence[Any], found: syntax.Found) -> failures.SqlRefused:
    """Return the error at a slip."""
    at_end = found.index >= len(tokens)
    offset = len(sql) if at_end else tokens[found.index].start
    text = "<EOF>" if at_end else sql[offset : tokens[found.index].end + 1]
    return mismatched(sql, offset, text, _EXPECTED.get(found.slip))


def mismatched(sql: str, offset: int, text: str, expected: str | None = None) -> failures.SqlRefused:
    """Return `mismatched input` at a place."""
    before = sql[:offset]
    line, column = before.count("\n") + 1, offset - before.rfind("\n")
    wanted = f". Expecting: {expected}" if expected else ""
    return failures.SqlRefused(f"line {line}:{column}: mismatched input '{text}'{wanted}", line=line, column=column)
