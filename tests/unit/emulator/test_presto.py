"""Presto SQL: what is answered at once, what is polled, and where rows go."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from tests.unit.emulator import http_client
from tests.unit.emulator.conftest import Opener

LONG = "select count(*) from lineitem a, lineitem b, lineitem c where a.l_comment < b.l_comment"


def rows_at(root: Path, location: str) -> list[list[str]]:
    """Return the CSV behind an obs:// path."""
    with (root / location.removeprefix("obs://")).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


async def test_select_is_polled_and_leaves_its_rows_in_obs(open_client: Opener, tmp_path: Path) -> None:
    """A SELECT answers QUEUED with an id; its rows are a CSV under archive_path, never in content."""
    statement = "select * from (values (1, 'a', null), (2, 'b,c', 1.50)) as t (id, name, price) order by id"
    async with open_client() as client:
        reply = await client.execute(statement, archive_path="obs://demo-bucket/sql-out/")
        assert reply.status == 200
        first = reply.json()
        assert (first["statement"], first["status"]) == (statement, "QUEUED")
        assert re.fullmatch(r"\d{8}_\d{6}_\d{5}_[a-z0-9]{5}", first["id"])
        last = await client.statement_ended(first["id"])

    assert (last["status"], last["content"], last["statement"]) == ("FINISHED", [], statement)
    assert re.fullmatch(
        rf"obs://demo-bucket/sql-out/[0-9a-f-]{{36}}_\d{{8}}/{first['id']}\.csv", last["result_location"]
    )
    assert rows_at(tmp_path / "obs", last["result_location"]) == [
        ["id", "name", "price"],
        ["1", "a", ""],
        ["2", "b,c", "1.50"],
    ]


async def test_select_without_archive_path_writes_to_the_default_folder(open_client: Opener, tmp_path: Path) -> None:
    """Rows are never lost for want of a path; the header can be left out."""
    async with open_client(sql={"csv_header": False}) as client:
        last = await client.statement_ended(
            (await client.execute("with x as (select 1 as a) select a from x")).json()["id"]
        )
    assert last["result_location"].startswith("obs://emulator/sql-results/")
    assert rows_at(tmp_path / "obs", last["result_location"]) == [["1"]]


async def test_show_and_desc_answer_at_once_with_rows_and_an_id(open_client: Opener) -> None:
    """Their rows are arrays of strings in content, and the id can be asked again."""
    async with open_client() as client:
        await client.execute("create table t1 (id bigint, name varchar, price decimal(15,2))")
        for statement, content in (
            ("show tables", [["t1"]]),
            ("SHOW SCHEMAS", [["default"], ["information_schema"]]),
            ("show catalogs", [["hive"]]),
            ("desc t1", [["id", "bigint", "", ""], ["name", "varchar", "", ""], ["price", "decimal(15,2)", "", ""]]),
            (
                "describe default.t1",
                [["id", "bigint", "", ""], ["name", "varchar", "", ""], ["price", "decimal(15,2)", "", ""]],
            ),
            ("show tables from default like 'x%'", []),
        ):
            found = (await client.execute(statement)).json()
            assert (found["status"], found["content"]) == ("FINISHED", content), statement
            again = await client.ask("GET", f"{client.base}/sql-execution/{found['id']}")
            assert again.json() == found


async def test_ddl_has_an_id_where_the_settings_say_so(open_client: Opener) -> None:
    """The id can be asked again, and tells the end that the reply reported."""
    async with open_client(sql={"ddl_without_id": False}) as client:
        reply = (await client.execute("create table t1 (id bigint)")).json()
        assert reply["id"]
        assert (await client.statement_ended(reply["id"])) == reply


