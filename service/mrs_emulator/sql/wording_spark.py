"""
What Spark says about mistakes that it finds before it runs a statement.

Source: Spark 3.5.3, recorded in `tests/unit/emulator/mistakes/spark.jsonl`, without the plan that it prints behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

from sqlglot import exp

from mrs_emulator.core import failures
from mrs_emulator.sql import calls, catalogue, kinds, scopes, signatures, words

_SUGGESTED: Final = 5
_COMPARED: Final = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Add, exp.Sub, exp.Mul, exp.Div)
_SPELLING: Final = "Verify the spelling and correctness of the schema and catalog."
_ELSE: Final = (
    "\nIf you did not qualify the name with a schema, verify the current_schema() output, or qualify the name with the "
    "correct schema and catalog.\nTo tolerate the error on drop use DROP VIEW IF EXISTS or DROP TABLE IF EXISTS."
)


class SparkWords(words.Placed):
    """Spark's words."""

    def fail(self, text: str, offset: int | None = None) -> NoReturn:
        """Raise an error of Spark, at a place if it names one."""
        if offset is None:
            raise failures.SqlRefused(text)
        line, column = self._line_column(offset)
        raise failures.SqlRefused(f"{text}; line {line} pos {column - 1}", line=line, column=column)

    def type_name(self, duckdb_type: str) -> str:
        """Return a type of DuckDB as Spark writes it."""
        return kinds.of_duckdb(duckdb_type, "spark")

    def column_name(self, node: exp.Expr) -> str | None:
        """Name a column without an alias as it is written."""
        return _shown(node)

    def no_catalog(self, node: exp.Table) -> None:
        """Report that there is no such catalogue."""
        self.no_table(node, node.db)

    def no_database(self, node: exp.Table, database: str) -> None:
        """Report that there is no such database: Spark speaks of the table."""
        self.no_table(node, database)

    def no_table(self, node: exp.Table, _database: str) -> None:
        """Report that there is no such table."""
        name = _quoted([part.name for part in node.parts])
        text = f"[TABLE_OR_VIEW_NOT_FOUND] The table or view {name} cannot be found. {_SPELLING}{_ELSE}"
        self.fail(text, self._where.start(node))

    def no_column(self, node: exp.Column, scope: scopes.Scope) -> None:
        """Report that there is no such column; the nearest are named."""
        parts = [part.name for part in node.parts]
        text = f"A column or function parameter with name {_quoted(parts)} cannot be resolved."
        late = isinstance(node.find_ancestor(exp.Order, exp.Having, exp.Query), exp.Order | exp.Having)
        self._unresolved(text, _suggested(parts, scope, is_late=late), self._where.start(node))

    def no_insert_column(self, name: str, scope: scopes.Scope) -> None:
        """Report that a column that INSERT names is not there."""
        text = f"A column or function parameter with name `{name}` cannot be resolved."
        self._unresolved(text, _suggested([name], scope, is_late=False), 0)

    def _unresolved(self, text: str, near: Sequence[str], at: int | None) -> None:
        if near:
            text = f"[UNRESOLVED_COLUMN.WITH_SUGGESTION] {text} Did you mean one of the following? [{', '.join(near)}]."
        else:
            text = f"[UNRESOLVED_COLUMN.WITHOUT_SUGGESTION] {text} "
        self.fail(text, at)

    def ambiguous(self, node: exp.Column, found: Sequence[tuple[scopes.Source, scopes.Output]]) -> None:
        """Report that several relations have the column."""
        names = []
        for source, output in found:
            above = ["spark_catalog", source.database] if source.database else []
            names.append(_quoted([*above, source.name, str(output.name)]))
        name = _quoted([part.name for part in node.parts])
        text = f"[AMBIGUOUS_REFERENCE] Reference {name} is ambiguous, could be: [{', '.join(names)}]."
        self.fail(text, self._where.start(node))

    def not_grouped(self, node: exp.Expr, select: exp.Select) -> None:
        """Report that a column stands beside aggregates."""
        if select.args.get("group") is None:
            text = (
                "[MISSING_GROUP_BY] The query does not include a GROUP BY clause. Add GROUP BY or turn it into "
                "the window "
                "functions using OVER clauses."
            )
            self.fail(text, self._where.before(select.expressions[0], "SELECT"))
        self.fail(
            f'[MISSING_AGGREGATION] The non-aggregating expression "{node.name}" is based on columns which are not '
            "participating in the GROUP BY clause.\nAdd the columns or the expression to the GROUP BY, aggregate the "
            f'expression, or use "any_value({node.name})" if you do not care which of the values within a group '
            "is returned."
        )

    def filtered(self, node: exp.Expr, kind: str | None) -> None:
        """Check that the condition of WHERE has no aggregates, and is true or false."""
        found = [
            one
            for one in node.find_all(exp.Func)
            if calls.is_aggregate(one) and one.parent_select is node.parent_select
        ]
        if found:
            inner = ", ".join(_shown(one) for one in found)
            self.fail(
                f'[INVALID_WHERE_CONDITION] The WHERE condition "{_shown(node)}" contains invalid expressions: '
                f"{inner}.\n"
                "Rewrite the query to avoid window functions, aggregate functions, and generator functions in "
                "the WHERE clause.",
                self._where.word("SELECT"),
            )

        if kind not in {None, "boolean", "unknown"}:
            text = f'Filter expression "{_shown(node)}" of type "{_type(kind)}" is not a boolean.'
            at = self._where.before(node.parent_select.expressions[0], "SELECT") if node.parent_select else None
            self._mismatch("FILTER_NOT_BOOLEAN", node, text, at)

    def position(self, node: exp.Expr, count: int | None, clause: str) -> None:
        """Check that a number in GROUP BY or ORDER BY is that of a column."""
        if count is not None and not 1 <= int(node.name) <= count:
            name = f"{clause.replace(' ', '_')}_POS_OUT_OF_RANGE"
            text = f"[{name}] {clause} position {node.name} is not in select list (valid range is [1, {count}])."
            self.fail(text, self._where.start(node))

    def set_operation(self, node: exp.SetOperation, left: Sequence[str | None], right: Sequence[str | None]) -> None:
        """Check that both sides have as many columns, of types that go together."""
        name = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}[type(node)]
        at = self._where.word("SELECT")

        if len(left) != len(right):
            self.fail(
                f"[NUM_COLUMNS_MISMATCH] {name} can only be performed on inputs with the same number of columns, "
                "but the "
                f"first input has {len(left)} columns and the second input has {len(right)} columns.",
                at,
            )

        ordinals = ("first", "second", "third")
        for ordinal, one, other in zip(ordinals, left, right, strict=False):
            if one and other and kinds.is_nested(one) != kinds.is_nested(other):
                self.fail(
                    f"[INCOMPATIBLE_COLUMN_TYPE] {name} can only be performed on tables with compatible column "
                    "types. The "
                    f'{ordinal} column of the second table is "{_type(other)}" type which is not compatible with '
                    f'"{_type(one)}" at the same column of the first table..',
                    at,
                )

    def subquery(self, node: exp.Expr, outputs: Sequence[scopes.Output] | None) -> None:
        """Check that a query inside of an expression has one column."""
        if outputs is None or len(outputs) < 2:  # noqa: PLR2004 - one is right
            return

        compared = node.find_ancestor(exp.In)
        if compared is not None and isinstance(compared.this, exp.Tuple):
            return

        if compared is not None and compared.args.get("query") is not None and node in compared.args["query"].walk():
            names = ", ".join(f'"{one.name}"' for one in outputs)
            text = (
                "The number of columns in the left hand side of an IN subquery does not match the number of "
                "columns in the "
                f'output of subquery. Left hand side columns(length: 1): ["{_shown(compared.this)}"], right hand side '
                f"columns(length: {len(outputs)}): [{names}]."
            )
            shown = f"({_shown(compared.this)} IN (listquery()))"
            at = self._where.after(compared.this, "IN")
            self._mismatch("IN_SUBQUERY_LENGTH_MISMATCH", shown, text, at)

        if isinstance(node.parent, exp.Subquery) or isinstance(node, exp.Subquery):
            name = "INVALID_SUBQUERY_EXPRESSION.SCALAR_SUBQUERY_RETURN_MORE_THAN_ONE_OUTPUT_COLUMN"
            text = f"Invalid subquery: Scalar subquery must return only one column, but got {len(outputs)}."
            self.fail(f"[{name}] {text}", self._where.before(node, "("))

    def star_alone(self, node: exp.Expr) -> None:
        """Let a star without FROM pass, which has no columns in Spark."""

    def applied(self, node: exp.Expr, kind: words.Kind) -> None:
        """Check what operators and functions are given."""
        match node:
            case exp.Not():
                self._boolean(node, node.this, kind)
            case exp.And() | exp.Or():
                self._logical(node, kind)
            case exp.If() if not isinstance(node.parent, exp.Case):
                self._boolean(node, node.this, kind)
            case _ if isinstance(node, _COMPARED):
                self._both(node, kind)
            case exp.Cast() | exp.TryCast():
                self._cast(node, kind)
            case exp.Func():
                self._function(node, kind)

    def _mismatch(self, name: str, shown: exp.Expr | str, text: str, at: int | None) -> NoReturn:
        form = shown if isinstance(shown, str) else _shown(shown)
        self.fail(f'[DATATYPE_MISMATCH.{name}] Cannot resolve "{form}" due to data type mismatch: {text}', at)

    def _boolean(self, node: exp.Expr, operand: exp.Expr, kind: words.Kind) -> None:
        of = kind(operand)
        if of in {None, "boolean", "unknown", "string"}:
            return
        text = f'Parameter 1 requires the "BOOLEAN" type, however "{_shown(operand)}" has the type "{_type(of)}".'
        word = "IF" if isinstance(node, exp.If) else "NOT"
        self._mismatch("UNEXPECTED_INPUT_TYPE", node, text, self._where.before(operand, word))

    def _logical(self, node: exp.Expr, kind: words.Kind) -> None:
        left, right = kind(node.this), kind(node.expression)
        if left and right and left != right and not {left, right} & {"unknown", "string"}:
            self._differ(node, left, right)

    def _both(self, node: exp.Expr, kind: words.Kind) -> None:
        left, right = kind(node.this), kind(node.expression)
        if left and right and kinds.is_nested(left) != kinds.is_nested(right):
            self._differ(node, left, right)

    def _differ(self, node: exp.Expr, left: str, right: str) -> None:
        text = (
            "the left and right operands of the binary operator have incompatible types "
            f'("{_type(left)}" and "{_type(right)}").'
        )
        self._mismatch("BINARY_OP_DIFF_TYPES", node, text, self._where.start(node))

    def _cast(self, node: exp.Expr, kind: words.Kind) -> None:
        of, wanted = kind(node.this), kinds.named(node.args["to"], "spark")
        if of and kinds.is_nested(of) and not kinds.is_nested(wanted) and wanted != "string":
            text = f'cannot cast "{_type(of)}" to "{_type(wanted)}".'
            self._mismatch("CAST_WITHOUT_SUGGESTION", node, text, self._where.start(node))

    def _function(self, node: exp.Expr, kind: words.Kind) -> None:
        name = calls.name(node)
        if name is None:
            return

        at = self._where.start_of_call(node)
        if signatures.expected("spark", name) is None:
            path = "[`system`.`builtin`, `system`.`session`, `spark_catalog`.`default`]"
            self.fail(f"[UNRESOLVED_ROUTINE] Cannot resolve function `{name}` on search path {path}.", at)

        count = signatures.SPARK_COUNTS.get(name)
        if count is not None and len(node.expressions) != count:
            self.fail(
                f"[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] The `{name}` requires {count} parameters but the actual "
                "number is "
                f"{len(node.expressions)}. Please, refer to "
                "'https://spark.apache.org/docs/latest/sql-ref-functions.html' "
                "for a fix.",
                at,
            )

        if calls.is_aggregate(node):
            inner = [
                one for part in node.iter_expressions() for one in part.find_all(exp.Func) if calls.is_aggregate(one)
            ]
            if inner:
                text = (
                    "[NESTED_AGGREGATE_FUNCTION] It is not allowed to use an aggregate function in the argument "
                    "of another "
                    "aggregate function. Please use the inner aggregate function in a sub-query."
                )
                self.fail(text, self._where.start_of_call(inner[0]))

        if name in signatures.WINDOW and not isinstance(node.parent, exp.Window | exp.IgnoreNulls):
            text = f'[WINDOW_FUNCTION_WITHOUT_OVER_CLAUSE] Window function "{_shown(node)}" requires an OVER clause.'
            self.fail(text, self._where.word("SELECT"))

        self._first_argument(node, name, kind)

    def _first_argument(self, node: exp.Expr, name: str, kind: words.Kind) -> None:
        needs = signatures.SPARK_FIRST.get(name)
        of = kind(node.expressions[0]) if node.expressions else None
        if needs is None or of is None or of == "unknown":
            return
        fits = {
            '"ARRAY"': of.startswith("array"),
            '("ARRAY" or "MAP")': of.startswith(("array", "map")),
            '"NUMERIC" or "ANSI INTERVAL"': kinds.is_number(of) or of == "string",
        }
        if not fits[needs]:
            shown = _shown(node.expressions[0])
            text = f'Parameter 1 requires the {needs} type, however "{shown}" has the type "{_type(of)}".'
            self._mismatch("UNEXPECTED_INPUT_TYPE", node, text, self._where.start_of_call(node))


