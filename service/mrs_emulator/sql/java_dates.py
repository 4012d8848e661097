"""
What Spark and Hive mean by functions of dates and moments: texts are read as dates, dates stay dates.

Source: as `java_meaning.py`.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from sqlglot import exp

from mrs_emulator.sql import refusing, rewriting, statement
from mrs_emulator.sql.rewriting import call, only, renamed

MOMENTS: Final = frozenset(
    {
        exp.DataType.Type.DATE,
        exp.DataType.Type.TIMESTAMP,
        exp.DataType.Type.TIMESTAMPTZ,
        exp.DataType.Type.TIMESTAMPLTZ,
        exp.DataType.Type.TIMESTAMPNTZ,
    }
)
_DEFAULT_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
_TRUNCATES: Final = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"})
_OF_DATE: Final = {
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "WEEK": "week",
    "DAY": "day",
    "DAYOFYEAR": "dayofyear",
    "DOY": "dayofyear",
    "DOW": "__dayofweek",
    "DAYOFWEEK": "__dayofweek",
    "DAYOFWEEK_ISO": "isodow",
    "DOW_ISO": "isodow",
}
_OF_TIME: Final = {"HOUR": "hour", "MINUTE": "minute"}


def literal(value: exp.Expr, kind: exp.DataType) -> exp.Expr:
    """Check DATE '…' and TIMESTAMP '…', which must be right."""
    try:
        dt.datetime.fromisoformat(value.name)
    except ValueError:
        raise refusing.not_played(f"the moment {value.name!r}", "write year-month-day, and perhaps a time") from None
    name = "DATE" if kind.this == exp.DataType.Type.DATE else "TIMESTAMP"
    return rewriting.cast(exp.Literal.string(value.name[:10] if name == "DATE" else value.name), name)


def _inner(node: exp.Expr) -> exp.Expr:
    """Return the value without the conversions that sqlglot put around it; their rewrite may have come first."""
    while isinstance(node, exp.TsOrDsToDate | exp.TimeStrToTime | exp.TsOrDsToTimestamp):
        node = node.this
    return node


def _of_date(name: str) -> rewriting.Rewrite:
    def rewrite(node: exp.Expr, _spoken: statement.Dialect) -> exp.Expr:
        only(node, "this")
        value = _inner(node.this)
        return call(name, value if name.startswith("__") else call("__date", value))

    return rewrite


def _of_time(name: str) -> rewriting.Rewrite:
    def rewrite(node: exp.Expr, _spoken: statement.Dialect) -> exp.Expr:
        return call(name, call("__timestamp", _inner(node.this)))

    return rewrite


def _extract(node: exp.Extract, spoken: statement.Dialect) -> exp.Expr:
    unit = node.this.name.upper()
    if spoken == "hive" and unit in {"DOW", "DOY", "DAYOFYEAR", "DAYOFWEEK_ISO", "DOW_ISO"}:
        raise refusing.not_played(f"extract({unit.lower()}), which Hive does not have")
    if unit in _OF_DATE:
        name = _OF_DATE[unit]
        return call(name, node.expression if name.startswith("__") else call("__date", node.expression))
    if unit in _OF_TIME:
        return call(_OF_TIME[unit], call("__timestamp", node.expression))
    raise refusing.not_played(f"extract({unit.lower()})", "extract year, quarter, month, week, day, hour or minute")


def _to_date(node: exp.TsOrDsToDate, spoken: statement.Dialect) -> exp.Expr:
    if node.args.get("format") is None:
        return call("__date", _inner(node.this))
    if spoken == "hive":
        raise refusing.not_played(
            "to_date with a format, which Hive does not have", "use from_unixtime(unix_timestamp())"
        )
    return rewriting.cast(_parsed(node), "DATE")


def _parsed(node: exp.Expr) -> exp.Expr:
    """Return a text read by a format that the node has."""
    found = rewriting.simple_format(node.args.get("format"))
    if found is None:
        raise refusing.not_played("this date format", "use yyyy, MM, dd, HH, mm and ss only")
    return call("try_strptime", node.this, found)


def _date_add(node: exp.TsOrDsAdd | exp.DateAdd | exp.DateSub, _spoken: statement.Dialect) -> exp.Expr:
    if str(node.args.get("unit") or "DAY").upper() not in {"DAY", "DAYS"}:
        raise refusing.not_played("date_add with a unit", "add an INTERVAL")
    number = node.expression
    if isinstance(node, exp.DateSub):
        number = exp.Neg(this=exp.Paren(this=number))
    return call("__date_add", _inner(node.this), number)


def _add_months(node: exp.AddMonths, spoken: statement.Dialect) -> exp.Expr:
    return call("__hive_add_months" if spoken == "hive" else "__add_months", _inner(node.this), node.expression)


def _date_diff(node: exp.DateDiff, _spoken: statement.Dialect) -> exp.Expr:
    if str(node.args.get("unit") or "DAY").upper() != "DAY":
        raise refusing.not_played("datediff with a unit", "use datediff or months_between")
    return call("__days", _inner(node.this), _inner(node.expression))


def _trunc(node: exp.DateTrunc, _spoken: statement.Dialect) -> exp.Expr:
    return call("__trunc", _inner(node.this), node.args["unit"].name)


def _timestamp_trunc(node: exp.TimestampTrunc, spoken: statement.Dialect) -> exp.Expr:
    if rewriting.is_number(node.this):
        raise refusing.not_played("trunc of a number", "use round or floor")
    if spoken == "hive":  # its trunc; it has no date_trunc, and answers nothing to units that it does not know
        if node.args["unit"].name.lower() not in {"year", "yyyy", "yy", "quarter", "q", "month", "mm", "mon"}:
            return exp.Null()
        return call("__trunc", _inner(node.this), node.args["unit"].name)
    unit = node.args["unit"].name.upper()
    if unit not in _TRUNCATES:
        raise refusing.not_played(f"date_trunc to {unit.lower()}", f"use {', '.join(sorted(_TRUNCATES)).lower()}")
    cut = call("date_trunc", unit.lower(), call("__timestamp", _inner(node.this)))
    return rewriting.cast(cut, "TIMESTAMP")


def _date_format(node: exp.TimeToStr, _spoken: statement.Dialect) -> exp.Expr:
    found = rewriting.simple_format(node.args.get("format"))
    if found is None:
        raise refusing.not_played("this date format", "use yyyy, MM, dd, HH, mm and ss only")
    return call("strftime", call("__timestamp", _inner(node.this)), found)


def _unix(node: exp.StrToUnix, _spoken: statement.Dialect) -> exp.Expr:
    if node.args.get("this") is None:
        raise refusing.not_played("unix_timestamp()", "use unix_timestamp(current_timestamp())")
    form = node.args.get("format")
    if form is None or rewriting.simple_format(form) == _DEFAULT_FORMAT:
        return call("__unix", _inner(node.this))
    return rewriting.cast(call("epoch", _parsed(node)), "BIGINT")


def _from_unix(node: exp.UnixToStr, _spoken: statement.Dialect) -> exp.Expr:
    form = node.args.get("format")
    found = rewriting.simple_format(form) if form is not None else _DEFAULT_FORMAT
    if found == _DEFAULT_FORMAT:
        return call("__from_unix", node.this)
    if found is None:
        raise refusing.not_played("this date format", "use yyyy, MM, dd, HH, mm and ss only")
    return call("strftime", rewriting.cast(call("__from_unix", node.this), "TIMESTAMP"), found)


REWRITES: Final[rewriting.Rewrites] = {
    exp.Year: _of_date("year"),
    exp.Quarter: _of_date("quarter"),
    exp.Month: _of_date("month"),
    exp.Day: _of_date("day"),
    exp.DayOfMonth: _of_date("day"),
    exp.DayOfYear: _of_date("dayofyear"),
    exp.DayOfWeek: _of_date("__dayofweek"),
    exp.WeekOfYear: _of_date("week"),
    exp.Hour: _of_time("hour"),
    exp.Minute: _of_time("minute"),
    exp.Second: _of_time("second"),
    exp.Extract: _extract,
    exp.TsOrDsToDate: _to_date,
    exp.Date: lambda node, _: call("__date", node.this),
    exp.TimeStrToTime: lambda node, _: call("__timestamp", node.this),
    exp.TsOrDsToTimestamp: lambda node, _: call("__timestamp", node.this),
    exp.StrToTime: lambda node, _: _parsed(node),
    exp.TsOrDsAdd: _date_add,
    exp.DateAdd: _date_add,
    exp.DateSub: _date_add,
    exp.AddMonths: _add_months,
    exp.MonthsBetween: renamed("__months_between", "this", "expression"),
    exp.DateDiff: _date_diff,
    exp.LastDay: renamed("__last_day", "this"),
    exp.NextDay: renamed("__next_day", "this", "expression"),
    exp.DateTrunc: _trunc,
    exp.TimestampTrunc: _timestamp_trunc,
    exp.TimeToStr: _date_format,
    exp.StrToUnix: _unix,
    exp.UnixToStr: _from_unix,
    exp.UnixSeconds: renamed("__unix", "this"),
    exp.UnixDate: lambda node, _: call("__days", node.this, "1970-01-01"),
}
"""Rewrites by class."""

NAMES: Final[rewriting.NamedRewrites] = {
    "weekday": lambda node, _: call("__weekday", *node.expressions),
    "timestamp_seconds": lambda node, _: call("make_timestamp", _scaled(node.expressions[0], 1_000_000)),
    "timestamp_millis": lambda node, _: call("make_timestamp", _scaled(node.expressions[0], 1_000)),
}
"""Rewrites by name."""


def _scaled(value: exp.Expr, by: int) -> exp.Expr:
    """Return a number of seconds or milliseconds in microseconds."""
    return rewriting.cast(exp.Mul(this=rewriting.cast(value, "BIGINT"), expression=exp.Literal.number(by)), "BIGINT")
