"""The page of decisions: who decided what, when, from where and why."""

from __future__ import annotations

from aiohttp import web

from mrs_relay.api import models, replies
from mrs_relay.api.access import scopes
from mrs_relay.dashboard import links, sources


class AuditPage:
    """
    The handler of the page.

    Args:
        used: what pages are made of.
    """

    def __init__(self, used: sources.Sources) -> None:
        self._used = used

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with a page of decisions."""
        given = links.given(request)
        page = await self._used.noted.page(replies.checked(given, models.AuditQuery), scopes.of(request))
        return self._used.renderer.page(
            "audit",
            path="/audit",
            given=given,
            decisions=page.items,
            following=links.following("/audit", given, page.next),
            first="cursor" not in given,
        )
