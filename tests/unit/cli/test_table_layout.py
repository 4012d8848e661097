"""Tables that fit their place: short columns never vanish, unimportant ones go first."""

from __future__ import annotations

import io

from rich import console

from mrs_relay.cli import table_layout

_COLUMNS = [
    table_layout.Column("request", ["a" * 20, "b" * 20]),
    table_layout.Column("state", ["running", "failed"]),
    table_layout.Column("cluster", ["c" * 15, "c" * 15], drop=1),
    table_layout.Column("source", ["s" * 15, "s" * 15], drop=2),
]
_REASON = table_layout.Column("reason", ["", "because " * 20])


def _shown(width: int, rest: table_layout.Column = _REASON) -> list[str]:
    out = io.StringIO()
    console.Console(file=out, width=200, highlight=False).print(table_layout.fitted(_COLUMNS, rest, width))
    return out.getvalue().splitlines()


def test_with_room_all_columns_are_there_and_the_last_ends_with_an_ellipsis() -> None:
    """The reason takes what is left."""
    lines = _shown(120)
    assert [word for word in ("request", "state", "cluster", "source", "reason") if word not in lines[0]] == []
    assert lines[3].rstrip().endswith("…")
    assert max(len(line.rstrip()) for line in lines) <= 120


def test_the_least_important_column_goes_first() -> None:
    """Source before cluster, and never the state."""
    narrow, narrower = _shown(75)[0], _shown(50)[0]
    assert ("source" in narrow, "cluster" in narrow) == (False, True)
    assert ("cluster" in narrower, "state" in narrower, "reason" in narrower) == (False, True, True)


def test_a_last_column_without_content_is_left_out() -> None:
    """Room is not kept for nothing."""
    assert "reason" not in _shown(120, table_layout.Column("reason", ["", ""]))[0]


def test_a_table_without_rows_is_its_heads() -> None:
    """Nothing to show is shown as such."""
    empty = table_layout.fitted([table_layout.Column("request", [])], table_layout.Column("reason", []), 80)
    assert empty.row_count == 0
