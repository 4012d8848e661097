"""
Spend the budgets of one connection evenly: the documented calls per minute of each operation.

Each operation has its own pace; a 429 holds the whole connection. The pace stays a little below the documented limit,
so that calls that bunch up on their way still count into different minutes. A process that shares the budgets with
others spends the calls of its lease (`lend`), counted over a sliding window. Source: "Selecting an API Type".
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.mrs import operation

WINDOW_S: Final = 61.0
"""Seconds over which one minute's calls are spread: one more than MRS counts over."""

BURST_PART: Final = 50
"""One part in this many of a minute's calls may be made at once after a pause: 1 of 60 writes, 20 of 1000 reads."""

UNDOCUMENTED_PER_MINUTE: Final = 200
"""Calls a minute where no limit is documented: the smallest documented limit of a read (ListNodes)."""

BUCKET_S: Final = 1.0
"""Seconds of one count in a report of used calls."""

_EARLY_S: Final = 0.001
"""Longest time by which a turn may come early: a shorter sleep is not worth a timer and may not move a clock at all."""

_LOOK_AGAIN_S: Final = 1.0
"""Longest wait returned to a caller whose lease allows no call now: the next lease may allow one sooner."""

_NEEDED_S: Final = 2.5
"""Seconds for which a refused call counts as demand. Callers that wait try again within `_LOOK_AGAIN_S`."""


def per_minute(wanted: operation.AnyOperation) -> int:
    """Return the calls a minute that MRS allows all replicas together."""
    return wanted.per_minute or UNDOCUMENTED_PER_MINUTE


def burst_of(calls: float) -> int:
    """Return how many of a minute's calls may be made at once after a pause."""
    return max(1, int(calls / BURST_PART))


@dataclass(frozen=True, slots=True)
class Allowance:
    """
    One process's part of an operation's budget.

    Attributes:
        calls: most calls in any `WINDOW_S` seconds.
        pace: calls in as many seconds at an even pace; may exceed `calls` for a while.
    """

    calls: int
    pace: float


@dataclass(frozen=True, slots=True)
class Lease:
    """
    A process's part of all budgets, for a time.

    Attributes:
        part: of the budget of each operation that `allowances` does not name, from 0 to 1.
        pace_part: the same for its pace.
        allowances: by operation.
        is_valid: returns whether it may still be used; without a valid lease nothing is sent.
    """

    part: float
    pace_part: float = 1.0
    allowances: Mapping[str, Allowance] = field(default_factory=dict)
    is_valid: Callable[[], bool] = lambda: True

    def of(self, wanted: operation.AnyOperation) -> Allowance:
        """Return the allowance of one operation."""
        found = self.allowances.get(wanted.name)
        if found is not None:
            return found
        limit = per_minute(wanted)
        return Allowance(int(limit * self.part + 1e-9), limit * self.pace_part)


