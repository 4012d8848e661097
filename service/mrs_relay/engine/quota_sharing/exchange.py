"""
Carry demands and grants between replicas, and turn grants into leases on the budgets of one connection.

Each replica writes its demand beside the committed offset of one of its partitions. The coordinator writes its grants
beside that of partition 0 of the reference topic, and all replicas read these notes. A replica that owns all partitions
shares nothing. A replica without grants, because the coordinator is of an older version or the broker keeps no notes,
reports that and then spends its static share, the part that its partitions are of all.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from mrs_relay import errors
from mrs_relay.common import clock, tasks
from mrs_relay.engine.quota_sharing import book, coordinator, notes
from mrs_relay.kafka import status
from mrs_relay.mrs import limits
from mrs_relay.mrs.operations import registry

_BUSY_S: Final = 0.7
"""Seconds between two exchanges while calls are made or wait."""

_IDLE_S: Final = 3.0
"""Seconds between two exchanges while there are none; three fit into the time for which a grant holds."""

_LEAST_S: Final = 0.1
"""Shortest time in seconds between two exchanges, after an event."""

_QUIET_S: Final = 4.0
"""Seconds without a grant after which a replica reports that it gets none."""

_STATIC_AFTER_S: Final = book.VALID_S + book.MARGIN_S
"""Seconds from that report until it spends its static share: by then grants made without the report have ended."""

_MISSES: Final = 3
"""Reads in a row without the replica's own note after which the broker counts as one that keeps no notes."""

_KEPT_DEMANDS: Final = 64

_log = structlog.get_logger(__name__)


class NoteBoard(Protocol):
    """The notes beside the offsets of one consumer group."""

    @property
    def topic(self) -> str:
        """The input topic."""

    @property
    def membership(self) -> status.Membership | None:
        """This replica's part of the topic; None while the group rebalances."""

    async def read_notes(self) -> Mapping[int, str]:
        """Return the notes of all partitions that have one. Raises StreamDown."""

    async def write_note(self, partition: int, note: str) -> bool:
        """Write beside the offset of an owned partition; False if it has no offset yet. Raises StreamDown."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Place of this replica's last note."""

    board: NoteBoard
    partition: int
    generation: int

    @property
    def is_ours(self) -> bool:
        """Whether no other replica can have written there since."""
        membership = self.board.membership
        return membership is not None and membership.generation == self.generation


