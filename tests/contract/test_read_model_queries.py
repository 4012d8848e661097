"""Questions to the read model cost what they return, not what there is; on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from tests.contract import read_models
from tests.support import clocks, web_role

from mrs_relay.messages import events
from mrs_relay.read_model import database, event_log, queries, record_reader, sent, text_index

_MANY = 30
_FILTERS = {
    "none": queries.Filter(),
    "tenant": queries.Filter(tenant=""),
    "visible": queries.Filter(visible=frozenset({"", "b"})),
    "state": queries.Filter(state="succeeded"),
    "type": queries.Filter(kind="sql"),
    "cluster": queries.Filter(cluster="c-1"),
    "reason": queries.Filter(reason_class="job_failed"),
    "label": queries.Filter(label="team=a"),
    "time": queries.Filter(since_ms=web_role.NOW_MS, until_ms=web_role.NOW_MS + read_models.DAY_MS),
    "text": queries.Filter(text="r-1"),
    "all together": queries.Filter(
        tenant="", state="succeeded", kind="sql", cluster="c-1", label="team=a", since_ms=web_role.NOW_MS, text="r-1"
    ),
}


_INDEXED = {"tenant", "state", "type", "cluster", "reason", "label", "time"}
"""Filters that read no other row than those that they match."""


async def _many(opened: database.Database) -> read_models.Writer:
    """Write a request with a rare name, and then many others."""
    writes = await read_models.writer(opened)
    mrs = events.BodyMrs(job_id='Job-"77"', job_name="Nightly-50%_ä-mr1")
    await writes.write(*web_role.story("rare", labels={"team": "a"})[:2])
    for number in range(_MANY):
        start_ms = web_role.NOW_MS + 10_000 * (number + 1)
        await writes.write(*web_role.story(f"r-{number}", start_ms=start_ms, cluster="c-1"))
    await writes.write(web_role.event("rare", 3, "running", mrs=mrs, labels={"team": "a"}))
    return writes


@pytest.mark.parametrize("text", ["rare", "ARE", 'job-"77"', "nightly-50%_Ä", "50%_"])
async def test_a_text_that_matches_seldom_is_found_at_once_among_many_requests(
    opened: database.Database, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any part of three letters, in any case, of words that came with any event; the page is the last one."""
    monkeypatch.setattr(queries, "_SCANNED", 5)
    monkeypatch.setattr(queries, "_BUDGET_S", 0.0)
    writes = await _many(opened)
    page = await queries.requests(opened, queries.Filter(text=text), None, 10)
    assert ([row["id"] for row in page.rows], page.next) == (["rare"], None)

    for others in (queries.Filter(text=text, label="team=a", state="running"), queries.Filter(text=text, tenant="")):
        page = await queries.requests(opened, others, None, 10)
        assert [row["id"] for row in page.rows] == ["rare"]
    for others in (queries.Filter(text=text, label="team=b"), queries.Filter(text=text, since_ms=web_role.NOW_MS * 2)):
        page = await queries.requests(opened, others, None, 10)
        assert (page.rows, page.next) == ([], None)

    await writes.write(web_role.event("rare", 4, "succeeded"))
    assert await writes.writes.prune(web_role.NOW_MS + read_models.DAY_MS) == _MANY + 1
    assert await text_index.numbers(opened, text.lower()) == []


