"""
Decide each replica's part of each operation's budget: demands in, grants out; no I/O and no clock.

The budget is granted to replicas with waiting calls; where no calls wait, it is granted in equal parts. Nothing is
granted twice: a call that one replica may have made, or may still make, is granted to another only after it has left
the window (see `book`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mrs_relay.engine.quota_sharing import book, notes
from mrs_relay.mrs import limits

PATIENCE_S: Final = 5.0
"""Seconds without a demand of a partition's owner after which it counts as a replica that sends none."""

_GIVE_UP_S: Final = 40.0
"""Time constant in seconds with which a replica above its fair part gives way to one that has less and waits."""


@dataclass(frozen=True, slots=True)
class Group:
    """
    The consumer group of one input topic.

    Attributes:
        generation: counts its assignments.
        total: partitions of the topic.
    """

    generation: int
    total: int


@dataclass(frozen=True, slots=True)
class _Round:
    """One round: its time, the seconds since the last, the reserved part of limits, and the present replicas."""

    now_s: float
    passed_s: float
    reserved: float
    present: list[book.Member]


class QuotaCoordinator:
    """
    Grant budgets to replicas; one object for each term as the coordinator.

    Args:
        name: of this term.
        limit_of: returns an operation's calls a minute.
        began_s: when the term began, on the clock of all other times given here.
        former: the last grants of the former coordinator; None where there was none.
    """

    def __init__(self, name: str, limit_of: book.LimitOf, began_s: float, former: notes.Grants | None) -> None:
        self.name: Final = name
        self._limit_of: Final = book.limit_with_others(limit_of)
        self._began_s: Final = began_s
        self._has_former: Final = former is not None
        self._members: dict[str, book.Member] = {}
        self._listed: set[str] = set()
        self._levels: dict[tuple[str, str], float] = {}
        self._round = 0
        self._last_s = began_s
        self._covered_s = began_s
        until_s = began_s + book.VALID_S + book.MARGIN_S
        names = [*former.operations, notes.OTHERS] if former is not None else []

        for member, grant in former.members.items() if former is not None else ():
            calls = dict(zip(names, grant.claims or grant.calls, strict=False))
            self._member(member).granted.append(book.Granted(-1, until_s, calls))
            self._listed.update(calls.keys() - {notes.OTHERS})

    @property
    def is_sharing(self) -> bool:
        """Whether other replicas, also former ones, may have calls in the present window."""
        return len(self._members) > 1

    def hear(self, demand: notes.Demand, now_s: float) -> None:
        """Take a replica's demand; a repeated one changes nothing."""
        if self._member(demand.member).hear(demand, self.name, now_s):
            self._listed.update(demand.needed, demand.used)

    def allot(self, groups: Mapping[str, Group], now_s: float) -> notes.Grants:
        """Grant each replica with a recent demand its part of each budget."""
        self._round += 1
        for member in list(self._members.values()):
            member.forget_old(now_s)
            member.static_share = _static_share(member, groups)
            if member.is_over(now_s):
                del self._members[member.name]

        present = [one for one in self._members.values() if one.is_present(now_s) and _is_current(one, groups)]
        this = _Round(now_s, now_s - self._last_s, self._reserved(groups, now_s), present)
        self._last_s = now_s

        # An operation that no replica uses or needs is granted with all others, to keep notes short.
        others = self._share_idle(notes.OTHERS, this, self._calls_in_force(notes.OTHERS, this))
        parts = {operation: self._fair_part(operation, this, others) for operation in sorted(self._listed)}
        for operation in [name for name, found in parts.items() if self._is_default(name, this, found, others)]:
            del parts[operation]
            self._listed.discard(operation)
        return self._grants({**parts, notes.OTHERS: others}, this)

    def _member(self, name: str) -> book.Member:
        return self._members.setdefault(name, book.Member(name))

    def _reserved(self, groups: Mapping[str, Group], now_s: float) -> float:
        """Return the part of each limit that replicas without demands spend: versions without grants."""
        total = sum(group.total for group in groups.values())
        owned = {
            (topic, partition)
            for member in self._members.values()
            if member.demand is not None
            for topic, (generation, partitions) in member.demand.owned.items()
            if topic in groups and generation == groups[topic].generation
            for partition in partitions
        }

        missing = max(0, total - len(owned))
        if not missing:
            self._covered_s = now_s
        return missing / total if missing and now_s - self._covered_s > PATIENCE_S else 0.0

    def _capacity(self, operation: str, this: _Round) -> int:
        """Return the calls of all replicas in a window, without the reserved part and calls from before this term."""
        limit = self._limit_of(operation)
        return limit - math.ceil(limit * this.reserved) - self._before_us(operation, limit, this.now_s)

    def _before_us(self, operation: str, limit: int, now_s: float) -> int:
        """
        Return the calls of unknown replicas that may precede this term: spent evenly, they leave the window evenly.

        Calls that present replicas have reported, or former ones may have by the former coordinator's grants, are
        counted with those replicas.
        """
        left = 1.0 - (now_s - self._began_s) / limits.WINDOW_S
        if left <= 0.0 or (self._has_former and operation == notes.OTHERS):
            return 0

        known = sum(
            count
            for member in self._members.values()
            for leaves_s, count in member.used.get(operation, ())
            if now_s < leaves_s <= self._began_s + limits.WINDOW_S
        )
        unheard = [member for member in self._members.values() if member.demand is None]
        claimed = sum(member.claim(operation, limit, now_s) for member in unheard)
        return max(0, int((limit - limits.burst_of(limit)) * left) - known - claimed)

    def _claims(self, operation: str, now_s: float) -> dict[str, int]:
        limit = self._limit_of(operation)
        return {name: member.claim(operation, limit, now_s) for name, member in self._members.items()}

    def _calls_in_force(self, operation: str, this: _Round) -> dict[str, int]:
        """
        Return each replica's calls by a grant in force; fewer where the claims of others have grown into them.

        A replica without a grant in force begins with none, and is raised only while all claims fit into the limit: its
        claim may rest on a late report.
        """
        limit = self._limit_of(operation)
        base = {one.name: one.in_force(operation, limit, this.now_s) for one in this.present}
        fixed = sum(calls for name, calls in self._claims(operation, this.now_s).items() if not base.get(name))
        left, total = max(0, self._capacity(operation, this) - fixed), sum(base.values())
        return {name: calls * left // total for name, calls in base.items()} if total > left else base

    def _fair_part(self, operation: str, this: _Round, others: Mapping[str, int]) -> dict[str, int]:
        base = self._calls_in_force(operation, this)
        if any(_has_waiting_calls(one, operation) for one in this.present):
            return self._share_contested(operation, this, base)
        if any(one.known(operation, this.now_s) for one in self._members.values()):
            return self._share_idle(operation, this, base)
        limit = self._limit_of(operation)
        wanted = {name: limit * part // book.OTHERS_LIMIT for name, part in others.items()}
        return self._raise_calls(operation, this, {name: min(base[name], wanted[name]) for name in base}, wanted)

    def _share_idle(self, operation: str, this: _Round, base: dict[str, int]) -> dict[str, int]:
        """Share an operation without waiting calls: each replica keeps its used calls, and gets an equal part more."""
        known = {one.name: one.known(operation, this.now_s) for one in this.present}
        gone = sum(calls for name, calls in self._claims(operation, this.now_s).items() if name not in known)
        spare = max(0, self._capacity(operation, this) - gone - sum(known.values()))
        wanted = {name: used + spare // len(known) for name, used in known.items()}
        return self._raise_calls(operation, this, {name: min(base[name], wanted[name]) for name in base}, wanted)

    def _share_contested(self, operation: str, this: _Round, base: dict[str, int]) -> dict[str, int]:
        """
        Share an operation with waiting calls.

        A replica without waiting calls keeps its used calls. Of the others the one with the least is served first, and
        one with more than its fair part gives way slowly.
        """
        known = {one.name: one.known(operation, this.now_s) for one in this.present}
        hungry = [one.name for one in this.present if _has_waiting_calls(one, operation)]
        kept = {name: calls if name in hungry else min(calls, known[name]) for name, calls in base.items()}
        capacity = self._capacity(operation, this)
        found = self._raise_calls(operation, this, kept, dict.fromkeys(hungry, capacity))

        # A replica above its fair part gives way only while another has less, and has used that up.
        rest = sum(calls for name, calls in self._claims(operation, this.now_s).items() if name not in hungry)
        fair = max(0.0, (capacity - rest) / len(hungry))
        starving = {name for name in hungry if found[name] <= known[name] and found[name] < int(fair)}
        for name in hungry:
            if starving - {name} and found[name] > fair:
                level = min(self._levels.get((name, operation), found[name]), found[name])
                level -= max(0.2, (level - fair) / _GIVE_UP_S) * min(this.passed_s, 5.0)
                self._levels[name, operation] = max(fair, level)
                found[name] = math.ceil(self._levels[name, operation])
            else:
                self._levels.pop((name, operation), None)
        return found

    def _raise_calls(
        self, operation: str, this: _Round, base: Mapping[str, int], wanted: Mapping[str, int]
    ) -> dict[str, int]:
        """Raise calls towards the wanted numbers, the lowest first, as far as claims leave room."""
        claims = self._claims(operation, this.now_s)
        room = self._capacity(operation, this) - sum(claims.values())
        found = dict(base)

        step = max(1, self._limit_of(operation) // 100)
        rising = [name for name, calls in wanted.items() if calls > found[name]]
        while rising:
            name = min(rising, key=lambda one: found[one])
            claimed = max(claims[name], found[name])
            target = min(wanted[name], found[name] + step, claimed + room) if room >= 0 else found[name]
            if target <= found[name]:
                rising.remove(name)
                continue

            # Calls within the replica's own claim take no room.
            room -= max(0, target - claimed)
            found[name] = target
            if target == wanted[name]:
                rising.remove(name)
        return found

    def _is_default(self, operation: str, this: _Round, found: Mapping[str, int], others: Mapping[str, int]) -> bool:
        """Return whether an operation need not be listed: each replica's part of it is that of the unlisted ones."""
        limit = self._limit_of(operation)
        if any(
            _has_waiting_calls(one, operation) or one.known(operation, this.now_s) for one in self._members.values()
        ):
            return False
        claims, of_others = self._claims(operation, this.now_s), self._claims(notes.OTHERS, this.now_s)
        return all(found[name] == limit * part // book.OTHERS_LIMIT for name, part in others.items()) and all(
            calls <= limit * of_others[name] // book.OTHERS_LIMIT for name, calls in claims.items()
        )

    def _paces(self, operation: str, this: _Round) -> dict[str, int]:
        """Return each replica's pace: its fair part of the rate, or the rest that the others leave."""
        capacity = self._limit_of(operation) * (1.0 - this.reserved)
        recent = {one.name: max(one.known(operation, this.now_s), one.recent(operation)) for one in this.present}
        hungry = {one.name for one in this.present if _has_waiting_calls(one, operation)}
        active = hungry or {name for name, calls in recent.items() if calls}

        paces = {}
        for name, own in recent.items():
            left = capacity - (sum(recent.values()) - own)
            fair = capacity / max(1, len(active | {name}))
            paces[name] = max(1, math.ceil(max(fair, left) * book.PACE_PART))
        return paces

    def _grants(self, parts: Mapping[str, Mapping[str, int]], this: _Round) -> notes.Grants:
        """Enter the grants into the book, and build the note with them for all replicas."""
        operations = [name for name in parts if name != notes.OTHERS]
        paces = {operation: self._paces(operation, this) for operation in operations}
        held_s = max((one.demand.held_s for one in this.present if one.demand is not None), default=0.0)
        members: dict[str, notes.Grant] = {}

        for one in this.present:
            calls = {operation: part[one.name] for operation, part in parts.items()}
            pace = {operation: paces[operation][one.name] for operation in operations}
            until_s = one.heard_s + book.VALID_S + book.MARGIN_S
            one.granted.append(book.Granted(self._round, until_s, calls, pace))

        # A successor must know the claims of former replicas, too.
        for name, one in self._members.items():
            claims = [one.claim(operation, self._limit_of(operation), this.now_s) for operation in parts]
            is_present = one in this.present
            calls_ = [part[name] if is_present else 0 for part in parts.values()]
            members[name] = notes.Grant(
                one.demand.number if one.demand is not None and is_present else notes.NO_DEMAND,
                calls_,
                [paces[operation][name] if is_present else 0 for operation in operations],
                [] if claims == calls_ else claims,
            )
        return notes.Grants(self.name, self._round, operations, members, round(held_s, 1))


def _has_waiting_calls(member: book.Member, operation: str) -> bool:
    return member.demand is not None and operation in member.demand.needed


def _is_current(member: book.Member, groups: Mapping[str, Group]) -> bool:
    """Return whether its demand is of a present assignment; a former replica's note stays until the next writes."""
    owned = member.demand.owned if member.demand is not None else {}
    return any(topic in groups and groups[topic].generation == generation for topic, (generation, _) in owned.items())


def _static_share(member: book.Member, groups: Mapping[str, Group]) -> float:
    """Return the part of the limits that a replica spends when it reports that it gets no grants."""
    if member.demand is None or not member.demand.static:
        return 0.0

    owned = sum(len(partitions) for _, partitions in member.demand.owned.values())
    return min(1.0, owned / max(1, sum(group.total for group in groups.values())))
