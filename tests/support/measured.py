"""Measure a relay of the service harness as `serve` does, and keep what Prometheus would have scraped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

import prometheus_client
from tests.support import service_harness

from mrs_relay import app, measuring
from mrs_relay.common import tasks
from mrs_relay.engine import probe
from mrs_relay.web import metrics

_ABSOLUTE = ("mrs_relay_cluster_paused_since_seconds", "mrs_relay_certificate_not_after_seconds")
"""Metrics that are moments: promtool's clock begins at 0."""

_COUNTED = ("_total", "_bucket", "_count", "_sum")


def _fail(task: str, error: BaseException) -> None:
    raise AssertionError(f"{task} failed") from error


@contextlib.asynccontextmanager
async def measured(
    relay: service_harness.ServiceHarness, replica: int = 0
) -> AsyncIterator[prometheus_client.CollectorRegistry]:
    """Measure one replica; yields what it shows."""
    served = relay.replicas[replica].served
    meter = measuring.Meter(served, relay.chosen, relay.time)
    probes = {one.connection.name: probe.Probe(one.connection.client, "http://mrs.test") for one in served}
    for one in probes.values():
        await one.run()
    async with tasks.TaskSupervisor(_fail) as supervisor:
        meter.start(supervisor)
        yield metrics.collect_from(
            lambda: measuring.snapshot(served, probes, meter), lambda: app.health_of(served, probes).ready
        )


@dataclass
class Recording:
    """
    Series of scrapes.

    Attributes:
        step_s: seconds between two scrapes.
        length: number of scrapes.
        series: name with labels -> its value at each scrape; None: it was not there.
    """

    step_s: int
    length: int = 0
    series: dict[str, list[float | None]] = field(default_factory=dict)

    def take(self, registry: prometheus_client.CollectorRegistry, names: Collection[str], origin_s: float) -> None:
        """Add one scrape of the metrics of these names."""
        for family in registry.collect():
            for one in family.samples:
                if one.name in names:
                    labels = ",".join(f'{key}="{value}"' for key, value in sorted(one.labels.items()))
                    key = f'{one.name}{{instance="relay-1",job="mrs-relay"{labels and f",{labels}"}}}'
                    values = self.series.setdefault(key, [])
                    values += [None] * (self.length - len(values))
                    values.append(one.value - (origin_s if one.name in _ABSOLUTE else 0.0))
        self.length += 1

    def repeated(self, times: int) -> Recording:
        """Return the same scrapes again and again; what is counted goes on from one repetition to the next."""
        whole = Recording(self.step_s, self.length * times)
        for key, found in self.series.items():
            values = [*found, *[None] * (self.length - len(found))]
            known = [value for value in values if value is not None]
            is_counted = key.partition("{")[0].endswith(_COUNTED)
            growth = known[-1] - known[0] if is_counted else 0.0
            whole.series[key] = [
                None if value is None else value + number * growth for number in range(times) for value in values
            ]
        return whole

    def written(self) -> list[dict[str, str]]:
        """Return the series in promtool's notation."""
        return [{"series": key, "values": " ".join(self._runs(values))} for key, values in self.series.items()]

    def _runs(self, values: list[float | None]) -> list[str]:
        """Shorten equal values in a row; a series that ends is marked as stale, as Prometheus does."""
        runs: list[tuple[str, int]] = []
        before: float | None = None
        for value in [*values, *[None] * (self.length - len(values))]:
            text = ("_" if before is None else "stale") if value is None else repr(value)
            if runs and runs[-1][0] == text:
                runs[-1] = (text, runs[-1][1] + 1)
            else:
                runs.append((text, 1))
            before = value
        return [text if count == 1 else f"{text}x{count - (text != '_')}" for text, count in runs]


async def record(
    recording: Recording,
    registry: prometheus_client.CollectorRegistry,
    names: Collection[str],
    origin_s: float,
    for_s: float,
) -> None:
    """Scrape again and again for some time."""
    for _ in range(round(for_s / recording.step_s)):
        recording.take(registry, names, origin_s)
        await asyncio.sleep(recording.step_s)
