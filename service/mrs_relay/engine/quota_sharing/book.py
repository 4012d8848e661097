"""
The coordinator's book: what each replica may have spent, and may still spend, of each operation's budget.

A claim is an upper bound of the calls that a replica has in the present window, whatever was lost or late on the way:
what it reported, and what an unexpired grant lets it do. Grants may be made as long as all claims fit into the limit.
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
"""Seconds by which the coordinator thinks that a grant holds longer: clocks run at slightly different rates."""

PACE_PART: Final = 1.1
"""By so much a granted pace may exceed the budget's own, to make up for the moments lost between grants."""

OTHERS_LIMIT: Final = 1000
"""The limit of `notes.OTHERS`, in parts per thousand of every limit."""

LimitOf = Callable[[str], int]
"""Calls a minute of an operation."""


def limit_with_others(limit_of: LimitOf) -> LimitOf:
    """Extend limits by that of `notes.OTHERS`."""
    return lambda operation: OTHERS_LIMIT if operation == notes.OTHERS else limit_of(operation)


@dataclass(frozen=True, slots=True)
class Granted:
    """
    One grant on its way, in force, or over.

    Attributes:
        round: of this coordinator; -1 for a former coordinator's.
        until_s: the latest moment at which it may be used, on the coordinator's clock.
        calls: in any window, by operation.
        pace: calls in as many seconds when they go evenly, where it is known to be less than the budget's own.
    """

    round: int
    until_s: float
    calls: Mapping[str, int]
    pace: Mapping[str, int] = field(default_factory=dict)

    def of(self, operation: str, limit: int) -> int:
        """Calls of one operation."""
        found = self.calls.get(operation)
        return limit * self.calls.get(notes.OTHERS, 0) // OTHERS_LIMIT if found is None else found


@dataclass(eq=False, slots=True)
class Member:
    """
    One replica.

    Attributes:
        name: of the replica.
        heard_s: when its latest demand was heard first.
        demand: the latest.
        used: operation → when its reported calls leave the window, at the latest, and how many.
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
        """Take a demand; False for one that is not newer than the last."""
        if self.demand is not None and demand.number <= self.demand.number:
            return False
        self.demand, self.heard_s = demand, now_s
        self.used = {operation: leaving(counts, now_s) for operation, counts in demand.used.items()}
        applied_by, applied = demand.applied
        if applied_by == coordinator:
            self.granted = [one for one in self.granted if one.round >= applied]
        elif demand.held:
            self.granted.insert(0, Granted(-1, now_s + VALID_S + MARGIN_S, demand.held))
        return True

    def known(self, operation: str, now_s: float) -> int:
        """Reported calls that may still be in the window."""
        return sum(count for leaves_s, count in self.used.get(operation, ()) if leaves_s > now_s)

    def recent(self, operation: str) -> float:
        """Calls in a window at the rate of the last seconds."""
        buckets = 9
        counts = self.demand.used.get(operation, []) if self.demand is not None else []
        return sum(counts[:buckets]) * limits.WINDOW_S / (buckets * limits.BUCKET_S)

    def is_present(self, now_s: float) -> bool:
        """Whether it was heard of lately, so that a grant would reach it in time."""
        return now_s - self.heard_s < VALID_S

    def in_force(self, operation: str, limit: int, now_s: float) -> int:
        """Calls that the latest grant allows; 0 once it has ended."""
        last = self.granted[-1] if self.granted else None
        return last.of(operation, limit) if last is not None and last.until_s > now_s else 0

    def claim(self, operation: str, limit: int, now_s: float) -> int:
        """Most calls in the present window, those included that it may make unheard."""
        known = self.known(operation, now_s)
        in_force = [one.of(operation, limit) for one in self.granted if one.until_s > now_s]
        if self.static_share:
            in_force.append(math.ceil(limit * self.static_share))
        if in_force:
            return max(known, *in_force)
        over = [one for one in self.granted if one.until_s + limits.WINDOW_S > now_s]
        if not over:
            return known
        unheard = max(min(one.of(operation, limit), self._unheard(operation, limit, one, now_s)) for one in over)
        return min(known + unheard, max(known, *(one.of(operation, limit) for one in over)))

    def _unheard(self, operation: str, limit: int, ended: Granted, now_s: float) -> int:
        """
        Calls in the present window that its pace has allowed since its last report, if it is gone.

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
        """Drop grants that no call of this window can rest on."""
        self.granted = [one for one in self.granted if one.until_s + limits.WINDOW_S > now_s]

    def is_over(self, now_s: float) -> bool:
        """Nothing of it is in the present window, and nothing can come."""
        known = any(self.known(operation, now_s) for operation in self.used)
        return not self.is_present(now_s) and not self.granted and not known


def leaving(counts: list[int], now_s: float) -> list[tuple[float, int]]:
    """When calls that were reported in buckets leave the window, at the latest."""
    return [(now_s + limits.WINDOW_S - number * limits.BUCKET_S, count) for number, count in enumerate(counts) if count]
