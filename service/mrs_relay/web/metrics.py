"""The engine's snapshot as Prometheus metrics. Names end in their unit or in `_total`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import prometheus_client
from prometheus_client import core, registry

from mrs_relay.engine import views


class _Snapshots(registry.Collector):
    def __init__(self, snapshot: Callable[[], views.Snapshot], ready: Callable[[], bool]) -> None:
        self._snapshot = snapshot
        self._ready = ready

    def collect(self) -> Iterator[core.Metric]:
        """Make the metrics anew from the present snapshot."""
        now = self._snapshot()
        events = core.CounterMetricFamily("mrs_relay_events", "Events published.", labels=["subject", "state"])
        for (subject, state), count in now.counts.events.items():
            events.add_metric([subject, state], count)
        yield events
        letters = core.CounterMetricFamily("mrs_relay_dead_letters", "Dead letters written.", labels=["reason"])
        for code, count in now.counts.dead_letters.items():
            letters.add_metric([code], count)
        yield letters
        yield core.CounterMetricFamily("mrs_relay_commits", "Commits of all partitions.", value=now.counts.commits)
        yield core.GaugeMetricFamily("mrs_relay_jobs_waiting", "Jobs waiting for their turn.", value=now.waiting)
        yield core.GaugeMetricFamily(
            "mrs_relay_submissions_in_flight", "Submissions whose reply is awaited.", value=now.in_flight
        )
        yield core.GaugeMetricFamily("mrs_relay_jobs_tracked", "Jobs followed on MRS.", value=now.tracked)
        yield _histogram(
            "mrs_relay_detection_lag_seconds", "From a job's end on MRS to our seeing it.", now.detection_lag
        )
        yield core.GaugeMetricFamily("mrs_relay_ready", "1 when ready, else 0.", value=float(self._ready()))


def _histogram(name: str, text: str, seen: views.Histogram) -> core.HistogramMetricFamily:
    total = 0
    buckets = []
    for bound, count in zip((*map(str, views.BOUNDS_S), "+Inf"), seen.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return core.HistogramMetricFamily(name, text, buckets=buckets, sum_value=seen.sum_s)


def collect_from(
    snapshot: Callable[[], views.Snapshot], ready: Callable[[], bool]
) -> prometheus_client.CollectorRegistry:
    """A registry of its own whose metrics come from `snapshot` and `ready` at the moment they are asked for."""
    own = prometheus_client.CollectorRegistry()
    own.register(_Snapshots(snapshot, ready))
    return own
