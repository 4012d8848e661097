"""The chart of what ended in the last hour."""

from __future__ import annotations

from mrs_relay.dashboard import overview
from mrs_relay.read_model import figures


def test_the_scale_is_that_of_the_minutes_that_are_drawn() -> None:
    """The hour before begins within a minute that is not drawn."""
    counts = {0: 100, 1: 2, 60: 1}
    ended = [figures.Ended(1_000 + minute, "failed", count) for minute, count in counts.items()]
    now = figures.Overview(1_060 * figures.MINUTE_MS, [], ended, 0, [], 0, 0)
    assert [(part.count, part.x, part.height) for part in overview.chart(now)] == [(2, 0, 64.0), (1, 590, 32.0)]
