"""
Where Hive answers otherwise than Spark: texts of decimals and truths, domains of functions, forms that it lacks.

Source: Hive 3.1.3, recorded in `tests/unit/emulator/expressions/hive.jsonl`.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from mrs_emulator.sql import refusing, rewriting, statement
from mrs_emulator.sql.rewriting import call, only


def _by_engine(hive: str, spark: str) -> rewriting.Rewrite:
    """Make the rewrite of a function of one value that Hive answers otherwise."""

    def rewrite(node: exp.Expr, spoken: statement.Dialect) -> exp.Expr:
        only(node, "this")
        return call(hive if spoken == "hive" else spark, node.this)

    return rewrite


def _not_hive(node: exp.Expr, spoken: statement.Dialect) -> exp.Expr:
    """Refuse a form that Hive does not have, or in which it means another thing."""
    if spoken == "hive":
        raise refusing.not_played(f"this form of {node.key}")
    return node


def _trim(node: exp.Trim, spoken: statement.Dialect) -> exp.Expr:
    if spoken == "hive" and node.args.get("expression") is not None:
        raise refusing.not_played("trim of other letters than blanks, which Hive does not have")
    return node


def _replace(node: exp.Replace, spoken: statement.Dialect) -> exp.Expr:
    if spoken == "spark":
        return node
    if node.args.get("replacement") is None:
        raise refusing.not_played("replace with two arguments, which Hive does not have", "name what to put there")
    return call("__replace_some", node.this, node.expression, node.args["replacement"])


def _base64(node: exp.ToBase64, spoken: statement.Dialect) -> exp.Expr:
    if spoken == "hive":
        raise refusing.not_played("base64, which takes binary in Hive")
    return call("__base64", node.this)


def _number(node: exp.Literal, spoken: statement.Dialect) -> exp.Expr:
    """Leave out zeros at the end of a decimal, as Hive does; quotients are scaled elsewhere."""
    if spoken == "spark" or node.is_string or not node.name.endswith("0") or "." not in node.name:
        return node
    if node.find_ancestor(exp.Div) or "e" in node.name.lower():
        return node
    whole, _, fraction = node.name.partition(".")
    fraction = fraction.rstrip("0")
    return rewriting.cast(exp.Literal.number(f"{whole}.{fraction}" if fraction else whole), _decimal(whole, fraction))


def _decimal(whole: str, fraction: str) -> str:
    return f"DECIMAL({max(1, len(whole.lstrip('0')) + len(fraction))}, {len(fraction)})"


def _array(node: exp.Array, spoken: statement.Dialect) -> exp.Expr:
    if spoken == "hive" and any((rewriting.decimal_of(one) or (0, 0))[1] for one in node.expressions):
        raise refusing.not_played("an array of decimals, whose zeros Hive leaves out", "cast them to double or string")
    return node


REWRITES: Final[rewriting.Rewrites] = {
    exp.ToBase64: _base64,
    exp.Trim: _trim,
    exp.Replace: _replace,
    exp.Literal: _number,
    exp.Array: _array,
    exp.Filter: _not_hive,
    exp.Variance: _not_hive,
    exp.Ascii: _by_engine("__hive_ascii", "__ascii"),
    exp.Sqrt: _by_engine("__hive_sqrt", "__sqrt"),
    exp.Asin: _by_engine("__hive_asin", "__asin"),
    exp.Acos: _by_engine("__hive_acos", "__acos"),
    exp.Sign: _by_engine("__hive_sign", "__sign"),
    exp.Stddev: lambda node, spoken: call("stddev_pop" if spoken == "hive" else "stddev", node.this),
}
"""Rewrites by class."""
