"""Slow down those who try to log in and fail, by the address that they come from."""

from __future__ import annotations

import collections
import math
from typing import Final

from mrs_relay.api import problems
from mrs_relay.common import clock

_WITHIN_S: Final = 60.0
_MOST: Final = 10
_ADDRESSES: Final = 10_000


class Failures:
    """
    The failed logins of the last minute.

    Args:
        time: the clock.
    """

    def __init__(self, time: clock.Clock) -> None:
        self._time = time
        self._at_s: collections.OrderedDict[str | None, collections.deque[float]] = collections.OrderedDict()

    def require_few(self, place: str | None) -> None:
        """
        Refuse to try once more for an address with too many failures; who is right must wait, too.

        Raises:
            ProblemError: there were too many.
        """
        failed = self._at_s.get(place)
        if failed is None or len(failed) < _MOST:
            return
        wait_s = failed[0] + _WITHIN_S - self._time.monotonic_s()
        if wait_s > 0:
            text = f"{_MOST} logins from {place} have failed within a minute; try again later"
            again = {"Retry-After": str(math.ceil(wait_s))}
            raise problems.ProblemError(429, "too-many-requests", text, headers=again)

    def note(self, place: str | None) -> None:
        """Count a failure; of too many addresses those that failed longest ago are forgotten."""
        self._at_s.setdefault(place, collections.deque(maxlen=_MOST)).append(self._time.monotonic_s())
        self._at_s.move_to_end(place)
        while len(self._at_s) > _ADDRESSES:
            self._at_s.popitem(last=False)
