"""What the engine lets others see: counts since the start and a snapshot of now. Committed facts only."""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import dataclass, field

from mrs_relay.messages import events


@dataclass(slots=True)
class Counts:
    """
    Counts since the process started; raised after the commit, never before.

    Attributes:
        events: published events by subject and state.
        dead_letters: by reason code.
        commits: commits of all partitions.
    """

    events: Counter[tuple[events.Subject, events.State]] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    commits: int = 0


BOUNDS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of a histogram's buckets, in seconds; one more bucket holds the rest."""


@dataclass(slots=True)
class Histogram:
    """
    How long something took, as counts in buckets.

    Attributes:
        counts: by bucket, not cumulated.
        sum_s: of all, in seconds.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, took_s: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(BOUNDS_S, took_s)] += 1
        self.sum_s += took_s


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    What is under way in this process.

    Attributes:
        counts: since the start.
        waiting: jobs that wait for their turn.
        in_flight: submissions whose reply is awaited.
        tracked: jobs followed on MRS.
        detection_lag: seconds between the end of a job on MRS and the moment we saw it.
    """

    counts: Counts
    waiting: int
    in_flight: int
    tracked: int
    detection_lag: Histogram
