"""Rows as Arrow: the same rows as CSV, in streams that can be read alone, whatever the pieces are."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay import errors
from mrs_relay.engine.work import (
    arrow_chunks,
    arrow_rows,
    arrow_stream,
    column_types,
    csv_rows,
    json_rows,
    json_text,
    json_types,
)

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=6)
_NUMBER = st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False)
_COLUMN = st.sampled_from([st.integers(-(2**63), 2**63 - 1), st.booleans(), _NUMBER, _TEXT, _NUMBER | _TEXT])


@st.composite
def _typed(draw: st.DrawFn) -> list[list[Any]]:
    """Return rows whose columns have values of one kind or of some, and NULL."""
    columns = draw(st.lists(_COLUMN, min_size=1, max_size=3))
    return draw(st.lists(st.tuples(*(st.none() | one for one in columns)).map(list), max_size=20))


def read(values: Sequence[bytes]) -> pa.Table:
    """Return what a reader makes of chunks, with pyarrow alone."""
    tables = [pa.ipc.open_stream(value).read_all() for value in values]
    return pa.concat_tables(tables) if tables else pa.table({})


def rows_of(table: pa.Table) -> list[list[Any]]:
    """Return its rows."""
    return [list(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def cut(
    text: bytes, step: int, most: int, *, has_header: bool, kinds: Sequence[column_types.Kind] | None = None
) -> tuple[list[bytes], int]:
    """Return the chunks of a text that comes in pieces, and the number of its rows."""
    made = arrow_chunks.ArrowChunks(arrow_stream.Rows(has_header=has_header, kinds=kinds), most)
    found = [one for at in range(0, len(text), step) for one in made.add(text[at : at + step])]
    found += made.end()
    return found, made.lines


def written(rows: Sequence[Sequence[str]]) -> bytes:
    """Write rows as Presto's CSV."""
    held = io.StringIO()
    csv.writer(held, csv.unix_dialect).writerows(rows)
    return held.getvalue().encode()


@given(
    st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(_TEXT, min_size=width, max_size=width), max_size=40)),
    st.integers(1, 300),
    st.sampled_from([1500, 2500, 100_000]),
    st.booleans(),
)
def test_rows_of_arrow_are_those_of_the_text(rows: list[list[str]], step: int, most: int, has_header: bool) -> None:
    """Nothing is NULL, names may stand there twice, and each chunk has the same columns and fits into its record."""
    text = written(rows)
    found, lines = cut(text, step, most, has_header=has_header)
    assert all(len(one) <= most for one in found)
    table = read(found)
    wanted = rows[1:] if has_header else rows
    assert (rows_of(table), lines) == (wanted, len(wanted))
    if rows:
        names = rows[0] if has_header else [f"column_{at + 1}" for at in range(len(rows[0]))]
        assert table.column_names == names
        assert {str(kind) for kind in table.schema.types} == {"string"}
        assert len({pa.ipc.open_stream(one).schema for one in found}) == 1
    assert found == cut(text, 100_000, most, has_header=has_header)[0]


@given(_typed(), st.integers(1, 30), st.booleans(), st.integers(0, 20))
def test_rows_of_a_folder_are_the_same_as_csv_and_as_arrow(
    rows: list[list[Any]], step: int, has_names: bool, split: int
) -> None:
    """Values have a type where one fits all of a column; numbers and texts are unchanged, NULL is NULL."""
    lines = [json.dumps({f"c{at}": value for at, value in enumerate(row)}).encode() + b"\n" for row in rows]
    text, seen = json_text.JsonText(has_names=has_names), json_types.JsonTypes()
    made = b""

    for part in (b"".join(lines[:split]), b"".join(lines[split:])):
        for at in range(0, len(part), step):
            made += text.add(part[at : at + step])
            seen.add(part[at : at + step])
        made += text.add(None)
        seen.add(None)

    found, count = cut(made, 7, 3000, has_header=has_names, kinds=seen.types.kinds)
    assert count == len(rows)

    table = read(found)
    assert len({pa.ipc.open_stream(one).schema for one in found}) <= 1

    as_csv = list(csv.reader(io.StringIO(made.decode(), newline="")))[has_names and bool(rows) :]
    as_csv = [row or [""] for row in as_csv]
    for values, texts, given_row in zip(rows_of(table), as_csv, rows, strict=True):
        for value, shown, wanted in zip(values, texts, given_row, strict=True):
            assert (value is None) == (wanted is None)
            if isinstance(value, bool):
                assert value is wanted
            elif isinstance(value, int | float):
                assert Decimal(str(value)) == Decimal(shown)
                assert float(value) == float(wanted)
            else:
                assert (value or "") == shown


