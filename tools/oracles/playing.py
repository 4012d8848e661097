"""Play the tables of expressions on the emulator's warehouse, and compare with what the engines answered."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tools.oracles import canonical, lists

from mrs_emulator.core import settings
from mrs_emulator.sql import sql, statement

ENGINES: tuple[statement.Dialect, ...] = ("spark", "hive", "presto")
REFUSED = "not played: "


@dataclass(slots=True)
class Played:
    """
    What became of a table.

    Attributes:
        name: the engine.
        version: its version.
        right: expressions with the engine's value or an error where it has one, mistakes with its text.
        refused: what is not played.
        wrong: what has another value or text: the expression or statement, what came, what the engine says.
    """

    name: str
    version: str
    right: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    wrong: list[tuple[object, object, object]] = field(default_factory=list)


async def play(engine: statement.Dialect) -> Played:
    """Play the table of an engine."""
    head, *rows = read(lists.EXPRESSIONS, engine)
    found = Played(head["engine"], head["version"])
    warehouse = sql.Warehouse(settings.Sql(), None)
    try:
        for row in rows:
            got, error = await value(warehouse, row["expression"], engine)
            _judge(found, row, got, error)
    finally:
        await warehouse.close()
    return found


async def mistakes(engine: statement.Dialect) -> Played:
    """Make the mistakes of an engine, on its tables."""
    head, *rows = read(lists.MISTAKES, engine)
    found = Played(head["engine"], head["version"])
    warehouse = sql.Warehouse(settings.Sql(), None)

    try:
        for text in head["made"]:
            outcome = await warehouse.submit(sql.Work(partial(str, text), engine))[1]
            assert outcome.error is None, outcome.error

        for row in rows:
            outcome = await warehouse.submit(sql.Work(partial(str, row["statement"]), engine))[1]
            error = outcome.error
            if error is not None and error.startswith(REFUSED):
                found.refused.append(row["statement"])
            elif error == row["error"]:
                found.right.append(row["statement"])
            else:
                found.wrong.append((row["statement"], error, row["error"]))
    finally:
        await warehouse.close()

    return found


def read(kind: str, engine: statement.Dialect) -> list[dict[str, Any]]:
    """Return what was recorded: the engine, then its answers."""
    lines = (lists.FOLDER / kind / f"{engine}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


async def all_tables() -> dict[str, dict[statement.Dialect, Played]]:
    """Return what became of all tables, by their kind and engine."""
    return {
        lists.EXPRESSIONS: {engine: await play(engine) for engine in ENGINES},
        lists.MISTAKES: {engine: await mistakes(engine) for engine in ENGINES},
    }


async def value(warehouse: sql.Warehouse, expression: str, spoken: statement.Dialect) -> tuple[object, str | None]:
    """Return value and error of an expression."""
    work = sql.Work(partial(str, f"SELECT {expression} AS v"), spoken)
    outcome = await warehouse.submit(work)[1]
    if outcome.error is not None:
        return None, outcome.error
    return canonical.value(outcome.answers[0].rows[0][0]), None


def _judge(found: Played, row: dict[str, object], got: object, error: str | None) -> None:
    expression = str(row["expression"])
    if error is not None and error.startswith(REFUSED):
        found.refused.append(expression)
    elif "error" in row:
        (found.right.append(expression) if error else found.wrong.append((expression, got, "an error")))
    elif error is None and canonical.same(got, row["value"]):
        found.right.append(expression)
    else:
        found.wrong.append((expression, error or got, row["value"]))
