"""
Let jobs through, in order, when there is room: the one place where submissions are admitted.

One scheduler serves all partitions of a connection in this process; it runs on the event loop and never blocks. The
write quota's token is spent here, before the intent is committed, so that a committed intent never waits for quota.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from typing import Final

from mrs_relay.engine import jobs
from mrs_relay.engine import policy as policies
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.scheduling import admission, breaker, entries, feedback, queues, quota, waits
from mrs_relay.engine.work import kinds
from mrs_relay.kit import clock


class SubmissionScheduler:
    """
    Admit queued jobs.

    Args:
        settings: slots, intents, pauses.
        time: both sides of the clock.
        spend: the write quota.
    """

    def __init__(self, settings: engine_settings.EngineSettings, time: clock.Clock, spend: admission.Spend) -> None:
        self._admission: Final = admission.Admission(settings, time, spend, self._wake_in)
        self._time = time
        self._open: dict[quota.TenantQuota, dict[entries.Place, queues.TenantQueue]] = {}
        self._in_flight: dict[entries.Holder, tuple[queues.ClusterQueue, quota.TenantQuota]] = {}
        self._entries: dict[entries.Holder, entries.QueueEntry] = {}
        self._nobodys: Final = quota.TenantQuota(policies.Policy(), quota.Share(), time)
        self._tenants: dict[entries.Owner, quota.TenantQuota] = {}
        self._gave_way = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = 0.0

    @property
    def waiting(self) -> int:
        """Entries that wait."""
        return len(self._entries)

    @property
    def in_flight(self) -> int:
        """Submissions let through whose outcome is not known yet."""
        return len(self._in_flight)

    @property
    def feedback(self) -> feedback.Feedback:
        """What takes the outcome of each call."""
        return self._admission.feedback

    def join(self, owner: entries.Owner, tenant: quota.TenantQuota) -> None:
        """Count what a partition does on a tenant's quota, until it leaves."""
        self._tenants[owner] = tenant
        self._admission.share_between(len(set(self._tenants.values())))

    def load(self, cluster_id: str) -> tuple[int, int]:
        """How many jobs of ours hold a slot of a cluster, and how many wait for one."""
        with_slots = self._admission.with_slots(cluster_id)
        waiting = sum(queue.count for one in with_slots for queue in one.tenants.values())
        return sum(len(one.holders) for one in with_slots), waiting

    def demand(self) -> dict[str, int]:
        """How many entries of each operation wait for nothing but a token of its quota."""
        return self._admission.demand()

    def enter(self, wanted: entries.QueueEntry) -> bool:
        """
        Ask for a turn.

        Returns True when it is the job's turn at once (its `admit` is not called then), else the entry waits.
        """
        if self.enter_at_once(wanted):
            return True
        queue = self._queue(wanted)
        heapq.heappush(queue.waiting, wanted)
        queue.add(1)
        self._entries[wanted.owner, wanted.key] = wanted
        self._drop_withdrawn(queue)
        self._open_up(queue)
        return False  # nobody else can go now who could not before

    def enter_at_once(self, wanted: entries.QueueEntry) -> bool:
        """Take a turn if there is one right now and nobody waits in this queue; an entry that gets none is not kept."""
        tenant = self._tenant(wanted.owner)
        cluster = self._admission.cluster(wanted.place)
        queue = cluster.tenants.get(tenant)
        if (queue is not None and queue.waiting) or self._is_held(cluster, tenant):
            return False
        if self._admission.is_limited(tenant) or not self._admission.may_spend(cluster, admission.Pass()):
            return False
        self._let_through(cluster, tenant, wanted)
        return True

    def occupy(self, key: jobs.LedgerKey, job: jobs.Job, owner: entries.Owner) -> None:
        """Note that a job under way holds a slot; used when jobs are taken over."""
        self._tenant(owner).occupy((owner, key))
        place = kinds.place(job)
        if place[1] in jobs.SUBMISSIONS:
            self._admission.cluster(place).holders.add((owner, key))

    def completed(self, key: jobs.LedgerKey, owner: entries.Owner) -> None:
        """Note that the outcome of a submission is known: its place in flight is free."""
        known = self._in_flight.pop((owner, key), None)
        if known is not None:
            self._admission.give(*known)
            self._pump()
            if not known[0].in_flight:
                self._forget_if_idle(known[0])

    def withdraw(self, key: jobs.LedgerKey, owner: entries.Owner) -> None:
        """
        Remove a job from its queue, and take back the turn that it may just have got.

        Its slot is given back by `release`.
        """
        gone = self._entries.pop((owner, key), None)
        if gone is not None:
            queue = self._queue(gone)
            queue.add(-1)
            self._drop_withdrawn(queue)
            self._forget_if_idle(queue.cluster)
        self.completed(key, owner)

    def release(self, key: jobs.LedgerKey, job: jobs.Job, owner: entries.Owner) -> None:
        """
        Note that the job no longer holds a slot.

        When it has ended, a cluster that said it was full has room again. A job that goes back to the queue leaves the
        pause alone: it may be the one that was told so.
        """
        holder = (owner, key)
        has_room = self._tenant(owner).end(holder)
        cluster = self._admission.clusters.get(kinds.place(job))
        if cluster is not None and holder in cluster.holders:
            has_room = True
            cluster.holders.discard(holder)
            for other in self._admission.sharing(cluster):
                if job.state is not jobs.State.QUEUED and other.breaker.state is breaker.State.FULL:
                    other.breaker.open()
                for queue in other.tenants.values():
                    self._open_up(queue)
        if has_room:
            self._pump()
        if cluster is not None:
            self._forget_if_idle(cluster)

    def leave(self, owner: entries.Owner) -> None:
        """Forget all entries, slots and places in flight of a partition that is no longer ours."""
        for holder in [holder for holder in self._in_flight if holder[0] is owner]:
            self._admission.give(*self._in_flight.pop(holder))
        self._entries = {holder: entry for holder, entry in self._entries.items() if holder[0] is not owner}
        for cluster in list(self._admission.clusters.values()):
            cluster.holders = {holder for holder in cluster.holders if holder[0] is not owner}
            for queue in cluster.tenants.values():
                # Withdrawn entries go, too: one of them could come first now, and the first must be a real one.
                queue.waiting = [one for one in queue.waiting if self._is_live(one)]
                heapq.heapify(queue.waiting)
                queue.add(len(queue.waiting) - queue.count)
                self._open_up(queue)
            self._forget_if_idle(cluster)
        self._tenant(owner).leave(owner)
        self._tenants.pop(owner, None)
        self._admission.share_between(len(set(self._tenants.values())))
        self._pump()

    def look_again(self) -> None:
        """Let through who may go now that a limit has changed, as with a tenant's share of it."""
        self._pump()

    def close(self) -> None:
        """Stop the alarm clock."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def why(self, key: jobs.LedgerKey, owner: entries.Owner) -> waits.Waiting | None:
        """Say why a job waits; None: it has no entry here."""
        entry = self._entries.get((owner, key))
        if entry is None:
            return None
        queue = self._queue(entry)
        cause, wait_s = self._admission.cause(queue)
        seen = queue.cluster.breaker
        since_ms = 0 if seen.is_closed else seen.since_ms
        return waits.Waiting(cause, entry.place, wait_s, seen.state, since_ms, seen.answer)

    def ahead(self, key: jobs.LedgerKey, owner: entries.Owner) -> int:
        """Count the entries of the same tenant and place that go before a job; looks at all of them."""
        entry = self._entries.get((owner, key))
        queue = [] if entry is None else self._queue(entry).waiting
        return sum(other < entry and self._is_live(other) for other in queue if entry is not None)

    def waiting_by_cause(self) -> dict[waits.Cause, int]:
        """How many entries wait for what."""
        counts: dict[waits.Cause, int] = {}
        for cluster in self._admission.clusters.values():
            for queue in cluster.tenants.values():
                cause, _ = self._admission.cause(queue)
                counts[cause] = counts.get(cause, 0) + queue.count
        return counts

    def paused(self) -> list[waits.Paused]:
        """Return the places that take no calls now."""
        return self._admission.paused()

    def _tenant(self, owner: entries.Owner) -> quota.TenantQuota:
        return self._tenants.get(owner, self._nobodys)

    def _queue(self, wanted: entries.QueueEntry) -> queues.TenantQueue:
        cluster, tenant = self._admission.cluster(wanted.place), self._tenant(wanted.owner)
        queue = cluster.tenants.get(tenant)
        if queue is None:
            queue = cluster.tenants[tenant] = queues.TenantQueue(cluster, tenant)
            self._open.setdefault(tenant, {})
        return queue

    def _open_up(self, queue: queues.TenantQueue) -> None:
        if queue.waiting:
            self._open[queue.tenant][queue.cluster.place] = queue

    def _shut(self, queue: queues.TenantQueue) -> None:
        self._open[queue.tenant].pop(queue.cluster.place, None)

    def _forget_if_idle(self, cluster: queues.ClusterQueue) -> None:
        for queue in list(cluster.tenants.values()):
            if not queue.waiting:
                self._shut(queue)
                del cluster.tenants[queue.tenant]
        self._admission.forget_if_idle(cluster)

    def _is_live(self, entry: entries.QueueEntry) -> bool:
        return self._entries.get((entry.owner, entry.key)) is entry

    def _drop_withdrawn(self, queue: queues.TenantQueue) -> None:
        """A withdrawn entry stays in its queue until it is first: taking it out of the middle would cost a search."""
        while queue.waiting and not self._is_live(queue.waiting[0]):
            heapq.heappop(queue.waiting)

    def _is_held(self, cluster: queues.ClusterQueue, tenant: quota.TenantQuota) -> bool:
        has_place = self._admission.has_place(cluster, tenant)
        return not has_place or self._admission.is_full(cluster) or self._admission.must_wait(cluster)

    def _let_through(self, cluster: queues.ClusterQueue, tenant: quota.TenantQuota, chosen: entries.QueueEntry) -> None:
        holder = (chosen.owner, chosen.key)
        tenant.start(holder)
        if holder not in self._in_flight:
            self._in_flight[holder] = (cluster, tenant)
            self._admission.take(cluster, tenant)
        if cluster.place[1] in jobs.SUBMISSIONS:
            cluster.holders.add(holder)

    def _pump(self) -> None:
        """Let through whoever may go: tenants by turns, and of each tenant one queue after the other."""
        known = admission.Pass()
        while self._admission.is_wanted and self._round(known):
            pass  # who gave way to somebody may go now

    def _round(self, known: admission.Pass) -> bool:
        """Give the open queues turns until none takes one; whether another round may let somebody go."""
        has_moved = False
        rounds = deque((tenant, deque(several.values())) for tenant, several in self._open.items() if several)
        self._gave_way = False
        while rounds:
            tenant, several = rounds.popleft()
            if not self._admission.is_wanted:
                return False  # whatever ends looks again
            queue = None if self._admission.is_limited(tenant) else self._next_of(several, known)
            if queue is not None:
                has_moved = True
                self._admit_first(queue)
                several.append(queue)
                rounds.append((tenant, several))
        return has_moved and self._gave_way

    def _next_of(self, several: deque[queues.TenantQueue], known: admission.Pass) -> queues.TenantQueue | None:
        """Take the first queue whose turn it can be; those before it have none in this round."""
        while several:
            queue = several.popleft()
            if queue.waiting and self._may_go(queue, known):
                return queue
        return None

    def _may_go(self, queue: queues.TenantQueue, known: admission.Pass) -> bool:
        cluster = queue.cluster
        if cluster.place[1] in known.dry:
            return False
        if self._admission.is_full(cluster):
            self._shut(queue)  # whoever gives back a slot opens it again
            return False
        if self._is_held(cluster, queue.tenant) or self._gives_way(queue):
            return False
        return self._admission.may_spend(cluster, known)

    def _gives_way(self, queue: queues.TenantQueue) -> bool:
        """
        Whether the last free slot is another tenant's: one that may go and had its turn at the cluster longer ago.

        Only where slots are scarce: else who waits for quota would lose turns to those who wait for the same cluster.
        """
        if not self._admission.is_last_slot(queue.cluster):
            return False
        for tenant, other in queue.cluster.tenants.items():
            if other is queue:
                return False
            if other.waiting and not self._admission.is_limited(tenant):
                self._gave_way = True
                return True
        return False

    def _admit_first(self, queue: queues.TenantQueue) -> None:
        """Let the first of a queue go; its tenant goes to the end, here and at the place; all others keep theirs."""
        chosen = heapq.heappop(queue.waiting)
        del self._entries[chosen.owner, chosen.key]
        queue.add(-1)
        self._drop_withdrawn(queue)
        cluster, tenant = queue.cluster, queue.tenant
        self._let_through(cluster, tenant, chosen)
        if len(self._open) > 1:
            cluster.tenants[tenant] = cluster.tenants.pop(tenant)
            self._open[tenant] = self._open.pop(tenant)
        self._shut(queue)
        self._open_up(queue)
        chosen.admit(chosen.key)

    def _wake_in(self, wait_s: float) -> None:
        when_s = self._time.monotonic_s() + wait_s
        if self._alarm is not None:
            if self._alarm_s <= when_s:
                return
            self._alarm.cancel()
        self._alarm_s = when_s
        self._alarm = asyncio.get_running_loop().call_later(wait_s + 0.001, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self._pump()
