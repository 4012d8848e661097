"""How a CSV text is cut into chunks."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.engine.work import csv_chunks

_ROWS = st.lists(st.lists(st.text(alphabet='ab"\r\n,ü', max_size=6), min_size=1, max_size=3), max_size=30)
_FORMS = st.sampled_from([("\n", True), ("\r\n", True), ("\r\n", False)])
"""Line end, and whether all values are quoted; csv.writer quotes a single \r in all of them."""


def _text(rows: list[list[str]], form: tuple[str, bool], *, ends: bool = True) -> str:
    held, (line_end, quotes_all) = io.StringIO(), form
    dialect = csv.unix_dialect if quotes_all else csv.excel  # they differ in line ends and quoting alone
    csv.writer(held, dialect, lineterminator=line_end).writerows(rows)
    return held.getvalue() if ends else held.getvalue().removesuffix(line_end)


def _cut(text: bytes, most: int, step: int) -> tuple[list[bytes], int]:
    cutter = csv_chunks.CsvChunks(most)
    found = [one for at in range(0, len(text), step) for one in cutter.add(text[at : at + step])]
    found += cutter.end()
    return found, cutter.lines


def _cut_slowly(text: bytes, most: int) -> tuple[list[bytes], int]:
    """Return the same, a byte at a time."""
    ends, is_quoted = [], False
    for at, byte in enumerate(text, 1):
        is_quoted ^= byte == ord('"')
        if byte == ord("\n") and not is_quoted:
            ends.append(at)
    found, begin = [], 0
    while len(text) - begin > most:
        end = max((one for one in ends if begin < one <= begin + most), default=begin + most)
        found.append(text[begin:end])
        begin = end
    found += [text[begin:]] if begin < len(text) else []
    return found, len(ends) + (len(text) > (ends[-1] if ends else 0))


@given(_ROWS, _FORMS, st.booleans(), st.integers(8, 200), st.integers(1, 300))
def test_chunks_are_the_text_in_order_and_end_with_rows(
    rows: list[list[str]], form: tuple[str, bool], ends: bool, most: int, step: int
) -> None:
    """Nothing is lost or double, no chunk is too large, all rows are counted, and only a longer row is cut."""
    text = _text(rows, form, ends=ends).encode()
    found, lines = _cut(text, most, step)
    assert b"".join(found) == text
    assert all(0 < len(one) <= most for one in found)
    assert lines == len(list(csv.reader(io.StringIO(text.decode(), newline=""))))
    longest = max((len(_text([row], form).encode()) for row in rows), default=0)
    if longest <= most:
        read = [row for one in found for row in csv.reader(io.StringIO(one.decode(), newline=""))]
        assert read == rows


@given(st.text(alphabet='a"\n', max_size=150).map(str.encode), st.integers(1, 60), st.integers(1, 200))
def test_chunks_are_the_same_however_the_text_comes(text: bytes, most: int, step: int) -> None:
    """Those of a read after a crash are those of the one before; also of a text with quotes that never end."""
    assert _cut(text, most, step) == _cut_slowly(text, most)


def test_no_text_has_no_chunk() -> None:
    """An empty object is an empty result."""
    assert _cut(b"", 10, 1) == ([], 0)