class Limits:
    """
    Keep the budgets of one connection.

    Args:
        now: the clock.
        enabled: False allows every call at once; a hold still counts.

    Attributes:
        enabled: whether budgets are kept.
        on_need: called when a call had to wait for budget, at most once in a while.
    """

    def __init__(self, now: clock.Clock, *, enabled: bool = True) -> None:
        self.enabled: Final = enabled
        self.on_need: Callable[[], None] = lambda: None
        self._clock = now
        self._share = 1.0
        self._lease: Lease | None = None
        self._held_until_s = float("-inf")
        self._throttled_until_s = float("-inf")
        # Due time of the next call at an even pace; a burst may run ahead of it.
        self._due_s: dict[str, float] = {}
        self._calls: dict[str, deque[float]] = {}
        self._needed_s: dict[str, float] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    def set_share(self, share: float) -> None:
        """
        Spend only this part of each budget, above 0 and at most 1, evenly and without a lease.

        Raises:
            ValueError: the share is outside that range.
        """
        if not 0.0 < share <= 1.0:
            raise ValueError(f"share {share}: expected more than 0 and at most 1")
        self._share = share
        self._lease = None

    def lend(self, lease: Lease) -> None:
        """Spend the lease's allowances, in place of a share or of the lease before."""
        self._lease = lease

    def hold(self, seconds: float) -> None:
        """Hold all calls for some seconds, because MRS refused one; never shortens a longer hold."""
        self._throttled_until_s = max(self._throttled_until_s, self._clock.monotonic_s() + seconds)
        self.hold_with_others(seconds)
        self.on_need()

    def hold_with_others(self, seconds: float) -> None:
        """Hold all calls for some seconds, because MRS refused a call of another replica."""
        self._held_until_s = max(self._held_until_s, self._clock.monotonic_s() + seconds)

    @property
    def held_s(self) -> float:
        """Seconds until the hold ends; 0.0 when there is none."""
        return max(0.0, self._held_until_s - self._clock.monotonic_s())

    @property
    def throttled_s(self) -> float:
        """Seconds until the hold ends that a call of this process caused; 0.0 when there is none."""
        return max(0.0, self._throttled_until_s - self._clock.monotonic_s())

    def used(self) -> dict[str, list[int]]:
        """Count the calls of the last `WINDOW_S` seconds by operation, in buckets of `BUCKET_S`, the latest first."""
        now_s = self._clock.monotonic_s()
        found: dict[str, list[int]] = {}
        for name in list(self._calls):
            for moment_s in self._window(name, now_s):
                counts = found.setdefault(name, [])
                bucket = int((now_s - moment_s) / BUCKET_S)
                counts += [0] * (bucket + 1 - len(counts))
                counts[bucket] += 1
        return found

    def needed(self) -> Collection[str]:
        """Return the operations with more waiting calls than the budget of this process allows."""
        since_s = self._clock.monotonic_s() - _NEEDED_S
        return sorted(name for name, moment_s in self._needed_s.items() if moment_s > since_s)

    def usage(self, wanted: operation.AnyOperation) -> tuple[int, int]:
        """Return the calls of this process in the last `WINDOW_S` seconds, and the most that it may make in them."""
        used = len(self._window(wanted.name, self._clock.monotonic_s()))
        if self._lease is not None:
            return used, self._lease.of(wanted).calls if self._lease.is_valid() else 0
        return used, max(1, math.ceil(per_minute(wanted) * self._share))

    @property
    def in_use(self) -> list[str]:
        """Return the operations of which this process has made calls, or wanted to."""
        return sorted(self._calls)

    def every_s(self, wanted: operation.AnyOperation) -> float:
        """Return the seconds between two calls of this process when it spends its part evenly; 0.0: not limited."""
        if not self.enabled:
            return 0.0
        if self._lease is None:
            return WINDOW_S / (per_minute(wanted) * self._share)
        allowance = self._lease.of(wanted)
        calls = allowance.pace if wanted.name in self._lease.allowances else allowance.calls
        # Without a valid lease the budget itself holds calls back: a poller that paces itself must not stop polling.
        return WINDOW_S / (calls if calls and self._lease.is_valid() else per_minute(wanted))

    def try_acquire(self, wanted: operation.AnyOperation) -> float:
        """Take one call from the budget; returns 0.0, or the seconds until a call can be taken."""
        now_s = self._clock.monotonic_s()
        if self._held_until_s - now_s > _EARLY_S:
            return self._held_until_s - now_s
        if not self.enabled:
            return 0.0

        # Both the window and the pace must allow the call.
        wait_s = self._wait_s(wanted, now_s)
        start_s, next_due_s = self._slot(wanted, now_s)
        wait_s = max(wait_s, start_s - now_s)
        if wait_s > _EARLY_S:
            self._need(wanted.name, now_s)
            return wait_s if self._lease is None else min(wait_s, _LOOK_AGAIN_S)

        self._due_s[wanted.name] = next_due_s
        self._needed_s.pop(wanted.name, None)  # a caller that waits for more calls tries again at once
        self._log_call(wanted.name, now_s)
        return 0.0

    async def acquire(self, wanted: operation.AnyOperation, timeout_s: float) -> None:
        """
        Wait for a call from the budget; waiting callers get one in the order of their arrival.

        Raises:
            MrsThrottled: the wait would exceed `timeout_s` seconds; nothing was taken from the budget.
        """
        now_s = self._clock.monotonic_s()
        deadline_s = now_s + timeout_s

        if self.enabled and self._lease is not None:
            await self._acquire_leased(wanted, deadline_s)
        elif self.enabled:
            start_s, next_due_s = self._slot(wanted, max(now_s, self._held_until_s))
            self._refuse_later_than(deadline_s, start_s, wanted)
            self._due_s[wanted.name] = next_due_s
            await asyncio.sleep(max(0.0, start_s - now_s))
            if self._lease is None:
                self._log_call(wanted.name, self._clock.monotonic_s())
            else:  # a lease has replaced the share meanwhile
                await self._acquire_leased(wanted, deadline_s)

        while (held_s := self.held_s) > _EARLY_S:  # a hold may have been set or extended meanwhile
            self._refuse_later_than(deadline_s, self._held_until_s, wanted)
            await asyncio.sleep(held_s)

    async def _acquire_leased(self, wanted: operation.AnyOperation, deadline_s: float) -> None:
        """Wait for a call that the present lease, or a later one, allows."""
        turn = self._turns.setdefault(wanted.name, asyncio.Lock())
        try:
            async with asyncio.timeout(deadline_s - self._clock.monotonic_s()), turn:
                while (wait_s := self.try_acquire(wanted)) > 0.0:  # noqa: ASYNC110 - time is what is waited for
                    await asyncio.sleep(wait_s)
        except TimeoutError:
            self._refuse_later_than(deadline_s, deadline_s + _LOOK_AGAIN_S, wanted)

    def _wait_s(self, wanted: operation.AnyOperation, now_s: float) -> float:
        """Return the seconds until the window allows one more call, at any pace."""
        if self._lease is not None and not self._lease.is_valid():
            return _LOOK_AGAIN_S

        calls = self._window(wanted.name, now_s)
        share = max(1, math.ceil(per_minute(wanted) * self._share))
        most = share if self._lease is None else self._lease.of(wanted).calls
        if len(calls) < most:
            return 0.0
        return calls[len(calls) - most] + WINDOW_S - now_s if most else _LOOK_AGAIN_S

    def _window(self, name: str, now_s: float) -> deque[float]:
        """Return when this process took the calls of the last `WINDOW_S` seconds, oldest first."""
        calls = self._calls.setdefault(name, deque())
        while calls and calls[0] <= now_s - WINDOW_S:
            calls.popleft()
        return calls

    def _log_call(self, name: str, now_s: float) -> None:
        self._window(name, now_s).append(now_s)

    def _need(self, name: str, now_s: float) -> None:
        was_needed = self._needed_s.get(name, float("-inf")) > now_s - _NEEDED_S
        self._needed_s[name] = now_s
        if not was_needed:
            self.on_need()

    def _slot(self, wanted: operation.AnyOperation, now_s: float) -> tuple[float, float]:
        """Return when the pace allows the next call, not before `now_s`, and when the call after it is due."""
        calls = per_minute(wanted) * self._share if self._lease is None else self._lease.of(wanted).pace
        burst = burst_of(calls)
        every_s = WINDOW_S / (calls - burst + 1)
        due_s = max(self._due_s.get(wanted.name, now_s), now_s)
        if self._lease is not None:  # the due time may be that of a former lease's slower pace
            due_s = min(due_s, now_s + burst * every_s)
        return max(now_s, due_s - (burst - 1) * every_s), due_s + every_s

    def _refuse_later_than(self, deadline_s: float, moment_s: float, wanted: operation.AnyOperation) -> None:
        if moment_s > deadline_s:
            wait_s = moment_s - self._clock.monotonic_s()
            message = f"{wanted.name} must wait {wait_s:.1f} s for its turn, longer than its timeout; nothing was sent"
            raise errors.MrsThrottled(message, retry_after_s=wait_s, method=wanted.verb, path=wanted.path)
