"""
Take SQL apart with sqlglot: the tables that it reads and writes, where columns come from, and its text without values.

What sqlglot cannot parse, and what is longer than `MAX_LENGTH`, has no tables. Works without the extra, too: then no
SQL has any.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sqlglot import Dialect, Parser, exp
    from sqlglot.lineage import Node

MAX_LENGTH: Final = 20_000
"""Longest SQL that is parsed, in characters: sqlglot takes up to 40 ms for 1,000 characters."""

_MAX_NESTED: Final = 60
"""Deepest nesting of brackets in SQL that is parsed: 200 levels of `array<` take five seconds."""

_BRACKET: Final = re.compile(r"(?:\b(?:array|map|struct)\s*<)|[(\[\])>]", re.IGNORECASE)
_MOST_STEPS: Final = 10
"""
Steps of the parser for each token, at most. Usual SQL takes one or two; but sqlglot reads what stands in `struct(` and
`row(` twice, so that 26 of them in one another would take minutes.
"""

_MAX_COLUMNS: Final = 40
"""Most columns of a query whose origin is looked for."""

_MAX_TRACED_LENGTH: Final = 4_000
"""Longest SQL in which the origin of columns is looked for, in characters; that takes several times its parsing."""

_PATH: Final = "://"


class Table(NamedTuple):
    """
    A table, or with `path` the files of a folder that a query names instead of one.

    Attributes:
        name: of the table; of files their address.
        database: "" where the SQL names none and there is no default.
        catalog: "" where the SQL names none.
    """

    name: str
    database: str = ""
    catalog: str = ""

    @property
    def is_path(self) -> bool:
        """Whether it is the address of files."""
        return _PATH in self.name


Column = tuple[Table, str]
Columns = tuple[tuple[str, tuple[Column, ...]], ...]
"""The written columns, each with the columns that it is made of."""


class Found(NamedTuple):
    """
    What SQL reads and writes.

    Attributes:
        inputs: tables that it reads, in the order of their names.
        outputs: tables that it writes, with the origin of their columns, as far as that can be seen.
        redacted: the SQL with ? for each literal, without comments; "" if it was not understood.
    """

    inputs: tuple[Table, ...] = ()
    outputs: tuple[tuple[Table, Columns], ...] = ()
    redacted: str = ""


NOTHING: Final = Found()


def is_available() -> bool:
    """Return whether sqlglot is installed."""
    return importlib.util.find_spec("sqlglot") is not None


def warm_up() -> None:
    """Import sqlglot and its dialects, which takes half a second, before the first job needs them."""
    if is_available():
        # NB: its warnings quote the SQL.
        logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
        for dialect in ("spark", "hive", "presto"):
            read("create table a as select b from c", dialect, "")


def nesting(sql: str) -> int:
    """Return the depth of brackets in one another, also of those of types, such as `array<`."""
    opened: list[str] = []
    most = 0
    for found in _BRACKET.finditer(sql):
        sign = found[0][-1]
        if sign in "([<":
            opened.append(sign)
            most = max(most, len(opened))
        elif opened and (sign == ">") is (opened[-1] == "<"):
            opened.pop()
    return most


@functools.lru_cache(maxsize=256)
def read(sql: str, dialect: str, database: str) -> Found:
    """
    Find what SQL reads and writes.

    Args:
        sql: one or several statements.
        dialect: spark, hive or presto.
        database: of tables that are named without one, until a USE says otherwise.
    """
    if len(sql) > MAX_LENGTH or nesting(sql) > _MAX_NESTED or not is_available():
        return NOTHING
    try:
        return _read(sql, dialect, database)
    except (Exception, RecursionError):  # noqa: BLE001 - sqlglot fails in many ways on SQL that it does not know
        return NOTHING


def _read(sql: str, dialect: str, database: str) -> Found:
    from sqlglot import exp  # noqa: PLC0415 - an extra

    statements = [one for one in _parsed(sql, dialect) if one is not None and not isinstance(one, exp.Semicolon)]
    inputs: set[Table] = set()
    outputs: dict[Table, Columns] = {}
    temporary: set[Table] = set()
    for statement in statements:
        if isinstance(statement, exp.Command):
            return NOTHING  # it was not understood, and may be any part of the whole
        if isinstance(statement, exp.Use):
            database = statement.this.name if statement.this is not None else database
            continue
        if not isinstance(statement, _with_data()):
            continue

        written = list(_written(statement))
        inputs.update(_table(one, database) for one in _tables(statement) if not any(one is out for out in written))
        for target in written:
            table = _table(target, database)
            if statement.find(exp.TemporaryProperty) is not None:
                temporary.add(table)
            outputs[table] = _traced(statement, dialect, database) if len(sql) <= _MAX_TRACED_LENGTH else ()

    return Found(
        tuple(sorted(inputs - temporary)),
        tuple((table, columns) for table, columns in outputs.items() if table not in temporary),
        _redacted(statements, dialect),
    )


def _parsed(sql: str, dialect: str) -> list[exp.Expr | None]:
    """Parse SQL; raises ValueError where sqlglot would try alternatives without end."""
    tongue, bounded = _bounded_parser(dialect)
    tokens = tongue.tokenize(sql)
    parsed: list[exp.Expr | None] = bounded(_MOST_STEPS * len(tokens) + _MOST_STEPS).parse(tokens, sql)
    return parsed


@functools.cache
def _bounded_parser(dialect: str) -> tuple[Dialect, Callable[[int], Parser]]:
    """Return a dialect, and what makes its parser with a bound for the steps between tokens."""
    import sqlglot  # noqa: PLC0415 - an extra

    tongue = sqlglot.Dialect.get_or_raise(dialect)

    class Bounded(tongue.parser_class):  # type: ignore[name-defined, misc]
        def __init__(self, most_steps: int) -> None:
            super().__init__(dialect=tongue)
            self.steps_left = most_steps

        def _advance(self, times: int = 1) -> None:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise ValueError("the SQL takes too many steps")
            super()._advance(times)

    return tongue, Bounded


@functools.cache
def _with_data() -> tuple[type[exp.Expr], ...]:
    """Return the kinds of statements that read or write tables."""
    from sqlglot import exp  # noqa: PLC0415 - an extra

    changes = (exp.Insert, exp.MultitableInserts, exp.Merge, exp.Update, exp.Delete, exp.Create, exp.LoadData)
    return (exp.Query, *changes)


def _written(statement: exp.Expr) -> Iterator[exp.Table]:
    """Yield the tables that a statement writes."""
    from sqlglot import exp  # noqa: PLC0415 - an extra

    if isinstance(statement, exp.MultitableInserts):
        for one in statement.expressions:
            yield from _written(one)
        return
    if isinstance(statement, exp.Query) or (
        isinstance(statement, exp.Create) and statement.kind not in {"TABLE", "VIEW"}
    ):
        return
    target = statement.this
    target = target.this if isinstance(target, exp.Schema) else target
    if isinstance(target, exp.Table) and isinstance(target.this, exp.Identifier):
        yield target


def _tables(statement: exp.Expr) -> Iterator[exp.Table]:
    """Yield all tables that a statement names, except where the name is that of a subquery of a WITH."""
    from sqlglot import exp  # noqa: PLC0415 - an extra

    named = {one.alias for one in statement.find_all(exp.CTE)}
    for table in statement.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            continue  # a function that yields a table
        if table.name not in named or table.db or _is_within(table, table.name):
            yield table


def _is_within(table: exp.Table, name: str) -> bool:
    """Return whether the table stands in the subquery of its own name, where it means a table unless recursive."""
    from sqlglot import exp  # noqa: PLC0415 - an extra

    above = table.find_ancestor(exp.CTE)
    while above is not None and above.alias != name:
        above = above.find_ancestor(exp.CTE)
    return above is not None and not (isinstance(above.parent, exp.With) and above.parent.recursive)


def _table(table: exp.Table, database: str) -> Table:
    if _PATH in table.name:
        return Table(table.name)
    return Table(table.name.lower(), (table.db or database).lower(), table.catalog.lower())


def _traced(statement: exp.Expr, dialect: str, database: str) -> Columns:
    """Return `_columns`; nothing where the tables' own columns would have to be known."""
    try:
        return _columns(statement, dialect, database)
    except Exception:  # noqa: BLE001 - as in `read`
        return ()