def _quoted(parts: Sequence[str]) -> str:
    return ".".join(f"`{part}`" for part in parts)


def _type(name: str) -> str:
    """Return a type as Spark's errors write it."""
    return name.upper()


def _shown(node: exp.Expr) -> str:
    """Return an expression as Spark prints it: operations in brackets, stars counted as 1."""
    match node:
        case exp.And() | exp.Or() | exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.EQ() | exp.GT() | exp.LT():
            symbols = {
                exp.And: "AND",
                exp.Or: "OR",
                exp.Add: "+",
                exp.Sub: "-",
                exp.Mul: "*",
                exp.Div: "/",
                exp.EQ: "=",
            }

            symbol = symbols.get(type(node), ">" if isinstance(node, exp.GT) else "<")
            return f"({_shown(node.this)} {symbol} {_shown(node.expression)})"
        case exp.Not():
            return f"(NOT {_shown(node.this)})"
        case exp.If():
            parts = [node.this, node.args["true"], *([node.args["false"]] if node.args.get("false") else [])]
            return f"(IF({', '.join(map(_shown, parts))}))"
        case exp.Star():
            return "1"
        case _ if (name := calls.name(node)) is not None and isinstance(node, exp.Anonymous):
            return f"{name}({', '.join(map(_shown, node.expressions))})"
        case _:
            return calls.shown(node, "spark")


