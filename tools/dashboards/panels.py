"""The panels of the dashboards: title and query of each, by dashboard and row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_JOB: Final = 'job=~"$job"'
_TENANT: Final = f'{_JOB}, tenant=~"$tenant"'
_CLUSTER: Final = f'{_JOB}, cluster=~"$cluster"'
_OPERATION: Final = f'{_JOB}, operation=~"$operation"'

CALLS: Final = "cps"
PART: Final = "percentunit"
SECONDS: Final = "s"


@dataclass(frozen=True, slots=True)
class Panel:
    """
    One graph.

    Attributes:
        title: of the panel.
        queries: PromQL -> the legend of its series.
        unit: Grafana's name of the unit.
        stacked: whether the series add up.
    """

    title: str
    queries: dict[str, str]
    unit: str = "short"
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """
    One dashboard.

    Attributes:
        uid: of the dashboard, and the name of its file.
        title: of the dashboard.
        rows: title of each row -> its panels.
        variables: name of a variable, and the label that gives its values -> the metric that has the label.
    """

    uid: str
    title: str
    rows: Mapping[str, tuple[Panel, ...]]
    variables: dict[str, str] = field(default_factory=dict)


def _total(title: str, metric: str, by: str, where: str = _JOB, unit: str = "short", *, stacked: bool = False) -> Panel:
    """Show the sum of a gauge by labels."""
    return Panel(title, {f"sum by ({by}) ({metric}{{{where}}})": _legend(by)}, unit, stacked)


def _most(title: str, metric: str, by: str, where: str = _JOB, unit: str = "short") -> Panel:
    """Show the largest value of a gauge by labels."""
    return Panel(title, {f"max by ({by}) ({metric}{{{where}}})": _legend(by)}, unit)


def _rate(title: str, metric: str, by: str, where: str = _JOB, unit: str = CALLS, *, stacked: bool = False) -> Panel:
    """Show how fast a counter grows, by labels."""
    query = f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"
    return Panel(title, {query: _legend(by)}, unit, stacked)


def _durations(title: str, metric: str, by: str = "", where: str = _JOB) -> Panel:
    """Show the median and the 99th percentile of a histogram."""
    rate = f"sum by ({', '.join(filter(None, ['le', by]))}) (rate({metric}_bucket{{{where}}}[$__rate_interval]))"
    parts = {"p50": 0.5, "p99": 0.99}
    return Panel(
        title, {f"histogram_quantile({part}, {rate})": f"{name} {_legend(by)}" for name, part in parts.items()}, SECONDS
    )


def _legend(by: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by.split(", ") if label)


_PAUSED: Final = f"time() - min by (cluster, operation, code) (mrs_relay_cluster_paused_since_seconds{{{_CLUSTER}}})"

_OVERVIEW: Final = {
    "Requests": (
        _total("Requests that wait", "mrs_relay_jobs_waiting", "job"),
        _total("Requests under way on MRS", "mrs_relay_jobs_tracked", "job"),
        _rate("Events", "mrs_relay_events_total", "state", stacked=True),
        _total("What requests wait for", "mrs_relay_jobs_waiting_for", "cause", stacked=True),
        _durations("Wait for the submission", "mrs_relay_wait_seconds", "subject"),
        _durations("Run time", "mrs_relay_run_seconds", "state"),
    ),
    "Health": (
        _total("Ready", "mrs_relay_ready", "instance"),
        _total("Overdue requests", "mrs_relay_jobs_overdue", "state"),
        _durations("Event loop delay", "mrs_relay_loop_delay_seconds", "instance"),
        _rate("Processor", "process_cpu_seconds_total", "instance", unit=PART),
        _total("Memory", "process_resident_memory_bytes", "instance", unit="bytes"),
        _most("Controls in effect", "mrs_relay_controls", "mode"),
    ),
}

_TENANTS: Final = {
    "Requests": (
        _total("Waiting", "mrs_relay_jobs_waiting", "tenant", _TENANT, stacked=True),
        _total("Requests by state", "mrs_relay_ledger_jobs", "state", _TENANT, stacked=True),
        _most("Longest wait", "mrs_relay_oldest_waiting_seconds", "tenant, cluster", _TENANT, SECONDS),
        _rate("Events", "mrs_relay_events_total", "tenant, state", _TENANT),
        _durations("Wait for the submission", "mrs_relay_wait_seconds", "tenant", _TENANT),
        _durations("Run time", "mrs_relay_run_seconds", "tenant", _TENANT),
    ),
    "Trouble": (
        _total("Kafka answers", "mrs_relay_kafka_connected", "tenant", _TENANT),
        _total("Overdue", "mrs_relay_jobs_overdue", "tenant, state", _TENANT),
        _total("Dead letters", "mrs_relay_dead_letters_total", "tenant, reason", _TENANT),
    ),
}

_CLUSTERS: Final = {
    "Clusters": (
        _total("Slots taken", "mrs_relay_cluster_slots_taken", "cluster", _CLUSTER),
        _total("Requests that wait", "mrs_relay_cluster_jobs_waiting", "cluster", _CLUSTER, stacked=True),
        _most("Longest wait", "mrs_relay_oldest_waiting_seconds", "cluster", _CLUSTER, SECONDS),
        _rate(
            "Part of the time without calls",
            "mrs_relay_circuit_open_seconds_total",
            "cluster, operation",
            _CLUSTER,
            PART,
        ),
        Panel("Paused for", {_PAUSED: "{{cluster}} {{operation}} {{code}}"}, SECONDS),
        _durations("Detection lag", "mrs_relay_detection_lag_seconds"),
    ),
}

_MRS: Final = {
    "Calls": (
        _rate("Calls by operation", "mrs_relay_mrs_calls_total", "operation", _OPERATION, stacked=True),
        _rate("Calls by outcome", "mrs_relay_mrs_calls_total", "outcome", _OPERATION, stacked=True),
        _durations("Time of a call", "mrs_relay_mrs_call_seconds", "operation", _OPERATION),
        _total("Submissions in flight", "mrs_relay_submissions_in_flight", "instance"),
    ),
    "Quota": (
        _total("Calls used of the budget", "mrs_relay_budget_calls_used", "operation", _OPERATION),
        _total("Calls left of the budget", "mrs_relay_budget_calls_left", "operation", _OPERATION),
        _most("Calls wait for budget", "mrs_relay_budget_needed", "operation", _OPERATION),
        _rate("Answers 429", "mrs_relay_mrs_throttled_total", "instance"),
        _rate("Part of the time throttled", "mrs_relay_throttled_seconds_total", "instance", unit=PART),
        _rate("Part of the time unreachable", "mrs_relay_unreachable_seconds_total", "instance", unit=PART),
    ),
    "Logs of failed jobs": (
        _rate("Logs looked for in OBS, by outcome", "mrs_relay_job_logs_total", "outcome", stacked=True),
        _durations("Time of looking for a log", "mrs_relay_job_log_seconds"),
    ),
}

_KAFKA: Final = {
    "Partitions": (
        _total("Partitions by state", "mrs_relay_partition_state", "state", stacked=True),
        _total("Lag", "mrs_relay_partition_lag_records", "topic, partition"),
        _total("Inbox", "mrs_relay_partition_inbox", "topic, partition"),
        _rate("Rebalances", "mrs_relay_rebalances_total", "instance"),
        _most("Silence of the consumer", "mrs_relay_consumer_silent_seconds", "instance", unit=SECONDS),
        _total("Kafka answers", "mrs_relay_kafka_connected", "instance"),
    ),
    "Ledger": (
        _rate("Commits", "mrs_relay_commits_total", "instance"),
        _durations("Time of a commit", "mrs_relay_commit_seconds", "instance"),
        _rate("Commits that failed", "mrs_relay_commit_failures_total", "instance"),
        _durations("Time of a restore", "mrs_relay_restore_seconds", "instance"),
        _total("Jobs in memory", "mrs_relay_ledger_jobs", "state", stacked=True),
    ),
    "Web role": (
        _total("Records behind", "mrs_relay_web_behind_records", "topic", where=""),
        _durations("Projection delay", "mrs_relay_web_projection_delay_seconds", where=""),
        _total("Open streams", "mrs_relay_web_streams", "instance", where=""),
    ),
}

BOARDS: Final = (
    Board("mrs-relay-overview", "mrs-relay: overview", _OVERVIEW),
    Board("mrs-relay-tenant", "mrs-relay: tenants", _TENANTS, {"tenant": "mrs_relay_jobs_waiting"}),
    Board("mrs-relay-cluster", "mrs-relay: clusters", _CLUSTERS, {"cluster": "mrs_relay_cluster_slots_taken"}),
    Board("mrs-relay-mrs-api", "mrs-relay: MRS API", _MRS, {"operation": "mrs_relay_mrs_calls_total"}),
    Board("mrs-relay-kafka", "mrs-relay: Kafka", _KAFKA),
)
