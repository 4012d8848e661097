"""The progress of the read model and the open streams as Prometheus metrics; docs/metrics.md lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import core, registry

from mrs_relay.common import certificates
from mrs_relay.common.metric_families import Values, durations
from mrs_relay.read_model import projector


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    The role at one moment.

    Attributes:
        progress: of the projection.
        streams: open streams, and calls that wait.
        cut_off: streams that were ended because their reader did not read, since the start.
        certificates: setting -> when its certificate expires, seconds since the epoch.
    """

    progress: projector.Progress
    streams: int = 0
    cut_off: int = 0
    certificates: Mapping[str, float] = field(default_factory=dict)


class Collector(registry.Collector):
    """Makes the metrics of the web role when they are collected."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[core.Metric]:
        """Make the metrics from the present numbers."""
        now = self._snapshot()
        progress = now.progress
        behind = Values(
            "gauge", "mrs_relay_web_behind_records", "Records of a topic that are not in the database yet.", ["topic"]
        )
        for topic, count in (progress.behind or {}).items():
            behind.add([topic], count)
        yield behind.family()
        yield durations(
            "mrs_relay_web_projection_delay_seconds",
            "From a record's being written to Kafka to its being in the database: the oldest of each batch.",
            [],
            [([], progress.delay)],
        )

        yield certificates.family(now.certificates)
        for kind, name, text, value in _single(now):
            made = Values(kind, f"mrs_relay_web_{name}", text)
            made.add((), float(value))
            yield made.family()


def _single(now: Snapshot) -> Iterator[tuple[Literal["gauge", "counter"], str, str, float]]:
    """Yield the metrics without labels: kind, name, help and value."""
    progress = now.progress
    yield "gauge", "writes", "1 when this process writes to the database.", progress.writes
    yield "gauge", "caught_up", "1 when all that the topics held at first is in the database.", progress.caught_up
    yield "gauge", "failing", "1 while a topic or the database cannot be used.", progress.problem is not None
    yield "counter", "records", "Records written.", progress.written
    yield "counter", "records_skipped", "Records that are no message of mrs-relay.", progress.skipped
    yield "gauge", "streams", "Open streams of events and calls that wait.", now.streams
    yield "counter", "streams_cut_off", "Streams whose reader did not read.", now.cut_off
