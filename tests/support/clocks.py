"""A clock that tests move by hand; tests in virtual time take `clock.LoopClock` and `@pytest.mark.looptime`."""

from __future__ import annotations

import asyncio
from typing import Final

import looptime

START_MS: Final = 1_795_420_800_000
"""2026-11-23 08:00 UTC."""

NOOP_CYCLES: Final = 2
"""Rounds of an idle loop before its virtual time moves on; the library's 42 are most of the time that tests take."""


def virtual_loop() -> asyncio.AbstractEventLoop:
    """Make a loop whose clock starts at 0 and jumps to the next timer."""
    made: asyncio.AbstractEventLoop = looptime.new_event_loop(start=0, _enabled=True, noop_cycles=NOOP_CYCLES)
    return made


class HandClock:
    """
    A clock that stands until the test moves it; relay and emulator take it as theirs.

    Attributes:
        wall_ms: the time of day, in milliseconds since the epoch.
        seconds: what the clocks for durations show.
    """

    def __init__(self, now_ms: int = START_MS) -> None:
        self.wall_ms = now_ms
        self.seconds = 3600.0

    def now_ms(self) -> int:
        """Return the time of day in milliseconds since the epoch."""
        return self.wall_ms

    def monotonic_s(self) -> float:
        """Return seconds of which only differences mean something."""
        return self.seconds

    def boottime_s(self) -> float:
        """Return the same: a machine in a test is never suspended."""
        return self.seconds

    def pass_s(self, seconds: float) -> None:
        """Let time pass on all clocks."""
        self.wall_ms += round(seconds * 1000)
        self.seconds += seconds
