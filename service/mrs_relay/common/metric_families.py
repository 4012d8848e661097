"""Build metrics for Prometheus from values of one moment, with bounded labels."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from prometheus_client import core

from mrs_relay.common import histograms

OTHER: Final = "other"
"""The label that stands for all names beyond a bound."""

_Bucket = tuple[str, float] | tuple[str, float, core.Exemplar]


class Bounded:
    """
    Names as values of a label, at most so many: the first ones by the alphabet, and `OTHER` for the rest.

    Args:
        names: all names; they may repeat.
        most: that get a label of their own.
    """

    def __init__(self, names: Iterable[str], most: int) -> None:
        self._known = frozenset(sorted(set(names))[:most])

    def __call__(self, name: str) -> str:
        """Return the label of a name."""
        return name if name in self._known else OTHER


class Values:
    """
    A gauge or a counter with its values by labels.

    Args:
        kind: of the metric.
        name: of the metric; a counter's is written with `_total`.
        text: its help.
        labels: names of its labels.
        combine: makes one value of two with the same labels.
    """

    def __init__(
        self,
        kind: Literal["gauge", "counter"],
        name: str,
        text: str,
        labels: Sequence[str] = (),
        combine: Callable[[float, float], float] = operator.add,
    ) -> None:
        self._family: core.GaugeMetricFamily | core.CounterMetricFamily
        if kind == "gauge":
            self._family = core.GaugeMetricFamily(name, text, labels=labels)
        else:
            self._family = core.CounterMetricFamily(name, text, labels=labels)
        self._combine = combine
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, labels: Sequence[str], value: float) -> None:
        """Add a value; combines it with an earlier one of the same labels."""
        key = tuple(labels)
        before = self._values.get(key)
        self._values[key] = value if before is None else self._combine(before, value)

    def family(self) -> core.Metric:
        """Return the metric."""
        for labels, value in self._values.items():
            self._family.add_metric(labels, value)
        return self._family


def durations(
    name: str, text: str, labels: Sequence[str], found: Iterable[tuple[Sequence[str], histograms.Histogram]]
) -> core.Metric:
    """Make a histogram, with exemplars, of durations by labels; those of equal labels are added up."""
    merged: dict[tuple[str, ...], histograms.Histogram] = {}
    for names, one in found:
        whole = merged.setdefault(tuple(names), histograms.Histogram(one.bounds_s))
        whole.counts = [*map(operator.add, whole.counts, one.counts)]
        whole.sum_s += one.sum_s
        whole.exemplars.update(one.exemplars)

    family = core.HistogramMetricFamily(name, text, labels=labels)
    for names, one in merged.items():
        family.add_metric(names, _buckets(one), sum_value=one.sum_s)
    return family


def _buckets(seen: histograms.Histogram) -> list[_Bucket]:
    total = 0
    buckets: list[_Bucket] = []
    for number, (bound, count) in enumerate(zip((*map(str, seen.bounds_s), "+Inf"), seen.counts, strict=True)):
        total += count
        example = seen.exemplars.get(number)
        if example is None:
            buckets.append((bound, float(total)))
        else:
            shown = core.Exemplar({"trace_id": example.trace_id}, example.took_s, example.at_s)
            buckets.append((bound, float(total), shown))
    return buckets
