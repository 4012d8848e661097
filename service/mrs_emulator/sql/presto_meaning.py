"""
What Presto means and DuckDB does not: strict casts, subscripts that must exist, whole units between moments.

Source: Presto 333, recorded in `tests/unit/emulator/expressions/presto.jsonl`.
"""

from __future__ import annotations

import re
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
_PLAIN_CASTS: Final = frozenset({_TYPE.TIMESTAMP, _TYPE.TIMESTAMPNTZ, _TYPE.DECIMAL})
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
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}( [0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,3})?)?)?")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")


def _cast(node: exp.Cast, spoken: statement.Dialect) -> exp.Expr:
    kind = node.to
    tried = isinstance(node, exp.TryCast)
    if not tried and rewriting.is_text(node.this) and kind.this in {_TYPE.DATE, _TYPE.TIMESTAMP}:
        form = _DAY if kind.this == _TYPE.DATE else _MOMENT
        if form.fullmatch(node.this.name) is None:
            raise refusing.not_played(f"the moment {node.this.name!r}", "write year-month-day, and perhaps a time")
        return node if kind.this == _TYPE.TIMESTAMP else call("__presto_date", node.this)

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
    """Type decimals: DECIMAL '1.50' has the digits that it shows; a cast without sizes has none behind the point."""
    known = rewriting.decimal_of(exp.Literal.number(value.name)) if rewriting.is_text(value) else None
    return f"DECIMAL({known[0]}, {known[1]})" if known else "DECIMAL(38, 0)"


def _divide(node: exp.Div, _spoken: statement.Dialect) -> exp.Expr:
    left, right = rewriting.decimal_of(node.this), rewriting.decimal_of(node.expression)
    if left is None or right is None:
        return call("__presto_div", node.this, node.expression)
    if left[1] + right[1] == 0 and not any(isinstance(one, exp.Cast) for one in (node.this, node.expression)):
        return exp.Paren(this=exp.Div(this=node.this, expression=node.expression))
    scale = max(left[1], right[1])
    precision = min(38, left[0] + right[1] + max(0, right[1] - left[1]))
    exact = exp.Div(this=rewriting.cast(node.this, "DOUBLE"), expression=node.expression)
    return rewriting.cast(exact, f"DECIMAL({precision}, {scale})")


def _plus(node: exp.Add | exp.Sub, _spoken: statement.Dialect) -> exp.Expr:
    intervals = [isinstance(one, exp.Interval) for one in (node.this, node.expression)]
    if all(intervals):
        raise refusing.not_played("an interval as a value", "add it to a date, or subtract it")
    if not any(intervals):
        return _numbers(node)
    one, other = (node.expression, node.this) if intervals[0] else (node.this, node.expression)
    unit = str(other.args.get("unit") or "").upper()
    if unit not in rewriting.WHOLE_DAYS:
        step = exp.Add if isinstance(node, exp.Add) else exp.Sub
        return exp.Paren(this=step(this=call("__presto_clock", one), expression=other))
    return call("__plus" if isinstance(node, exp.Add) else "__minus", one, other)


def _numbers(node: exp.Add | exp.Sub) -> exp.Expr:
    if rewriting.is_text(node.this) or rewriting.is_text(node.expression):
        raise refusing.not_played("arithmetic on texts", "cast the text")
    if isinstance(node, exp.Add) or rewriting.is_number(node.this) or rewriting.is_number(node.expression):
        return node
    return call("__sub", node.this, node.expression)


def _bracket(node: exp.Bracket, _spoken: statement.Dialect) -> exp.Expr:
    if len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Slice):
        raise refusing.not_played("this form of a subscript")
    index = node.expressions[0]
    if node.args.get("safe"):
        return call("__presto_element_at", node.this, index)
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
    return call("__plus", call("__of_moment", node.this, node.args["unit"].name), step)


def _trunc(node: exp.DateTrunc | exp.TimestampTrunc, _spoken: statement.Dialect) -> exp.Expr:
    unit = node.args["unit"].name.upper()
    if unit not in _TRUNCATES:
        raise refusing.not_played(f"date_trunc to {unit.lower()}")
    value = call("__of_moment", node.this, unit.lower())
    return call("cast_to_type", call("date_trunc", unit.lower(), value), node.this.copy())


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
    if int(getattr(node.args.get("group"), "name", 0) or 0) > node.expression.name.count("("):
        raise refusing.not_played("a group that the regular expression does not have")
    pattern = call("__re", node.expression)
    found = call("regexp_extract", node.this, pattern.copy(), node.args.get("group") or exp.Literal.number(0))
    return rewriting.when(call("regexp_matches", node.this.copy(), pattern), found, exp.Null())


def _regexp_replace(node: exp.RegexpReplace, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "expression", "replacement", "single_replace")
    by = node.args.get("replacement") or exp.Literal.string("")
    return call("regexp_replace", node.this, call("__re", node.expression), call("__by", by), "g")


def _whole(name: str) -> rewriting.Rewrite:
    """Rewrite ceil and floor, which keep the type; without a number of digits only."""

    def rewrite(node: exp.Ceil | exp.Floor, _spoken: statement.Dialect) -> exp.Expr:
        only(node, "this")
        return call(name, node.this)

    return rewrite


def _greatest(node: exp.Greatest | exp.Least, _spoken: statement.Dialect) -> exp.Expr:
    """Rewrite greatest and least, which are NULL when there is one."""
    parts = [node.this, *node.expressions] if node.args.get("this") is not None else node.expressions
    missing = exp.or_(*[exp.Is(this=one.copy(), expression=exp.Null()) for one in parts])
    return rewriting.when(missing, exp.Null(), node.copy())


