"""Running V1.1 jobs: submit-job, executing job objects, their states over time, cancel and delete."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from tests.support import clocks
from tests.unit.emulator import http_client
from tests.unit.emulator.conftest import Opener

from mrs_emulator.core import core

BASE = f"/v1.1/{http_client.PROJECT}"
JOB = {
    "job_type": 1,
    "job_name": "sessionize",
    "cluster_id": http_client.CLUSTER,
    "jar_path": "s3a://bucket/programs/s.jar",
    "arguments": "sessionize username=alice @password=secret",
    "input": "s3a://bucket/in/",
    "output": "s3a://bucket/out/",
    "file_action": "",
    "hql": "",
}


async def submitted(client: http_client.Client, **changes: object) -> dict[str, Any]:
    """Submit a job, expect success, give the reply's members."""
    reply = await client.ask("POST", f"{BASE}/jobs/submit-job", JOB | changes)
    assert reply.status == 200, reply.body
    members = reply.json()["job_execution"]
    assert isinstance(members, dict)
    return members


async def exe(client: http_client.Client, run_id: str) -> dict[str, Any]:
    reply = await client.ask("GET", f"{BASE}/job-exes/{run_id}")
    assert reply.status == 200, reply.body
    members = reply.json()["job_execution"]
    assert isinstance(members, dict)
    return members


async def listed(client: http_client.Client, query: str = "") -> tuple[Any, list[str]]:
    reply = await client.ask("GET", f"{BASE}/job-exes?cluster_id={client.cluster}{query}")
    assert reply.status == 200, reply.body
    found = reply.json()
    return found["totalRecord"], [one["job_name"] for one in found["job_executions"]]


async def prepared(
    client: http_client.Client, *, name: str = "daily", kind: str = "MapReduce", url: str = "/x.jar"
) -> dict[str, str]:
    """A job object with one binary, and two data sources."""
    found = {}
    for label, path, body in (
        ("input_id", "data-sources", {"name": "in", "type": "hdfs", "url": "/in"}),
        ("output_id", "data-sources", {"name": "out", "type": "obs", "url": "s3a://bucket/out"}),
        ("binary_id", "job-binaries", {"name": "program", "url": url, "description": ""}),
    ):
        reply = await client.ask("POST", f"{BASE}/{path}", body)
        (members,) = reply.json().values()
        found[label] = members["id"]
    programs = {"mains" if kind in {"Hive", "SparkScript"} else "libs": [found["binary_id"]]}
    reply = await client.ask("POST", f"{BASE}/jobs", {"name": name, "type": kind, **programs})
    assert reply.status == 202, reply.body
    return found | {"job_id": reply.json()["job"]["id"]}


async def executed(client: http_client.Client, found: dict[str, str], **configs: object) -> dict[str, Any]:
    body = {
        "cluster_id": client.cluster,
        "input_id": found["input_id"],
        "output_id": found["output_id"],
        "job_configs": {"configs": {}, "args": ["sessionize", "30"], "params": {}, **configs},
    }
    reply = await client.ask("POST", f"{BASE}/jobs/{found['job_id']}/execute", body)
    assert reply.status == 202, reply.body
    members = reply.json()["job_execution"]
    assert isinstance(members, dict)
    return members


async def test_fresh_job_is_missing_from_the_list_for_a_while_and_a_single_read_finds_it() -> None:
    """The quirk `late_listing_s` holds for this list, too."""
    client = http_client.create(quirks={"late_listing_s": 60})
    run = await submitted(client)
    client.clock.pass_s(59)
    assert await listed(client) == (0, [])
    assert (await exe(client, run["id"]))["job_name"] == "sessionize"
    client.clock.pass_s(2)
    assert await listed(client) == (1, ["sessionize"])


