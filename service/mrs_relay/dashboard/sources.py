"""What pages are made of: the answers of the HTTP API, and the renderer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from mrs_relay.api import controls, decisions, guards, letters, relays, replays, requests, retries, submissions
from mrs_relay.api.access import callers, scopes
from mrs_relay.common import clock
from mrs_relay.dashboard import rendering
from mrs_relay.read_model import database, figures, projector


@dataclass(frozen=True, slots=True)
class Sources:
    """
    What the handlers of pages share.

    Attributes:
        opened: the database.
        asked: finds requests.
        submitted: sends messages about them.
        repeated: sends them again.
        controlled: lists, sets and lifts controls.
        reported: what the relays report.
        noted: what people and programs decided.
        lettered: finds dead letters.
        replayed: sends them once more.
        figures: counts for the overview.
        progress: how far the read model is.
        tenants: names of the tenants; one that is "" without tenants.
        time: the clock.
        renderer: makes the pages.
        own: addresses of the service.
        read_only: no decision is taken here.
    """

    opened: database.Database
    asked: requests.Requests
    submitted: submissions.Submissions
    repeated: retries.Retries
    controlled: controls.Controls
    reported: relays.Relays
    noted: decisions.Decisions
    lettered: letters.Letters
    replayed: replays.Replays
    figures: figures.Figures
    progress: Callable[[], projector.Progress]
    tenants: Sequence[str]
    time: clock.Clock
    renderer: rendering.Renderer
    own: guards.OwnAddresses
    read_only: bool

    def may_decide(self, request: web.Request, tenant: str | callers.Some = callers.Some.TENANT) -> bool:
        """Return whether to offer the caller decisions on a tenant; `Some`: on one at least, `EVERY`: on all."""
        return not self.read_only and scopes.of(request).caller.may(callers.Role.OPERATOR, tenant)

    def tenants_of(self, request: web.Request) -> list[str]:
        """Return the names of the tenants that the caller may see, for a form; none without tenants."""
        return [name for name in self.tenants if name and scopes.of(request).may(name)]
