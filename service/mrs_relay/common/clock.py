"""
The clocks of the service, and RFC 3339 text.

Wall time stamps events and records; durations and deadlines use the event loop's monotonic clock, so a test with a
virtual loop and `LoopClock` moves hours in milliseconds.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import re
import time
from typing import Final, Protocol

_YEAR_10000_MS: Final = 253_402_300_800_000
"""The first moment, in milliseconds since the epoch, that neither datetime nor RFC 3339 can represent."""

_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - written without its offset, as UTC

_LEAP: Final = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d):60(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Clock(Protocol):
    """The readings that the service takes; `SystemClock`, `LoopClock` in virtual time, fakes in tests."""

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since the epoch, UTC."""

    def monotonic_s(self) -> float:
        """Return the seconds on a clock that never goes back; only differences mean something."""

    def boottime_s(self) -> float:
        """Return the seconds on a clock that continues while the machine is suspended; only differences count."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return the seconds on the event loop's clock; read directly, as the loop is not quick to find."""
        return time.monotonic()

    def boottime_s(self) -> float:
        """Return the seconds on a clock that continues while the machine is suspended, where the system has one."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()


class LoopClock:
    """A wall clock driven by the event loop's time, for simulations in virtual time."""

    def __init__(self, start_ms: int = 1_795_420_800_000) -> None:
        self._start_ms = start_ms
        self._origin_s: float | None = None

    def now_ms(self) -> int:
        """Return the wall time in milliseconds: `start_ms` plus the loop time passed since the first reading."""
        loop_s = self.monotonic_s()
        if self._origin_s is None:
            self._origin_s = loop_s
        return self._start_ms + round((loop_s - self._origin_s) * 1000)

    def monotonic_s(self) -> float:
        """Return the seconds on the event loop's clock (needs a running loop)."""
        return asyncio.get_running_loop().time()

    def boottime_s(self) -> float:
        """Return the seconds on the event loop's clock: a simulated machine is never suspended."""
        return self.monotonic_s()


def rfc3339(epoch_ms: int) -> str:
    """Format milliseconds since the epoch as RFC 3339 text in UTC with milliseconds, as CloudEvents requires."""
    second, millisecond = divmod(epoch_ms, 1000)
    return f"{_second(second)}.{millisecond:03d}Z"


def epoch_ms(moment: str) -> int:
    """
    Read RFC 3339 text as milliseconds since the epoch; the inverse of `rfc3339`.

    Raises:
        ValueError: it is no moment with an offset from UTC.
    """
    found = dt.datetime.fromisoformat(without_leap_second(moment))
    if found.tzinfo is None:
        raise ValueError(f"{moment!r} has no offset from UTC")
    return round(found.timestamp() * 1000)


def is_moment(epoch_ms: int) -> bool:
    """Return whether a foreign number can be milliseconds since the epoch: after 1970 and before the year 10000."""
    return 0 < epoch_ms < _YEAR_10000_MS


def shown(epoch_ms: int) -> str:
    """
    Format a foreign number as a moment, or as the bare number if it is no moment.

    Kafka and MRS pass on any value that a client writes: microseconds, -1 for no time, any 64 bits.
    """
    return rfc3339(epoch_ms) if is_moment(epoch_ms) else f"{epoch_ms} (not a time in milliseconds)"


def without_leap_second(moment: str) -> str:
    """Make RFC 3339 text readable for datetime: a leap second, 23:59:60 in UTC, becomes the next day's first second."""
    found = _LEAP.fullmatch(moment.upper())
    if found is None:
        return moment
    minute, fraction, offset = found.groups(default="")
    try:
        before = dt.datetime.fromisoformat(f"{minute}:59{offset}")
        in_utc, after = before.astimezone(dt.UTC), before + dt.timedelta(seconds=1)
    except (ValueError, OverflowError):
        return moment
    ends_day = (in_utc.hour, in_utc.minute) == (23, 59)
    return f"{after.replace(tzinfo=None).isoformat()}{fraction}{offset}" if ends_day else moment


@functools.lru_cache(maxsize=64)
def _second(epoch_s: int) -> str:
    return (_EPOCH + dt.timedelta(seconds=epoch_s)).isoformat()
