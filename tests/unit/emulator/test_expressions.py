"""
Expressions of Spark, Hive and Presto have the engine's value, or are refused.

Spark's values were recorded from the engine itself (`make oracles`), those of Hive and Presto come from the pages that
the rows name.
"""

from __future__ import annotations

import json
import pathlib
from functools import partial

import pytest
from tools.oracles import canonical

from mrs_emulator.core import settings
from mrs_emulator.sql import sql, statement

FOLDER = pathlib.Path(__file__).with_name("expressions")
LEAST_RIGHT = {"spark": 400, "hive": 240, "presto": 280}
REFUSED = "not played: "


def rows(engine: str) -> list[dict[str, object]]:
    """What the engine answers, an expression a row."""
    lines = (FOLDER / f"{engine}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def same(got: object, wanted: object) -> bool:
    """Equal, as a client sees it: whole decimals are printed like integers, doubles may differ in the last digit."""
    match got, wanted:
        case bool(), _:
            return got is wanted
        case int(), {"decimal": text}:
            return str(got) == text
        case {"decimal": text}, int():
            return str(wanted) == text
        case float(), float():
            return got == pytest.approx(wanted, rel=1e-14)
        case _:
            return type(got) is type(wanted) and got == wanted


async def played(warehouse: sql.Warehouse, expression: str, spoken: statement.Dialect) -> tuple[object, str | None]:
    """Value and error of an expression."""
    work = sql.Work(partial(str, f"SELECT {expression} AS v"), spoken)
    outcome = await warehouse.submit(work)[1]
    if outcome.error is not None:
        return None, outcome.error
    return canonical.value(outcome.answers[0].rows[0][0]), None


@pytest.mark.parametrize("engine", ["spark", "hive", "presto"])
async def test_no_expression_has_a_wrong_value(engine: statement.Dialect) -> None:
    """Each is right or refused in one voice; an error of the engine is an error here."""
    warehouse = sql.Warehouse(settings.Sql(), None)
    wrong, right = [], 0
    try:
        for row in rows(engine):
            got, error = await played(warehouse, str(row["expression"]), engine)
            if "error" in row:
                if error is None:
                    wrong.append((row["expression"], got, "an error"))
                right += error is not None
            elif error is None:
                if not same(got, row["value"]):
                    wrong.append((row["expression"], got, row["value"]))
                right += 1
            elif not error.startswith(REFUSED):
                wrong.append((row["expression"], error, row["value"]))
    finally:
        await warehouse.close()
    assert wrong == []
    assert right - len(wrong) >= LEAST_RIGHT[engine]


@pytest.mark.parametrize("engine", ["spark", "hive", "presto"])
@pytest.mark.parametrize(
    "expression", ["no_such_function(1)", "read_csv('x')", "__int(1)", "getenv('HOME')", "list_sum([1])", "version()"]
)
async def test_function_outside_of_the_list_is_refused(engine: statement.Dialect, expression: str) -> None:
    """DuckDB's own functions are not the engine's, even where it would have an answer."""
    warehouse = sql.Warehouse(settings.Sql(), None)
    try:
        _, error = await played(warehouse, expression, engine)
    finally:
        await warehouse.close()
    assert error is not None
    assert error.startswith(REFUSED) or "mismatched" in error
