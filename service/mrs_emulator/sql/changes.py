"""What the engines check alike in statements that change tables or describe them: how these are taken apart."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from sqlglot import exp

from mrs_emulator.sql import catalogue, checking, words

W = TypeVar("W", bound=words.Words)


class Created(NamedTuple):
    """
    What CREATE names.

    Attributes:
        kind: TABLE, VIEW, SCHEMA …
        table: usually a Table, which names the database for such a kind.
        columns: those in brackets.
    """

    kind: str
    table: Any
    columns: list[exp.Expr]


class Dropped(NamedTuple):
    """What DROP names: TABLE, VIEW, SCHEMA …, and the table or database."""

    kind: str
    table: exp.Table


class Inserted(NamedTuple):
    """What INSERT fills: the table, the columns that are named, and the query."""

    table: exp.Table
    named: list[exp.Expr]
    query: exp.Expr


def is_database(kind: str) -> bool:
    """Return whether a kind of object is a database, which the engines also call a schema."""
    return kind in {"SCHEMA", "DATABASE"}


def kind_of(tree: exp.Expr) -> str:
    """Return the kind of object that a statement names."""
    return str(tree.args.get("kind")).upper()


def _split(named: exp.Expr) -> tuple[exp.Expr, list[exp.Expr]]:
    """Return a table, and the columns in the brackets behind it."""
    return (named.this, named.expressions) if isinstance(named, exp.Schema) else (named, [])


class Changes(Generic[W]):
    """
    Checks of statements that are no queries.

    Args:
        known: what tables there are.
        says: the engine's words.
        queries: checks queries.
    """

    def __init__(self, known: catalogue.Catalogue, says: W, queries: checking.Checker) -> None:
        self._known = known
        self._says = says
        self._queries = queries

    def check(self, tree: exp.Expr) -> None:
        """
        Check a statement.

        Raises:
            SqlRefused: the first mistake.
        """
        match tree:
            case exp.Create():
                self._create(tree, Created(kind_of(tree), *_split(tree.this)))
            case exp.Drop():
                table = (tree.args.get("tables") or [tree.this])[0]
                if not tree.args.get("exists") and isinstance(table, exp.Table):
                    self._drop(Dropped(kind_of(tree), table))
            case exp.Alter():
                self._alter(tree)
            case exp.Insert():
                table, named = _split(tree.this)
                if isinstance(table, exp.Table) and tree.expression is not None:
                    self._insert(Inserted(table, named, tree.expression))
            case _:
                self._other(tree)

    def _relation(self, table: exp.Table) -> catalogue.Relation | None:
        return self._known.relation(self._database(table), table.name)

    def _database(self, table: exp.Table) -> str:
        return table.db or self._known.current()

    def described(self, table: exp.Table) -> None:
        """Check a table that DESCRIBE or SHOW COLUMNS names."""
        raise NotImplementedError

    def listed(self, database: str) -> None:
        """Check a database that is named."""
        raise NotImplementedError

    def _create(self, tree: exp.Create, made: Created) -> None:
        raise NotImplementedError

    def _drop(self, gone: Dropped) -> None:
        raise NotImplementedError

    def _alter(self, tree: exp.Alter) -> None:
        raise NotImplementedError

    def _insert(self, filled: Inserted) -> None:
        raise NotImplementedError

    def _other(self, tree: exp.Expr) -> None:
        raise NotImplementedError
