"""
Who may submit next: slots per cluster, submissions in flight, the write quota, and waits that MRS asked for.

Full means wait: a ticket stays in its cluster's line, higher priority first, then arrival, until there is a slot, a
place in flight and a token of the quota. Lines take turns, so one busy cluster never starves another. The token is
spent here, before the intent is committed, so that a committed intent never waits for quota.

One gate serves all partitions of this process; it runs on the event loop and never blocks.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mrs_relay.engine import jobs
from mrs_relay.engine import settings as engine_settings
from mrs_relay.kit import clock

Owner = object
"""Whoever holds tickets and slots and may lose them all at once: a partition. Hashable, equal only to itself."""

_Holder = tuple[Owner, jobs.LedgerKey]

Place = tuple[str, str]
"""A line: the cluster, and the MRS operation that its tickets wait for. Only batch jobs take slots."""

Spend = Callable[[str], float]
"""Spends one call of an operation's quota; returns 0.0, or seconds until there is a token."""


@dataclass(eq=False, slots=True)
class Ticket:
    """
    A job that waits for its turn.

    Attributes:
        rank: lower goes first.
        key: the job.
        place: the line.
        owner: its partition.
        admit: called when it is the job's turn.
    """

    rank: tuple[int, int, int]
    key: jobs.LedgerKey
    place: Place
    owner: Owner
    admit: Callable[[jobs.LedgerKey], None]

    def __lt__(self, other: Ticket) -> bool:
        return self.rank < other.rank


def ticket(key: jobs.LedgerKey, job: jobs.Job, owner: Owner, admit: Callable[[jobs.LedgerKey], None]) -> Ticket:
    """Draw a ticket for a queued job."""
    rank = (-job.priority, job.arrived_ms, job.order)
    return Ticket(rank, key, (job.cluster, job.operation), owner, admit)


_CAREFUL_S: Final = 60.0
"""Seconds after a hold in which a line sends one submission after the other: most of a burst would be refused."""


@dataclass(slots=True, eq=False)
class _Line:
    place: Place
    waiting: list[Ticket] = field(default_factory=list)
    holders: set[_Holder] = field(default_factory=set)
    flying: int = 0
    held_until_s: float = 0.0
    careful_until_s: float = 0.0


