"""
Admit queued jobs, in order, when there is room: the only place where submissions are admitted.

One scheduler serves all partitions of a connection in this process. It runs on the event loop and never blocks. It
spends the write quota's token before the intent is committed, so that a committed intent never waits for quota.
"""

from __future__ import annotations

import asyncio
from typing import Final

from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import admission, breaker, entries, fair_queue, holds, quota, tokens, waits
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.engine.scheduling import overview as overviews
from mrs_relay.engine.scheduling import pauses as pausing
from mrs_relay.engine.work import kinds


class SubmissionScheduler:
    """
    Admit queued jobs.

    Args:
        settings: slots, intents, pauses.
        time: both sides of the clock.
        spend: the write quota.
        controls: those in effect; they hold entries back.
    """

    def __init__(
        self,
        settings: engine_settings.EngineSettings,
        time: clock.Clock,
        spend: tokens.Spend,
        controls: standing.Controls | None = None,
    ) -> None:
        self._time = time
        self._admission: Final = admission.Admission(settings, time, spend, self._wake_in)
        default_tenant = quota.TenantQuota(policies.Policy(), quota.Share(), time)
        self._queue: Final = fair_queue.FairQueue(self._admission, default_tenant)
        controls = controls or standing.Controls()
        self._held: Final = holds.HeldEntries(controls, self._queue)
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = 0.0
        controls.on_change(self._controls_changed)

    @property
    def pauses(self) -> pausing.Pauses:
        """The pauses, which take the outcome of each call."""
        return self._admission.pauses

    def room(self, owner: entries.Owner) -> int | None:
        """
        Return how many messages of a partition should be read now; None: as many as there are.

        A job that has to wait for a place in flight costs a ledger record more than one that is admitted as it is
        accepted. So while submissions are answered quickly, there should be a place for each message that is read.
        Otherwise all are read, since there may be cancels among them, requests for other clusters and of higher
        priority.
        """
        return self._admission.room(self._queue.tenant_of(owner))

    def join(self, owner: entries.Owner, tenant: quota.TenantQuota) -> None:
        """Count a partition's work on a tenant's quota, until it leaves."""
        self._queue.tenants[owner] = tenant
        self._count_tenants()

    def load(self, cluster_id: str) -> tuple[int, int]:
        """Return how many jobs of this process hold a slot of a cluster, and how many wait for one."""
        with_slots = self._admission.with_slots(cluster_id)
        waiting = sum(queue.count for one in with_slots for queue in one.tenants.values())
        return self._admission.slots.taken(cluster_id), waiting

    def enter(self, wanted: entries.QueueEntry) -> bool:
        """
        Admit a job at once, or put its entry into the queue.

        Returns True when the job is admitted at once (its `admit` is not called then), else the entry waits.
        """
        if self.enter_at_once(wanted):
            return True
        if not self._held.keep(wanted):
            self._queue.add(wanted)
        self.completed(wanted.key, wanted.owner)  # a turn that a control took from it is given back
        return False  # a new entry makes room for no other

    def enter_at_once(self, wanted: entries.QueueEntry) -> bool:
        """Admit a job if there is room now and its queue is empty; an entry that is not admitted is not kept."""
        if self._held.control_of(wanted) is not None:
            return False
        tenant = self._queue.tenant_of(wanted.owner)
        cluster = self._admission.cluster(wanted.place)
        queue = cluster.tenants.get(tenant)
        if (queue is not None and queue.waiting) or self._admission.is_held(cluster, tenant):
            return False
        if self._admission.is_limited(tenant) or not self._admission.tokens.may_spend(cluster, tokens.Pass()):
            return False

        self._admission.let_through(cluster, tenant, (wanted.owner, wanted.key))
        return True

    def occupy(self, key: jobs.LedgerKey, job: jobs.Job, owner: entries.Owner) -> None:
        """Note that a job under way holds a slot; used when jobs are restored."""
        holder = (owner, key)  # one value for both: there may be 100,000
        self._queue.tenant_of(owner).occupy(holder)
        self._admission.slots.take(kinds.place(job), holder)

    def completed(self, key: jobs.LedgerKey, owner: entries.Owner) -> None:
        """Note that the outcome of a submission is known: its place in flight is free."""
        cluster = self._admission.completed((owner, key))
        if cluster is not None:
            self._queue.let_go()
            if not cluster.in_flight:
                self._queue.forget_if_idle(cluster)

    def withdraw(self, key: jobs.LedgerKey, owner: entries.Owner) -> None:
        """
        Remove a job from its queue, and take back a turn that it has just got.

        `release` gives back its slot.
        """
        self._queue.withdraw((owner, key))
        self._held.withdraw((owner, key))
        self.completed(key, owner)

    def release(self, key: jobs.LedgerKey, job: jobs.Job, owner: entries.Owner) -> None:
        """
        Note that the job no longer holds a slot.

        A cluster that said it was full has room again when the job has ended. A job that returns to the queue ends no
        pause: MRS may have refused this very job because the cluster is full.
        """
        holder = (owner, key)
        was_running = self._queue.tenant_of(owner).end(holder)
        place = kinds.place(job)
        had_slot = self._admission.slots.give_back(place, holder)
        if not (was_running or had_slot):
            return  # a job that has just been queued, or that needs no slot

        # Jobs of both job APIs share the slots of a cluster: open the queues of each.
        if had_slot:
            for other in self._admission.with_slots(job.cluster):
                if job.state is not jobs.State.QUEUED and other.breaker.state is breaker.State.FULL:
                    other.breaker.open()
                self._queue.reopen(other)

        self._queue.let_go()
        cluster = self._admission.clusters.get(place)
        if cluster is not None:
            self._queue.forget_if_idle(cluster)

    def leave(self, owner: entries.Owner) -> None:
        """Forget all entries, slots and places in flight of a partition that this process no longer owns."""
        self._admission.leave(owner)
        self._queue.leave(owner)
        self._held.leave(owner)
        self._queue.tenant_of(owner).leave(owner)
        self._queue.tenants.pop(owner, None)
        self._count_tenants()
        self._queue.let_go()

    def look_again(self) -> None:
        """Admit entries that may go now that a limit has changed, as with a tenant's share of it."""
        self._queue.let_go()

    def set_slots(self, most: int) -> None:
        """Change the number of slots of a cluster; 0: no bound. Jobs that run keep theirs."""
        self._admission.slots.most = most
        for cluster in self._admission.clusters.values():
            self._queue.reopen(cluster)
        self._queue.let_go()

    def close(self) -> None:
        """Cancel the timer."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def why(self, key: jobs.LedgerKey, owner: entries.Owner) -> waits.Waiting | None:
        """Return why a job waits; None: it has no entry here."""
        if (held := self._held.entry_of((owner, key))) is not None:
            return waits.Waiting(waits.Cause.CONTROL, held.place, control=self._held.control_of(held))
        queue = self._queue.queue_of((owner, key))
        if queue is None:
            return None
        cause, wait_s = self._admission.cause(queue)
        seen = queue.cluster.breaker
        since_ms = 0 if seen.is_closed else seen.since_ms
        return waits.Waiting(cause, queue.cluster.place, wait_s, seen.state, since_ms, seen.answer)

    def waiting_by_cause(self) -> dict[waits.Cause, int]:
        """Count the waiting entries by cause."""
        counts: dict[waits.Cause, int] = {waits.Cause.CONTROL: len(self._held)} if len(self._held) else {}
        for queue in self._queue.all_queues():
            cause, _ = self._admission.cause(queue)
            counts[cause] = counts.get(cause, 0) + queue.count
        return counts

    def paused(self) -> list[waits.Paused]:
        """Return the places that take no calls now."""
        return self._admission.paused()

    def overview(self, most_clusters: int, most_jobs: int) -> overviews.Overview:
        """Return slots, pauses and queues of the clusters in use; at most so many clusters, and jobs of each list."""
        return overviews.of(self._admission, self._queue, most_clusters, most_jobs)

    def _controls_changed(self) -> None:
        self._held.look_again()
        self._queue.let_go()

    def _count_tenants(self) -> None:
        self._admission.share_between(len(set(self._queue.tenants.values())))

    def _wake_in(self, wait_s: float) -> None:
        """Set the timer, unless it is due earlier anyway."""
        when_s = self._time.monotonic_s() + wait_s
        if self._alarm is not None:
            if self._alarm_s <= when_s:
                return
            self._alarm.cancel()
        self._alarm_s = when_s
        self._alarm = asyncio.get_running_loop().call_later(wait_s + 0.001, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self._queue.let_go()
