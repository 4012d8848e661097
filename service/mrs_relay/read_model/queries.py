"""
Ask for requests and decisions, newest first, page by page; `letters` asks for dead letters.

A page takes a bounded time, whatever the filter: one filter has an index, and the rows in its order are checked for the
others until the page is full or `_BUDGET_S` is over. A page may therefore have fewer items than asked for, or none, and
still be followed by another one. A text that matches seldom is then looked up in the index of words.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Final

import msgspec
import sqlalchemy as sa

from mrs_relay.read_model import database, tables, text_index

_SCANNED: Final = 2_000
_BUDGET_S: Final = 0.02
_OF_ONE_ID: Final = 20
_BY_SELECTIVITY: Final = ("cluster", "reason_class", "state", "kind", "tenant")

_Int32 = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Int64 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Moment = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Epoch milliseconds as a foreign record has them: a time before 1970 is none of ours, and is paged over, too."""

_requests = tables.REQUESTS.c


class Filter(msgspec.Struct, frozen=True):
    """
    Which requests; None: any.

    Attributes:
        tenant: name of the tenant.
        visible: names of the tenants that the asking one may see.
        state: of the last event.
        kind: job, sql, cluster or call.
        cluster: MRS cluster id.
        reason_class: class of the reason.
        label: `name=value`.
        since_ms: first event at this time or later, epoch milliseconds.
        until_ms: first event before this time.
        text: part of the id, source, cluster, job name, job id, application id or reason code, in any case of letters.
    """

    tenant: str | None = None
    state: str | None = None
    kind: str | None = None
    cluster: str | None = None
    reason_class: str | None = None
    label: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    text: str | None = None
    visible: frozenset[str] | None = None


def since(chosen: Filter, since_ms: int) -> Filter:
    """Return the filter with another beginning."""
    return msgspec.structs.replace(chosen, since_ms=since_ms)


def until(chosen: Filter, until_ms: int) -> Filter:
    """Return the filter with another end."""
    return msgspec.structs.replace(chosen, until_ms=until_ms)


def of_state(chosen: Filter, state: str) -> Filter:
    """Return the filter with another state."""
    return msgspec.structs.replace(chosen, state=state)


