"""
Expressions of Spark, Hive and Presto have the engine's value, or are refused.

Spark's values were recorded from the engine itself (`make oracles`). Those of Hive and Presto were written by hand; the
rows name the page that documents the function.
"""

from __future__ import annotations

import pathlib

import pytest
from tools.oracles import page, playing

from mrs_emulator.core import settings
from mrs_emulator.sql import sql

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "emulator-sql.md"
LEAST_RIGHT = {"spark": 450, "hive": 250, "presto": 300}


async def test_no_expression_has_a_wrong_value() -> None:
    """Each is right or refused in one voice, and the page of what is played says so."""
    found = {engine: await playing.play(engine) for engine in playing.ENGINES}
    assert {engine: one.wrong for engine, one in found.items() if one.wrong} == {}
    assert {engine: len(one.right) for engine, one in found.items() if len(one.right) < LEAST_RIGHT[engine]} == {}
    assert page.text(found) == PAGE.read_text(encoding="utf-8"), "run make oracles-page"


@pytest.mark.parametrize(
    "expression", ["no_such_function(1)", "__int(1)", "getenv('HOME')", "list_sum([1])", "version()"]
)
async def test_function_outside_of_the_list_is_refused(expression: str) -> None:
    """DuckDB's own functions are not the engine's, even where it would have an answer."""
    warehouse = sql.Warehouse(settings.Sql(), None)
    try:
        for engine in playing.ENGINES:
            _, error = await playing.value(warehouse, expression, engine)
            assert error is not None
            assert error.startswith(playing.REFUSED) or "mismatched" in error
    finally:
        await warehouse.close()
