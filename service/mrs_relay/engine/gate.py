"""
Who may submit next: slots per cluster, submissions in flight, the write quota, and waits that MRS asked for.

Full means wait: a ticket stays in its line, higher priority first, then arrival, until there is a slot, a place in
flight and a token of the quota. Tenants take turns, and so do the lines of each, one for a cluster and operation: one
busy tenant or cluster never starves another. The token is spent here, before the intent is committed, so that a
committed intent never waits for quota.

One gate serves all partitions of a connection in this process; it runs on the event loop and never blocks.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mrs_relay.engine import accounts, jobs
from mrs_relay.engine import policy as policies
from mrs_relay.engine import settings as engine_settings
from mrs_relay.kit import clock

Owner = accounts.Owner
_Holder = accounts.Holder

Place = tuple[str, str]
"""A cluster, and the MRS operation that tickets wait for. Only batch jobs take slots, by either API."""

Spend = Callable[[str], float]
"""Spends one call of an operation's quota; returns 0.0, or seconds until there is a token."""


@dataclass(eq=False, slots=True)
class Ticket:
    """
    A job that waits for its turn.

    Attributes:
        rank: lower goes first.
        key: the job.
        place: where it wants to go.
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
"""Seconds after a hold in which a place gets one submission after the other: most of a burst would be refused."""


@dataclass(slots=True, eq=False)
class _Spot:
    """What all tenants share of a place: its slots, and the waits that MRS asked for."""

    place: Place
    lines: dict[accounts.Account, _Line] = field(default_factory=dict)
    holders: set[_Holder] = field(default_factory=set)
    flying: int = 0
    held_until_s: float = 0.0
    careful_until_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Line:
    """Those of one tenant who wait for a place."""

    spot: _Spot
    account: accounts.Account
    waiting: list[Ticket] = field(default_factory=list)


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
        self._spots: dict[Place, _Spot] = {}
        self._open: dict[accounts.Account, dict[Place, _Line]] = {}
        self._flying: dict[_Holder, _Spot] = {}
        self._tickets: dict[_Holder, Ticket] = {}
        self._nobodys: Final = accounts.Account(policies.Policy(), accounts.Share(), time)
        self._accounts: dict[Owner, accounts.Account] = {}
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

    def join(self, owner: Owner, account: accounts.Account) -> None:
        """Count what a partition does on a tenant's account, until it leaves."""
        self._accounts[owner] = account

    def load(self, cluster: str) -> tuple[int, int]:
        """How many jobs of ours hold a slot of a cluster, and how many wait for one."""
        spots = self._with_slots(cluster)
        waiting = sum(len(line.waiting) for spot in spots for line in spot.lines.values())
        return sum(len(spot.holders) for spot in spots), waiting

    def enter(self, wanted: Ticket) -> bool:
        """
        Ask for a turn.

        Returns True when it is the job's turn at once (its `admit` is not called then), else the ticket waits.
        """
        if self.enter_at_once(wanted):
            return True
        line = self._line(wanted)
        heapq.heappush(line.waiting, wanted)
        self._tickets[wanted.owner, wanted.key] = wanted
        self._drop_withdrawn(line)
        self._open_up(line)
        self._pump()
        return False

    def enter_at_once(self, wanted: Ticket) -> bool:
        """Take a turn if there is one right now and nobody waits in this line; a ticket that gets none is not kept."""
        account = self._account(wanted.owner)
        spot = self._spot(wanted.place)
        line = spot.lines.get(account)
        if (line is not None and line.waiting) or self._is_crowded() or self._is_full(spot) or self._must_wait(spot):
            return False
        if self._is_limited(account) or not self._may_spend(spot):
            return False
        self._let_through(spot, account, wanted)
        return True

    def occupy(self, key: jobs.LedgerKey, job: jobs.Job, owner: Owner) -> None:
        """Note that a job under way holds a slot; used when jobs are taken over."""
        self._account(owner).occupy((owner, key))
        if job.operation in jobs.SUBMISSIONS:
            self._spot((job.cluster, job.operation)).holders.add((owner, key))

    def landed(self, key: jobs.LedgerKey, owner: Owner) -> None:
        """The outcome of a submission is known: its place in flight is free."""
        spot = self._flying.pop((owner, key), None)
        if spot is not None:
            spot.flying -= 1
            self._pump()
            if self._spots.get(spot.place) is spot:
                self._forget_if_idle(spot)

    def withdraw(self, key: jobs.LedgerKey, owner: Owner) -> None:
        """
        The job wants no turn any more, nor the one that it may just have got.

        Its slot is given back by `release`.
        """
        gone = self._tickets.pop((owner, key), None)
        if gone is not None:
            line = self._line(gone)
            self._drop_withdrawn(line)
            self._forget_if_idle(line.spot)
        self.landed(key, owner)

    def release(self, key: jobs.LedgerKey, job: jobs.Job, owner: Owner) -> None:
        """
        The job no longer holds a slot.

        When it has ended, a cluster that said it was full has room again. A job that goes back to the queue leaves the
        hold alone: it may be the one that was told so.
        """
        holder = (owner, key)
        has_room = self._account(owner).end(holder)
        spot = self._spots.get((job.cluster, job.operation))
        if spot is not None and holder in spot.holders:
            has_room = True
            spot.holders.discard(holder)
            for other in self._sharing(spot):
                if job.state is not jobs.State.QUEUED:
                    other.held_until_s = 0.0
                for line in other.lines.values():
                    self._open_up(line)
        if has_room:
            self._pump()
        if spot is not None:
            self._forget_if_idle(spot)

    def hold(self, place: Place | None, wait_s: float) -> None:
        """
        Let nobody through for `wait_s` seconds: to one place, or with None to any.

        A place that was held goes on carefully: its next submission waits for the outcome of the one before.
        """
        until_s = self._time.monotonic_s() + wait_s
        if place is None:
            self._held_until_s = max(self._held_until_s, until_s)
        else:
            spot = self._spot(place)
            spot.held_until_s = until_s
            spot.careful_until_s = until_s + _CAREFUL_S
        self._wake_in(wait_s)

    def leave(self, owner: Owner) -> None:
        """Forget all tickets, slots and places in flight of a partition that is no longer ours."""
        for flying in [flying for flying in self._flying if flying[0] is owner]:
            self._flying.pop(flying).flying -= 1
        self._tickets = {holder: waiting for holder, waiting in self._tickets.items() if holder[0] is not owner}
        for spot in list(self._spots.values()):
            spot.holders = {holder for holder in spot.holders if holder[0] is not owner}
            for line in spot.lines.values():
                # Withdrawn tickets go, too: one of them could come first now, and the first must be a real one.
                line.waiting = [
                    waiting for waiting in line.waiting if self._tickets.get((waiting.owner, waiting.key)) is waiting
                ]
                heapq.heapify(line.waiting)
                self._open_up(line)
            self._forget_if_idle(spot)
        self._account(owner).leave(owner)
        self._accounts.pop(owner, None)
        self._pump()

    def look_again(self) -> None:
        """Let through who may go now that a limit has changed, as with a tenant's share of it."""
        self._pump()

    def close(self) -> None:
        """Stop the alarm clock."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _account(self, owner: Owner) -> accounts.Account:
        return self._accounts.get(owner, self._nobodys)

    def _spot(self, place: Place) -> _Spot:
        spot = self._spots.get(place)
        if spot is None:
            spot = self._spots[place] = _Spot(place)
        return spot

    def _line(self, wanted: Ticket) -> _Line:
        spot, account = self._spot(wanted.place), self._account(wanted.owner)
        line = spot.lines.get(account)
        if line is None:
            line = spot.lines[account] = _Line(spot, account)
            self._open.setdefault(account, {})
        return line

    def _open_up(self, line: _Line) -> None:
        if line.waiting:
            self._open[line.account][line.spot.place] = line

    def _shut(self, line: _Line) -> None:
        self._open[line.account].pop(line.spot.place, None)

    def _forget_if_idle(self, spot: _Spot) -> None:
        for line in list(spot.lines.values()):
            if not line.waiting:
                self._shut(line)
                del spot.lines[line.account]
        if not spot.lines and not spot.holders and spot.careful_until_s <= self._time.monotonic_s():
            self._spots.pop(spot.place, None)

    def _drop_withdrawn(self, line: _Line) -> None:
        """A withdrawn ticket stays in its line until it is first: taking it out of the middle would cost a search."""
        while line.waiting:
            first = line.waiting[0]
            if self._tickets.get((first.owner, first.key)) is first:
                return
            heapq.heappop(line.waiting)

    def _is_crowded(self) -> bool:
        return len(self._flying) >= self._most

    def _is_full(self, spot: _Spot) -> bool:
        return 0 < self._slots <= self._taken(spot)

    def _taken(self, spot: _Spot) -> int:
        """How many of the cluster's slots are taken; 0 for a place that takes none."""
        return sum(len(other.holders) for other in self._sharing(spot)) if spot.place[1] in jobs.SUBMISSIONS else 0

    def _sharing(self, spot: _Spot) -> list[_Spot]:
        """The place itself, and that of the other job API: both take the slots of one cluster."""
        return self._with_slots(spot.place[0]) if spot.place[1] in jobs.SUBMISSIONS else [spot]

    def _with_slots(self, cluster: str) -> list[_Spot]:
        """The places that take slots of a cluster, as far as there are any."""
        places = ((cluster, operation) for operation in jobs.SUBMISSIONS)
        return [self._spots[place] for place in places if place in self._spots]

    def _is_limited(self, account: accounts.Account) -> bool:
        """Whether a tenant has all that it may have; whoever ends looks again, and else the alarm."""
        if not account.is_bounded:
            return False
        if account.is_full:
            return True
        wait_s = account.wait_s()
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s > 0

    def _must_wait(self, spot: _Spot) -> bool:
        """Whether a place waits for time to pass, or carefully for its submission in flight; sets the alarm."""
        now_s = self._time.monotonic_s()
        wait_s = max(self._held_until_s, spot.held_until_s, spot.careful_until_s if spot.flying else 0.0) - now_s
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s > 0

    def _may_spend(self, spot: _Spot) -> bool:
        wait_s = self._spend(spot.place[1])
        if wait_s > 0:
            self._wake_in(wait_s)
        return wait_s <= 0

    def _let_through(self, spot: _Spot, account: accounts.Account, lucky: Ticket) -> None:
        holder = (lucky.owner, lucky.key)
        account.start(holder)
        if holder not in self._flying:
            self._flying[holder] = spot
            spot.flying += 1
        if spot.place[1] in jobs.SUBMISSIONS:
            spot.holders.add(holder)

    def _pump(self) -> None:
        """Let through whoever may go: tenants by turns, and of each tenant one line after the other."""
        dry: set[str] = set()
        while not self._is_crowded() and self._round(dry):
            pass  # who gave way to somebody, or had only one turn, may go now

    def _round(self, dry: set[str]) -> bool:
        """Give each open line a turn; whether one took it."""
        moved = False
        rounds = deque((account, iter(list(lines.values()))) for account, lines in self._open.items() if lines)
        while rounds:
            account, lines = rounds.popleft()
            if self._is_crowded():
                return False  # whoever lands looks again
            line = None if self._is_limited(account) else next((one for one in lines if self._may_go(one, dry)), None)
            if line is not None:
                moved = True
                self._admit_first(line)
                rounds.append((account, lines))
        return moved

    def _may_go(self, line: _Line, dry: set[str]) -> bool:
        spot = line.spot
        if spot.place[1] in dry:
            return False
        if self._is_full(spot):
            self._shut(line)  # whoever gives back a slot opens it again
            return False
        if self._must_wait(spot) or self._gives_way(line):
            return False
        if not self._may_spend(spot):
            dry.add(spot.place[1])
            return False
        return True

    def _gives_way(self, line: _Line) -> bool:
        """
        Whether the last free slot is another tenant's: one that may go and had its turn at the cluster longer ago.

        Only where slots are scarce: else who waits for quota would lose turns to those who wait for the same cluster.
        """
        spot = line.spot
        if spot.place[1] not in jobs.SUBMISSIONS or self._taken(spot) != self._slots - 1:
            return False
        for account, other in spot.lines.items():
            if other is line:
                return False
            if other.waiting and not self._is_limited(account):
                return True
        return False

    def _admit_first(self, line: _Line) -> None:
        """Let the first of a line go; its tenant goes to the end, here and at the place; all others keep theirs."""
        lucky = heapq.heappop(line.waiting)
        del self._tickets[lucky.owner, lucky.key]
        self._drop_withdrawn(line)
        spot, account = line.spot, line.account
        self._let_through(spot, account, lucky)
        if len(self._open) > 1:
            spot.lines[account] = spot.lines.pop(account)
            self._open[account] = self._open.pop(account)
        self._shut(line)
        self._open_up(line)
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
