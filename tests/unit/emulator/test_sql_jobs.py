"""SparkSql, HiveSql and script jobs: SQL really runs, and its end is the job's end."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.unit.emulator import http_client
from tests.unit.emulator.conftest import Opener

from mrs_emulator.sql import sql

LONG = "select count(*) from lineitem a, lineitem b, lineitem c where a.l_comment < b.l_comment"


def csv_folder(root: Path) -> Path:
    """Return a data folder with one small table."""
    folder = root / "data"
    folder.mkdir()
    (folder / "fruit.csv").write_text("id,name\n1,apple\n2,pear\n", encoding="utf-8")
    return folder


async def test_statements_of_a_spark_job_run_in_order_and_each_has_its_result(
    open_client: Opener, tmp_path: Path
) -> None:
    """Results are keyed by statement; one without rows answers succeed, as in the samples."""
    text = (
        "create table if not exists t_demo (id int, name string); show tables;"
        "insert into t_demo values (1, 'a'), (2, 'b'); select * from t_demo order by id;"
    )

    async with open_client(data=csv_folder(tmp_path)) as client:
        job_id = await client.submitted("sparksql-0001", "SparkSql", arguments=[text])
        assert await client.ended(job_id) == ("FINISHED", "SUCCEEDED")
        reply = await client.results(job_id)

    assert (reply.status, reply.json()["sql_results"]) == (
        202,
        {
            "0": [{"result": "succeed"}],
            "1": [
                {"database": "default", "tableName": "fruit", "isTemporary": "false"},
                {"database": "default", "tableName": "t_demo", "isTemporary": "false"},
            ],
            "2": [{"result": "succeed"}],
            "3": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        },
    )


async def test_failing_statement_ends_a_spark_job_finished_and_failed(open_client: Opener) -> None:
    """What ran before the failure stays, what comes after does not run, and there are no results: 0172."""
    text = "create table kept (a int); select * from nope; create table never (a int)"
    async with open_client() as client:
        job_id = await client.submitted("broken", "SparkSql", arguments=[text])
        assert await client.ended(job_id) == ("FINISHED", "FAILED")
        assert http_client.code(await client.results(job_id)) == "0172"
        (effect,) = (await client.effects())["effects"]
        assert effect["error"].startswith("[TABLE_OR_VIEW_NOT_FOUND] The table or view `nope` cannot be found.")
        tables = await client.execute("show tables")
    assert tables.json()["content"] == [["kept"]]


async def test_failing_hive_job_is_failed_and_has_no_results_operation(open_client: Opener) -> None:
    """Hive jobs show FAILED with FAILED, and sql-result is not for them: 0179."""
    async with open_client() as client:
        job_id = await client.submitted("broken", "HiveSql", arguments=["select * frm"])
        assert await client.ended(job_id) == ("FAILED", "FAILED")
        assert http_client.code(await client.results(job_id)) == "0179"


async def test_jobs_share_one_warehouse_and_databases_are_schemas(open_client: Opener) -> None:
    """What a Hive job writes, a Spark job and Presto read; USE lasts as long as its job."""
    async with open_client() as client:
        text = "create database shop; use shop; create table sold (n int) stored as orc; insert into sold values (3)"
        assert await client.ended(await client.submitted("w", "HiveSql", arguments=[text])) == ("FINISHED", "SUCCEEDED")
        job_id = await client.submitted("r", "SparkSql", arguments=["select n from shop.sold"])
        assert await client.ended(job_id) == ("FINISHED", "SUCCEEDED")
        assert (await client.results(job_id)).json()["sql_results"] == {"0": [{"n": 3}]}
        lost = await client.submitted("r", "SparkSql", arguments=["select n from sold"])
        assert await client.ended(lost) == ("FINISHED", "FAILED")
        assert (await client.execute("show tables", database="shop")).json()["content"] == [["sold"]]


async def test_script_job_runs_the_sql_file_in_obs(open_client: Opener, tmp_path: Path) -> None:
    """The last argument is the path of a .sql object; options may come before it."""
    script = tmp_path / "obs" / "demo" / "scripts" / "two.sql"
    script.parent.mkdir(parents=True)
    script.write_text("create table made (a int);\nselect 7 as seven;\n", encoding="utf-8")
    async with open_client() as client:
        for job_type in ("SparkScript", "HiveScript"):
            arguments = ["--hiveconf", "a=b", "obs://demo/scripts/two.sql"]
            job_id = await client.submitted("s", job_type, arguments=arguments)
            expected = ("FINISHED", "SUCCEEDED") if job_type == "SparkScript" else ("FAILED", "FAILED")
            assert await client.ended(job_id) == expected  # the second finds the table made by the first
            if job_type == "SparkScript":
                assert (await client.results(job_id)).json()["sql_results"]["1"] == [{"seven": 7}]


async def test_script_that_is_missing_or_outside_of_obs_fails_the_job(open_client: Opener, tmp_path: Path) -> None:
    """A path never leads out of the folder that plays OBS."""
    (tmp_path / "secret.sql").write_text("select 1 as a", encoding="utf-8")
    paths = ["obs://demo/none.sql", "obs://demo/../../secret.sql", str(tmp_path / "secret.sql"), "hdfs://x/y.sql"]
    async with open_client() as client:
        for path in paths:
            job_id = await client.submitted("s", "SparkScript", arguments=[path])
            assert await client.ended(job_id) == ("FINISHED", "FAILED")


async def test_sql_job_without_a_statement_is_0165(open_client: Opener) -> None:
    """A SQL job needs its text."""
    async with open_client() as client:
        for arguments in ([], ["  "]):
            assert http_client.code(await client.submit("s", "SparkSql", arguments=arguments)) == "0165"


async def test_results_before_the_end_are_0180_then_0183(open_client: Opener) -> None:
    """First the job is being submitted, then it is running."""
    async with open_client(pace={"new_s": 1, "submitted_s": 3600, "speed": 1}) as client:
        job_id = await client.submitted("s", "SparkSql", arguments=["select 1 as a"])
        assert http_client.code(await client.results(job_id)) == "0180"
        client.clock.pass_s(2)
        assert http_client.code(await client.results(job_id)) == "0183"


async def test_empty_result_is_0181(open_client: Opener) -> None:
    """A job whose only answers have no rows has no result."""
    async with open_client() as client:
        job_id = await client.submitted("s", "SparkSql", arguments=["select 1 as a where 1 = 2"])
        assert await client.ended(job_id) == ("FINISHED", "SUCCEEDED")
        assert http_client.code(await client.results(job_id)) == "0181"


async def test_result_larger_than_kept_is_0182_and_never_cut(open_client: Opener) -> None:
    """A shortened answer would be a wrong one."""
    async with open_client(sql={"rows_kept": 3}) as client:
        for rows, expected in ((3, 202), (4, 400)):
            text = f"select explode(sequence(1, {rows})) as n"
            job_id = await client.submitted("s", "SparkSql", arguments=[text])
            assert await client.ended(job_id) == ("FINISHED", "SUCCEEDED")
            reply = await client.results(job_id)
            assert reply.status == expected
        assert http_client.code(reply) == "0182"


async def test_numbers_of_results_are_exact(open_client: Opener) -> None:
    """Decimals keep their digits, dates are text, NULL is null; numbers are strings by quirk."""
    text = (
        "select cast(1234567890123.45 as decimal(15,2)) as d, date '2026-11-23' as day, null as nothing, true as yes,"
        " 1.5e0 as f, cast('nan' as double) as nan, array(1, 2) as list"
    )

    async with open_client() as client:
        job_id = await client.submitted("s", "SparkSql", arguments=[text])
        assert await client.ended(job_id) == ("FINISHED", "SUCCEEDED")
        assert (
            b'"d":1234567890123.45,"day":"2026-11-23","nothing":null,"yes":true,"f":1.5,"nan":"nan","list":[1,2]'
            in (await client.results(job_id)).body
        )

    async with open_client(quirks={"numbers_as_strings": True}) as client:
        job_id = await client.submitted("s", "SparkSql", arguments=["select 1 as id, 'a' as name"])
        await client.ended(job_id)
        assert (await client.results(job_id)).json()["sql_results"] == {"0": [{"id": "1", "name": "a"}]}


async def test_killed_sql_stops_running(open_client: Opener, tpch_files: Path) -> None:
    """A kill interrupts the statement; the job is KILLED, has no results, and its thread is free again."""
    async with open_client(data=tpch_files, sql={"threads": 1}) as client:
        job_id = await client.submitted("long", "SparkSql", arguments=[LONG])
        await client.until(job_id, "RUNNING")
        assert (await client.kill(job_id)).status == 202
        assert await client.ended(job_id) == ("KILLED", "KILLED")
        assert http_client.code(await client.results(job_id)) == "0172"
        after = await client.submitted("next", "SparkSql", arguments=["select 1 as a"])
        assert await client.ended(after) == ("FINISHED", "SUCCEEDED")


async def test_job_killed_before_it_runs_has_no_effect_on_tables(open_client: Opener) -> None:
    """SQL starts when the job is RUNNING, not before."""
    async with open_client(pace={"new_s": 0, "submitted_s": 3600, "kill_s": 0}) as client:
        job_id = await client.submitted("early", "SparkSql", arguments=["create table never (a int)"])
        await client.kill(job_id)
        assert await client.seen(job_id) == ("KILLED", "KILLED")
        await asyncio.sleep(0)
        assert (await client.execute("show tables")).json()["content"] == []


async def test_deleted_job_takes_its_results_along_and_old_ones_are_forgotten(open_client: Opener) -> None:
    """Results of the newest jobs are kept; those of older ones answer 0172."""
    async with open_client(sql={"results_kept": 2}) as client:
        ids = []
        for number in range(3):
            ids.append(await client.submitted("s", "SparkSql", arguments=[f"select {number} as n"]))
            await client.ended(ids[-1])
        assert [(await client.results(job_id)).status for job_id in ids] == [400, 202, 202]
        await client.ask("POST", f"{client.base}/job-executions/batch-delete", {"job_id_list": [ids[2]]})
        assert http_client.code(await client.results(ids[2])) == "0176"


async def test_leaving_ends_sql_under_way(open_client: Opener, tpch_files: Path) -> None:
    """Closing the emulator interrupts whatever runs and waits for no result."""
    async with asyncio.timeout(30):
        async with open_client(data=tpch_files, sql={"threads": 1}) as client:
            running, waiting = [await client.submitted("long", "SparkSql", arguments=[LONG]) for _ in range(2)]
            await client.until(running, "RUNNING")
            await asyncio.sleep(0.05)
    assert await client.seen(waiting) == ("RUNNING", "UNDEFINED")  # no end is shown that did not happen


async def test_file_becomes_a_table_when_it_is_written(open_client: Opener, tmp_path: Path) -> None:
    """INSERT, INSERT OVERWRITE and DROP work on tables that are files; the files stay as they are."""
    folder = csv_folder(tmp_path)
    before = (folder / "fruit.csv").read_bytes()
    text = (
        "insert into fruit values (3, 'fig'); insert overwrite fruit values (2, 'PEAR'), (3, 'fig'); "
        "select * from default.fruit order by id; drop table fruit; show tables"
    )
    async with open_client(data=folder) as client:
        job_id = await client.submitted("w", "SparkSql", arguments=[text])
        assert await client.ended(job_id) == ("FINISHED", "SUCCEEDED")
        results = (await client.results(job_id)).json()["sql_results"]
    assert results["2"] == [{"id": 2, "name": "PEAR"}, {"id": 3, "name": "fig"}]
    assert results["4"] == []
    assert (folder / "fruit.csv").read_bytes() == before


async def test_no_statement_reads_files_outside_of_the_data_folder(open_client: Opener, tmp_path: Path) -> None:
    """DuckDB is locked into the folder, whatever a statement says."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    async with open_client(data=csv_folder(tmp_path)) as client:
        for source in (f"read_csv('{secret}')", f"read_text('{secret}')", f"'{secret}'", "work", "cursor"):
            job_id = await client.submitted("spy", "SparkSql", arguments=[f"select * from {source}"])
            assert await client.ended(job_id) == ("FINISHED", "FAILED")


