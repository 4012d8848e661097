"""What /metrics says: with tenants a label for each, without them no label at all."""

from __future__ import annotations

import pathlib
import re

import prometheus_client
import pytest

from mrs_relay.cli import metric_reference
from mrs_relay.common import histograms
from mrs_relay.engine import log_counts, views
from mrs_relay.engine.scheduling import breaker, overview, waits
from mrs_relay.web import metrics


def _tenant(name: str, waiting: int) -> views.Tenant:
    counts = views.Counts(commits=7)
    counts.events["job", "accepted"] += 3
    counts.dead_letters["bad_id"] += 1
    counts.internal_errors["decide", "KeyError"] += 2
    return views.Tenant(name, counts, waiting, running=2, ready=True)


_PAUSED = waits.Paused(("c-1", "CreateExecuteJob"), breaker.State.REFUSING, "0056", 2000)
_AT = '{cluster="c-1",code="0056",operation="CreateExecuteJob",state="refusing"}'


def _shown(*tenants: views.Tenant, connections: tuple[str, ...] = ("mrs",)) -> list[str]:
    lag = histograms.Histogram()
    lag.add(3.0)
    logs = log_counts.LogCounts()
    logs.note("found", 1.5)
    waiting = {waits.Cause.QUOTA: 6}
    at = tuple(views.Connection(name, 4, 5, lag, waiting, (_PAUSED,), logs=logs) for name in connections)
    registry = metrics.collect_from(lambda: views.Snapshot(tenants, at), lambda: True)
    text = prometheus_client.generate_latest(registry).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    "line",
    [
        'mrs_relay_events_total{state="accepted",subject="job"} 3.0',
        'mrs_relay_dead_letters_total{reason="bad_id"} 1.0',
        'mrs_relay_internal_errors_total{error="KeyError",step="decide"} 2.0',
        "mrs_relay_commits_total 7.0",
        "mrs_relay_jobs_waiting 9.0",
        "mrs_relay_submissions_in_flight 4.0",
        'mrs_relay_jobs_waiting_for{cause="quota"} 6.0',
        'mrs_relay_jobs_waiting_for{cause="slots_taken"} 0.0',
        f"mrs_relay_cluster_paused_since_seconds{_AT} 2.0",
        "mrs_relay_jobs_tracked 5.0",
        'mrs_relay_detection_lag_seconds_bucket{le="5.0"} 1.0',
        "mrs_relay_detection_lag_seconds_sum 3.0",
        'mrs_relay_job_logs_total{outcome="found"} 1.0',
        'mrs_relay_job_logs_total{outcome="timed_out"} 0.0',
        'mrs_relay_job_log_seconds_bucket{le="2.0"} 1.0',
        "mrs_relay_ready 1.0",
    ],
)
def test_without_tenants_metrics_have_the_names_and_labels_that_dashboards_know(line: str) -> None:
    """Names of metrics are a contract."""
    shown = _shown(_tenant("", 9))
    assert line in shown
    assert not [one for one in shown if "tenant" in one or "connection" in one]


@pytest.mark.parametrize(
    "line",
    [
        'mrs_relay_events_total{state="accepted",subject="job",tenant="b"} 3.0',
        'mrs_relay_dead_letters_total{reason="bad_id",tenant="a"} 1.0',
        'mrs_relay_commits_total{tenant="a"} 7.0',
        'mrs_relay_jobs_waiting{tenant="a"} 1.0',
        'mrs_relay_jobs_waiting{tenant="b"} 2.0',
        'mrs_relay_tenant_running{tenant="a"} 2.0',
        'mrs_relay_tenant_ready{tenant="b"} 1.0',
        'mrs_relay_submissions_in_flight{connection="lake"} 4.0',
        'mrs_relay_jobs_tracked{connection="mrs"} 5.0',
        'mrs_relay_jobs_waiting_for{cause="quota",connection="lake"} 6.0',
        'mrs_relay_job_logs_total{connection="lake",outcome="found"} 1.0',
        'mrs_relay_detection_lag_seconds_bucket{connection="lake",le="5.0"} 1.0',
    ],
)
def test_with_tenants_each_is_distinguished_and_so_is_each_connection(line: str) -> None:
    """Tenants are labelled where something is theirs, connections where they share it."""
    assert line in _shown(_tenant("a", 1), _tenant("b", 2), connections=("mrs", "lake"))


def test_clusters_beyond_a_hundred_are_together_under_other() -> None:
    """No label grows without a bound: the numbers of the rest are added up, the earliest moment stands for them."""
    many = [overview.Cluster(f"c-{number:04}", 2, [], [], []) for number in range(150)]
    paused = [waits.Paused((f"d-{number}", "A"), breaker.State.FULL, "", 1000 * number) for number in range(1, 200)]
    at = views.Connection("mrs", 0, 0, histograms.Histogram(), {}, paused, many)
    registry = metrics.collect_from(lambda: views.Snapshot((), (at,)), lambda: True)

    found = {one.name: one for one in registry.collect()}
    slots = {one.labels["cluster"]: one.value for one in found["mrs_relay_cluster_slots_taken"].samples}
    assert len(slots) == 101
    assert slots["other"] == 2 * 50
    assert sum(slots.values()) == 2 * 150
    assert [one.value for one in found["mrs_relay_cluster_paused_since_seconds"].samples] == [1.0]


def test_the_page_of_metrics_names_each_metric_that_a_process_shows() -> None:
    """Whatever is written to `/metrics` can be looked up; what the page has beyond that is of the web role."""
    page = (pathlib.Path(__file__).parents[3] / "docs/metrics.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert page == metric_reference.markdown()

    known = [family for _, families in metric_reference.roles() for family in families]
    shown = {one.partition("{")[0].partition(" ")[0] for one in _shown(_tenant("a", 1), _tenant("b", 2))}
    shown = {name for name in shown if name.startswith("mrs_relay_") and not name.endswith("_created")}
    queried = {name: one for one in known for name in metric_reference.names(one)}
    assert shown <= queried.keys()
    assert {queried[name].name for name in shown} <= {name.removesuffix("_total") for name in listed}
