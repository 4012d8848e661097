"""Counts of the calls on one connection since the process started, for metrics."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import Final

from mrs_relay import errors
from mrs_relay.common import histograms

_TOO_MANY: Final = 429

OUTCOMES: Final[dict[type[errors.MrsError] | None, str]] = {
    None: "worked",
    errors.MrsRefused: "refused",
    errors.MrsBusy: "busy",
    errors.MrsThrottled: "throttled",
    errors.MrsUnreachable: "unreachable",
    errors.MrsUntouched: "untouched",
    errors.MrsAmbiguous: "ambiguous",
}
"""Class of the error of a call -> its name in metrics; None: the call worked."""


@dataclass(slots=True)
class CallCounts:
    """
    The calls of one connection that were sent, or could not be.

    Attributes:
        calls: by operation and outcome.
        durations: by operation, from signing to the whole reply.
        throttled: answers 429.
    """

    calls: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    durations: dict[str, histograms.Histogram] = field(default_factory=dict)
    throttled: int = 0

    def note(self, operation: str, error: errors.MrsError | None, took_s: float) -> None:
        """Count one call with its outcome and its duration."""
        self.calls[operation, OUTCOMES.get(None if error is None else type(error), "failed")] += 1
        if error is not None and error.status == _TOO_MANY:
            self.throttled += 1
        durations = self.durations.get(operation)
        if durations is None:
            durations = self.durations[operation] = histograms.Histogram(histograms.CALLS_S)
        durations.add(took_s)
