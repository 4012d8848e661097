"""The whole service in virtual time: rows of Presto, read from OBS into the event, and what can go wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import chunked_rows, history, rows_service, service, service_harness

from mrs_relay.client import failures

pytestmark = pytest.mark.looptime

TEN = "select n, concat('row ', cast(n as varchar)) as name from unnest(sequence(1, 10)) as t(n) order by n"


async def until(is_so: Callable[[], bool], timeout_s: float) -> None:
    """Let time pass until something is so."""
    async with asyncio.timeout(timeout_s):
        while not is_so():
            await asyncio.sleep(0.5)


async def test_rows_of_a_presto_select_are_in_the_event() -> None:
    """With the names of their columns, their number, and the path of the whole result."""
    async with rows_service.started() as (here, door):
        here.put(service.sql("q", "presto", TEN, result={}))
        await here.until_ended(["q"], 300)
        assert (here.states("q")[:2], here.states("q")[-1]) == (["accepted", "submitted"], "succeeded")
        result = here.last("q")["result"]
        [rows] = result["statements"]
        assert rows["rows"] == [[str(number), f"row {number}"] for number in range(1, 11)]
        assert rows["columns"] == [{"name": "n"}, {"name": "name"}]
        assert (rows["row_count"], result.get("truncated")) == (10, None)
        assert result["location"].startswith("obs://lake/results/")
        assert door.opened == [result["location"]]
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_rows_over_the_limits_are_counted_and_left_out() -> None:
    """The request's limit, lowered to the deployment's."""
    async with rows_service.started(results={"path": "obs://lake/results", "max_rows": 4}) as (here, _door):
        here.put(service.sql("few", "presto", TEN, result={"max_rows": 2}))
        here.put(service.sql("many", "presto", TEN, result={"max_rows": 100}))
        here.put(service.sql("short", "presto", TEN, result={"max_bytes": 30}))
        await here.until_ended(["few", "many", "short"], 300)
        found = {name: here.last(name)["result"] for name in ("few", "many", "short")}
        assert {name: len(one["statements"][0]["rows"]) for name, one in found.items()} == {
            "few": 2,
            "many": 4,
            "short": 2,
        }
        assert all(one["truncated"] and one["statements"][0]["row_count"] == 10 for one in found.values())


async def test_rows_come_as_text_or_as_an_address_where_the_request_asks_so() -> None:
    """The text as MRS wrote it; an address that works for the time of the settings, without a read."""
    async with rows_service.started(results={"path": "obs://lake/results", "url_life_s": 600}) as (here, door):
        here.put(service.sql("text", "presto", TEN, result={"format": "csv", "max_rows": 1}))
        await here.until_ended(["text"], 300)
        here.put(service.sql("address", "presto", TEN, result={"deliver": "location"}))
        here.put(service.sql("both", "presto", TEN, result={"deliver": "both"}))
        await here.until_ended(["address", "both"], 300)
        [text] = here.last("text")["result"]["statements"]

        assert (text["rows"], text["row_count"], text["csv"]) == ([], 10, "n,name\n1,row 1\n")

        address, both = here.last("address")["result"], here.last("both")["result"]
        assert "statements" not in address
        assert address["url"].endswith("?expires=600")
        assert address["url_expires_at"].endswith("Z")
        assert both["url"]
        assert len(both["statements"][0]["rows"]) == 10
        assert address["location"] not in door.opened


async def test_request_without_a_delivery_and_a_relay_without_a_folder_read_nothing() -> None:
    """All stays as it is; who asks a relay for rows that it cannot read is rejected before anything is submitted."""
    async with rows_service.started() as (here, door):
        here.put(service.sql("plain", "presto", TEN))
        here.put(service.sql("shown", "presto", "show tables", result={}))
        await here.until_ended(["plain", "shown"], 300)
        assert here.last("plain")["result"].keys() == {"location"}
        assert "location" not in here.last("shown").get("result", {})
        assert door.opened == []
    async with service_harness.start() as here:
        here.put(service.sql("q", "presto", TEN, result={}))
        await here.until_ended(["q"], 300)
        assert here.last("q")["reason"]["code"] == "results_not_read"
        assert here.mrs.effects() == []


async def test_folder_of_another_is_rejected_before_anything_is_sent() -> None:
    """Another bucket, a folder beside, and a way out of the own one."""
    others = {
        "bucket": "obs://pond/results",
        "beside": "obs://lake/resultsx",
        "above": "obs://lake",
        "out": "obs://lake/results/../secret",
    }
    async with rows_service.started() as (here, door):
        for name, path in others.items():
            here.put(service.sql(name, "presto", TEN, archive_path=path, result={}))
        here.put(service.sql("own", "presto", TEN, archive_path="obs://lake/results/mine", result={}))
        await here.until_ended([*others, "own"], 300)
        assert {here.last(name)["reason"]["code"] for name in others} == {"path_not_allowed"}
        assert here.last("own")["result"]["location"].startswith("obs://lake/results/mine/")
        assert len(here.mrs.effects()) == len(door.opened) == 1


@pytest.mark.parametrize(
    "path",
    ["obs://lake/other/x.csv", "obs://pond/results/x.csv", "obs://lake/results/../other/x.csv", "file:///etc/passwd"],
)
async def test_path_outside_of_the_folder_in_mrs_s_reply_is_never_read(path: str) -> None:
    """Whatever the reply says: the success names the path, and says why there are no rows."""
    async with rows_service.started() as (here, door):
        body = {"id": "x_1", "status": "FINISHED", "result_location": path, "content": []}
        here.trouble(action="status", operation="ExecuteSql", status=200, body=body)
        here.put(service.sql("q", "presto", TEN, result={"deliver": "both"}))
        await here.until_ended(["q"], 300)
        result = here.last("q")["result"]
        assert here.states("q")[-1] == "succeeded"
        assert result.keys() == {"location", "unavailable"}
        assert door.opened == []


async def test_rows_that_fail_to_be_read_are_read_again_and_come_once() -> None:
    """An object that is not there yet, then one that ends early: no row is double or missing."""
    async with rows_service.started() as (here, door):
        door.absent, door.broken = 1, 1
        here.put(service.sql("q", "presto", TEN, result={}))
        await here.until_ended(["q"], 300)
        [rows] = here.last("q")["result"]["statements"]
        assert (len(rows["rows"]), rows["row_count"]) == (10, 10)
        assert len(door.opened) == 3
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_success_waits_no_longer_than_a_minute_for_its_rows() -> None:
    """OBS never answers, the setting allows ten minutes: the success says why it has no rows, and where they are."""
    async with rows_service.started(engine={"collect_within_s": 600}) as (here, door):
        door.silent = 1000
        here.put(service.sql("q", "presto", TEN, result={"deliver": "both"}))
        await here.until_ended(["q"], 300)
        assert asyncio.get_running_loop().time() < 75
        result = here.last("q")["result"]
        assert "did not answer" in result["unavailable"]
        assert result["location"]
        assert result["url"]


@pytest.mark.parametrize("killed_after_s", [0.3, 2, 5.5, 7, 20])
async def test_relay_that_is_killed_while_rows_are_read_leaves_them_to_the_next_one(killed_after_s: float) -> None:
    """At any moment: the statement ran once, its rows come once, no event is missing or double."""
    async with rows_service.started(kafka={"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}) as (here, door):
        door.silent = 1
        here.put(service.sql("q", "presto", TEN, result={}))
        await asyncio.sleep(killed_after_s)
        await here.replicas[0].kill()
        await here.start_replica()
        await here.until_ended(["q"], 600)
        await asyncio.sleep(120)
        [rows] = here.last("q")["result"]["statements"]
        assert len(rows["rows"]) == 10
        assert here.states("q").count("succeeded") == 1
        assert len(here.mrs.effects()) == 1
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_rows_that_come_late_have_an_event_of_their_own() -> None:
    """OBS is away for ten minutes: `succeeded` comes without rows and says until when they may come, then they do."""
    async with rows_service.started() as (here, door):
        door.absent = 10**9
        here.put(service.sql("q", "presto", TEN, result={}))
        await here.until_ended(["q"], 300)
        first = here.last("q")["result"]
        assert first.keys() == {"location", "unavailable", "late_until"}
        await asyncio.sleep(600)
        here.put(
            service.sql("q", "presto", TEN, result={})
        )  # the repetition is answered, and the rows come all the same
        await asyncio.sleep(1)
        assert here.last("q")["result"] == {
            "location": first["location"],
            "late_until": first["late_until"],
        }

        door.absent = 0
        await until(lambda: here.states("q")[-1] == "result", 400)
        late = here.last("q")
        assert late["repeated"]
        assert len(late["result"]["statements"][0]["rows"]) == 10
        await asyncio.sleep(7200)
        assert here.states("q").count("result") == 1
        assert len(here.mrs.effects()) == 1
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_rows_that_never_come_are_given_up_once() -> None:
    """After the time of the settings an event says so, and it says why."""
    async with rows_service.started(engine={"late_rows_s": 1200}) as (here, door):
        door.absent = 10**9
        here.put(service.sql("q", "presto", TEN, result={"deliver": "both"}))
        await here.until_ended(["q"], 300)
        reads = len(door.opened)
        await asyncio.sleep(1300)
        assert here.states("q")[-2:] == ["succeeded", "result"]
        result = here.last("q")["result"]
        assert result.keys() == {"location", "url", "url_expires_at", "unavailable"}
        assert "no object" in result["unavailable"]
        assert 3 < len(door.opened) - reads < 20
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_no_more_rows_are_late_at_once_than_the_settings_say() -> None:
    """A further request succeeds without them for good; one whose rows have come makes room."""
    async with rows_service.started(engine={"max_late_rows": 2}) as (here, door):
        door.absent = 10**9
        ids = [f"q-{number}" for number in range(4)]
        for one in ids:
            here.put(service.sql(one, "presto", TEN, result={}))
        await here.until_ended(ids, 300)
        waiting = [one for one in ids if "late_until" in here.last(one)["result"]]
        assert len(waiting) == 2
        door.absent = 0
        await until(lambda: all(here.states(one)[-1] == "result" for one in waiting), 400)
        door.absent = 10**9
        here.put(service.sql("later", "presto", TEN, result={}))
        await here.until_ended(["later"], 300)
        assert "late_until" in here.last("later")["result"]


@pytest.mark.parametrize("killed_after_s", [30, 52, 75, 300])
async def test_late_rows_come_once_through_a_takeover(killed_after_s: float) -> None:
    """The next owner finds in the ledger that rows may come, reads them, and numbers their event."""
    async with rows_service.started(kafka={"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}) as (here, door):
        door.absent = 10**9
        here.put(service.sql("q", "presto", TEN, result={}))
        await asyncio.sleep(killed_after_s)
        await here.replicas[0].kill()
        await here.start_replica()
        await asyncio.sleep(200)
        door.absent = 0
        await until(lambda: here.states("q")[-1] == "result", 900)
        await asyncio.sleep(120)
        assert len(here.last("q")["result"]["statements"][0]["rows"]) == 10
        assert len(here.mrs.effects()) == 1
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_time_of_late_rows_does_not_begin_again_with_a_takeover() -> None:
    """Nor is the end of the wait lost while no replica runs."""
    async with rows_service.started(engine={"late_rows_s": 600}) as (here, door):
        door.absent = 10**9
        here.put(service.sql("q", "presto", TEN, result={}))
        await here.until_ended(["q"], 300)
        await here.replicas[0].kill()
        await asyncio.sleep(3600)
        await here.start_replica()
        await until(lambda: here.states("q")[-1] == "result", 120)
        assert "unavailable" in here.last("q")["result"]
        assert history.faults(["q"], here.events(), here.created()) == []


CHUNKED: Any = {"results": {"path": "obs://lake/results"}, "kafka": {"topics": {"results": "mrs.results"}}}
MANY = "select n, concat('row \"', cast(n as varchar)) as name from unnest(sequence(1, 20000)) as t(n) order by n"


async def test_rows_come_in_chunks_where_the_request_wants_them_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event names number and digest; the client puts them together, with the values as the statement gave them."""
    chunked_rows.shortened(monkeypatch)
    async with rows_service.started(**CHUNKED) as (here, door):
        here.put(service.sql("q", "presto", MANY, result={"deliver": "chunks"}))
        here.put(service.sql("other", "presto", TEN, result={"deliver": "chunks"}))
        await here.until_ended(["q", "other"], 300)
        found = here.last("q")["result"]["chunks"]
        assert found["row_count"] == 20_000
        assert found["count"] == 1 + found["size_bytes"] // 16_384
        assert "statements" not in here.last("q")["result"]
        assert door.opened == []
        assert len(door.parts) > 5
        wanted = [[str(number), f'row "{number}'] for number in range(1, 20_001)]
        assert [row async for row in chunked_rows.brought(here, "q").rows()] == wanted
        assert [row async for row in chunked_rows.brought(here, "other").rows()][-1] == ["10", "row 10"]
        assert history.faults(["q", "other"], here.events(), here.created()) == []


