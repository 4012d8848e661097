"""
Bound the calls under way at once, and share their places between tenants and their clusters.

Submissions, other writes and reads have lanes of their own, so that hanging calls of one kind never keep another kind
waiting. Within a lane a free place goes to the tenant with the fewest calls under way, and of that tenant to the
cluster with the fewest. One cluster alone never holds the last eighth of a lane, so that a newcomer need not wait until
a call ends. Where there are several tenants, neither does one tenant, and a cluster never holds the last quarter.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, Literal, TypeVar

from mrs_relay.engine.model import jobs
from mrs_relay.mrs import operation as operations
from mrs_relay.mrs.operations import registry

Kind = Literal["submissions", "writes", "reads"]
KINDS: Final[tuple[Kind, ...]] = ("submissions", "writes", "reads")

Group = tuple[object, str]
"""A tenant, and one of its clusters."""

_N = TypeVar("_N")

_RESERVED_PART: Final = 8
"""One part in this many of a lane is reserved for newcomers."""


@functools.cache
def kind_of(operation: str) -> Kind:
    """Return the lane of an operation: jobs and statements are submissions."""
    if operation in jobs.SUBMISSIONS or operation == jobs.STATEMENT:
        return "submissions"
    known = registry.OPERATIONS.get(operation)
    return "reads" if known is not None and known.safety is operations.Safety.READ else "writes"


class Lane:
    """
    Count the places of one lane.

    Args:
        most: places in all.

    Attributes:
        taken: places in use.
        waiting: entries that wait for a turn that takes a place.
        tenants: number of tenants that share the lane.
    """

    def __init__(self, most: int) -> None:
        self.most: Final = most
        self._reserved: Final = most // _RESERVED_PART
        self._by_group: dict[Group, int] = {}
        self._by_tenant: dict[object, int] = {}
        self.taken = 0
        self.waiting = 0
        self.share_between(1)

    def share_between(self, tenants: int) -> None:
        """Set the number of tenants."""
        self.tenants = tenants
        self._kept = self._reserved * (1 if tenants <= 1 else 2)

    def room(self, tenant: object) -> int:
        """Return how many free places any cluster of this tenant may take: reserved ones only if it is a newcomer."""
        is_newcomer = self.tenants > 1 and self.of_tenant(tenant) < self._reserved
        return max(0, self.most - self.taken - (0 if is_newcomer else self._kept))

    def may_take(self, group: Group) -> bool:
        """Return whether a place is free for this tenant and cluster."""
        free, kept = self.most - self.taken, self._kept
        if free > kept or free <= 0:
            return free > 0

        # Only reserved places are free: a cluster, or a tenant, with too many calls gets none of them.
        if self.of_group(group) >= self.most - kept:
            return False
        return self.tenants <= 1 or free > self._reserved or self.of_tenant(group[0]) < self.most - self._reserved

    def take(self, group: Group) -> None:
        """Take a place."""
        tenant, _ = group
        self.taken += 1
        self._by_group[group] = self._by_group.get(group, 0) + 1
        self._by_tenant[tenant] = self._by_tenant.get(tenant, 0) + 1

    def give(self, group: Group) -> None:
        """Give a place back."""
        self.taken -= 1
        _less(self._by_group, group)
        _less(self._by_tenant, group[0])

    def of_tenant(self, tenant: object) -> int:
        """Return the places of a tenant."""
        return self._by_tenant.get(tenant, 0)

    def of_group(self, group: Group) -> int:
        """Return the places of a tenant's cluster."""
        return self._by_group.get(group, 0)


def _less(counts: dict[_N, int], name: _N) -> None:
    if counts[name] > 1:
        counts[name] -= 1
    else:
        del counts[name]


