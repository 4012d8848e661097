"""
What Presto means and DuckDB does not: strict casts, subscripts that must exist, whole units between moments.

Source: Presto documentation, Functions and Operators and Language > Types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from mrs_emulator.sql import refusing, rewriting, statement
from mrs_emulator.sql.rewriting import call, named, only, renamed

_TYPE = exp.DataType.Type
_CASTS: Final[Mapping[object, str]] = {
    _TYPE.TINYINT: "tinyint",
    _TYPE.SMALLINT: "smallint",
    _TYPE.INT: "int",
    _TYPE.BIGINT: "bigint",
    _TYPE.BOOLEAN: "bool",
    _TYPE.DOUBLE: "double",
    _TYPE.DATE: "date",
}
_PLAIN_CASTS: Final = frozenset({_TYPE.TIMESTAMP, _TYPE.DECIMAL})
_FIELDS: Final[Mapping[str, str]] = {
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "WEEK": "week",
    "DAY": "day",
    "DAY_OF_MONTH": "day",
    "DOW": "isodow",
    "DAYOFWEEK": "isodow",
    "DAY_OF_WEEK": "isodow",
    "DOY": "dayofyear",
    "DAY_OF_YEAR": "dayofyear",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
}
_TRUNCATES: Final = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"})
_END: Final = 2_147_483_647


def _cast(node: exp.Cast, spoken: statement.Dialect) -> exp.Expr:
    kind = node.to
    tried = isinstance(node, exp.TryCast)
    if not tried and rewriting.is_text(node.this) and kind.this in {_TYPE.DATE, _TYPE.TIMESTAMP}:
        return node
    if kind.this in _CASTS:
        return call(f"__presto_{'try_' if tried else ''}{_CASTS[kind.this]}", node.this)
    if kind.this in {_TYPE.VARCHAR, _TYPE.TEXT}:
        shown = call("__presto_text", node.this)
        return call("left", shown, kind.expressions[0].this) if kind.expressions else shown
    if kind.this == _TYPE.DECIMAL and not kind.expressions:
        node.set("to", exp.DataType.build(_decimal_type(node.this), dialect="duckdb"))
        return node
    if kind.this in _PLAIN_CASTS:
        return node
    if kind.this == _TYPE.FLOAT and not tried:
        return rewriting.cast(call("__presto_double", node.this), "FLOAT")
    raise refusing.not_played(f"CAST to {kind.sql(spoken).lower()}", "cast to a simple type")


def _decimal_type(value: exp.Expr) -> str:
    """DECIMAL '1.50' has the digits that it shows; a cast to decimal without sizes has none behind the point."""
    known = rewriting.decimal_of(exp.Literal.number(value.name)) if rewriting.is_text(value) else None
    return f"DECIMAL({known[0]}, {known[1]})" if known else "DECIMAL(38, 0)"


def _divide(node: exp.Div, _spoken: statement.Dialect) -> exp.Expr:
    left, right = rewriting.decimal_of(node.this), rewriting.decimal_of(node.expression)
    plain = exp.Div(this=node.this, expression=node.expression)
    if left is None or right is None or left[1] + right[1] == 0:
        return exp.Paren(this=plain)
    scale = max(left[1], right[1])
    precision = min(38, left[0] + right[1] + max(0, right[1] - left[1]))
    exact = exp.Div(this=rewriting.cast(node.this, "DOUBLE"), expression=node.expression)
    return rewriting.cast(exact, f"DECIMAL({precision}, {scale})")


def _plus(node: exp.Add | exp.Sub, _spoken: statement.Dialect) -> exp.Expr:
    for one, other in ((node.this, node.expression), (node.expression, node.this)):
        if rewriting.is_text(one) or (rewriting.is_text(other) and not isinstance(other, exp.Interval)):
            raise refusing.not_played("arithmetic on texts", "cast the text")
        if isinstance(other, exp.Interval) and not isinstance(one, exp.Interval):
            unit = str(other.args.get("unit") or "").upper()
            if unit not in rewriting.WHOLE_DAYS:
                return node
            return call("__plus" if isinstance(node, exp.Add) else "__minus", one, other)
    return node


def _bracket(node: exp.Bracket, _spoken: statement.Dialect) -> exp.Expr:
    if len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Slice):
        raise refusing.not_played("this form of a subscript")
    index = node.expressions[0]
    if node.args.get("safe"):  # element_at
        return node
    if isinstance(node.this, exp.Map | exp.VarMap) or rewriting.is_text(index):
        return call("__presto_key", node.this, index)
    if isinstance(index, exp.Literal | exp.Neg):  # sqlglot counts literals from 0
        index = exp.Literal.number(int(index.sql()) + 1)
    return call("__presto_at", node.this, index)


def _extract(node: exp.Extract, _spoken: statement.Dialect) -> exp.Expr:
    unit = node.this.name.upper()
    if unit not in _FIELDS:
        raise refusing.not_played(f"extract({unit.lower()})", f"extract {', '.join(sorted(_FIELDS)).lower()}")
    return call(_FIELDS[unit], node.expression)


def _field(name: str) -> rewriting.Rewrite:
    def rewrite(node: exp.Expr, _spoken: statement.Dialect) -> exp.Expr:
        inner = node.this
        while isinstance(inner, exp.TsOrDsToDate):
            inner = inner.this
        if rewriting.is_text(inner):
            raise refusing.not_played(f"{name} of a text", "cast it to date or timestamp, as Presto wants")
        return call(name, inner)

    return rewrite


def _diff(node: exp.DateDiff, _spoken: statement.Dialect) -> exp.Expr:
    unit = node.args["unit"].name
    return call("__presto_diff", unit.lower(), node.expression, node.this)


def _add(node: exp.DateAdd, _spoken: statement.Dialect) -> exp.Expr:
    unit = node.args["unit"].name.upper()
    if unit not in _TRUNCATES:
        raise refusing.not_played(f"date_add in {unit.lower()}")
    step = exp.Mul(
        this=exp.Interval(this=exp.Literal.string("1"), unit=exp.Var(this=unit)),
        expression=rewriting.cast(exp.Paren(this=node.expression), "INT"),
    )
    return call("__plus", node.this, step)


def _trunc(node: exp.DateTrunc | exp.TimestampTrunc, _spoken: statement.Dialect) -> exp.Expr:
    unit = node.args["unit"].name.upper()
    if unit not in _TRUNCATES:
        raise refusing.not_played(f"date_trunc to {unit.lower()}")
    value = node.this
    return call("cast_to_type", call("date_trunc", unit.lower(), value), value.copy())


def _format(node: exp.TimeToStr, _spoken: statement.Dialect) -> exp.Expr:
    found = rewriting.simple_format(node.args.get("format"))
    if found is None:
        raise refusing.not_played("this date format", "use %Y, %m, %d, %H, %i and %s only")
    return call("strftime", rewriting.cast(node.this, "TIMESTAMP"), found)


def _parse(node: exp.StrToTime, _spoken: statement.Dialect) -> exp.Expr:
    found = rewriting.simple_format(node.args.get("format"))
    if found is None:
        raise refusing.not_played("this date format", "use %Y, %m, %d, %H, %i and %s only")
    return call("strptime", node.this, found)


def _substr(node: exp.Substring, _spoken: statement.Dialect) -> exp.Expr:
    length = node.args.get("length") or exp.Literal.number(_END)
    return call("__presto_substr", node.this, node.args["start"], length)


def _regexp(node: exp.RegexpExtract, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "expression", "group", "null_if_pos_overflow")
    pattern = call("__re", node.expression)
    found = call("regexp_extract", node.this, pattern.copy(), node.args.get("group") or exp.Literal.number(0))
    return rewriting.when(call("regexp_matches", node.this.copy(), pattern), found, exp.Null())


def _regexp_replace(node: exp.RegexpReplace, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "expression", "replacement", "single_replace")
    by = node.args.get("replacement") or exp.Literal.string("")
    return call("regexp_replace", node.this, call("__re", node.expression), call("__by", by), "g")


def _whole(name: str) -> rewriting.Rewrite:
    """Ceil and floor keep the type; without a number of digits only."""

    def rewrite(node: exp.Ceil | exp.Floor, _spoken: statement.Dialect) -> exp.Expr:
        only(node, "this")
        return call(name, node.this)

    return rewrite


def _greatest(node: exp.Greatest | exp.Least, _spoken: statement.Dialect) -> exp.Expr:
    """NULL when there is one."""
    parts = [node.this, *node.expressions] if node.args.get("this") is not None else node.expressions
    missing = exp.or_(*[exp.Is(this=one.copy(), expression=exp.Null()) for one in parts])
    return rewriting.when(missing, exp.Null(), node.copy())


def _concat(node: exp.Concat, _spoken: statement.Dialect) -> exp.Expr:
    if any(isinstance(one, exp.Array) for one in node.expressions):
        return call("list_concat", *node.expressions)
    joined = node.expressions[0]
    for one in node.expressions[1:]:
        joined = exp.DPipe(this=joined, expression=one)
    return exp.Paren(this=joined)


def _pad(node: exp.Pad, _spoken: statement.Dialect) -> exp.Expr:
    name = "__lpad" if node.args.get("is_left") else "__rpad"
    return call(name, node.this, node.expression, node.args["fill_pattern"])


def _log(node: exp.Log, _spoken: statement.Dialect) -> exp.Expr:
    if node.args.get("expression") is None:
        raise refusing.not_played("log with one argument", "use ln")
    short = {"10": "log10", "2": "log2"}.get(node.this.name)
    return call(short, node.expression) if short else call("__log", node.this, node.expression)


def _split_part(node: exp.SplitPart, _spoken: statement.Dialect) -> exp.Expr:
    return call("list_extract", call("string_split", node.this, node.args["delimiter"]), node.args["part_index"])


def _aggregate_list(node: exp.ArrayAgg, _spoken: statement.Dialect) -> exp.Expr:
    return call("list", node.this) if not isinstance(node.parent, exp.Filter) else node


def _average(node: exp.Avg, _spoken: statement.Dialect) -> exp.Expr:
    known = rewriting.decimal_of(node.this)
    if known is None or known[1] == 0:
        return node
    return rewriting.cast(node.copy(), f"DECIMAL({known[0]}, {known[1]})")


REWRITES: Final[rewriting.Rewrites] = {
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Div: _divide,
    exp.Add: _plus,
    exp.Sub: _plus,
    exp.Bracket: _bracket,
    exp.Extract: _extract,
    exp.Year: _field("year"),
    exp.Quarter: _field("quarter"),
    exp.Month: _field("month"),
    exp.Week: _field("week"),
    exp.WeekOfYear: _field("week"),
    exp.Day: _field("day"),
    exp.DayOfMonth: _field("day"),
    exp.DayOfWeek: _field("isodow"),
    exp.DayOfWeekIso: _field("isodow"),
    exp.DayOfYear: _field("dayofyear"),
    exp.Hour: _field("hour"),
    exp.Minute: _field("minute"),
    exp.Second: _field("second"),
    exp.DateDiff: _diff,
    exp.DateAdd: _add,
    exp.DateTrunc: _trunc,
    exp.TimestampTrunc: _trunc,
    exp.TimeToStr: _format,
    exp.StrToTime: _parse,
    exp.TsOrDsToDate: lambda node, _: call("__presto_date", node.this),
    exp.Date: lambda node, _: call("__presto_date", node.this),
    exp.LastDay: renamed("last_day", "this"),
    exp.UnixToTime: renamed("__presto_from_unix", "this"),
    exp.TimeToUnix: lambda node, _: call("epoch", rewriting.cast(node.this, "TIMESTAMP")),
    exp.Substring: _substr,
    exp.RegexpLike: renamed("__rlike", "this", "expression"),
    exp.RegexpExtract: _regexp,
    exp.RegexpReplace: _regexp_replace,
    exp.Ceil: _whole("ceil"),
    exp.Floor: _whole("floor"),
    exp.Greatest: _greatest,
    exp.Least: _greatest,
    exp.Concat: _concat,
    exp.Pad: _pad,
    exp.Ln: renamed("ln", "this"),
    exp.Log: _log,
    exp.Sqrt: renamed("__sqrt", "this"),
    exp.Asin: renamed("__asin", "this"),
    exp.Acos: renamed("__acos", "this"),
    exp.Sign: renamed("sign", "this"),
    exp.Pow: renamed("pow", "this", "expression"),
    exp.ArrayAgg: _aggregate_list,
    exp.Avg: _average,
    exp.ArrayContains: renamed("__array_contains", "this", "expression"),
    exp.ArrayPosition: renamed("__array_position", "this", "expression"),
    exp.ArrayDistinct: renamed("__array_distinct", "this"),
    exp.ArraySort: lambda node, _: call("list_sort", node.this, "ASC", "NULLS LAST"),
    exp.ArrayToString: renamed("array_to_string", "this", "expression"),
    exp.ArraySize: lambda node, _: rewriting.cast(call("cardinality", node.this), "BIGINT"),
    exp.Try: renamed("TRY", "this"),
    exp.Trunc: renamed("trunc", "this"),
    exp.IsNan: renamed("isnan", "this"),
    exp.Split: renamed("string_split", "this", "expression"),
    exp.SplitPart: _split_part,
    exp.CurrentTimestamp: lambda node, _: rewriting.cast(node.copy(), "TIMESTAMP"),
    exp.Levenshtein: renamed("levenshtein", "this", "expression"),
}
"""Rewrites by class."""

NAMES: Final[rewriting.NamedRewrites] = {
    "mod": named("mod", 2),
    "e": lambda _, __: call("exp", 1),
    "infinity": lambda _, __: rewriting.cast(exp.Literal.string("inf"), "DOUBLE"),
    "nan": lambda _, __: rewriting.cast(exp.Literal.string("nan"), "DOUBLE"),
    "codepoint": named("unicode", 1),
    "every": named("bool_and", 1),
    "contains": named("__array_contains", 2),
    "cardinality": lambda node, _: rewriting.cast(call("cardinality", *node.expressions), "BIGINT"),
    "log10": named("log10", 1),
    "log2": named("log2", 1),
}
"""Rewrites by name."""
