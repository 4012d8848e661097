"""
Budgets: the documented calls per minute, spent evenly, per operation of one connection.

Each operation has its own pace; a 429 holds the whole connection. The pace keeps a little below the documented limit,
so that calls which bunch up on their way still count into different minutes. Source: "Selecting an API Type".
"""

from __future__ import annotations

import asyncio
from typing import Final

from mrs_relay import errors
from mrs_relay.kit import clock
from mrs_relay.mrs import operation

WINDOW_S: Final = 61.0
"""Seconds over which one minute's calls are spread: one more than MRS counts over."""

BURST_PART: Final = 50
"""One part in this many of a minute's calls may go at once after a pause: 1 of 60 writes, 20 of 1000 reads."""

UNDOCUMENTED_PER_MINUTE: Final = 200
"""Calls a minute where no limit is documented: the smallest documented limit of a read (ListNodes)."""


_EARLY_S: Final = 0.001
"""By so much a turn may come early: shorter sleeps than this are not worth a timer and may not move a clock at all."""


class Limits:
    """
    The budgets of one connection.

    Args:
        now: the clock.
        enabled: False lets every call go at once; a hold still counts.
    """

    def __init__(self, now: clock.Clock, *, enabled: bool = True) -> None:
        self._clock = now
        self._enabled = enabled
        self._share = 1.0
        self._held_until_s = float("-inf")
        # When the next call is due if all go evenly; a burst may run ahead of it.
        self._due_s: dict[str, float] = {}

    def set_share(self, share: float) -> None:
        """
        Spend only this part of each budget, above 0 and at most 1; other replicas spend the rest.

        Raises:
            ValueError: the share is outside that range.
        """
        if not 0.0 < share <= 1.0:
            raise ValueError(f"share must lie above 0 and at most at 1, not at {share}")
        self._share = share

    def hold(self, seconds: float) -> None:
        """Let nothing go for this long; never shortens a hold that lasts longer."""
        self._held_until_s = max(self._held_until_s, self._clock.monotonic_s() + seconds)

    @property
    def held_s(self) -> float:
        """Seconds until the hold ends; 0.0 when there is none."""
        return max(0.0, self._held_until_s - self._clock.monotonic_s())

    def every_s(self, wanted: operation.AnyOperation) -> float:
        """Seconds between two calls of our share of the budget when it is spent evenly; 0.0 when it is not limited."""
        if not self._enabled:
            return 0.0
        return WINDOW_S / ((wanted.per_minute or UNDOCUMENTED_PER_MINUTE) * self._share)

    def try_acquire(self, wanted: operation.AnyOperation) -> float:
        """Take one call from the budget: 0.0 when it may go now, else the seconds until one can be taken."""
        now_s = self._clock.monotonic_s()
        if self._held_until_s - now_s > _EARLY_S:
            return self._held_until_s - now_s
        if not self._enabled:
            return 0.0
        start_s, next_due_s = self._slot(wanted, now_s)
        if start_s - now_s > _EARLY_S:
            return start_s - now_s
        self._due_s[wanted.name] = next_due_s
        return 0.0

    async def acquire(self, wanted: operation.AnyOperation, timeout_s: float) -> None:
        """
        Wait for a call from the budget; those who wait go in the order in which they came.

        Raises:
            MrsThrottled: it would take longer than `timeout_s` seconds; nothing was taken from the budget.
        """
        now_s = self._clock.monotonic_s()
        deadline_s = now_s + timeout_s
        if self._enabled:
            start_s, next_due_s = self._slot(wanted, max(now_s, self._held_until_s))
            self._refuse_later_than(deadline_s, start_s, wanted)
            self._due_s[wanted.name] = next_due_s
            await asyncio.sleep(max(0.0, start_s - now_s))
        while (held_s := self.held_s) > _EARLY_S:  # a hold may have been set or extended meanwhile
            self._refuse_later_than(deadline_s, self._held_until_s, wanted)
            await asyncio.sleep(held_s)

    def _slot(self, wanted: operation.AnyOperation, now_s: float) -> tuple[float, float]:
        """The moment at which the next call may go, not before `now_s`, and when the one after it is due."""
        calls = (wanted.per_minute or UNDOCUMENTED_PER_MINUTE) * self._share
        burst = max(1, int(calls / BURST_PART))
        every_s = WINDOW_S / (calls - burst + 1)
        due_s = max(self._due_s.get(wanted.name, now_s), now_s)
        return max(now_s, due_s - (burst - 1) * every_s), due_s + every_s

    def _refuse_later_than(self, deadline_s: float, moment_s: float, wanted: operation.AnyOperation) -> None:
        if moment_s > deadline_s:
            wait_s = moment_s - self._clock.monotonic_s()
            message = f"{wanted.name} must wait {wait_s:.1f} s for its turn, longer than its timeout; nothing was sent"
            raise errors.MrsThrottled(message, retry_after_s=wait_s, method=wanted.verb, path=wanted.path)
