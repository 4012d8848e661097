"""The whole service in virtual time: rows of Hive and Spark, which their statements write to folders of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support import chunked_rows, history, objects, rows_service, service

pytestmark = pytest.mark.looptime

MANY = "select explode(sequence(1, 10500)) as n"
MANY_HIVE = (
    "with d as (select explode(split(space(104), ' ')) as x), e as (select explode(split(space(99), ' ')) as y) "
    "select row_number() over (order by 1) as n from d cross join e"
)
FEW = "select 'a' as name, cast(null as int) as none, 1.50 as price union all select 'b\nc', 2, 3.25"


def files(door: objects.ObjectDoor) -> list[str]:
    """Return the keys of all objects below the results."""
    store = door.mrs.objects.store
    return sorted(store.walk("lake", "results/")) if any(name == "lake" for name, _ in store.buckets()) else []


@pytest.mark.parametrize(("engine", "statement"), [("spark", MANY), ("hive", MANY_HIVE)])
async def test_more_rows_than_mrs_gives_out_come_through_a_folder(engine: str, statement: str) -> None:
    """All of them are counted, the first ones are in the event; the statement ran once."""
    rules = {"path": "obs://lake/results", "max_rows": 20_000}
    async with rows_service.started(results=rules, engine={"inline_result_bytes": 900_000}) as (here, door):
        here.put(service.sql("q", engine, statement, result={}))
        await here.until_ended(["q"], 600)
        result = here.last("q")["result"]
        [rows] = result["statements"]
        assert rows["row_count"] == 10_500
        shown = [row["n"] if engine == "spark" else row[0] for row in rows["rows"]]
        assert shown == list(range(1, 10_501))
        assert result["location"].startswith("obs://lake/results/mr")
        assert len([one for one in door.opened if one.startswith(result["location"])]) == 3
        assert len(here.mrs.effects()) == 1
        assert history.faults(["q"], here.events(), here.created()) == []


@pytest.mark.parametrize("engine", ["spark", "hive"])
async def test_values_keep_their_types_and_null_is_null(engine: str) -> None:
    """As objects, as CSV, and as addresses."""
    async with rows_service.started() as (here, _door):
        here.put(service.sql("rows", engine, FEW, result={"deliver": "both"}))
        here.put(service.sql("csv", engine, FEW, result={"format": "csv", "max_rows": 1}))
        here.put(service.sql("where", engine, FEW, result={"deliver": "location"}))
        await here.until_ended(["rows", "csv", "where"], 600)
        result = here.last("rows")["result"]
        [rows] = result["statements"]
        values: list[list[Any]] = [["a", None, 1.5], ["b\nc", 2, 3.25]]
        names = ["name", "none", "price"]
        is_named = engine == "spark"  # Hive has no names of columns in a directory

        assert sorted(rows["rows"], key=str) == [
            dict(zip(names, row, strict=True)) if is_named else row for row in values
        ]
        assert [one["name"] for one in rows.get("columns", [])] == (names if is_named else [])
        assert result["url"].startswith("https://lake.obs.test/results/mr")

        [text] = here.last("csv")["result"]["statements"]
        assert (text["csv"].splitlines()[0] == "name,none,price") is is_named
        assert (text["rows"], text["row_count"]) == ([], 2)

        where = here.last("where")["result"]
        assert where.keys() == {"location", "url", "url_expires_at"}


async def test_default_of_a_tenant_leaves_statements_alone_that_are_no_select() -> None:
    """And engines that it does not name; a request that asks for rows of such a statement is rejected, unsent."""
    rules = {"path": "obs://lake/results", "deliver": "inline", "engines": ["hive", "presto"]}
    async with rows_service.started(results=rules) as (here, door):
        here.put(service.sql("made", "hive", "create table t (n int); insert into t values (7)"))
        await here.until_ended(["made"], 300)
        here.put(service.sql("read", "hive", "select n from t"))
        here.put(service.sql("spark", "spark", "select 1 as n"))
        here.put(service.sql("no", "hive", "insert into t values (8)", result={}))
        await here.until_ended(["read", "spark", "no"], 300)

        assert here.last("made")["state"] == "succeeded"
        assert here.last("read")["result"]["statements"][0]["rows"] == [[7]]
        assert "location" not in here.last("spark")["result"]
        assert (here.last("no")["state"], here.last("no")["reason"]["field"]) == (
            "rejected",
            "data",
        )
        assert "begins with 'insert'" in here.last("no")["reason"]["message"]
        assert len(here.mrs.effects()) == 3
        assert len({one.rpartition("/")[0] for one in files(door)}) == 1


@pytest.mark.parametrize("killed_after_s", [0.3, 3, 6.5, 8, 20])
async def test_relay_that_is_killed_reads_the_folder_that_its_intent_names(killed_after_s: float) -> None:
    """At any moment: one submission, one folder, the rows once."""
    async with rows_service.started(kafka={"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}) as (here, door):
        door.silent = 1
        here.put(service.sql("q", "spark", FEW, result={}))
        await asyncio.sleep(killed_after_s)
        await here.replicas[0].kill()
        await here.start_replica()
        await here.until_ended(["q"], 900)
        await asyncio.sleep(120)
        assert here.last("q")["result"]["statements"][0]["row_count"] == 2
        assert here.states("q").count("succeeded") == 1
        assert len(here.mrs.effects()) == 1
        assert len({one.split("/")[1] for one in files(door)}) == 1
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_each_attempt_writes_to_a_folder_of_its_own_and_all_are_removed_in_time() -> None:
    """A retry after a bad end; objects that no engine calls so stay, and so do those beside the folders."""
    async with rows_service.started(results={"path": "obs://lake/results", "folder_life_s": 3600}) as (here, door):
        here.trouble(action="wrong_result", operation="CreateExecuteJob")
        retry = {"attempts": 2, "backoff_s": 1, "on": ["job_failed", "job_killed"]}
        here.put(service.sql("q", "spark", FEW, result={}, retry=retry))
        await here.until_ended(["q"], 900)
        location = here.last("q")["result"]["location"]

        assert (here.last("q")["attempt"], location[-8:]) == (2, "-2.json/")

        folder = here.mrs.objects.store.bucket("lake") / location.removeprefix("obs://lake/")
        (folder / "notes.txt").write_text("mine")
        (folder.parent / "other.csv").write_text("mine")
        await asyncio.sleep(3500)

        assert len(files(door)) > 2

        await asyncio.sleep(200)
        assert files(door) == sorted([f"results/{folder.name}/notes.txt", "results/other.csv"])
        assert all(one.startswith("results/mr") for one in door.deleted)


async def test_what_an_engine_writes_after_the_removal_is_removed_too() -> None:
    """A second look, an hour later at the earliest, also after a takeover; then the request leaves memory."""
    async with rows_service.started(results={"path": "obs://lake/results", "folder_life_s": 600}) as (here, door):
        here.put(service.sql("q", "hive", FEW, result={}))
        await here.until_ended(["q"], 300)
        folder = here.mrs.objects.store.bucket("lake") / here.last("q")["result"]["location"].removeprefix(
            "obs://lake/"
        )
        await asyncio.sleep(900)

        assert files(door) == []

        folder.mkdir(parents=True)
        (folder / "000000_0_copy_1").write_text("late")
        await here.replicas[0].kill()
        await here.start_replica()
        await asyncio.sleep(2400)

        assert len(files(door)) == 1

        await asyncio.sleep(1200)
        assert files(door) == []

        folder.mkdir(parents=True)
        (folder / "000000_0").write_text("later still")
        await asyncio.sleep(8000)

        assert len(files(door)) == 1
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_folder_is_removed_by_the_replica_that_takes_over_and_tries_again() -> None:
    """The ledger has when, and which; a setting of 0 keeps it."""
    rules = {"path": "obs://lake/results", "folder_life_s": 600}
    async with rows_service.started(results=rules) as (here, door):
        here.put(service.sql("q", "hive", FEW, result={}))
        await here.until_ended(["q"], 300)
        assert files(door)

        await here.replicas[0].kill()
        await here.start_replica()
        door.failing = 2
        await asyncio.sleep(500)

        assert files(door)

        await asyncio.sleep(1500)
        assert files(door) == []

        here.put(service.sql("q", "hive", FEW, result={}))
        await asyncio.sleep(60)
        assert here.states("q")[-1] == "succeeded"  # it is remembered all the same
        assert len(here.mrs.effects()) == 1

    async with rows_service.started(results={**rules, "folder_life_s": 0}) as (here, door):
        here.put(service.sql("q", "hive", FEW, result={}))
        await here.until_ended(["q"], 300)
        await asyncio.sleep(3600)
        assert files(door)


CHUNKED: Any = {"results": {"path": "obs://lake/results"}, "kafka": {"topics": {"results": "mrs.results"}}}


@pytest.mark.parametrize(("engine", "statement"), [("spark", MANY), ("hive", MANY_HIVE)])
async def test_rows_of_a_folder_come_in_chunks(engine: str, statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All objects are one text in the order of their names; Spark's has the names of the columns."""
    chunked_rows.shortened(monkeypatch)
    async with rows_service.started(**CHUNKED) as (here, door):
        here.put(service.sql("q", engine, statement, result={"deliver": "chunks"}))
        here.put(service.sql("few", engine, FEW, result={"deliver": "chunks"}))
        await here.until_ended(["q", "few"], 600)
        result = here.last("q")["result"]

        assert (result["chunks"]["row_count"], result["chunks"].get("header", False)) == (10_500, engine == "spark")
        assert result["chunks"]["count"] > 2
        assert "statements" not in result
        assert door.opened == []
        assert [row async for row in chunked_rows.brought(here, "q").rows()] == [[str(n)] for n in range(1, 10_501)]

        values = [["a", "", "1.5"], ["b\nc", "2", "3.25"]]
        found: list[Any] = [row async for row in chunked_rows.brought(here, "few").rows()]
        assert sorted([row[0], row[1], row[2].rstrip("0")] for row in found) == values
        assert len(here.mrs.effects()) == 2
        assert history.faults(["q", "few"], here.events(), here.created()) == []


