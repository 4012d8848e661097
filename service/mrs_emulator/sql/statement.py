"""One SQL statement as DuckDB will run it; what `dialect.py` and `showing.py` make and `sql.py` runs."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

Dialect = Literal["presto", "hive", "spark"]


class Kind(enum.Enum):
    """What running a statement means."""

    ROWS = "rows"
    """It answers with rows."""
    WRITE = "write"
    """It changes tables; one such statement runs at a time."""
    SESSION = "session"
    """It changes the session it runs in."""
    DIRECTORY = "directory"
    """Its rows go into a folder of OBS."""
    NOTHING = "nothing"
    """It means something to Spark or Hive and nothing here."""


@dataclass(frozen=True, slots=True)
class Directory:
    """
    A folder that rows are written to.

    Attributes:
        path: its obs:// path.
        skips_null: fields that are NULL are left out.
    """

    path: str
    skips_null: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """
    One statement, ready for DuckDB.

    Attributes:
        kind: what running it means.
        steps: SQL texts to run in order, as one transaction when there are several.
        target: schema and name of the table that is written, where a file may have to become a table first.
        directory: where its rows go, for that kind.
        types_column: index of the result column that holds DuckDB type names to be translated, or None.
    """

    kind: Kind
    steps: tuple[str, ...] = ()
    target: tuple[str | None, str] | None = None
    types_column: int | None = None
    directory: Directory | None = None


def schema_name(database: str) -> str:
    """Return DuckDB's schema for a database name."""
    return "main" if database.lower() == "default" else database


def quoted(name: str) -> str:
    """Return a name as a quoted DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'
