"""
Calls per minute as the gateway counts them: one counter per operation for the whole tenant.

A call over the limit is refused before MRS sees it and does not count.

Source: API reference mrs_02_0006 (60 a minute for writes, 1000 for reads); the counting window is not documented.
"""

from __future__ import annotations

import collections

from mrs_emulator.core import refusals, settings

_MINUTE_S = 60.0


class _Fixed:
    """Counts calls in minutes that start with the first call after the last minute ended."""

    def __init__(self) -> None:
        self._started_s = float("-inf")
        self._calls = 0

    def take(self, per_minute: int, now_s: float) -> bool:
        if now_s - self._started_s >= _MINUTE_S:
            self._started_s = now_s
            self._calls = 0
        if self._calls >= per_minute:
            return False
        self._calls += 1
        return True


class _Sliding:
    """Remembers the calls of the last 60 seconds."""

    def __init__(self) -> None:
        self._calls: collections.deque[float] = collections.deque()

    def take(self, per_minute: int, now_s: float) -> bool:
        while self._calls and now_s - self._calls[0] >= _MINUTE_S:
            self._calls.popleft()
        if len(self._calls) >= per_minute:
            return False
        self._calls.append(now_s)
        return True


class Limiter:
    """
    Refuses calls above the limit of their operation.

    Args:
        limits: which limits hold and how they are counted.
    """

    def __init__(self, limits: settings.Limits) -> None:
        self._limits = limits
        self._windows: dict[str, _Fixed | _Sliding] = {}

    def admit(self, operation: str, documented: int, now_s: float) -> None:
        """
        Count one call.

        Args:
            operation: name of the operation.
            documented: calls per minute by the documents; 0 means no limit.
            now_s: monotonic time in seconds.

        Raises:
            Refusal: APIGW.0308; the call was not counted.
        """
        if not self._limits.on:
            return
        per_minute = self._limits.per_minute.get(operation, documented)
        if per_minute <= 0:
            return
        window = self._windows.get(operation)
        if window is None:
            window = self._windows[operation] = _Fixed() if self._limits.window == "fixed" else _Sliding()
        if not window.take(per_minute, now_s):
            raise refusals.throttled(per_minute)
