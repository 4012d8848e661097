"""
Keep the tracker's record of each followed job, and measure for how long MRS has not shown it.

Only time in which MRS answers counts: while its list fails, or is refused, no job is missing. The ledger holds the
beginning of a wait, so that a takeover continues it. Neighbours: `job_tracker` polls MRS and reports observations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from mrs_relay.common import clock
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import adapter

_NOTES: Final = 5
"""Notes in the ledger during one whole wait, at most one more; each may stand for many polls."""

_GAP_NOTES: Final = 3
"""
Longest gap between two owners that counts, in notes: one that was about to be made, and the time of a takeover. In a
longer gap no process polled, so it does not count. Between two polls of one process, which may have been suspended, no
more than that counts.
"""


class Owner(Protocol):
    """Owner of followed jobs: a partition."""

    def report(self, key: jobs.LedgerKey, fact: facts.Fact) -> None:
        """Take a fact about a job; must not block."""


@dataclass(slots=True, eq=False)
class Wait:
    """
    The time for which a job has been missing, or unsettled, while a process polled and MRS answered.

    Attributes:
        noted: the wait as in the ledger, or on its way there.
        since_s: its beginning on the monotonic clock, later by the time in which MRS did not answer; None before this
            process's first poll.
        looked_s: this process's last poll, likewise.
        gap_counts: the time since the last poll of an earlier owner may count.
    """

    noted: jobs.Span | None = None
    since_s: float | None = None
    looked_s: float = 0.0
    gap_counts: bool = True

    def look(self, time: clock.Clock, limit_s: float) -> float:
        """Extend the wait by a poll that MRS answered; returns the seconds of the wait."""
        now_s = time.monotonic_s()
        if self.since_s is None:
            self.since_s = now_s - self._carried_ms(time.now_ms(), limit_s) / 1000
        else:
            self.since_s += max(0.0, now_s - self.looked_s - _most_gap_s(limit_s))
        self.looked_s = now_s
        return now_s - self.since_s

    def note(self, time: clock.Clock, limit_s: float, waited_s: float) -> bool:
        """
        Renew the note for the ledger, if one is due; returns whether it was.

        The first poll writes nothing: most jobs that are missing once are shown by the next poll.
        """
        counted_ms = 0 if self.noted is None else _counted_ms(self.noted)
        is_due = waited_s * 1000 - counted_ms >= limit_s * 1000 / _NOTES
        if is_due or (self.noted is None and waited_s > 0):
            now_ms = time.now_ms()
            self.noted = jobs.Span(now_ms - round(waited_s * 1000), now_ms)
            return True
        return False

    def pass_over(self, pause_s: float) -> None:
        """Exclude a time in which MRS did not answer."""
        if self.since_s is None:
            self.gap_counts = False
        else:
            self.since_s += pause_s
            self.looked_s += pause_s

    def _carried_ms(self, now_ms: int, limit_s: float) -> int:
        """Return the time that earlier owners counted, and the time since their last note if a takeover explains it."""
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
    """Return the wait that an earlier owner noted."""
    return None if span is None else Wait(span)


class TrackedJob(msgspec.Struct, eq=False, gc=False):
    """
    One followed job; there may be 100,000 of them, which the cycle collector need not look at.

    Attributes:
        since_ms: its time of submission by MRS's clock, or an earlier one: a list from then on shows it.
        reported: hash of the last reported status, so that the same status is not reported twice.
        missing: wait of a job that MRS does not show.
        unsettled: wait of a job that MRS shows as ended without an outcome, or in an undocumented state.
        ended: its end was reported; a further attempt of the same request is another job with a record of its own.
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
        """End the wait when MRS shows the job, or no longer denies it: a later absence starts a new wait."""
        wait, self.missing = self.missing, None
        self._end_note(wait)

    def end_unsettled(self) -> None:
        """End the wait when MRS shows that the job continues, or its outcome."""
        wait, self.unsettled = self.unsettled, None
        self._end_note(wait)

    def _end_note(self, wait: Wait | None) -> None:
        if wait is not None and wait.noted is not None:
            self.report_waits()

    def report_waits(self) -> None:
        """Report for the ledger how long the job has been missing or unsettled."""
        missing = None if self.missing is None else self.missing.noted
        unsettled = None if self.unsettled is None else self.unsettled.noted
        self.owner.report(self.key, facts.WaitsNoted(self.job_id, missing, unsettled))


@dataclass(slots=True, eq=False)
class Poll:
    """
    The last poll of a cluster's jobs.

    Attributes:
        begun_s: when it began; None before the first one.
        answered: MRS answered it.
    """

    begun_s: float | None = None
    answered: bool = True


@dataclass(slots=True, eq=False)
class TrackedCluster:
    """
    The followed jobs of one kind of work on one cluster.

    Attributes:
        kind: name of the kind of work.
        calls: the calls of that kind.
        failures: polls in a row that showed nothing.
        shown: the present poll has shown something.
        read: a job of the present poll could be read by itself.
        crowded_since_ms: the list from this moment on holds many jobs that are not followed; it only grows.
        look: the last poll.
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
        """Begin a poll; time since a poll that MRS did not answer does not count as time of a missing job."""
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
