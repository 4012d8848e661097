"""
Calls of functions as they are written.

sqlglot turns most functions into classes of its own, whose arguments may stand in another order and whose number it
checks. For the checks a call must stay as it is, so the first letter of its name is exchanged for one that no name has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlglot
from sqlglot import exp

_SHIFT = 0xE000
AGGREGATES = frozenset(
    [
        "any_value",
        "approx_distinct",
        "approx_percentile",
        "arbitrary",
        "array_agg",
        "avg",
        "bool_and",
        "bool_or",
        "checksum",
        "collect_list",
        "collect_set",
        "corr",
        "count",
        "count_if",
        "covar_pop",
        "covar_samp",
        "every",
        "first",
        "geometric_mean",
        "histogram",
        "kurtosis",
        "last",
        "map_agg",
        "max",
        "max_by",
        "mean",
        "min",
        "min_by",
        "percentile",
        "percentile_approx",
        "skewness",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "sum",
        "var_pop",
        "var_samp",
        "variance",
    ]
)
_KEPT = frozenset(
    "cast try_cast extract trim substring position normalize if coalesce nullif exists try row array map".split()  # noqa: SIM905 - a list of words
)
_WORDS = frozenset(
    "left right replace first last format filter char truncate date year month day hour minute sequence some".split()  # noqa: SIM905 - a list of words
)
"""Keywords of sqlglot that are functions before a bracket."""
_NAMING = frozenset("INTO TABLE VIEW EXISTS AS WITH JOIN OVERWRITE .".split())  # noqa: SIM905 - a list of words
"""Words after which a name before a bracket is no function."""
_ENDING = (sqlglot.TokenType.R_PAREN, sqlglot.TokenType.VAR)
"""What stands before an alias with columns."""


def masked(sql: str, tokens: Sequence[Any]) -> str:
    """Return the statement with the names of its functions masked; it has the same length."""
    letters = list(sql)
    for index, (before, token, following) in enumerate(zip([None, *tokens], tokens, tokens[1:], strict=False)):
        is_word = token.token_type == sqlglot.TokenType.VAR or token.text.lower() in _WORDS
        is_call = (
            is_word and following.token_type == sqlglot.TokenType.L_PAREN and not _names_columns(tokens, index + 1)
        )
        is_name = before is not None and (before.text.upper() in _NAMING or before.token_type in _ENDING)
        if is_call and not is_name and token.text.lower() not in _KEPT and sql[token.start].isascii():
            letters[token.start] = chr(_SHIFT + ord(letters[token.start].lower()))
    return "".join(letters)


def _names_columns(tokens: Sequence[Any], index: int) -> bool:
    """Return whether the bracket at a token is no call: SOME (SELECT …), or columns of a name before AS (SELECT …)."""
    texts = [token.text.upper() for token in tokens[index:]]
    if texts[1:2] and texts[1] in {"SELECT", "VALUES", "WITH"}:
        return True
    depth = 0
    for place, text in enumerate(texts):
        depth += {"(": 1, ")": -1}.get(text, 0)
        if not depth:
            return texts[place + 1 : place + 3] == ["AS", "("]
    return False


def name(node: exp.Expr) -> str | None:
    """Return the name of a call in lower case; None for anything else."""
    if isinstance(node, exp.Anonymous) and node.name and ord(node.name[0]) > _SHIFT:
        return chr(ord(node.name[0]) - _SHIFT) + node.name[1:].lower()
    if isinstance(node, exp.AggFunc):
        return node.sql_name().lower()
    return None


def is_aggregate(node: exp.Expr) -> bool:
    """Return whether a part is an aggregate that is not over a window."""
    if isinstance(node.parent, exp.Window) or (
        isinstance(node.parent, exp.Filter) and isinstance(node.parent.parent, exp.Window)
    ):
        return False
    return isinstance(node, exp.AggFunc) or name(node) in AGGREGATES


def shown(node: exp.Expr, spoken: str) -> str:
    """Return an expression as text, with the names of its functions."""
    copy = node.copy()
    for one in copy.find_all(exp.Anonymous):
        found = name(one)
        if found is not None:
            one.set("this", found)
    return str(copy.sql(spoken, normalize_functions="lower"))
