"""
How memory, takeovers, requests, commits and reads grow with what there is, up to a very large deployment.

Each series runs by itself and prints as it goes. A full run writes its figures to docs/images/growth.json, and draws
them as docs/images/growth.svg; a quick one, with smaller numbers, writes nothing. Kafka is in memory where it is not
what is measured; CPU time is counted, not time, except for commits. About twelve minutes.

    make bench ARGS="--only growth"                          all series
    PYTHONPATH=. python bench/growth.py --only reads         one series: its figures replace those of the last run
    PYTHONPATH=. python bench/growth.py --draw               the picture of the figures that are there
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bench import chart, growth_series

from mrs_relay.common import logs

IMAGES: Final = pathlib.Path(__file__).parent.parent / "docs" / "images"
FIGURES: Final = IMAGES / "growth.json"
PICTURE: Final = IMAGES / "growth.svg"
LABEL: Final = "How memory, takeovers, requests, commits and reads grow; the tables of the page have the figures."

SERIES: Final[Mapping[str, Callable[..., object]]] = {
    "remembered": growth_series.remembered,
    "clusters": growth_series.clusters,
    "tenants": growth_series.tenants,
    "partitions": growth_series.partitions,
    "reads": growth_series.reads,
    "fleet": growth_series.fleet,
}
"""Name -> what measures it; each takes whether the run is quick, and returns its points, or figures."""


def panels(found: Mapping[str, Any]) -> list[chart.Panel]:
    """Return the charts of the figures that are there."""
    return [panel for panel in _panels(collections.defaultdict(list, found)) if any(panel.lines.values())]


def _panels(found: Mapping[str, Any]) -> list[chart.Panel]:
    remembered, reads, partitions = found["remembered"], found["reads"], found["partitions"]
    return [
        chart.Panel(
            "Memory of remembered requests, MB",
            "requests that have ended",
            {"": [(one["count"], one["mb"]) for one in remembered]},
        ),
        chart.Panel(
            "CPU time of a takeover, s",
            "requests that have ended",
            {"": [(one["count"], one["restore_s"]) for one in remembered]},
        ),
        chart.Panel(
            "CPU time of a request, µs",
            "clusters, or tenants",
            {name: [(one["count"], one["request_us"]) for one in found[name]] for name in ("clusters", "tenants")},
        ),
        chart.Panel(
            "Commit on Kafka, ms",
            "partitions of one replica",
            {
                "p99": [(one["count"], one["p99_ms"]) for one in partitions],
                "mean": [(one["count"], one["mean_ms"]) for one in partitions],
            },
        ),
        chart.Panel(
            "Reads of MRS a minute",
            "jobs under way",
            {"": [(one["count"], one["per_minute"]) for one in reads]},
        ),
        chart.Panel(
            "Seconds between two looks at a cluster",
            "jobs under way",
            {"": [(one["count"], one["look_s"]) for one in reads]},
        ),
    ]


def measure(names: list[str], *, quick: bool) -> dict[str, Any]:
    """Measure the figures of some series, each recorded unless they are quick; prints progress on standard error."""
    found = {}
    for name in names:
        begun_s = time.monotonic()
        found[name] = SERIES[name](quick=quick)
        if not quick:
            record({name: found[name]})
        print(f"  {name}: {time.monotonic() - begun_s:.0f} s", file=sys.stderr, flush=True)
    return found


def record(found: Mapping[str, Any]) -> None:
    """Replace the figures of these series, and draw the picture."""
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    merged = {**known, **found}
    FIGURES.write_text(json.dumps({name: merged[name] for name in SERIES if name in merged}, indent=1) + "\n")
    PICTURE.write_text(chart.draw(panels(merged), LABEL))


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(SERIES), metavar="SERIES", help=", ".join(SERIES))
    parser.add_argument("--quick", action="store_true", help="smaller numbers, about three minutes; writes nothing")
    parser.add_argument("--draw", action="store_true", help="measure nothing, draw the picture")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    logs.setup(level="ERROR")
    found = {} if given.draw else measure(given.only or list(SERIES), quick=given.quick)
    if given.draw:
        record(found)
    print(json.dumps(found) if given.json else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
