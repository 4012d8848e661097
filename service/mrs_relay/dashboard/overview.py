"""The first page: what runs, waits and fails, and how far the read model is."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from mrs_relay.api import models, relay_models
from mrs_relay.api.access import scopes
from mrs_relay.dashboard import relay_pages, sources
from mrs_relay.read_model import figures

_RUNNING: Final = ("submitted", "running", "progress")
_ENDS: Final = ("succeeded", "failed", "cancelled", "rejected", "unknown")
_MINUTES: Final = 60
_CHART_HEIGHT: Final = 64
_MOST_PLACES: Final = 12
_FAILURES: Final = 8


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a minute's column in the chart: its state, number, place and height."""

    state: str
    count: int
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Place:
    """What a tenant and cluster have under way."""

    tenant: str
    cluster: str | None
    waiting: int
    running: int
    oldest_ms: int | None


class OverviewPage:
    """
    The handler of the page.

    Args:
        used: what pages are made of.
    """

    def __init__(self, used: sources.Sources) -> None:
        self._used = used

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with the page."""
        scope = scopes.of(request)
        now = await self._used.figures.overview(scope.tenants)
        under_way: collections.Counter[str] = collections.Counter()
        for one in now.under_way:
            under_way[one.state] += one.count
        ended: collections.Counter[str] = collections.Counter()
        for some in now.ended:
            ended[some.state] += some.count

        # Clusters and budgets are of all tenants together.
        reported, sees_all = self._used.reported, scope.visible is None
        clusters = reported.clusters(relay_models.ClustersQuery(), scope).items if sees_all else ()
        budgets = reported.budgets(relay_models.BudgetsQuery(), scope).items if sees_all else ()
        partitions = reported.partitions(relay_models.PartitionsQuery(), scope).items

        busy = places(now)
        failures, more_failures = await self._used.asked.page(
            models.RequestsQuery(state="failed", limit=_FAILURES), scope
        )
        return self._used.renderer.page(
            "overview",
            path="/",
            figures=now,
            waiting=sum(under_way[state] for state in figures.WAITING),
            running=sum(under_way[state] for state in _RUNNING),
            under_way=under_way,
            ended=ended,
            ends=_ENDS,
            columns=chart(now),
            most=max(_by_minute(now).values(), default=0),
            places=busy[:_MOST_PLACES],
            left_out=max(0, len(busy) - _MOST_PLACES),
            failures=failures,
            more_failures=more_failures,
            sees_all=sees_all,
            clusters=relay_pages.slots(clusters)[:_MOST_PLACES],
            budgets=[one for one in budgets if one.used],
            partitions=[one for one in partitions if _is_ill(one)],
            controls=(await self._used.controlled.listed(scope)).items,
            progress=self._used.progress(),
        )


def _is_ill(partition: relay_models.Partition) -> bool:
    return partition.stale or partition.state != "running"


def places(now: figures.Overview) -> Sequence[Place]:
    """Return what is under way by tenant and cluster, the busiest first."""
    found: dict[tuple[str, str | None], Place] = {}
    for one in now.under_way:
        at = one.tenant, one.cluster
        before = found.get(at, Place(one.tenant, one.cluster, 0, 0, None))
        waits = one.state in figures.WAITING
        oldest = [moment for moment in (before.oldest_ms, one.started_ms if waits else None) if moment is not None]
        found[at] = Place(
            one.tenant,
            one.cluster,
            before.waiting + (one.count if waits else 0),
            before.running + (0 if waits else one.count),
            min(oldest, default=None),
        )
    return sorted(found.values(), key=lambda place: (-place.waiting - place.running, place.tenant, place.cluster or ""))


def chart(now: figures.Overview) -> Sequence[Part]:
    """Return the columns of what ended, a minute each, the last hour from left to right."""
    most = max(_by_minute(now).values(), default=1)
    first = _first_minute(now)
    by_minute: dict[int, dict[str, int]] = collections.defaultdict(dict)
    for one in now.ended:
        by_minute[one.minute][one.state] = one.count

    parts = []
    for minute, counts in sorted(by_minute.items()):
        top = float(_CHART_HEIGHT)
        for state in (state for state in _ENDS if state in counts and minute >= first):
            height = counts[state] / most * _CHART_HEIGHT
            top -= height
            parts.append(Part(state, counts[state], (minute - first) * 10, round(top, 1), round(height, 1)))
    return parts


def _by_minute(now: figures.Overview) -> Mapping[int, int]:
    """Return how many ended in each minute that is drawn."""
    found: collections.Counter[int] = collections.Counter()
    for one in now.ended:
        if one.minute >= _first_minute(now):
            found[one.minute] += one.count
    return found


def _first_minute(now: figures.Overview) -> int:
    return now.at_ms // figures.MINUTE_MS - _MINUTES + 1
