"""
Count a tenant's usage in this process against its limits.

The scheduler checks the quota before each turn, a unit of work before it accepts a request. Limits count over all
replicas: each has the part of a limit that its partitions are of the tenant's. Without tenants there is one quota,
which limits nothing.

Limits count decided work, so that two partitions that decide at the same time never take the same last place. The
published numbers, `queued` and `running`, count committed work.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mrs_relay.common import clock
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.scheduling import entries

_MINUTE_S: Final = 60.0
RECENT_MS: Final = 60_000
"""For so long after its submission a request counts against a limit of starts, even if it has ended."""


@dataclass(slots=True)
class Share:
    """
    This process's part of the work; changes only with the group's assignment.

    Attributes:
        owned: partitions that this process owns.
        total: partitions of the input topic; 0 until it is known.
    """

    owned: int = 0
    total: int = 0

    def of(self, limit: int) -> int:
        """Return this process's part of a limit, rounded down so that all replicas together keep it; one at least."""
        return max(1, limit * self.owned // self.total) if self.total else limit


class TenantQuota:
    """
    Count the work of one tenant under way in this process.

    Args:
        policy: the tenant's policy with its limits.
        share: this process's part of the tenant's partitions.
        time: monotonic time.

    Attributes:
        policy: the tenant's policy at present; `adopt` replaces it.
        is_bounded: the tenant has a limit of running or starting requests.
    """

    def __init__(self, policy: policies.Policy, share: Share, time: clock.Clock) -> None:
        self.share = share
        self._counts: Final = bool(policy.tenant)
        self.adopt(policy)
        self._time = time
        self._running: set[entries.Holder] = set()
        self._uncommitted: set[entries.Holder] = set()
        self._started_s: deque[float] = deque()
        self._queued: dict[entries.Owner, int] = {}
        self._planned: dict[entries.Owner, int] = {}

    def adopt(self, policy: policies.Policy) -> None:
        """
        Take over another policy of the same tenant; what is under way counts against its limits, and is left alone.

        Starts are counted only under a limit of starts, so one that is new begins to count now.
        """
        self.policy = policy
        self._limits = policy.limits
        self.is_bounded = (policy.limits.running, policy.limits.per_minute) != (None, None)

    @property
    def running(self) -> int:
        """Requests whose submission is committed and that have not ended; 0 where there are no tenants."""
        return len(self._running) - len(self._uncommitted)

    @property
    def queued(self) -> int:
        """Requests that wait for their submission, in all partitions, as committed."""
        return sum(self._queued.values())

    @property
    def planned(self) -> int:
        """The same with decided changes that are not committed yet; counts against the limit."""
        return sum(self._planned.values())

    @property
    def is_full(self) -> bool:
        """Whether the limit of running requests is reached: the next one waits until one ends."""
        most = self._limits.running
        return most is not None and len(self._running) >= self.share.of(most)

    @property
    def most_queued(self) -> int | None:
        """Most requests that may wait in this process; None: no limit."""
        return None if self._limits.queued is None else self.share.of(self._limits.queued)

    def wait_s(self) -> float:
        """Return the seconds until one more may be started; 0.0: now."""
        most = self._limits.per_minute
        if most is None:
            return 0.0

        begin_s = self._time.monotonic_s() - _MINUTE_S
        while self._started_s and self._started_s[0] <= begin_s:
            self._started_s.popleft()
        over = len(self._started_s) - self.share.of(most)
        return 0.0 if over < 0 else self._started_s[over] - begin_s

    def start(self, holder: entries.Holder) -> None:
        """Count an admitted request; its intent is not committed yet."""
        if self._limits.per_minute is not None:
            self._started_s.append(self._time.monotonic_s())
        if self._counts:
            self._running.add(holder)
            self._uncommitted.add(holder)

    def recall(self, ages_s: Iterable[float]) -> None:
        """Count requests of these ages, which a partition's earlier owner started; only a limit of starts needs it."""
        if self._limits.per_minute is None:
            return
        now_s = self._time.monotonic_s()
        for age_s in ages_s:
            if 0.0 <= age_s < _MINUTE_S:
                bisect.insort(self._started_s, now_s - age_s)

    def occupy(self, holder: entries.Holder) -> None:
        """Count a request whose submission is committed, perhaps by the partition's earlier owner."""
        if self._counts:
            self._running.add(holder)
            self._uncommitted.discard(holder)

    def end(self, holder: entries.Holder) -> bool:
        """Count a request that is no longer under way; returns whether it was."""
        if holder not in self._running:
            return False
        self._running.discard(holder)
        self._uncommitted.discard(holder)
        return True

    def queue(self, owner: entries.Owner, count: int) -> None:
        """Set the number of a partition's requests that wait for their submission, as committed."""
        self._queued[owner] = self._planned[owner] = count

    def plan(self, owner: entries.Owner, count: int) -> None:
        """Set the number that will wait once the decided changes are committed."""
        self._planned[owner] = count

    def leave(self, owner: entries.Owner) -> None:
        """Forget the work of a partition that this process no longer owns."""
        self._running = {holder for holder in self._running if holder[0] is not owner}
        self._uncommitted &= self._running
        self._queued.pop(owner, None)
        self._planned.pop(owner, None)
