"""A read model whose log the tests write themselves, and what is in its tables."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from tests.support import web_role

from mrs_relay.kafka import broker, records
from mrs_relay.read_model import database, queries, record_reader, store, tables

TOPIC = "mrs.events"
DAY_MS = 86_400_000
MOST_BYTES = 1_000_000


async def empty(opened: database.Database) -> None:
    """Remove what an earlier test has written."""
    async with opened.transaction() as connection:
        for table in (tables.LOGS, tables.REQUESTS, tables.LABELS, tables.EVENTS, tables.DEAD_LETTERS, tables.SENT):
            await connection.execute(sa.delete(table))
        await connection.execute(sa.update(tables.WRITER).values(owner="", until_ms=0, complete=False))


@dataclasses.dataclass
class Writer:
    """Writes records to the log of one partition, as the projector does."""

    writes: store.Store
    log: store.Log
    next: int = 0

    async def write(self, *outgoing: records.Outgoing) -> None:
        batch = store.Batch(moves={self.log.log: (self.next, self.next + len(outgoing))})
        for offset, one in enumerate(outgoing, start=self.next):
            record = records.Record(TOPIC, 0, offset, web_role.NOW_MS, one.key, one.value or b"", one.headers)
            found = record_reader.event(record, {"/mrs-relay": ""})
            assert found is not None
            batch.events.setdefault(self.log.log, []).append(found)
        await self.writes.apply(batch)
        self.next += len(outgoing)


async def writer(opened: database.Database, owner: str = "one", end: int = 1_000_000) -> Writer:
    """Return a writer at the beginning of the topic."""
    writes = store.Store(opened, owner, lease_s=10)
    logs = await writes.open_logs(TOPIC, {0: broker.Bounds(0, end, "topic-1")})
    return Writer(writes, logs[0], logs[0].next)


async def shown(opened: database.Database, request_id: str = "r-1") -> dict[str, Any]:
    """Return the row of a request."""
    (row,) = await queries.of_id(opened, request_id, tenant=None, source=None)
    return row


async def sequences(opened: database.Database) -> Sequence[tuple[str, int]]:
    """Return ids and numbers of all events, in the order of the log."""
    (rows,) = await opened.rows(sa.select(tables.EVENTS.c.event).order_by(tables.EVENTS.c.offset))
    found = [msgspec.json.decode(row.event) for row in rows]
    return [(one["subject"], int(one["sequence"])) for one in found]


@contextlib.contextmanager
def counted(verb: str) -> Iterator[list[int]]:
    """Yield the numbers of rows that statements with this verb have changed."""
    counts: list[int] = []

    def note(_connection: object, cursor: Any, statement: str, *_others: object) -> None:
        if statement.startswith(verb):
            counts.append(cursor.rowcount)

    sa.event.listen(sa.Engine, "after_cursor_execute", note)
    yield counts
    sa.event.remove(sa.Engine, "after_cursor_execute", note)
