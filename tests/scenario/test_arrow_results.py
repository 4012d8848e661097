"""The whole service in virtual time: rows of all three engines as Arrow, in the event and in chunks."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from tests.support import chunked_rows, history, rows_service, service, service_harness

from mrs_relay.messages import chunks

pytestmark = pytest.mark.looptime

CHUNKS: Any = {"topics": {"results": "mrs.results"}}
"""Settings of Kafka: there is a topic for chunks."""

FEW = {
    "presto": "select * from (values (1, 'a', 0.5), (2, 'b\"c', 2.25), (3, '', 3.0)) as t (n, name, price) order by n",
    **dict.fromkeys(
        ("spark", "hive"),
        "select 1 as n, 'a' as name, 0.5 as price union all select 2, 'b\"c', null union all select null, '', 3.25",
    ),
}
MANY = {
    "presto": "select n, concat('row ', cast(n as varchar)) as name from unnest(sequence(1, 9000)) as t(n) order by n",
    "spark": (
        "with t as (select explode(sequence(1, 9000)) as n) "
        "select n, concat('row ', cast(n as string)) as name from t order by n"
    ),
    "hive": (
        "with d as (select explode(split(space(89), ' ')) as x), e as (select explode(split(space(99), ' ')) as y), "
        "f as (select row_number() over (order by 1) as n from d cross join e) "
        "select n, concat('row ', cast(n as string)) as name from f order by n"
    ),
}
NAMES = {"presto": ["n", "name"], "spark": ["n", "name"], "hive": ["column_1", "column_2"]}
"""Hive has no names of columns in a directory."""

TYPES = {"presto": ["string"] * 3, "spark": ["int64", "string", "double"], "hive": ["int64", "string", "double"]}
"""Presto's CSV has no types."""


def values(here: service_harness.ServiceHarness, request_id: str) -> list[bytes]:
    """Return the values of a request's chunks, by their headers alone, as a reader without our client finds them."""
    found = []
    for record in here.broker.committed("mrs.results"):
        headers = dict(record.headers)
        if headers["ce_subject"] == request_id.encode():
            assert headers["content-type"] == b"application/vnd.apache.arrow.stream"
            assert headers["ce_digest"].decode() == chunks.digest(record.value or b"")
            found.append(record.value or b"")
    return found


@pytest.mark.parametrize("engine", ["presto", "spark", "hive"])
async def test_rows_are_in_the_event_as_arrow(engine: str) -> None:
    """The same rows as those of the other formats, with types as far as they are known; the rest is as ever."""
    async with rows_service.started(kafka=CHUNKS) as (here, _door):
        for form in ("arrow", "csv", "rows"):
            here.put(service.sql(form, engine, FEW[engine], result={"format": form}))
        await here.until_ended(["arrow", "csv", "rows"], 600)
        found = {form: here.last(form)["result"]["statements"][0] for form in ("arrow", "csv", "rows")}
        table = pa.ipc.open_stream(base64.b64decode(found["arrow"]["arrow"])).read_all()

        assert [str(kind) for kind in table.schema.types] == TYPES[engine]
        assert {name: value for name, value in found["arrow"].items() if name != "arrow"} == {
            name: value for name, value in found["csv"].items() if name != "csv"
        }

        rows = [list(row.values()) if isinstance(row, dict) else row for row in found["rows"]["rows"]]
        assert [list(row.values()) for row in table.to_pylist()] == rows

        as_handle = [row async for row in chunked_rows.brought(here, "arrow").rows()]
        assert as_handle == rows
        assert (await chunked_rows.brought(here, "arrow").to_arrow()).equals(table)
        assert history.faults(["arrow", "csv", "rows"], here.events(), here.created()) == []


