"""Lines that come in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.engine.work import whole_lines

_TEXT = st.text(alphabet="ab \r\n", max_size=60).map(str.encode)


@given(st.lists(_TEXT, max_size=3), st.integers(1, 20), st.integers(0, 9))
def test_lines_are_whole_and_counted_whatever_the_pieces_are(objects: list[bytes], step: int, longest: int) -> None:
    """Blank ones are none; of one that is too long, there is nothing but its number."""
    lines = whole_lines.WholeLines(longest)
    found: list[bytes | None] = []
    for text in objects:
        for begin in range(0, len(text), step):
            found += lines.add(text[begin : begin + step])
            assert sum(map(len, lines._held)) <= max(longest, step)
        found += lines.add(None)
    wanted = [line for text in objects for line in text.split(b"\n") if line.strip()]
    assert found == [line.strip() if len(line.lstrip()) <= longest else None for line in wanted]
    assert lines.count == len(wanted)
