"""Runs of V1.1's job objects: executed, cancelled, deleted, and seen by V2."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from tests.support import clocks
from tests.unit.emulator import http_client, v11_requests
from tests.unit.emulator.conftest import Opener

from mrs_emulator.core import core


async def prepared(
    client: http_client.Client, *, name: str = "daily", kind: str = "MapReduce", url: str = "/x.jar"
) -> dict[str, str]:
    """Return a job object with one binary, and two data sources."""
    found = {}
    for label, path, body in (
        ("input_id", "data-sources", {"name": "in", "type": "hdfs", "url": "/in"}),
        ("output_id", "data-sources", {"name": "out", "type": "obs", "url": "s3a://bucket/out"}),
        ("binary_id", "job-binaries", {"name": "program", "url": url, "description": ""}),
    ):
        reply = await client.ask("POST", f"{v11_requests.BASE}/{path}", body)
        (members,) = reply.json().values()
        found[label] = members["id"]
    programs = {"mains" if kind in {"Hive", "SparkScript"} else "libs": [found["binary_id"]]}
    reply = await client.ask("POST", f"{v11_requests.BASE}/jobs", {"name": name, "type": kind, **programs})
    assert reply.status == 202, reply.body
    return found | {"job_id": reply.json()["job"]["id"]}


async def executed(client: http_client.Client, found: dict[str, str], **configs: object) -> dict[str, Any]:
    body = {
        "cluster_id": client.cluster,
        "input_id": found["input_id"],
        "output_id": found["output_id"],
        "job_configs": {"configs": {}, "args": ["sessionize", "30"], "params": {}, **configs},
    }
    reply = await client.ask("POST", f"{v11_requests.BASE}/jobs/{found['job_id']}/execute", body)
    assert reply.status == 202, reply.body
    members = reply.json()["job_execution"]
    assert isinstance(members, dict)
    return members


async def test_execution_ends_without_saying_how() -> None:
    """As the examples: end_time is all; with the quirk info.status tells."""
    for shown in (False, True):
        client = http_client.create(v11={"execution_info": shown})
        found = await prepared(client, name="daily-fail")
        run = await executed(client, found)
        assert (run["job_id"], run["end_time"], run["return_code"]) == (found["job_id"], None, None)
        assert run["job_configs"]["args"] == ["sessionize", "30"]
        assert run["info"] == ({"status": "PENDING"} if shown else None)
        client.clock.pass_s(10)
        reply = await client.ask("GET", f"{v11_requests.BASE}/job-executions/{run['id']}")
        last = reply.json()["job_execution"]
        assert (reply.status, last["end_time"]) == (200, "2026-11-23T08:00:04")
        assert last["info"] == ({"status": "FAILED"} if shown else None)
        assert (await v11_requests.exe(client, run["id"]))["job_state"] == 4


async def test_orders_in_configs_shape_the_life() -> None:
    """Both configs and params act as V2's properties do."""
    client = http_client.create()
    run = await executed(client, await prepared(client), configs={"emulator.duration_s": "60"})
    client.clock.pass_s(30)
    assert (await v11_requests.exe(client, run["id"]))["job_state"] == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cluster_id": None}, "12000002"),
        ({"cluster_id": "nothing"}, "12000003"),
        ({"input_id": "nothing"}, "12000002"),
        ({"output_id": None}, "12000002"),
        ({"job_configs": None}, "12000002"),
        ({"job_configs": {"args": "x"}}, "12000002"),
        ({"job_configs": {"configs": {"a": 1}}}, "12000002"),
    ],
)
async def test_execution_is_checked(changes: dict[str, object], code: str) -> None:
    """Cluster, data sources and configs are mandatory."""
    client = http_client.create()
    found = await prepared(client)
    body = {key: found[key] for key in ("input_id", "output_id")} | {"cluster_id": client.cluster, "job_configs": {}}
    reply = await client.ask("POST", f"{v11_requests.BASE}/jobs/{found['job_id']}/execute", body | changes)
    assert (reply.status, http_client.code(reply)) == (400, code)


async def test_unknown_job_object_cannot_be_executed() -> None:
    """404 as for any other row."""
    assert (await http_client.create().ask("POST", f"{v11_requests.BASE}/jobs/nothing/execute", {})).status == 404