async def test_submitted_job_goes_through_its_states() -> None:
    """1 starting, 2 running, 3 completed; the list knows no 1; times in seconds, then in milliseconds."""
    client = http_client.create()
    run = await submitted(client)
    assert (run["job_state"], run["job_final_status"], run["created_at"]) == (1, 0, http_client.START_MS // 1000)
    assert run["group_id"] == run["id"]
    first = await exe(client, run["id"])
    assert (first["job_state"], first["create_at"], first["end_time"]) == (1, http_client.START_MS, None)
    assert (await listed(client, "&state=2"))[0] == 1
    client.clock.pass_s(2)
    assert (await exe(client, run["id"]))["job_state"] == 2
    client.clock.pass_s(10)
    last = await exe(client, run["id"])
    assert (last["job_state"], last["job_final_status"], last["spend_time"]) == (3, 2, 4)
    assert last["end_time"] == http_client.START_MS + 4000
    assert await listed(client, "&state=3") == (1, ["sessionize"])


async def test_secrets_among_arguments_are_shown_as_asterisks() -> None:
    """By V1.1 and by V2, which shows the same job."""
    client = http_client.create()
    run = await submitted(client)
    assert run["arguments"] == "sessionize username=alice @password=******"
    assert "secret" not in (await client.job(run["id"]))["arguments"]


@pytest.mark.parametrize(("name", "state", "final"), [("job-fail", 4, 1), ("job-kill", -1, 3)])
async def test_job_that_fails_or_is_killed(name: str, state: int, final: int) -> None:
    """4 abnormal and 1 failed, -1 terminated and 3 cancelled; the same rules by name as in V2."""
    client = http_client.create()
    run = await submitted(client, job_name=name)
    client.clock.pass_s(10)
    seen = await exe(client, run["id"])
    assert (seen["job_state"], seen["job_final_status"]) == (state, final)
    assert (await listed(client, f"&state={state}"))[0] == 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"job_type": 8}, 400, "12000002"),
        ({"job_type": "1"}, 400, "12000002"),
        ({"job_type": True}, 400, "12000002"),
        ({"job_type": 4}, 400, "12000054"),
        ({"job_type": 7}, 400, "12000054"),
        ({"job_name": "a b"}, 400, "12000002"),
        ({"job_name": "x" * 65}, 400, "12000002"),
        ({"cluster_id": None}, 400, "12000002"),
        ({"cluster_id": "nothing"}, 400, "12000003"),
        ({"jar_path": "  "}, 400, "12000081"),
        ({"jar_path": "/x.py"}, 400, "12000002"),
        ({"jar_path": "x.jar"}, 400, "12000002"),
        ({"jar_path": "/a$b.jar"}, 400, "12000002"),
        ({"jar_path": f"/{'x' * 1023}.jar"}, 400, "12000002"),
        ({"arguments": "a;b"}, 400, "12000002"),
        ({"arguments": ["a"]}, 400, "12000002"),
        ({"arguments": "x" * 150_001}, 400, "12000002"),
        ({"input": "c:/x"}, 400, "12000002"),
        ({"file_action": "move"}, 400, "12000002"),
        ({"hql": "x"}, 200, ""),
        ({"job_type": 5}, 400, "12000002"),
        ({"job_type": 5, "file_action": "import"}, 400, "12000002"),
        ({"job_type": 5, "file_action": "import", "output": "/user/x"}, 200, ""),
        ({"job_type": 5, "file_action": "export", "input": "/user/x"}, 200, ""),
        ({"job_type": 3}, 400, "12000114"),
        ({"job_type": 6, "hive_script_path": "/x.txt"}, 400, "12000002"),
        ({"arguments": "emulator.submit=failed"}, 400, "12000061"),
    ],
)
async def test_submission_is_checked(changes: dict[str, object], status: int, code: str) -> None:
    """Fields, limits and characters; codes by what is missing."""
    reply = await http_client.create().ask("POST", f"{BASE}/jobs/submit-job", JOB | changes)
    assert reply.status == status, reply.body
    assert code in {"", http_client.code(reply)}