@pytest.mark.parametrize(("engine", "deliver"), [("spark", "both"), ("hive", "chunks")])
async def test_folder_stays_while_its_rows_are_late_and_is_removed_after_them(engine: str, deliver: str) -> None:
    """Its life, which is shorter than the outage of OBS, begins with the last event; a takeover changes nothing."""
    rules = {"path": "obs://lake/results", "folder_life_s": 300}
    async with rows_service.started(**{**CHUNKED, "results": rules}) as (here, door):
        door.absent = 10**9  # reads fail, removals would not
        here.put(service.sql("q", engine, FEW, result={"deliver": deliver}))
        await here.until_ended(["q"], 300)

        assert "late_until" in here.last("q")["result"]

        await here.replicas[0].kill()
        await here.start_replica()
        await asyncio.sleep(900)

        assert files(door)

        door.absent = 0
        async with asyncio.timeout(400):
            while here.states("q")[-1] != "result":
                await asyncio.sleep(1)

        result = here.last("q")["result"]
        rows = result["chunks"] if deliver == "chunks" else result["statements"][0]
        assert (rows["row_count"], "unavailable" in result) == (2, False)
        assert door.deleted == []

        await asyncio.sleep(240)
        assert files(door)

        await asyncio.sleep(120)
        assert files(door) == []
        assert len(here.mrs.effects()) == 1
        assert history.faults(["q"], here.events(), here.created()) == []
