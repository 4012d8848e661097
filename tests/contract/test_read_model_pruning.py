"""Old rows of the read model are deleted, in bounded steps and by indexes, on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
from typing import Any

import pytest
import sqlalchemy as sa
from tests.contract import read_models
from tests.support import web_role

from mrs_relay.read_model import database, event_log, queries, settings, store, tables


async def test_old_requests_are_pruned_with_their_events_and_their_readers_learn_of_it(
    opened: database.Database,
) -> None:
    """What is under way stays, however old."""
    writes = await read_models.writer(opened)
    await writes.write(*web_role.story("old"), *web_role.story("open")[:3])
    await writes.write(*web_role.story("new", start_ms=web_role.NOW_MS + 2 * read_models.DAY_MS))
    beginning = event_log.beginning(await event_log.current(opened, [read_models.TOPIC]))
    assert await writes.writes.prune(web_role.NOW_MS + read_models.DAY_MS) == 1
    assert await writes.writes.prune(web_role.NOW_MS + read_models.DAY_MS) == 0
    page = await queries.requests(opened, queries.Filter(), None, 10)
    assert [row["id"] for row in page.rows] == ["new", "open"]
    with pytest.raises(event_log.Gone):
        await event_log.Cursor(opened, [read_models.TOPIC], beginning).read(10, read_models.MOST_BYTES)


async def test_refusals_that_belong_to_no_request_are_pruned(opened: database.Database) -> None:
    """They would stay for ever."""
    writes = await read_models.writer(opened)
    await writes.write(web_role.refused("never", 1), *web_role.story("r-1"))
    before_ms = web_role.NOW_MS + read_models.DAY_MS
    await writes.writes.prune_others(before_ms)
    assert len(await read_models.sequences(opened)) == 5
    await writes.writes.prune(before_ms)
    await writes.writes.prune_others(before_ms)
    assert not await read_models.sequences(opened)


async def test_a_late_repeat_of_a_pruned_request_does_not_cut_the_log(opened: database.Database) -> None:
    """The events between are younger than the limit."""
    writes = await read_models.writer(opened)
    later_ms = web_role.NOW_MS + 2 * read_models.DAY_MS
    await writes.write(*web_role.story("old"))
    await writes.write(*web_role.story("new", start_ms=later_ms))
    await writes.write(web_role.event("old", 5, "succeeded", repeated=True, time_ms=later_ms))
    assert await writes.writes.prune(web_role.NOW_MS + read_models.DAY_MS) == 1
    (log,) = await event_log.current(opened, [read_models.TOPIC])
    assert (log.first, log.next) == (4, 9)
    found, _ = await event_log.Cursor(opened, [read_models.TOPIC], event_log.beginning([log])).read(
        10, read_models.MOST_BYTES
    )
    assert [one.offset for one in found] == [4, 5, 6, 7, 8]


async def test_what_belongs_to_no_request_is_pruned_in_steps(
    opened: database.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write between them."""
    monkeypatch.setattr(store, "_PRUNED_AT_ONCE", 2)
    writes = await read_models.writer(opened)
    refusals = [web_role.refused(f"never-{number}", 1) for number in range(5)]
    await writes.write(*refusals, *web_role.story("r-1"), web_role.refused("young", 1))
    letter = {"tenant": "t", "position": "p", "sent_ms": 1, "code": "c", "message": "m", "size_bytes": 1}
    rows = [{**letter, "offset": number, "written_ms": web_role.NOW_MS} for number in range(5)]
    await writes.writes.apply(store.Batch(dead_letters={writes.log.log: rows}))
    async with opened.transaction() as connection:
        digests = [{"key": bytes([number]), "digest": "d", "sent_ms": web_role.NOW_MS} for number in range(5)]
        await connection.execute(sa.insert(tables.SENT), digests)

    before_ms = web_role.NOW_MS + read_models.DAY_MS
    assert await writes.writes.prune(before_ms) == 1
    with read_models.counted("DELETE") as counts:
        await writes.writes.prune_others(before_ms)
    assert max(counts) == 2
    assert await read_models.sequences(opened) == [("young", 1)]
    left = await opened.rows(sa.select(tables.DEAD_LETTERS), sa.select(tables.SENT))
    assert not any(left)


async def test_pruning_reads_no_whole_table(tmp_path: pathlib.Path) -> None:
    """With millions of rows it would keep everybody from writing."""
    found: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, given: object, *_others: object) -> None:
        found.append((statement, given))

    chosen = settings.ReadModelSettings.model_validate({"database": f"sqlite:///{tmp_path}/web.db"})
    async with database.opened(chosen) as opened:
        writes = await read_models.writer(opened)
        await writes.write(*web_role.story("r-1"))
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        assert await writes.writes.prune(web_role.NOW_MS + read_models.DAY_MS) == 1
        await writes.writes.prune_others(web_role.NOW_MS + read_models.DAY_MS)
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    known = {table.name for table in tables.METADATA.sorted_tables} - {tables.LOGS.name}
    with contextlib.closing(sqlite3.connect(tmp_path / "web.db")) as connection:
        for statement, given in found:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given)]
            scanned = [step for step in plan if step.startswith("SCAN") and step.split()[1] in known]
            assert not scanned, statement
