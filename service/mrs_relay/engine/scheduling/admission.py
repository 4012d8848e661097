"""What an entry needs to go: a slot, a place in its lane, a cluster that takes calls, its tenant's limits, a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from mrs_relay.engine import jobs
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.scheduling import breaker, entries, feedback, lanes, probes, queues, quota, waits
from mrs_relay.kit import clock

Spend = Callable[[str], float]
"""Spends one call of an operation's quota; returns 0.0, or seconds until there is a token."""

_PROBE_AGAIN_S: Final = 1.0
"""Seconds after which a probe that had to give way asks again, for those before it may be gone."""

_SWEEP_AT: Final = 1000
"""So many places and more are looked through for those of which nothing needs to be remembered."""


@dataclass(slots=True)
class Pass:
    """What one pass over the queues has found out: operations without a token, and those without one for probes."""

    dry: set[str] = field(default_factory=set)
    unprobed: set[str] = field(default_factory=set)


class Admission:
    """
    Judge what keeps entries from going, and keep the counts for that.

    Args:
        settings: slots, intents, pauses.
        time: both sides of the clock.
        spend: the write quota.
        wake_in: looks at the queues again after so many seconds.

    Attributes:
        clusters: the queues by place.
        feedback: takes what became of each call.
    """

    def __init__(
        self,
        settings: engine_settings.EngineSettings,
        time: clock.Clock,
        spend: Spend,
        wake_in: Callable[[float], None],
    ) -> None:
        self.clusters: dict[entries.Place, queues.ClusterQueue] = {}
        self.feedback: Final = feedback.Feedback(settings, time, lambda place: self.cluster(place).breaker, wake_in)
        self._slots: Final = settings.slots_per_cluster
        # NB: for others than submissions an intent is a place in flight: one that waited for a place while calls hang
        # would go back unsent, again and again, and cost a token each time.
        others = settings.max_others_in_flight
        self._lanes: Final[dict[lanes.Kind, lanes.Lane]] = {
            kind: lanes.Lane(settings.max_intents if kind == "submissions" else others) for kind in lanes.KINDS
        }
        self._time = time
        self._spend = spend
        self._wake_in = wake_in
        self._probes: Final = probes.ProbeBudget()
        self._dry_until_s: dict[str, float] = {}
        self._sweep_at = _SWEEP_AT

    def cluster(self, place: entries.Place) -> queues.ClusterQueue:
        """Return the queue of a place, made when it is asked for."""
        cluster = self.clusters.get(place)
        if cluster is None:
            if len(self.clusters) >= self._sweep_at:
                self._sweep()
            cluster = self.clusters[place] = queues.ClusterQueue(place, self._lanes[lanes.kind_of(place[1])])
        return cluster

    def sharing(self, cluster: queues.ClusterQueue) -> list[queues.ClusterQueue]:
        """Return the place itself, and that of the other job API: both take the slots of one cluster."""
        return self.with_slots(cluster.place[0]) if cluster.place[1] in jobs.SUBMISSIONS else [cluster]

    def with_slots(self, cluster_id: str) -> list[queues.ClusterQueue]:
        """Return the places that take slots of a cluster, as far as there are any."""
        places = ((cluster_id, operation) for operation in jobs.SUBMISSIONS)
        return [self.clusters[place] for place in places if place in self.clusters]

    def forget_if_idle(self, cluster: queues.ClusterQueue) -> None:
        """Drop a place that nobody waits for or works on, once nothing is remembered against it."""
        is_idle = not cluster.tenants and not cluster.holders and not cluster.in_flight
        if is_idle and cluster.breaker.is_forgettable(self._time.monotonic_s()):
            self.clusters.pop(cluster.place, None)

    def _sweep(self) -> None:
        for cluster in list(self.clusters.values()):
            self.forget_if_idle(cluster)
        self._sweep_at = max(_SWEEP_AT, 2 * len(self.clusters))

    def share_between(self, tenants: int) -> None:
        """Note how many tenants there are."""
        for lane in self._lanes.values():
            lane.tenants = tenants

    def take(self, cluster: queues.ClusterQueue, tenant: quota.TenantQuota) -> None:
        """Count a call that was let through."""
        cluster.in_flight += 1
        cluster.lane.take((tenant, cluster.place[0]))
        self._probes.spend(cluster.place[1], probe=not cluster.breaker.is_closed)

    def give(self, cluster: queues.ClusterQueue, tenant: quota.TenantQuota) -> None:
        """Count a call whose outcome is known."""
        cluster.in_flight -= 1
        cluster.lane.give((tenant, cluster.place[0]))

    @property
    def is_wanted(self) -> bool:
        """Whether in some lane somebody waits and a place is free."""
        for lane in self._lanes.values():  # noqa: SIM110 - asked before and after each turn, and twice as quick as any()
            if lane.waiting and lane.taken < lane.most:
                return True
        return False

    def has_place(self, cluster: queues.ClusterQueue, tenant: quota.TenantQuota) -> bool:
        """Whether the lane has a place for the tenant and cluster."""
        return cluster.lane.may_take((tenant, cluster.place[0]))

    def is_full(self, cluster: queues.ClusterQueue) -> bool:
        """Whether all slots of the cluster are taken."""
        return 0 < self._slots <= self.slots_taken(cluster)

    def is_last_slot(self, cluster: queues.ClusterQueue) -> bool:
        """Whether one slot of the cluster is left."""
        return cluster.place[1] in jobs.SUBMISSIONS and self.slots_taken(cluster) == self._slots - 1

    def slots_taken(self, cluster: queues.ClusterQueue) -> int:
        """How many of the cluster's slots are taken; 0 for a place that takes none."""
        return sum(len(one.holders) for one in self.sharing(cluster)) if cluster.place[1] in jobs.SUBMISSIONS else 0

    def is_limited(self, tenant: quota.TenantQuota) -> bool:
        """Whether a tenant has all that it may have; whoever ends looks again, and else the alarm."""
        if not tenant.is_bounded:
            return False
        if tenant.is_full:
            return True
        wait_s = tenant.wait_s()
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s > 0

    def must_wait(self, cluster: queues.ClusterQueue) -> bool:
        """Whether a place waits for time to pass, or for the outcome of its call under way; sets the alarm."""
        now_s = self._time.monotonic_s()
        wait_s = max(self.feedback.paused_until_s - now_s, cluster.wait_s(now_s))
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s > 0 or cluster.is_probing(now_s)

    def may_spend(self, cluster: queues.ClusterQueue, known: Pass) -> bool:
        """Take a token of the quota, for a probe only if it may go before those who wait for one; sets the alarm."""
        operation = cluster.place[1]
        if operation in known.dry or not self._may_probe(cluster, known):
            return False
        wait_s = self._spend(operation)
        if wait_s > 0:
            known.dry.add(operation)
            self._dry_until_s[operation] = self._time.monotonic_s() + wait_s
            self._wake_in(wait_s)
        return wait_s <= 0

    def _may_probe(self, cluster: queues.ClusterQueue, known: Pass) -> bool:
        operation = cluster.place[1]
        if cluster.breaker.is_closed:
            return True
        if operation in known.unprobed:
            return False
        if self._probes.has(operation) or not self._others_wait(operation):
            return True
        known.unprobed.add(operation)
        self._wake_in(_PROBE_AGAIN_S)
        return False

    def _others_wait(self, operation: str) -> bool:
        """Whether somebody waits for a token who is no probe."""
        return any(one.place[1] == operation and one.breaker.is_closed for one, _ in self.able())

    def able(self) -> Iterator[tuple[queues.ClusterQueue, int]]:
        """Yield the places where entries wait for nothing but a token or their turn, and how many do in each queue."""
        now_s = self._time.monotonic_s()
        if self.feedback.paused_until_s > now_s:
            return
        for cluster in self.clusters.values():
            if cluster.wait_s(now_s) > 0 or cluster.is_probing(now_s) or self.is_full(cluster):
                continue
            for queue in cluster.tenants.values():
                tenant = queue.tenant
                is_limited = tenant.is_bounded and (tenant.is_full or tenant.wait_s() > 0)
                if queue.waiting and not is_limited and self.has_place(cluster, tenant):
                    yield cluster, 1 if cluster.breaker.one_at_a_time(now_s) else queue.count

    def demand(self) -> dict[str, int]:
        """How many entries of each operation wait for nothing but a token of its quota."""
        wanted: dict[entries.Place, int] = {}
        for cluster, count in self.able():
            free = self._slots - self.slots_taken(cluster)
            bound = free if self._slots and cluster.place[1] in jobs.SUBMISSIONS else count
            wanted[cluster.place] = wanted.get(cluster.place, 0) + min(count, bound)
        summed: dict[str, int] = {}
        for (_, operation), count in wanted.items():
            summed[operation] = summed.get(operation, 0) + count
        return summed

    def cause(self, queue: queues.TenantQueue) -> tuple[waits.Cause, float]:
        """What keeps the first of a queue from going, and for how many seconds where time alone decides it."""
        cluster, tenant, now_s = queue.cluster, queue.tenant, self._time.monotonic_s()
        all_s, here_s = self.feedback.paused_until_s - now_s, cluster.breaker.until_s - now_s
        dry_s = self._dry_until_s.get(cluster.place[1], 0.0) - now_s
        checks: tuple[tuple[waits.Cause, bool, float], ...] = (
            (waits.Cause.CONNECTION, all_s > 0, all_s),
            (waits.Cause.CLUSTER, here_s > 0, here_s),
            (waits.Cause.SLOTS, self.is_full(cluster), 0.0),
            (waits.Cause.PROBE, cluster.is_probing(now_s) or not cluster.breaker.is_closed, 0.0),
            (waits.Cause.RUNNING, tenant.is_full, 0.0),
            (waits.Cause.PACE, tenant.wait_s() > 0, tenant.wait_s()),
            (waits.Cause.IN_FLIGHT, not self.has_place(cluster, tenant), 0.0),
            (waits.Cause.QUOTA, dry_s > 0, dry_s),
        )
        return next(((cause, wait_s) for cause, holds, wait_s in checks if holds), (waits.Cause.TURN, 0.0))

    def paused(self) -> list[waits.Paused]:
        """Return the places that take no calls now."""
        self._sweep()
        return [
            waits.Paused(one.place, one.breaker.state, one.breaker.answer.code, one.breaker.since_ms)
            for one in self.clusters.values()
            if one.breaker.state is not breaker.State.CLOSED
        ]
