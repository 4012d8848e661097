"""
What the tracker keeps of the jobs that it follows, and for how long MRS has not shown one.

Only time in which MRS answers counts: while its list is away, or refuses, nothing is missing. Neighbours: `tracker`
looks at MRS and says what it sees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from mrs_relay.engine import facts, jobs, ways


class Owner(Protocol):
    """Who follows jobs: a partition."""

    def tell(self, key: jobs.LedgerKey, fact: facts.Fact) -> None:
        """Take note of what happened to a job; must not block."""


@dataclass(slots=True, eq=False)
class Watch:
    """
    One job that is followed; there may be 100,000 of them.

    Attributes:
        since_ms: its time of submission by MRS's clock, or an earlier one: from then on the list shows it.
        told: hash of what was told last, so that the same is not told again.
        missing_since_s: when MRS stopped showing it, later by the time in which MRS did not answer.
        unsettled_since_s: when MRS showed that it has ended and not how, or a state that no document knows; likewise.
        ended: its end was told; a further attempt of the same request is another job, with a watch of its own.
    """

    job_id: str
    key: jobs.LedgerKey
    owner: Owner
    since_ms: int
    statement: bool
    told: int = 0
    missing_since_s: float | None = None
    unsettled_since_s: float | None = None
    ended: bool = False

    def read_failed(self) -> None:
        """Begin anew: MRS no longer says that there is no such job."""
        self.missing_since_s = None


@dataclass(slots=True, eq=False)
class Look:
    """
    The last look at one kind of work of a cluster: batch jobs or statements.

    Attributes:
        begun_s: when it began; None before the first one.
        answered: MRS answered it.
    """

    begun_s: float | None = None
    answered: bool = True


@dataclass(slots=True, eq=False)
class Cluster:
    """
    What is followed on one cluster by one job API.

    Attributes:
        api: which.
        way: how it is asked.
        failures: looks in a row that showed nothing.
        shown: the present look has been answered something.
        read: a job or statement of the present look could be read by itself.
        crowded_since_ms: the list from this moment on was seen to hold much that is not followed; it only grows.
        looks: the last ones, at batch jobs and at statements.
    """

    api: jobs.Api
    way: ways.Way
    watches: dict[str, Watch] = field(default_factory=dict)
    failures: int = 0
    shown: bool = False
    read: bool = False
    crowded_since_ms: int | None = None
    looks: tuple[Look, Look] = field(default_factory=lambda: (Look(), Look()))

    def begin(self, *, statements: bool, now_s: float) -> Look:
        """Begin a look; the time since one that MRS did not answer is no time in which a job was missing."""
        look = self.looks[statements]
        if look.begun_s is not None and not look.answered:
            self._pass_over(now_s - look.begun_s, statements=statements)
        look.begun_s, look.answered = now_s, False
        self.read = False
        return look

    def _pass_over(self, pause_s: float, *, statements: bool) -> None:
        for watch in self.watches.values():
            if watch.statement is statements:
                if watch.missing_since_s is not None:
                    watch.missing_since_s += pause_s
                if watch.unsettled_since_s is not None:
                    watch.unsettled_since_s += pause_s

    def answered(self) -> None:
        """Note that MRS answered for all that is followed here: that there is nothing of it."""
        for look in self.looks:
            look.answered = True
