"""
What Presto says about mistakes that it finds before it runs a statement.

Source: Presto 333, recorded in `tests/unit/emulator/mistakes/presto.jsonl`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from sqlglot import exp

from mrs_emulator.core import failures
from mrs_emulator.sql import calls, kinds, refusing, scopes, signatures, words

_COMPARED: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_COUNTED: Mapping[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_MOMENTS = frozenset({"date", "timestamp", "timestamp with time zone"})
_TEXTS = frozenset({"varchar", "char"})


class PrestoWords(words.Placed):
    """Presto's words."""

    def fail(self, text: str, offset: int | None = None) -> NoReturn:
        """Raise an error of Presto, at a place if it names one."""
        if offset is None:
            raise failures.SqlRefused(text)
        line, column = self._line_column(offset)
        raise failures.SqlRefused(f"line {line}:{column}: {text}", line=line, column=column)

    def type_name(self, duckdb_type: str) -> str:
        """Return a type of DuckDB as Presto writes it."""
        return kinds.of_duckdb(duckdb_type, "presto")

    def column_name(self, _node: exp.Expr) -> str | None:
        """Return None: a column without an alias has no name."""
        return None

    def no_catalog(self, node: exp.Table) -> None:
        """Report that there is no such catalogue; a Presto of MRS has its own beside `hive`."""
        if node.catalog.lower() in {"system", "jmx"}:
            raise refusing.not_played(f"the catalogue {node.catalog.lower()}", "the emulator has the catalogue hive")
        self.fail(f"Catalog '{node.catalog}' does not exist", self._where.start(node))

    def no_database(self, node: exp.Table, database: str) -> None:
        """Report that there is no such schema."""
        self.fail(f"Schema '{database.lower()}' does not exist", self._where.start(node))

    def no_table(self, node: exp.Table, database: str) -> None:
        """Report that there is no such table."""
        self.fail(f"Table 'hive.{database.lower()}.{node.name.lower()}' does not exist", self._where.start(node))

    def no_column(self, node: exp.Column, _scope: scopes.Scope) -> None:
        """Report that there is no such column."""
        name = ".".join(part.name.lower() for part in node.parts)
        self.fail(f"Column '{name}' cannot be resolved", self._where.start(node))

    def ambiguous(self, node: exp.Column, _found: Sequence[tuple[scopes.Source, scopes.Output]]) -> None:
        """Report that several relations have the column."""
        self.fail(f"Column '{node.name.lower()}' is ambiguous", self._where.start(node))

    def not_grouped(self, node: exp.Expr, select: exp.Select) -> None:
        """Report that a column stands beside aggregates; in HAVING Presto names the whole condition."""
        having = node.find_ancestor(exp.Having)
        named: exp.Expr = having.this if having is not None and having.parent is select else node
        shown = calls.shown(named, "presto")
        shown = shown if named is node else f"({shown})"
        self.fail(f"'{shown}' must be an aggregate expression or appear in GROUP BY clause", self._at(named))

    def filtered(self, node: exp.Expr, kind: str | None) -> None:
        """Check that the condition of WHERE has no aggregates, and is true or false."""
        found = [
            one
            for one in node.find_all(exp.Func)
            if calls.is_aggregate(one) and one.parent_select is node.parent_select
        ]
        if found:
            shown = ", ".join(calls.shown(one, "presto") for one in found)
            text = "WHERE clause cannot contain aggregations, window functions or grouping operations"
            self.fail(f"{text}: [{shown}]", self._at(node))
        if kind not in {None, "boolean", "unknown"}:
            self.fail(f"WHERE clause must evaluate to a boolean: actual type {kind}", self._where.start(node))

    def position(self, node: exp.Expr, count: int | None, clause: str) -> None:
        """Check that a number in GROUP BY or ORDER BY is that of a column."""
        if count is not None and not 1 <= int(node.name) <= count:
            self.fail(f"{clause} position {node.name} is not in select list", self._where.start(node))

    def set_operation(self, node: exp.SetOperation, left: Sequence[str | None], right: Sequence[str | None]) -> None:
        """Check that both sides have as many columns, of the same types."""
        name = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}[type(node)]
        at = self._where.before(node.right, name)
        if len(left) != len(right):
            self.fail(f"{name} query has different number of fields: {len(left)}, {len(right)}", at)
        for index, (one, other) in enumerate(zip(left, right, strict=True), 1):
            if one and other and not _alike(one, other):
                self.fail(f"column {index} in {name} query has incompatible types: {one}, {other}", at)

    def star_alone(self, node: exp.Expr) -> None:
        """Report a star without FROM."""
        self.fail("SELECT * not allowed in queries without FROM clause", self._where.start(node))

    def applied(self, node: exp.Expr, kind: words.Kind) -> None:
        """Check what operators and functions are given."""
        match node:
            case _ if type(node) in _COMPARED:
                self._both(node, _COMPARED[type(node)], kind, _alike)
            case _ if type(node) in _COUNTED:
                self._both(node, _COUNTED[type(node)], kind, _taken_away if isinstance(node, exp.Sub) else _countable)
            case exp.DPipe():
                self._joined(node, kind)
            case exp.Neg():
                self._negated(node, kind)
            case exp.And() | exp.Or() | exp.Not() | exp.If():
                self._conditions(node, kind)
            case exp.In() | exp.Between() | exp.Like():
                self._predicate(node, kind)
            case exp.Case() | exp.Coalesce():
                self._branches(node, kind)
            case exp.Cast() | exp.TryCast():
                self._cast(node, kind)
            case exp.Func():
                self._function(node, kind)

    def _negated(self, node: exp.Neg, kind: words.Kind) -> None:
        if (of := kind(node.this)) and not kinds.is_number(of) and of != "unknown":
            self.fail(f"'-' cannot be applied to {of}", self._where.before(node.this, "-"))

    def _at(self, node: exp.Expr) -> int | None:
        """Return where Presto says that a part is: an operation is where its operator is."""
        symbol = {**_COMPARED, **_COUNTED}.get(type(node))
        if symbol is not None:
            return self._where.between(node.this, node.expression, symbol, "!=" if symbol == "<>" else symbol)
        return self._where.start(node)

    def _both(self, node: exp.Expr, symbol: str, kind: words.Kind, fits: kinds.Fits) -> None:
        left, right = kind(node.this), kind(node.expression)
        if left and right and not fits(left, right):
            self.fail(f"'{symbol}' cannot be applied to {left}, {right}", self._at(node))

    def subquery(self, node: exp.Expr, outputs: Sequence[scopes.Output] | None) -> None:
        """Check that a query inside of an expression has one column."""
        if outputs is not None and len(outputs) > 1 and not isinstance(node.parent, exp.Exists):
            text = f"Multiple columns returned by subquery are not yet supported. Found {len(outputs)}"
            compared = node.find_ancestor(exp.In)
            self.fail(text, self._where.after(compared.this, "IN") if compared else self._where.before(node, "("))

    def _joined(self, node: exp.DPipe, kind: words.Kind) -> None:
        left, right = kind(node.this), kind(node.expression)
        texts = [kinds.base(one) in {*_TEXTS, "unknown", "array", "varbinary"} for one in (left, right) if one]
        if left and right and not all(texts):
            text = f"Unexpected parameters ({left}, {right}) for function concat"
            expected = signatures.expected("presto", "concat")
            self.fail(f"{text}. Expected: {expected}", self._where.between(node.this, node.expression, "||"))

    def _conditions(self, node: exp.Expr, kind: words.Kind) -> None:
        said = [(node.this, "Left side of logical expression")]
        if isinstance(node, exp.Not):
            said = [(node.this, "Value of logical NOT expression")]
        elif isinstance(node, exp.If):
            said = [] if isinstance(node.parent, exp.Case) else [(node.this, "IF condition")]
        else:
            said.append((node.expression, "Right side of logical expression"))
        for one, text in said:
            if (of := kind(one)) not in {None, "boolean", "unknown"}:
                self.fail(f"{text} must evaluate to a boolean (actual: {of})", self._where.start(one))

    def _predicate(self, node: exp.Expr, kind: words.Kind) -> None:
        of = kind(node.this)
        if of is None:
            return
        if isinstance(node, exp.Like):
            if kinds.base(of) not in {*_TEXTS, "unknown"}:
                text = f"Left side of LIKE expression must evaluate to a varchar (actual: {of})"
                self.fail(text, self._where.start(node.this))
        elif isinstance(node, exp.Between):
            low, high = kind(node.args["low"]), kind(node.args["high"])
            if low and high and not (_alike(of, low) and _alike(of, high)):
                at = self._where.after(node.this, "BETWEEN")
                self.fail(f"Cannot check if {of} is BETWEEN {low} and {high}", at)
        else:
            self._listed(node, of, kind)

    def _listed(self, node: exp.Expr, of: str, kind: words.Kind) -> None:
        for one in node.expressions:
            if (other := kind(one)) and not _alike(of, other):
                self.fail(f"IN value and list items must be the same type: {of}", self._where.start(one))

    def _branches(self, node: exp.Expr, kind: words.Kind) -> None:
        if isinstance(node, exp.Case):
            parts = [one.args["true"] for one in node.args["ifs"]] + [one for one in [node.args.get("default")] if one]
            text = "All CASE results must be the same type"
        else:
            parts, text = [node.this, *node.expressions], "All COALESCE operands must be the same type"
        first = None
        for one in parts:
            of = kind(one)
            if first and of and not _alike(first, of):
                self.fail(f"{text}: {first}", self._where.start(one))
            first = first if first not in {None, "unknown"} else of

    def _cast(self, node: exp.Expr, kind: words.Kind) -> None:
        wanted, of = kinds.named(node.args["to"], "presto"), kind(node.this)
        if node.args["to"].this == exp.DataType.Type.USERDEFINED:
            self.fail(f"Unknown type: {wanted}", self._where.start(node))
        if of in {"date", "timestamp"} and kinds.is_number(wanted):
            self.fail(f"Cannot cast {of} to {wanted}", self._where.start(node))

    def _function(self, node: exp.Expr, kind: words.Kind) -> None:
        name = calls.name(node)
        if name is None:
            return

        at = self._where.start_of_call(node)
        expected = signatures.expected("presto", name)
        if expected is None:
            self.fail(f"Function '{name}' not registered", at)

        if calls.is_aggregate(node):
            inner = [
                one for part in node.iter_expressions() for one in part.find_all(exp.Func) if calls.is_aggregate(one)
            ]
            if inner:
                shown = ", ".join(calls.shown(one, "presto") for one in inner)
                self.fail(f"Cannot nest aggregations inside aggregation '{name}': [{shown}]", at)

        if name in signatures.WINDOW and not isinstance(node.parent, exp.Window | exp.IgnoreNulls):
            self.fail(f"Window function {name} requires an OVER clause", at)
        if name == "log" and any(one.name in {"2", "10"} for one in node.expressions[1:]):
            raise refusing.not_played("log of 2 or 10", "write log2 or log10 for those bases")

        given = [kind(one) for one in node.expressions]
        if expected and isinstance(node, exp.Anonymous) and not signatures.fit(expected, given):
            shown = ", ".join(str(one) for one in given)
            self.fail(f"Unexpected parameters ({shown}) for function {name}. Expected: {expected}", at)


def _alike(one: str, other: str) -> bool:
    """Return whether values of two types can be compared."""
    left, right = kinds.base(one), kinds.base(other)
    if "unknown" in {left, right} or left == right:
        return True
    return (kinds.is_number(left) and kinds.is_number(right)) or {left, right} <= _MOMENTS or {left, right} <= _TEXTS


def _countable(one: str, other: str) -> bool:
    """Return whether values of two types can be added, or multiplied."""
    if "unknown" in {one, other}:
        return True
    return kinds.is_number(one) and kinds.is_number(other)


def _taken_away(one: str, other: str) -> bool:
    """Return whether the difference of values of two types can be formed."""
    return _countable(one, other) or {one, other} <= _MOMENTS
