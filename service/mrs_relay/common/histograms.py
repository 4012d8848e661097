"""Count durations in buckets, with the trace of the last one in each, for metrics."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from typing import Final

CALLS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds for calls over a network, in seconds."""

LAGS_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Bounds for delays that polling causes, in seconds."""

LONG_S: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0)
"""Bounds for waits and runs of jobs, in seconds: up to a day."""

DELAYS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Bounds for delays of the event loop, in seconds."""

_TRACE: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-")
"""The beginning of a `traceparent`. Source: W3C Trace Context, 3.2."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """
    One observed duration of a bucket.

    Attributes:
        trace_id: of the request's trace.
        took_s: the duration.
        at_s: when it was observed, seconds since the epoch.
    """

    trace_id: str
    took_s: float
    at_s: float


@dataclass(slots=True)
class Histogram:
    """
    Durations, as counts in buckets.

    Attributes:
        bounds_s: upper bounds of the buckets, in seconds; one more bucket holds the rest.
        counts: by bucket, not cumulated.
        sum_s: of all, in seconds.
        exemplars: the last traced duration of each bucket.
    """

    bounds_s: tuple[float, ...] = LAGS_S
    counts: list[int] = field(default_factory=list)
    sum_s: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds_s) + 1)

    def add(self, took_s: float) -> int:
        """Count one; returns its bucket."""
        bucket = bisect.bisect_left(self.bounds_s, took_s)
        self.counts[bucket] += 1
        self.sum_s += took_s
        return bucket

    def add_traced(self, took_s: float, traceparent: str | None, at_ms: int) -> None:
        """Count one whose request has a trace, or none; a `traceparent` that is malformed counts as none."""
        bucket = self.add(took_s)
        if (found := trace_id(traceparent)) is not None:
            self.exemplars[bucket] = Exemplar(found, took_s, at_ms / 1000)


def trace_id(traceparent: str | None) -> str | None:
    """Return the id of a `traceparent`'s trace; None: it is malformed, or there is none."""
    found = None if traceparent is None else _TRACE.match(traceparent)
    return None if found is None else found[1]
