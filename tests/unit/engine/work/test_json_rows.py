"""Rows of the objects of a folder, which come in pieces: the values, the limits, and how little is kept."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay import errors
from mrs_relay.engine.work import json_rows
from mrs_relay.messages import codec, events

VALUE = st.none() | st.booleans() | st.integers() | st.text(alphabet='ab",\n\r é€\u2028', max_size=6)
ROWS = st.lists(st.fixed_dictionaries({"a": VALUE, 'b "c"': VALUE, "d": st.lists(VALUE, max_size=2)}), max_size=8)


def read(parts: Sequence[bytes], size: int = 5, **changes: Any) -> events.Result:
    """Take objects in pieces of some size."""
    rows = json_rows.JsonRows(**{"has_names": True, "as_text": False, "max_rows": 100, "max_bytes": 100_000, **changes})
    for part in parts:
        for start in range(0, len(part), size):
            rows.add(part[start : start + size])
        rows.add(None)
    return rows.end()


def written(rows: Sequence[Any]) -> bytes:
    """Write CSV as an engine does."""
    return b"".join(codec.encode(row) + b"\n" for row in rows)


@given(ROWS, ROWS, st.integers(1, 9), st.booleans())
def test_all_rows_of_all_objects_come_back(first: list[Any], second: list[Any], size: int, ends: bool) -> None:
    """In order, wherever the pieces end; a last row without a line break is one, too."""
    parts = [written(first), b"", written(second)]
    result = read(parts if ends else [part.removesuffix(b"\n") for part in parts], size)
    [shown] = result.statements
    assert (shown.rows, shown.row_count, result.truncated) == (first + second, len(first + second), False)
    assert [one.name for one in shown.columns] == list((first + second or [{}])[0])


@given(ROWS, st.integers(0, 9), st.integers(0, 200), st.booleans())
def test_what_is_kept_is_a_beginning_within_the_limits(rows: list[Any], most: int, room: int, text: bool) -> None:
    """And all rows are counted."""
    result = read([written(rows)], max_rows=most, max_bytes=room, as_text=text)
    [shown] = result.statements
    assert shown.row_count == len(rows)
    assert shown.rows == rows[: len(shown.rows)]
    assert len(shown.rows) <= most
    assert sum(len(codec.encode(row)) + 1 for row in shown.rows) <= room
    assert len((shown.csv or "").encode()) <= room
    if not text:
        assert result.truncated is (len(shown.rows) < len(rows))


@given(st.lists(st.fixed_dictionaries({"a": VALUE, "b": VALUE}), min_size=1, max_size=5))
def test_text_is_csv_whose_null_is_no_empty_text(rows: list[dict[str, Any]]) -> None:
    """Names of columns first; an empty text has quotation marks."""
    [shown] = read([written(rows)], as_text=True).statements
    assert shown.csv is not None
    table = list(csv.reader(io.StringIO(shown.csv, newline="")))
    assert table[0] == list(rows[0])
    texts = [
        [
            "" if one is None else one if isinstance(one, str) else json.dumps(one)
            for one in (row[name] for name in rows[0])
        ]
        for row in rows
    ]
    assert table[1:] == texts
    assert read([b'{"a":"","b":null}\n'], as_text=True).statements[0].csv == 'a,b\n"",\n'


def test_rows_without_names_are_lists() -> None:
    """As Hive writes them; their CSV has no names either."""
    text = b'{"_col0":1,"_col1":null}\n{"_col0":2,"_col1":"x"}\n'
    [shown] = read([text], has_names=False).statements
    assert (shown.rows, shown.columns) == ([[1, None], [2, "x"]], [])
    assert read([text], has_names=False, as_text=True).statements[0].csv == "1,\n2,x\n"


def test_numbers_keep_all_their_digits() -> None:
    """A decimal is no double."""
    [shown] = read([b'{"a":12345678901234567890.123456789,"b":99999999999999999999999,"c":1.50}\n']).statements
    text = b'{"a":12345678901234567890.123456789,"b":99999999999999999999999,"c":1.5}'
    assert codec.encode(shown.rows[0]) == text


@pytest.mark.parametrize("text", [b"{\n", b"[1]\n", b'{"a":NaN}\n', b"\xff\n", b'{"a":1,"b":{"a":2,"a":3},"a":2}\n'])
def test_row_that_cannot_be_read_brings_no_rows(text: bytes) -> None:
    """With the reason; two columns of one name would lose one of them."""
    with pytest.raises(errors.ObsRefused, match=r"row 1|two columns"):
        read([text])
    assert read([text], max_rows=0).statements[0].row_count == 1


def test_names_within_a_value_may_be_the_same_as_a_column() -> None:
    """Only names of columns are compared."""
    assert read([b'{"a":{"a":1},"b":[{"a":2}]}\n']).statements[0].rows == [{"a": {"a": 1}, "b": [{"a": 2}]}]


def test_row_that_cannot_be_kept_takes_no_memory() -> None:
    """Whatever its length: it is counted, and so are those behind it."""
    rows = json_rows.JsonRows(has_names=True, as_text=False, max_rows=100, max_bytes=100)
    for _ in range(1000):
        rows.add(b"x" * 10_000)
    assert sum(map(len, rows._whole._held)) < 20_000
    rows.add(b'\n{"a":1}\n{"a":2}')
    rows.add(None)
    result = rows.end()
    assert (result.statements[0].row_count, result.statements[0].rows, result.truncated) == (3, [], True)


def test_columns_that_the_first_row_leaves_out_are_named_and_never_lost() -> None:
    """Spark before version 3.0 leaves NULL out: objects have all values; lists and text would have them wrong."""
    parts = [b'{"b": 1}\n{"a": 2, "b": 3}\n{"a": 4}\n']
    [shown] = read(parts).statements
    assert (shown.rows, [one.name for one in shown.columns]) == ([{"b": 1}, {"a": 2, "b": 3}, {"a": 4}], ["b", "a"])
    for changes in ({"has_names": False}, {"as_text": True}):
        with pytest.raises(errors.ObsRefused, match="row 2 of the folder has the column 'a'"):
            read(parts, **changes)
    [lists] = read([b'{"a": 1, "b": 2}\n{"b": 3}\n'], has_names=False).statements
    assert lists.rows == [[1, 2], [None, 3]]