@pytest.mark.parametrize(
    ("cluster", "changes", "status", "code"),
    [
        ({"state": "abnormal"}, {}, 400, "12000062"),
        ({"kerberos": True}, {}, 400, "12000064"),
        ({"components": ["Hadoop"]}, {"job_type": 2}, 400, "12000063"),
        ({"components": ["Hadoop"]}, {"job_type": 3, "hive_script_path": "/x.sql"}, 400, "0168"),
        ({"slots": 1}, {}, 500, "12000060"),
    ],
)
async def test_cluster_that_cannot_take_the_job(
    cluster: dict[str, object], changes: dict[str, object], status: int, code: str
) -> None:
    """State, security, components, running jobs."""
    client = http_client.create(clusters=[cluster])
    if "slots" in cluster:
        await submitted(client)
    reply = await client.ask("POST", f"{BASE}/jobs/submit-job", JOB | changes)
    assert (reply.status, http_client.code(reply)) == (status, code)


async def test_version_rule_applies_where_it_is_chosen() -> None:
    """12000085 on MRS 3.x, nothing on 1.9."""
    for version, status in (("MRS 3.1.0", 400), ("MRS 1.9.2", 200)):
        client = http_client.create(v11={"needs_old_version": True}, clusters=[{"version": version}])
        reply = await client.ask("POST", f"{BASE}/jobs/submit-job", JOB)
        assert reply.status == status
        assert status == 200 or http_client.code(reply) == "12000085"


async def test_security_cluster_cannot_be_asked_either() -> None:
    """12000064 covers queries."""
    client = http_client.create(clusters=[{"kerberos": True}])
    assert http_client.code(await client.ask("GET", f"{BASE}/job-exes?cluster_id={client.cluster}")) == "12000064"


async def test_disputed_shapes_can_be_chosen() -> None:
    """A flat reply, numbers as texts, no state 1, the other code for the jar."""
    client = http_client.create(
        v11={"flat_submit_reply": True, "starting_shown": False, "jar_path_code": "12000113"},
        quirks={"numbers_as_strings": True},
    )
    reply = (await client.ask("POST", f"{BASE}/jobs/submit-job", JOB)).json()
    assert (reply["job_name"], reply["templated"], reply["job_state"]) == ("sessionize", "false", "2")
    assert (await listed(client))[0] == "1"
    empty = await client.ask("POST", f"{BASE}/jobs/submit-job", JOB | {"jar_path": ""})
    assert http_client.code(empty) == "12000113"


async def test_list_has_pages_and_filters() -> None:
    """Newest first, 1 to 100 a page, filters combined; both spellings of the cluster's parameter."""
    client = http_client.create()
    ids = [(await submitted(client, job_name=name))["id"] for name in ("a", "b", "c")]
    assert await listed(client, "&page_size=2") == (3, ["c", "b"])
    assert await listed(client, "&page_size=2&current_page=2") == (3, ["a"])
    assert await listed(client, "&current_page=9") == (3, [])
    assert await listed(client, f"&id={ids[1]}") == (1, ["b"])
    assert await listed(client, "&job_name=c&state=2") == (1, ["c"])
    assert await listed(client, "&job_name=c&state=3") == (0, [])
    assert (await client.ask("GET", f"{BASE}/job-exes?clusterId={client.cluster}")).json()["totalRecord"] == 3


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "12000002"),
        ("cluster_id=nothing", "12000003"),
        (f"cluster_id={http_client.CLUSTER}&page_size=101", "12000002"),
        (f"cluster_id={http_client.CLUSTER}&state=1", "12000002"),
        (f"cluster_id={http_client.CLUSTER}&current_page=0", "12000002"),
    ],
)
async def test_wrong_list_query_is_refused(query: str, code: str) -> None:
    """The cluster must be named; sizes and states have bounds."""
    reply = await http_client.create().ask("GET", f"{BASE}/job-exes?{query}")
    assert (reply.status, http_client.code(reply)) == (400, code)


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
        reply = await client.ask("GET", f"{BASE}/job-executions/{run['id']}")
        last = reply.json()["job_execution"]
        assert (reply.status, last["end_time"]) == (200, "2026-11-23T08:00:04")
        assert last["info"] == ({"status": "FAILED"} if shown else None)
        assert (await exe(client, run["id"]))["job_state"] == 4


