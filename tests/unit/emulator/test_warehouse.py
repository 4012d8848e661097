"""The warehouse on its own: interrupts that hold, writers in turn, and a crash that stays one statement's."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import cast

import duckdb
import pytest

from mrs_emulator.core import settings
from mrs_emulator.sql import dialect, sql


class Cursor:
    """Counts how often it is interrupted."""

    def __init__(self) -> None:
        self.interrupts = 0

    def interrupt(self) -> None:
        self.interrupts += 1


@pytest.mark.looptime
async def test_interrupt_is_repeated_until_the_statement_has_ended() -> None:
    """DuckDB forgets an interrupt that comes too early, so one is not enough; after the end there are no more."""
    ticket, cursor = sql.Ticket(), Cursor()
    with ticket.using(cast("duckdb.DuckDBPyConnection", cursor)):
        ticket.cancel()
        await asyncio.sleep(1)
        assert 5 < cursor.interrupts < 20
    seen = cursor.interrupts
    await asyncio.sleep(1)
    assert cursor.interrupts == seen


async def test_work_cancelled_in_the_queue_never_runs() -> None:
    """What was asked to stop before it began has no answers and no effect."""
    gate = threading.Event()

    def blocked() -> str:
        gate.wait(20)
        return "select 1 as a"

    warehouse = sql.Warehouse(settings.Sql(threads=1), None)
    try:
        first, _ = warehouse.submit(sql.Work(blocked, "spark"))
        second, ending = warehouse.submit(sql.Work(partial(str, "create table t (a int)"), "spark"))
        second.cancel()
        gate.set()
        outcome = await ending
        listed = await warehouse.submit(sql.Work(partial(str, "show tables"), "presto"))[1]
    finally:
        gate.set()
        await warehouse.close()
    assert (outcome.answers, outcome.error) == ((), "the statement was interrupted")
    assert listed.answers[0].rows == ()
    assert (first.cancelled, second.cancelled) == (False, True)


async def test_writers_take_turns() -> None:
    """Twenty inserts at once into one table all succeed: none meets another's transaction."""
    warehouse = sql.Warehouse(settings.Sql(threads=4), None)
    try:
        await warehouse.submit(sql.Work(partial(str, "create table t (a int)"), "spark"))[1]
        text = "insert into t values (1); insert overwrite table t select a from t; create database if not exists d"
        endings = [warehouse.submit(sql.Work(partial(str, text), "spark"))[1] for _ in range(20)]
        errors = {(await ending).error for ending in endings}
        counted = await warehouse.submit(sql.Work(partial(str, "select count(*) as n from t"), "spark"))[1]
    finally:
        await warehouse.close()
    assert errors == {None}
    assert counted.answers[0].rows == ((20,),)


async def test_failing_step_leaves_the_table_as_it_was() -> None:
    """INSERT OVERWRITE is one transaction: if the rows do not fit, the old ones are still there."""
    warehouse = sql.Warehouse(settings.Sql(), None)
    try:
        text = "create table t (a int); insert into t values (1); insert overwrite table t select 'x' as a"
        failed = await warehouse.submit(sql.Work(partial(str, text), "spark"))[1]
        left = await warehouse.submit(sql.Work(partial(str, "select a from t"), "spark"))[1]
    finally:
        await warehouse.close()
    assert failed.error is not None
    assert left.answers[0].rows == ((1,),)


async def test_crash_of_the_translator_fails_one_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the translator trips over, the thread lives on, and the error names no text of the statement."""

    def trip(*_: object) -> None:
        raise RecursionError("select secret")

    warehouse = sql.Warehouse(settings.Sql(threads=1), None)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(dialect, "translations", trip)
            outcome = await warehouse.submit(sql.Work(partial(str, "select 1 as a"), "spark"))[1]
        again = await warehouse.submit(sql.Work(partial(str, "select 1 as a"), "spark"))[1]
    finally:
        await warehouse.close()
    assert outcome.error == "the emulator cannot run this statement (RecursionError)"
    assert again.answers[0].rows == ((1,),)


async def test_very_deep_statement_is_refused_and_not_fatal() -> None:
    """A statement nested beyond reason ends in an error, not in the end of the process."""
    warehouse = sql.Warehouse(settings.Sql(threads=1), None)
    try:
        text = "select " + "(" * 5_000 + "1" + ")" * 5_000 + " as a"
        outcome = await warehouse.submit(sql.Work(partial(str, text), "presto"))[1]
    finally:
        await warehouse.close()
    assert outcome.error