@pytest.mark.parametrize("engine", ["presto", "spark", "hive"])
async def test_each_chunk_is_arrow_that_can_be_read_alone(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All have the same columns, number and digest are in the event, and the client puts them together."""
    chunked_rows.shortened(monkeypatch)
    async with rows_service.started(kafka=CHUNKS) as (here, _door):
        for form in ("arrow", "csv"):
            here.put(service.sql(form, engine, MANY[engine], result={"deliver": "chunks", "format": form}))
        await here.until_ended(["arrow", "csv"], 900)
        named, found = here.last("arrow")["result"]["chunks"], values(here, "arrow")
        assert (named["format"], named["count"], named["row_count"]) == ("arrow", len(found), 9000)
        assert named["size_bytes"] == sum(map(len, found))
        assert (len(found) > 5, max(map(len, found)) <= 16_384, named.get("header")) == (True, True, None)
        assert "format" not in here.last("csv")["result"]["chunks"]

        tables = [pa.ipc.open_stream(value).read_all() for value in found]
        assert len({table.schema for table in tables}) == 1
        table = pa.concat_tables(tables)
        assert table.column_names == NAMES[engine]
        assert [str(kind) for kind in table.schema.types] == TYPES[engine][:2]
        assert (await chunked_rows.brought(here, "arrow").to_arrow()).equals(table)

        by_form = {form: [row async for row in chunked_rows.brought(here, form).rows()] for form in ("arrow", "csv")}
        assert [[str(value) for value in row] for row in by_form["arrow"]] == by_form["csv"]
        assert by_form["csv"][-1] == ["9000", "row 9000"]
        frame = await chunked_rows.brought(here, "arrow").to_pandas()
        assert list(frame.columns) == NAMES[engine]
        assert history.faults(["arrow", "csv"], here.events(), here.created()) == []


@pytest.mark.parametrize("killed_after_s", [5.25, 5.33, 5.5, 6.5])
@pytest.mark.parametrize("engine", ["presto", "spark"])
async def test_chunks_of_arrow_that_are_written_again_after_a_crash_are_the_same(
    engine: str, killed_after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the relay was killed, and for readers that know of no place, too."""
    chunked_rows.shortened(monkeypatch)
    kafka = {**CHUNKS, "session_timeout_ms": 6000, "heartbeat_interval_ms": 500}
    async with rows_service.started(kafka=kafka) as (here, _door):
        here.put(service.sql("q", engine, MANY[engine], result={"deliver": "chunks", "format": "arrow"}))
        await asyncio.sleep(killed_after_s)
        await here.replicas[0].kill()
        await here.start_replica()
        await here.until_ended(["q"], 900)
        for places in (True, False):
            found = [row async for row in chunked_rows.brought(here, "q", places=places).rows()]
            assert [int(next(iter(row))) for row in found] == list(range(1, 9001))
        assert len(here.mrs.effects()) == 1
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_rows_over_the_limits_are_left_out_and_counted() -> None:
    """The limits are those of rows in other formats; the bytes are those in the event."""
    async with rows_service.started(kafka=CHUNKS) as (here, _door):
        here.put(service.sql("few", "presto", MANY["presto"], result={"format": "arrow", "max_rows": 3}))
        here.put(service.sql("short", "spark", MANY["spark"], result={"format": "arrow", "max_bytes": 5000}))
        here.put(service.sql("none", "hive", MANY["hive"], result={"format": "arrow", "max_bytes": 0}))
        await here.until_ended(["few", "short", "none"], 600)
        found = {name: here.last(name)["result"] for name in ("few", "short", "none")}

        assert all(one["truncated"] and one["statements"][0]["row_count"] == 9000 for one in found.values())

        streams = {name: one["statements"][0]["arrow"] for name, one in found.items()}
        rows = {
            name: pa.ipc.open_stream(base64.b64decode(one)).read_all().num_rows for name, one in streams.items() if one
        }

        assert rows["few"] == 3
        assert 4000 < len(streams["short"]) <= 5000
        assert 100 < rows["short"] < 9000
        assert streams["none"] == ""


async def test_arrow_that_cannot_come_is_rejected_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is not installed, and where the setting forbids it; other formats come as ever."""
    found = importlib.util.find_spec
    async with rows_service.started(results={"path": "obs://lake/results", "arrow": False}) as (here, _door):
        here.put(service.sql("no", "presto", FEW["presto"], result={"format": "arrow"}))
        await here.until_ended(["no"], 300)
        assert (here.last("no")["state"], here.last("no")["reason"]["code"]) == (
            "rejected",
            "format_not_allowed",
        )
        assert "results.arrow" in here.last("no")["reason"]["message"]
        assert here.mrs.effects() == []

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else found(name))
    async with rows_service.started(kafka=CHUNKS) as (here, _door):
        for deliver in ("inline", "chunks", "location"):
            here.put(service.sql(deliver, "spark", FEW["spark"], result={"deliver": deliver, "format": "arrow"}))
        await here.until_ended(["inline", "chunks", "location"], 300)
        reasons = [here.last(name)["reason"] for name in ("inline", "chunks", "location")]
        assert {one["code"] for one in reasons} == {"format_not_allowed"}
        assert all("mrs-relay[arrow] is not installed" in one["message"] for one in reasons)
        assert here.mrs.effects() == []
        here.put(service.sql("text", "spark", FEW["spark"], result={"format": "csv"}))
        await here.until_ended(["text"], 300)
        assert here.last("text")["result"]["statements"][0]["row_count"] == 3