async def test_orders_in_configs_shape_the_life() -> None:
    """Both configs and params act as V2's properties do."""
    client = http_client.create()
    run = await executed(client, await prepared(client), configs={"emulator.duration_s": "60"})
    client.clock.pass_s(30)
    assert (await exe(client, run["id"]))["job_state"] == 2


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
    reply = await client.ask("POST", f"{BASE}/jobs/{found['job_id']}/execute", body | changes)
    assert (reply.status, http_client.code(reply)) == (400, code)


async def test_unknown_job_object_cannot_be_executed() -> None:
    """404 as for any other row."""
    assert (await http_client.create().ask("POST", f"{BASE}/jobs/nothing/execute", {})).status == 404


async def test_what_a_run_refers_to_is_in_use() -> None:
    """Neither data source nor job object can be deleted until the run is."""
    client = http_client.create()
    found = await prepared(client)
    run = await executed(client, found)
    held = (f"data-sources/{found['input_id']}", f"jobs/{found['job_id']}")
    for path in held:
        assert http_client.code(await client.ask("DELETE", f"{BASE}/{path}")) == "12000054"
    waiting = await client.ask("PUT", f"{BASE}/job-binaries/{found['binary_id']}", {"description": "x"})
    assert http_client.code(waiting) == "12000054"
    assert (
        http_client.code(await client.ask("PUT", f"{BASE}/data-sources/{found['input_id']}", {"type": "hdfs"}))
        == "12000054"
    )
    client.clock.pass_s(10)
    assert (await client.ask("PUT", f"{BASE}/job-binaries/{found['binary_id']}", {"description": "x"})).status == 202
    assert (await client.ask("DELETE", f"{BASE}/job-executions/{run['id']}")).status == 204
    for path in held:
        assert (await client.ask("DELETE", f"{BASE}/{path}")).status == 204


async def test_cancel_kills_soon_and_changes_nothing_later() -> None:
    """The reply is not the last state; a run that has ended stays as it is."""
    client = http_client.create()
    run = await submitted(client)
    client.clock.pass_s(2)
    reply = await client.ask("GET", f"{BASE}/job-executions/{run['id']}/cancel")
    assert (reply.status, reply.json()["job_execution"]["end_time"]) == (200, None)
    assert reply.json()["job_execution"]["updated_at"] == "2026-11-23T08:00:02"
    client.clock.pass_s(1)
    seen = await exe(client, run["id"])
    assert (seen["job_state"], seen["job_final_status"]) == (-1, 3)
    done = await submitted(client)
    client.clock.pass_s(10)
    assert (await client.ask("GET", f"{BASE}/job-executions/{done['id']}/cancel")).status == 200
    assert (await exe(client, done["id"]))["job_state"] == 3


async def test_deleted_run_is_400_by_job_exes_and_404_by_job_executions() -> None:
    """As acceptance tests of other clients saw the former; its slot is free again."""
    client = http_client.create(clusters=[{"slots": 1}])
    run = await submitted(client, job_name="stuck")
    assert (await client.ask("DELETE", f"{BASE}/job-executions/{run['id']}")).status == 204
    gone = await client.ask("GET", f"{BASE}/job-exes/{run['id']}")
    assert (gone.status, http_client.code(gone)) == (400, "0176")
    for verb, path in (("GET", ""), ("GET", "/cancel"), ("DELETE", "")):
        assert (await client.ask(verb, f"{BASE}/job-executions/{run['id']}{path}")).status == 404
    await submitted(client)


