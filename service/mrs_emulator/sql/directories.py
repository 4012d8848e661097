"""
INSERT OVERWRITE DIRECTORY of Spark and Hive: what stands before the query, and the objects that come of it.

Rows are written as JSON alone, as Spark's `USING json` and Hive's JsonSerDe write them (Hive calls columns _col0, _col1
and so on there); other forms are not played. The
folder has its new content when the statement has succeeded, and the old one until then.

Source: Spark 3.5.3, "INSERT OVERWRITE DIRECTORY"; Hive 3.1.3, LanguageManual DML, "Writing data into the filesystem".
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import itertools
import math
import re
import secrets
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from mrs_emulator.core import failures
from mrs_emulator.sql import obs, refusing, statement

with contextlib.suppress(ImportError):  # the extra `emulator` is not installed; `sql.py` says so before this is called
    import sqlglot

_BEGINS: Final = ("INSERT", "OVERWRITE", "DIRECTORY")
_QUERIES: Final = frozenset({"SELECT", "WITH", "FROM", "VALUES", "TABLE", "MAP", "REDUCE"})
_OPTION: Final = re.compile(r"\s*'?(\w+)'?\s*=?\s*'([^'\\]*)'\s*(?:,|$)")
_FORMS: Final = {
    "spark": re.compile(r"using\s+json(?:\s+options\s*\((?P<options>[^()]*)\))?", re.IGNORECASE),
    "hive": re.compile(
        r"row\s+format\s+serde\s+'org\.apache\.hadoop\.hive\.serde2\.JsonSerDe'\s+stored\s+as\s+textfile"
        r"(?P<options>)?",
        re.IGNORECASE,
    ),
}
_OPTIONS: Final = {"ignorenullfields": {"true", "false"}, "compression": {"none", "uncompressed"}}
ROWS_OF_A_FILE: Final = 4096
"""Rows of one object at most; the real engines write one for each task."""

_encoder: Final = msgspec.json.Encoder(decimal_format="number")

Row = Sequence[Any]


def taken_out(sql: str, spoken: statement.Dialect) -> tuple[statement.Directory | None, str]:
    """
    Return where a statement writes the rows of its query to, and the query, at its place in the text.

    Raises:
        SqlRefused: the form of the rows is not played.
    """
    if "directory" not in sql.lower() or spoken not in _FORMS:
        return None, sql
    tokens = sqlglot.tokenize(sql, read=spoken)
    begin = _at_depth_0(tokens, 0, lambda at: _words(tokens[at : at + 3]) == list(_BEGINS))
    if begin is None or len(tokens) < begin + 5:
        return None, sql
    path = tokens[begin + 3]
    end = _at_depth_0(tokens, begin + 4, lambda at: tokens[at].text.upper() in _QUERIES)
    if path.token_type is not sqlglot.TokenType.STRING or end is None:
        return None, sql

    first, last = tokens[begin].start, tokens[end].start
    form = _FORMS[spoken].fullmatch(sql[path.end + 1 : last].strip())
    if form is None:
        raise refusing.not_played("this form of INSERT OVERWRITE DIRECTORY", "write the rows as JSON")
    skips_null = _skips_null(form["options"] or "") if spoken == "spark" else False
    return statement.Directory(path.text, skips_null), sql[:first] + " " * (last - first) + sql[last:]


def _words(tokens: Sequence[Any]) -> list[str]:
    return [token.text.upper() for token in tokens]


def _at_depth_0(tokens: Sequence[Any], start: int, is_it: Any) -> int | None:  # noqa: ANN401 - a predicate
    depth = 0
    for at in range(start, len(tokens)):
        if depth == 0 and is_it(at):
            return at
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
    return None


def _skips_null(options: str) -> bool:
    found, at = {"ignorenullfields": "true"}, 0
    while at < len(options.rstrip()):
        option = _OPTION.match(options, at)
        if option is None or option[2] not in _OPTIONS.get(option[1].lower(), set()):
            raise refusing.not_played("this option of INSERT OVERWRITE DIRECTORY", "use ignoreNullFields alone")
        found[option[1].lower()] = option[2]
        at = option.end()
    return found["ignorenullfields"] == "true"


def write(
    target: statement.Directory,
    spoken: statement.Dialect,
    folder: obs.Obs,
    columns: Sequence[str],
    batches: Iterator[Sequence[Row]],
) -> None:
    """
    Write the rows of a query to a folder, whose content they replace; runs on the warehouse's thread.

    Raises:
        BadObsPath: the path leads elsewhere. SqlRefused: two columns have the same name, or a value is not played.
    """
    names = [f"_col{place}" for place in range(len(columns))] if spoken == "hive" else list(columns)
    twice = next((name for name, count in Counter(name.lower() for name in names).items() if count > 1), None)
    if twice is not None:
        text = f"[COLUMN_ALREADY_EXISTS] The column `{twice}` already exists. Consider to choose another name or rename"
        raise failures.SqlRefused(f"{text} the existing column.")

    place = folder.path(target.path)
    fresh = folder.new_file(f"{target.path.rstrip('/')}.{secrets.token_hex(8)}")
    fresh.mkdir()
    try:
        lines = (_line(names, row, target, spoken) for batch in batches for row in batch)
        _write_files(fresh, lines, spoken)
        if place.exists():
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write_files(place: Path, lines: Iterator[bytes], spoken: statement.Dialect) -> None:
    job = uuid.uuid4()
    for number in itertools.count():
        some = list(itertools.islice(lines, ROWS_OF_A_FILE))
        if number and not some:
            break
        name = f"part-{number:05}-{job}-c000.json" if spoken == "spark" else f"{number:06}_0"
        (place / name).write_bytes(b"".join(some))
    if spoken == "spark":
        (place / "_SUCCESS").touch()


def _line(names: Sequence[str], row: Row, target: statement.Directory, spoken: statement.Dialect) -> bytes:
    shown = {name: _plain(value, spoken) for name, value in zip(names, row, strict=True)}
    if target.skips_null:
        shown = {name: value for name, value in shown.items() if value is not None}
    return _encoder.encode(shown) + b"\n"


def _plain(value: object, spoken: statement.Dialect) -> object:  # noqa: PLR0911 - one line per kind of value
    match value:
        case float() if not math.isfinite(value):
            if spoken == "hive":
                raise refusing.not_played("a value that is no number in JSON", "write another value")
            return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
        case dt.datetime() if spoken == "spark":
            return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}Z"
        case dt.datetime():
            more = f".{value.microsecond:06}".rstrip("0").rstrip(".")
            return f"{value:%Y-%m-%d %H:%M:%S}{more}"
        case dt.date():
            return value.isoformat()
        case bytes() | bytearray() | memoryview() if spoken == "spark":
            return base64.b64encode(bytes(value)).decode()
        case dict():
            return {_key(key): _plain(item, spoken) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, spoken) for item in value]
        case bytes() | bytearray() | memoryview() | dt.timedelta() | dt.time():
            raise refusing.not_played(f"a value of the type {type(value).__name__} in a directory", "cast it to string")
        case _:
            return value


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
