"""
Count for an overview: what is under way, what has ended lately, what has waited longest.

Each number comes from one index and takes milliseconds among 100,000 requests; `Figures` keeps them for a second, so
that many viewers cost as much as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from mrs_relay.common import clock
from mrs_relay.read_model import database, tables

WAITING: Final = ("accepted", "retrying")
"""States of requests that MRS does not have yet, or no longer."""

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
_KEPT_S: Final = 1.0
_SHOWN: Final = 5

_requests = tables.REQUESTS.c
_letters = tables.DEAD_LETTERS.c


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Requests of one state, tenant and cluster that have not ended: their number, and when the first of them began."""

    state: str
    tenant: str
    cluster: str | None
    count: int
    started_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Requests that ended in one minute in one state; `minute` counts from the epoch."""

    minute: int
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Overview:
    """
    The numbers of one moment.

    Attributes:
        at_ms: the moment.
        under_way: what has not ended.
        ended: what ended in the hour before.
        unknown: requests that a person must settle.
        oldest: rows of the requests that have waited longest, the oldest first.
        letters: dead letters in all.
        new_letters: those of the hour before.
    """

    at_ms: int
    under_way: Sequence[UnderWay]
    ended: Sequence[Ended]
    unknown: int
    oldest: Sequence[Mapping[str, Any]]
    letters: int
    new_letters: int


class Figures:
    """
    The numbers, counted at most once a second.

    Args:
        opened: the database.
        time: the clock.
    """

    def __init__(self, opened: database.Database, time: clock.Clock) -> None:
        self._database = opened
        self._time = time
        self._counting = asyncio.Lock()
        self._last: dict[frozenset[str] | None, tuple[float, Overview]] = {}

    async def overview(self, tenants: frozenset[str] | None = None) -> Overview:
        """Return the numbers of some tenants, None: of all; they are a second old at most. Raises DatabaseDown."""
        async with self._counting:
            now_s = self._time.monotonic_s()
            self._last = {one: found for one, found in self._last.items() if now_s < found[0]}
            if tenants not in self._last:
                counted = await _count(self._database, self._time.now_ms(), tenants)
                self._last[tenants] = self._time.monotonic_s() + _KEPT_S, counted
            return self._last[tenants][1]


async def _count(opened: database.Database, now_ms: int, tenants: frozenset[str] | None) -> Overview:
    since_ms = now_ms - HOUR_MS
    asked = [_under_way(), _ended(since_ms), _unknown(), *(_oldest(state) for state in WAITING)]
    letters_asked = _dead_letters(since_ms)

    if tenants is not None:
        asked = [one.where(_requests.tenant.in_(sorted(tenants))) for one in asked]
        letters_asked = letters_asked.where(_letters.tenant.in_(sorted(tenants)))

    under_way, ended, unknown, *oldest, letters = await opened.rows(*asked, letters_asked)
    waiting = sorted((row._asdict() for rows in oldest for row in rows), key=lambda row: row["started_ms"])

    return Overview(
        at_ms=now_ms,
        under_way=[UnderWay(**row._asdict()) for row in under_way],
        ended=[Ended(**row._asdict()) for row in ended],
        unknown=unknown[0].number,
        oldest=waiting[:_SHOWN],
        letters=letters[0].number,
        new_letters=letters[0].new or 0,
    )


def _under_way() -> sa.Select[Any]:
    group = _requests.state, _requests.tenant, _requests.cluster
    first = sa.func.min(_requests.started_ms).label("started_ms")
    counted: sa.Select[Any] = sa.select(*group, sa.func.count().label("count"), first)
    return counted.where(tables.IS_UNDER_WAY).group_by(*group)


def _ended(since_ms: int) -> sa.Select[Any]:
    minute = _requests.updated_ms // sa.literal_column(str(MINUTE_MS), sa.BigInteger)  # PostgreSQL groups by literals
    counted: sa.Select[Any] = sa.select(minute.label("minute"), _requests.state, sa.func.count().label("count"))
    return counted.where(tables.HAS_ENDED, _requests.updated_ms >= since_ms).group_by(minute, _requests.state)


def _unknown() -> sa.Select[Any]:
    return sa.select(sa.func.count().label("number")).where(_requests.state == "unknown")


def _dead_letters(since_ms: int) -> sa.Select[Any]:
    is_new = sa.case((_letters.written_ms >= since_ms, 1), else_=0)
    counts: list[sa.ColumnElement[Any]] = [sa.func.count().label("number"), sa.func.sum(is_new).label("new")]
    return sa.select(*counts).select_from(tables.DEAD_LETTERS)


def _oldest(state: str) -> sa.Select[Any]:
    return sa.select(tables.REQUESTS).where(_requests.state == state).order_by(_requests.started_ms).limit(_SHOWN)
