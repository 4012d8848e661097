"""
Keep many timeouts on one timer: a cheap `asyncio.timeout` for thousands of calls.

To set and clear a timer of the loop costs a tenth of a whole call. Nearly all calls end long before their deadline, so
one timer, set for the earliest deadline, is enough; it is moved when it fires, not when a call ends.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Deadline:
    """One timeout, for one `with` block in one task; made by `Deadlines.within`."""

    __slots__ = ("_cancelling", "_expired", "_owner", "_task", "when_s")

    def __init__(self, owner: Deadlines, when_s: float) -> None:
        self.when_s = when_s
        self._owner = owner
        self._expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline belongs into a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._owner.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owner.drop(self)
        # As in `asyncio.timeout`: a cancellation from outside, before or meanwhile, takes precedence.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """End the block with a TimeoutError."""
        self._expired = True
        self._task.cancel()


class Deadlines:
    """Keep the timeouts of one event loop; call `close` after the last one."""

    def __init__(self) -> None:
        self._running: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_s = float("inf")

    def within(self, timeout_s: float) -> Deadline:
        """
        Return a block that raises TimeoutError when it takes longer than `timeout_s` seconds from now.

        Its await is cancelled then; a cancellation from outside passes through as such.
        """
        return Deadline(self, asyncio.get_running_loop().time() + timeout_s)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_s = None, float("inf")

    def add(self, deadline: Deadline) -> None:
        """Start a deadline."""
        self._running.add(deadline)
        if deadline.when_s < self._rings_s:
            self._ring_at(deadline.when_s)

    def drop(self, deadline: Deadline) -> None:
        """Drop a deadline; the timer stays, and finds nothing to do when it fires."""
        self._running.discard(deadline)

    def _ring_at(self, when_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_s = when_s
        self._timer = asyncio.get_running_loop().call_at(when_s, self._ring)

    def _ring(self) -> None:
        self._timer, rung_s, self._rings_s = None, self._rings_s, float("inf")
        now_s = max(asyncio.get_running_loop().time(), rung_s)  # a timer may fire early, within the clock's resolution
        for deadline in [each for each in self._running if each.when_s <= now_s]:
            self._running.discard(deadline)
            deadline.expire()
        if self._running:
            self._ring_at(min(each.when_s for each in self._running))