async def test_sql_without_duckdb_says_what_to_install(open_client: Opener, monkeypatch: object) -> None:
    """Without the extra, SQL is refused with the command that installs it; scripted jobs still work."""
    assert hasattr(monkeypatch, "setattr")
    monkeypatch.setattr(sql, "AVAILABLE", False)
    async with open_client() as client:
        job = await client.submit("s", "SparkSql", arguments=["select 1"])
        assert http_client.code(job) == "0173"
        assert "mrs-relay[emulator]" in job.json()["error_msg"]
        statement = await client.execute("select 1")
        assert (statement.status, http_client.code(statement)) == (400, "MRS.0011")
        await client.submitted("m", "MapReduce")
        assert (await client.effects())["count"] == 1


async def test_linked_files_and_folders_of_files_are_tables(open_client: Opener, tmp_path: Path) -> None:
    """A file may be a link to where the data really is, and several files may be one table."""
    data, elsewhere = tmp_path / "data", tmp_path / "else'where"
    (data / "parts").mkdir(parents=True)
    elsewhere.mkdir()
    for name, text in (("real.csv", "a\n1\n"), ("p1.csv", "a\n2\n"), ("p2.csv", "a\n3\n")):
        (elsewhere / name).write_text(text, encoding="utf-8")
    (data / "linked.csv").symlink_to(elsewhere / "real.csv")
    for name in ("p1.csv", "p2.csv"):
        (data / "parts" / name).symlink_to(elsewhere / name)
    async with open_client(data=data) as client:
        text = "select a from linked; select sum(a) as s from parts"
        job_id = await client.submitted("s", "SparkSql", arguments=[text])
        assert await client.ended(job_id) == ("FINISHED", "SUCCEEDED")
        assert (await client.results(job_id)).json()["sql_results"] == {"0": [{"a": 1}], "1": [{"s": 5}]}
