"""Seconds of pauses are added up, and their labels are bounded."""

from __future__ import annotations

from mrs_relay.engine import pause_times


def test_seconds_count_for_what_is_paused() -> None:
    """The connection's two kinds of pauses, and each place."""
    seen = pause_times.PauseTimes()
    seen.add(0.5, throttled=True, unreachable=False, places=[("c-1", "A"), ("c-2", "A")])
    seen.add(1.0, throttled=False, unreachable=True, places=[("c-1", "A")])
    assert (seen.throttled_s, seen.unreachable_s) == (0.5, 1.0)
    assert seen.open_s == {("c-1", "A"): 1.5, ("c-2", "A"): 0.5}


def test_a_process_that_sees_thousands_of_clusters_keeps_a_hundred_labels_for_them() -> None:
    """The rest is together under one."""
    seen = pause_times.PauseTimes()
    for number in range(3_000):
        seen.add(1.0, throttled=False, unreachable=False, places=[(f"c-{number}", "A")])
    assert len(seen.open_s) == 101
    assert seen.open_s[pause_times.OTHER, "A"] == 2_900
