"""Where the parts of a statement are in its text; sqlglot keeps that of names and functions only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlglot
from sqlglot import exp

_LITERALS = (sqlglot.TokenType.NUMBER, sqlglot.TokenType.STRING)


class Places:
    """
    Offsets in the text of a statement.

    Args:
        sql: the text.
        tokens: its tokens.
        tree: its tree, as it was parsed.
    """

    def __init__(self, sql: str, tokens: Sequence[Any], tree: exp.Expr) -> None:
        self.sql = sql
        self._tokens = tokens
        written = [token for token in tokens if token.token_type in _LITERALS]
        parsed = [node for node in tree.dfs() if isinstance(node, exp.Literal)]
        self._literals: dict[int, int] = {}
        for token in written:
            for index, node in enumerate(parsed):
                if node.name == token.text:
                    self._literals[id(parsed.pop(index))] = token.start
                    break

    def start(self, node: exp.Expr) -> int | None:
        """Return where a part starts, as far as its names, functions and literals show it."""
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            return self._named(node.parts[0])
        if isinstance(node, exp.Literal):
            return self._literals.get(id(node))
        if isinstance(node, exp.Cast):
            return self.before(node.this, "CAST", "TRY_CAST")
        found = [node.meta["start"]] if "start" in node.meta else []
        found += [offset for one in node.iter_expressions() if (offset := self.start(one)) is not None]
        return min(found, default=None)

    def _named(self, node: exp.Expr) -> int | None:
        found: int | None = node.meta.get("start")
        return found

    def before(self, node: exp.Expr, *words: str) -> int | None:
        """Return where the last of these words is before a part."""
        start = self.start(node)
        found = [
            token.start
            for token in self._tokens
            if start is not None and token.start < start and token.text.upper() in words
        ]
        return found[-1] if found else None

    def after(self, node: exp.Expr, *words: str) -> int | None:
        """Return where the first of these words is after the start of a part."""
        start = self.start(node)
        found = [
            token.start
            for token in self._tokens
            if start is not None and token.start > start and token.text.upper() in words
        ]
        return found[0] if found else None

    def between(self, left: exp.Expr, right: exp.Expr, *words: str) -> int | None:
        """Return where one of these words is between two parts, as near to the first as their starts show."""
        start, end = self.start(left), self.start(right)
        found = [
            token.start
            for token in self._tokens
            if token.text.upper() in words
            and (start is None or token.start > start)
            and (end is None or token.start < end)
        ]
        return found[0 if end is None else -1] if found else None

    def start_of_call(self, node: exp.Expr) -> int | None:
        """Return where the name of a function is."""
        found: int | None = node.meta.get("start")
        return found

    def word(self, *words: str) -> int | None:
        """Return where the first of these words is."""
        return next((token.start for token in self._tokens if token.text.upper() in words), None)


def line_column(sql: str, offset: int) -> tuple[int, int]:
    """Return line and column of an offset, both from 1."""
    before = sql[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")
