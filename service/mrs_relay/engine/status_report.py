"""
Describe the work of this process for the topic of the status: contents for `messages.status`.

Everything is taken from what is there at one moment: nothing is asked of Kafka or MRS, and nothing is changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from mrs_relay.engine import context as contexts
from mrs_relay.engine import held_jobs
from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import entries, overview
from mrs_relay.kafka import status as kafka_status
from mrs_relay.messages import status
from mrs_relay.mrs import limits
from mrs_relay.mrs.operations import registry

MOST_CLUSTERS: Final = 300
"""Clusters of a connection that are described; of those beyond only the number is known."""

_SEARCHED: Final = 1_000
"""Jobs that wait for their own time among which the first ones are searched: a partition may have 100,000."""

_NONE: Final = held_jobs.HeldJobs()


def partition(tenant: str, seen: kafka_status.Partition, held: held_jobs.HeldJobs | None) -> status.Partition:
    """
    Describe a partition.

    Args:
        tenant: name of its tenant.
        seen: the partition as the runtime sees it.
        held: its jobs that wait for something of their own; None: the partition is not being worked on.
    """
    held = held or _NONE
    return status.Partition(
        tenant=tenant,
        topic=seen.topic,
        partition=seen.partition,
        state=seen.state.value,
        next_offset=seen.next_offset,
        lag=seen.lag,
        restored=None if seen.restored is None else round(seen.restored, 2),
        error=seen.error,
        not_before=_soonest(held.not_before),
        choosing=_soonest(dict.fromkeys(held.choosing, 0)),
        in_doubt=_soonest(held.in_doubt),
    )


def _soonest(waiting: Mapping[jobs.LedgerKey, int]) -> status.Waiting:
    if not waiting:
        return status.NOTHING_WAITS
    some = sorted(itertools.islice(waiting.items(), _SEARCHED), key=lambda item: item[1])[: status.FIRST]
    return status.Waiting(len(waiting), [status.Timed(*_names(key), until_ms) for key, until_ms in some])


def _names(key: jobs.LedgerKey) -> tuple[str, str]:
    """Return source and id of a job."""
    source, _, request_id = key.decode(errors="replace").partition(" ")
    return source, request_id


def tenant(context: contexts.TenantContext, connection: str, partitions: Iterable[int]) -> status.Tenant:
    """Describe a tenant; `partitions` are those that this process owns."""
    quota, share = context.quota, context.quota.share
    bounds = quota.policy.limits
    return status.Tenant(
        name=quota.policy.tenant,
        topic=context.topics.requests,
        connection=connection,
        partitions=sorted(partitions),
        total=share.total,
        waiting=quota.queued,
        running=quota.running,
        most_running=None if bounds.running is None else share.of(bounds.running),
        most_queued=quota.most_queued,
        most_per_minute=None if bounds.per_minute is None else share.of(bounds.per_minute),
    )


def connection(
    name: str, seen: overview.Overview, budgets: limits.Limits, in_flight: int, now_ms: int
) -> status.Connection:
    """Describe a connection: its pause and its budgets."""
    reason = "unreachable" if seen.is_unreachable else "throttled"
    return status.Connection(
        name=name,
        paused_until_ms=_until_ms(now_ms, seen.paused_s),
        paused_for=reason if seen.paused_s else "",
        in_flight=in_flight,
        clusters=seen.count,
        budgeted=budgets.enabled,
        budgets=budgets_of(budgets),
    )


def budgets_of(budgets: limits.Limits) -> list[status.Budget]:
    """Describe the budgets of the operations in use; none where budgets are off."""
    needed = budgets.needed()
    return [_budget(budgets, operation, needed) for operation in budgets.in_use] if budgets.enabled else []


def _budget(budgets: limits.Limits, operation: str, needed: Collection[str]) -> status.Budget:
    wanted = registry.OPERATIONS[operation]
    used, granted = budgets.usage(wanted)
    return status.Budget(
        operation=operation,
        per_minute=limits.per_minute(wanted),
        granted=granted,
        used=used,
        needed=operation in needed,
    )


def cluster(name: str, seen: overview.Cluster, slots: int, now_ms: int) -> status.Cluster:
    """
    Describe a cluster of a connection.

    Args:
        name: of the connection.
        seen: the cluster as the scheduler sees it.
        slots: of each cluster.
        now_ms: the moment of `seen`.
    """
    return status.Cluster(
        connection=name,
        cluster=seen.cluster,
        slots_used=seen.taken,
        slots_limit=slots,
        holders=sorted((status.Ref(*_names(key)) for _, key in seen.holders), key=lambda one: (one.source, one.id)),
        pauses=[_pause(one, now_ms) for one in seen.paused],
        queues=[_queue(one, now_ms) for one in seen.lines],
    )


def _pause(seen: overview.Paused, now_ms: int) -> status.Pause:
    return status.Pause(
        operation=seen.operation,
        state=seen.state.name.lower(),
        code=seen.answer.code,
        text=seen.answer.text,
        since_ms=seen.since_ms,
        until_ms=_until_ms(now_ms, seen.left_s),
    )


def _queue(seen: overview.Line, now_ms: int) -> status.Queue:
    line = [_in_line(entry) for entry in seen.first]
    return status.Queue(
        tenant=seen.tenant,
        operation=seen.operation,
        waiting=seen.count,
        oldest_ms=min((one.since_ms for one in line), default=0),
        causes=[status.Cause(cause.value, _until_ms(now_ms, wait_s)) for cause, wait_s in seen.causes],
        line=line,
    )


def _in_line(entry: entries.QueueEntry) -> status.InLine:
    return status.InLine(*_names(entry.key), entry.job.priority, entry.since_ms)


def _until_ms(now_ms: int, left_s: float) -> int:
    """Return the end of a wait in whole seconds, so that the same end gives the same number at any moment."""
    return round(now_ms / 1000 + left_s) * 1000 if left_s > 0 else 0
