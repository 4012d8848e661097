"""Waits between tries grow, stay capped, and differ between replicas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.common import backoff


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(10, 1000))
def test_delay_lies_between_half_and_whole_of_the_nominal_one(failures: int, first_s: float, most_s: float) -> None:
    """The n-th wait is between half and all of `first * 2 ** (n - 1)`, never over the cap, for any number of tries."""
    nominal_s = min(most_s, first_s * 2.0 ** min(failures - 1, 100))
    delay_s = backoff.Backoff(first_s, most_s).delay_s(failures)
    assert nominal_s / 2 <= delay_s <= nominal_s


@pytest.mark.parametrize("failures", [0, -1])
def test_no_failure_counts_as_the_first(failures: int) -> None:
    """A caller that counts from 0 still waits."""
    assert 0.25 <= backoff.Backoff(0.5, 30.0).delay_s(failures) <= 0.5


def test_delays_are_spread() -> None:
    """Replicas that fail together do not come back together."""
    pause = backoff.Backoff(1.0, 60.0)
    assert len({round(pause.delay_s(3), 6) for _ in range(100)}) > 50
