"""The pages of dead letters: what no event could answer, why, its bytes, and how it is sent once more."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from mrs_relay.api import letter_models, problems, replies
from mrs_relay.api.access import scopes
from mrs_relay.dashboard import forms, links, rendering, sources

_PATH: Final = "/dead-letters"
_FILTERS: Final = ("tenant", "code")
_SHOWN: Final = 4_000
_SAMPLE: Final = 10
_STEP: Final = 50
_KINDS: Final = ("sent", "passed", "failed")
_NOTICES: Final = {"replay": "The message was sent once more. If it is unreadable still, it appears here again."}


class LetterPages:
    """
    The handlers of the pages.

    Args:
        used: what pages are made of.
    """

    def __init__(self, used: sources.Sources) -> None:
        self._used = used

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with a page of dead letters."""
        given = links.given(request)
        query = replies.checked(given, letter_models.DeadLettersQuery)
        page = await self._used.lettered.page(query, scopes.of(request))
        return self._used.renderer.page(
            "dead_letters",
            path=_PATH,
            given=given,
            chosen=_filters(given),
            letters=page.items,
            following=links.following(_PATH, given, page.next),
            first="cursor" not in given,
            tenants=self._used.tenants_of(request),
            may_decide=self._used.may_decide(request),
        )

    async def one(self, request: web.Request) -> web.StreamResponse:
        """Answer with one dead letter."""
        detail = await self._used.lettered.detail(request)
        return self._used.renderer.page(
            "dead_letter",
            path=_PATH,
            letter=detail,
            shown=None if detail.content is None else (detail.content.text or "")[:_SHOWN],
            left_out=0 if detail.content is None else max(0, len(detail.content.text or "") - _SHOWN),
            may_decide=detail.content is not None and self._used.may_decide(request, detail.tenant),
            notice=_NOTICES.get(request.query.get("done", "")),
        )

    async def message(self, request: web.Request) -> web.StreamResponse:
        """Answer with the bytes of the message, to be kept in a file."""
        row = await self._used.lettered.one(request)
        [letter] = await self._used.lettered.contents([row])
        if letter is None or letter.value is None:
            raise problems.ProblemError(404, "no-such-dead-letter", "the message has no bytes, or is no longer kept")
        disposition = f'attachment; filename="{links.file_name(row["position"])}"'
        headers = {**rendering.HEADERS, "Content-Disposition": disposition}
        return web.Response(body=letter.value, content_type="application/octet-stream", headers=headers)

    async def replay(self, request: web.Request) -> web.StreamResponse:
        """Take the form that sends one message once more, and go back to its page."""
        given = await forms.fields(request, self._used.own)
        row = await self._used.lettered.one(request)
        body = letter_models.ReplayRequest(positions=[row["position"]], note=forms.note(given))
        [outcome] = (await self._used.replayed.replay(body, scopes.of(request))).items
        if outcome.outcome != "sent":
            raise problems.ProblemError(409, "not-replayed", f"{outcome.position}: not sent: {outcome.message}")
        raise web.HTTPSeeOther(links.letter_url(row["position"], done="replay"))

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """Answer with what would be sent once more: how many messages, and the first of them."""
        chosen = _filters(links.given(request))
        body = forms.checked({**chosen, "all": True, "dry_run": True, "limit": _SAMPLE}, letter_models.ReplayRequest)
        found = await self._used.replayed.replay(body, scopes.of(request))
        return self._used.renderer.page(
            "replay",
            path=_PATH,
            chosen=chosen,
            found=found,
            list_url=links.url(_PATH, chosen),
            may_decide=self._used.may_decide(request),
        )

    async def step(self, request: web.Request) -> web.StreamResponse:
        """Send the next messages once more, and answer with their outcomes and the form of the next step."""
        given = await forms.fields(request, self._used.own)
        chosen, note = _filters(given), forms.note(given)
        counts = collections.Counter({kind: forms.number(given, kind) for kind in _KINDS})
        fields = {name: given[name] for name in ("until", "cursor") if given.get(name)}
        body = forms.checked(
            {**chosen, **fields, "all": True, "note": note, "limit": _STEP}, letter_models.ReplayRequest
        )
        found = await self._used.replayed.replay(body, scopes.of(request))
        counts.update(one.outcome for one in found.items)

        return self._used.renderer.page(
            "replay_step" if request.headers.get("HX-Request") else "replay_page",
            path=_PATH,
            chosen=chosen,
            note=note,
            found=found,
            counts={kind: counts[kind] for kind in _KINDS},
            looked_at=sum(counts[kind] for kind in _KINDS),
            list_url=links.url(_PATH, chosen),
        )


def _filters(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: given[name] for name in _FILTERS if given.get(name)}
