"""Answer questions about requests from the read model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from mrs_relay.api import event_json, models, problems, replies
from mrs_relay.api.access import scopes
from mrs_relay.common import clock
from mrs_relay.read_model import database, event_log, queries

_MOST_EVENTS = 1_000


class Requests:
    """
    The handlers of requests.

    Args:
        opened: the database.
    """

    def __init__(self, opened: database.Database) -> None:
        self._database = opened

    async def list_requests(self, request: web.Request) -> web.StreamResponse:
        """Answer with a page of requests."""
        query = replies.query(request, models.RequestsQuery)
        rows, following = await self.page(query, scopes.of(request))
        items = [shown(row) for row in rows]
        return replies.reply(request, models.RequestPage(items=items, next=following))

    async def show_request(self, request: web.Request) -> web.StreamResponse:
        """Answer with one request."""
        row = await self.one(request)
        last = await self.last_event(row)
        return replies.reply(request, models.RequestDetail(**_members(row), last_event=last))

    async def list_events(self, request: web.Request) -> web.StreamResponse:
        """Answer with the events of one request."""
        return replies.reply(request, models.EventList(items=await self.events(await self.one(request))))

    async def page(
        self, query: models.RequestsQuery, scope: scopes.Scope
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """
        Return the rows of a page of requests that the caller may see, and the cursor of the next page.

        Raises:
            ProblemError: the tenant is not the caller's, or the cursor is not one of ours. DatabaseDown.
        """
        scope.require_named(query.tenant)
        chosen = filter_of(query, scope.tenants)
        after = replies.place(query.cursor, queries.PageEnd, chosen)
        page = await queries.requests(self._database, chosen, after, query.limit)
        return page.rows, replies.cursor(page.next, chosen)

    async def last_event(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the event that brought the state of a request; None: it is not kept. Raises DatabaseDown."""
        event = await event_log.event_at(self._database, row["log"], row["offset"], row["key"])
        return None if event is None else event_json.decoded(event)

    async def events(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the last events of a request, in order. Raises DatabaseDown."""
        found = await event_log.events_of(self._database, row["key"], limit=_MOST_EVENTS)
        return [event_json.decoded(event) for event in found]

    async def one(self, request: web.Request, *, extra: Collection[str] = ()) -> Mapping[str, Any]:
        """
        Return the row of the request that the path names, for which the caller has the role of the route.

        Args:
            request: its query may name source and tenant.
            extra: parameters that others read.

        Raises:
            ProblemError: there is none, or more than one, or the caller's role does not suffice.
        """
        query, scope = replies.query(request, models.RequestQuery, extra=extra), scopes.of(request)
        scope.require_named(query.tenant)
        request_id = request.match_info["id"]
        found = []

        if "\0" not in request_id:
            found = await queries.of_id(
                self._database, request_id, tenant=query.tenant, source=query.source, visible=scope.visible
            )
        if not found:
            text = f"there is no request with the id {request_id[:300]!r}; it may be new, or forgotten after its time"
            raise problems.ProblemError(404, "no-such-request", text)

        if len(found) > 1:
            several = [{"tenant": row["tenant"], "source": row["source"]} for row in found]
            text = f"{len(found)} requests have this id: add `source` and `tenant` to the query"
            raise problems.ProblemError(409, "ambiguous-id", text, extra={"candidates": several})

        scope.require(found[0]["tenant"])
        return found[0]


def filter_of(query: models.RequestsQuery, tenants: frozenset[str] | None) -> queries.Filter:
    """Return which requests a query asks for, of some tenants; None: of all."""
    return queries.Filter(
        tenant=query.tenant,
        state=query.state,
        kind=query.type,
        cluster=query.cluster,
        reason_class=query.reason,
        label=query.label,
        since_ms=None if query.since is None else queries.milliseconds(query.since),
        until_ms=None if query.until is None else queries.milliseconds(query.until),
        text=query.text,
        visible=tenants,
    )


def shown(row: Mapping[str, Any]) -> models.Request:
    """Return a row as the API shows it."""
    return models.Request(**_members(row))


def _members(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of `models.Request` for a row."""
    mrs = models.Mrs(**{name: row[name] for name in models.Mrs.model_fields})
    reason = None

    if row["reason_class"] is not None:
        reason = models.Reason(
            kind=row["reason_class"], code=row["reason_code"] or "", message=row["reason_message"] or ""
        )

    same = ("tenant", "source", "id", "state", "ended", "sequence", "attempt", "cluster")

    return {
        **{name: row[name] for name in same},
        "type": row["kind"],
        "started_at": clock.shown(row["started_ms"]),
        "updated_at": clock.shown(row["updated_ms"]),
        "labels": None if row["labels"] is None else msgspec.json.decode(row["labels"]),
        "reason": reason,
        "mrs": mrs if mrs != models.Mrs() else None,
    }
