"""What the checks ask of an engine's words; each raises `SqlRefused` in them, or lets the statement pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sqlglot import exp

from mrs_emulator.sql import places, scopes

Kind = Callable[[exp.Expr], str | None]


class Words(Protocol):
    """Mistakes of an engine."""

    def type_name(self, duckdb_type: str) -> str:
        """Return a type of DuckDB as the engine writes it."""

    def column_name(self, node: exp.Expr) -> str | None:
        """Return the name of a column without an alias, where other parts of the query may use it."""

    def no_catalog(self, node: exp.Table) -> None:
        """Report that there is no such catalogue."""

    def no_database(self, node: exp.Table, database: str) -> None:
        """Report that there is no such database."""

    def no_table(self, node: exp.Table, database: str) -> None:
        """Report that there is no such table."""

    def no_column(self, node: exp.Column, scope: scopes.Scope) -> None:
        """Report that there is no such column."""

    def ambiguous(self, node: exp.Column, found: Sequence[tuple[scopes.Source, scopes.Output]]) -> None:
        """Report that several relations have the column."""

    def not_grouped(self, node: exp.Expr, select: exp.Select) -> None:
        """Report that a column stands beside aggregates."""

    def filtered(self, node: exp.Expr, kind: str | None) -> None:
        """Check the condition of WHERE, and its type."""

    def position(self, node: exp.Expr, count: int | None, clause: str) -> None:
        """Check GROUP BY or ORDER BY a number against the number of columns."""

    def set_operation(self, node: exp.SetOperation, left: Sequence[str | None], right: Sequence[str | None]) -> None:
        """Check the types of both sides of UNION and its kin."""

    def subquery(self, node: exp.Expr, outputs: Sequence[scopes.Output] | None) -> None:
        """Check a query inside of an expression, and its columns."""

    def star_alone(self, node: exp.Expr) -> None:
        """Check a star without FROM."""

    def applied(self, node: exp.Expr, kind: Kind) -> None:
        """Check an operator or a function, and the types of its operands."""


class Placed:
    """
    Words about parts of one statement.

    Args:
        where: where the parts of the statement are.
    """

    def __init__(self, where: places.Places) -> None:
        self._where = where

    def start(self, node: exp.Expr) -> int | None:
        """Return where a part is."""
        return self._where.start(node)

    def _line_column(self, offset: int) -> tuple[int, int]:
        return places.line_column(self._where.sql, offset)
