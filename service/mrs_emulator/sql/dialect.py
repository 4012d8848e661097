"""
Presto, Hive and Spark SQL to DuckDB, by sqlglot.

A text becomes statements, a statement becomes steps: one for most, several where DuckDB needs more (INSERT OVERWRITE).
Only queries, DDL, DML and SHOW/DESC/USE pass; what could touch files or settings (COPY, ATTACH, PRAGMA …) is refused.
The database `default` is DuckDB's schema `main`. SHOW and DESC are in `showing.py`, what expressions mean in
`meaning.py`, what is rewritten beyond expressions (grouping sets, lateral views, partitions) in `shapes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mrs_emulator.core import failures
from mrs_emulator.sql import catalogue, directories, refusing, showing, statement, variables

try:
    import sqlglot
    from sqlglot import exp

    from mrs_emulator.sql import checks, kinds, meaning, rewriting, shapes
except ImportError:  # the extra `emulator` is not installed; `sql.py` says so before anything here is called
    AVAILABLE = False
else:
    AVAILABLE = True

_CATALOGS = frozenset({"hive", "spark_catalog"})
_WITHOUT_EFFECT = frozenset(
    {"SET", "RESET", "ANALYZE", "CACHE", "UNCACHE", "REFRESH", "MSCK", "CLEAR", "ADD", "RELOAD"}
)


def translate(
    text: str, spoken: statement.Dialect, given: Mapping[str, str] | None = None
) -> list[statement.Statement]:
    """
    Return the statements of a text, separated by semicolons.

    Args:
        text: the text.
        spoken: its dialect.
        given: variables of Hive and Spark that are set before the first statement; SET in the text adds to them.

    Raises:
        SqlRefused: it does not parse or is not played; says where.
    """
    return list(translations(text, spoken, given or {}))


def translations(
    text: str, spoken: statement.Dialect, given: Mapping[str, str], known: catalogue.Catalogue | None = None
) -> Iterator[statement.Statement]:
    """
    Translate the statements one by one: each when those before it have run.

    Args:
        text: the text.
        spoken: its dialect.
        given: variables that are set before the first statement.
        known: what tables there are, for the checks; without it names are not checked.

    Raises:
        SqlRefused: as in `translate`.
    """
    variable = variables.Variables(given)
    for tokens in _split(text, spoken):
        sql = text[tokens[0].start : tokens[-1].end + 1]
        first = tokens[0].text.upper().split()[0]
        if spoken != "presto":
            sql = variable.put_into(sql)
            variable.note(sql)
        target, sql = directories.taken_out(sql, spoken)
        if known is not None and first not in _WITHOUT_EFFECT:
            checks.check(sql, spoken, known)
        one = _translate_one(sql, first, spoken)
        yield one if target is None else replace(one, kind=statement.Kind.DIRECTORY, directory=target)


def type_name(duckdb_type: str, spoken: statement.Dialect) -> str:
    """Name of a DuckDB type in a dialect, such as `string` for VARCHAR in Hive."""
    try:
        return kinds.of_duckdb(duckdb_type, spoken)
    except sqlglot.errors.SqlglotError:
        return duckdb_type.lower()


def _split(text: str, spoken: statement.Dialect) -> list[list[Any]]:
    """Return tokens of each statement; semicolons in strings and comments do not count."""
    try:
        tokens = sqlglot.tokenize(text, read=spoken)
    except sqlglot.errors.SqlglotError as error:
        raise checks.unclosed(text, spoken) from error
    groups: list[list[Any]] = [[]]
    for token in tokens:
        if token.token_type == sqlglot.TokenType.SEMICOLON:
            groups.append([])
        else:
            groups[-1].append(token)
    return [group for group in groups if group]


def _translate_one(sql: str, first: str, spoken: statement.Dialect) -> statement.Statement:
    if first in _WITHOUT_EFFECT:
        return statement.Statement(statement.Kind.NOTHING)
    if first in {"SHOW", "DESC", "DESCRIBE"}:
        return showing.show(sql, spoken)
    if first == "EXPLAIN":
        return _explain(sql, spoken)
    return _parsed(_parse(sql, spoken), first, spoken)


def _explain(sql: str, spoken: statement.Dialect) -> statement.Statement:
    inner = sql[len("EXPLAIN") :].lstrip()
    for word in ("ANALYZE", "EXTENDED", "FORMATTED", "LOGICAL"):
        if inner[: len(word)].upper() == word:
            inner = inner[len(word) :].lstrip()
    if inner.startswith("("):  # Presto: EXPLAIN (TYPE LOGICAL) SELECT …
        options, _, rest = inner.partition(")")
        inner = rest.lstrip() if "SELECT" not in options.upper() else inner
    statements = translate(inner, spoken)
    if len(statements) != 1 or statements[0].kind is not statement.Kind.ROWS:
        raise refusing.not_played("EXPLAIN of anything but a query", "run the statement itself")
    return statement.Statement(statement.Kind.ROWS, (f"EXPLAIN {statements[0].steps[0]}",))


def _parse(sql: str, spoken: statement.Dialect) -> exp.Expr:
    try:
        return sqlglot.parse_one(sql, read=spoken)
    except sqlglot.errors.ParseError as error:
        found = (error.errors[0] if error.errors else {}).get("highlight") or "the end"
        raise refusing.not_played(f"the syntax at '{found}'", "see whether it is right, or test it on MRS") from error
    except sqlglot.errors.SqlglotError as error:
        raise failures.SqlRefused("the statement cannot be read") from error


def _parsed(tree: exp.Expr, first_word: str, spoken: statement.Dialect) -> statement.Statement:
    _localise(tree)
    if spoken == "hive" and isinstance(tree, exp.Drop):  # it says nothing about a table that is not there
        tree.set("exists", True)
    if isinstance(tree, exp.Query | exp.Values):
        _name_columns(tree, spoken)
    shapes.rewrite(tree)
    meaning.played_with_meaning(tree, spoken)
    if isinstance(tree, exp.Query | exp.Values):
        return statement.Statement(statement.Kind.ROWS, (_sql(tree),))
    if isinstance(tree, exp.Use):
        return statement.Statement(statement.Kind.SESSION, (f"USE {_sql(tree.this)}",))
    return _change(tree, first_word)


def _change(tree: exp.Expr, first_word: str) -> statement.Statement:
    match tree:
        case exp.Insert():
            return _insert(tree)
        case exp.Create():
            return _create(tree)
        case exp.Alter():
            return _alter(tree)
        case exp.Drop():
            return _drop(tree)
        case exp.Delete() | exp.Update() | exp.Merge() | exp.TruncateTable():
            return _write(tree)
        case _:
            raise refusing.not_played(f"{first_word} statements", "the emulator plays queries, DDL and DML")


def _localise(tree: exp.Expr) -> None:
    """Rename database `default` to schema `main`, and drop catalogs."""
    for table in tree.find_all(exp.Table):
        if table.catalog.lower() in _CATALOGS:
            table.set("catalog", None)
        if table.db.lower() == "default":
            table.set("db", exp.to_identifier("main"))
        elif isinstance(tree, exp.Use) and table.name.lower() == "default":
            table.set("this", exp.to_identifier("main"))
        if isinstance(tree, exp.Use) and table.db.lower() in _CATALOGS:
            table.set("db", None)
    for column in tree.find_all(exp.Column):
        if column.db.lower() == "default":
            column.set("db", None)
            column.set("catalog", None)
    _without_zones(tree)


def _without_zones(tree: exp.Expr) -> None:
    """Turn moments into plain UTC timestamps; with a zone DuckDB could not hand them over."""
    for kind in tree.find_all(exp.DataType):
        if kind.this in {exp.DataType.Type.TIMESTAMPTZ, exp.DataType.Type.TIMESTAMPLTZ}:
            kind.set("this", exp.DataType.Type.TIMESTAMP)
    for call in list(tree.find_all(exp.CurrentTimestamp, exp.Anonymous)):
        if isinstance(call, exp.CurrentTimestamp) or call.name.upper() == "NOW":
            call.replace(exp.cast(exp.CurrentTimestamp(), "timestamp", dialect="duckdb"))


def _name_columns(tree: exp.Expr, spoken: statement.Dialect) -> None:
    """Name the columns that have no name as the dialect names them: _col0, _c0, or the expression itself."""
    while isinstance(tree, exp.SetOperation | exp.Subquery):
        tree = tree.left if isinstance(tree, exp.SetOperation) else tree.this
    if not isinstance(tree, exp.Select):
        return

    named = []
    for index, column in enumerate(tree.expressions):
        if isinstance(column, exp.Alias | exp.Column) or (column.is_star and not isinstance(column, exp.Count)):
            named.append(column)
            continue
        if isinstance(column, exp.Explode) and spoken != "presto":
            named.append(exp.alias_(column, "col", quoted=True))
            continue
        name = {"presto": f"_col{index}", "hive": f"_c{index}"}.get(spoken) or column.sql("spark").lower()
        named.append(exp.alias_(column, "count(1)" if name == "count(*)" else name, quoted=True))

    tree.set("expressions", named)


def _sql(tree: exp.Expr) -> str:
    return tree.sql("duckdb", unsupported_level=sqlglot.ErrorLevel.IGNORE, comments=False)


def _table(tree: exp.Expr) -> exp.Table | None:
    """Return the table that a statement changes, or None when it changes something else."""
    found = tree.expressions[0] if isinstance(tree, exp.TruncateTable) else tree.this
    if isinstance(tree, exp.Drop) and tree.args.get("tables"):  # where newer versions of sqlglot keep it
        found = tree.args["tables"][0]
    if isinstance(found, exp.Schema):
        found = found.this
    return found if isinstance(found, exp.Table) else None


def _named(table: exp.Table | None) -> tuple[str | None, str] | None:
    return None if table is None else (table.db or None, table.name)


def _write(tree: exp.Expr) -> statement.Statement:
    return statement.Statement(statement.Kind.WRITE, (_sql(tree),), _named(_table(tree)))


def _drop(tree: exp.Drop) -> statement.Statement:
    kind = str(tree.args.get("kind")).upper()
    tree.set("purge", None)
    if kind == "DATABASE":
        tree.set("kind", "SCHEMA")
    target = _named(_table(tree)) if kind == "TABLE" else None
    return statement.Statement(statement.Kind.WRITE, (_sql(tree),), target)


def _insert(tree: exp.Insert) -> statement.Statement:
    table = _table(tree)
    if table is None or tree.expression is None:
        raise refusing.not_played("INSERT into anything but a table", "insert into a table")
    fixed, dynamic = shapes.partition(table)
    rewriting.with_inside(tree)
    rows = tree.expression
    if fixed:
        added = [exp.alias_(value.copy(), name) for name, value in fixed]
        rows = exp.select("*", *added).from_(exp.Subquery(this=rows, alias=exp.to_identifier("__rows")))
    target = _sql(tree.this)
    if not tree.args.get("overwrite"):
        return statement.Statement(statement.Kind.WRITE, (f"INSERT INTO {target} {_sql(rows)}",), _named(table))
    replaced = shapes.Replaced(target, _sql(table), _sql(rows), [(name, _sql(value)) for name, value in fixed], dynamic)
    return statement.Statement(statement.Kind.WRITE, replaced.steps(), _named(table))


def _create(tree: exp.Create) -> statement.Statement:
    kind = str(tree.args.get("kind")).upper()
    if kind not in {"TABLE", "VIEW", "SCHEMA", "DATABASE"}:
        raise refusing.not_played(f"CREATE {kind}", "create tables, views and databases")

    if kind == "DATABASE":
        tree.set("kind", "SCHEMA")

    properties = tree.args.get("properties")
    for one in properties.expressions if properties else ():
        if isinstance(one, exp.LocationProperty) and kind == "TABLE":
            raise refusing.not_played("a table with a LOCATION", "put its files into the data folder")
        if isinstance(one, exp.PartitionedByProperty) and isinstance(tree.this, exp.Schema):
            for column in one.this.expressions if isinstance(one.this, exp.Schema) else ():
                if isinstance(column, exp.ColumnDef):
                    tree.this.append("expressions", column.copy())

    meant = exp.TemporaryProperty | exp.LikeProperty
    kept = [one for one in (properties.expressions if properties else ()) if isinstance(one, meant)]
    tree.set("properties", exp.Properties(expressions=kept) if kept else None)
    for column in tree.find_all(exp.ColumnDef):
        column.set("constraints", None)

    return statement.Statement(statement.Kind.WRITE, (_sql(tree),), _named(_table(tree)) if kind == "TABLE" else None)


def _alter(tree: exp.Alter) -> statement.Statement:
    table = _table(tree)
    if table is None:
        raise refusing.not_played("ALTER of anything but a table", "alter a table")
    steps: list[str] = []
    for action in tree.args.get("actions") or ():
        if isinstance(action, exp.AddPartition | exp.DropPartition):
            raise refusing.not_played(
                "ALTER TABLE … PARTITION", "a partition is there when it has rows; INSERT OVERWRITE the table"
            )
        if isinstance(action, exp.Schema):  # Hive and Spark: ADD COLUMNS (a int, b string)
            steps += [f"ALTER TABLE {_sql(table)} ADD COLUMN {_sql(column)}" for column in action.expressions]
    return statement.Statement(statement.Kind.WRITE, tuple(steps), _named(table)) if steps else _write(tree)