async def test_deployment_without_a_topic_for_chunks_rejects_requests_for_them() -> None:
    """Before anything is submitted."""
    async with rows_service.started() as (here, _door):
        here.put(service.sql("q", "presto", TEN, result={"deliver": "chunks"}))
        await here.until_ended(["q"], 300)
        assert here.last("q")["reason"]["code"] == "results_not_read"
        assert here.mrs.effects() == []


@pytest.mark.parametrize("killed_after_s", [5.0, 5.25, 5.3, 5.33, 5.36, 5.5])
async def test_chunks_that_are_written_again_after_a_crash_are_known_by_their_readers(
    killed_after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have the same ids: no row is double or missing, wherever the relay was killed."""
    chunked_rows.shortened(monkeypatch)
    kafka = {**CHUNKED["kafka"], "session_timeout_ms": 6000, "heartbeat_interval_ms": 500}
    async with rows_service.started(**{**CHUNKED, "kafka": kafka}) as (here, _door):
        here.put(service.sql("q", "presto", MANY, result={"deliver": "chunks"}))
        await asyncio.sleep(killed_after_s)
        await here.replicas[0].kill()
        await here.start_replica()
        await here.until_ended(["q"], 600)
        for places in (True, False):
            found = [row async for row in chunked_rows.brought(here, "q", places=places).rows()]
            assert [next(iter(row)) for row in found] == [str(number) for number in range(1, 20_001)]
        assert len(here.mrs.effects()) == 1
        assert history.faults(["q"], here.events(), here.created()) == []


async def test_chunks_come_although_a_write_of_them_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The producer that has failed is replaced, and all of them are written again."""
    chunked_rows.shortened(monkeypatch)
    async with rows_service.started(**CHUNKED) as (here, _door):
        here.broker.fail_writes(applied=False, concerns=lambda written: written[0].topic == "mrs.results")
        here.put(service.sql("q", "presto", MANY, result={"deliver": "chunks"}))
        await here.until_ended(["q"], 300)
        assert "chunks" in here.last("q")["result"]
        found = [row async for row in chunked_rows.brought(here, "q").rows()]
        assert [number for number, _ in found] == [str(number) for number in range(1, 20_001)]


async def test_chunks_come_late_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that fails in the middle begins the whole again; the event has one digest of one whole."""
    chunked_rows.shortened(monkeypatch)
    async with rows_service.started(**CHUNKED) as (here, door):
        door.absent, door.lost_part = 10**9, 4
        here.put(service.sql("q", "presto", MANY, result={"deliver": "chunks"}))
        await here.until_ended(["q"], 300)
        assert "late_until" in here.last("q")["result"]
        door.absent = 0
        await until(lambda: here.states("q")[-1] == "result", 900)
        assert door.parts.count((0, 50_000)) == 2
        assert len([row async for row in chunked_rows.brought(here, "q").rows()]) == 20_000


async def test_chunks_that_are_damaged_or_gone_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader gets an error, and no rows that are not there."""
    chunked_rows.shortened(monkeypatch)
    async with rows_service.started(**CHUNKED) as (here, _door):
        here.put(service.sql("q", "presto", MANY, result={"deliver": "chunks"}))
        await here.until_ended(["q"], 300)
        named = here.last("q")["result"]["chunks"]
        here.broker.cut("mrs.results", named["partition"], before=named["first_offset"] + 2)
        with pytest.raises(failures.RowsMissing, match="chunk 1 of"):
            [row async for row in chunked_rows.brought(here, "q").rows()]


async def test_tenants_have_folders_and_limits_of_their_own() -> None:
    """A default makes requests without `result` bring rows; none are read from another tenant's folder."""
    rules = {
        "a": {"requests": "a.requests", "results": {"deliver": "inline", "max_rows": 3}},
        "b": {"requests": "b.requests"},
    }
    async with rows_service.started(tenants=rules) as (here, door):
        here.put(service.sql("default", "presto", TEN), topic="a.requests")
        here.put(service.sql("own", "presto", TEN, archive_path="obs://pond/mine"), topic="a.requests")
        here.put(service.sql("none", "presto", TEN), topic="b.requests")
        here.put(
            service.sql("foreign", "presto", TEN, archive_path="obs://lake/results/a", result={}), topic="b.requests"
        )
        await here.until_ended(["default", "own", "none", "foreign"], 300)
        assert here.last("default")["result"]["location"].startswith("obs://lake/results/a/")
        assert len(here.last("default")["result"]["statements"][0]["rows"]) == 3
        assert here.last("own")["result"].keys() == here.last("none")["result"].keys() == {"location"}
        assert here.last("foreign")["reason"]["code"] == "path_not_allowed"
        assert len(door.opened) == 1
