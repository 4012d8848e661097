"""Counts of the runtime of one input topic since the process started, for metrics; they outlive a runtime."""

from __future__ import annotations

from dataclasses import dataclass, field

from mrs_relay.common import histograms


def _calls() -> histograms.Histogram:
    return histograms.Histogram(histograms.CALLS_S)


@dataclass(slots=True)
class RuntimeCounts:
    """
    What happened to the partitions of one input topic.

    Attributes:
        commits: durations of commits that Kafka took.
        commit_failures: commits that failed, or whose outcome is unknown.
        takeovers: durations from the beginning of a restore to the handler's start.
        restores: durations from the beginning of a restore until messages can be taken.
        restore_failures: restores that ended with an error.
        rebalances: assignments by the group.
    """

    commits: histograms.Histogram = field(default_factory=_calls)
    commit_failures: int = 0
    takeovers: histograms.Histogram = field(default_factory=histograms.Histogram)
    restores: histograms.Histogram = field(default_factory=histograms.Histogram)
    restore_failures: int = 0
    rebalances: int = 0
