"""The page of one request: its life as a picture, its events, what MRS said, its result, and what can be done."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from mrs_relay.api import problems, retries, submissions
from mrs_relay.api.access import callers, scopes
from mrs_relay.dashboard import forms, links, rendering, sources, timeline

_SHOWN_EVENTS: Final = 200
_SHOWN_ROWS: Final = 200
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_NOTICES: Final = {
    "cancel": "The cancel was sent. The events below say whether the job was stopped.",
    "resolve": "The verdict was sent. The events below say what became of it.",
    "retry": "It was sent again. The new request has a page with its first event:",
}


class RequestPage:
    """
    The handlers of the page.

    Args:
        used: what pages are made of.
    """

    def __init__(self, used: sources.Sources) -> None:
        self._used = used

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with the page."""
        row = await self._used.asked.one(request, extra=("done",))
        found = await self._used.asked.events(row)
        last = await self._used.asked.last_event(row)
        data = _mapping((last or {}).get("data"))
        result = _mapping(data.get("result"))

        return self._used.renderer.page(
            "request",
            path="/requests",
            row=row,
            labels=_labels(found),
            events=found[-_SHOWN_EVENTS:],
            events_left_out=max(0, len(found) - _SHOWN_EVENTS),
            picture=timeline.draw(found, self._used.time.now_ms()),
            picture_width=timeline.WIDTH,
            why=None if row["ended"] else await self._used.reported.explained(row, scopes.of(request)),
            operation=data.get("operation"),
            mrs=_mapping(data.get("mrs")),
            reason=_mapping(data.get("reason")),
            tracking_url=links.of_web(row["tracking_url"]),
            result=result,
            tables=[_table(one) for one in _statements(result)],
            can_cancel=row["state"] in submissions.FITTING["mrs.job.cancel"],
            can_resolve=row["state"] in submissions.FITTING["mrs.job.resolve"],
            can_retry=row["state"] in retries.FITTING,
            retry={**row, "id": retries.usual_id(row)},
            may_decide=self._used.may_decide(request, row["tenant"]),
            may_hold=self._used.may_decide(request, callers.EVERY),
            done=request.query.get("done", ""),
            notice=_NOTICES.get(request.query.get("done", "")),
        )

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Take the form that cancels the request, and go back to its page."""
        given = await forms.fields(request, self._used.own)
        row = await self._used.asked.one(request)
        await self._used.submitted.cancel_one(row, forms.note(given), scopes.of(request).caller)
        raise web.HTTPSeeOther(links.request_url(row, done="cancel"))

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        """Take the form that settles the request, and go back to its page."""
        given = await forms.fields(request, self._used.own)
        row = await self._used.asked.one(request)
        await self._used.submitted.resolve_one(row, forms.verdict(given), forms.note(given), scopes.of(request).caller)
        raise web.HTTPSeeOther(links.request_url(row, done="resolve"))

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """Take the form that sends the request again, and go back to its page."""
        given = await forms.fields(request, self._used.own)
        row = await self._used.asked.one(request)
        note = forms.note(given)
        [found] = await self._used.repeated.originals([row])
        await self._used.repeated.retry_one(row, found, note, scopes.of(request).caller)
        raise web.HTTPSeeOther(links.request_url(row, done="retry"))

    async def result(self, request: web.Request) -> web.StreamResponse:
        """Answer with the rows of a statement as CSV."""
        row = await self._used.asked.one(request, extra=("statement",))
        number = request.query.get("statement", "1")
        last = await self._used.asked.last_event(row)
        statements = _statements(_mapping(_mapping((last or {}).get("data")).get("result")))
        if not number.isdecimal() or not 1 <= int(number) <= len(statements):
            text = f"statement {number[:20]!r}: the result has {len(statements)} statements"
            raise problems.ProblemError(404, "no-such-result", text)

        columns, rows = _cells(statements[int(number) - 1])
        name = f"{links.file_name(row['id'])}-{number}.csv"
        headers = {**rendering.HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(text=as_csv(columns, rows), content_type="text/csv", headers=headers)


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """
    Write rows as CSV (RFC 4180).

    Text that a spreadsheet would run as a formula gets an apostrophe in front; numbers stay as they are.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    if columns:
        writer.writerow(map(_cell, columns))
    writer.writerows(map(_cell, one) for one in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    """Return an object of an event; one of another kind, as foreign programs may write, is as good as none."""
    return value if isinstance(value, Mapping) else {}


def _statements(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = result.get("statements")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _table(statement: Mapping[str, Any]) -> dict[str, Any]:
    columns, rows = _cells(statement)
    return {
        "columns": columns,
        "rows": rows[:_SHOWN_ROWS],
        "left_out": max(0, len(rows) - _SHOWN_ROWS),
        "row_count": count if isinstance(count := statement.get("row_count"), int) else len(rows),
        "has_rows": len(rows),
    }


def _cells(statement: Mapping[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Return the columns and rows of a statement, whose rows are objects, or lists without names."""
    given = statement.get("rows")
    rows = given if isinstance(given, list) else []
    columns: dict[str, None] = {}
    for one in rows:
        if isinstance(one, Mapping):
            columns.update(dict.fromkeys(map(str, one)))
    return list(columns), [_values(one, columns) for one in rows]


def _values(row: object, columns: Mapping[str, None]) -> list[object]:
    if isinstance(row, Mapping):
        return [row.get(name) for name in columns]
    return list(row) if isinstance(row, list) else [row]


def _labels(found: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    labels: Mapping[str, str] = next((event["data"]["labels"] for event in found if event["data"].get("labels")), {})
    return labels
