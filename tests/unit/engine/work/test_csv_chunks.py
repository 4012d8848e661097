"""How a CSV text is cut into chunks."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.engine.work import csv_chunks

_ROWS = st.lists(st.lists(st.text(alphabet='ab"\n,ü', max_size=6), min_size=1, max_size=3), max_size=30)


def _text(rows: list[list[str]], *, ends: bool) -> str:
    held = io.StringIO()
    csv.writer(held, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    return held.getvalue() if ends else held.getvalue().removesuffix("\n")


def _cut(text: bytes, most: int, step: int) -> tuple[list[bytes], int]:
    cutter = csv_chunks.CsvChunks(most)
    found = [one for at in range(0, len(text), step) for one in cutter.add(text[at : at + step])]
    found += cutter.end()
    return found, cutter.lines


@given(_ROWS, st.booleans(), st.integers(8, 200), st.integers(1, 50))
def test_chunks_are_the_text_in_order_and_end_with_rows(
    rows: list[list[str]], ends: bool, most: int, step: int
) -> None:
    """Nothing is lost or double, no chunk is too large, all rows are counted, and only a longer row is cut."""
    text = _text(rows, ends=ends).encode()
    found, lines = _cut(text, most, step)
    assert b"".join(found) == text
    assert all(0 < len(one) <= most for one in found)
    assert lines == len(rows)
    longest = max((len(_text([row], ends=True).encode()) for row in rows), default=0)
    if longest <= most:
        read = [row for one in found for row in csv.reader(io.StringIO(one.decode(), newline=""))]
        assert read == rows


def test_no_text_has_no_chunk() -> None:
    """An empty object is an empty result."""
    assert _cut(b"", 10, 1) == ([], 0)
