"""The functions that each engine has, and what Presto's take, as the engines themselves list them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources

from mrs_emulator.sql import kinds, statement

_GRAMMAR: Mapping[statement.Dialect, frozenset[str]] = {
    "hive": frozenset({"date", "timestamp"}),
    "presto": frozenset({"format", "grouping"}),
    "spark": frozenset({"percentile_cont", "percentile_disc", "timestampadd", "timestampdiff"}),
}
"""Functions that the grammar has and the lists have not."""

WINDOW = frozenset({"row_number", "rank", "dense_rank", "ntile", "percent_rank", "cume_dist", "lag", "lead"})
"""Functions that are only ever over a window."""

SPARK_COUNTS = dict.fromkeys(
    [
        "abs",
        "acos",
        "array_distinct",
        "ascii",
        "asin",
        "atan",
        "base64",
        "bin",
        "bit_length",
        "cbrt",
        "char_length",
        "cos",
        "cosh",
        "cot",
        "crc32",
        "date_from_unix_date",
        "degrees",
        "exp",
        "factorial",
        "flatten",
        "hex",
        "hour",
        "initcap",
        "isnan",
        "isnotnull",
        "isnull",
        "last_day",
        "length",
        "lower",
        "map_keys",
        "map_values",
        "md5",
        "minute",
        "month",
        "quarter",
        "radians",
        "reverse",
        "second",
        "sign",
        "sin",
        "sinh",
        "size",
        "soundex",
        "space",
        "sqrt",
        "tan",
        "tanh",
        "upper",
        "weekday",
        "weekofyear",
        "year",
    ],
    1,
)
"""Functions of Spark that take one argument, whose errors say so."""

SPARK_FIRST = {
    "array_contains": '"ARRAY"',
    "array_distinct": '"ARRAY"',
    "explode": '("ARRAY" or "MAP")',
    "sum": '"NUMERIC" or "ANSI INTERVAL"',
    "avg": '"NUMERIC" or "ANSI INTERVAL"',
}
"""What the first argument of functions of Spark must be."""

HIVE_COUNTS = {"length": 1, "abs": 1}
"""Functions of Hive that take one argument, whose errors were recorded."""

HIVE_SPELLED = {"abs": "ABS()"}
"""How an error of Hive spells a function, where not in capital letters."""

_CALL = re.compile(r"(?P<name>\w+)\((?P<kinds>(?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*)\)")
_GENERIC = re.compile(r"[A-Z]\d?")
_WIDER = ("tinyint", "smallint", "integer", "bigint", "decimal", "real", "double")

_KNOWN = frozenset([*_WIDER, "varchar", "char", "boolean", "date", "timestamp", "varbinary", "array", "map", "row"])
_ZONED = "timestamp with time zone"
_INTO = frozenset(
    [
        *(("date", "timestamp"), ("date", _ZONED), ("timestamp", _ZONED)),
        *(("char", "varchar"), ("varchar", "char"), ("varchar", "json")),
    ]
)
_VARIADIC = frozenset("concat concat_ws format greatest least map_concat".split())  # noqa: SIM905 - a list of words


@functools.cache
def _functions(spoken: statement.Dialect) -> dict[str, str]:
    text = resources.files("mrs_emulator.sql").joinpath("functions", f"{spoken}.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


def expected(spoken: statement.Dialect, name: str) -> str | None:
    """Return what a function takes, in Presto's words; empty where not known, None where there is no such function."""
    return _functions(spoken).get(name, "" if name in _GRAMMAR[spoken] else None)


def fit(listed: str, given: Sequence[str | None]) -> bool:
    """Return whether the types of arguments fit one of the listed forms, as far as both are known."""
    if any(one is None for one in given) or listed.partition("(")[0] in _VARIADIC:
        return True
    return any(_fits(_parts(found["kinds"]), [str(one) for one in given]) for found in _CALL.finditer(listed))


def _parts(text: str) -> list[str]:
    """Return the types of a form, at the commas that are in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _fits(wanted: Sequence[str], given: Sequence[str]) -> bool:
    if len(wanted) != len(given):
        return False
    return all(_accepts(one, other) for one, other in zip(wanted, given, strict=True))


def _accepts(wanted: str, given: str) -> bool:
    into, of = kinds.base(wanted), kinds.base(given)
    if of in {"unknown", into} or _GENERIC.fullmatch(wanted):
        return True
    if into in _WIDER and of in _WIDER:
        return _WIDER.index(of) <= _WIDER.index(into)
    is_pattern = of == "varchar" and into[:1].isupper()  # JoniRegExp, JsonPath and their like are written as texts
    return (of, into) in _INTO or of not in _KNOWN or is_pattern
