"""Due times → calls: one alarm clock for a partition, however many times are noted."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Final

_LONGEST_S: Final = 60.0
"""The alarm rings at least that often, so that a wall clock that jumped is noticed."""


class Timers:
    """
    Calls things when their time has come; never blocks.

    Args:
        now_ms: wall time, epoch milliseconds.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ms = 0

    def __len__(self) -> int:
        return len(self._due)

    def at(self, when_ms: int, call: Callable[[], None]) -> None:
        """Call `call` once the wall clock shows `when_ms` (epoch milliseconds) or later."""
        heapq.heappush(self._due, (when_ms, next(self._count), call))
        self._set()

    def close(self) -> None:
        """Forget everything."""
        self._due.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _set(self) -> None:
        if not self._due:
            return
        first_ms = self._due[0][0]
        if self._alarm is not None:
            if self._alarm_ms <= first_ms:
                return
            self._alarm.cancel()
        wait_s = min(max(0.0, (first_ms - self._now_ms()) / 1000), _LONGEST_S)
        self._alarm_ms = first_ms
        self._alarm = asyncio.get_running_loop().call_later(wait_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now_ms = self._now_ms()
        while self._due and self._due[0][0] <= now_ms:
            heapq.heappop(self._due)[2]()
        self._set()