class PageEnd(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ends: the last row that was looked at."""

    started_ms: _Moment
    key: bytes


class Page(msgspec.Struct, frozen=True):
    """
    Rows, newest first.

    Attributes:
        rows: as mappings by column.
        next: where the next page begins; None: there is none.
    """

    rows: list[dict[str, Any]]
    next: PageEnd | None


class RecordPageEnd(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of dead letters or of decisions ends: the time and the place of its last record."""

    time_ms: _Moment
    log: _Int32
    offset: _Int64


async def requests(opened: database.Database, chosen: Filter, after: PageEnd | None, limit: int) -> Page:
    """
    Return a page of requests.

    Args:
        opened: the database.
        chosen: which requests.
        after: the end of the page before; None: the first page.
        limit: most items.

    Raises:
        DatabaseDown.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _BUDGET_S
    page = await _scan(opened, chosen, after, limit)
    while page.next is not None and len(page.rows) < limit and loop.time() < until_s:
        more = await _scan(opened, chosen, page.next, limit - len(page.rows))
        page = Page(page.rows + more.rows, more.next)
    if page.next is None or len(page.rows) == limit or chosen.text is None:
        return page

    numbers = await text_index.numbers(opened, chosen.text.lower())
    if numbers is None:
        return page
    rest = await _among(opened, numbers, chosen, page.next, limit - len(page.rows))
    return Page(page.rows + rest.rows, rest.next)


async def _among(opened: database.Database, numbers: Sequence[int], chosen: Filter, after: PageEnd, limit: int) -> Page:
    """Return the matching rows behind a place, among the requests with these numbers."""
    # The limit keeps the planner from another index than that of the numbers.
    some = sa.select(tables.REQUESTS).where(_requests.number.in_(numbers)).limit(len(numbers)).subquery()
    matching = sa.select(some).where(*(_matches(some.c, name, wanted) for name, wanted in _wanted(chosen).items()))
    if chosen.label is not None:
        labels = tables.LABELS.c
        same = labels.key == some.c.key, labels.started_ms == some.c.started_ms
        matching = matching.where(sa.exists().where(labels.label == chosen.label, *same))
    matching = _within(matching, some.c.started_ms, some.c.key, chosen, after)
    (rows,) = await opened.rows(matching.limit(limit + 1))
    return _page(rows, limit)


async def _scan(opened: database.Database, chosen: Filter, after: PageEnd | None, limit: int) -> Page:
    """Return the matching rows among the next `_SCANNED` ones, `limit` at most."""
    ordered, left = _ordered(chosen, after)
    if not left:
        (rows,) = await opened.rows(ordered.limit(limit + 1))
        return _page(rows, limit)

    scanned = ordered.limit(_SCANNED).subquery()
    order = scanned.c.started_ms.desc(), scanned.c.key.desc()
    matching = sa.select(scanned).where(*(_matches(scanned.c, name, wanted) for name, wanted in left.items()))
    last = ordered.with_only_columns(_requests.started_ms, _requests.key).offset(_SCANNED - 1).limit(1)
    rows, ends = await opened.rows(matching.order_by(*order).limit(limit + 1), last)
    page = _page(rows, limit)
    if page.next is None and ends:
        return Page(page.rows, PageEnd(ends[0].started_ms, ends[0].key))
    return page


def _ordered(chosen: Filter, after: PageEnd | None) -> tuple[sa.Select[Any], dict[str, Any]]:
    """Return the rows that one index yields in order, and the filters that are left to check."""
    left = _wanted(chosen)
    statement, started, key = sa.select(tables.REQUESTS), _requests.started_ms, _requests.key

    if chosen.label is not None:
        labels = tables.LABELS.c
        started, key = labels.started_ms, labels.key
        # A request whose id was sent again has labels of its earlier life, too: the time tells them apart.
        same = sa.and_(labels.key == _requests.key, labels.started_ms == _requests.started_ms)
        statement = statement.join(tables.LABELS, same).where(labels.label == chosen.label)
    elif (indexed := next((name for name in _BY_SELECTIVITY if name in left), None)) is not None:
        statement = statement.where(_requests[indexed] == left.pop(indexed))

    return _within(statement, started, key, chosen, after), left


def _wanted(chosen: Filter) -> dict[str, Any]:
    """Return what columns of a request must have, by name."""
    wanted: dict[str, Any] = {name: getattr(chosen, name) for name in (*_BY_SELECTIVITY, "text", "visible")}
    if chosen.visible is not None and len(chosen.visible) == 1 and chosen.tenant is None:
        (wanted["tenant"],) = chosen.visible  # which has an index
    return {name: value for name, value in wanted.items() if value is not None}


def _within(
    statement: sa.Select[Any],
    started: sa.ColumnElement[int],
    key: sa.ColumnElement[bytes],
    chosen: Filter,
    after: PageEnd | None,
) -> sa.Select[Any]:
    """Return a query for the rows of the filter's time behind a place, newest first."""
    if chosen.since_ms is not None:
        statement = statement.where(started >= chosen.since_ms)
    if chosen.until_ms is not None:
        statement = statement.where(started < chosen.until_ms)
    if after is not None:
        statement = statement.where(sa.tuple_(started, key) < sa.tuple_(after.started_ms, after.key))
    return statement.order_by(started.desc(), key.desc())


def _matches(columns: Any, name: str, wanted: Any) -> sa.ColumnElement[bool]:  # noqa: ANN401 - of a subquery; as filters have it
    if name == "visible":
        return is_visible(columns.tenant, wanted)
    found: sa.ColumnElement[bool] = (
        columns.words.contains(wanted.lower(), autoescape=True) if name == "text" else columns[name] == wanted
    )
    return found


def is_visible(tenant: Any, visible: Collection[str]) -> sa.ColumnElement[bool]:  # noqa: ANN401 - a column
    """Return the condition that a row is of one of these tenants."""
    found: sa.ColumnElement[bool] = tenant.in_(sorted(visible))
    return found


def _page(rows: Sequence[database.Row], limit: int) -> Page:
    found = mappings(rows[:limit])
    last = found[-1] if len(rows) > limit else None
    return Page(found, None if last is None else PageEnd(last["started_ms"], last["key"]))


def mappings(rows: Sequence[database.Row]) -> list[dict[str, Any]]:
    """Return rows as mappings by column."""
    return [row._asdict() for row in rows]


async def of_keys(opened: database.Database, keys: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return the requests with these keys, in their order, without those that are not there. Raises DatabaseDown."""
    (rows,) = await opened.rows(sa.select(tables.REQUESTS).where(_requests.key.in_(keys)))
    found = {row["key"]: row for row in mappings(rows)}
    return [found[key] for key in keys if key in found]


async def count(opened: database.Database, chosen: Filter) -> dict[str, int]:
    """
    Count all requests of a filter, by state.

    It reads everything that one index yields for the filter, so it takes about a second for 1,000,000 requests.

    Raises:
        DatabaseDown.
    """
    ordered, left = _ordered(chosen, None)
    matching = (_matches(_requests, name, wanted) for name, wanted in left.items())
    number = sa.func.count().label("number")
    found = ordered.with_only_columns(_requests.state, number).order_by(None).where(*matching)
    (rows,) = await opened.rows(found.group_by(_requests.state))
    return {row.state: row.number for row in rows}


async def of_id(
    opened: database.Database,
    request_id: str,
    *,
    tenant: str | None,
    source: str | None,
    visible: frozenset[str] | None = None,
) -> list[dict[str, Any]]:
    """
    Return the requests with an id; several may use the same one.

    Args:
        opened: the database.
        request_id: the id.
        tenant: of this tenant only.
        source: of this source only.
        visible: of these tenants only.

    Raises:
        DatabaseDown.
    """
    statement = sa.select(tables.REQUESTS).where(_requests.id == request_id)
    if tenant is not None:
        statement = statement.where(_requests.tenant == tenant)
    if source is not None:
        statement = statement.where(_requests.source == source)
    if visible is not None:
        statement = statement.where(is_visible(_requests.tenant, visible))
    (rows,) = await opened.rows(statement.limit(_OF_ONE_ID))
    return mappings(rows)


class DecisionFilter(msgspec.Struct, frozen=True):
    """
    Which decisions; None: any.

    Attributes:
        tenant: name of the tenant.
        action: such as cancel.
        by: who decided.
        subject: what it concerns, such as the id of a request.
        since_ms: at this time or later, epoch milliseconds.
        until_ms: before this time.
        visible: names of the tenants that the asking one may see.
    """

    tenant: str | None = None
    action: str | None = None
    by: str | None = None
    subject: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    visible: frozenset[str] | None = None


async def decisions(
    opened: database.Database, chosen: DecisionFilter, after: RecordPageEnd | None, limit: int
) -> tuple[list[str], RecordPageEnd | None]:
    """Return a page of decisions as CloudEvents JSON, newest first, and where it ends. Raises DatabaseDown."""
    found = tables.DECISIONS.c
    statement = sa.select(tables.DECISIONS)
    for name in ("tenant", "action", "by", "subject"):
        if (wanted := getattr(chosen, name)) is not None:
            statement = statement.where(found[name] == wanted)
    if chosen.since_ms is not None:
        statement = statement.where(found.time_ms >= chosen.since_ms)
    if chosen.until_ms is not None:
        statement = statement.where(found.time_ms < chosen.until_ms)
    if chosen.visible is not None:
        statement = statement.where(is_visible(found.tenant, chosen.visible))
    rows, end = await newest(opened, statement, found.time_ms, after, limit)
    return [row["event"] for row in rows], end


async def newest(
    opened: database.Database,
    statement: sa.Select[Any],
    time_ms: sa.ColumnElement[int],
    after: RecordPageEnd | None,
    limit: int,
) -> tuple[list[dict[str, Any]], RecordPageEnd | None]:
    """
    Return a page of records, the newest first, and where it ends if another one follows.

    Args:
        opened: the database.
        statement: yields the records, with `log` and `offset`.
        time_ms: their column of the time.
        after: the end of the page before.
        limit: most records.
    """
    columns = statement.selected_columns
    order = time_ms, columns["log"], columns["offset"]
    if after is not None:
        statement = statement.where(sa.tuple_(*order) < sa.tuple_(after.time_ms, after.log, after.offset))
    (rows,) = await opened.rows(statement.order_by(*(column.desc() for column in order)).limit(limit + 1))
    found = mappings(rows[:limit])
    if len(rows) <= limit:
        return found, None
    last = found[-1]
    return found, RecordPageEnd(last[str(time_ms.key)], last["log"], last["offset"])


def milliseconds(moment: dt.datetime) -> int:
    """Return a moment as the tables have it."""
    return round(moment.timestamp() * 1000)
