"""
The list of requests: filters in the address, pages by cursor, and rows that change where they stand.

`/live` answers with the same rows again, named by their keys, so that nothing moves under a reader's eyes; what is new
is counted and comes when the reader asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from mrs_relay.api import models, problems, replies, requests
from mrs_relay.api.access import callers, scopes
from mrs_relay.dashboard import links, sources
from mrs_relay.messages import events
from mrs_relay.read_model import queries

_MOST_NEW: Final = 99
_MOST_KEYS: Final = 500
_KEY_DIGITS: Final = 32
_LATE_MS: Final = 60_000
FILTERS: Final = ("text", "state", "type", "tenant", "cluster", "label", "reason", "since", "until")
"""Names of the filters, as the HTTP API has them."""


class RequestList:
    """
    The handlers of the list.

    Args:
        used: what pages are made of.
    """

    def __init__(self, used: sources.Sources) -> None:
        self._used = used

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with a page of the list; a wrong filter is said beside the form."""
        now_ms = self._used.time.now_ms()
        given = links.given(request)
        try:
            query = replies.checked(given, models.RequestsQuery)
            rows, following = await self._used.asked.page(query, scopes.of(request))
        except problems.ProblemError as problem:
            if not problem.faults:
                raise
            return self._page(request, given, [], status=400, faults=problem.faults)

        chosen = filters(given)
        keys = ",".join(row["key"].hex() for row in rows)
        new_since_ms = _new_since_ms(now_ms, rows if following else ())
        live = None if query.cursor else links.url("/live", chosen, keys=keys, new_since=new_since_ms)
        return self._page(request, given, rows, live=live, following=links.following("/requests", given, following))

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Answer with the rows that a page shows, as they are now, and the number of new ones."""
        given = links.given(request)
        keys = _keys(given.pop("keys", ""))
        new_since_ms = _moment_ms(given.pop("new_since", ""))
        query = replies.checked(given, models.RequestsQuery)

        scope = scopes.of(request)
        scope.require_named(query.tenant)
        rows = [row for row in await queries.of_keys(self._used.opened, keys) if scope.may(row["tenant"])]
        chosen = requests.filter_of(query, scope.tenants)
        newer = _since(chosen, new_since_ms)
        most = _MOST_NEW + 1 + len(keys)
        new = [] if newer is None else (await queries.requests(self._used.opened, newer, None, most)).rows
        count = sum(row["key"] not in keys for row in new)
        return self._used.renderer.page(
            "live_rows",
            path="/requests",
            rows=[_line(row, chosen) for row in rows],
            live=request.path_qs,
            list_url=links.url("/requests", filters(given)),
            new=f"{_MOST_NEW}+" if count > _MOST_NEW else str(count) if count else "",
            filtered=bool(filters(given)),
            first=True,
        )

    def _page(
        self,
        request: web.Request,
        given: Mapping[str, str],
        rows: Sequence[Mapping[str, Any]],
        *,
        status: int = 200,
        **values: Any,  # noqa: ANN401 - what the template shows
    ) -> web.Response:
        chosen = filters(given)
        shown: dict[str, Any] = {"live": None, "following": None, "faults": (), "new": "", **values}

        return self._used.renderer.page(
            "requests",
            path="/requests",
            status=status,
            rows=[_line(row, None) for row in rows],
            given=given,
            chosen=chosen,
            filtered=bool(chosen),
            first="cursor" not in given,
            list_url=links.url("/requests", chosen),
            here=request.path_qs,
            tenants=self._used.tenants_of(request),
            kinds=list(events.SUBJECTS),
            may_decide=self._used.may_decide(request, chosen.get("tenant") or callers.Some.TENANT),
            may_hold=self._used.may_decide(request, callers.EVERY),
            **shown,
        )


def filters(given: Mapping[str, str]) -> dict[str, str]:
    """Return the filters among parameters."""
    return {name: given[name] for name in FILTERS if name in given}


def _line(row: Mapping[str, Any], chosen: queries.Filter | None) -> dict[str, Any]:
    """Return a row with what the template needs besides; one that no longer matches its filter stays, and says so."""
    left = chosen is not None and chosen.state is not None and row["state"] != chosen.state
    return {**row, "dom_id": f"r-{row['key'].hex()}", "left": left, "url": links.request_url(row)}


def _new_since_ms(now_ms: int, rows: Sequence[Mapping[str, Any]]) -> int:
    """
    Return since when what began and is not on a page is new to it.

    What began shortly before the page was made may be read after it.

    Args:
        now_ms: when the page was made.
        rows: of the page, if others follow it, which are not new.
    """
    last_ms = rows[-1]["started_ms"] if rows else 0
    return max(now_ms - _LATE_MS, last_ms + 1)


def _since(chosen: queries.Filter, new_since_ms: int) -> queries.Filter | None:
    """Return the filter of what is new to a page; None: its own limits leave nothing."""
    if chosen.until_ms is not None and chosen.until_ms <= new_since_ms:
        return None
    return queries.since(chosen, max(new_since_ms, chosen.since_ms or 0))


def _keys(text: str) -> list[bytes]:
    try:
        keys = [bytes.fromhex(one) for one in text.split(",") if one]
    except ValueError:
        keys = [b""]
    if len(keys) > _MOST_KEYS or any(len(key) * 2 != _KEY_DIGITS for key in keys):
        raise problems.ProblemError(400, "invalid-parameter", "keys: expected those of a page")
    return keys


def _moment_ms(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):  # noqa: PLR2004 - digits of any year's milliseconds
        raise problems.ProblemError(400, "invalid-parameter", "new_since: expected that of a page")
    return int(text)
