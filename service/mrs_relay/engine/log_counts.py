"""Counts of the logs of jobs that were read on one connection since the process started, for metrics."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from mrs_relay.common import histograms

Outcome = Literal["found", "missing", "unreadable", "timed_out"]
"""
How the reading of a log ended: some of it was read; OBS had none until the time was up; OBS refused it, or there was
nothing in it; OBS did not answer, or failed, until the time was up.
"""

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


@dataclass(slots=True)
class LogCounts:
    """
    The readings of logs that have ended.

    Attributes:
        outcomes: how often each.
        durations: from the decision to read a log to its outcome, with all tries.
    """

    outcomes: collections.Counter[Outcome] = field(default_factory=collections.Counter)
    durations: histograms.Histogram = field(default_factory=lambda: histograms.Histogram(histograms.LAGS_S))

    def note(self, outcome: Outcome, took_s: float) -> None:
        """Count one."""
        self.outcomes[outcome] += 1
        self.durations.add(took_s)
