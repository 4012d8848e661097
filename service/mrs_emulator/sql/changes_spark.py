"""
What Spark checks in statements that change tables or describe them.

Source: Spark 3.5.3, recorded in `tests/unit/emulator/mistakes/spark.jsonl`.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from mrs_emulator.sql import catalogue, changes, kinds, scopes, wording_spark

_CHOOSE: Final = (
    "\nChoose a different name, drop or replace the existing object, or add the IF NOT EXISTS clause to tolerate "
    "pre-existing objects."
)
_NO_SCHEMA: Final = (
    " cannot be found. Verify the spelling and correctness of the schema and catalog.\nIf you did not qualify "
    "the name with a "
    "catalog, verify the current_schema() output, or qualify the name with the correct catalog.\nTo tolerate the "
    "error on drop "
    "use DROP SCHEMA IF EXISTS."
)


class SparkChanges(changes.Changes[wording_spark.SparkWords]):
    """What Spark checks, in its words."""

    def described(self, table: exp.Table) -> None:
        """Check a table that DESCRIBE or SHOW COLUMNS names."""
        self._queries.table(table)

    def listed(self, database: str) -> None:
        """Check a database that is named."""
        if not self._known.has_database(database):
            self._says.fail(f"[SCHEMA_NOT_FOUND] The schema `{database}`{_NO_SCHEMA}")

    def _exists(self, table: exp.Table, catalog: str = "") -> None:
        name = f"{catalog}`{self._database(table)}`.`{table.name}`"
        text = f"[TABLE_OR_VIEW_ALREADY_EXISTS] Cannot create table or view {name} because it already exists."
        self._says.fail(text + _CHOOSE)

    def _unsupported(self, tree: exp.Delete | exp.Update) -> None:
        self._queries.table(tree.this)
        if isinstance(tree, exp.Update):
            self._says.fail("UPDATE TABLE is not supported temporarily.")
        name = f"`spark_catalog`.`{tree.this.db or self._known.current()}`.`{tree.this.name}`"
        self._says.fail(
            f"[UNSUPPORTED_FEATURE.TABLE_OPERATION] The feature is not supported: Table {name} does not support "
            "DELETE. Please "
            "check the current catalog and namespace to make sure the qualified table name is expected, and also "
            "check the "
            'catalog implementation which is configured by "spark.sql.catalog".'
        )

    def _other(self, tree: exp.Expr) -> None:
        match tree:
            case exp.TruncateTable() if isinstance(tree.expressions[0], exp.Table):
                self._queries.table(tree.expressions[0])
            case exp.Use():
                self.listed(tree.this.name)
            case exp.Delete() | exp.Update():
                self._unsupported(tree)

    def _create(self, tree: exp.Create, made: changes.Created) -> None:
        kind, table, columns = made
        if changes.is_database(kind):
            if self._known.has_database(table.name) and not tree.args.get("exists"):
                self._says.fail(
                    f"[SCHEMA_ALREADY_EXISTS] Cannot create schema `{table.name}` because it already "
                    "exists.\nChoose a different "
                    "name, drop the existing schema, or add the IF NOT EXISTS clause to tolerate pre-existing schema."
                )
            return

        if not isinstance(table, exp.Table):
            return

        if tree.expression is not None:
            self._queries.query(tree.expression)
        if table.db:
            self.listed(table.db)
        seen: set[str] = set()

        for one in columns:
            if isinstance(one, exp.ColumnDef):
                self._duplicate(one.name, seen)
                seen.add(one.name.lower())

        if self._relation(table) is not None and not tree.args.get("exists") and not tree.args.get("replace"):
            self._exists(table, "`spark_catalog`." if kind == "VIEW" else "")

    def _duplicate(self, name: str, seen: set[str] | frozenset[str]) -> None:
        if name.lower() in seen:
            self._says.fail(
                f"[COLUMN_ALREADY_EXISTS] The column `{name.lower()}` already exists. Consider to choose another "
                "name or rename "
                "the existing column."
            )

    def _drop(self, gone: changes.Dropped) -> None:
        kind, table = gone
        if changes.is_database(kind):
            self.listed(table.name)
            return
        found = self._relation(table)
        if found is None:
            self._says.fail(wording_spark.missing(table, self._known))
        name = f"spark_catalog.{self._database(table)}.{table.name}"
        if kind == "VIEW" and not found.is_view:
            self._wrong(f"DROP VIEW requires a VIEW. But {name} is a MANAGED. Use DROP TABLE instead.")
        if kind == "TABLE" and found.is_view:
            self._wrong(f"DROP TABLE requires a EXTERNAL or MANAGED. But {name} is a VIEW. Use DROP VIEW instead.")

    def _wrong(self, text: str) -> None:
        self._says.fail(f"[WRONG_COMMAND_FOR_OBJECT_TYPE] The operation {text}")

    def _alter(self, tree: exp.Alter) -> None:
        self._queries.table(tree.this)
        found = self._relation(tree.this)
        for action in tree.args.get("actions") or ():
            match action:
                case exp.Schema() if found is not None:
                    for column in action.expressions:
                        self._duplicate(column.name, frozenset(found.columns))
                case exp.AlterRename() if self._relation(action.this) is not None:
                    self._exists(action.this)

    def _insert(self, filled: changes.Inserted) -> None:
        table, named, query = filled
        rows = self._queries.query(query)
        self._queries.table(table)
        found = self._relation(table)
        if found is None:
            return
        if table.args.get("partition") is not None:
            self._partition(table, found)
            return

        self._named([one.name for one in named], found, table)
        columns = [one.name for one in named] or list(found.columns)
        if rows is not None and len(rows) != len(columns):
            self._arity(table, columns, rows)
        for name, one in zip(columns, rows or (), strict=False):
            self._fits(table, name, self._says.type_name(found.columns[name.lower()]), one.kind)

    def _fits(self, table: exp.Table, name: str, wanted: str, given: str | None) -> None:
        if given and kinds.is_nested(given) and not kinds.is_nested(wanted):
            self._says.fail(
                "[INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST] Cannot write incompatible data for the table "
                f"`spark_catalog`.`{self._database(table)}`.`{table.name}`: Cannot safely cast `{name}` "
                f'"{given.upper()}" to "{wanted.upper()}".'
            )

    def _partition(self, table: exp.Table, found: catalogue.Relation) -> None:
        for one in table.args["partition"].expressions:
            name = one.this.name if isinstance(one, exp.EQ) else one.name
            if name.lower() not in found.columns:
                whole = f"`spark_catalog`.`{self._database(table)}`.`{table.name}`"
                self._says.fail(f"{name} is not a valid partition column in table {whole}.")

    def _named(self, names: list[str], found: catalogue.Relation, table: exp.Table) -> None:
        for index, name in enumerate(names):
            self._duplicate(name, {one.lower() for one in names[:index]})
            if name.lower() not in found.columns:
                source = scopes.Source(table.name, tuple(scopes.Output(one, None) for one in found.columns))
                self._says.no_insert_column(name, scopes.Scope(None, [source]))

    def _arity(self, table: exp.Table, columns: list[str], rows: tuple[scopes.Output, ...]) -> None:
        name = f"`spark_catalog`.`{self._database(table)}`.`{table.name}`"
        few = len(rows) < len(columns)
        kind = "NOT_ENOUGH_DATA_COLUMNS" if few else "TOO_MANY_DATA_COLUMNS"
        given = ", ".join(f"`{one.name or f'col{index}'}`" for index, one in enumerate(rows, 1))
        wanted = ", ".join(f"`{one}`" for one in columns)
        self._says.fail(
            f"[INSERT_COLUMN_ARITY_MISMATCH.{kind}] Cannot write to {name}, the reason is "
            f"{'not enough' if few else 'too many'} "
            f"data columns:\nTable columns: {wanted}.\nData columns: {given}."
        )
