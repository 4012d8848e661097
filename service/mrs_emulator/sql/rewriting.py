"""Small tools with which the meanings of the dialects are written down."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp

from mrs_emulator.sql import refusing, statement

Rewrite = Callable[[Any, statement.Dialect], exp.Expr]
Rewrites = Mapping[type[exp.Expr], Rewrite]
NamedRewrites = Mapping[str, Rewrite]

_FORMAT = re.compile(r"(?:%[YmdHMS]|[^%A-Za-z])*")
_JAVA_PARTS: Mapping[str, str] = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_JAVA_FORMAT = re.compile("|".join(_JAVA_PARTS))
WHOLE_DAYS = frozenset({"DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "DAYS", "WEEKS", "MONTHS", "YEARS"})


def call(name: str, *arguments: exp.Expr | str | int) -> exp.Anonymous:
    """Return a call of a macro, or of a DuckDB function; texts and numbers become literals."""
    made = [one if isinstance(one, exp.Expr) else _literal(one) for one in arguments]
    return exp.Anonymous(this=name, expressions=made)


def _literal(value: str | int) -> exp.Expr:
    return exp.Literal.number(value) if isinstance(value, int) else exp.Literal.string(value)


def renamed(name: str, *keys: str) -> Rewrite:
    """Return a rewrite to a macro that takes the named arguments in this order, without the optional ones not given."""

    def rewrite(node: exp.Expr, _spoken: statement.Dialect) -> exp.Expr:
        only(node, *keys)
        return call(name, *[node.args[key] for key in keys if node.args.get(key) is not None])

    return rewrite


def named(name: str, least: int, most: int | None = None) -> Rewrite:
    """Return a rewrite of a function that sqlglot does not know to a macro with the same arguments."""

    def rewrite(node: exp.Anonymous, _spoken: statement.Dialect) -> exp.Expr:
        count = len(node.expressions)
        if not least <= count <= (least if most is None else most):
            raise refusing.not_played(f"{node.name.lower()} with {count} arguments")
        return call(name, *node.expressions)

    return rewrite


def with_inside(tree: exp.Insert) -> None:
    """Move the common tables before an INSERT into the query that names them."""
    for key in ("with_", "with"):  # sqlglot renamed the member
        if tree.args.get(key) and tree.expression is not None:
            tree.expression.set(key, tree.args[key].pop())


def only(node: exp.Expr, *keys: str) -> None:
    """
    Make sure that a function has no other arguments than these.

    Raises:
        SqlRefused: it has.
    """
    known = {*keys, "safe", "dialect", "copy", "coerce", "ansi", "zone_form"}
    more = [key for key, value in node.args.items() if key not in known and value not in (None, False, [])]
    if more:
        raise refusing.not_played(f"this form of {node.sql_name().lower()}" if isinstance(node, exp.Func) else more[0])


def simple_format(node: exp.Expr | None) -> str | None:
    """
    Return a literal date format, as strftime has it, of years, months, days, hours, minutes and seconds; else None.

    sqlglot marks parts that must have all of their digits, and leaves some formats as they were written.
    """
    if not isinstance(node, exp.Literal) or not node.is_string:
        return None
    form = _JAVA_FORMAT.sub(lambda found: _JAVA_PARTS[found.group()], node.name.replace("strict", ""))
    return form if _FORMAT.fullmatch(form) else None


def decimal_of(node: exp.Expr) -> tuple[int, int] | None:
    """Return precision and scale of an exact number whose type shows: a literal, or a cast; None where it does not."""
    if isinstance(node, exp.Paren | exp.Neg):
        return decimal_of(node.this)
    if isinstance(node, exp.Literal) and not node.is_string and re.fullmatch(r"[0-9]*[.]?[0-9]*", node.name):
        whole, _, fraction = node.name.partition(".")
        whole = whole.lstrip("0")
        return max(1, len(whole) + len(fraction)), len(fraction)
    if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DECIMAL:
        sizes = [int(one.name) for one in node.to.expressions]
        return (sizes[0], sizes[1] if len(sizes) > 1 else 0) if sizes else (10, 0)
    return None


def is_text(node: exp.Expr) -> bool:
    """Return whether an operand is a text literal."""
    return isinstance(node, exp.Literal) and bool(node.is_string)


def is_number(node: exp.Expr) -> bool:
    """Return whether an operand is a number literal."""
    inner = node.this if isinstance(node, exp.Neg | exp.Paren) else node
    return isinstance(inner, exp.Literal) and not inner.is_string


def cast(node: exp.Expr, kind: str) -> exp.Expr:
    """Return DuckDB's cast."""
    return exp.Cast(this=node, to=exp.DataType.build(kind, dialect="duckdb"))


def when(condition: exp.Expr, value: exp.Expr, otherwise: exp.Expr) -> exp.Expr:
    """Return a CASE with one branch."""
    return exp.Case(ifs=[exp.If(this=condition, true=value)], default=otherwise)
