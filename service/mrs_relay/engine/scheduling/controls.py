"""
The controls in effect in this process, and which of them hold a job back.

One instance serves all schedulers and partitions. `engine/control_reader.py` fills it from the control topic. Matching
is by what a job's record holds: tenant, cluster, labels, kind and id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import structlog

from mrs_relay.engine.model import facts, jobs
from mrs_relay.messages import controls

log = structlog.get_logger(__name__)

_UNDER_WAY: Final = frozenset(
    state for state, trait in jobs.TRAITS.items() if trait.holds_slot or state is jobs.State.COLLECTING
)


_COUNTED_AT_ONCE: Final = 1000
"""Jobs to count before others have their turn: a few milliseconds, also where jobs rest."""


class Controls:
    """
    Keep the control of each scope.

    Args:
        now_ms: wall time, epoch milliseconds.

    Attributes:
        problem: why controls cannot be read; None: they are as the topic says.
        rejected: records of the topic that are no controls, since the start.
        draining: jobs of this process under way by the scope of each drain, as last counted.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: 0) -> None:
        self._now_ms = now_ms
        self._by_scope: dict[controls.Scope, controls.Control] = {}
        self._listeners: list[Callable[[], None]] = []
        self._owned: dict[object, tuple[str, Mapping[jobs.LedgerKey, jobs.Job]]] = {}
        self.problem: str | None = None
        self.rejected = 0
        self.draining: Mapping[controls.Scope, int] = {}

    def __iter__(self) -> Iterator[controls.Control]:
        """Yield the controls that have not ended, in the order in which they were set."""
        now_ms = self._now_ms()
        return iter([one for one in self._by_scope.values() if not one.is_over(now_ms)])

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called after each change, or several made at once."""
        self._listeners.append(call)

    def join(self, owner: object, tenant: str, committed: Mapping[jobs.LedgerKey, jobs.Job]) -> None:
        """Count a partition's jobs among those that a drain waits for, until it leaves; a live view."""
        self._owned[owner] = tenant, committed

    def leave(self, owner: object) -> None:
        """Forget a partition that this process no longer owns."""
        self._owned.pop(owner, None)

    async def under_way(self, wanted: Iterable[controls.Scope]) -> dict[controls.Scope, int]:
        """Count the jobs of this process under way that each scope names, in one pass over all jobs, with pauses."""
        counts = dict.fromkeys(wanted, 0)
        if not counts:
            return counts

        for tenant, committed in list(self._owned.values()):
            for number, key in enumerate(list(committed), 1):
                job = committed.get(key)
                if job is not None and job.state in _UNDER_WAY:
                    for scope in counts.keys() & scopes_of(job, tenant):
                        counts[scope] += 1
                if number % _COUNTED_AT_ONCE == 0:
                    await asyncio.sleep(0)
        return counts

    # Changes

    def replace(self, standing: Mapping[controls.Scope, controls.Control]) -> None:
        """Replace all controls."""
        if standing != self._by_scope:
            self._by_scope = dict(standing)
            self._changed()

    def put(self, scope: controls.Scope, control: controls.Control | None) -> None:
        """Set the control of a scope; None lifts it."""
        self.put_all([(scope, control)])

    def put_all(self, changes: Iterable[tuple[controls.Scope, controls.Control | None]]) -> None:
        """Set or lift several controls, one after the other; those who wait for a change are called once."""
        has_changed = False
        for scope, control in changes:
            if self._by_scope.get(scope) == control:
                continue
            has_changed = True
            controls.put(self._by_scope, scope, control)
        if has_changed:
            self._changed()

    def end_due(self) -> list[controls.Control]:
        """Remove the controls that have ended by themselves, and return them."""
        now_ms = self._now_ms()
        over = [one for one in self._by_scope.values() if one.is_over(now_ms)]
        for one in over:
            del self._by_scope[one.scope]
        if over:
            self._changed()
        return over

    def _changed(self) -> None:
        for call in self._listeners:
            try:
                call()
            except Exception:
                log.exception("control_listener_failed")  # the others must learn of the change, too

    # What they concern

    def holding(self, job: jobs.Job, tenant: str) -> controls.Control | None:
        """Return the widest control that keeps a job from being submitted; None: none does."""
        return next(self.all_holding(job, tenant), None) if self._by_scope else None

    def all_holding(self, job: jobs.Job, tenant: str) -> Iterator[controls.Control]:
        """Return all controls that keep a job from being submitted, the widest first."""
        found = [self._by_scope[scope] for scope in scopes_of(job, tenant) if scope in self._by_scope]
        return controls.holding(found, self._now_ms())

    def held_back(self, job: jobs.Job, tenant: str) -> facts.HeldBack | None:
        """Return what happens instead of a job's turn: it stays queued, or it ends; None: it is submitted."""
        holding = list(self.all_holding(job, tenant)) if self._by_scope else []
        if not holding:
            return None

        # It ends if it was set aside before the control was set.
        rejecting = next((one for one in holding if one.mode == "reject" and job.arrived_ms <= one.at_ms), None)
        if rejecting is None:
            return facts.HeldBack()
        return facts.HeldBack(jobs.Reason("cancelled", "control_rejected", str(rejecting)))

    def applied(self, fact: facts.Admitted | facts.RejectionDue, job: jobs.Job, tenant: str) -> facts.Fact:
        """Return what happens to a job under the controls of this moment, which may have changed since the fact."""
        held = self.held_back(job, tenant)
        if held is None or (isinstance(fact, facts.RejectionDue) and held.rejection is None):
            return fact
        return held

    def skipping(self, topic: str, partition: int, offset: int) -> controls.Control | None:
        """Return the control by which an input message is passed over; None: it is not."""
        if not self._by_scope:
            return None
        found = self._by_scope.get(controls.Scope("offset", controls.offset_name(topic, partition, offset)))
        return None if found is None or found.is_over(self._now_ms()) else found


def scopes_of(job: jobs.Job, tenant: str) -> list[controls.Scope]:
    """Return the scopes that concern a job, the widest first."""
    return controls.scopes(
        tenant=tenant, cluster=job.cluster, subject=job.subject, labels=job.labels or {}, request_id=job.id
    )


def is_under_way(scope: controls.Scope, job: jobs.Job, tenant: str) -> bool:
    """Return whether a scope names a job whose submission was decided, and that has not ended."""
    return job.state in _UNDER_WAY and scope in scopes_of(job, tenant)
