"""Rows of a CSV text that comes in pieces: the values, the limits, and how little is kept."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.engine.work import csv_rows
from mrs_relay.messages import events

CELL = st.text(alphabet='ab",\n\r é€\u2028\x85', max_size=6)
TABLE = st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=8))


def read(text: bytes, size: int = 5, **changes: Any) -> events.Result:
    """Take a text in pieces of some size."""
    rows = csv_rows.CsvRows(**{"has_header": False, "as_text": False, "max_rows": 100, "max_bytes": 10_000, **changes})
    for start in range(0, len(text), size):
        rows.add(text[start : start + size])
    return rows.end()


def written(table: list[list[str]]) -> bytes:
    """Write CSV as MRS may. Python's writer leaves a carriage return without quotes, against RFC 4180."""
    file = io.StringIO(newline="")
    has_return = any("\r" in cell for row in table for cell in row)
    if has_return:
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    else:
        csv.writer(file, lineterminator="\n").writerows(table)
    return file.getvalue().encode()


@given(TABLE, st.integers(1, 9))
def test_pieces_of_any_size_give_the_rows_that_were_written(table: list[list[str]], size: int) -> None:
    """Cut within characters, quotes and line breaks; quoted line breaks of any kind are part of a value."""
    result = read(written(table), size)
    assert [one.rows for one in result.statements] == [table]
    assert (result.statements[0].row_count, result.truncated) == (len(table), False)


@given(TABLE, st.integers(0, 6), st.integers(0, 60))
def test_what_is_kept_is_a_beginning_within_the_limits_and_all_rows_are_counted(
    table: list[list[str]], most: int, room: int
) -> None:
    """As rows and as text; what is left out is said."""
    text = written(table)
    rows = read(text, max_rows=most, max_bytes=room)
    kept = rows.statements[0].rows
    assert kept == table[: len(kept)]
    assert len(kept) <= most
    as_text = read(text, as_text=True, max_rows=most, max_bytes=room)
    shown = (as_text.statements[0].csv or "").encode()
    assert text.startswith(shown)
    assert len(shown) <= room
    for result, is_whole in ((rows, len(kept) == len(table)), (as_text, shown == text)):
        assert result.statements[0].row_count == len(table)
        assert result.truncated is not is_whole


def test_first_line_names_the_columns_and_is_no_row() -> None:
    """A byte order mark is no part of the first name; without rows there are still columns."""
    result = read(b'\xef\xbb\xbfid,"the, name"\n1,x\n', has_header=True).statements[0]
    assert ([one.name for one in result.columns], result.rows, result.row_count) == (
        ["id", "the, name"],
        [["1", "x"]],
        1,
    )
    none = read(b"id\n", has_header=True).statements[0]
    assert ([one.name for one in none.columns], none.row_count) == (["id"], 0)
    assert read(b"", has_header=True).statements[0].row_count == 0


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"1,2", [["1", "2"]]),
        (b"1,2\r\n3,4\r\n", [["1", "2"], ["3", "4"]]),
        (b"1\n\n2\n", [["1"], [""], ["2"]]),
        (b'1,"never closed\n2,3\n', [["1", "never closed\n2,3\n"]]),
        (b"\xff,2\n", [["\ufffd", "2"]]),
    ],
    ids=["no line break at the end", "Windows", "an empty line", "an open quotation", "no UTF-8"],
)
def test_texts_of_other_forms_are_read_as_far_as_they_can_be(text: bytes, rows: list[list[str]]) -> None:
    """No byte that MRS may leave stops the relay."""
    assert read(text).statements[0].rows == rows


def test_row_that_cannot_be_kept_takes_no_memory() -> None:
    """A single value of 20 MB under a limit of 1 KB: what is held of it stays small."""
    rows = csv_rows.CsvRows(has_header=False, as_text=False, max_rows=10, max_bytes=1000)
    rows.add(b'1,"')
    piece = b"x\n" * 32_768
    for _ in range(320):
        rows.add(piece)
        assert sum(map(len, rows._unfinished)) < 2 * len(piece)
    rows.add(b'"\n2,y\n')
    result = rows.end()
    assert (result.statements[0].rows, result.statements[0].row_count, result.truncated) == ([], 2, True)


def test_value_that_python_s_reader_refuses_cuts_the_rows_there() -> None:
    """It takes a carriage return within a row only in quotes."""
    result = read(b"1\nx\ry\n3\n")
    assert (result.statements[0].rows, result.statements[0].row_count, result.truncated) == ([["1"]], 3, True)


@given(TABLE, st.integers(1, 9), st.integers(0, 3), st.sampled_from([b"", b"\n", b"a"]))
def test_rows_that_are_only_counted_are_as_many(table: list[list[str]], size: int, most: int, end: bytes) -> None:
    """Behind the limit, in pieces of any size, with quoted line breaks and with or without a line break at the end."""
    text = written(table) + end
    assert read(text, size, max_rows=most).statements[0].row_count == read(text, size).statements[0].row_count


def test_header_that_is_too_long_is_left_out() -> None:
    """The names of columns are not part of the limit of rows, so they have one of their own."""
    text = ",".join(["c" * 100] * 7_000).encode() + b"\n1,2\n"
    shown = read(text, 4096, has_header=True).statements[0]
    assert (shown.columns, shown.rows, shown.row_count) == ([], [["1", "2"]], 1)


def test_long_value_that_fits_is_kept() -> None:
    """Python's own limit of a value is 131,072 characters."""
    long = "x" * 140_000
    result = read(f"{long},1\n2,3\n".encode(), 100_000, max_bytes=200_000)
    assert (result.statements[0].rows, result.truncated) == ([[long, "1"], ["2", "3"]], False)
