"""Add up the time in which a connection and its clusters took no calls, for metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from mrs_relay.engine.scheduling import entries

OTHER: Final = "other"
"""Stands for all clusters beyond the bound."""

_MOST: Final = 100
"""Clusters that are distinguished: each is a label of a metric for as long as the process lives."""


@dataclass(slots=True)
class PauseTimes:
    """
    Seconds since the process started.

    Attributes:
        throttled_s: in which MRS's last 429 held all calls back.
        unreachable_s: in which no call could be sent.
        open_s: in which a place was paused, or tried by one call at a time: cluster and operation -> seconds.
    """

    throttled_s: float = 0.0
    unreachable_s: float = 0.0
    open_s: dict[entries.Place, float] = field(default_factory=dict)

    def add(self, elapsed_s: float, *, throttled: bool, unreachable: bool, places: Iterable[entries.Place]) -> None:
        """Count the seconds since the last call for what is paused now."""
        self.throttled_s += elapsed_s if throttled else 0.0
        self.unreachable_s += elapsed_s if unreachable else 0.0
        for place in places:
            counted = place if place in self.open_s or len(self.open_s) < _MOST else (OTHER, place[1])
            self.open_s[counted] = self.open_s.get(counted, 0.0) + elapsed_s