class QuotaExchange:
    """
    One replica's part in sharing the budgets of one connection.

    Args:
        budgets: the budgets.
        time: the clock by which leases end.
        on_change: called when more may be spent than before.

    Attributes:
        boards: of the connection's topics; the first is the reference topic.
    """

    def __init__(self, budgets: limits.Limits, time: clock.Clock, on_change: Callable[[], None]) -> None:
        self.boards: list[NoteBoard] = []
        self._budgets = budgets
        self._time = time
        self._on_change = on_change
        self._name: Final = secrets.token_hex(4)
        self._number = 0
        self._sent_s: dict[int, float] = {}
        self._applied: tuple[str, int] = ("", 0)
        self._held: dict[str, int] = {}
        self._granted_s = float("-inf")
        self._is_static = False
        self._static_s: float | None = None
        self._alone: int | None = None
        self._misses = 0
        self._place: _Place | None = None
        self._own_coordinator: coordinator.QuotaCoordinator | None = None
        self._generation = -1
        self._wake = asyncio.Event()
        budgets.on_need = self._wake.set

    def look_again(self) -> None:
        """Exchange soon: the assignment has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Exchange notes until cancelled."""
        if not self._budgets.enabled:
            return
        self._budgets.lend(limits.Lease(0.0))
        self._granted_s = self._time.boottime_s()

        while True:
            self._wake.clear()
            try:
                busy = await self._exchange()
            except errors.StreamDown as error:
                _log.debug("quota_exchange_failed", error=str(error))
                busy = True

            # A demand or a change of the assignment ends the wait early.
            await asyncio.sleep(_LEAST_S)
            await tasks.sleep_until(self._wake, (_BUSY_S if busy else _IDLE_S) - _LEAST_S)

    def failed(self, _task: str, error: BaseException) -> None:
        """Spend the static share for good, because a bug has ended the exchange."""
        _log.error("quota_exchange_ended", exc_info=error)
        self._spend_static()

    async def _exchange(self) -> bool:
        """Run one round; returns whether the next should follow soon."""
        memberships = {board.topic: one for board in self.boards if (one := board.membership) is not None}
        if not memberships:
            return True

        # The only replica needs no notes until the assignment changes.
        reference = memberships.get(self.boards[0].topic)
        is_lone = len(memberships) == len(self.boards) and _is_lone(memberships.values())
        if reference is not None and is_lone and self._alone == reference.generation:
            return False
        if self._alone is not None:  # there may be other replicas now
            self._alone = None
            self._budgets.lend(limits.Lease(0.0))

        read = await self.boards[0].read_notes() if reference is not None else {}
        self._check_that_notes_are_kept(read)
        if reference is not None:
            self._keep_own_coordinator(reference, read)
        if is_lone and self._own_coordinator is not None and not self._own_coordinator.is_sharing:
            return await self._spend_alone()

        demand = self._demand(memberships)
        if reference is not None and self._own_coordinator is not None:
            busy = await self._coordinate(self._own_coordinator, demand, memberships, read)
        else:
            self._apply(notes.decode(read.get(0, "")).grants)
            await self._send(demand, memberships)
            busy = bool(demand.used or demand.needed or not self._held)
        self._fall_back()
        return busy

    def _keep_own_coordinator(self, reference: status.Membership, read: Mapping[int, str]) -> None:
        """Be the coordinator while this replica owns partition 0; continue the term of the assignment before."""
        generation = reference.generation
        if 0 not in reference.owned:
            self._own_coordinator = None
        elif self._own_coordinator is None or generation not in (self._generation, self._generation + 1):
            former = notes.decode(read.get(0, "")).grants
            name = f"{self._name}-{generation}"
            self._own_coordinator = coordinator.QuotaCoordinator(name, _limit_of, self._time.boottime_s(), former)
            _log.info("quota_coordinator_started", topic=self.boards[0].topic, has_former=former is not None)
        self._generation = generation

    async def _spend_alone(self) -> bool:
        """Spend the whole budgets, because this replica owns all partitions."""
        self._budgets.set_share(1.0)
        self._applied, self._held = ("", 0), {}
        self._static_s, self._is_static = None, False
        await self._clear()
        self._alone = self._generation
        self._on_change()
        return False

    def _demand(self, memberships: Mapping[str, status.Membership]) -> notes.Demand:
        self._number += 1
        self._sent_s.pop(self._number - _KEPT_DEMANDS, None)
        self._sent_s[self._number] = self._time.boottime_s()
        return notes.Demand(
            member=self._name,
            number=self._number,
            owned={topic: (one.generation, sorted(one.owned)) for topic, one in memberships.items() if one.owned},
            applied=self._applied,
            held=self._held,
            used=self._budgets.used(),
            needed=list(self._budgets.needed()),
            held_s=round(self._budgets.throttled_s, 1),
            static=self._is_static,
        )

    async def _coordinate(
        self,
        own: coordinator.QuotaCoordinator,
        demand: notes.Demand,
        memberships: Mapping[str, status.Membership],
        read: Mapping[int, str],
    ) -> bool:
        """Take all demands, grant, and apply this replica's own grant once all others can read theirs."""
        for board in self.boards:
            texts = read if board is self.boards[0] else await board.read_notes()
            for text in texts.values():
                heard = notes.decode(text).demand
                if heard is not None and heard.member != self._name:
                    topics = (one.topic for one in self.boards)
                    own.hear(notes.lengthen(heard, topics), self._time.boottime_s())

        now_s = self._time.boottime_s()
        own.hear(demand, now_s)
        groups = {topic: coordinator.Group(one.generation, one.total) for topic, one in memberships.items()}
        grants = own.allot(groups, now_s)
        if await self._write(self.boards[0], 0, notes.Note(demand, grants)):
            self._apply(grants)
        else:
            await self._send(demand, memberships)
        return bool(grants.operations or demand.needed)

    async def _send(self, demand: notes.Demand, memberships: Mapping[str, status.Membership]) -> None:
        """Write the demand beside the first owned offset that exists, in the reference topic if possible."""
        for board in self.boards:
            for partition in sorted(memberships[board.topic].owned) if board.topic in memberships else ():
                if await self._write(board, partition, notes.Note(demand)):
                    if demand.static and self._static_s is None:
                        self._static_s = self._time.boottime_s()
                    return

    async def _write(self, board: NoteBoard, partition: int, note: notes.Note) -> bool:
        text = notes.encode(note)
        if len(text) > notes.MOST_BYTES:
            text = notes.encode(notes.shorten(note))
        if len(text) > notes.MOST_BYTES:
            _log.warning("quota_note_too_long", bytes=len(text), most_bytes=notes.MOST_BYTES)
            return False
        if self._place is not None and (self._place.board, self._place.partition) != (board, partition):
            await self._clear()
        membership = board.membership
        if membership is None or not await board.write_note(partition, text):
            return False
        self._place = _Place(board, partition, membership.generation)
        return True

    async def _clear(self) -> None:
        """Remove this replica's last note, if it still owns the partition."""
        place, self._place = self._place, None
        if place is not None and place.is_ours:
            await place.board.write_note(place.partition, "")

    def _check_that_notes_are_kept(self, read: Mapping[int, str]) -> None:
        """Detect a broker that drops the notes beside offsets, as some do."""
        place = self._place
        if place is not None and place.board is self.boards[0] and place.is_ours:
            self._misses = 0 if read.get(place.partition) else self._misses + 1

    @property
    def _keeps_notes(self) -> bool:
        return self._misses < _MISSES

    def _apply(self, grants: notes.Grants | None) -> None:
        """Apply this replica's grant as a lease, which ends `book.VALID_S` after the answered demand was sent."""
        grant = grants.members.get(self._name) if grants is not None else None
        if grants is None or grant is None or not grant.calls:
            return

        # Ignore a grant that was applied before, or that would end at once.
        sent_s = self._sent_s.get(grant.answers, float("-inf"))
        is_newer = grants.coordinator != self._applied[0] or grants.round > self._applied[1]
        if not is_newer or sent_s + book.VALID_S <= self._time.boottime_s():
            return

        *calls, part = grant.calls
        allowances = {
            operation: limits.Allowance(most, max(1, pace))
            for operation, most, pace in zip(grants.operations, calls, grant.pace, strict=False)
        }
        ends_s, time = sent_s + book.VALID_S, self._time
        lease = limits.Lease(
            part / book.OTHERS_LIMIT, allowances=allowances, is_valid=lambda: time.boottime_s() < ends_s
        )

        self._applied = (grants.coordinator, grants.round)
        self._held = {**dict(zip(grants.operations, calls, strict=False)), notes.OTHERS: part}
        self._granted_s, self._static_s, self._is_static = time.boottime_s(), None, False
        self._budgets.lend(lease)
        if grants.held_s:
            self._budgets.hold_with_others(grants.held_s)
        self._on_change()

    def _fall_back(self) -> None:
        """Report missing grants first, then spend the static share once earlier grants to others must have ended."""
        now_s = self._time.boottime_s()
        if self._keeps_notes and now_s - self._granted_s < _QUIET_S:
            return

        if not self._is_static:
            self._is_static = True
            _log.info("quota_without_grants", keeps_notes=self._keeps_notes)
        has_been_said = self._static_s is not None and now_s - self._static_s >= _STATIC_AFTER_S
        if has_been_said or not self._keeps_notes:
            self._spend_static()

    def _spend_static(self) -> None:
        known = [one for board in self.boards if (one := board.membership) is not None and one.total]
        share = min(1.0, sum(len(one.owned) for one in known) / max(1, sum(one.total for one in known)))
        if share:
            self._held = {notes.OTHERS: int(share * book.OTHERS_LIMIT)}
            self._budgets.lend(limits.Lease(share, pace_part=share))
            self._on_change()


def _limit_of(operation: str) -> int:
    known = registry.OPERATIONS.get(operation)  # a later version may know more
    return limits.UNDOCUMENTED_PER_MINUTE if known is None else limits.per_minute(known)


def _is_lone(memberships: Iterable[status.Membership]) -> bool:
    """Return whether this replica owns every partition of every topic."""
    return all(0 < one.total <= len(one.owned) for one in memberships)