def _suggested(parts: Sequence[str], scope: scopes.Scope, *, is_late: bool) -> list[str]:
    """Return the names that are nearest to one that is not there."""
    wanted = ".".join(parts)
    if is_late and scope.aliases:
        names = [_quoted([name]) for name in scope.aliases]
    else:
        qualified = len(parts) > 1 or len(scope.sources) > 1
        names = [
            _quoted([source.name, str(column.name)] if qualified else [str(column.name)])
            for source in scope.sources
            for column in source.columns or ()
        ]
    by_column = sorted(names, key=lambda name: (name.rpartition(".")[2], name))
    return sorted(by_column, key=lambda name: _distance(name, wanted))[:_SUGGESTED]


def _distance(one: str, other: str) -> int:
    """Return how many letters must change to make one text the other."""
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, 1):
        above, row[0] = row[0], index
        for place, against in enumerate(other, 1):
            above, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, above + (letter != against))
    return row[-1]


def missing(table: exp.Table, known: catalogue.Catalogue) -> str:
    """Report a table that is not there, as statements that change it do."""
    name = _quoted(["spark_catalog", table.db or known.current(), table.name])
    return f"[TABLE_OR_VIEW_NOT_FOUND] The table or view {name} cannot be found. {_SPELLING}{_ELSE}"
