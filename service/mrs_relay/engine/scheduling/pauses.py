"""
Hold calls back after a failure, for as long as MRS's answers require.

A failure pauses one operation on one cluster, for which it is evidence. Only a failure that concerns every call of the
connection pauses all: MRS throttles (429), it cannot be reached, or there are no credentials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mrs_relay.common import backoff, clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.scheduling import breaker, entries, queues

_FAILING: Final = breaker.Pause(first_s=0.5, most_s=30.0)
_UNREACHABLE: Final = backoff.Backoff(first_s=0.5, most_s=30.0)


class Pauses:
    """
    Take the outcome of each call, and pause the connection or a place.

    Args:
        settings: `busy_wait_s` and `busy_most_s`.
        time: wall clock and monotonic clock.
        breaker_of: returns the breaker of a place.
        wake_in: schedules the next check of the queues, after the given seconds.

    Attributes:
        paused_until_s: end of the connection's pause, monotonic seconds.
    """

    def __init__(
        self,
        settings: engine_settings.EngineSettings,
        time: clock.Clock,
        breaker_of: Callable[[entries.Place], breaker.Breaker],
        wake_in: Callable[[float], None],
    ) -> None:
        self._full_wait_s = settings.busy_wait_s
        self._refusing: Final = breaker.Pause(settings.busy_wait_s, max(settings.busy_wait_s, settings.busy_most_s))
        self._time = time
        self._breaker_of = breaker_of
        self._wake_in = wake_in
        self._unreachable = 0
        self._unreachable_s = float("-inf")
        self.paused_until_s = 0.0

    @property
    def is_unreachable(self) -> bool:
        """Whether the last call could not be sent at all."""
        return self._unreachable > 0

    def must_wait(self, cluster: queues.ClusterQueue) -> bool:
        """Return whether a place waits for the end of a pause, or for the outcome of its probe; sets the timer."""
        now_s = self._time.monotonic_s()
        wait_s = max(self.paused_until_s - now_s, cluster.wait_s(now_s))
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s > 0 or cluster.is_probing(now_s)

    def pause(self, wait_s: float) -> None:
        """Pause the connection for `wait_s` seconds, because MRS throttles it."""
        self.paused_until_s = max(self.paused_until_s, self._time.monotonic_s() + wait_s)
        self._wake_in(wait_s)

    def rest(self, place: entries.Place, wait_s: float) -> None:
        """Pause one place for `wait_s` seconds, without counting a failure."""
        seen = self._breaker_of(place)
        seen.until_s = max(seen.until_s, self._time.monotonic_s() + wait_s)
        self._wake_in(wait_s)

    def full(self, place: entries.Place, answer: breaker.Answer) -> float:
        """
        Pause a cluster without room, then send one call after the other; returns the seconds of the pause.

        The pause ends at once when a job of this process on the cluster ends. It does not grow: a full cluster drains.
        """
        self._unreachable = 0
        self._breaker_of(place).full(self._time.monotonic_s(), self._time.now_ms(), self._full_wait_s, answer)
        self._wake_in(self._full_wait_s)
        return self._full_wait_s

    def refused(self, place: entries.Place, begun_s: float, answer: breaker.Answer) -> float:
        """Pause a cluster that refuses calls in its state; returns the seconds until the next try."""
        return self._failed(place, breaker.State.REFUSING, begun_s, answer)

    def failed(self, place: entries.Place, begun_s: float, answer: breaker.Answer) -> float:
        """
        Pause a place whose call failed, or whose reply was lost; returns the seconds until the next try.

        The pauses of a cluster that refuses calls anyway do not get shorter.
        """
        refuses = self._breaker_of(place).state is breaker.State.REFUSING
        return self._failed(place, breaker.State.REFUSING if refuses else breaker.State.FAILING, begun_s, answer)

    def unreachable(self, begun_s: float) -> float:
        """Pause the connection, because nothing can be sent on it; returns the seconds of the pause."""
        if begun_s > self._unreachable_s:  # calls under way together count as one failure
            self._unreachable += 1
            self._unreachable_s = self._time.monotonic_s()
        wait_s = _UNREACHABLE.delay_s(self._unreachable)
        self.pause(wait_s)
        return wait_s

    def worked(self, place: entries.Place, begun_s: float) -> None:
        """Note that MRS took a call."""
        self._unreachable = 0
        self._breaker_of(place).worked(begun_s)

    def answered(self, place: entries.Place, begun_s: float) -> None:
        """Note that MRS refused a call for good: the connection works."""
        self._unreachable = 0
        self._breaker_of(place).answered(begun_s)

    def _failed(self, place: entries.Place, state: breaker.State, begun_s: float, answer: breaker.Answer) -> float:
        now_s = self._time.monotonic_s()
        pause = self._refusing if state is breaker.State.REFUSING else _FAILING
        seen = self._breaker_of(place)
        seen.failed(breaker.Failure(state, answer, begun_s), now_s, self._time.now_ms(), pause)
        wait_s = max(0.0, seen.until_s - now_s)
        self._wake_in(wait_s)
        return wait_s
