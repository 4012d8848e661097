"""The engine's snapshot as Prometheus metrics. Names end in their unit or in `_total`; docs/metrics.md lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import prometheus_client
from prometheus_client import core, registry

import mrs_relay
from mrs_relay.common import certificates, http_server
from mrs_relay.common.metric_families import Bounded, Values, durations
from mrs_relay.engine import views
from mrs_relay.messages import controls
from mrs_relay.web import connection_metrics, tenant_metrics

_MOST_SCOPES: Final = 50


class _Snapshots(registry.Collector):
    def __init__(self, snapshot: Callable[[], views.Snapshot], ready: Callable[[], bool]) -> None:
        self._snapshot = snapshot
        self._ready = ready

    def collect(self) -> Iterator[core.Metric]:
        """Make the metrics from the present snapshot."""
        return families(self._snapshot(), is_ready=self._ready())


def families(now: views.Snapshot, *, is_ready: bool) -> Iterator[core.Metric]:
    """Yield all metrics of a snapshot."""
    yield from tenant_metrics.collect(now)
    yield from connection_metrics.collect(now)
    yield from _of_controls(now)
    yield from _of_process(now)
    yield core.GaugeMetricFamily("mrs_relay_ready", "1 when ready, else 0.", value=float(is_ready))


def _of_controls(now: views.Snapshot) -> Iterator[core.Metric]:
    standing = Values("gauge", "mrs_relay_controls", "Controls in effect.", ["mode"])
    counts = Counter(one.mode for one in now.controls)
    for mode in controls.MODES:
        standing.add([mode], counts[mode])
    draining = Values(
        "gauge", "mrs_relay_drain_running", "Jobs of this process under way that a drain waits for.", ["scope"]
    )
    label = Bounded(map(str, now.draining), _MOST_SCOPES)
    for scope, count in now.draining.items():
        draining.add([label(str(scope))], count)
    yield from (standing.family(), draining.family())
    yield core.CounterMetricFamily(
        "mrs_relay_controls_rejected", "Records of the control topic that are no controls.", value=now.controls_rejected
    )


def _of_process(now: views.Snapshot) -> Iterator[core.Metric]:
    yield durations(
        "mrs_relay_loop_delay_seconds", "How late the event loop ran what was due.", [], [([], now.loop_delay)]
    )
    yield certificates.family(now.certificates)
    build = Values("gauge", "mrs_relay_build_info", "1; the version is a label.", ["version"])
    build.add([mrs_relay.__version__], 1.0)
    yield build.family()


def collect_from(
    snapshot: Callable[[], views.Snapshot], ready: Callable[[], bool]
) -> prometheus_client.CollectorRegistry:
    """Make a registry whose metrics read `snapshot` and `ready` when they are collected."""
    return http_server.registry_of(_Snapshots(snapshot, ready))