async def test_what_a_run_refers_to_is_in_use() -> None:
    """Neither data source nor job object can be deleted until the run is."""
    client = http_client.create()
    found = await prepared(client)
    run = await executed(client, found)
    held = (f"data-sources/{found['input_id']}", f"jobs/{found['job_id']}")
    for path in held:
        assert http_client.code(await client.ask("DELETE", f"{v11_requests.BASE}/{path}")) == "12000054"
    waiting = await client.ask("PUT", f"{v11_requests.BASE}/job-binaries/{found['binary_id']}", {"description": "x"})

    assert http_client.code(waiting) == "12000054"
    assert (
        http_client.code(
            await client.ask("PUT", f"{v11_requests.BASE}/data-sources/{found['input_id']}", {"type": "hdfs"})
        )
        == "12000054"
    )

    client.clock.pass_s(10)
    assert (
        await client.ask("PUT", f"{v11_requests.BASE}/job-binaries/{found['binary_id']}", {"description": "x"})
    ).status == 202
    assert (await client.ask("DELETE", f"{v11_requests.BASE}/job-executions/{run['id']}")).status == 204

    for path in held:
        assert (await client.ask("DELETE", f"{v11_requests.BASE}/{path}")).status == 204


async def test_cancel_kills_soon_and_changes_nothing_later() -> None:
    """The reply is not the last state; a run that has ended stays as it is."""
    client = http_client.create()
    run = await v11_requests.submitted(client)
    client.clock.pass_s(2)
    reply = await client.ask("GET", f"{v11_requests.BASE}/job-executions/{run['id']}/cancel")
    assert (reply.status, reply.json()["job_execution"]["end_time"]) == (200, None)
    assert reply.json()["job_execution"]["updated_at"] == "2026-11-23T08:00:02"
    client.clock.pass_s(1)
    seen = await v11_requests.exe(client, run["id"])
    assert (seen["job_state"], seen["job_final_status"]) == (-1, 3)
    done = await v11_requests.submitted(client)
    client.clock.pass_s(10)
    assert (await client.ask("GET", f"{v11_requests.BASE}/job-executions/{done['id']}/cancel")).status == 200
    assert (await v11_requests.exe(client, done["id"]))["job_state"] == 3


async def test_deleted_run_is_400_by_job_exes_and_404_by_job_executions() -> None:
    """As acceptance tests of other clients saw the former; its slot is free again."""
    client = http_client.create(clusters=[{"slots": 1}])
    run = await v11_requests.submitted(client, job_name="stuck")
    assert (await client.ask("DELETE", f"{v11_requests.BASE}/job-executions/{run['id']}")).status == 204
    gone = await client.ask("GET", f"{v11_requests.BASE}/job-exes/{run['id']}")
    assert (gone.status, http_client.code(gone)) == (400, "0176")
    for verb, path in (("GET", ""), ("GET", "/cancel"), ("DELETE", "")):
        assert (await client.ask(verb, f"{v11_requests.BASE}/job-executions/{run['id']}{path}")).status == 404
    await v11_requests.submitted(client)


async def test_executions_list_knows_both_kinds_of_runs() -> None:
    """Paged by marker; a submitted job has no job object."""
    client = http_client.create()
    found = await prepared(client)
    await executed(client, found)
    client.clock.pass_s(1)
    await v11_requests.submitted(client)
    page = (await client.ask("GET", f"{v11_requests.BASE}/job-executions?limit=1&sort_by=created_at")).json()
    assert [one["job_id"] for one in page["job_executions"]] == [found["job_id"]]
    after = (
        await client.ask(
            "GET", f"{v11_requests.BASE}/job-executions?sort_by=created_at&marker={page['markers']['next']}"
        )
    ).json()
    assert [(one["job_id"], one["input_id"]) for one in after["job_executions"]] == [("", None)]
    assert (await client.ask("GET", f"{v11_requests.BASE}/job-executions?marker=nothing")).status == 404


async def test_v2_sees_the_run_and_its_removal_there_removes_it_here() -> None:
    """One cluster has one set of jobs."""
    client = http_client.create()
    run = await v11_requests.submitted(client)
    client.clock.pass_s(10)
    assert await client.seen(run["id"]) == ("FINISHED", "SUCCEEDED")
    assert (await client.effects(kind="job"))["count"] == 1
    await client.ask("POST", f"{client.base}/job-executions/batch-delete", {"job_id_list": [run["id"]]})
    assert await v11_requests.listed(client) == (0, [])


