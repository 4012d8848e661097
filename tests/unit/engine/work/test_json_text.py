"""The CSV text of a folder's rows: whole whatever the pieces are, with the names once."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay import errors
from mrs_relay.engine.work import json_text

_VALUES = st.none() | st.integers(-(10**20), 10**20) | st.text(st.characters(codec="utf-8"), max_size=6)
_ROWS = st.lists(st.tuples(_VALUES, _VALUES), max_size=8)


def text(objects: list[bytes], size: int, *, has_names: bool) -> bytes:
    """Return the text of some objects that are read in pieces of a size."""
    made, found = json_text.JsonText(has_names=has_names), b""
    for one in objects:
        for begin in range(0, len(one), size):
            found += made.add(one[begin : begin + size])
        found += made.add(None)
    return found


@given(_ROWS, st.integers(1, 9), st.integers(0, 8), st.booleans(), st.booleans())
def test_all_rows_are_in_the_text_in_order(
    rows: list[tuple[object, object]], size: int, cut: int, has_names: bool, has_end: bool
) -> None:
    """Objects end where they like, and their last row may end without a line break."""
    lines = [json.dumps({"a": one, "b,c": two}).encode() for one, two in rows]
    objects = [b"\n".join(part) + (b"\n" if has_end else b"") for part in (lines[:cut], lines[cut:])]
    found = list(csv.reader(io.StringIO(text(objects, size, has_names=has_names).decode(), newline="")))
    wanted = [["" if value is None else str(value) for value in row] for row in rows]
    assert found == ([["a", "b,c"]] if has_names and rows else []) + wanted


def test_row_that_cannot_be_read_is_named() -> None:
    """By its number in the folder."""
    with pytest.raises(errors.ObsRefused, match="row 2 of the folder is no JSON"):
        text([b'{"a": 1}\n', b"{NaN}\n"], 100, has_names=True)


def test_row_that_is_too_long_is_refused_before_all_of_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never read as a whole."""
    monkeypatch.setattr(json_text, "LONGEST", 20)
    assert text([b'{"a": "012345678"}\n'] * 3, 7, has_names=False) == b"012345678\n" * 3
    with pytest.raises(errors.ObsRefused, match="row 2 of the folder has more than 20 bytes"):
        text([b'{"a": 1}\n{"a": "' + b"0" * 20], 7, has_names=False)


def test_value_of_a_column_that_the_first_row_leaves_out_is_refused() -> None:
    """Spark before version 3.0 leaves NULL out: a text without that value would be wrong and not noticed."""
    assert text([b'{"a": 1, "b": 2}\n{"b": 3}\n'], 100, has_names=True) == b"a,b\n1,2\n,3\n"
    for has_names in (True, False):
        with pytest.raises(errors.ObsRefused, match="row 2 of the folder has the column 'b'"):
            text([b'{"a": 1}\n{"a": 1, "b": 2}\n'], 100, has_names=has_names)
