"""Types of expressions, as far as they show without running them; None where they do not. Names are the engine's."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from mrs_emulator.sql import calls, rewriting, statement

_INT_MAX = 2**31 - 1
_WHOLE = ("tinyint", "smallint", "integer", "int", "bigint")
_QUANTIFIED = (exp.Any, exp.All)
_BOOLEANS = (exp.Predicate, exp.And, exp.Or, exp.Not, exp.Boolean)

Columns = Callable[[exp.Column], str | None]
"""The type of a column."""

Fits = Callable[[str, str], bool]
"""Whether two types go together."""


def kind(node: exp.Expr, spoken: statement.Dialect, columns: Columns) -> str | None:  # noqa: PLR0911 - a table of nodes
    """Return the type of an expression."""
    match node:
        case exp.Paren() | exp.Neg() | exp.Alias():
            return kind(node.this, spoken, columns)
        case exp.Column():
            return columns(node)
        case exp.Null():
            return "unknown"
        case exp.Literal():
            return _literal(node, spoken)
        case exp.TryCast() | exp.Cast():
            return named(node.to, spoken)
        case exp.Anonymous() if calls.name(node) in {"count", "row_number", "rank"}:
            return "bigint"
        case exp.Anonymous() if calls.name(node) in {"max", "min", "abs"} and len(node.expressions) == 1:
            return kind(node.expressions[0], spoken, columns)
        case exp.Add() | exp.Sub() | exp.Mul():
            return _arithmetic(kind(node.this, spoken, columns), kind(node.expression, spoken, columns))
        case _ if isinstance(node, _BOOLEANS) and not isinstance(node, _QUANTIFIED):
            return "boolean"

    return None


def named(kind_of: exp.DataType, spoken: statement.Dialect) -> str:
    """Return a type as the engine writes it, such as `decimal(10,2)`."""
    return (
        kind_of.sql(spoken).lower().replace(", ", ",").replace("string", "varchar" if spoken == "presto" else "string")
    )


def base(name: str) -> str:
    """Return a type without its sizes."""
    return name.partition("(")[0]


def outer(name: str) -> str:
    """Return a type without its sizes and the types of its parts."""
    return base(name).partition("<")[0]


def is_number(name: str) -> bool:
    """Return whether a type is one of numbers."""
    return base(name) in {*_WHOLE, "double", "real", "float", "decimal"}


def is_nested(name: str) -> bool:
    """Return whether a type has parts of its own."""
    return name.startswith(("array", "map", "struct"))


def _literal(node: exp.Literal, spoken: statement.Dialect) -> str | None:
    if node.is_string:
        return f"varchar({len(node.name)})" if spoken == "presto" else "string"
    if "e" in node.name.lower():
        return "double"
    whole = "integer" if spoken == "presto" else "int"
    if "." not in node.name:
        return whole if int(node.name) <= _INT_MAX else "bigint"
    sizes = rewriting.decimal_of(node)
    return None if sizes is None else f"decimal({sizes[0]},{sizes[1]})"


def _arithmetic(left: str | None, right: str | None) -> str | None:
    if left is None or right is None or not (is_number(left) and is_number(right)):
        return None
    if "double" in {left, right}:
        return "double"
    if left in _WHOLE and right in _WHOLE:
        return max(left, right, key=_WHOLE.index)
    return None


def of_duckdb(duckdb_type: str, spoken: statement.Dialect) -> str:
    """Return a type of DuckDB as the engine writes it."""
    return named(exp.DataType.build(duckdb_type, dialect="duckdb"), spoken)
