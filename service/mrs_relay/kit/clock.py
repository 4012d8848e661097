"""
Where time comes from.

Wall time stamps events and records; durations and deadlines use the event loop's monotonic clock, so a test with a
virtual loop moves hours in milliseconds.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of one clock."""

    def now_ms(self) -> int:
        """Wall time in milliseconds since the epoch, UTC."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back; only differences mean something."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Wall time in milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds on the event loop's clock (needs a running loop)."""
        return asyncio.get_running_loop().time()

    def boottime_s(self) -> float:
        """Seconds on a clock that goes on while the machine is suspended, where the system has one."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()


class LoopClock:
    """A wall clock driven by the event loop's time, for simulations in virtual time."""

    def __init__(self, start_ms: int = 1_795_420_800_000) -> None:
        self._start_ms = start_ms
        self._origin_s: float | None = None

    def now_ms(self) -> int:
        """Wall time in milliseconds: `start_ms` plus the loop time passed since the first reading."""
        loop_s = self.monotonic_s()
        if self._origin_s is None:
            self._origin_s = loop_s
        return self._start_ms + round((loop_s - self._origin_s) * 1000)

    def monotonic_s(self) -> float:
        """Seconds on the event loop's clock (needs a running loop)."""
        return asyncio.get_running_loop().time()

    def boottime_s(self) -> float:
        """Seconds on the event loop's clock: a simulated machine is never suspended."""
        return self.monotonic_s()


def rfc3339(epoch_ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339 text in UTC with milliseconds, as CloudEvents wants it."""
    second, millisecond = divmod(epoch_ms, 1000)
    return f"{_second(second)}.{millisecond:03d}Z"


@functools.lru_cache(maxsize=64)
def _second(epoch_s: int) -> str:
    return dt.datetime.fromtimestamp(epoch_s, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
