"""
What Presto checks in statements that change tables or describe them.

Source: Presto 333, recorded in `tests/unit/emulator/mistakes/presto.jsonl`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from mrs_emulator.sql import changes, kinds, refusing, wording_presto

_START = 0


class PrestoChanges(changes.Changes[wording_presto.PrestoWords]):
    """What Presto checks, in its words."""

    def described(self, table: exp.Table) -> None:
        """Check a table that DESCRIBE or SHOW COLUMNS names."""
        if self._relation(table) is None:
            self._no_table(table.db, table.name, _START)

    def listed(self, database: str) -> None:
        """Check a schema that SHOW TABLES names."""
        if not self._known.has_database(database):
            self._says.fail(f"Schema '{database.lower()}' does not exist", _START)

    def _use(self, tree: exp.Use) -> None:
        catalog, name = tree.this.db, tree.this.name
        if catalog and catalog.lower() != "hive":
            self._says.fail(f"Catalog does not exist: {catalog.lower()}")
        if not self._known.has_database(name):
            self._says.fail(f"Schema does not exist: hive.{name.lower()}")

    def _no_table(self, database: str | None, table: str, at: int | None, what: str = "Table") -> None:
        name = f"hive.{(database or self._known.current()).lower()}.{table.lower()}"
        self._says.fail(f"{what} '{name}' does not exist", at)

    def _other(self, tree: exp.Expr) -> None:
        if isinstance(tree, exp.Use):
            self._use(tree)

    def _create(self, tree: exp.Create, made: changes.Created) -> None:
        kind, table, columns = made
        if changes.is_database(kind):
            name = table.db or table.name
            if self._known.has_database(name) and not tree.args.get("exists"):
                self._says.fail(f"Schema 'hive.{name.lower()}' already exists", _START)
            return

        if kind != "TABLE":
            if tree.expression is None:
                raise refusing.not_played(f"CREATE {kind} without AS", "write the query of the view")
            self._queries.query(tree.expression)
            return

        if table.db and not self._known.has_database(table.db):
            self._says.fail(f"Schema {table.db.lower()} not found")

        if self._relation(table) is not None and not tree.args.get("exists"):
            name = f"hive.{self._database(table).lower()}.{table.name.lower()}"
            self._says.fail(f"Table '{name}' already exists", _START)

        self._columns([one for one in columns if isinstance(one, exp.ColumnDef)])
        if tree.expression is not None:
            found = self._queries.query(tree.expression)
            for index, one in enumerate(found or (), 1):
                if one.name is None:
                    self._says.fail(f"Column name not specified at position {index}", _START)

    def _columns(self, columns: Sequence[exp.ColumnDef]) -> None:
        seen: set[str] = set()
        for one in columns:
            name, at = one.name.lower(), self._says.start(one.this)
            if name in seen:
                self._says.fail(f"Column name '{name}' specified more than once", at)
            seen.add(name)
            kind = one.args.get("kind")
            if isinstance(kind, exp.DataType) and kind.this == exp.DataType.Type.USERDEFINED:
                self._says.fail(f"Unknown type '{kinds.named(kind, 'presto')}' for column '{name}'", at)

    def _drop(self, gone: changes.Dropped) -> None:
        kind, table = gone
        if changes.is_database(kind):
            name = table.db or table.name
            if not self._known.has_database(name):
                self._says.fail(f"Schema 'hive.{name.lower()}' does not exist", _START)
            return
        found = self._relation(table)
        if found is None or found.is_view != (kind == "VIEW"):
            self._no_table(table.db, table.name, _START, kind.capitalize())

    def _alter(self, tree: exp.Alter) -> None:
        table = tree.this
        found = self._relation(table)
        if found is None:
            self._no_table(table.db, table.name, _START)
            return
        for action in tree.args.get("actions") or ():
            match action:
                case exp.ColumnDef() if action.name.lower() in found.columns:
                    self._says.fail(f"Column '{action.name.lower()}' already exists", _START)
                case exp.RenameColumn() if action.this.name.lower() not in found.columns:
                    self._says.fail(f"Column '{action.this.name.lower()}' does not exist", _START)
                case exp.AlterRename() if self._relation(action.this) is not None:
                    name = f"hive.{(action.this.db or self._known.current()).lower()}.{action.this.name.lower()}"
                    self._says.fail(f"Target table '{name}' already exists", _START)

    def _insert(self, filled: changes.Inserted) -> None:
        table, named, query = filled
        rows = self._queries.query(query)
        found = self._relation(table)
        if found is None:
            self._no_table(table.db, table.name, None)
            return

        names = [one.name.lower() for one in named] or list(found.columns)
        for index, name in enumerate(names):
            if name not in found.columns:
                self._says.fail(f"Insert column name does not exist in target table: {name}")
            if name in names[:index]:
                self._says.fail(f"Insert column name is specified more than once: {name}")

        wanted = [self._says.type_name(found.columns[name]) for name in names]
        given = [one.kind for one in rows or ()]
        if rows is None or (len(given) == len(wanted) and all(map(_fits, wanted, given))) or None in given:
            return
        text = f"Table: [{', '.join(wanted)}], Query: [{', '.join(map(str, given))}]"
        self._says.fail(f"Insert query has mismatched column types: {text}")


def _fits(wanted: str, given: str | None) -> bool:
    """Return whether a value of a type can be put into a column of another."""
    if given in {None, "unknown"}:
        return True
    into, of = kinds.base(wanted), kinds.base(str(given))
    return into == of or (kinds.is_number(into) and kinds.is_number(of)) or (of, into) == ("date", "timestamp")