def test_rows_that_cannot_be_arrow_are_refused_without_their_text() -> None:
    """Ragged ones, and one that is too long for a record."""
    for text in (b"1,secret\n2\n", b"1,2\n3,4,secret\n"):
        with pytest.raises(errors.ObsRefused, match="another number of values") as caught:
            cut(text, 100, 1000, has_header=False)
        assert "secret" not in str(caught.value)
    for long in (b'"' + b"x\n" * 2000 + b'"\n', b"x" * 900 + b"\n"):
        with pytest.raises(errors.ObsRefused, match="ask for csv"):
            cut(b"1\n" + long + b"2\n", 100, 1000, has_header=False)
    with pytest.raises(errors.ObsRefused, match="a row has more than 2000 bytes"):  # half of it would pass for a row
        cut(b'"' + b'""' * 2500 + b'"\n', 100, 2000, has_header=False)
    with pytest.raises(errors.ObsRefused, match="another type"):
        cut(b"1\nx\n", 100, 1000, has_header=False, kinds=["int"])
    with pytest.raises(errors.ObsRefused, match="columns of the rows changed"):
        cut(b"1,2\n", 100, 1000, has_header=False, kinds=["int"])


def test_bytes_that_are_no_text_are_replaced_and_a_mark_is_left_out() -> None:
    """As in all other formats; the columns are there also without rows."""
    found, _ = cut(b"\xef\xbb\xbfa\n\xff\n", 3, 1000, has_header=True)
    assert read(found).to_pydict() == {"a": ["\ufffd"]}
    found, lines = cut(b"id,id\n", 3, 1000, has_header=True)
    assert (read(found).column_names, len(found), lines) == (["id", "id"], 1, 0)
    assert cut(b"", 3, 1000, has_header=True) == ([], 0)


def inline(text: bytes, max_bytes: int, max_rows: int = 10**6) -> Any:
    """Return the rows of a text as they stand in an event."""
    rows = csv_rows.CsvRows(
        has_header=True, as_text=True, max_rows=max_rows, max_bytes=arrow_rows.TIMES_AS_LONG * max_bytes
    )
    rows.add(text)
    return arrow_rows.made(rows.end(), arrow_stream.Rows(has_header=True, kinds=None), max_bytes)


@given(st.integers(0, 3000), st.integers(0, 60), st.integers(0, 12))
def test_event_has_as_many_rows_as_fit_and_the_number_of_all(max_bytes: int, max_rows: int, width: int) -> None:
    """The bytes are those that stand in the event; `truncated` says that rows, or all columns, are left out."""
    rows = [[str(number), "x" * width] for number in range(50)]
    result = inline(written([["id", "name"], *rows]), max_bytes, max_rows)
    [shown] = result.statements
    assert (shown.rows, shown.csv, shown.row_count) == ([], None, 50)
    assert len(shown.arrow) <= max_bytes
    stream = base64.b64decode(shown.arrow)
    found = rows_of(read([stream])) if stream else []
    assert found == rows[: len(found)]
    assert result.truncated == (len(found) < 50)
    if stream and len(found) < min(50, max_rows):
        kept = arrow_stream.Rows(has_header=True, kinds=None).add(written([["id", "name"], *rows[:max_rows]]))
        assert len(base64.b64encode(arrow_stream.stream(kept.slice(0, len(found) + 1)))) > max_bytes


def test_event_has_types_where_they_are_known() -> None:
    """Those of the rows in it."""
    rows = json_rows.JsonRows(has_names=True, as_text=True, max_rows=2, max_bytes=1000)
    rows.add(b'{"n": 1, "x": 0.5, "b": true, "t": ""}\n{"n": null, "x": 2, "b": null, "t": null}\n{"n": "no"}\n')
    kinds = rows.types.kinds
    result = arrow_rows.made(rows.end(), arrow_stream.Rows(has_header=True, kinds=kinds), 4000)
    table = read([base64.b64decode(result.statements[0].arrow or "")])
    assert [str(kind) for kind in table.schema.types] == ["int64", "double", "bool", "string"]
    assert rows_of(table) == [[1, 0.5, True, ""], [None, 2.0, None, None]]
    assert (result.truncated, result.statements[0].row_count) == (True, 3)
    assert [one.name for one in result.statements[0].columns] == ["n", "x", "b", "t"]


_LOADING = """
import pathlib, sys
from mrs_relay.engine.work import arrow_stream

def seen(event, given):
    if event == "import" and str(given[1]).endswith(".so"):
        print(given[0], str(given[1]) in pathlib.Path("/proc/self/maps").read_text())

sys.addaudithook(seen)
arrow_stream.load()
"""


def test_libraries_are_in_memory_before_they_are_imported() -> None:
    """An import maps and links them under the interpreter's lock, which stops the event loop."""
    done = subprocess.run([sys.executable, "-c", _LOADING], capture_output=True, text=True, check=True)
    are_mapped = dict(line.split() for line in done.stdout.splitlines())
    wanted = ("numpy._core._multiarray_umath", "pyarrow.lib", "pyarrow._csv")
    assert {name: are_mapped.get(name) for name in wanted} == dict.fromkeys(wanted, "True")


def test_replica_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes a request over from a replica that has it."""
    for name in ("pyarrow", "pyarrow.csv"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(errors.ObsRefused, match=r"install mrs-relay\[arrow\]"):
        arrow_stream.load()
