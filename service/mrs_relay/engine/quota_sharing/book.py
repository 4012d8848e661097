"""
Keep the coordinator's book: the calls that each replica may have made, and may still make, of each operation's budget.

A claim is an upper bound of a replica's calls in the present window, even if reports were lost or late: the calls that
it reported, and those that an unexpired grant allows. Grants may be made as long as all claims fit into the limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mrs_relay.engine.quota_sharing import notes
from mrs_relay.mrs import limits

VALID_S: Final = 8.0
"""Seconds for which a grant holds, from the moment at which its replica sent the demand that is answered."""

MARGIN_S: Final = 1.0
"""Seconds that the coordinator adds to a grant's validity, because clocks run at slightly different rates."""

PACE_PART: Final = 1.1
"""Factor by which a granted pace may exceed the budget's own, to make up for the moments lost between grants."""

OTHERS_LIMIT: Final = 1000
"""The limit of `notes.OTHERS`, in parts per thousand of every limit."""

LimitOf = Callable[[str], int]
"""Calls a minute of an operation."""


def limit_with_others(limit_of: LimitOf) -> LimitOf:
    """Extend limits by the limit of `notes.OTHERS`."""
    return lambda operation: OTHERS_LIMIT if operation == notes.OTHERS else limit_of(operation)


@dataclass(frozen=True, slots=True)
class Granted:
    """
    One grant on its way, in force, or over.

    Attributes:
        round: of this coordinator; -1 for a former coordinator's.
        until_s: the latest moment at which it may be used, on the coordinator's clock.
        calls: in any window, by operation.
        pace: calls in a window at an even pace, where the pace is known to be less than the budget's own.
    """

    round: int
    until_s: float
    calls: Mapping[str, int]
    pace: Mapping[str, int] = field(default_factory=dict)

    def of(self, operation: str, limit: int) -> int:
        """Return the granted calls of one operation."""
        found = self.calls.get(operation)
        return limit * self.calls.get(notes.OTHERS, 0) // OTHERS_LIMIT if found is None else found


@dataclass(eq=False, slots=True)
class Member:
    """
    One replica.

    Attributes:
        name: of the replica.
        heard_s: when its latest demand was received first.
        demand: the latest demand.
        used: operation → when its reported calls leave the window, at the latest, and their number.
        granted: grants that the replica may use or may have used in this window, the newest last.
        static_share: the part of each limit that it spends without grants; 0.0 with grants.
    """

    name: str
    heard_s: float = float("-inf")
    demand: notes.Demand | None = None
    used: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    granted: list[Granted] = field(default_factory=list)
    static_share: float = 0.0

    def hear(self, demand: notes.Demand, coordinator: str, now_s: float) -> bool:
        """Take a demand; returns False for one that is not newer than the last."""
        if self.demand is not None and demand.number <= self.demand.number:
            return False

        self.demand, self.heard_s = demand, now_s
        self.used = {operation: leaving(counts, now_s) for operation, counts in demand.used.items()}

        # Grants before the applied one are over; a former coordinator's grant may still be in force.
        applied_by, applied = demand.applied
        if applied_by == coordinator:
            self.granted = [one for one in self.granted if one.round >= applied]
        elif demand.held:
            self.granted.insert(0, Granted(-1, now_s + VALID_S + MARGIN_S, demand.held))
        return True

    def known(self, operation: str, now_s: float) -> int:
        """Count the reported calls that may still be in the window."""
        return sum(count for leaves_s, count in self.used.get(operation, ()) if leaves_s > now_s)

    def recent(self, operation: str) -> float:
        """Return the calls in a window at the rate of the last seconds."""
        buckets = 9
        counts = self.demand.used.get(operation, []) if self.demand is not None else []
        return sum(counts[:buckets]) * limits.WINDOW_S / (buckets * limits.BUCKET_S)

    def is_present(self, now_s: float) -> bool:
        """Return whether its latest demand is so young that a grant would reach it in time."""
        return now_s - self.heard_s < VALID_S

    def in_force(self, operation: str, limit: int, now_s: float) -> int:
        """Return the calls that the latest grant allows; 0 once it has ended."""
        last = self.granted[-1] if self.granted else None
        return last.of(operation, limit) if last is not None and last.until_s > now_s else 0

    def claim(self, operation: str, limit: int, now_s: float) -> int:
        """Return the most calls in the present window, including those that were never reported."""
        known = self.known(operation, now_s)
        in_force = [one.of(operation, limit) for one in self.granted if one.until_s > now_s]
        if self.static_share:
            in_force.append(math.ceil(limit * self.static_share))
        if in_force:
            return max(known, *in_force)

        # Without a grant in force it makes no further calls, but a grant that is over may have calls in this window.
        over = [one for one in self.granted if one.until_s + limits.WINDOW_S > now_s]
        if not over:
            return known
        unheard = max(
            min(one.of(operation, limit), self._unreported_calls(operation, limit, one, now_s)) for one in over
        )
        return min(known + unheard, max(known, *(one.of(operation, limit) for one in over)))

    def _unreported_calls(self, operation: str, limit: int, ended: Granted, now_s: float) -> int:
        """
        Return the calls in the present window that its pace has allowed since its last report, if it is gone.

        A grant is never used for longer than `VALID_S` after the demand that it answers, and so after the last report.
        """
        if operation == notes.OTHERS:
            return limit

        since_s = ended.until_s - (now_s - limits.WINDOW_S)
        if self.demand is not None:
            since_s = min(since_s, VALID_S)
        pace = min(limit * PACE_PART, max(one.pace.get(operation, math.inf) for one in self.granted))
        return 1 + limits.burst_of(pace) + math.ceil(max(0.0, since_s) * pace / limits.WINDOW_S)

    def forget_old(self, now_s: float) -> None:
        """Drop grants that ended before this window."""
        self.granted = [one for one in self.granted if one.until_s + limits.WINDOW_S > now_s]

    def is_over(self, now_s: float) -> bool:
        """Return whether it has no calls in the present window, and cannot make any."""
        known = any(self.known(operation, now_s) for operation in self.used)
        return not self.is_present(now_s) and not self.granted and not known


def leaving(counts: list[int], now_s: float) -> list[tuple[float, int]]:
    """Return when calls that were reported in buckets leave the window, at the latest."""
    return [(now_s + limits.WINDOW_S - number * limits.BUCKET_S, count) for number, count in enumerate(counts) if count]
