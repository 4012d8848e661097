"""
What Hive checks in statements that change tables or describe them.

Source: Hive 3.1.3, recorded in `tests/unit/emulator/mistakes/hive.jsonl`.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from mrs_emulator.sql import catalogue, changes, kinds, refusing, wording_hive

_TASK: Final = "Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. "


class HiveChanges(changes.Changes[wording_hive.HiveWords]):
    """What Hive checks, in its words."""

    def described(self, table: exp.Table) -> None:
        """Check a table that DESCRIBE or SHOW COLUMNS names."""
        self._there(table)

    def listed(self, database: str) -> None:
        """Check a database that is named."""
        if not self._known.has_database(database):
            self._says.fail(f"Database does not exist: {database}", 10072)

    def _there(self, table: exp.Table, *, with_database: bool = False) -> None:
        if self._relation(table) is None:
            database = f"{self._database(table)}." if with_database or table.db else ""
            self._says.fail(f"Table not found {database}{table.name}", 10001)

    def _named(self, table: exp.Table) -> str:
        return f"{self._database(table)}.{table.name}".lower()

    def _other(self, tree: exp.Expr) -> None:
        match tree:
            case exp.TruncateTable() if isinstance(tree.expressions[0], exp.Table):
                self._there(tree.expressions[0])
            case exp.Use():
                self.listed(tree.this.name)
            case exp.Delete() | exp.Update():
                text = (
                    "Attempt to do update or delete using transaction manager that does not support these operations."
                )
                self._says.fail(text, 10294)

    def _create(self, tree: exp.Create, made: changes.Created) -> None:
        kind, table, columns = made
        if not isinstance(table, exp.Table) or changes.is_database(kind):
            if self._known.has_database(table.name) and not tree.args.get("exists"):
                self._says.fail(f"{_TASK}Database {table.name} already exists")
            return

        if tree.expression is not None:
            self._queries.query(tree.expression)
        if table.db:
            self.listed(table.db)
        seen: set[str] = set()

        for one in columns:
            if one.name.lower() in seen:
                self._says.fail(f"Duplicate column name: {one.name.lower()}", 10036)
            seen.add(one.name.lower())

        if self._relation(table) is not None and not tree.args.get("exists") and not tree.args.get("replace"):
            text = f"Table already exists: {self._named(table)}"
            if kind == "TABLE":
                text = f"AlreadyExistsException(message:Table hive.{self._named(table)} already exists)"
            self._says.fail(_TASK + text)

    def _drop(self, gone: changes.Dropped) -> None:
        kind, table = gone
        if changes.is_database(kind):
            self.listed(table.name)
            return
        found = self._relation(table)
        if found is None:  # Hive says nothing about a table that is not there
            return
        if kind == "TABLE" and found.is_view:
            self._says.fail(f"{_TASK}Cannot drop a view with DROP TABLE")
        if kind == "VIEW" and not found.is_view:
            self._says.fail(f"{_TASK}Cannot drop a base table with DROP VIEW")

    def _alter(self, tree: exp.Alter) -> None:
        self._there(tree.this, with_database=True)
        found = self._relation(tree.this)
        for action in tree.args.get("actions") or ():
            match action:
                case exp.Schema() if found is not None:
                    for column in action.expressions:
                        if column.name.lower() in found.columns:
                            self._says.fail(f"{_TASK}Duplicate column name: {column.name.lower()}")
                case exp.AlterRename() if self._relation(action.this) is not None:
                    self._says.fail(
                        f"{_TASK}Unable to alter table. new table {self._named(action.this)} already exists"
                    )

    def _insert(self, filled: changes.Inserted) -> None:
        table, named, query = filled
        self._queries.table(table)
        found = self._relation(table)
        if found is None:
            return
        if table.args.get("partition") is not None:
            self._partition(table, found)
            return

        for one in named:
            if one.name.lower() not in found.columns:
                line, column = self._says.line_column(one)
                self._says.fail(
                    f"SemanticException {line}:{column} '{one.name}' in insert schema specification is not found "
                    "among regular "
                    f"columns of {self._named(table)} nor dynamic partition columns.. Error encountered near "
                    f"token '{one.name}'"
                )

        rows = self._queries.query(query)
        for name, put in zip(found.columns, rows or (), strict=False):
            is_other = kinds.outer(put.kind or "") != kinds.outer(self._says.type_name(found.columns[name]))
            if not named and put.kind is not None and kinds.is_nested(put.kind) and is_other:
                raise refusing.not_played(f"INSERT of {put.kind} into the column {name}", "insert a value of its type")

        wanted = len(named) or len(found.columns)
        if rows is not None and len(rows) != wanted:
            text = "Cannot insert into target table because column number/types are different"
            more = f"Table insclause-0 has {wanted} columns, but query has {len(rows)} columns."
            self._says.fail(f"{text} '{table.name}': {more}", 10044, self._says.start(table))

    def _partition(self, table: exp.Table, found: catalogue.Relation) -> None:
        """Check that the columns of PARTITION are there."""
        for one in table.args["partition"].expressions:
            name = one.this.name if isinstance(one, exp.EQ) else one.name
            if name.lower() not in found.columns:
                spec = f"{name}={one.expression.name}" if isinstance(one, exp.EQ) else f"{name}=null"
                text = f"{self._named(table)}: Partition spec {{{spec}}} contains non-partition columns"
                self._says.fail(f"ValidationFailureSemanticException {text}")
