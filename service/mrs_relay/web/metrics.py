"""The engine's snapshot as Prometheus metrics. Names end in their unit or in `_total`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import prometheus_client
from prometheus_client import core, registry

from mrs_relay.engine import views
from mrs_relay.engine.scheduling import waits
from mrs_relay.messages import controls


class _Snapshots(registry.Collector):
    def __init__(self, snapshot: Callable[[], views.Snapshot], ready: Callable[[], bool]) -> None:
        self._snapshot = snapshot
        self._ready = ready

    def collect(self) -> Iterator[core.Metric]:
        """Make the metrics from the present snapshot."""
        now = self._snapshot()
        yield from _of_tenants(now.tenants)
        yield from _of_connections(now.connections, labelled=any(one.name for one in now.tenants))
        yield from _of_controls(now)
        yield core.GaugeMetricFamily("mrs_relay_ready", "1 when ready, else 0.", value=float(self._ready()))


def _of_tenants(tenants: Sequence[views.Tenant]) -> Iterator[core.Metric]:
    """Yield counters and gauges of each tenant; without tenants the label is left out."""
    own = ["tenant"] if any(one.name for one in tenants) else []
    events = core.CounterMetricFamily("mrs_relay_events", "Events published.", labels=[*own, "subject", "state"])
    letters = core.CounterMetricFamily("mrs_relay_dead_letters", "Dead letters written.", labels=[*own, "reason"])
    commits = core.CounterMetricFamily("mrs_relay_commits", "Commits of all partitions.", labels=own)
    faults = core.CounterMetricFamily(
        "mrs_relay_internal_errors", "Failures of the relay on one message or job.", labels=[*own, "step", "error"]
    )
    waiting = core.GaugeMetricFamily("mrs_relay_jobs_waiting", "Requests that wait for their submission.", labels=own)
    running = core.GaugeMetricFamily("mrs_relay_tenant_running", "Requests submitted and not ended.", labels=own)
    ready = core.GaugeMetricFamily("mrs_relay_tenant_ready", "1 when the tenant is served, else 0.", labels=own)

    for one in tenants:
        names = [one.name] if own else []
        for (subject, state), count in one.counts.events.items():
            events.add_metric([*names, subject, state], count)
        for code, count in one.counts.dead_letters.items():
            letters.add_metric([*names, code], count)
        for (step, error), count in one.counts.internal_errors.items():
            faults.add_metric([*names, step, error], count)
        commits.add_metric(names, one.counts.commits)
        waiting.add_metric(names, one.waiting)
        running.add_metric(names, one.running)
        ready.add_metric(names, float(one.ready))

    yield from (events, letters, faults, commits, waiting)
    if own:
        yield from (running, ready)


def _of_connections(connections: Sequence[views.Connection], *, labelled: bool) -> Iterator[core.Metric]:
    own = ["connection"] if labelled else []
    flying = core.GaugeMetricFamily(
        "mrs_relay_submissions_in_flight", "Submissions whose reply is awaited.", labels=own
    )
    tracked = core.GaugeMetricFamily("mrs_relay_jobs_tracked", "Jobs followed on MRS.", labels=own)
    lag = core.HistogramMetricFamily(
        "mrs_relay_detection_lag_seconds", "From a job's end on MRS to our seeing it.", labels=own
    )
    waiting = core.GaugeMetricFamily(
        "mrs_relay_jobs_waiting_for",
        "Requests that wait for their submission, by what they wait for.",
        labels=[*own, "cause"],
    )
    since = core.GaugeMetricFamily(
        "mrs_relay_cluster_paused_since_seconds",
        "Since when a cluster takes no calls of an operation, seconds since the epoch.",
        labels=[*own, "cluster", "operation", "state", "code"],
    )

    for one in connections:
        names = [one.name] if own else []
        for cause in waits.Cause:
            waiting.add_metric([*names, cause.value], one.waiting.get(cause, 0))
        for place in one.paused:
            since.add_metric([*names, *place.place, place.state.name.lower(), place.code], place.since_ms / 1000)
        flying.add_metric(names, one.in_flight)
        tracked.add_metric(names, one.tracked)
        lag.add_metric(names, _buckets(one.detection_lag), sum_value=one.detection_lag.sum_s)

    yield from (flying, tracked, lag, waiting, since)


def _of_controls(now: views.Snapshot) -> Iterator[core.Metric]:
    standing = core.GaugeMetricFamily("mrs_relay_controls", "Controls in effect.", labels=["mode"])
    counts = Counter(one.mode for one in now.controls)
    for mode in controls.MODES:
        standing.add_metric([mode], counts[mode])
    draining = core.GaugeMetricFamily(
        "mrs_relay_drain_running", "Jobs of this process under way that a drain waits for.", labels=["scope"]
    )
    for scope, count in now.draining.items():
        draining.add_metric([str(scope)], count)
    yield from (standing, draining)
    yield core.CounterMetricFamily(
        "mrs_relay_controls_rejected", "Records of the control topic that are no controls.", value=now.controls_rejected
    )


def _buckets(seen: views.Histogram) -> list[tuple[str, float]]:
    total = 0
    buckets = []
    for bound, count in zip((*map(str, views.BOUNDS_S), "+Inf"), seen.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets


def collect_from(
    snapshot: Callable[[], views.Snapshot], ready: Callable[[], bool]
) -> prometheus_client.CollectorRegistry:
    """Make a registry whose metrics read `snapshot` and `ready` when they are collected."""
    own = prometheus_client.CollectorRegistry()
    own.register(_Snapshots(snapshot, ready))
    return own
