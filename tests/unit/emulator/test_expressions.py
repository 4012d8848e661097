"""
Expressions of Spark, Hive and Presto have the engine's value, or are refused.

Values, types and errors were recorded from the engines themselves (`make oracles`).
"""

from __future__ import annotations

import asyncio
import pathlib
from typing import TypeAlias

import pytest
from tools.oracles import lists, page, playing

from mrs_emulator.core import settings
from mrs_emulator.sql import sql, statement

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "emulator-sql.md"
LEAST_RIGHT = {"spark": 460, "hive": 770, "presto": 650}
LEAST_MISTAKES = 80
UNKNOWN = ("Invalid function", "not registered", "[UNRESOLVED_ROUTINE]", "ParseException", "mismatched input")


_Tables: TypeAlias = dict[str, dict[statement.Dialect, playing.Played]]


@pytest.fixture(scope="module")
def tables() -> _Tables:
    """All tables as the emulator plays them, once for the tests that look at the outcome."""
    return asyncio.run(playing.all_tables())


def test_no_expression_has_a_wrong_value(tables: _Tables) -> None:
    """Each is right or refused in one voice, and the page of what is played says so."""
    found = tables[lists.EXPRESSIONS]
    assert {engine: one.wrong for engine, one in found.items() if one.wrong} == {}
    assert {engine: len(one.right) for engine, one in found.items() if len(one.right) < LEAST_RIGHT[engine]} == {}


def test_mistakes_are_answered_in_the_engine_s_words(tables: _Tables) -> None:
    """Each has the engine's text with its code and its place, or is refused in one voice; the page lists them."""
    found = tables[lists.MISTAKES]
    assert {engine: one.wrong for engine, one in found.items() if one.wrong} == {}
    assert {engine: len(one.right) for engine, one in found.items() if len(one.right) < LEAST_MISTAKES} == {}


@pytest.mark.parametrize("engine", playing.ENGINES)
def test_recordings_are_of_the_lists(engine: statement.Dialect) -> None:
    """A line that is added to a list is recorded (`make oracles`)."""
    expressions = [row["expression"] for row in playing.read(lists.EXPRESSIONS, engine)[1:]]
    head, *mistakes = playing.read(lists.MISTAKES, engine)
    assert expressions == lists.expressions(lists.FOLDER, engine)
    assert (head["made"], [row["statement"] for row in mistakes]) == lists.mistakes(lists.FOLDER, engine)
    assert [row["statement"] for row in mistakes if row["error"] is None] == []


def test_page_lists_what_is_played(tables: _Tables) -> None:
    """It is made from the same tables."""
    assert page.text(tables) == PAGE.read_text(encoding="utf-8"), "run make oracles-page"


@pytest.mark.parametrize(
    "expression", ["no_such_function(1)", "__int(1)", "getenv('HOME')", "list_sum([1])", "version()"]
)
async def test_function_outside_of_the_list_is_refused(expression: str) -> None:
    """DuckDB's own functions are not the engine's, which says so in its words, even where DuckDB has an answer."""
    warehouse = sql.Warehouse(settings.Sql(), None)
    try:
        for engine in playing.ENGINES:
            _, error = await playing.value(warehouse, expression, engine)
            assert error is not None
            assert error.startswith(playing.REFUSED) or any(words in error for words in UNKNOWN)
    finally:
        await warehouse.close()
