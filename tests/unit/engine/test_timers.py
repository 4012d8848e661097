"""One alarm clock for many due times."""

from __future__ import annotations

import asyncio
import functools
import time

import pytest

from mrs_relay.common import clock
from mrs_relay.engine import timers

pytestmark = pytest.mark.looptime

_START_MS = 1_795_420_800_000


class _Board:
    """Timers, and what they called when."""

    def __init__(self) -> None:
        self.wall = clock.LoopClock(_START_MS)
        self.timers = timers.Timers(self.wall.now_ms)
        self.rung: list[tuple[str, int]] = []

    def at(self, passed_ms: int, name: str) -> None:
        self.timers.at(_START_MS + passed_ms, functools.partial(self.ring, name))

    def ring(self, name: str) -> None:
        self.rung.append((name, self.wall.now_ms() - _START_MS))


async def test_calls_behind_one_that_fails_come_all_the_same() -> None:
    """A bug in one call must not stop the clock for all others."""
    board, broken = _Board(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: broken.append(context["exception"]))

    def fail() -> None:
        raise ZeroDivisionError

    board.timers.at(_START_MS + 1000, fail)
    for name, passed_ms in [("a", 1000), ("b", 2000)]:
        board.at(passed_ms, name)
    await asyncio.sleep(3)
    assert [name for name, _ in board.rung] == ["a", "b"]
    assert [type(error) for error in broken] == [ZeroDivisionError]


async def test_calls_come_when_they_are_due_in_order() -> None:
    """Whatever the order of noting, calls come in the order of their times, and not before."""
    board = _Board()
    board.wall.now_ms()
    for name, passed_ms in [("c", 3000), ("a", 1000), ("d", 3000), ("b", 2000)]:
        board.at(passed_ms, name)
    assert len(board.timers) == 4
    await asyncio.sleep(2.5)
    assert [name for name, _ in board.rung] == ["a", "b"]
    assert len(board.timers) == 2
    await asyncio.sleep(10)
    assert [name for name, _ in board.rung] == ["a", "b", "c", "d"]
    assert all(
        0 <= rung_ms - due_ms <= 2 for (_, rung_ms), due_ms in zip(board.rung, (1000, 2000, 3000, 3000), strict=True)
    )
    assert len(board.timers) == 0


@pytest.mark.parametrize("passed_ms", [0, -1, -(10**15)])
async def test_past_time_is_due_at_once(passed_ms: int) -> None:
    """What is overdue is called in the loop's next round, never within `at`."""
    board = _Board()
    board.wall.now_ms()
    board.at(passed_ms, "late")
    assert board.rung == []
    await asyncio.sleep(0.002)
    assert [name for name, _ in board.rung] == ["late"]


async def test_week_passes() -> None:
    """A due time days ahead is met although the alarm rings every hour; so is one noted later for earlier."""
    board = _Board()
    board.wall.now_ms()
    week_ms = 7 * 24 * 3_600_000
    board.at(week_ms, "week")
    board.at(90 * 60_000, "soon")
    await asyncio.sleep(7 * 24 * 3600 + 1)
    assert [name for name, _ in board.rung] == ["soon", "week"]
    assert board.rung[1][1] - week_ms <= 2


async def test_wall_clock_that_jumps_ahead_is_noticed() -> None:
    """When the wall clock is set forward, overdue calls come at the next ring, an hour later at most."""
    wall_ms = _START_MS
    alarm = timers.Timers(lambda: wall_ms)
    rung: list[float] = []
    alarm.at(_START_MS + 10 * 3_600_000, lambda: rung.append(asyncio.get_running_loop().time()))
    await asyncio.sleep(1)
    wall_ms += 24 * 3_600_000
    await asyncio.sleep(3600)
    assert len(rung) == 1
    alarm.close()


async def test_wall_clock_that_goes_back_delays() -> None:
    """Only the wall clock counts: set back, calls wait for it to come round again."""
    wall_ms = _START_MS
    alarm = timers.Timers(lambda: wall_ms)
    rung: list[str] = []
    alarm.at(_START_MS + 1000, lambda: rung.append("rung"))
    await asyncio.sleep(5000)
    assert rung == []
    wall_ms += 1000
    await asyncio.sleep(1.1)
    assert rung == ["rung"]


async def test_call_may_note_another_time() -> None:
    """A call that notes a new time, even one that is due, is served like any other."""
    board = _Board()
    board.wall.now_ms()

    def again() -> None:
        board.ring("first")
        board.at(500, "due already")
        board.at(2000, "later")

    board.timers.at(_START_MS + 1000, again)
    await asyncio.sleep(3)
    assert [name for name, _ in board.rung] == ["first", "due already", "later"]


async def test_closed_timers_call_nothing() -> None:
    """After `close` nothing rings; closing twice is closing."""
    board = _Board()
    board.wall.now_ms()
    board.at(1000, "never")
    board.timers.close()
    board.timers.close()
    await asyncio.sleep(10)
    assert (board.rung, len(board.timers)) == ([], 0)


async def test_many_times_cost_one_alarm() -> None:
    """Tens of thousands of due times are noted and served in a moment."""
    board = _Board()
    board.wall.now_ms()
    started = time.perf_counter()
    for number in range(20_000):
        board.at(number % 977, str(number))
    await asyncio.sleep(1)
    assert len(board.rung) == 20_000
    assert time.perf_counter() - started < 5


async def test_dropped_calls_are_never_made_and_do_not_pile_up() -> None:
    """A cancelled call leaves its place long before its time, and the others keep theirs."""
    board = _Board()
    board.wall.now_ms()
    for number in range(10_000):
        dropped = board.timers.at(_START_MS + 86_400_000, functools.partial(board.ring, "dropped"))
        if number % 1000 == 0:
            board.at(1000 + number, f"kept {number}")
        board.timers.drop(dropped)
    assert len(board.timers) < 200
    await asyncio.sleep(2 * 86_400)
    assert [name for name, _ in board.rung] == [f"kept {number}" for number in range(0, 10_000, 1000)]
    assert len(board.timers) == 0


async def test_dropping_what_was_called_is_no_matter() -> None:
    """A number that has rung is forgotten; what comes later rings all the same."""
    board = _Board()
    board.wall.now_ms()
    first = board.timers.at(_START_MS, functools.partial(board.ring, "first"))
    await asyncio.sleep(1)
    board.timers.drop(first)
    board.at(2000, "second")
    await asyncio.sleep(2)
    assert [name for name, _ in board.rung] == ["first", "second"]