def _columns(statement: exp.Expr, dialect: str, database: str) -> Columns:
    """Find the origin of the columns that a statement writes, if it names them."""
    from sqlglot import exp, lineage  # noqa: PLC0415 - an extra
    from sqlglot.optimizer import qualify, scope  # noqa: PLC0415 - the same

    query = statement.expression if isinstance(statement, exp.Create | exp.Insert) else None
    if not isinstance(query, exp.Query):
        return ()

    # An INSERT without a list of columns fills them by position, and their names are not known.
    names = query.named_selects
    listed = [one.name for one in statement.this.expressions] if isinstance(statement.this, exp.Schema) else []
    targets = listed if isinstance(statement, exp.Insert) else names
    if not 0 < len(targets) == len(set(names)) <= _MAX_COLUMNS or "*" in names:
        return ()

    qualified = qualify.qualify(query.copy(), dialect=dialect, validate_qualify_columns=False, quote_identifiers=False)
    nodes = lineage.lineage(
        None, qualified, {}, scope=scope.build_scope(qualified), dialect=dialect, trim_selects=False, copy=False
    )
    if len(nodes) != len(targets):
        return ()
    return tuple(
        (target.lower(), _origin(node, database)) for target, node in zip(targets, nodes.values(), strict=True)
    )


def _origin(node: Node, database: str) -> tuple[Column, ...]:
    """Return the columns of tables that a column is made of; one whose table is not certain is left out."""
    from sqlglot import exp  # noqa: PLC0415 - an extra

    found = set()
    for leaf in node.walk():
        if not leaf.downstream and isinstance(leaf.source, exp.Table):
            name = leaf.name.rpartition(".")[2].strip('`"').lower()
            found.add((_table(leaf.source, database), name))
    return tuple(sorted(found))


def _redacted(statements: list[exp.Expr], dialect: str) -> str:
    """Write statements with ? for each literal and without comments; of those without data their kind alone."""
    from sqlglot import exp  # noqa: PLC0415 - an extra

    literals = (
        *(exp.Literal, exp.National, exp.RawString, exp.UnicodeString),
        *(exp.HexString, exp.BitString, exp.ByteString, exp.JSONPath),
    )

    def hidden(node: exp.Expr) -> exp.Expr:
        return exp.Placeholder() if isinstance(node, literals) else node

    return "; ".join(
        one.copy().transform(hidden, copy=False).sql(dialect=dialect, comments=False)
        if isinstance(one, _with_data())
        else f"{one.key.upper()} …"
        for one in statements
    )