async def test_pages_of_a_text_neither_repeat_nor_leave_out_a_request(
    opened: database.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first items are found among the newest requests, the others by their words."""
    monkeypatch.setattr(queries, "_SCANNED", 5)
    monkeypatch.setattr(queries, "_BUDGET_S", 0.0)
    await _many(opened)
    found, after = [], None
    for _ in range(_MANY):
        page = await queries.requests(opened, queries.Filter(text="r-1"), after, 3)
        found += [row["id"] for row in page.rows]
        after = page.next
        if after is None:
            break
    assert found == [f"r-{number}" for number in range(19, 9, -1)] + ["r-1"]


async def test_a_text_that_matches_more_than_the_index_gives_is_searched_step_by_step(
    opened: database.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So are texts that are too short for it."""
    monkeypatch.setattr(queries, "_SCANNED", 20)
    monkeypatch.setattr(queries, "_BUDGET_S", 0.0)
    monkeypatch.setattr(text_index, "_MOST", 5)
    await _many(opened)
    for text, count in (("r-2", 11), ("r-", 20)):
        page = await queries.requests(opened, queries.Filter(text=text), None, 50)
        assert (len(page.rows), page.next is not None) == (count - (text == "r-2"), True)


@pytest.mark.parametrize("name", list(_FILTERS))
async def test_a_page_of_any_filter_reads_no_whole_table_and_sorts_none(opened: database.Database, name: str) -> None:
    """Each filter has an index in the order of the list."""
    await _many(opened)
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, given: object, *_others: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, given))

    after = queries.PageEnd(web_role.NOW_MS + read_models.DAY_MS, b"")
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    for place in (None, after):
        await queries.requests(opened, _FILTERS[name], place, 2)
    sa.event.remove(sa.Engine, "before_cursor_execute", note)

    async with opened.transaction() as connection:
        explain = "EXPLAIN QUERY PLAN " if opened.has_one_writer else "EXPLAIN "
        if not opened.has_one_writer:  # it would read these few rows as a whole
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_sort = off")
        for statement, given in asked:
            plan = [str(row[-1]) for row in await connection.exec_driver_sql(explain + statement, given)]
            looks_on = [step for step in plan if step.startswith("SCAN mrs") or step.lstrip().startswith("Filter:")]
            assert not [*_slow(plan), *(looks_on if name in _INDEXED else ())], (statement, plan)


def _slow(plan: Sequence[str]) -> list[str]:
    """Return the steps of a plan that read a table without an index, or sort more than some rows."""
    found = [step for step in plan if step.startswith("SCAN mrs_relay_") and "INDEX" not in step]
    if "SCAN anon_1" not in plan:  # the rows of a query within, which has a limit
        found += [step for step in plan if "USE TEMP B-TREE" in step]
    return found + [step for step in plan if "Seq Scan" in step or "Sort Key" in step]


async def test_a_reader_takes_no_more_bytes_at_once_than_it_has_room_for(opened: database.Database) -> None:
    """One event more at most; none is left out."""
    writes = await read_models.writer(opened)
    labels = {"l": "x" * 250, "m": "x" * 250}
    stories = [one for number in range(5) for one in web_role.story(f"r-{number}", labels=labels)]
    await writes.write(*stories)
    cursor = event_log.Cursor(opened, [read_models.TOPIC], {})
    sizes, found = [], []

    while True:
        some, ends = await cursor.read(100, 2_000)
        if not some:
            break
        sizes.append([len(one.event.encode()) for one in some])
        found += [one.offset for one in some]
        cursor.passed_all(ends)

    assert found == list(range(20))
    assert len(sizes) > 1
    assert all(sum(one[:-1]) < 2_000 for one in sizes)


async def test_a_key_belongs_to_its_payload_for_as_long_as_the_relay_remembers_the_request(
    opened: database.Database,
) -> None:
    """Then the relay starts another job under the same id, which has the key for itself."""
    clock = clocks.HandClock(web_role.NOW_MS)
    memory = sent.Sent(opened, clock, remember_s=3_600)
    key = record_reader.request_key("", "/tests", "r-1")
    writes = await read_models.writer(opened)
    assert await memory.note(key, "first")
    await writes.write(*web_role.story("r-1"))
    for _ in range(2):
        assert not await memory.note(key, "other")
        clock.pass_s(3_600)
    clock.pass_s(10)
    assert await memory.note(key, "first")
    assert await memory.note(key, "other")
    assert not await memory.note(key, "first")


async def test_a_database_without_trigrams_is_searched_step_by_step(opened: database.Database) -> None:
    """Such as a PostgreSQL that lets no one create extensions."""
    opened.has_text_index = False
    await _many(opened)
    page = await queries.requests(opened, queries.Filter(text="rare"), None, 10)
    assert [row["id"] for row in page.rows] == ["rare"]
