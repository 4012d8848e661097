"""A storm of one event leaves the others readable, and nothing is left out in silence."""

from __future__ import annotations

import logging

from tests.support import clocks

from mrs_relay.common import log_rates


def _made(most: int) -> tuple[log_rates.Rates, clocks.HandClock, list[log_rates.LeftOut]]:
    clock, reported = clocks.HandClock(), list[log_rates.LeftOut]()
    return log_rates.Rates(most, clock.monotonic_s, reported.append), clock, reported


def test_lines_beyond_the_limit_of_their_name_are_left_out() -> None:
    """Others are written; the first one that is left out is announced at once, with its level."""
    rates, _, reported = _made(3)
    assert [rates.may_write("storm", logging.WARNING) for _ in range(5)] == [True, True, True, False, False]
    assert rates.may_write("other", logging.INFO)
    assert reported == [log_rates.LeftOut("storm", 0, logging.WARNING)]


def test_what_was_left_out_is_counted_when_its_minute_is_over() -> None:
    """By the next line of any name, at the highest level that was left out; then the name has its lines again."""
    rates, clock, reported = _made(1)
    for level in (logging.INFO, logging.INFO, logging.ERROR, logging.INFO):
        rates.may_write("storm", level)
    clock.pass_s(59)
    rates.may_write("other", logging.INFO)
    assert len(reported) == 1
    clock.pass_s(1)
    rates.may_write("third", logging.INFO)
    assert reported[1:] == [log_rates.LeftOut("storm", 3, logging.ERROR)]
    assert rates.may_write("storm", logging.INFO)


def test_what_was_left_out_is_counted_at_the_end() -> None:
    """A process that ends, or is silent from now on, has said it."""
    rates, _, reported = _made(1)
    for _ in range(4):
        rates.may_write("storm", logging.INFO)
    rates.close()
    rates.close()
    assert reported[1:] == [log_rates.LeftOut("storm", 3, logging.INFO)]


def test_zero_is_no_limit() -> None:
    """Every line is written, and nothing is counted."""
    rates, _, reported = _made(0)
    assert all(rates.may_write("storm", logging.INFO) for _ in range(10_000))
    assert reported == []


def test_names_do_not_pile_up() -> None:
    """A name that is different each time takes no memory for ever."""
    rates, clock, reported = _made(1)
    for number in range(5_000):
        rates.may_write(f"storm {number}", logging.INFO)
        clock.pass_s(0.1)
    assert len(rates._windows) <= 1_001
    assert reported == []