class Gate:
    """
    Lets jobs through, in order, when there is room.

    Args:
        settings: `slots_per_cluster` and `max_intents`.
        time: monotonic time.
        spend: the write quota.
    """

    def __init__(self, settings: engine_settings.EngineSettings, time: clock.Clock, spend: Spend) -> None:
        self._slots = settings.slots_per_cluster
        self._most: Final = settings.max_intents
        self._time = time
        self._spend = spend
        self._lines: dict[Place, _Line] = {}
        self._open: dict[Place, _Line] = {}
        self._flying: dict[_Holder, _Line] = {}
        self._tickets: dict[_Holder, Ticket] = {}
        self._held_until_s = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = 0.0

    @property
    def waiting(self) -> int:
        """Tickets that wait."""
        return len(self._tickets)

    @property
    def in_flight(self) -> int:
        """Submissions let through whose outcome is not known yet."""
        return len(self._flying)

    def load(self, cluster: str) -> tuple[int, int]:
        """How many jobs of ours hold a slot of a cluster, and how many wait for one."""
        line = self._lines.get((cluster, jobs.SUBMISSION))
        return (len(line.holders), len(line.waiting)) if line is not None else (0, 0)

    def enter(self, wanted: Ticket) -> bool:
        """
        Ask for a turn.

        Returns True when it is the job's turn at once (its `admit` is not called then), else the ticket waits.
        """
        if self.enter_at_once(wanted):
            return True
        line = self._line(wanted.place)
        heapq.heappush(line.waiting, wanted)
        self._tickets[wanted.owner, wanted.key] = wanted
        self._drop_withdrawn(line)
        self._open[line.place] = line
        self._pump()
        return False

    def enter_at_once(self, wanted: Ticket) -> bool:
        """Take a turn if there is one right now and nobody waits in this line; a ticket that gets none is not kept."""
        line = self._line(wanted.place)
        if line.waiting or self._is_crowded() or self._is_full(line) or self._must_wait(line):
            return False
        if not self._may_spend(line):
            return False
        self._let_through(line, wanted)
        return True

    def occupy(self, key: jobs.LedgerKey, job: jobs.Job, owner: Owner) -> None:
        """Note that a job under way holds a slot; used when jobs are taken over."""
        if job.operation == jobs.SUBMISSION:
            self._line((job.cluster, job.operation)).holders.add((owner, key))

    def landed(self, key: jobs.LedgerKey, owner: Owner) -> None:
        """The outcome of a submission is known: its place in flight is free."""
        line = self._flying.pop((owner, key), None)
        if line is not None:
            line.flying -= 1
            self._pump()

    def withdraw(self, key: jobs.LedgerKey, owner: Owner) -> None:
        """
        The job wants no turn any more, nor the one that it may just have got.

        Its slot is given back by `release`.
        """
        gone = self._tickets.pop((owner, key), None)
        if gone is not None:
            line = self._line(gone.place)
            self._drop_withdrawn(line)
            self._forget_if_idle(line)
        self.landed(key, owner)

    def release(self, key: jobs.LedgerKey, job: jobs.Job, owner: Owner) -> None:
        """
        The job no longer holds a slot.

        When it has ended, a cluster that said it was full has room again. A job that goes back to the queue leaves the
        hold alone: it may be the one that was told so.
        """
        line = self._lines.get((job.cluster, job.operation))
        if line is None:
            return
        holder = (owner, key)
        if holder in line.holders:
            line.holders.discard(holder)
            if job.state is not jobs.State.QUEUED:
                line.held_until_s = 0.0
            if line.waiting:
                self._open[line.place] = line
            self._pump()
        self._forget_if_idle(line)

    def hold(self, place: Place | None, wait_s: float) -> None:
        """
        Let nobody through for `wait_s` seconds: into one line, or with None into any.

        A line that was held goes on carefully: its next submission waits for the outcome of the one before.
        """
        until_s = self._time.monotonic_s() + wait_s
        if place is None:
            self._held_until_s = max(self._held_until_s, until_s)
        else:
            line = self._line(place)
            line.held_until_s = until_s
            line.careful_until_s = until_s + _CAREFUL_S
        self._wake_in(wait_s)

    def leave(self, owner: Owner) -> None:
        """Forget all tickets, slots and places in flight of a partition that is no longer ours."""
        for flying in [flying for flying in self._flying if flying[0] is owner]:
            self._flying.pop(flying).flying -= 1
        self._tickets = {holder: waiting for holder, waiting in self._tickets.items() if holder[0] is not owner}
        for line in list(self._lines.values()):
            line.holders = {holder for holder in line.holders if holder[0] is not owner}
            # Withdrawn tickets go, too: one of them could come first now, and the first must be a real one.
            line.waiting = [
                waiting for waiting in line.waiting if self._tickets.get((waiting.owner, waiting.key)) is waiting
            ]
            heapq.heapify(line.waiting)
            if line.waiting:
                self._open[line.place] = line
            self._forget_if_idle(line)
        self._pump()

    def close(self) -> None:
        """Stop the alarm clock."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _line(self, place: Place) -> _Line:
        line = self._lines.get(place)
        if line is None:
            line = self._lines[place] = _Line(place)
        return line

    def _forget_if_idle(self, line: _Line) -> None:
        if not line.waiting:
            self._open.pop(line.place, None)
            if not line.holders and line.careful_until_s <= self._time.monotonic_s():
                self._lines.pop(line.place, None)

    def _drop_withdrawn(self, line: _Line) -> None:
        """A withdrawn ticket stays in its line until it is first: taking it out of the middle would cost a search."""
        while line.waiting:
            first = line.waiting[0]
            if self._tickets.get((first.owner, first.key)) is first:
                return
            heapq.heappop(line.waiting)

    def _is_crowded(self) -> bool:
        return len(self._flying) >= self._most

    def _is_full(self, line: _Line) -> bool:
        return line.place[1] == jobs.SUBMISSION and 0 < self._slots <= len(line.holders)

    def _must_wait(self, line: _Line) -> bool:
        """Whether the line waits for time to pass, or carefully for its submission in flight; sets the alarm."""
        now_s = self._time.monotonic_s()
        wait_s = max(self._held_until_s, line.held_until_s, line.careful_until_s if line.flying else 0.0) - now_s
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s > 0

    def _may_spend(self, line: _Line) -> bool:
        wait_s = self._spend(line.place[1])
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s <= 0

    def _let_through(self, line: _Line, lucky: Ticket) -> None:
        holder = (lucky.owner, lucky.key)
        if holder not in self._flying:
            self._flying[holder] = line
            line.flying += 1
        if line.place[1] == jobs.SUBMISSION:
            line.holders.add(holder)

    def _pump(self) -> None:
        """Let through whoever may go; a line that had its turn goes to the end, all others keep their place."""
        dry: set[str] = set()
        moved = True
        while moved:
            moved = False
            for place, line in list(self._open.items()):
                if self._is_crowded():
                    return  # whoever lands looks again
                if self._is_full(line):
                    del self._open[place]  # whoever gives back a slot opens it again
                    continue
                if place[1] in dry or self._must_wait(line):
                    continue
                if not self._may_spend(line):
                    dry.add(place[1])
                    continue
                lucky = heapq.heappop(line.waiting)
                del self._tickets[lucky.owner, lucky.key]
                self._drop_withdrawn(line)
                self._let_through(line, lucky)
                del self._open[place]
                if line.waiting:
                    self._open[place] = line
                moved = True
                lucky.admit(lucky.key)

    def _wake_in(self, wait_s: float) -> None:
        when_s = self._time.monotonic_s() + wait_s
        if self._alarm is not None:
            if self._alarm_s <= when_s:
                return
            self._alarm.cancel()
        self._alarm_s = when_s
        self._alarm = asyncio.get_running_loop().call_later(wait_s + 0.001, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self._pump()
