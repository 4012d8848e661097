"""Views of the engine for metrics: counts since the start and a snapshot of now. Committed facts only."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mrs_relay.engine.scheduling import waits
from mrs_relay.messages import controls as control_records
from mrs_relay.messages import events


@dataclass(slots=True)
class Counts:
    """
    Counts since the process started; raised after the commit, except those of internal errors.

    Attributes:
        events: published events by subject and state.
        dead_letters: by reason code.
        commits: commits of all partitions.
        internal_errors: failures of the relay itself on one message or job, by step and class of error; raised at once.
    """

    events: Counter[tuple[events.Subject, events.State]] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    internal_errors: Counter[tuple[str, str]] = field(default_factory=Counter)


BOUNDS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of a histogram's buckets, in seconds; one more bucket holds the rest."""


@dataclass(slots=True)
class Histogram:
    """
    Durations, as counts in buckets.

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
class Tenant:
    """
    The work under way of one tenant.

    Attributes:
        name: of the tenant; "" where there are no tenants.
        counts: since the start.
        waiting: requests that wait for their submission.
        running: requests submitted and not ended; 0 where there are no tenants.
        ready: this process works on all its partitions of the tenant.
    """

    name: str
    counts: Counts
    waiting: int
    running: int
    ready: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """
    The work under way on one connection to MRS.

    Attributes:
        name: of the connection.
        in_flight: submissions whose reply is awaited.
        tracked: jobs followed on MRS.
        detection_lag: seconds between the end of a job on MRS and the poll that saw it.
        waiting: requests that wait for their submission, by cause.
        paused: clusters that take no calls now.
    """

    name: str
    in_flight: int
    tracked: int
    detection_lag: Histogram
    waiting: Mapping[waits.Cause, int] = field(default_factory=dict)
    paused: Sequence[waits.Paused] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    The work under way in this process.

    Attributes:
        controls: those in effect.
        controls_rejected: records of the control topic that are no controls, since the start.
        draining: jobs under way by the scope of each drain.
    """

    tenants: tuple[Tenant, ...]
    connections: tuple[Connection, ...]
    controls: tuple[control_records.Control, ...] = ()
    controls_rejected: int = 0
    draining: Mapping[control_records.Scope, int] = field(default_factory=dict)
