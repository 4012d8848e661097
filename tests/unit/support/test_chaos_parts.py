"""The kill loop's own parts: what is ordered happens once, at its passing, and every kind of trouble has its turn."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support import chaos, chaos_fleet, chaos_relay, chaos_troubles


@pytest.fixture
def signals() -> Iterator[Counter[int]]:
    """Counts SIGUSR1, which stands for the signal that ends a relay."""
    seen: Counter[int] = Counter()
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: seen.update([number]))
    yield seen
    signal.signal(signal.SIGUSR1, before)


def test_what_was_ordered_happens_at_the_third_passing_of_its_point_and_once(
    tmp_path: Path, signals: Counter[int]
) -> None:
    """Other points do not count, the order is gone afterwards, and a mark says that it was carried out."""
    place = tmp_path / "relay-1"
    countdown = chaos_relay.Countdown(str(place))
    countdown.pass_("after the commit")
    chaos_fleet.write_order(place.with_suffix(".x"), "after the commit", 3, signal.SIGUSR1)
    for point in ("after the commit", "before the POST", "after the commit"):
        countdown.pass_(point)
    assert signals.total() == 0
    for _ in range(5):
        countdown.pass_("after the commit")
    assert signals == {signal.SIGUSR1: 1}
    assert place.with_suffix(".reached").read_text() == "after the commit"


def test_an_order_that_was_taken_back_is_not_carried_out_later(tmp_path: Path, signals: Counter[int]) -> None:
    """Nor do its passings count for the next one."""
    place = tmp_path / "relay-1"
    countdown = chaos_relay.Countdown(str(place))
    for _ in range(2):
        chaos_fleet.write_order(place.with_suffix(".x"), "before the POST", 2, signal.SIGUSR1)
        countdown.pass_("before the POST")
        place.with_suffix(".order").unlink()
        countdown.pass_("before the POST")
    assert signals.total() == 0


def _drawn(count: int) -> Sequence[str]:
    kinds = {name: (_nothing, weight) for weight, name in enumerate("abcdef", start=1)}
    return chaos_troubles.plan(kinds, count, random.Random(5))  # noqa: S311 - a seed, no secret


async def _nothing() -> bool:
    return True


def test_a_long_run_meets_each_kind_and_a_seed_draws_the_same_again() -> None:
    """Every kind comes once before any comes twice; the order follows from the seed."""
    drawn = _drawn(100)
    assert sorted(drawn[:6]) == list("abcdef")
    assert len(drawn) == 100
    assert drawn == _drawn(100)
    assert len(_drawn(3)) == 3


def test_what_relays_log_is_counted(tmp_path: Path) -> None:
    """Events of all relays by their meaning; other lines do not matter."""
    (tmp_path / "relay-1.log").write_text('{"event": "partition_owned"}\nplain\n{"event": "relay_started"}\n')
    (tmp_path / "relay-2.log").write_text('{"partition": 3, "event": "partition_owned", "level": "info"}\n')
    assert chaos.lived(tmp_path) == {"partitions restored": 2}
