"""
The emulator's own clock: another clock that can be put forward and stopped.

It never goes back, because what MRS remembers is in order of time: a stopped clock that continues catches up.
"""

from __future__ import annotations

from typing import Final

from mrs_emulator.core import clock

_LATEST_MS: Final = 221_845_392_000_000
"""Beginning of the year 9000: whatever is planned from there on can still be written as a date."""


class AdjustableClock:
    """
    A clock over another one.

    Args:
        straight: the clock that is bent.
    """

    def __init__(self, straight: clock.Clock) -> None:
        self._straight = straight
        self._ahead_ms = 0
        self._stopped_ms: int | None = None

    def now_ms(self) -> int:
        """Return wall time in milliseconds since the epoch, UTC, as the emulator believes it."""
        if self._stopped_ms is not None:
            return self._stopped_ms
        return self._straight.now_ms() + self._ahead_ms

    def monotonic_s(self) -> float:
        """Return seconds on the other clock, which nothing bends: quotas and waits continue."""
        return self._straight.monotonic_s()

    @property
    def ahead_ms(self) -> int:
        """How far it has been put forward."""
        return self._ahead_ms

    @property
    def stopped(self) -> bool:
        """Whether it stands still."""
        return self._stopped_ms is not None

    def advance(self, seconds: float) -> None:
        """Put it forward, to the year 9000 at most; `seconds` is not negative. A stopped clock stays stopped."""
        ahead_ms = max(0, min(round(seconds * 1000), _LATEST_MS - self.now_ms()))
        self._ahead_ms += ahead_ms
        if self._stopped_ms is not None:
            self._stopped_ms += ahead_ms

    def stop(self) -> None:
        """Let it stand still from now on."""
        self._stopped_ms = self.now_ms()

    def go(self) -> None:
        """Let it continue, at the time it would show had it never stopped."""
        self._stopped_ms = None
