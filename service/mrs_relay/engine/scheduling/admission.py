"""Check what an entry needs to go: a slot, a place in its lane, no pause, room in its tenant's limits, a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import breaker, entries, lanes, pauses, queues, quota, slots, tokens, waits

_QUICK_S: Final = 0.5
"""Seconds within which calls end, from their turn to their reply, if MRS and Kafka are quick."""

_SOON_DONE: Final = 8
"""So many times a lane's places: that many entries that wait are admitted within four seconds if calls are quick."""

_SWEEP_AT: Final = 1000
"""Number of places from which on those are dropped that have nothing to remember."""


class _Call(NamedTuple):
    """An admitted call whose outcome is not known yet, and when it was admitted."""

    cluster: queues.ClusterQueue
    tenant: quota.TenantQuota
    since_s: float


class Admission:
    """
    Decide whether entries may go, and keep the counts for that.

    Args:
        settings: slots, intents, pauses.
        time: wall clock and monotonic clock.
        spend: the write quota.
        wake_in: schedules the next check of the queues, after the given seconds.

    Attributes:
        clusters: the queues by place.
        slots: the jobs that hold a slot of a cluster.
        pauses: takes the outcome of each call.
        tokens: the write quota.
    """

    def __init__(
        self,
        settings: engine_settings.EngineSettings,
        time: clock.Clock,
        spend: tokens.Spend,
        wake_in: Callable[[float], None],
    ) -> None:
        self.clusters: dict[entries.Place, queues.ClusterQueue] = {}
        self.slots: Final = slots.Slots(settings.slots_per_cluster)
        self.pauses: Final = pauses.Pauses(settings, time, lambda place: self.cluster(place).breaker, wake_in)
        self.tokens: Final = tokens.Tokens(spend, time, wake_in, self._others_wait)
        # NB: an intent of any other call than a submission takes a place in flight. An intent that waited for a place
        # while calls hang would return to the queue unsent, repeatedly, and cost a token each time.
        others = settings.max_others_in_flight
        self._lanes: Final[dict[lanes.Kind, lanes.Lane]] = {
            kind: lanes.Lane(settings.max_intents if kind == "submissions" else others) for kind in lanes.KINDS
        }
        self._in_flight: dict[entries.Holder, _Call] = {}
        self._time = time
        self._wake_in = wake_in
        self._sweep_at = _SWEEP_AT

    # Clusters

    def cluster(self, place: entries.Place) -> queues.ClusterQueue:
        """Return the queue of a place; creates it if there is none."""
        cluster = self.clusters.get(place)
        if cluster is None:
            if len(self.clusters) >= self._sweep_at:
                self._sweep()
            cluster = self.clusters[place] = queues.ClusterQueue(place, self._lanes[lanes.kind_of(place[1])])
        return cluster

    def with_slots(self, cluster_id: str) -> list[queues.ClusterQueue]:
        """Return the present places that take slots of a cluster."""
        places = ((cluster_id, operation) for operation in jobs.SUBMISSIONS)
        return [self.clusters[place] for place in places if place in self.clusters]

    def forget_if_idle(self, cluster: queues.ClusterQueue) -> None:
        """Drop a place without entries and calls, once its breaker has nothing to remember."""
        is_idle = not cluster.tenants and not cluster.in_flight
        if is_idle and cluster.breaker.is_forgettable(self._time.monotonic_s()):
            self.clusters.pop(cluster.place, None)

    def _sweep(self) -> None:
        for cluster in list(self.clusters.values()):
            self.forget_if_idle(cluster)
        self._sweep_at = max(_SWEEP_AT, 2 * len(self.clusters))

    # Calls that were admitted

    def room(self, tenant: quota.TenantQuota) -> int | None:
        """Return how many messages of a tenant should be read now; None: as many as there are."""
        lane = self._lanes["submissions"]
        oldest = next(iter(self._in_flight.values()), None)
        is_quick = oldest is None or self._time.monotonic_s() - oldest.since_s <= _QUICK_S
        return lane.room(tenant) if is_quick and lane.waiting <= _SOON_DONE * lane.most else None

    def share_between(self, tenants: int) -> None:
        """Set the number of tenants."""
        for lane in self._lanes.values():
            lane.share_between(tenants)

    def let_through(self, cluster: queues.ClusterQueue, tenant: quota.TenantQuota, holder: entries.Holder) -> None:
        """Count an admitted call: at its tenant, in its lane, and the slot that it takes."""
        tenant.start(holder)
        if holder not in self._in_flight:
            self._in_flight[holder] = _Call(cluster, tenant, self._time.monotonic_s())
            cluster.in_flight += 1
            cluster.lane.take((tenant, cluster.place[0]))
            self.tokens.spent(cluster)
        self.slots.take(cluster.place, holder)

    def completed(self, holder: entries.Holder) -> queues.ClusterQueue | None:
        """Count a call whose outcome is known; returns its place if it was in flight."""
        known = self._in_flight.pop(holder, None)
        if known is None:
            return None
        known.cluster.in_flight -= 1
        known.cluster.lane.give((known.tenant, known.cluster.place[0]))
        return known.cluster

    def leave(self, owner: entries.Owner) -> None:
        """Forget the slots and places in flight of a partition that this process no longer owns."""
        for holder in [holder for holder in self._in_flight if holder[0] is owner]:
            self.completed(holder)
        self.slots.leave(owner)

    # Who may go

    @property
    def is_wanted(self) -> bool:
        """Whether an entry waits in a lane that has a free place."""
        for lane in self._lanes.values():  # noqa: SIM110 - asked before and after each turn, and twice as quick as any()
            if lane.waiting and lane.taken < lane.most:
                return True
        return False

    def is_held(self, cluster: queues.ClusterQueue, tenant: quota.TenantQuota) -> bool:
        """Return whether the place has no room for a call of the tenant, or is paused; sets the timer for a pause."""
        has_place = cluster.lane.may_take((tenant, cluster.place[0]))
        return not has_place or self.slots.is_full(cluster.place) or self.pauses.must_wait(cluster)

    def is_limited(self, tenant: quota.TenantQuota) -> bool:
        """Return whether a tenant has reached a limit; the end of a job, or else the timer, leads to the next check."""
        if not tenant.is_bounded:
            return False
        if tenant.is_full:
            return True
        wait_s = tenant.wait_s()
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s > 0

    def _others_wait(self, operation: str) -> bool:
        """Return whether an entry that is no probe waits for a token."""
        return any(one.place[1] == operation and one.breaker.is_closed for one in self._able())

    def _able(self) -> Iterator[queues.ClusterQueue]:
        """Yield the places where entries only wait for a token or their turn."""
        now_s = self._time.monotonic_s()
        if self.pauses.paused_until_s > now_s:
            return

        for cluster in self.clusters.values():
            if cluster.wait_s(now_s) > 0 or cluster.is_probing(now_s) or self.slots.is_full(cluster.place):
                continue
            for queue in cluster.tenants.values():
                tenant = queue.tenant
                is_limited = tenant.is_bounded and (tenant.is_full or tenant.wait_s() > 0)
                if queue.waiting and not is_limited and cluster.lane.may_take((tenant, cluster.place[0])):
                    yield cluster

    # Why entries wait

    @property
    def now_s(self) -> float:
        """The present moment, monotonic seconds."""
        return self._time.monotonic_s()

    def cause(self, queue: queues.TenantQueue) -> tuple[waits.Cause, float]:
        """Return why the first entry of a queue waits, and for how many seconds where time alone decides it."""
        return self.causes(queue)[0]

    def causes(self, queue: queues.TenantQueue) -> list[tuple[waits.Cause, float]]:
        """Return all that the first entry of a queue waits for, the first cause first; see `cause`."""
        cluster, tenant, now_s = queue.cluster, queue.tenant, self._time.monotonic_s()
        all_s, here_s = self.pauses.paused_until_s - now_s, cluster.breaker.until_s - now_s
        dry_s = self.tokens.dry_s(cluster.place[1], now_s)
        has_place = cluster.lane.may_take((tenant, cluster.place[0]))

        # The order is part of the answer.
        checks: tuple[tuple[waits.Cause, bool, float], ...] = (
            (waits.Cause.CONNECTION, all_s > 0, all_s),
            (waits.Cause.CLUSTER, here_s > 0, here_s),
            (waits.Cause.SLOTS, self.slots.is_full(cluster.place), 0.0),
            (waits.Cause.PROBE, cluster.is_probing(now_s) or not cluster.breaker.is_closed, 0.0),
            (waits.Cause.RUNNING, tenant.is_full, 0.0),
            (waits.Cause.PACE, tenant.wait_s() > 0, tenant.wait_s()),
            (waits.Cause.IN_FLIGHT, not has_place, 0.0),
            (waits.Cause.QUOTA, dry_s > 0, dry_s),
        )
        found = [(cause, wait_s) for cause, holds, wait_s in checks if holds]
        return found or [(waits.Cause.TURN, 0.0)]

    def paused(self) -> list[waits.Paused]:
        """Return the places that take no calls now."""
        self._sweep()
        return [
            waits.Paused(one.place, one.breaker.state, one.breaker.answer.code, one.breaker.since_ms)
            for one in self.clusters.values()
            if one.breaker.state is not breaker.State.CLOSED
        ]
