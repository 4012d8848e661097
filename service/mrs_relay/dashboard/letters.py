"""The page of dead letters: what no event could answer, and why."""

from __future__ import annotations

from aiohttp import web

from mrs_relay.api import models, replies
from mrs_relay.api.access import scopes
from mrs_relay.dashboard import links, sources


class DeadLetterList:
    """
    The handler of the page.

    Args:
        used: what pages are made of.
    """

    def __init__(self, used: sources.Sources) -> None:
        self._used = used

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with a page of dead letters."""
        given = links.given(request)
        page = await self._used.asked.dead_letters(replies.checked(given, models.DeadLettersQuery), scopes.of(request))
        return self._used.renderer.page(
            "dead_letters",
            path="/dead-letters",
            given=given,
            letters=page.items,
            following=links.following("/dead-letters", given, page.next),
            first="cursor" not in given,
            tenants=self._used.tenants_of(request),
        )
