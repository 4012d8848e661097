"""
Spend the write quota: one token for each admitted call.

A probe goes to a cluster that refused or failed calls before. While entries for other clusters wait for a token, probes
get one token in `PROBE_PART`, so that clusters that take calls keep nearly all of the quota.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mrs_relay.common import clock
from mrs_relay.engine.scheduling import queues

Spend = Callable[[str], float]
"""Spends one call of an operation's quota; returns 0.0, or seconds until there is a token."""

PROBE_PART: Final = 25
"""One token in this many: 4 %, so that clusters that take calls keep 96 % of the quota."""

_MOST_PROBES: Final = 2.0

_PROBE_AGAIN_S: Final = 1.0
"""Seconds after which a probe that had to give way checks again, because the entries before it may be gone."""


@dataclass(slots=True)
class Pass:
    """Findings of one pass over the queues: operations without a token, and operations without one for probes."""

    dry: set[str] = field(default_factory=set)
    unprobed: set[str] = field(default_factory=set)


class Tokens:
    """
    Spend tokens, and ration the tokens of probes.

    Args:
        spend: the write quota.
        time: monotonic time.
        wake_in: schedules the next check of the queues, after the given seconds.
        others_wait: whether an entry of the operation that is no probe waits for a token.
    """

    def __init__(
        self,
        spend: Spend,
        time: clock.Clock,
        wake_in: Callable[[float], None],
        others_wait: Callable[[str], bool],
    ) -> None:
        self._spend = spend
        self._time = time
        self._wake_in = wake_in
        self._others_wait = others_wait
        self._probes_left: defaultdict[str, float] = defaultdict(lambda: 1.0)
        self._dry_until_s: dict[str, float] = {}

    def may_spend(self, cluster: queues.ClusterQueue, known: Pass) -> bool:
        """Take a token, for a probe only if it may go before other waiting entries; sets the timer on failure."""
        operation = cluster.place[1]
        if operation in known.dry or not self._may_probe(cluster, known):
            return False

        wait_s = self._spend(operation)
        if wait_s > 0:
            known.dry.add(operation)
            self._dry_until_s[operation] = self._time.monotonic_s() + wait_s
            self._wake_in(wait_s)
        return wait_s <= 0

    def spent(self, cluster: queues.ClusterQueue) -> None:
        """Count an admitted call: a probe uses up the ration, any other call adds to it."""
        more = 1.0 / PROBE_PART if cluster.breaker.is_closed else -1.0
        left = self._probes_left[cluster.place[1]] + more
        self._probes_left[cluster.place[1]] = min(_MOST_PROBES, max(0.0, left))

    def dry_s(self, operation: str, now_s: float) -> float:
        """Return the seconds until the operation has a token again, as far as known; 0.0 or less: it may have one."""
        return self._dry_until_s.get(operation, 0.0) - now_s

    def _may_probe(self, cluster: queues.ClusterQueue, known: Pass) -> bool:
        operation = cluster.place[1]
        if cluster.breaker.is_closed:
            return True
        if operation in known.unprobed:
            return False

        if self._probes_left[operation] >= 1.0 or not self._others_wait(operation):
            return True
        known.unprobed.add(operation)
        self._wake_in(_PROBE_AGAIN_S)
        return False
