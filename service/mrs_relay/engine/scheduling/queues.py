"""The queues of waiting entries: one for each cluster and operation, and in it one for each tenant."""

from __future__ import annotations

from dataclasses import dataclass, field

from mrs_relay.engine.scheduling import breaker, entries, lanes, quota


@dataclass(slots=True, eq=False)
class ClusterQueue:
    """
    The state of a place that all tenants share.

    Attributes:
        place: the cluster and the operation.
        lane: the lane in which its calls take places.
        tenants: the queues of waiting tenants, the longest since its turn first.
        in_flight: admitted calls whose outcome is not known yet.
        breaker: whether the place takes calls.
    """

    place: entries.Place
    lane: lanes.Lane
    tenants: dict[quota.TenantQuota, TenantQueue] = field(default_factory=dict)
    in_flight: int = 0
    breaker: breaker.Breaker = field(default_factory=breaker.Breaker)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until a call may go, as far as time decides it; 0.0 also while a probe is under way."""
        careful_s = self.breaker.careful_until_s if self.in_flight else 0.0
        return max(0.0, self.breaker.until_s - now_s, careful_s - now_s)

    def is_probing(self, now_s: float) -> bool:
        """Return whether the next call waits for the outcome of one that is under way."""
        return self.in_flight > 0 and self.breaker.one_at_a_time(now_s)


@dataclass(slots=True, eq=False)
class TenantQueue:
    """
    The entries of one tenant that wait for a place.

    Attributes:
        waiting: a heap; a withdrawn entry stays until it is first.
        count: number of entries that have not been withdrawn.
    """

    cluster: ClusterQueue
    tenant: quota.TenantQuota
    waiting: list[entries.QueueEntry] = field(default_factory=list)
    count: int = 0

    def add(self, more: int) -> None:
        """Count entries that were added, or with a negative number removed."""
        self.count += more
        self.cluster.lane.waiting += more