async def test_executions_list_knows_both_kinds_of_runs() -> None:
    """Paged by marker; a submitted job has no job object."""
    client = http_client.create()
    found = await prepared(client)
    await executed(client, found)
    client.clock.pass_s(1)
    await submitted(client)
    page = (await client.ask("GET", f"{BASE}/job-executions?limit=1&sort_by=created_at")).json()
    assert [one["job_id"] for one in page["job_executions"]] == [found["job_id"]]
    after = (
        await client.ask("GET", f"{BASE}/job-executions?sort_by=created_at&marker={page['markers']['next']}")
    ).json()
    assert [(one["job_id"], one["input_id"]) for one in after["job_executions"]] == [("", None)]
    assert (await client.ask("GET", f"{BASE}/job-executions?marker=nothing")).status == 404


async def test_v2_sees_the_run_and_its_removal_there_removes_it_here() -> None:
    """One cluster has one set of jobs."""
    client = http_client.create()
    run = await submitted(client)
    client.clock.pass_s(10)
    assert await client.seen(run["id"]) == ("FINISHED", "SUCCEEDED")
    assert (await client.effects(kind="job"))["count"] == 1
    await client.ask("POST", f"{client.base}/job-executions/batch-delete", {"job_id_list": [run["id"]]})
    assert await listed(client) == (0, [])


@pytest.mark.parametrize(("code", "path"), [(3, "s3a://bucket/report.sql"), (6, "/user/etl/report.sql")])
async def test_script_job_really_runs(open_desk: Opener, tmp_path: Path, code: int, path: str) -> None:
    """From OBS, or from HDFS, which is the bucket hdfs; a failing statement is state 4."""
    for bucket in ("bucket", "hdfs/user/etl"):
        folder = tmp_path / "obs" / bucket
        folder.mkdir(parents=True)
        (folder / "report.sql").write_text("CREATE TABLE made AS SELECT 7 AS n; SELECT n FROM made")
        (folder / "broken.sql").write_text("SELECT nothing FROM nowhere")
    async with open_desk() as client:
        run = await submitted(client, job_type=code, hive_script_path=path, jar_path="")
        await client.ended(run["id"])
        assert (await exe(client, run["id"]))["job_state"] == 3
        assert (await client.execute("SHOW TABLES")).json()["content"] == [["made"]]
        broken = await submitted(client, job_type=code, hive_script_path=path.replace("report", "broken"), jar_path="")
        await client.ended(broken["id"])
        assert (await exe(client, broken["id"]))["job_state"] == 4


async def test_sql_types_run_where_the_settings_allow_them(open_desk: Opener) -> None:
    """Their text is encoded; a Spark SQL job cannot be cancelled."""
    sent = "x" + base64.b64encode(b"CREATE TABLE made AS SELECT 7 AS n").decode().translate(str.maketrans("JL", "LJ"))
    async with open_desk(v11={"sql_types": True}) as client:
        run = await submitted(client, job_type=7, hql=sent, jar_path="")
        await client.ended(run["id"])
        assert (await exe(client, run["id"]))["job_state"] == 3
        assert http_client.code(await client.ask("GET", f"{BASE}/job-executions/{run['id']}/cancel")) == "12000054"
        bad = await client.ask("POST", f"{BASE}/jobs/submit-job", JOB | {"job_type": 7, "hql": "", "jar_path": ""})
        assert http_client.code(bad) == "12000002"


async def test_hive_job_object_runs_its_script(open_desk: Opener, tmp_path: Path) -> None:
    """The first of the mains is the text."""
    folder = tmp_path / "obs" / "bucket"
    folder.mkdir(parents=True)
    (folder / "a.sql").write_text("CREATE TABLE made AS SELECT 7 AS n")
    async with open_desk() as client:
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
        assert (await exe(client, run["id"]))["job_state"] == 3
        shown = (await client.ask("GET", f"{BASE}/job-executions/{run['id']}")).json()["job_execution"]
        assert shown["job_configs"] == run["job_configs"]
        shown = (await client.ask("GET", f"{BASE}/jobs/{found['job_id']}")).json()["job"]
        assert [one["id"] for one in shown["libs"]] == [found["binary_id"]]
        assert http_client.code(await client.ask("DELETE", f"{BASE}/data-sources/{found['input_id']}")) == "12000054"
