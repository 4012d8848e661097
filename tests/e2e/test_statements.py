"""
Statements of the engines' documentation, sent through Kafka: their rows come back as the engines themselves answer.

What Spark, Hive and Presto answer was recorded from them (`make oracles`); what the emulator does not play fails.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.support import brokers, history, ports, service
from tools.oracles import canonical, lists, playing

from mrs_emulator.sql import statement

ENGINES: Final[tuple[statement.Dialect, ...]] = ("presto", "spark", "hive")
EACH: Final = 400
"""Statements of an engine whose rows must come back."""

MOST: Final = 560
"""Statements that an engine is asked at most: some are not played."""

SCALARS: Final = {
    *("bigint", "boolean", "date", "decimal", "double", "int", "integer"),
    *("real", "smallint", "string", "timestamp", "tinyint", "varchar"),
}
AGREED: Final = 80
"""Statements, at least, that are the same text in two engines and have the same answer there."""


def _asked(engine: statement.Dialect) -> Iterator[tuple[str, object]]:
    """Yield expressions of an engine with one plain value, which JSON has too, and the value."""
    for row in playing.read(lists.EXPRESSIONS, engine)[1:]:
        if "error" in row or row["type"].partition("(")[0] not in SCALARS:
            continue
        if not (isinstance(row["value"], dict) and "double" in row["value"]):  # NaN and the like
            yield row["expression"], row["value"]


def _agreed(right: Mapping[str, Mapping[str, object]]) -> dict[tuple[str, str], int]:
    """Return how many statements of each two engines are the same text, with the same answer from both."""
    recorded = {engine: dict(_asked(engine)) for engine in playing.ENGINES if engine in right}
    return {
        (one, other): sum(
            canonical.same(recorded[one][text], recorded[other][text])
            for text in right[one].keys() & right[other].keys()
        )
        for one, other in itertools.combinations(recorded, 2)
    }


def _is(shown: object, value: object) -> bool:
    """Return whether what an event has, in JSON's types or as text, is the engine's value."""
    if value is None:
        return shown in (None, "")
    text = str(shown).lower() if isinstance(shown, bool) else str(shown)
    match value:
        case bool():
            return text == str(value).lower()
        case int() | {"decimal": _}:
            return Decimal(text) == Decimal(str(value["decimal"] if isinstance(value, dict) else value))
        case float():
            return math.isclose(float(text), value, rel_tol=1e-12)
        case _:
            return value in (text, canonical.short(text.replace("T", " ")))


def _cell(data: Mapping[str, Any]) -> object:
    """Return the only value of an answer."""
    [rows] = data["result"]["statements"]
    assert (rows["row_count"], len(rows["rows"])) == (1, 1)
    [row] = rows["rows"]
    [cell] = row.values() if isinstance(row, dict) else row
    return cell


async def test_statements_of_the_documentation_come_back_as_rows_of_every_engine(
    embedded: brokers.TansuNode, tmp_path: Path
) -> None:
    """Four hundred for each: the engine's own value, the same from all where they agree, and no event is missing."""
    obs_port = ports.free_port()
    # Fast jobs, many at a time: the messages are what is played here, not the waiting. No more than fit into the
    # emulator's queue of statements, which refuses the rest.
    with service.emulator(tmp_path, "--obs-port", str(obs_port), "--slots", "400", "--speed", "50") as mrs:
        more = {
            "RESULTS__PATH": "obs://lake/results",
            "OBS__ENDPOINT": f"http://127.0.0.1:{obs_port}",
            "OBS__PATH_STYLE": "true",
            "ENGINE__SLOTS_PER_CLUSTER": "0",
            "ENGINE__POLL_INTERVAL_S": "1",
            "ENGINE__MAX_IN_FLIGHT": "16",
        }
        name = f"statements-{time.monotonic_ns()}"
        here = service.Deployment(embedded.bootstrap, name, mrs.url, tmp_path, "at-least-once", more)
        await asyncio.to_thread(here.create_topics, 4)
        asked = {
            f"{engine}-{number}": (engine, expression, value)
            for engine in ENGINES
            for number, (expression, value) in enumerate(itertools.islice(_asked(engine), MOST))
        }
        relay = here.start_relay("one")
        try:
            await here.send([(one.encode(), _request(one, *asked[one][:2])) for one in asked])
            events = await here.until_ended(asked)
        finally:
            relay.kill()
        created = [effect["name"] for effect in mrs.effects()]

    assert history.faults(list(asked), events, created) == []
    right: dict[str, dict[str, object]] = {engine: {} for engine in ENGINES}
    wrong = []
    for event in events:
        if event.state == "succeeded":
            engine, expression, value = asked[event.request_id]
            if _is(cell := _cell(event.data), value):
                right[engine][expression] = cell
            else:
                wrong.append((engine, expression, cell, value))
        else:
            assert event.state not in history.LAST - {"failed"}, event
    assert wrong == []
    assert {engine: len(found) for engine, found in right.items() if len(found) < EACH} == {}
    assert {pair: count for pair, count in _agreed(right).items() if count < AGREED} == {}


def _request(request_id: str, engine: str, expression: str) -> bytes:
    ask: dict[str, Any] = {} if engine == "spark" else {"result": {"deliver": "inline"}}
    return service.sql(request_id, engine, f"SELECT {expression} AS v", **ask)
