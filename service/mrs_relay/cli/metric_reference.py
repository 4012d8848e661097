"""
Make the page docs/metrics.md from the collectors of all roles: each metric's kind, labels and meaning.

Neighbours: `web.metrics`, `api.metrics` and `forwarding.metrics` make the metrics, `cli.reference` writes and checks
the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import core

from mrs_relay.api import metrics as web_role
from mrs_relay.common import histograms
from mrs_relay.engine import views
from mrs_relay.forwarding import metrics as forwarding
from mrs_relay.forwarding import status
from mrs_relay.read_model import projector
from mrs_relay.web import metrics as relay

_HEAD: Final = """\
# Metrics

Made by `make operations` from the code in `service/mrs_relay/web/`, `api/` and `forwarding/`; do not edit it.

Each role answers `GET /metrics`: in OpenMetrics, with exemplars, if the caller accepts that (Prometheus with
`--enable-feature=exemplar-storage`), else in Prometheus' text format. An exemplar is the `trace_id`
of a request's `traceparent`.

The labels `tenant` and `connection` are there only where tenants are configured. Labels have bounded values: of
clusters and tenants beyond the first hundreds, the rest is together under `other`. Operations are the names of
[Operations of MRS](operations.md). `process_*` are those of the Prometheus client library, on Linux.

Numbers of jobs by state, overdue jobs and the longest waits are counted beside the work, every five seconds or more;
all others are of the moment of the question.
"""


def relay_families() -> list[core.Metric]:
    """Return the metrics of `serve` with all their labels."""
    tenant = views.Tenant("name", views.Counts(), 0, 0, ready=True)
    connection = views.Connection("mrs", 0, 0, histograms.Histogram())
    return list(relay.families(views.Snapshot((tenant,), (connection,)), is_ready=True))


def web_families() -> list[core.Metric]:
    """Return the metrics of `web`."""
    return list(web_role.Collector(lambda: web_role.Snapshot(projector.Progress())).collect())


def lineage_families() -> list[core.Metric]:
    """Return the metrics of `lineage forward`."""
    topic = status.Status(
        "topic", is_joined=True, kafka_error="", faults=(), delayed_s=0, lags={}, counts=status.Counts()
    )
    return list(forwarding.Collector(lambda: [topic]).collect())


def roles() -> list[tuple[str, list[core.Metric]]]:
    """Return the metrics of each role, with its title."""
    return [
        ("The relay: `mrs-relay serve`", relay_families()),
        ("`mrs-relay web`", web_families()),
        ("`mrs-relay lineage forward`", lineage_families()),
    ]


def markdown() -> str:
    """Return the page."""
    lines = [_HEAD]
    for title, families in roles():
        lines += [f"## {title}", "", "| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
        lines += [*map(_row, sorted(families, key=lambda one: one.name)), ""]
    return "\n".join(lines)


def names(family: core.Metric) -> Iterator[str]:
    """Yield the names under which a metric can be queried."""
    if family.type == "histogram":
        yield from (f"{family.name}_{part}" for part in ("bucket", "count", "sum"))
    else:
        yield f"{family.name}_total" if family.type == "counter" else family.name


def _row(family: core.Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", ())) or "-"
    name = next(names(family)) if family.type != "histogram" else family.name
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |"
