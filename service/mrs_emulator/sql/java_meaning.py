"""
What Spark and Hive mean and DuckDB does not: casts, texts, dates, arrays, aggregates.

Source: Spark 3.5.3 and Hive 3.1.3, recorded in `tests/unit/emulator/expressions/`. Where Hive differs from Spark, the
code says so, or `hive_meaning.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from mrs_emulator.sql import hive_meaning, java_dates, refusing, rewriting, statement
from mrs_emulator.sql.rewriting import call, named, only, renamed

_TYPE = exp.DataType.Type
_CASTS: Final[Mapping[object, str]] = {
    _TYPE.TINYINT: "__tinyint",
    _TYPE.SMALLINT: "__smallint",
    _TYPE.INT: "__int",
    _TYPE.BIGINT: "__bigint",
    _TYPE.BOOLEAN: "__bool",
    _TYPE.DOUBLE: "__double",
    _TYPE.DATE: "__date",
    _TYPE.TIMESTAMP: "__timestamp",
    _TYPE.TIMESTAMPTZ: "__timestamp",
    _TYPE.TIMESTAMPLTZ: "__timestamp",
    _TYPE.TIMESTAMPNTZ: "__timestamp",
}
_END: Final = 2_147_483_647
_DECIMAL_MAX: Final = 38


def _cast(node: exp.Cast, spoken: statement.Dialect) -> exp.Expr:  # noqa: PLR0911 - a table of types
    kind, value = node.to, node.this
    if not isinstance(node, exp.TryCast) and rewriting.is_text(value) and kind.this in java_dates.MOMENTS:
        if spoken == "hive" and kind.this != _TYPE.DATE and " " not in value.name:
            raise refusing.not_played("TIMESTAMP without a time, which Hive does not read", "write the time, too")
        return java_dates.literal(value, kind)

    only(node, "this", "to")
    if spoken == "hive" and kind.this == _TYPE.BOOLEAN:
        return call("__hive_bool", value)
    if kind.this in _CASTS:
        return call(_CASTS[kind.this], value)
    if kind.this == _TYPE.TEXT:
        shown = call("__hive_text" if spoken == "hive" else "__text", value)
        return call("left", shown, kind.expressions[0].this) if kind.expressions else shown
    if kind.this == _TYPE.VARCHAR:
        return call("left", call("__text", value), kind.expressions[0].this) if kind.expressions else node
    if kind.this == _TYPE.FLOAT:
        return rewriting.cast(call("__double", value), "FLOAT")
    if kind.this == _TYPE.DECIMAL:
        return _to_decimal(value, kind)
    raise refusing.not_played(f"CAST to {kind.sql(spoken).lower()}", "cast to a simple type")


def _to_decimal(value: exp.Expr, kind: exp.DataType) -> exp.Expr:
    """Round half up; what does not fit is NULL. Texts go through a wide decimal, which keeps their digits."""
    sizes = [int(one.name) for one in kind.expressions] or [10, 0]
    precision, scale = sizes[0], sizes[1] if len(sizes) > 1 else 0
    wide = exp.TryCast(this=value, to=exp.DataType.build("DECIMAL(38, 18)", dialect="duckdb"))
    rounded = call("round", exp.Paren(this=wide), scale)
    return exp.TryCast(this=rounded, to=exp.DataType.build(f"DECIMAL({precision}, {scale})", dialect="duckdb"))


def _numbers(node: exp.Binary) -> None:
    """Turn texts in arithmetic into doubles."""
    for key in ("this", "expression"):
        if rewriting.is_text(node.args[key]):
            node.set(key, call("__double", node.args[key]))


def _divide(node: exp.Div, _spoken: statement.Dialect) -> exp.Expr:
    left, right = rewriting.decimal_of(node.this), rewriting.decimal_of(node.expression)
    _numbers(node)
    divided = exp.Div(
        this=rewriting.cast(node.this, "DOUBLE"), expression=exp.Nullif(this=node.expression, expression=_zero())
    )
    if left is None or right is None or left[1] + right[1] == 0:
        return exp.Paren(this=divided)
    scale = max(6, left[1] + right[0] + 1)
    precision = left[0] - left[1] + right[1] + scale
    if precision > _DECIMAL_MAX:
        raise refusing.not_played("a division of decimals with so many digits", "cast one side to double")
    return rewriting.cast(divided, f"DECIMAL({precision}, {scale})")


def _zero() -> exp.Expr:
    return exp.Literal.number(0)


def _mod(node: exp.Mod, _spoken: statement.Dialect) -> exp.Expr:
    _numbers(node)
    return exp.Mod(this=node.this, expression=exp.Nullif(this=node.expression, expression=_zero()))


def _int_div(node: exp.IntDiv, _spoken: statement.Dialect) -> exp.Expr:
    return call(
        "__bigint",
        exp.Div(
            this=rewriting.cast(call("__bigint", node.this), "DECIMAL(38, 0)"),
            expression=exp.Nullif(this=call("__bigint", node.expression), expression=_zero()),
        ),
    )


def _plus(node: exp.Add | exp.Sub, spoken: statement.Dialect) -> exp.Expr:
    for one, other in ((node.this, node.expression), (node.expression, node.this)):
        if isinstance(other, exp.Interval) and not isinstance(one, exp.Interval):
            unit = str(other.args.get("unit") or "").upper()
            name = "__plus" if isinstance(node, exp.Add) else "__minus"
            makes_timestamp = spoken == "hive" and unit in {"DAY", "DAYS", "WEEK", "WEEKS"}
            return (
                call(name, call("__timestamp", one) if makes_timestamp else one, other)
                if unit in rewriting.WHOLE_DAYS
                else node
            )
    _numbers(node)
    if isinstance(node, exp.Add) or rewriting.is_number(node.this) or rewriting.is_number(node.expression):
        return node
    return call("__sub", node.this, node.expression)


def _times(node: exp.Mul, _spoken: statement.Dialect) -> exp.Expr:
    _numbers(node)
    return node


def _like(node: exp.Like, spoken: statement.Dialect) -> exp.Expr:
    if spoken == "hive" and (isinstance(node, exp.ILike) or isinstance(node.parent, exp.Escape)):
        raise refusing.not_played("ILIKE and ESCAPE, which Hive does not have", "use lower() and a backslash")
    if isinstance(node.expression, exp.Any | exp.All):
        raise refusing.not_played("LIKE ANY and LIKE ALL", "use OR and AND")
    if isinstance(node.parent, exp.Escape):
        return node
    return exp.Escape(this=node.copy(), expression=exp.Literal.string("\\"))


def _concat(node: exp.Concat, spoken: statement.Dialect) -> exp.Expr:
    parts = node.expressions
    if any(isinstance(one, exp.Array) for one in parts):
        if spoken == "hive":
            raise refusing.not_played("concat of arrays, which Hive does not have")
        return call("list_concat", *parts)
    part = "__hive_part" if spoken == "hive" else "__part"
    joined = parts[0] if rewriting.is_text(parts[0]) else call(part, parts[0])
    for one in parts[1:]:
        joined = exp.DPipe(this=joined, expression=one if rewriting.is_text(one) else call(part, one))
    return exp.Paren(this=joined)


def _concat_ws(node: exp.ConcatWs, spoken: statement.Dialect) -> exp.Expr:
    parts: list[exp.Expr] = []
    if spoken == "hive" and (len(node.expressions) == 1 or any(one.find(exp.Null) for one in node.find_all(exp.Array))):
        raise refusing.not_played("this form of concat_ws")
    for one in node.expressions[1:]:
        parts += one.expressions if isinstance(one, exp.Array) else [one]
    part = "__hive_ws" if spoken == "hive" else "__part"
    texts = [one if rewriting.is_text(one) else call(part, one) for one in parts]
    return call("__concat_ws", node.expressions[0], exp.Array(expressions=texts))


def _substr(node: exp.Substring, spoken: statement.Dialect) -> exp.Expr:
    name = "__substr" if spoken == "spark" else "__hive_substr"
    return call(name, node.this, node.args["start"], node.args.get("length") or exp.Literal.number(_END))


def _position(node: exp.StrPosition, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "substr", "position")
    return call("__locate", node.args["substr"], node.this, node.args.get("position") or exp.Literal.number(1))


def _pad(node: exp.Pad, spoken: statement.Dialect) -> exp.Expr:
    name = "__lpad" if node.args.get("is_left") else "__rpad"
    if spoken == "hive":
        if node.args.get("fill_pattern") is None:
            raise refusing.not_played(
                "lpad and rpad with two arguments, which Hive does not have", "name what to fill with"
            )
        name = name.replace("__", "__hive_")
    return call(name, node.this, node.expression, node.args.get("fill_pattern") or exp.Literal.string(" "))


def _extract(node: exp.RegexpExtract, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "expression", "group", "null_if_pos_overflow")
    group = node.args.get("group") or exp.Literal.number(1)
    if rewriting.is_number(group) and int(group.name or 0) > node.expression.name.count("("):
        raise refusing.not_played("a group that the regular expression does not have")
    return call("regexp_extract", node.this, call("__re", node.expression), group)


def _regexp_replace(node: exp.RegexpReplace, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "expression", "replacement", "single_replace")
    by = call("__by", node.args["replacement"])
    return call("regexp_replace", node.this, call("__re", node.expression), by, "g")


def _split(node: exp.RegexpSplit, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "expression")
    if not rewriting.is_text(node.expression) or node.expression.name == "":
        raise refusing.not_played("split by something else than a literal pattern")
    return call("string_split_regex", node.this, call("__re", node.expression))


def _sha2(node: exp.SHA2, _spoken: statement.Dialect) -> exp.Expr:
    length = node.args.get("length")
    if length is None or length.name not in {"0", "256"}:
        raise refusing.not_played("sha2 with other lengths than 256", "use sha2(x, 256)")
    return call("sha256", node.this)


def _log(node: exp.Log, _spoken: statement.Dialect) -> exp.Expr:
    if node.args.get("expression") is None:
        return call("__ln", node.this)
    short = {"10": "__log10", "2": "__log2"}.get(node.this.name)
    return call(short, node.expression) if short else call("__log", node.this, node.expression)


def _whole(name: str) -> rewriting.Rewrite:
    """Rewrite ceil and floor: of doubles a bigint, of decimals a decimal without fraction; both are printed alike."""

    def rewrite(node: exp.Ceil | exp.Floor, _spoken: statement.Dialect) -> exp.Expr:
        only(node, "this")
        return rewriting.cast(call(name, node.this), "BIGINT")

    return rewrite


def _round(node: exp.Round, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "decimals")
    digits = node.args.get("decimals") or exp.Literal.number(0)
    if rewriting.decimal_of(node.this) is not None:
        return call("round", node.this, digits) if node.args.get("decimals") else node
    return call("__round", node.this, digits)


def _greatest(node: exp.Greatest | exp.Least, spoken: statement.Dialect) -> exp.Expr:
    """Rewrite greatest and least: Spark passes over NULLs; Hive (from 2.0) answers NULL when there is one."""
    if spoken == "spark":
        return node
    parts = [node.this, *node.expressions] if node.args.get("this") is not None else node.expressions
    missing = exp.or_(*[exp.Is(this=one.copy(), expression=exp.Null()) for one in parts])
    return rewriting.when(missing, exp.Null(), node.copy())


def _is_null(node: exp.Anonymous, _spoken: statement.Dialect) -> exp.Expr:
    empty = exp.Is(this=exp.Paren(this=node.expressions[0]), expression=exp.Null())
    return exp.Paren(this=empty) if node.name.lower() == "isnull" else exp.Paren(this=exp.Not(this=empty))


def _bracket(node: exp.Bracket, _spoken: statement.Dialect) -> exp.Expr:
    if len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Slice):
        raise refusing.not_played("this form of a subscript")
    index = node.expressions[0]
    if rewriting.is_text(index) or node.args.get("offset") is not None:
        return node
    return call("__at", node.this, index)


def _contains(node: exp.ArrayContains, spoken: statement.Dialect) -> exp.Expr:
    """Rewrite array_contains: Spark answers NULL where an array has NULL and not the value; Hive answers false."""
    return call("__array_contains" if spoken == "spark" else "list_contains", node.this, node.expression)


def _sort(node: exp.ArraySort, spoken: statement.Dialect) -> exp.Expr:
    only(node, "this", "asc", "nulls_first")
    if spoken == "hive" and node.args.get("asc") is not None:
        raise refusing.not_played("sort_array with two arguments, which Hive does not have")
    ascending = node.args.get("asc")
    if not isinstance(ascending, exp.Boolean | None):
        raise refusing.not_played("sort_array by an expression", "write true or false")
    up = ascending is None or bool(ascending.this)
    first = node.args.get("nulls_first")
    if isinstance(first, exp.Boolean) and not first.this and ascending is None:  # array_sort
        return call("list_sort", node.this, "ASC", "NULLS LAST")
    return call("list_sort", node.this, "ASC" if up else "DESC", "NULLS FIRST" if up else "NULLS LAST")


def _collect(node: exp.ArrayAgg | exp.ArrayUniqueAgg, _spoken: statement.Dialect) -> exp.Expr:
    """Collect values: NULLs are left out, and no value at all is an empty list."""
    value = node.this
    if isinstance(value, exp.Distinct | exp.Order) or isinstance(node.parent, exp.Filter | exp.Window):
        raise refusing.not_played("this form of collect_list or collect_set")
    inner = exp.Distinct(expressions=[value]) if isinstance(node, exp.ArrayUniqueAgg) else value
    kept = exp.Not(this=exp.Is(this=exp.Paren(this=value.copy()), expression=exp.Null()))
    filtered = exp.Filter(this=call("list", inner), expression=exp.Where(this=kept))
    return exp.Coalesce(this=filtered, expressions=[exp.Array(expressions=[])])


def _exists(node: exp.Exists, _spoken: statement.Dialect) -> exp.Expr:
    if not isinstance(node.this, exp.Query):
        raise refusing.not_played("function exists with a lambda", "use filter() and size()")
    return node


def _average(node: exp.Avg, _spoken: statement.Dialect) -> exp.Expr:
    known = rewriting.decimal_of(node.this)
    if known is None or known[1] == 0:
        return node
    return rewriting.cast(node.copy(), f"DECIMAL({min(38, known[0] + 4)}, {known[1] + 4})")


def _generated(node: exp.GenerateSeries, _spoken: statement.Dialect) -> exp.Expr:
    only(node, "start", "end", "step")
    if not all(rewriting.is_number(one) for one in node.args.values() if isinstance(one, exp.Expr)):
        raise refusing.not_played("sequence of something else than literal numbers")
    return node


REWRITES: Final[rewriting.Rewrites] = {
    **java_dates.REWRITES,
    **hive_meaning.REWRITES,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Div: _divide,
    exp.Mod: _mod,
    exp.IntDiv: _int_div,
    exp.Add: _plus,
    exp.Sub: _plus,
    exp.Mul: _times,
    exp.Like: _like,
    exp.ILike: _like,
    exp.RegexpLike: renamed("__rlike", "this", "expression"),
    exp.RegexpExtract: _extract,
    exp.RegexpReplace: _regexp_replace,
    exp.RegexpSplit: _split,
    exp.Concat: _concat,
    exp.ConcatWs: _concat_ws,
    exp.Substring: _substr,
    exp.StrPosition: _position,
    exp.Pad: _pad,
    exp.Left: renamed("__left", "this", "expression"),
    exp.Right: renamed("__right", "this", "expression"),
    exp.Initcap: lambda node, _: call("__initcap", node.this),
    exp.Repeat: renamed("__repeat", "this", "times"),
    exp.SubstringIndex: renamed("__substring_index", "this", "delimiter", "count"),
    exp.Space: renamed("__space", "this"),
    exp.Upper: renamed("__upper", "this"),
    exp.Chr: lambda node, _: call("__chr", node.expressions[0]),
    exp.Hex: renamed("__hex", "this"),
    exp.SHA2: _sha2,
    exp.Ln: renamed("__ln", "this"),
    exp.Log: _log,
    exp.Factorial: renamed("__factorial", "this"),
    exp.Nanvl: renamed("__nanvl", "this", "expression"),
    exp.Negative: lambda node, _: exp.Neg(this=exp.Paren(this=node.this)),
    exp.BitLength: lambda node, _: exp.Paren(
        this=exp.Mul(this=call("octet_length", call("encode", node.this)), expression=exp.Literal.number(8))
    ),
    exp.MapContainsKey: lambda node, _: call("list_contains", call("map_keys", node.args["key"]), node.this),
    exp.CurrentTimestamp: lambda node, _: rewriting.cast(node.copy(), "TIMESTAMP"),
    exp.Pow: renamed("pow", "this", "expression"),
    exp.Round: _round,
    exp.Ceil: _whole("ceil"),
    exp.Floor: _whole("floor"),
    exp.Greatest: _greatest,
    exp.Least: _greatest,
    exp.Bracket: _bracket,
    exp.ArraySize: renamed("__size", "this"),
    exp.ArrayContains: _contains,
    exp.ArrayPosition: renamed("__array_position", "this", "expression"),
    exp.ArrayDistinct: renamed("__array_distinct", "this"),
    exp.ArrayToString: renamed("array_to_string", "this", "expression"),
    exp.ArraySort: _sort,
    exp.GenerateSeries: _generated,
    exp.ArrayAgg: _collect,
    exp.ArrayUniqueAgg: _collect,
    exp.Avg: _average,
    exp.Exists: _exists,
    exp.JSONExtractScalar: renamed("__json", "this", "expression"),
}
"""Rewrites by class."""

NAMES: Final[rewriting.NamedRewrites] = {
    **java_dates.NAMES,
    "isnull": _is_null,
    "isnotnull": _is_null,
    "pmod": lambda node, spoken: call("__hive_pmod" if spoken == "hive" else "__pmod", *node.expressions),
    "shiftleft": lambda node, _: exp.Paren(
        this=exp.BitwiseLeftShift(this=node.expressions[0], expression=node.expressions[1])
    ),
    "shiftright": lambda node, _: exp.Paren(
        this=exp.BitwiseRightShift(this=node.expressions[0], expression=node.expressions[1])
    ),
    "e": lambda _, __: call("exp", 1),
    "positive": lambda node, _: node.expressions[0],
    "octet_length": lambda node, _: call("octet_length", call("encode", node.expressions[0])),
    "btrim": named("trim", 1, 2),
    "mean": named("avg", 1),
    "every": named("bool_and", 1),
    "some": named("bool_or", 1),
    "find_in_set": named("__find_in_set", 2),
    "array_repeat": named("__array_repeat", 2),
    "get": named("__list_at", 2),
    "cardinality": named("__size", 1),
}
"""Rewrites by name."""
