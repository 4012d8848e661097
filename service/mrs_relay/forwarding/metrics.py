"""A forwarder's numbers as Prometheus metrics; docs/metrics.md lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import core, registry

from mrs_relay.common.metric_families import Values
from mrs_relay.forwarding import status


class Collector(registry.Collector):
    """
    Make the metrics of the forwarders of a process when they are collected.

    Args:
        topics: describes each topic of run events.
    """

    def __init__(self, topics: Callable[[], Sequence[status.Status]]) -> None:
        self._topics = topics

    def collect(self) -> Iterator[core.Metric]:
        """Make the metrics from the present numbers."""
        events = Values(
            "counter",
            "mrs_relay_lineage_events",
            "Run events by outcome: sent; refused for what they are; lost, as they could not be read or were deleted.",
            ["topic", "outcome"],
        )
        repeated = Values(
            "counter", "mrs_relay_lineage_repeated", "Tries after which a run event is sent again.", ["topic"]
        )
        lag = Values(
            "gauge", "mrs_relay_lineage_lag_records", "Run events that are not sent yet.", ["topic", "partition"]
        )
        delayed = Values(
            "gauge",
            "mrs_relay_lineage_delayed_seconds",
            "How long the run event has waited that the endpoint does not take; 0: none waits for another try.",
            ["topic"],
        )
        ready = Values("gauge", "mrs_relay_lineage_ready", "1 while run events are forwarded, else 0.", ["topic"])

        for one in self._topics():
            for outcome in ("sent", "refused", "lost"):
                events.add([one.topic, outcome], getattr(one.counts, outcome))
            repeated.add([one.topic], one.counts.repeated)
            for partition, records in one.lags.items():
                if records is not None:
                    lag.add([one.topic, str(partition)], records)
            delayed.add([one.topic], one.delayed_s)
            ready.add([one.topic], not list(status.reasons([one])))
        for family in (events, repeated, lag, delayed, ready):
            yield family.family()