@pytest.mark.parametrize(("code", "path"), [(3, "s3a://bucket/report.sql"), (6, "/user/etl/report.sql")])
async def test_script_job_really_runs(open_client: Opener, tmp_path: Path, code: int, path: str) -> None:
    """From OBS, or from HDFS, which is the bucket hdfs; a failing statement is state 4."""
    for bucket in ("bucket", "hdfs/user/etl"):
        folder = tmp_path / "obs" / bucket
        folder.mkdir(parents=True)
        (folder / "report.sql").write_text("CREATE TABLE made AS SELECT 7 AS n; SELECT n FROM made")
        (folder / "broken.sql").write_text("SELECT nothing FROM nowhere")

    async with open_client() as client:
        run = await v11_requests.submitted(client, job_type=code, hive_script_path=path, jar_path="")
        await client.ended(run["id"])
        assert (await v11_requests.exe(client, run["id"]))["job_state"] == 3
        assert (await client.execute("SHOW TABLES")).json()["content"] == [["made"]]
        broken = await v11_requests.submitted(
            client, job_type=code, hive_script_path=path.replace("report", "broken"), jar_path=""
        )
        await client.ended(broken["id"])
        assert (await v11_requests.exe(client, broken["id"]))["job_state"] == 4


async def test_sql_types_run_where_the_settings_allow_them(open_client: Opener) -> None:
    """Their text is encoded; a Spark SQL job cannot be cancelled."""
    sent = "x" + base64.b64encode(b"CREATE TABLE made AS SELECT 7 AS n").decode().translate(str.maketrans("JL", "LJ"))
    async with open_client(v11={"sql_types": True}) as client:
        run = await v11_requests.submitted(client, job_type=7, hql=sent, jar_path="")
        await client.ended(run["id"])
        assert (await v11_requests.exe(client, run["id"]))["job_state"] == 3
        assert (
            http_client.code(await client.ask("GET", f"{v11_requests.BASE}/job-executions/{run['id']}/cancel"))
            == "12000054"
        )
        bad = await client.ask(
            "POST",
            f"{v11_requests.BASE}/jobs/submit-job",
            v11_requests.JOB | {"job_type": 7, "hql": "", "jar_path": ""},
        )
        assert http_client.code(bad) == "12000002"


async def test_hive_job_object_runs_its_script(open_client: Opener, tmp_path: Path) -> None:
    """The first of the mains is the text."""
    folder = tmp_path / "obs" / "bucket"
    folder.mkdir(parents=True)
    (folder / "a.sql").write_text("CREATE TABLE made AS SELECT 7 AS n")
    async with open_client() as client:
        run = await executed(client, await prepared(client, kind="Hive", url="s3a://bucket/a.sql"))
        assert await client.ended(run["id"]) == ("FINISHED", "SUCCEEDED")
        assert (await client.execute("SHOW TABLES")).json()["content"] == [["made"]]


async def test_rows_and_runs_survive_a_restart(tmp_path: Path) -> None:
    """With a state file everything is found again, and a job continues where the time has brought it."""
    chosen = http_client.options(state_file=tmp_path / "state.db")
    clock = clocks.HandClock()
    async with core.Emulator(chosen, clock) as emulator:
        found = await prepared(http_client.Client(emulator, clock))
        run = await executed(http_client.Client(emulator, clock), found)

    clock.pass_s(10)
    async with core.Emulator(chosen, clock) as emulator:
        client = http_client.Client(emulator, clock)
        assert (await v11_requests.exe(client, run["id"]))["job_state"] == 3
        shown = (await client.ask("GET", f"{v11_requests.BASE}/job-executions/{run['id']}")).json()["job_execution"]
        assert shown["job_configs"] == run["job_configs"]
        shown = (await client.ask("GET", f"{v11_requests.BASE}/jobs/{found['job_id']}")).json()["job"]
        assert [one["id"] for one in shown["libs"]] == [found["binary_id"]]
        assert (
            http_client.code(await client.ask("DELETE", f"{v11_requests.BASE}/data-sources/{found['input_id']}"))
            == "12000054"
        )


async def test_times_are_texts_by_switch() -> None:
    """The examples of 2021 print them so; codes and counts stay numbers."""
    client = http_client.create(v11={"times_as_text": True})
    made = await v11_requests.submitted(client)
    assert (made["created_at"], made["job_type"]) == (str(http_client.START_MS // 1000), 1)
    assert made["end_time"] is None
    listed = (await client.ask("GET", f"{v11_requests.BASE}/job-exes?cluster_id={client.cluster}")).json()
    (run,) = listed["job_executions"]
    assert (run["create_at"], run["postpone_at"]) == (str(http_client.START_MS),) * 2
    assert listed["totalRecord"] == 1
