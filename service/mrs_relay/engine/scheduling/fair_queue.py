"""
Choose the next entry: tenants take turns, and so do the queues of each tenant.

A withdrawn entry stays in its queue until it is first, because removing it from the middle would cost a search. A round
considers open queues only; a queue whose cluster is full is shut until a slot is given back.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Final

from mrs_relay.engine.scheduling import admission as admissions
from mrs_relay.engine.scheduling import entries, queues, quota, tokens

_LOOKS: Final = 10
"""Entries that `line` looks at for each one that is wanted: behind many withdrawn ones it finds fewer."""


class FairQueue:
    """
    Keep the waiting entries, and admit them in a fair order.

    Args:
        admission: decides whether an entry may go.
        default_tenant: the tenant of owners that have not joined.

    Attributes:
        tenants: the tenant of each owner that has joined.
    """

    def __init__(self, admission: admissions.Admission, default_tenant: quota.TenantQuota) -> None:
        self._admission = admission
        self._default_tenant = default_tenant
        self._open: dict[quota.TenantQuota, dict[entries.Place, queues.TenantQueue]] = {}
        self._entries: dict[entries.Holder, entries.QueueEntry] = {}
        self._gave_way = False
        self.tenants: dict[entries.Owner, quota.TenantQuota] = {}

    def tenant_of(self, owner: entries.Owner) -> quota.TenantQuota:
        """Return the tenant whose quota an owner uses."""
        return self.tenants.get(owner, self._default_tenant)

    # Entries

    def add(self, entry: entries.QueueEntry) -> None:
        """Put an entry into its queue."""
        queue = self._queue_of(entry)
        heapq.heappush(queue.waiting, entry)
        queue.add(1)
        self._entries[entry.holder] = entry
        self._drop_withdrawn(queue)
        self._open_up(queue)

    def withdraw(self, holder: entries.Holder) -> None:
        """Remove an entry, if there is one."""
        gone = self._entries.pop(holder, None)
        if gone is not None:
            queue = self._queue_of(gone)
            queue.add(-1)
            self._drop_withdrawn(queue)
            self.forget_if_idle(queue.cluster)

    def leave(self, owner: entries.Owner) -> None:
        """Remove all entries of an owner."""
        self._entries = {holder: entry for holder, entry in self._entries.items() if holder[0] is not owner}
        for cluster in list(self._admission.clusters.values()):
            for queue in cluster.tenants.values():
                # Remove withdrawn entries, too: one of them could be first now, and the first must be a live one.
                queue.waiting = [one for one in queue.waiting if self._is_live(one)]
                heapq.heapify(queue.waiting)
                queue.add(len(queue.waiting) - queue.count)
                self._open_up(queue)
            self.forget_if_idle(cluster)

    def queue_of(self, holder: entries.Holder) -> queues.TenantQueue | None:
        """Return the queue in which a job waits; None: it has no entry."""
        entry = self._entries.get(holder)
        return None if entry is None else self._queue_of(entry)

    def waiting(self) -> list[entries.QueueEntry]:
        """Return all entries that have not been withdrawn."""
        return list(self._entries.values())

    def all_queues(self) -> Iterator[queues.TenantQueue]:
        """Yield the queues of all clusters."""
        for cluster in self._admission.clusters.values():
            yield from cluster.tenants.values()

    def line(self, queue: queues.TenantQueue, most: int) -> list[entries.QueueEntry]:
        """Return the first entries of a queue, in order; a walk over the heap that looks at few of its entries."""
        heap, found = queue.waiting, list[entries.QueueEntry]()
        nearest = [(heap[0], 0)] if heap else []
        looks = _LOOKS * most

        while nearest and len(found) < most and looks:
            looks -= 1
            entry, index = heapq.heappop(nearest)
            if self._is_live(entry):
                found.append(entry)
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(heap):
                    heapq.heappush(nearest, (heap[child], child))
        return found

    def reopen(self, cluster: queues.ClusterQueue) -> None:
        """Open the queues of a cluster again, because a slot is free, or there are more of them."""
        for queue in cluster.tenants.values():
            self._open_up(queue)

    def forget_if_idle(self, cluster: queues.ClusterQueue) -> None:
        """Drop the empty queues of a cluster, and the cluster itself if it has become idle."""
        for queue in list(cluster.tenants.values()):
            if not queue.waiting:
                self._shut(queue)
                del cluster.tenants[queue.tenant]
        self._admission.forget_if_idle(cluster)

    def _queue_of(self, entry: entries.QueueEntry) -> queues.TenantQueue:
        cluster, tenant = self._admission.cluster(entry.place), self.tenant_of(entry.owner)
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

    def _is_live(self, entry: entries.QueueEntry) -> bool:
        return self._entries.get((entry.owner, entry.key)) is entry

    def _drop_withdrawn(self, queue: queues.TenantQueue) -> None:
        while queue.waiting and not self._is_live(queue.waiting[0]):
            heapq.heappop(queue.waiting)

    # Turns

    def let_go(self) -> None:
        """Admit all entries that may go: tenants take turns, and of each tenant one queue after the other."""
        known = tokens.Pass()
        while self._admission.is_wanted and self._round(known):
            pass  # a queue that gave way to another may go now

    def _round(self, known: tokens.Pass) -> bool:
        """Give the open queues turns until none takes one; returns whether another round may admit an entry."""
        has_moved = False
        rounds = deque(tenant for tenant, several in self._open.items() if several)
        turns: dict[quota.TenantQuota, deque[queues.TenantQueue]] = {}
        self._gave_way = False

        while rounds:
            tenant = rounds.popleft()
            if not self._admission.is_wanted:
                return False  # the end of a call starts the next round

            # NB: most rounds give one turn: only then are the queues of that tenant listed.
            several = turns.get(tenant)
            if several is None:
                several = turns[tenant] = deque(self._open[tenant].values())

            queue = None if self._admission.is_limited(tenant) else self._next_of(several, known)
            if queue is not None:
                has_moved = True
                self._admit_first(queue)
                several.append(queue)
                rounds.append(tenant)
        return has_moved and self._gave_way

    def _next_of(self, several: deque[queues.TenantQueue], known: tokens.Pass) -> queues.TenantQueue | None:
        """Take the first queue that may go; the queues before it get no turn in this round."""
        while several:
            queue = several.popleft()
            if queue.waiting and self._may_go(queue, known):
                return queue
        return None

    def _may_go(self, queue: queues.TenantQueue, known: tokens.Pass) -> bool:
        cluster = queue.cluster
        if cluster.place[1] in known.dry:
            return False
        if self._admission.slots.is_full(cluster.place):
            self._shut(queue)  # `reopen` opens it when a slot is given back
            return False
        if self._admission.is_held(cluster, queue.tenant) or self._gives_way(queue):
            return False
        return self._admission.tokens.may_spend(cluster, known)

    def _gives_way(self, queue: queues.TenantQueue) -> bool:
        """
        Return whether the last free slot belongs to another tenant: it may go, and had its turn longer ago.

        This applies only where slots are scarce: else a tenant that waits for quota would lose its turns to tenants
        that wait for the same cluster.
        """
        if not self._admission.slots.is_last(queue.cluster.place):
            return False

        # The queues are in the order of their last turns: those before this one waited longer.
        # One that has no place in flight, as where its calls hang, cannot take the slot: it keeps no other from it.
        for tenant, other in queue.cluster.tenants.items():
            if other is queue:
                return False
            has_place = queue.cluster.lane.may_take((tenant, queue.cluster.place[0]))
            if other.waiting and has_place and not self._admission.is_limited(tenant):
                self._gave_way = True
                return True
        return False

    def _admit_first(self, queue: queues.TenantQueue) -> None:
        """Admit the first entry of a queue; its tenant moves to the end, here and at the place, behind all others."""
        chosen = heapq.heappop(queue.waiting)
        del self._entries[chosen.owner, chosen.key]
        queue.add(-1)
        self._drop_withdrawn(queue)

        cluster, tenant = queue.cluster, queue.tenant
        self._admission.let_through(cluster, tenant, (chosen.owner, chosen.key))

        if len(self._open) > 1:
            cluster.tenants[tenant] = cluster.tenants.pop(tenant)
            self._open[tenant] = self._open.pop(tenant)
        self._shut(queue)
        self._open_up(queue)
        chosen.admit(chosen.key)
