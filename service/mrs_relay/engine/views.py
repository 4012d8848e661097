"""What the engine lets others see: counts since the start and a snapshot of now. Committed facts only."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    What is under way in this process.

    Attributes:
        counts: since the start.
        waiting: jobs that wait for their turn.
        in_flight: submissions whose reply is awaited.
        tracked: jobs followed on MRS.
    """

    counts: Counts
    waiting: int
    in_flight: int
    tracked: int
