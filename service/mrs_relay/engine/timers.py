"""Make calls at their due times: one timer of the event loop for all calls of a partition."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Final, NewType

Number = NewType("Number", int)
"""Identifies a scheduled call."""

_LONGEST_S: Final = 60.0
"""Longest wait of the timer, so that a jump of the wall clock is noticed."""

_FEW: Final = 64
"""Dropped calls are removed when there are more of them than this, and than a third of all."""


class Timers:
    """
    Make scheduled calls when they are due; never blocks.

    Args:
        now_ms: wall time, epoch milliseconds.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._unwanted: set[int] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ms = 0

    def __len__(self) -> int:
        return len(self._due)

    def at(self, when_ms: int, call: Callable[[], None]) -> Number:
        """Call `call` once the wall clock shows `when_ms` (epoch milliseconds) or later, unless it is dropped."""
        number = Number(next(self._count))
        heapq.heappush(self._due, (when_ms, number, call))
        self._set()
        return number

    def drop(self, number: Number) -> None:
        """Drop a call. Its entry stays for a while, so that dropping many costs little each."""
        self._unwanted.add(number)
        if len(self._unwanted) > max(_FEW, len(self._due) // 3):
            self._due = [due for due in self._due if due[1] not in self._unwanted]
            heapq.heapify(self._due)
            self._unwanted.clear()

    def close(self) -> None:
        """Drop all calls and stop the timer."""
        self._due.clear()
        self._unwanted.clear()
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
        try:
            while self._due and self._due[0][0] <= now_ms:
                _, number, call = heapq.heappop(self._due)
                if number in self._unwanted:
                    self._unwanted.discard(number)
                else:
                    call()
        finally:
            self._set()  # also for those behind a call that fails by a bug
