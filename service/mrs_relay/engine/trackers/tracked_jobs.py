"""
What the tracker keeps of the jobs that it follows, and for how long MRS has not shown one.

Only time in which MRS answers counts: while its list is away, or refuses, nothing is missing. The beginning is noted in
the ledger, so that a takeover does not begin anew. Neighbours: `job_tracker` looks at MRS and says what it sees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from mrs_relay.common import clock
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import adapter

_NOTES: Final = 5
"""Notes in the ledger during one whole wait, at most one more; each may stand for many looks."""

_GAP_NOTES: Final = 3
"""
A gap between two owners counts if it is no longer than the time of so many notes: one that was about to be made, and
the time that a takeover takes. In a longer one nobody looked, so it does not count. Between two looks of one process,
which may have stood still, no more than that counts.
"""


class Owner(Protocol):
    """Who follows jobs: a partition."""

    def report(self, key: jobs.LedgerKey, fact: facts.Fact) -> None:
        """Take note of what happened to a job; must not block."""


@dataclass(slots=True, eq=False)
class Wait:
    """
    How long a job has been missing, or unsettled, while somebody looked and MRS answered.

    Attributes:
        noted: what stands in the ledger, or is on its way there.
        since_s: when it began, on the monotonic clock, later by the time in which MRS did not answer; None before this
            process's first look.
        looked_s: this process's last look, likewise.
        gap_counts: the time since the look of an earlier owner may count.
    """

    noted: jobs.Span | None = None
    since_s: float | None = None
    looked_s: float = 0.0
    gap_counts: bool = True

    def look(self, time: clock.Clock, limit_s: float) -> float:
        """Note that it is still the case, in a look that MRS answered; returns for how many seconds it has been."""
        now_s = time.monotonic_s()
        if self.since_s is None:
            self.since_s = now_s - self._carried_ms(time.now_ms(), limit_s) / 1000
        else:
            self.since_s += max(0.0, now_s - self.looked_s - _most_gap_s(limit_s))
        self.looked_s = now_s
        return now_s - self.since_s

    def note(self, time: clock.Clock, limit_s: float, waited_s: float) -> bool:
        """
        Renew what is to stand in the ledger, if it is time to.

        The first look writes nothing: most of what is missing once is shown by the next look.
        """
        counted_ms = 0 if self.noted is None else _counted_ms(self.noted)
        is_due = waited_s * 1000 - counted_ms >= limit_s * 1000 / _NOTES
        if is_due or (self.noted is None and waited_s > 0):
            now_ms = time.now_ms()
            self.noted = jobs.Span(now_ms - round(waited_s * 1000), now_ms)
            return True
        return False

    def pass_over(self, pause_s: float) -> None:
        """Leave out a time in which MRS did not answer."""
        if self.since_s is None:
            self.gap_counts = False
        else:
            self.since_s += pause_s
            self.looked_s += pause_s

    def _carried_ms(self, now_ms: int, limit_s: float) -> int:
        """What earlier owners counted, and the time since their last note if it can be no more than a takeover."""
        if self.noted is None:
            return 0
        gap_ms = now_ms - self.noted.looked_ms
        is_takeover = self.gap_counts and 0 <= gap_ms <= _most_gap_s(limit_s) * 1000
        return _counted_ms(self.noted) + (gap_ms if is_takeover else 0)


def _most_gap_s(limit_s: float) -> float:
    return limit_s / _NOTES * _GAP_NOTES


def _counted_ms(span: jobs.Span) -> int:
    return max(0, span.looked_ms - span.since_ms)


def resumed(span: jobs.Span | None) -> Wait | None:
    """Return the wait that an earlier owner has noted."""
    return None if span is None else Wait(span)


@dataclass(slots=True, eq=False)
class TrackedJob:
    """
    One job that is followed; there may be 100,000 of them.

    Attributes:
        since_ms: its time of submission by MRS's clock, or an earlier one: from then on the list shows it.
        reported: hash of what was told last, so that the same is not told again.
        missing: MRS does not show it.
        unsettled: MRS shows that it has ended and not how, or a state that no document knows.
        ended: its end was told; a further attempt of the same request is another job, with a watch of its own.
    """

    job_id: str
    key: jobs.LedgerKey
    owner: Owner
    since_ms: int
    reported: int = 0
    missing: Wait | None = None
    unsettled: Wait | None = None
    ended: bool = False

    def end_missing(self) -> None:
        """MRS shows it, or no longer says that there is no such job: a later absence begins anew."""
        wait, self.missing = self.missing, None
        self._end_note(wait)

    def end_unsettled(self) -> None:
        """MRS shows that it goes on, or how it ended."""
        wait, self.unsettled = self.unsettled, None
        self._end_note(wait)

    def _end_note(self, wait: Wait | None) -> None:
        if wait is not None and wait.noted is not None:
            self.report_waits()

    def report_waits(self) -> None:
        """Have the ledger note how long it has been missing or unsettled."""
        missing = None if self.missing is None else self.missing.noted
        unsettled = None if self.unsettled is None else self.unsettled.noted
        self.owner.report(self.key, facts.WaitsNoted(self.job_id, missing, unsettled))


@dataclass(slots=True, eq=False)
class Poll:
    """
    The last look at the jobs of a cluster.

    Attributes:
        begun_s: when it began; None before the first one.
        answered: MRS answered it.
    """

    begun_s: float | None = None
    answered: bool = True


@dataclass(slots=True, eq=False)
class TrackedCluster:
    """
    What is followed of one kind of work on one cluster.

    Attributes:
        kind: its name.
        calls: how MRS is asked.
        failures: looks in a row that showed nothing.
        shown: the present look has been answered something.
        read: a job of the present look could be read by itself.
        crowded_since_ms: the list from this moment on was seen to hold much that is not followed; it only grows.
        look: the last one.
    """

    kind: str
    calls: adapter.WorkCalls
    jobs: dict[str, TrackedJob] = field(default_factory=dict)
    failures: int = 0
    shown: bool = False
    read: bool = False
    crowded_since_ms: int | None = None
    look: Poll = field(default_factory=Poll)

    def begin(self, now_s: float) -> Poll:
        """Begin a look; the time since one that MRS did not answer is no time in which a job was missing."""
        look = self.look
        if look.begun_s is not None and not look.answered:
            self._pass_over(now_s - look.begun_s)
        look.begun_s, look.answered = now_s, False
        self.read = False
        return look

    def _pass_over(self, pause_s: float) -> None:
        for tracked in self.jobs.values():
            for wait in (tracked.missing, tracked.unsettled):
                if wait is not None:
                    wait.pass_over(pause_s)
