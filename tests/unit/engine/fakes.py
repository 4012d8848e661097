"""What a plan needs around it: a lease, a clock that stands, and tools that unused uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from tests.unit.engine import samples

from mrs_relay.engine import context as contexts
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine import views
from mrs_relay.engine.execution import cluster_selector, submitter
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.intake import policy_check
from mrs_relay.engine.scheduling import lanes, quota, scheduler
from mrs_relay.engine.trackers import cluster_tracker, job_tracker
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import records

TOPICS: Final = contexts.Topics("mrs.requests", "mrs.events", "mrs.dead-letters", "/mrs-relay")


class Writer:
    """A ledger that only knows how large its records may be."""

    def __init__(self, limits: dict[str | None, int]) -> None:
        self.limits = limits

    async def commit(
        self, changes: Sequence[records.Change], outgoing: Sequence[records.Outgoing], next_offset: int
    ) -> None:
        raise NotImplementedError

    async def settle(self) -> None:
        raise NotImplementedError

    def limit_bytes(self, topic: str | None) -> int:
        return self.limits.get(topic, 1_000_000)


class Time:
    """A clock that stands."""

    def now_ms(self) -> int:
        return samples.NOW_MS

    def monotonic_s(self) -> float:
        return 0.0

    def boottime_s(self) -> float:
        return 0.0


def lease(
    limits: dict[str | None, int] | None = None, restored: dict[bytes, bytes] | None = None
) -> leases.Lease[contexts.Notice]:
    """Make the lease of a partition."""
    inbox: inboxes.Inbox[contexts.Notice] = inboxes.Inbox(capacity=10, next_offset=0)
    start = leases.Start(restored or {}, 0, 0.0)
    position = records.Position("mrs.requests", 0)
    return leases.Lease(position, start, inbox, Writer(limits or {}), clock=Time(), stale_after_s=10)


def context(
    partitions: int = 1, *, policy: policies.Policy = policy_check.UNRESTRICTED, **settings: Any
) -> contexts.TenantContext:
    """Make the tools of a plan."""
    unused: Any = None  # a plan asks neither the scheduler nor MRS
    return contexts.TenantContext(
        settings=engine_settings.EngineSettings(**settings),
        commit_interval_s=0.05,
        config=samples.RULES,
        topics=TOPICS,
        time=Time(),
        scheduler=cast("scheduler.SubmissionScheduler", unused),
        tracker=cast("job_tracker.JobTracker", unused),
        cluster_tracker=cast("cluster_tracker.ClusterTracker", unused),
        cluster_selector=cast("cluster_selector.ClusterSelector", unused),
        submitter=cast("submitter.Submitter", unused),
        lanes=lanes.Lanes(1, 1),
        counts=views.Counts(),
        quota=quota.TenantQuota(policy, quota.Share(1, partitions), Time()),
    )