async def test_ddl_and_dml_have_run_before_the_reply_and_have_no_id(open_client: Opener) -> None:
    """Their outcome is only in the reply: they can be neither polled nor cancelled."""
    async with open_client() as client:
        for statement in ("create table t4 (id bigint)", "insert into t4 values (1), (2)", "create schema s"):
            found = (await client.execute(statement)).json()
            assert found == {"id": "", "statement": statement, "status": "FINISHED", "content": []}
        counted = await client.execute("insert into t4 select id + 2 from t4")
        assert counted.json()["status"] == "FINISHED"
        broken = (await client.execute("insert into nope values (1)")).json()
        assert (broken["id"], broken["status"]) == ("", "FAILED")
        assert broken["message"] == "Table 'hive.default.nope' does not exist"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("select * from nope", "line 1:15: Table 'hive.default.nope' does not exist"),
        ("select 1,\n  nope from (values 1) as t (a)", "line 2:3: Column 'nope' cannot be resolved"),
        ("select * from nowhere.t", "line 1:15: Schema 'nowhere' does not exist"),
        ("select * from t where where", "line 1:23: mismatched input 'where'. Expecting: <expression>"),
    ],
)
async def test_failed_select_says_where_as_presto_does(open_client: Opener, statement: str, message: str) -> None:
    """An SQL error is a 200 with status FAILED and a message with line and column."""
    async with open_client() as client:
        reply = await client.execute(statement)
        last = await client.statement_ended(reply.json()["id"])
    assert (reply.status, last["status"], last["message"]) == (200, "FAILED", message)
    assert "result_location" not in last


async def test_unknown_database_fails_the_statement(open_client: Opener) -> None:
    """Names are looked up in the database of the request."""
    async with open_client() as client:
        found = (await client.execute("show tables", database="nosuch")).json()
    assert (found["status"], found["message"]) == ("FAILED", "line 1:1: Schema 'nosuch' does not exist")


@pytest.mark.parametrize("statement", ["select 1;", "select 1; select 2", "select ';'"])
async def test_semicolon_is_refused_with_the_key_message(open_client: Opener, statement: str) -> None:
    """MRS.0011 spells its text `message`, unlike every other code."""
    async with open_client() as client:
        reply = await client.execute(statement)
        assert (reply.status, sorted(reply.json()), http_client.code(reply)) == (
            400,
            ["error_code", "message"],
            "MRS.0011",
        )
        assert (await client.effects())["count"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"sql_type": "spark"},
        {"sql_type": None},
        {"sql_content": ""},
        {"sql_content": 7},
        {"database": 7},
        {"archive_path": "/local/path"},
        {"archive_path": "obs://b/../../etc"},
        {"archive_path": 7},
    ],
)
async def test_invalid_request_is_12000002(open_client: Opener, changes: dict[str, object]) -> None:
    """Every member is checked."""
    async with open_client() as client:
        body = {"sql_type": "presto", "sql_content": "select 1 as a", **changes}
        assert http_client.code(await client.ask("POST", f"{client.base}/sql-execution", body)) == "12000002"


@pytest.mark.parametrize("cluster", [{"components": ["Hadoop"]}, {"state": "frozen"}])
async def test_cluster_that_cannot_run_presto_is_mrs_0011(open_client: Opener, cluster: dict[str, object]) -> None:
    """Presto must be installed and the cluster must run."""
    async with open_client(clusters=[cluster]) as client:
        assert http_client.code(await client.execute("select 1")) == "MRS.0011"


async def test_unknown_id_and_unknown_cluster(open_client: Opener) -> None:
    """Reading an unknown statement is MRS.0011, cancelling it has no code at all."""
    async with open_client() as client:
        shown = await client.ask("GET", f"{client.base}/sql-execution/nope")
        assert (shown.status, http_client.code(shown)) == (400, "MRS.0011")
        cancelled = await client.ask("POST", f"{client.base}/sql-execution/nope/cancel")
        assert (cancelled.status, cancelled.json()) == (400, {"status": "FAILED", "message": "Cancel sql error"})
        client.cluster = "nowhere"
        for verb, path, body in (("POST", "", {}), ("GET", "/x", None), ("POST", "/x/cancel", None)):
            assert http_client.code(await client.ask(verb, f"{client.base}/sql-execution{path}", body)) == "12000003"


