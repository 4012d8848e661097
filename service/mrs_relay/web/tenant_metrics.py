"""Metrics of tenants: their requests, their partitions and their ledgers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client import core

from mrs_relay.common.metric_families import Bounded, Values, durations
from mrs_relay.engine import views
from mrs_relay.engine.model import jobs
from mrs_relay.kafka import partition_worker

MOST_TENANTS: Final = 200
MOST_CLUSTERS: Final = 100

Labelled = Sequence[tuple[Sequence[str], views.Tenant]]
"""Each tenant with the values of its label."""


def collect(now: views.Snapshot) -> Iterator[core.Metric]:
    """Yield the metrics of each tenant; without tenants the label is left out."""
    own = ["tenant"] if any(one.name for one in now.tenants) else []
    label = Bounded((one.name for one in now.tenants), MOST_TENANTS)
    labelled = [([label(one.name)] if own else [], one) for one in now.tenants]
    yield from _requests(labelled, own)
    yield from _durations(labelled, own)
    yield from _jobs(labelled, own, now.at_ms)
    yield from _consumers(labelled, own)
    yield from _partitions(now.tenants)


def _requests(tenants: Labelled, own: Sequence[str]) -> Iterator[core.Metric]:
    events = Values("counter", "mrs_relay_events", "Events published.", [*own, "subject", "state"])
    letters = Values("counter", "mrs_relay_dead_letters", "Dead letters written.", [*own, "reason"])
    commits = Values("counter", "mrs_relay_commits", "Commits of all partitions.", own)
    faults = Values(
        "counter", "mrs_relay_internal_errors", "Failures of the relay on one message or job.", [*own, "step", "error"]
    )
    waiting = Values("gauge", "mrs_relay_jobs_waiting", "Requests that wait for their submission.", own)
    running = Values("gauge", "mrs_relay_tenant_running", "Requests submitted and not ended.", own)
    ready = Values("gauge", "mrs_relay_tenant_ready", "1 when the tenant is served, else 0.", own, min)

    for names, one in tenants:
        for (subject, state), count in one.counts.events.items():
            events.add([*names, subject, state], count)
        for code, count in one.counts.dead_letters.items():
            letters.add([*names, code], count)
        for (step, error), count in one.counts.internal_errors.items():
            faults.add([*names, step, error], count)
        commits.add(names, one.counts.commits)
        waiting.add(names, one.waiting)
        running.add(names, one.running)
        ready.add(names, float(one.ready))

    yield from (made.family() for made in (events, letters, faults, commits, waiting))
    if own:
        yield from (running.family(), ready.family())


def _durations(tenants: Labelled, own: Sequence[str]) -> Iterator[core.Metric]:
    waits = [([*names, subject], seen) for names, one in tenants for subject, seen in one.counts.waits.items()]
    runs = [([*names, *at], seen) for names, one in tenants for at, seen in one.counts.runs.items()]
    yield durations(
        "mrs_relay_wait_seconds", "From a request's acceptance to its first submission.", [*own, "subject"], waits
    )

    yield durations(
        "mrs_relay_run_seconds",
        "From a request's last submission to its end, by the state in which it ended.",
        [*own, "subject", "state"],
        runs,
    )

    yield durations(
        "mrs_relay_commit_seconds",
        "Time of a commit: state, events and offset, written and acknowledged.",
        own,
        [(names, one.runtime.commits) for names, one in tenants],
    )

    yield durations(
        "mrs_relay_takeover_seconds",
        "From the beginning of a partition's restore until its jobs under way are taken up.",
        own,
        [(names, one.runtime.takeovers) for names, one in tenants],
    )

    yield durations(
        "mrs_relay_restore_seconds",
        "From the beginning of a partition's restore to its first message.",
        own,
        [(names, one.runtime.restores) for names, one in tenants],
    )


def _jobs(tenants: Labelled, own: Sequence[str], now_ms: int) -> Iterator[core.Metric]:
    """Yield what the census of the jobs has found; it is some seconds old."""
    held = Values("gauge", "mrs_relay_ledger_jobs", "Requests of the ledger in memory, by state.", [*own, "state"])
    overdue = Values(
        "gauge",
        "mrs_relay_jobs_overdue",
        "Requests that should have left their state a minute ago or earlier, by state.",
        [*own, "state"],
    )
    oldest = Values(
        "gauge",
        "mrs_relay_oldest_waiting_seconds",
        "Longest wait of a request that may be submitted, by cluster; empty: none is chosen yet.",
        [*own, "cluster"],
        max,
    )

    label = Bounded((cluster for _, one in tenants for cluster in one.jobs.oldest_waiting_ms), MOST_CLUSTERS)
    for names, one in tenants:
        for state in jobs.State:
            held.add([*names, state.value], one.jobs.states[state])
            if not jobs.TRAITS[state].last:
                overdue.add([*names, state.value], one.jobs.overdue[state])
        for cluster, since_ms in one.jobs.oldest_waiting_ms.items():
            oldest.add([*names, label(cluster)], max(0, now_ms - since_ms) / 1000)
    yield from (held.family(), overdue.family(), oldest.family())


def _consumers(tenants: Labelled, own: Sequence[str]) -> Iterator[core.Metric]:
    connected = Values("gauge", "mrs_relay_kafka_connected", "1 while Kafka answers, else 0.", own, min)
    joined = Values("gauge", "mrs_relay_group_joined", "1 while the group has assigned our share, else 0.", own, min)
    silent = Values(
        "gauge",
        "mrs_relay_consumer_silent_seconds",
        "Time since the consumer heard of the partition that has been silent longest, or of Kafka, if it is away.",
        own,
        max,
    )
    rebalances = Values("counter", "mrs_relay_rebalances", "Assignments of partitions by the group.", own)
    commits = Values("counter", "mrs_relay_commit_failures", "Commits that failed, or whose outcome is unknown.", own)
    restores = Values("counter", "mrs_relay_restore_failures", "Restores that ended with an error.", own)

    for names, one in tenants:
        if one.kafka is not None:
            connected.add(names, float(one.kafka.connected))
            joined.add(names, float(one.kafka.joined))
            silent.add(names, one.kafka.silent_s)
        rebalances.add(names, one.runtime.rebalances)
        commits.add(names, one.runtime.commit_failures)
        restores.add(names, one.runtime.restore_failures)
    yield from (made.family() for made in (connected, joined, silent, rebalances, commits, restores))


def _partitions(tenants: Sequence[views.Tenant]) -> Iterator[core.Metric]:
    at = ["topic", "partition"]
    states = Values(
        "gauge", "mrs_relay_partition_state", "1 for the present state of a partition of ours, else 0.", [*at, "state"]
    )
    lag = Values(
        "gauge",
        "mrs_relay_partition_lag_records",
        "Readable records of a partition that are not committed; commit markers do not count.",
        at,
    )
    waiting = Values(
        "gauge", "mrs_relay_partition_inbox", "Records and notices that wait for the partition's task.", at
    )
    crashes = Values("counter", "mrs_relay_partition_crashes", "Ends of a partition's task by a bug.", at)

    for one in tenants:
        for seen in one.kafka.partitions if one.kafka is not None else ():
            where = [seen.topic, str(seen.partition)]
            for state in partition_worker.State:
                states.add([*where, state.value], float(seen.state is state))
            if seen.lag is not None:
                lag.add(where, seen.lag)
            waiting.add(where, seen.waiting)
            crashes.add(where, seen.crashes)
    yield from (made.family() for made in (states, lag, waiting, crashes))
