"""The checks of a statement before it is translated, by the rules and in the words of its engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from mrs_emulator.core import failures
from mrs_emulator.sql import (
    calls,
    catalogue,
    changes,
    changes_hive,
    changes_presto,
    changes_spark,
    checking,
    kinds,
    places,
    refusing,
    rewriting,
    showing,
    statement,
    syntax,
    syntax_java,
    syntax_presto,
    wording_hive,
    wording_presto,
    wording_spark,
)

_SLIPS = {"presto": syntax_presto.refused, "spark": syntax_java.spark, "hive": syntax_java.hive}
_EXPLAINED = re.compile(
    r"^\s*EXPLAIN(?:\s*\([^)]*\)|\s+(?:ANALYZE|EXTENDED|FORMATTED|LOGICAL|CODEGEN|COST))*\s", re.IGNORECASE
)
"""What is before an explained statement, which has the mistakes."""
_CAST_TYPE = "primitive type specification"
_COLUMN_TYPE = "column type"
_SHOWN = frozenset({"SHOW", "DESC", "DESCRIBE"})


def check(sql: str, spoken: statement.Dialect, known: catalogue.Catalogue) -> None:
    """
    Look for the mistakes that the engine would find in a statement; what cannot be parsed is left to the translation.

    Raises:
        SqlRefused: the first mistake, in the engine's words.
    """
    sql = _EXPLAINED.sub(lambda found: " " * len(found.group()), sql)
    tokens = _tokens(sql, spoken)
    slip = syntax.find(tokens)
    if slip is not None:
        raise _SLIPS[spoken](sql, tokens, slip)

    _special(sql, tokens, spoken)
    if tokens[0].text.upper() in _SHOWN:
        _shown(sql, spoken, known)
        return

    try:
        tree = sqlglot.parse_one(calls.masked(sql, tokens), read=spoken)
    except sqlglot.errors.ParseError as error:
        raise _unread(sql, tokens, spoken, error) from error
    except sqlglot.errors.SqlglotError:
        return

    if isinstance(tree, exp.Insert):
        rewriting.with_inside(tree)
    _types(sql, tokens, spoken, tree)
    queries, others = _checkers(places.Places(sql, tokens, tree), spoken, known)

    if isinstance(tree, exp.Query):
        queries.query(tree)
    else:
        others.check(tree)


def _checkers(
    where: places.Places, spoken: statement.Dialect, known: catalogue.Catalogue
) -> tuple[checking.Checker, changes.Changes[Any]]:
    """Return the checks of queries and of other statements, in the words of an engine."""
    if spoken == "presto":
        presto = wording_presto.PrestoWords(where)
        queries = checking.Checker(known, presto, spoken)
        return queries, changes_presto.PrestoChanges(known, presto, queries)
    if spoken == "spark":
        spark = wording_spark.SparkWords(where)
        queries = checking.Checker(known, spark, spoken)
        return queries, changes_spark.SparkChanges(known, spark, queries)
    hive = wording_hive.HiveWords(where)
    queries = checking.Checker(known, hive, spoken)
    return queries, changes_hive.HiveChanges(known, hive, queries)


def _types(sql: str, tokens: Sequence[Any], spoken: statement.Dialect, tree: exp.Expr) -> None:
    """Check the types, which Spark's and Hive's parsers know."""
    if spoken == "presto":
        return
    for node in tree.find_all(exp.DataType):
        if node.this != exp.DataType.Type.USERDEFINED:
            continue
        name = kinds.named(node, spoken)
        offset = next((token.start for token in tokens if token.text.lower() == name), None)
        if offset is None:
            continue
        is_column = node.find_ancestor(exp.ColumnDef) is not None
        raise _unknown_type(sql, tokens, spoken, offset, _COLUMN_TYPE if is_column else _CAST_TYPE)


def _unknown_type(
    sql: str, tokens: Sequence[Any], spoken: statement.Dialect, offset: int, where: str
) -> failures.SqlRefused:
    """Return a type that Spark or Hive does not have."""
    if spoken == "hive":
        return syntax_java.hive_type(sql, tokens, offset, where)
    name = next(token.text for token in tokens if token.start == offset).upper()
    return syntax_java.spark_parse(sql, offset, f'[UNSUPPORTED_DATATYPE] Unsupported data type "{name}".')


def _type_place(tokens: Sequence[Any], index: int) -> str | None:
    """Return what wants a type at a token: CAST, a column of CREATE TABLE, or nothing."""
    texts = [token.text.upper() for token in tokens[:index]]
    if texts[-1:] == ["AS"] and "CAST" in texts:
        return _CAST_TYPE
    is_column = texts[:2] == ["CREATE", "TABLE"] and texts[-2:-1] and texts[-2] in {"(", ","}
    return _COLUMN_TYPE if is_column else None


def _tokens(sql: str, spoken: statement.Dialect) -> list[Any]:
    try:
        tokens = list(sqlglot.tokenize(sql, read=spoken))
    except sqlglot.errors.SqlglotError as error:
        raise unclosed(sql, spoken) from error
    backquote = next((token.start for token in tokens if sql[token.start] == "`"), None)
    if spoken == "presto" and backquote is not None:  # in comments and texts it is a letter like others
        text = "backquoted identifiers are not supported; use double quotes to quote identifiers"
        line, column = places.line_column(sql, backquote)
        raise failures.SqlRefused(f"line {line}:{column}: {text}", line=line, column=column)
    return tokens


def _special(sql: str, tokens: Sequence[Any], spoken: statement.Dialect) -> None:
    """Check forms of functions: Presto has substring(x FROM 1) and no such function, Hive only the functions."""
    for index, token in enumerate(tokens[:-1]):
        word = token.text.upper()
        if spoken == "hive" and word == "POSITION" and tokens[index + 1].text == "(":
            raise refusing.not_played("position, which Hive does not have", "use instr or locate")

        is_short = word in {"CHAR", "VARCHAR"} and index > 0 and tokens[index - 1].text.upper() == "AS"
        if spoken == "hive" and is_short and tokens[index + 1].text == "(":
            raise refusing.not_played(f"CAST to {word.lower()} of a length", "use substr, rpad or string")

        if word == "SUBSTRING" and spoken != "spark" and tokens[index + 1].text == "(":
            depth = 0
            for inner in tokens[index + 1 :]:
                depth += {"(": 1, ")": -1}.get(inner.text, 0)
                if not depth or (depth == 1 and inner.text.upper() == "FROM"):
                    break
            if depth and spoken == "hive":
                raise refusing.not_played("substring with FROM, which Hive does not have", "use commas")
            if not depth and spoken == "presto":
                line, column = places.line_column(sql, token.start)
                raise failures.SqlRefused(f"line {line}:{column}: Function 'substring' not registered")


def unclosed(sql: str, spoken: statement.Dialect) -> failures.SqlRefused:
    """Return a quote that is not closed: Presto stumbles over what stands before it, where that needs what follows."""
    quote = next((one for one in ("'", '"') if sql.count(one) % 2), "'")
    at = sql.rfind(quote)
    if spoken == "hive":
        return syntax_java.hive_parse(sql, len(sql), f"character '{syntax_java.EOF}' not supported here")
    if spoken == "spark":
        return syntax_java.spark_near(sql, at, quote)

    before = sqlglot.tokenize(sql[:at], read=spoken)
    if before:
        last = before[-1]
        if last.text in {"=", "<", ">", "<>", "!=", "<=", ">="}:
            return syntax_presto.mismatched(sql, at, last.text, "<predicate>")
        if last.text.upper() == "SELECT":
            return syntax_presto.refused(
                sql, [*before, _Quote(at, at)], syntax.Found(syntax.Slip.NO_COLUMNS, len(before))
            )

    return failures.SqlRefused("the statement cannot be read: unclosed quote or comment")


def _unread(
    sql: str, tokens: Sequence[Any], spoken: statement.Dialect, error: sqlglot.errors.ParseError
) -> failures.SqlRefused:
    """Return a statement that does not parse."""
    first = error.errors[0] if error.errors else {}
    found = [one for one in tokens if (one.line, one.col) == (first.get("line"), first.get("col"))]
    offset, text = (found[0].start, sql[found[0].start : found[0].end + 1]) if found else (len(sql), "<EOF>")
    if found and spoken != "presto" and (where := _type_place(tokens, tokens.index(found[0]))):
        return _unknown_type(sql, tokens, spoken, offset, where)
    return refusing.not_played(f"the syntax at '{text}'", "see whether it is right, or test it on a cluster of MRS")


def _shown(sql: str, spoken: statement.Dialect, known: catalogue.Catalogue) -> None:
    """Check that the table or database that SHOW or DESCRIBE names is there."""
    what, database, name = showing.named(sql)
    tokens = sqlglot.tokenize(sql, read=spoken)
    _, others = _checkers(places.Places(sql, tokens, exp.Null()), spoken, known)
    if what == "table" and name is not None:
        table = exp.to_table(f"{database}.{name}" if database else name)
        named = re.search(rf"(?<![\w]){re.escape(database or name)}(?!\w)", sql)
        (table.args.get("db") or table.this).meta["start"] = named.start() if named else 0
        others.described(table)
    elif what == "database" and database is not None:
        others.listed(database)


@dataclass(frozen=True, slots=True)
class _Quote:
    """A quote that no token has."""

    start: int
    end: int
