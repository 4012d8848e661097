"""Ask for dead letters: what is known about each, and where its record stands in Kafka, which holds its content."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from mrs_relay.read_model import database, queries, tables


class Filter(msgspec.Struct, frozen=True):
    """
    Which dead letters; None: any.

    Attributes:
        tenant: name of the tenant.
        code: of the reason.
        until_ms: written before this moment, epoch milliseconds.
        visible: names of the tenants that the asking one may see.
    """

    tenant: str | None = None
    code: str | None = None
    until_ms: int | None = None
    visible: frozenset[str] | None = None


async def page(
    opened: database.Database, chosen: Filter, after: queries.RecordPageEnd | None, limit: int
) -> tuple[list[dict[str, Any]], queries.RecordPageEnd | None]:
    """Return a page of dead letters, newest first, and where the next one begins. Raises DatabaseDown."""
    statement = sa.select(tables.DEAD_LETTERS).where(*_conditions(chosen))
    return await queries.newest(opened, statement, tables.DEAD_LETTERS.c.written_ms, after, limit)


async def count(opened: database.Database, chosen: Filter) -> int:
    """Count all dead letters of a filter. Raises DatabaseDown."""
    counted = sa.select(sa.func.count().label("number")).select_from(tables.DEAD_LETTERS)
    (rows,) = await opened.rows(counted.where(*_conditions(chosen)))
    return int(rows[0].number)


async def at(
    opened: database.Database, positions: Collection[str], visible: frozenset[str] | None
) -> list[dict[str, Any]]:
    """Return the dead letters of messages that stood at these positions, the oldest first. Raises DatabaseDown."""
    letters = tables.DEAD_LETTERS.c
    statement = sa.select(tables.DEAD_LETTERS).where(letters.position.in_(sorted(positions)))
    if visible is not None:
        statement = statement.where(queries.is_visible(letters.tenant, visible))
    (rows,) = await opened.rows(statement.order_by(letters.written_ms, letters.log, letters.offset))
    return queries.mappings(rows)


async def places(opened: database.Database, logs: Collection[int]) -> Mapping[int, tuple[str, int]]:
    """Return topic and partition of each of these logs. Raises DatabaseDown."""
    found = tables.LOGS.c
    (rows,) = await opened.rows(sa.select(found.log, found.topic, found.partition).where(found.log.in_(sorted(logs))))
    return {row.log: (row.topic, row.partition) for row in rows}


def _conditions(chosen: Filter) -> Iterator[sa.ColumnElement[bool]]:
    letters = tables.DEAD_LETTERS.c
    if chosen.tenant is not None:
        yield letters.tenant == chosen.tenant
    if chosen.code is not None:
        yield letters.code == chosen.code
    if chosen.until_ms is not None:
        yield letters.written_ms < chosen.until_ms
    if chosen.visible is not None:
        yield queries.is_visible(letters.tenant, chosen.visible)
