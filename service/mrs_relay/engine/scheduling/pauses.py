"""
How long calls are held back: what the answers of MRS mean for those who wait.

A trouble pauses what it is evidence for: the operation on that cluster. Only what concerns every call of the connection
pauses all: MRS throttles (429), it cannot be reached, or there are no credentials.
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
    Take what became of each call and pause the connection or a place.

    Args:
        settings: `busy_wait_s` and `busy_most_s`.
        time: both sides of the clock.
        breaker_of: the breaker of a place.
        wake_in: looks at the queues again after so many seconds.

    Attributes:
        paused_until_s: nothing is sent on the connection until then, monotonic seconds.
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

    def must_wait(self, cluster: queues.ClusterQueue) -> bool:
        """Whether a place waits for time to pass, or for the outcome of its call under way; sets the alarm."""
        now_s = self._time.monotonic_s()
        wait_s = max(self.paused_until_s - now_s, cluster.wait_s(now_s))
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s > 0 or cluster.is_probing(now_s)

    def pause(self, wait_s: float) -> None:
        """Let nobody through for so many seconds: MRS throttles the connection."""
        self.paused_until_s = max(self.paused_until_s, self._time.monotonic_s() + wait_s)
        self._wake_in(wait_s)

    def rest(self, place: entries.Place, wait_s: float) -> None:
        """Let nobody through to one place for so many seconds; nothing is wrong with it."""
        seen = self._breaker_of(place)
        seen.until_s = max(seen.until_s, self._time.monotonic_s() + wait_s)
        self._wake_in(wait_s)

    def full(self, place: entries.Place, answer: breaker.Answer) -> float:
        """
        Let nobody through to a cluster without room, then one after the other; returns the seconds.

        The pause ends at once when a job of ours on the cluster ends. It does not grow: a full cluster drains.
        """
        self._unreachable = 0
        self._breaker_of(place).full(self._time.monotonic_s(), self._time.now_ms(), self._full_wait_s, answer)
        self._wake_in(self._full_wait_s)
        return self._full_wait_s

    def refused(self, place: entries.Place, begun_s: float, answer: breaker.Answer) -> float:
        """Try a cluster that takes no calls now from time to time; returns the seconds until the next try."""
        return self._failed(place, breaker.State.REFUSING, begun_s, answer)

    def failed(self, place: entries.Place, begun_s: float, answer: breaker.Answer) -> float:
        """
        Try a place whose call failed, or whose reply was lost, from time to time; returns the seconds until the next.

        It does not shorten the pauses of a cluster that takes no calls anyway.
        """
        refuses = self._breaker_of(place).state is breaker.State.REFUSING
        return self._failed(place, breaker.State.REFUSING if refuses else breaker.State.FAILING, begun_s, answer)

    def unreachable(self, begun_s: float) -> float:
        """Let nobody through for a while, for nothing can be sent on this connection; returns the seconds."""
        if begun_s > self._unreachable_s:  # all that were under way together are one failure
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
