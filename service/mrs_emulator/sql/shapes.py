"""
Parts of statements that DuckDB reads in another way: grouping sets, lateral views, partitions that are written.

Source: Hive wiki, LanguageManual Enhanced Aggregation, LateralView, DML (dynamic partitions); Spark SQL reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from mrs_emulator.sql import refusing, statement

_INCOMING = "__incoming"
_PAIR = 2


def rewrite(tree: exp.Expr) -> None:
    """
    Change the parts in place.

    Raises:
        SqlRefused: a part is not played.
    """
    for group in list(tree.find_all(exp.Group)):
        _grouping(group)
    for lateral in list(tree.find_all(exp.Lateral)):
        _lateral(lateral)


def _grouping(group: exp.Group) -> None:
    """
    Rewrite GROUP BY a, b GROUPING SETS (…), ROLLUP and CUBE: the columns before do not group by themselves.

    Presto's and the standard's GROUP BY a, GROUPING SETS (…) does; in Hive and Spark without a comma they are listed
    for the sets only. The parser keeps no comma, so what names columns beside sets is read as Hive reads it when the
    sets use no others.
    """
    for key, function in (("rollup", exp.Rollup), ("cube", exp.Cube)):
        for one in group.args.get(key) or []:
            if not one.expressions:  # WITH ROLLUP
                columns = group.expressions
                group.set("expressions", [])
                group.set(key, [function(expressions=columns)])
                return

    sets = group.args.get("grouping_sets") or []
    if not sets or not group.expressions:
        return

    listed = {one.sql() for one in group.expressions}
    used = {column.sql() for one in sets for column in one.find_all(exp.Column)}
    if used <= listed:
        group.set("expressions", [])
    else:
        raise refusing.not_played("GROUPING SETS beside other columns", "write all columns into the sets")


def _lateral(lateral: exp.Lateral) -> None:
    """Turn LATERAL VIEW into a join; OUTER keeps rows whose collection is empty or NULL."""
    if not lateral.args.get("view"):
        return

    made = lateral.this
    if not isinstance(made, exp.Explode) or isinstance(made, exp.ExplodeOuter | exp.Posexplode):
        name = made.sql("hive").partition("(")[0].lower()
        raise refusing.not_played(f"LATERAL VIEW {name}", "use LATERAL VIEW explode of an array")

    alias = lateral.args["alias"]
    columns = alias.args.get("columns") or []
    select = lateral.parent
    if not isinstance(select, exp.Select) or len(columns) > _PAIR:
        raise refusing.not_played("this form of LATERAL VIEW")

    rows = _exploded(made.this, [one.name for one in columns] or ["col"])
    table = exp.TableAlias(this=alias.this)

    join = exp.Join(
        this=exp.Lateral(this=exp.Subquery(this=rows), alias=table),
        side="LEFT" if lateral.args.get("outer") else None,
        kind=None if lateral.args.get("outer") else "INNER",
        on=exp.true(),
    )

    select.set("laterals", [one for one in select.args["laterals"] if one is not lateral])
    select.append("joins", join)


def _exploded(value: exp.Expr, names: Sequence[str]) -> exp.Select:
    """Return the rows of a collection; two names take a map apart."""
    if len(names) == 1:
        return exp.select(exp.alias_(exp.Explode(this=value), names[0], quoted=True))
    keys = exp.MapKeys(this=value)
    values = exp.Anonymous(this="map_values", expressions=[value.copy()])
    parts = [
        exp.alias_(exp.Explode(this=one), name, quoted=True) for name, one in zip(names, (keys, values), strict=True)
    ]
    return exp.select(*parts)


def partition(table: exp.Table) -> tuple[list[tuple[str, exp.Expr]], list[str]]:
    """
    Return columns that a PARTITION clause fixes, and those that it leaves to the rows; the clause is removed.

    Raises:
        SqlRefused: it does both.
    """
    clause = table.args.get("partition")
    if clause is None:
        return [], []
    table.set("partition", None)
    fixed = [(one.this.name, one.expression) for one in clause.expressions if isinstance(one, exp.EQ)]
    if fixed and len(fixed) != len(clause.expressions):
        what = "a PARTITION clause that mixes fixed and dynamic columns"
        raise refusing.not_played(what, "name all of them without values and select them last")
    return fixed, [] if fixed else [one.name for one in clause.expressions]


@dataclass(frozen=True, slots=True)
class Replaced:
    """
    Rows that replace others: INSERT OVERWRITE.

    Attributes:
        target: the table with its columns, as it is inserted into.
        table: the table.
        rows: the query.
        fixed: names and values of fixed partition columns.
        dynamic: names of partition columns whose values come from the rows.
    """

    target: str
    table: str
    rows: str
    fixed: Sequence[tuple[str, str]]
    dynamic: Sequence[str]

    def steps(self) -> tuple[str, ...]:
        """Work the rows out, remove what they replace (a fixed partition, those written, or all), insert them."""
        incoming = [f"CREATE OR REPLACE TEMP TABLE {_INCOMING} AS {self.rows}"]
        where = " AND ".join(f"{statement.quoted(name)} = {value}" for name, value in self.fixed)

        if self.dynamic:
            incoming = [
                f"CREATE OR REPLACE TEMP TABLE {_INCOMING} AS SELECT * FROM {self.table} LIMIT 0",  # noqa: S608 - printed
                f"INSERT INTO {_INCOMING} {self.rows}",
            ]
            pairs = (
                f"{_INCOMING}.{statement.quoted(name)} IS NOT DISTINCT FROM __old.{statement.quoted(name)}"
                for name in self.dynamic
            )
            where = f"EXISTS (SELECT 1 FROM {_INCOMING} WHERE {' AND '.join(pairs)})"  # noqa: S608 - quoted above

        old = f"{self.table} AS __old" if self.dynamic else self.table

        return (
            *incoming,
            f"DELETE FROM {old}{' WHERE ' + where if where else ''}",  # noqa: S608 - printed by sqlglot
            f"INSERT INTO {self.target} SELECT * FROM {_INCOMING}",  # noqa: S608 - printed by sqlglot
            f"DROP TABLE {_INCOMING}",
        )
