"""The picture of a request's life is laid out from its events."""

from __future__ import annotations

from typing import Any

import pytest

from mrs_relay.common import clock
from mrs_relay.dashboard import timeline

START_MS = 1_795_420_800_000


def event(sequence: int, state: str, after_ms: int, attempt: int = 1, **data: Any) -> dict[str, Any]:
    return {
        "time": clock.rfc3339(START_MS + after_ms),
        "data": {"sequence": sequence, "state": state, "attempt": attempt, **data},
    }


def test_each_attempt_has_a_lane_and_each_state_a_bar_as_long_as_it_lasted() -> None:
    """Progress is part of running, and a repeated state begins nothing."""
    drawn = timeline.draw(
        [
            event(1, "accepted", 0, attempt=0),
            event(2, "submitted", 1_000),
            event(3, "running", 2_000),
            event(4, "progress", 3_000),
            event(5, "running", 3_500, repeated=True),
            event(6, "retrying", 4_000),
            event(7, "submitted", 6_000, attempt=2),
            event(8, "succeeded", 10_000, attempt=2),
        ],
        START_MS + 99_000,
    )

    assert drawn is not None
    assert [(bar.state, bar.lasted_ms) for bar in drawn.bars] == [
        ("accepted", 1_000),
        ("submitted", 1_000),
        ("running", 2_000),
        ("retrying", 2_000),
        ("submitted", 4_000),
        ("succeeded", 0),
    ]

    assert list(drawn.lanes) == [1, 2]
    assert [bar.y for bar in drawn.bars] == [drawn.lanes[1]] * 4 + [drawn.lanes[2]] * 2
    assert drawn.lasted_ms == 10_000
    assert all(0 < bar.x < bar.x + bar.width < timeline.WIDTH for bar in drawn.bars)


def test_a_state_that_is_not_final_lasts_until_now() -> None:
    """The bar of what still goes on ends at the reader's moment."""
    drawn = timeline.draw([event(1, "accepted", 0)], START_MS + 5_000)
    assert drawn is not None
    assert [(bar.state, bar.lasted_ms) for bar in drawn.bars] == [("accepted", 5_000)]
    assert drawn.ticks[-1].after_ms == 5_000


def test_an_id_that_was_sent_again_is_drawn_from_its_new_beginning() -> None:
    """Its earlier life, a week ago, would leave no room for the new one."""
    drawn = timeline.draw(
        [event(1, "accepted", 0), event(2, "failed", 10), event(1, "accepted", 600_000_000)], START_MS + 600_000_100
    )
    assert drawn is not None
    assert [bar.state for bar in drawn.bars] == ["accepted"]


@pytest.mark.parametrize("found", [[], [{}], [{"time": "never", "data": {"state": "x", "sequence": 1}}]])
def test_what_is_no_event_of_ours_is_left_out(found: list[dict[str, Any]]) -> None:
    """A topic may hold what other programs wrote."""
    assert timeline.draw(found, START_MS) is None


def test_all_at_one_moment_is_drawn_without_dividing_by_nothing() -> None:
    """Events of one commit have one time."""
    drawn = timeline.draw([event(1, "accepted", 0), event(2, "rejected", 0)], START_MS)
    assert drawn is not None
    assert (len(drawn.bars), len(drawn.ticks)) == (2, 1)


def test_of_very_many_changes_the_last_ones_are_drawn() -> None:
    """A request with a thousand retries stays a picture."""
    many = [event(number, ("retrying", "running")[number % 2], number * 10) for number in range(2, 1_002)]
    drawn = timeline.draw(many, START_MS + 20_000)
    assert drawn is not None
    assert (len(drawn.bars), drawn.left_out) == (200, 800)