async def test_cancelled_statement_stops_and_shows_failed(open_client: Opener, tpch_files: Path) -> None:
    """CancelSql answers SUCCEED (no final ED), the statement is over at once, and its thread is free."""
    async with open_client(data=tpch_files, sql={"threads": 1}) as client:
        sql_id = (await client.execute(LONG)).json()["id"]
        await client.statement_until(sql_id, "RUNNING")
        waiting = (await client.execute("select 1 as a")).json()
        assert waiting["status"] == "QUEUED"
        reply = await client.ask("POST", f"{client.base}/sql-execution/{sql_id}/cancel")
        assert (reply.status, reply.json()) == (200, {"status": "SUCCEED"})
        assert (await client.statement_ended(sql_id))["message"] == "Query was canceled"
        assert (await client.statement_ended(waiting["id"]))["status"] == "FINISHED"


async def test_cancel_of_an_ended_statement_succeeds_and_changes_nothing(open_client: Opener) -> None:
    """Documented: SUCCEED also for statements that have ended."""
    async with open_client() as client:
        sql_id = (await client.execute("select 1 as a")).json()["id"]
        before = await client.statement_ended(sql_id)
        reply = await client.ask("POST", f"{client.base}/sql-execution/{sql_id}/cancel")
        assert reply.json() == {"status": "SUCCEED"}
        assert await client.statement_ended(sql_id) == before


async def test_queue_that_is_full_is_answered_as_a_failed_handover(open_client: Opener, tpch_files: Path) -> None:
    """More statements than the queue takes are refused; a SQL job that finds it full fails."""
    async with open_client(data=tpch_files, sql={"threads": 1, "queue_size": 1}) as client:
        sql_id = (await client.execute(LONG)).json()["id"]
        refused = await client.execute("select 1 as a")
        assert http_client.code(refused) == "MRS.0011"
        assert http_client.CLUSTER in refused.json()["message"]
        job_id = await client.submitted("s", "SparkSql", arguments=["select 1 as a"])
        assert await client.ended(job_id) == ("FINISHED", "FAILED")
        await client.ask("POST", f"{client.base}/sql-execution/{sql_id}/cancel")
        assert (await client.effects(kind="statement"))["count"] == 1


async def test_statement_answered_at_once_has_a_limit(open_client: Opener, tpch_files: Path) -> None:
    """DML that takes too long is stopped and FAILED, since no client could ask for its end."""
    async with open_client(data=tpch_files, sql={"reply_limit_s": 0.05}) as client:
        found = (await client.execute(f"create table t as {LONG}".replace("count(*)", "count(*) as n"))).json()
        assert (found["id"], found["status"]) == ("", "FAILED")
        assert "time limit" in found["message"]


async def test_oldest_ended_statements_are_forgotten(open_client: Opener) -> None:
    """Memory is bounded; statements under way are never forgotten."""
    async with open_client(sql={"results_kept": 2}) as client:
        ids = []
        for number in range(3):
            ids.append((await client.execute(f"select {number} as n")).json()["id"])
            await client.statement_ended(ids[-1])
        statuses = [(await client.ask("GET", f"{client.base}/sql-execution/{one}")).status for one in ids]
    assert statuses == [400, 200, 200]


async def test_statement_that_cannot_be_parsed_fails_without_an_id(open_client: Opener) -> None:
    """What is no statement at all has no id either."""
    async with open_client() as client:
        found = (await client.execute("1 + 1")).json()
        assert (found["id"], found["status"]) == ("", "FAILED")
        assert (await client.execute("-- note\n /* x */ (SELECT 1 as a)")).json()["id"] != ""


async def test_division_of_integers_follows_the_dialect(open_client: Opener, tmp_path: Path) -> None:
    """Presto cuts the fraction off, Spark does not, in the same warehouse."""
    async with open_client() as client:
        last = await client.statement_ended((await client.execute("select 7 / 2 as q, 7.0 / 2 as r")).json()["id"])
        assert rows_at(tmp_path / "obs", last["result_location"])[1] == ["3", "3.5"]
        job_id = await client.submitted("s", "SparkSql", arguments=["select 7 / 2 as q"])
        await client.ended(job_id)
        assert (await client.results(job_id)).json()["sql_results"] == {"0": [{"q": 3.5}]}
