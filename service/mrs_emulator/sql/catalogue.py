"""What databases, tables and columns there are, as the checks of a statement look them up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrs_emulator.sql import statement

Rows = Callable[[str, Sequence[str]], list[tuple[Any, ...]]]
"""Runs a query with these parameters."""


@dataclass(frozen=True, slots=True)
class Relation:
    """
    A table or a view.

    Attributes:
        columns: names of its columns and their types, in DuckDB's words.
        is_view: it was made by CREATE VIEW.
    """

    columns: Mapping[str, str]
    is_view: bool


class Catalogue:
    """
    The databases and tables that a session sees now.

    Args:
        rows: asks DuckDB.
        files: schema and name of the tables that are files; DuckDB has views of them.
    """

    def __init__(self, rows: Rows, files: frozenset[tuple[str, str]]) -> None:
        self._rows = rows
        self._files = files

    def current(self) -> str:
        """Return the database in which names are looked up."""
        found = str(self._rows("SELECT current_schema()", ())[0][0])
        return "default" if found == "main" else found

    def has_database(self, name: str) -> bool:
        """Return whether there is a database of this name."""
        query = "SELECT 1 FROM information_schema.schemata WHERE lower(schema_name) = ?"
        return bool(self._rows(query, [statement.schema_name(name).lower()]))

    def relation(self, database: str, name: str) -> Relation | None:
        """Return a table or view, or None."""
        schema = statement.schema_name(database).lower()
        found = self._rows(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE (lower(schema_name) = ? OR database_name "
            "= 'temp') "
            "AND lower(table_name) = ? ORDER BY column_index",
            [schema, name.lower()],
        )
        if not found:
            return None
        views = self._rows(
            "SELECT 1 FROM duckdb_views() WHERE lower(schema_name) = ? AND lower(view_name) = ?", [schema, name.lower()]
        )
        is_view = bool(views) and (schema, name.lower()) not in self._files
        return Relation({str(column).lower(): str(kind) for column, kind in found}, is_view)
