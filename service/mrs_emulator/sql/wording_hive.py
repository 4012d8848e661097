"""
What Hive says about mistakes that it finds before it runs a statement.

Source: Hive 3.1.3, recorded in `tests/unit/emulator/mistakes/hive.jsonl`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from sqlglot import exp

from mrs_emulator.core import failures
from mrs_emulator.sql import calls, kinds, refusing, scopes, signatures, words

_ERROR: Final = "FAILED: SemanticException [Error {code}]: {text}"
_VIRTUAL: Final = frozenset({"grouping__id", "input__file__name", "block__offset__inside__file"})
"""Columns that no table has and each query may name."""
_COMPARED: Final[Mapping[type[exp.Expr], str]] = {exp.EQ: "EQUAL ", exp.GT: "GREATER THAN", exp.LT: "LESS THAN"}


class HiveWords(words.Placed):
    """Hive's words."""

    def fail(self, text: str, code: int | None = None, offset: int | None = None) -> NoReturn:
        """Raise an error of Hive, with its code and place if it has them."""
        line = column = None
        if offset is not None:
            line, column = self._line_column(offset)
            text = f"Line {line}:{column - 1} {text}"
        said = f"FAILED: {text}" if code is None else _ERROR.format(code=code, text=text)
        raise failures.SqlRefused(said, line=line, column=column)

    def line_column(self, node: exp.Expr) -> tuple[int, int]:
        """Return line of a part from 1, and column from 0."""
        line, column = self._line_column(self._where.start(node) or 0)
        return line, column - 1

    def type_name(self, duckdb_type: str) -> str:
        """Return a type of DuckDB as Hive writes it."""
        return kinds.of_duckdb(duckdb_type, "hive")

    def column_name(self, _node: exp.Expr) -> str | None:
        """Return None: a column without an alias has a name that no part of the query uses."""
        return None

    def no_catalog(self, node: exp.Table) -> None:
        """Report that there is no such catalogue, of which Hive has none."""
        self.no_table(node, node.db)

    def no_database(self, node: exp.Table, database: str) -> None:
        """Report that there is no such database: Hive speaks of the table."""
        self.no_table(node, database)

    def no_table(self, node: exp.Table, _database: str) -> None:
        """Report that there is no such table."""
        self.fail(f"Table not found '{node.name}'", 10001, self._where.start(node))

    def no_column(self, node: exp.Column, scope: scopes.Scope) -> None:
        """Report that there is no such column, or no such table."""
        parts = [part.name.lower() for part in node.parts]
        if parts[-1] in _VIRTUAL:
            raise refusing.not_played(f"the column {parts[-1]}", "leave it out")
        at = self._where.start(node)
        if len(parts) > 1 and any(source.name.lower() == parts[0] for source in scope.sources):
            self.fail(f"Invalid column reference '{parts[-1]}'", 10002, self._where.start(node.this))
        late = isinstance(node.find_ancestor(exp.Order, exp.Query), exp.Order)
        names = [str(one.name) for source in scope.sources for one in source.columns or ()]
        listed = ", ".join(scope.aliases if late else names)
        text = f"Invalid table alias or column reference '{parts[0]}': (possible column names are: {listed})"
        self.fail(text, 10004, at)

    def ambiguous(self, node: exp.Column, _found: Sequence[tuple[scopes.Source, scopes.Output]]) -> None:
        """Report that several relations have the column."""
        if node.find_ancestor(exp.Join) is not None:
            self.fail(f"Ambiguous table alias '{node.name.lower()}'", 10008, self._where.start(node))
        self.fail(f"SemanticException Column {node.name.lower()} Found in more than One Tables/Subqueries")

    def not_grouped(self, node: exp.Expr, _select: exp.Select) -> None:
        """Report that a column stands beside aggregates."""
        self.fail(f"Expression not in GROUP BY key '{node.name.lower()}'", 10025, self._where.start(node))

    def filtered(self, node: exp.Expr, _kind: str | None) -> None:
        """Check that the condition of WHERE has no aggregates."""
        for one in node.find_all(exp.Func):
            if calls.is_aggregate(one) and one.parent_select is node.parent_select:
                self._misplaced(one)

    def _misplaced(self, node: exp.Expr) -> NoReturn:
        text = f"Not yet supported place for UDAF '{calls.name(node)}'"
        self.fail(text, 10128, self._where.start_of_call(node))

    def position(self, node: exp.Expr, count: int | None, clause: str) -> None:
        """Check a number in ORDER BY: a column's position. In GROUP BY it is a constant, unless a setting differs."""
        if clause == "ORDER BY" and (count is None or 1 <= int(node.name) <= count):
            return
        raise refusing.not_played(f"{clause} a position", "name the column")

    def set_operation(self, node: exp.SetOperation, left: Sequence[str | None], right: Sequence[str | None]) -> None:
        """Check that both sides have as many columns."""
        if len(left) != len(right):
            self.fail("SemanticException Schema of both sides of union should match.")
        if any(
            one and other and kinds.is_nested(one) != kinds.is_nested(other)
            for one, other in zip(left, right, strict=True)
        ):
            raise refusing.not_played(f"{node.key.upper()} of columns of other types", "cast them")

    def subquery(self, node: exp.Expr, outputs: Sequence[scopes.Output] | None) -> None:
        """Check that a query inside of an expression has one column."""
        if outputs is not None and len(outputs) > 1 and not isinstance(node.parent, exp.Exists):
            raise refusing.not_played("a subquery with several columns", "select one column in it")

    def star_alone(self, _node: exp.Expr) -> None:
        """Report a star without FROM."""
        self.fail("SemanticException Line 0:-1 Invalid column reference 'TOK_ALLCOLREF'")

    def applied(self, node: exp.Expr, kind: words.Kind) -> None:
        """Check what operators and functions are given."""
        match node:
            case exp.Not() | exp.And() | exp.Or():
                self._conditions(node, kind)
            case exp.If():
                self._condition(node, kind)
            case exp.EQ() if isinstance(node.expression, exp.Not):
                raise refusing.not_played("NOT behind an operator", "put it into brackets")
            case exp.EQ() | exp.GT() | exp.LT():
                self._both(node, kind)
            case exp.Add() | exp.Sub():
                self._counted(node, kind)
            case exp.Cast() | exp.TryCast():
                self._cast(node, kind)
            case exp.Func():
                self._function(node, kind)

    def _conditions(self, node: exp.Expr, kind: words.Kind) -> None:
        """Report an operand that is not true or false, in Java's words as Hive does."""
        for one in (node.this, node.args.get("expression")):
            if one is not None and kind(one) not in {None, "boolean"}:
                raise refusing.not_played(
                    f"{node.key.upper()} of something else than boolean", "compare it with a value"
                )

    def _condition(self, node: exp.If, kind: words.Kind) -> None:
        if isinstance(node.parent, exp.Case) and node.parent.this is not None:  # CASE x WHEN 1
            return

        of = kind(node.this)
        branches = {
            kinds.is_number(one)
            for part in ("true", "false")
            if (one := kind(node.args.get(part) or exp.Var())) not in {None, "unknown"}
        }
        if len(branches) > 1 and not isinstance(node.parent, exp.Case):
            raise refusing.not_played("if() of values of different types", "cast them")
        if of in {None, "boolean", "unknown"}:
            return

        name = self._where.sql[self._where.start(node.this) or 0 :].split(")", 1)[0].split(",")[0].split(" ")[0]
        if isinstance(node.parent, exp.Case):
            said = f'"boolean" is expected after WHEN, but "{of}" is found'
        else:
            said = f'The first argument of function IF should be "boolean", but "{of}" is found'

        self.fail(f"Argument type mismatch '{name}': {said}", 10016, self._where.start(node.this))

    def _both(self, node: exp.Expr, kind: words.Kind) -> None:
        left, right = kind(node.this), kind(node.expression)
        if left and right and kinds.is_nested(right) and not kinds.is_nested(left):
            name = _COMPARED[type(node)]
            said = f"The 2nd argument of {name} is expected to a primitive type, but list is found"
            self.fail(
                f"Argument type mismatch '{node.expression.name}': {said}", 10016, self._where.start(node.expression)
            )

    def _counted(self, node: exp.Expr, kind: words.Kind) -> None:
        """Report a number added to a date, in words of Hive's own classes."""
        for one, other in ((node.this, node.expression), (node.expression, node.this)):
            if kind(one) in {"date", "timestamp"} and kinds.is_number(kind(other) or ""):
                raise refusing.not_played("a number added to a date", "use date_add")

    def _cast(self, node: exp.Expr, kind: words.Kind) -> None:
        of = kind(node.this)
        if of and kinds.is_nested(of):
            raise refusing.not_played(f"CAST of {of}", "cast its elements")

    def _function(self, node: exp.Expr, kind: words.Kind) -> None:
        name = calls.name(node)
        if name is None:
            return

        if signatures.expected("hive", name) is None:
            self.fail(f"Invalid function {name}", 10011)
        count = signatures.HIVE_COUNTS.get(name)

        given = len(node.expressions)
        if count is not None and given != count:
            at = self._where.start_of_call(node)
            shown = node.expressions[-1].sql("hive") if given else name
            needs = signatures.HIVE_SPELLED.get(name, name.upper())
            self.fail(f"Arguments length mismatch '{shown}': {needs} requires 1 argument, got {given}", 10015, at)

        if calls.is_aggregate(node):
            for one in [inner for part in node.iter_expressions() for inner in part.find_all(exp.Func)]:
                if calls.is_aggregate(one):
                    self._misplaced(one)

        if name in signatures.WINDOW and not isinstance(node.parent, exp.Window | exp.IgnoreNulls):
            text = (
                "SemanticException org.apache.hadoop.hive.ql.metadata.HiveException: Only COMPLETE mode supported for"
            )
            self.fail(f"{text} {name} function")

        if name == "explode" and len(getattr(node.parent_select, "expressions", [])) > 1:
            raise refusing.not_played("explode beside other columns", "use LATERAL VIEW explode")
        self._first_argument(node, name, kind)

    def _first_argument(self, node: exp.Expr, name: str, kind: words.Kind) -> None:
        of = kind(node.expressions[0]) if node.expressions else None
        if of is None or (of == "unknown" and name != "length"):
            return

        first = node.expressions[0]
        at = self._where.start(first)
        if name in {"year", "month", "quarter"} and kinds.is_number(of):
            self.fail(f"Argument type mismatch '{first.name}': {name} does not take {of.upper()} type", 10016, at)

        if name == "array_contains" and not of.startswith("array"):
            said = f'"array" expected at function ARRAY_CONTAINS, but "{of}" is found'
            self.fail(f"Argument type mismatch '{first.name}': {said}", 10016, at)

        if name in {"sum", "avg"} and not (kinds.is_number(of) or of == "string"):
            text = f"Only numeric or string type arguments are accepted but {of} is passed."
            self.fail(f"UDFArgumentTypeException {text}")

        if name == "length" and (kinds.is_nested(of) or isinstance(node.expressions[0], exp.Null)):
            raise refusing.not_played(f"length of {of}", "use size")
        if name == "explode" and not kinds.is_nested(of):
            self.fail("UDFArgumentException explode() takes an array or a map as a parameter")