def _concat(node: exp.Concat, _spoken: statement.Dialect) -> exp.Expr:
    if len(node.expressions) == 1:
        raise refusing.not_played("concat of one value", "leave concat out")
    if any(isinstance(one, exp.Array) for one in node.expressions):
        return call("list_concat", *node.expressions)
    if any(isinstance(one, exp.Null) for one in node.expressions):
        return exp.Null()
    joined = _typed(node.expressions[0])
    for one in node.expressions[1:]:
        joined = call("__presto_join", joined, _typed(one))
    return joined


def _typed(value: exp.Expr) -> exp.Expr:
    """Return a text literal that DuckDB does not turn into another type."""
    return rewriting.cast(value, "TEXT") if rewriting.is_text(value) else value


def _join(node: exp.DPipe, _spoken: statement.Dialect) -> exp.Expr:
    if isinstance(node.this, exp.Null) or isinstance(node.expression, exp.Null):
        return exp.Null()
    return call("__presto_join", _typed(node.this), _typed(node.expression))


def _compared(node: exp.Expr, _spoken: statement.Dialect) -> exp.Expr:
    """Compare like with like, as Presto does; a text is never turned into a number or a date."""
    for key in ("expression", "low", "high"):
        value = node.args.get(key)
        if isinstance(value, exp.Expr) and rewriting.is_text(value):
            node.set(key, call("__presto_beside", value, node.this.copy()))
    for one in (node.this, node.args.get("expression")):
        if isinstance(one, exp.Array) and one.find(exp.Null):
            raise refusing.not_played("a comparison of arrays that have NULL")
    if isinstance(node, exp.Binary) and rewriting.is_text(node.this):
        node.set("this", call("__presto_beside", node.this, node.expression.copy()))
    if node.expressions:
        parts = [(one, rewriting.is_text(one)) for one in node.expressions]
        found = [call("__presto_beside", one, node.this.copy()) if is_text else one for one, is_text in parts]
        node.set("expressions", found)
    return node


def _sort(node: exp.ArraySort, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this")
    return call("list_sort", node.this, "ASC", "NULLS LAST")


def _pad(node: exp.Pad, _spoken: statement.Dialect) -> exp.Expr:
    name = "__presto_lpad" if node.args.get("is_left") else "__presto_rpad"
    return call(name, node.this, node.expression, node.args["fill_pattern"])


def _log(node: exp.Log, _spoken: statement.Dialect) -> exp.Expr:
    if node.args.get("expression") is None:
        raise refusing.not_played("log with one argument", "use ln")
    short = {"10": "__presto_log10", "2": "__presto_log2"}.get(node.this.name)
    if short is not None:
        return call(short, node.expression)
    return call("__presto_log", node.expression, node.this)  # sqlglot has read them the other way round


def _split_part(node: exp.SplitPart, _spoken: statement.Dialect) -> exp.Expr:
    return call("__presto_split_part", node.this, node.args["delimiter"], node.args["part_index"])


def _sequence(node: exp.GenerateSeries, _spoken: statement.Dialect) -> exp.Expr:
    if node.args.get("step") is not None:
        return node
    return call("__presto_sequence", node.args["start"], node.args["end"])


def _round(node: exp.Round, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "decimals")
    digits = node.args.get("decimals")
    return node if digits is None else call("__presto_round", node.this, digits)


def _average(node: exp.Avg, _spoken: statement.Dialect) -> exp.Expr:
    if isinstance(node.this, exp.Distinct) or isinstance(node.parent, exp.Filter | exp.Window):
        return node
    return call("__presto_avg", node.this)


def _aggregate_list(node: exp.ArrayAgg, _spoken: statement.Dialect) -> exp.Expr:
    return call("list", node.this) if not isinstance(node.parent, exp.Filter) else node


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
    exp.Ceil: _whole("__presto_ceil"),
    exp.Floor: _whole("__presto_floor"),
    exp.Greatest: _greatest,
    exp.Least: _greatest,
    exp.Concat: _concat,
    exp.DPipe: _join,
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In), _compared),
    exp.Pad: _pad,
    exp.Ln: renamed("__presto_ln", "this"),
    exp.Log: _log,
    exp.Sqrt: renamed("__sqrt", "this"),
    exp.Asin: renamed("__asin", "this"),
    exp.Acos: renamed("__acos", "this"),
    exp.Sign: renamed("__presto_sign", "this"),
    exp.Pow: renamed("pow", "this", "expression"),
    exp.ArrayAgg: _aggregate_list,
    exp.Avg: _average,
    exp.ArrayContains: renamed("__array_contains", "this", "expression"),
    exp.ArrayPosition: renamed("__array_position", "this", "expression"),
    exp.ArrayDistinct: renamed("__array_distinct", "this"),
    exp.ArraySort: _sort,
    exp.ArrayMax: renamed("__presto_array_max", "this"),
    exp.ArrayMin: renamed("__presto_array_min", "this"),
    exp.GenerateSeries: _sequence,
    exp.Rand: renamed("random"),
    exp.Replace: renamed("__replace_some", "this", "expression", "replacement"),
    exp.StrPosition: renamed("strpos", "this", "substr"),
    exp.Upper: renamed("__upper", "this"),
    exp.Round: _round,
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
    "log10": named("__presto_log10", 1),
    "log2": named("__presto_log2", 1),
}
"""Rewrites by name."""
