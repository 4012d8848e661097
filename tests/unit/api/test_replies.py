"""Cursors, which any replica may be given."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mrs_relay.api import problems, replies
from mrs_relay.read_model import queries

_PLACE = queries.PageEnd(5, b"k")
_PROGRAM = """
from mrs_relay.api import replies
from mrs_relay.read_model import queries
visible = frozenset(f"tenant-{number}" for number in range(20))
print(replies.cursor(queries.PageEnd(5, b"k"), queries.Filter(state="failed", visible=visible)))
"""


def test_a_cursor_is_read_at_any_replica() -> None:
    """The tenants that a caller may see are a set, whose order differs by process."""
    cursors = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert len(cursors) == 1
    visible = frozenset(f"tenant-{number}" for number in reversed(range(20)))
    chosen = queries.Filter(state="failed", visible=visible)
    assert replies.place(cursors.pop(), queries.PageEnd, chosen) == _PLACE


def test_a_cursor_belongs_to_its_filters() -> None:
    """Those of a caller who sees fewer tenants are others."""
    cursor = replies.cursor(_PLACE, queries.Filter(visible=frozenset({"a", "b"})))
    for other in (queries.Filter(visible=frozenset({"a"})), queries.Filter(), queries.Filter(state="failed")):
        with pytest.raises(problems.ProblemError, match="other filters"):
            replies.place(cursor, queries.PageEnd, other)