class InFlight:
    """
    Bound the calls of one lane that are under way at the same time.

    Args:
        most: calls under way at the same time.
    """

    def __init__(self, most: int) -> None:
        self._lane: Final = Lane(most)
        self._waiting: dict[object, dict[str, deque[asyncio.Future[None]]]] = {}

    @property
    def taken(self) -> int:
        """Calls under way."""
        return self._lane.taken

    def share_between(self, tenants: int) -> None:
        """Set the number of tenants."""
        self._lane.share_between(tenants)

    @contextlib.asynccontextmanager
    async def place(self, group: Group) -> AsyncIterator[None]:
        """Hold a place for the length of the block."""
        await self.acquire(group)
        try:
            yield
        finally:
            self.release(group)

    async def acquire(self, group: Group) -> None:
        """Wait for a place; calls of one group go in the order in which they came."""
        tenant, cluster = group
        if cluster not in self._waiting.get(tenant, ()) and self._lane.may_take(group):
            self._lane.take(group)
            return

        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, {}).setdefault(cluster, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            # The place may have been given at the moment of the cancellation: then it must be given back.
            if place.cancelled():
                self._forget(group, place)
            else:
                self.release(group)
            raise

    def release(self, group: Group) -> None:
        """Give a place back, and give free places to the calls that are next."""
        self._lane.give(group)
        while (chosen := self._next()) is not None:
            place = self._pop(chosen)
            if not place.done():  # else its task was cancelled a moment ago
                self._lane.take(chosen)
                place.set_result(None)

    def _pop(self, group: Group) -> asyncio.Future[None]:
        """Remove the first call of a group; the others move behind the tenants and clusters that hold as few places."""
        tenant, cluster = group
        clusters = self._waiting.pop(tenant)
        waiting = clusters.pop(cluster)
        place = waiting.popleft()
        if waiting:
            clusters[cluster] = waiting
        if clusters:
            self._waiting[tenant] = clusters
        return place

    def _forget(self, group: Group, place: asyncio.Future[None]) -> None:
        tenant, cluster = group
        clusters = self._waiting.get(tenant, {})
        waiting = clusters.get(cluster, deque())
        if place in waiting:
            waiting.remove(place)
            if not waiting:
                del clusters[cluster]
            if not clusters:
                del self._waiting[tenant]

    def _next(self) -> Group | None:
        """Return the group that gets a free place; None: no place is free, or none of those that wait may take it."""
        lane = self._lane
        if not self._waiting or lane.taken >= lane.most:
            return None

        # Only if all clusters of the first tenant have as much as they may, is it the turn of others.
        first = _fewest(self._waiting, lane.of_tenant)
        chosen = self._next_of(first)
        if chosen is None and len(self._waiting) > 1:
            others = map(self._next_of, sorted(self._waiting, key=lane.of_tenant))
            chosen = next((group for group in others if group is not None), None)
        return chosen

    def _next_of(self, tenant: object) -> Group | None:
        """Return the tenant's waiting cluster that gets a place, if one may."""
        clusters = self._waiting[tenant]
        able = (group for cluster in clusters if self._lane.may_take(group := (tenant, cluster)))
        return next(able, None) if len(clusters) == 1 else _fewest(able, self._lane.of_group)


def _fewest(names: Iterable[_N], held: Callable[[_N], int]) -> _N | None:
    """Return the first of those that hold the fewest places; the search ends at one that holds none."""
    chosen, fewest = None, None
    for name in names:
        count = held(name)
        if fewest is None or count < fewest:
            chosen, fewest = name, count
            if not count:
                break  # thousands may wait
    return chosen


class Lanes:
    """
    Keep a lane for each kind of call.

    Args:
        submissions: submissions under way at the same time.
        others: the same for other writes, and for reads.
    """

    def __init__(self, submissions: int, others: int) -> None:
        self._lanes: Final = {kind: InFlight(submissions if kind == "submissions" else others) for kind in KINDS}

    def of(self, operation: str) -> InFlight:
        """Return the lane of an operation."""
        return self._lanes[kind_of(operation)]

    def share_between(self, tenants: int) -> None:
        """Set the number of tenants."""
        for lane in self._lanes.values():
            lane.share_between(tenants)

    @property
    def taken(self) -> int:
        """Calls of all kinds under way: sent, and not answered yet."""
        return sum(lane.taken for lane in self._lanes.values())
