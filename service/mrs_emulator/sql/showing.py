"""
SHOW and DESC as queries on DuckDB's catalogue, with the columns that each dialect answers with.

Source: samples of ShowSqlResultWithJob (database, tableName, isTemporary) and ExecuteSql; Presto and Hive manuals.
"""

from __future__ import annotations

import re

from mrs_emulator.core import failures
from mrs_emulator.sql import refusing, statement

_SCHEMATA = (
    "SELECT DISTINCT CASE WHEN schema_name = 'main' THEN 'default' ELSE schema_name END AS {column} "
    "FROM information_schema.schemata WHERE (catalog_name = current_database() "
    "AND schema_name NOT IN ('information_schema', 'pg_catalog'){also}){like} ORDER BY 1"
)
_WORD = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\w+|\S")
_DETAIL_WORDS = frozenset({"TABLE", "EXTENDED", "FORMATTED"})


def show(sql: str, spoken: statement.Dialect) -> statement.Statement:
    """
    Return a SHOW, DESC or DESCRIBE statement from its text.

    Raises:
        SqlRefused: a form that is not played.
    """
    words = [word[1:-1] if word[0] in "'\"`" else word for word in _WORD.findall(sql)]
    upper = [word.upper() for word in words]

    match upper[:2]:
        case ["SHOW", "TABLES" | "VIEWS"]:
            return _rows(_tables(words[1:], spoken, views_only=upper[1] == "VIEWS"))
        case ["SHOW", "SCHEMAS" | "DATABASES"]:
            column = '"Schema"' if spoken == "presto" else "databaseName"
            also = " OR schema_name = 'information_schema'" if spoken == "presto" else ""
            like = _like(words[1:], "schema_name", spoken)
            return _rows(_SCHEMATA.format(column=column, also=also, like=like))
        case ["SHOW", "CATALOGS"]:
            return _rows("SELECT 'hive' AS \"Catalog\"")
        case ["SHOW", "COLUMNS"]:
            return _columns(_after(words, "FROM", "IN"), spoken)
        case ["DESC" | "DESCRIBE", "FUNCTION"]:
            raise refusing.not_played("DESCRIBE FUNCTION", "docs/emulator-sql.md lists the functions that are played")
        case ["DESC" | "DESCRIBE", *_] if len(words) > 1:
            rest = words[1:]
            while rest and rest[0].upper() in _DETAIL_WORDS:
                rest = rest[1:]
            return _columns(rest, spoken)
        case _:
            text = "SHOW TABLES, VIEWS, SCHEMAS, CATALOGS, COLUMNS and DESCRIBE are played"
            raise refusing.not_played(" ".join(upper[:2]), text)


def named(sql: str) -> tuple[str, str | None, str | None]:
    """Return what a SHOW or DESC names: `table` or `database`, the database and the table; else empty texts."""
    words = [word[1:-1] if word[0] in "'\"`" else word for word in _WORD.findall(sql)]
    upper = [word.upper() for word in words]
    match upper[:2]:
        case ["SHOW", "TABLES" | "VIEWS"]:
            found = _dotted(_after(words[1:], "FROM", "IN"))
            return "database", found[-1] if found else None, None
        case ["SHOW", "COLUMNS" | "PARTITIONS"]:
            start = 2 if upper[1] == "PARTITIONS" else None
            found = _dotted(words[start:] if start else _after(words, "FROM", "IN"))
        case ["DESC" | "DESCRIBE", second, *_] if second not in {"FUNCTION", "DATABASE", "SCHEMA"}:
            rest = words[1:]
            while rest and rest[0].upper() in _DETAIL_WORDS:
                rest = rest[1:]
            found = _dotted(rest)
        case _:
            return "", None, None

    return "table", found[-2] if len(found) > 1 else None, found[-1] if found else None


def _rows(sql: str) -> statement.Statement:
    return statement.Statement(statement.Kind.ROWS, (sql,))


def _after(words: list[str], *keywords: str) -> list[str]:
    """Return the words after the first of the keywords."""
    for index, word in enumerate(words):
        if word.upper() in keywords:
            return words[index + 1 :]
    return []


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _dotted(words: list[str]) -> list[str]:
    """Return the parts of a dotted name at the start of the words."""
    parts = words[:1]
    rest = words[1:]
    while len(rest) > 1 and rest[0] == ".":
        parts.append(rest[1])
        rest = rest[2:]
    return parts


def _like(words: list[str], column: str, spoken: statement.Dialect) -> str:
    pattern = _after(words, "LIKE")
    if not pattern and spoken != "presto" and len(words) == 2:  # noqa: PLR2004 - Hive: SHOW TABLES 'pattern'
        pattern = words[1:]
    if not pattern:
        return ""
    text = pattern[0] if spoken == "presto" else pattern[0].replace("*", "%")
    return f" AND {column} ILIKE {_literal(text)}"


def _tables(words: list[str], spoken: statement.Dialect, *, views_only: bool) -> str:
    schema = _dotted(_after(words, "FROM", "IN"))[-1:]
    where = f"table_schema = {_literal(statement.schema_name(schema[0])) if schema else 'current_schema()'}"
    where += _like(words, "table_name", spoken)
    if views_only:
        where += " AND table_type = 'VIEW'"
    columns = 'table_name AS "Table"' if spoken == "presto" else "table_name AS tab_name"
    if spoken == "spark":
        columns = (
            "CASE WHEN table_schema = 'main' THEN 'default' ELSE table_schema END AS database, "
            "table_name AS tableName, "
            "CASE WHEN table_catalog = 'temp' THEN 'true' ELSE 'false' END AS isTemporary"
        )
    return f"SELECT {columns} FROM information_schema.tables WHERE {where} ORDER BY table_name"  # noqa: S608 - quoted above


def _columns(words: list[str], spoken: statement.Dialect) -> statement.Statement:
    parts = [statement.schema_name(part) for part in _dotted(words)[-2:]]
    if not parts:
        raise failures.SqlRefused("DESC needs the name of a table")
    table = ".".join(statement.quoted(part) for part in parts)
    names = (
        'column_name AS "Column", column_type AS "Type", \'\' AS "Extra", \'\' AS "Comment"'
        if spoken == "presto"
        else "column_name AS col_name, column_type AS data_type, NULL::VARCHAR AS comment"
    )
    sql = f"SELECT {names} FROM (DESCRIBE {table})"  # noqa: S608 - quoted above
    return statement.Statement(statement.Kind.ROWS, (sql,), types_column=1)
