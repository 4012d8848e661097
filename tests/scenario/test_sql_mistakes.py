"""Mistakes in SQL reach the events of a request in the engine's words, in virtual time."""

from __future__ import annotations

import pytest
from tests.support import service, service_harness

pytestmark = pytest.mark.looptime

PRESTO = {
    "table": ("SELECT * FROM nope", "line 1:15: Table 'hive.default.nope' does not exist"),
    "column": ("SELECT nope", "line 1:8: Column 'nope' cannot be resolved"),
    "syntax": ("SELECT a FROM t ORDER a", "line 1:23: mismatched input 'a'. Expecting: 'BY'"),
    "cast": ("SELECT CAST('x' AS integer)", "Cannot cast 'x' to INT"),
}


async def test_mistakes_in_presto_s_sql_are_failed_with_its_text() -> None:
    """The reason of the last event is what Presto says."""
    async with service_harness.start() as here:
        for name, (statement, _) in PRESTO.items():
            here.put(service.sql(name, "presto", statement))
        await here.until_ended(list(PRESTO), 600)
        ended = {event.request_id: event.data for event in here.events()}
    assert {name: one["state"] for name, one in ended.items()} == dict.fromkeys(PRESTO, "failed")
    assert {name: text in ended[name]["reason"]["message"] for name, (_, text) in PRESTO.items()} == dict.fromkeys(
        PRESTO, True
    )


async def test_mistakes_in_spark_s_and_hive_s_sql_are_failed_jobs() -> None:
    """MRS shows their text nowhere but in the job's log, which the emulator shows at /emulator/effects."""
    async with service_harness.start() as here:
        for engine in ("spark", "hive"):
            here.put(service.sql(engine, engine, "SELECT * FROM nope"))
        await here.until_ended(["spark", "hive"], 3600)
        ended = {event.request_id: event.data["state"] for event in here.events()}
    assert ended == {"spark": "failed", "hive": "failed"}
