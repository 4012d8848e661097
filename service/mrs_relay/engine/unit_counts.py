"""Count what a unit of work changes in numbers with limits: waiting cancels, queued jobs, late rows, rejections."""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs
from mrs_relay.engine.intake import policy_check
from mrs_relay.engine.model import decisions, facts, jobs
from mrs_relay.kafka import lease as leases

_CROWDED_WAIT_MS: Final = 10_000
"""Longest time that a cancel waits for its request while too many cancels wait."""


class UnitCounts:
    """
    Numbers of a partition's jobs as they are after one unit of work.

    Args:
        base: the partition's jobs as committed; their numbers are changed only by `apply`.
        context: the settings, config and quota of the tenant.
        lease: of the partition.

    Attributes:
        rejected: number of remembered rejections.
    """

    def __init__(
        self, base: partition_jobs.Jobs, context: contexts.TenantContext, lease: leases.Lease[contexts.Notice]
    ) -> None:
        self._base = base
        self._context = context
        self._lease = lease
        self._awaited = base.awaited
        self._queued = base.queued
        self._late = base.late
        self.rejected = len(base.rejected)
        context.quota.queue(lease, base.queued)

    def note(self, before: jobs.Job | None, after: jobs.Job | None) -> None:
        """Count a job's change of state."""
        self._late += partition_jobs.is_late(after) - partition_jobs.is_late(before)
        was = None if before is None else before.state
        now = None if after is None else after.state
        if was is now:
            return
        self._awaited += (now is jobs.State.PENDING_CANCEL) - (was is jobs.State.PENDING_CANCEL)
        self.rejected += (now is jobs.State.REJECTED) - (was is jobs.State.REJECTED)
        if more := (now in partition_jobs.WAITING) - (was in partition_jobs.WAITING):
            self._queued += more
            self._context.quota.plan(self._lease, self._queued)

    def config(self) -> decisions.DecisionConfig:
        """
        Return the constants of the next decision.

        While too many cancels wait, each waits for a short time; while too many rows are late, no further ones are.
        """
        config, settings = self._context.config, self._context.settings
        if self._late >= settings.max_late_rows:
            config = msgspec.structs.replace(config, late_rows_ms=0)
        if self._awaited < settings.max_waiting_cancels:
            return config
        return msgspec.structs.replace(config, cancel_wait_ms=min(config.cancel_wait_ms, _CROWDED_WAIT_MS))

    def within_limits(self, fact: facts.Requested) -> facts.Requested:
        """Return the fact; while too many requests of the tenant wait, add a rejection, which applies to new ones."""
        if fact.rejection:
            return fact
        tenant_quota = self._context.quota
        most = tenant_quota.most_queued
        if most is None or tenant_quota.planned < most:
            return fact
        return facts.Requested(fact.job, policy_check.too_many_queued(tenant_quota.policy, most))

    def apply(self) -> None:
        """Change the partition's numbers after the commit."""
        self._base.awaited = self._awaited
        self._base.queued = self._queued
        self._base.late = self._late
        self._context.quota.queue(self._lease, self._queued)
