"""Metrics of connections to MRS: calls, budgets, pauses, and the clusters in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client import core

from mrs_relay.common.metric_families import Bounded, Values, durations
from mrs_relay.engine import log_counts, views
from mrs_relay.engine.scheduling import waits

MOST_CLUSTERS: Final = 100

Labelled = Sequence[tuple[Sequence[str], views.Connection]]
"""Each connection with the values of its label."""


def collect(now: views.Snapshot) -> Iterator[core.Metric]:
    """Yield the metrics of each connection; without tenants the label is left out."""
    own = ["connection"] if any(one.name for one in now.tenants) else []
    labelled = [([one.name] if own else [], one) for one in now.connections]
    yield from _work(labelled, own)
    yield from _calls(labelled, own)
    yield from _budgets(labelled, own)
    yield from _clusters(labelled, own)
    yield from _logs(labelled, own)


def _work(connections: Labelled, own: Sequence[str]) -> Iterator[core.Metric]:
    flying = Values("gauge", "mrs_relay_submissions_in_flight", "Submissions whose reply is awaited.", own)
    tracked = Values("gauge", "mrs_relay_jobs_tracked", "Jobs followed on MRS.", own)
    waiting = Values(
        "gauge",
        "mrs_relay_jobs_waiting_for",
        "Requests that wait for their submission, by what they wait for.",
        [*own, "cause"],
    )
    for names, one in connections:
        for cause in waits.Cause:
            waiting.add([*names, cause.value], one.waiting.get(cause, 0))
        flying.add(names, one.in_flight)
        tracked.add(names, one.tracked)

    yield from (made.family() for made in (flying, tracked, waiting))
    yield durations(
        "mrs_relay_detection_lag_seconds",
        "From a job's end on MRS to our seeing it.",
        own,
        [(names, one.detection_lag) for names, one in connections],
    )


def _calls(connections: Labelled, own: Sequence[str]) -> Iterator[core.Metric]:
    calls = Values(
        "counter",
        "mrs_relay_mrs_calls",
        "Calls of MRS by operation and outcome: worked, refused, busy, throttled, unreachable, untouched, ambiguous.",
        [*own, "operation", "outcome"],
    )
    throttled = Values("counter", "mrs_relay_mrs_throttled", "Answers 429 of MRS.", own)
    for names, one in connections:
        for (operation, outcome), count in one.calls.calls.items():
            calls.add([*names, operation, outcome], count)
        throttled.add(names, one.calls.throttled)

    yield from (calls.family(), throttled.family())
    took = [([*names, name], seen) for names, one in connections for name, seen in one.calls.durations.items()]
    yield durations("mrs_relay_mrs_call_seconds", "Time of a call of MRS, by operation.", [*own, "operation"], took)


def _budgets(connections: Labelled, own: Sequence[str]) -> Iterator[core.Metric]:
    used = Values(
        "gauge",
        "mrs_relay_budget_calls_used",
        "Calls of an operation that this process made in the last minute.",
        [*own, "operation"],
    )

    left = Values(
        "gauge",
        "mrs_relay_budget_calls_left",
        "Calls of an operation that this process may still make in the same minute.",
        [*own, "operation"],
    )

    needed = Values(
        "gauge",
        "mrs_relay_budget_needed",
        "1 while calls of an operation wait for budget, else 0.",
        [*own, "operation"],
    )

    for names, one in connections:
        for budget in one.budgets:
            used.add([*names, budget.operation], budget.used)
            left.add([*names, budget.operation], max(0, budget.granted - budget.used))
            needed.add([*names, budget.operation], float(budget.needed))

    yield from (used.family(), left.family(), needed.family())


def _clusters(connections: Labelled, own: Sequence[str]) -> Iterator[core.Metric]:
    since = Values(
        "gauge",
        "mrs_relay_cluster_paused_since_seconds",
        "Since when a cluster takes no calls of an operation, seconds since the epoch.",
        [*own, "cluster", "operation", "state", "code"],
        min,
    )
    slots = Values("gauge", "mrs_relay_cluster_slots_taken", "Slots that our jobs hold.", [*own, "cluster"])
    waiting = Values(
        "gauge", "mrs_relay_cluster_jobs_waiting", "Requests in the queues of a cluster.", [*own, "cluster"]
    )
    paused = Values(
        "counter",
        "mrs_relay_circuit_open_seconds",
        "Time in which a cluster took no calls of an operation, or one at a time.",
        [*own, "cluster", "operation"],
    )
    throttled = Values("counter", "mrs_relay_throttled_seconds", "Time in which a 429 held all calls back.", own)
    unreachable = Values("counter", "mrs_relay_unreachable_seconds", "Time in which no call could be sent.", own)

    label = Bounded(_cluster_names(connections), MOST_CLUSTERS)
    for names, one in connections:
        for place in one.paused:
            cluster, operation = place.place
            since.add([*names, label(cluster), operation, place.state.name.lower(), place.code], place.since_ms / 1000)
        for seen in one.clusters:
            slots.add([*names, label(seen.cluster)], seen.taken)
            waiting.add([*names, label(seen.cluster)], sum(line.count for line in seen.lines))
        for (cluster, operation), seconds in one.pauses.open_s.items():
            paused.add([*names, cluster, operation], seconds)
        throttled.add(names, one.pauses.throttled_s)
        unreachable.add(names, one.pauses.unreachable_s)
    yield from (made.family() for made in (since, slots, waiting, paused, throttled, unreachable))


def _logs(connections: Labelled, own: Sequence[str]) -> Iterator[core.Metric]:
    read = Values(
        "counter",
        "mrs_relay_job_logs",
        "Logs of failed jobs that were looked for in OBS, by outcome: found, missing, unreadable, timed_out.",
        [*own, "outcome"],
    )

    for names, one in connections:
        for outcome in log_counts.OUTCOMES:
            read.add([*names, outcome], one.logs.outcomes[outcome])

    yield read.family()
    yield durations(
        "mrs_relay_job_log_seconds",
        "For how long the log of a failed job was looked for, which its last event waits for.",
        own,
        [(names, one.logs.durations) for names, one in connections],
    )


def _cluster_names(connections: Labelled) -> Iterator[str]:
    for _, one in connections:
        yield from (place.place[0] for place in one.paused)
        yield from (seen.cluster for seen in one.clusters)
