"""Jobs that come with a cluster: they start when it runs, and it may go when they end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support import clocks
from tests.unit.emulator import cluster_requests, http_client

from mrs_emulator.core import core
from mrs_relay.common import clock

JOB = {"job_type": 1, "job_name": "wc", "jar_path": "s3a://b/wc.jar", "submit_job_once_cluster_run": True}


async def flow(client: http_client.Client, *steps: dict[str, Any], gone_after: bool = True) -> http_client.Client:
    """Return a desk at a cluster ordered with steps."""
    body = cluster_requests.v2(steps=list(steps), delete_when_no_steps=gone_after)
    return await cluster_requests.created(client, body, cluster_requests.V2_FLOW)


async def test_steps_start_when_the_cluster_runs() -> None:
    """Before that they are not even listed; they bear the time at which the cluster became running."""
    client = await flow(
        http_client.create(), cluster_requests.step("one"), cluster_requests.step("two"), gone_after=False
    )
    assert await client.listed() == (0, [])
    client.clock.pass_s(6)
    assert await client.listed(sort_by="asc") == (2, ["one", "two"])
    reply = await client.ask("GET", f"{client.base}/job-executions?job_name=one")
    assert reply.json()["job_list"][0]["submitted_time"] == http_client.START_MS + 5000
    client.clock.pass_s(60)
    assert (await client.listed(job_result="SUCCEEDED"))[0] == 2
    assert await cluster_requests.state(client) == "running"


async def test_cluster_goes_when_its_last_step_has_ended() -> None:
    """5 s of creation, 1 s until the jobs run, 30 s for the longer one; no request is needed in between."""
    steps = (
        cluster_requests.step("short", "SparkSubmit", "emulator.duration_s=2"),
        cluster_requests.step("long", "MapReduce", "emulator.duration_s=30"),
    )
    client = await flow(http_client.create(), *steps)
    client.clock.pass_s(35.9)
    assert await cluster_requests.state(client) == "running"
    client.clock.pass_s(0.2)
    assert await cluster_requests.state(client) == "terminating"
    client.clock.pass_s(1000)
    found = await cluster_requests.details(client)
    assert (found["clusterState"], found["updateAt"]) == ("terminated", str(http_client.START_MS // 1000 + 38))
    assert (await client.listed(job_result="SUCCEEDED"))[0] == 2


async def test_flow_without_steps_goes_as_soon_as_it_runs() -> None:
    """There is nothing to wait for."""
    client = await flow(http_client.create())
    client.clock.pass_s(5)
    assert await cluster_requests.state(client) == "terminating"


@pytest.mark.parametrize(("goes", "state"), [(True, "terminated"), (False, "running")])
async def test_failed_step_may_keep_the_cluster(goes: bool, state: str) -> None:
    """Not documented, so it is a setting; by default the cluster goes all the same."""
    client = await flow(
        http_client.create(cluster_rules={"delete_after_failed_job": goes}), cluster_requests.step("will-fail")
    )
    client.clock.pass_s(60)
    assert await cluster_requests.state(client) == state
    assert (await client.listed(job_result="FAILED"))[0] == 1


async def test_resize_under_way_is_waited_for() -> None:
    """A cluster cannot be deleted while it is being scaled."""
    client = await flow(http_client.create(pace={"resize_s": 60}), cluster_requests.step("one"))
    client.clock.pass_s(5)
    await cluster_requests.resize(client)
    client.clock.pass_s(59)
    assert await cluster_requests.state(client) == "scaling-out"
    client.clock.pass_s(1)
    assert await cluster_requests.state(client) == "terminating"


async def test_stuck_step_keeps_the_cluster_until_it_is_killed() -> None:
    """The cluster goes after the kill."""
    client = await flow(http_client.create(), cluster_requests.step("stuck"))
    client.clock.pass_s(9999)
    assert await cluster_requests.state(client) == "running"
    reply = await client.ask("GET", f"{client.base}/job-executions")
    await client.kill(reply.json()["job_list"][0]["job_id"])
    client.clock.pass_s(1)
    assert await cluster_requests.state(client) == "terminating"


async def test_steps_of_a_cluster_that_fails_never_start() -> None:
    """No cluster, no jobs."""
    body = cluster_requests.v2("fail", steps=[cluster_requests.step("one")])
    client = await cluster_requests.created(http_client.create(), body, cluster_requests.V2_FLOW)
    client.clock.pass_s(60)
    assert (await cluster_requests.state(client), await client.listed()) == ("failed", (0, []))
    assert (await client.effects(kind="job"))["count"] == 0


async def test_step_whose_submission_fails_is_skipped() -> None:
    """It makes no job, and delays no other step."""
    client = await flow(
        http_client.create(),
        cluster_requests.step("bad", "SparkSubmit", "emulator.submit=failed"),
        cluster_requests.step("good"),
    )
    client.clock.pass_s(6)
    assert (await client.listed())[1] == ["good"]


@pytest.mark.parametrize(("shutdown", "state"), [(True, "terminated"), (False, "running")])
async def test_job_of_v11_is_in_the_job_list_of_v2(shutdown: bool, state: str) -> None:
    """Where the embedded job is to be seen is not documented; shutdown_cluster deletes the cluster after it."""
    client = await cluster_requests.created(
        http_client.create(), cluster_requests.v11(add_jobs=[{**JOB, "shutdown_cluster": shutdown}])
    )
    client.clock.pass_s(60)
    reply = await client.ask("GET", f"{client.base}/job-executions")
    assert [(one["job_name"], one["job_type"]) for one in reply.json()["job_list"]] == [("wc", "MapReduce")]
    assert await cluster_requests.state(client) == state


async def test_job_may_come_with_the_v2_order_too() -> None:
    """Old clusters only, by the documents."""
    client = await cluster_requests.created(
        http_client.create(), cluster_requests.v2(add_jobs=[JOB]), cluster_requests.V2_CLUSTERS
    )
    client.clock.pass_s(6)
    assert (await client.listed())[1] == ["wc"]


async def test_deleting_the_cluster_by_hand_ends_its_flow() -> None:
    """The jobs are killed, and nothing is deleted twice."""
    client = await flow(http_client.create(), cluster_requests.step("stuck"))
    client.clock.pass_s(6)
    assert (await cluster_requests.delete(client)).status == 204
    client.clock.pass_s(1000)
    assert (await client.listed(job_state="KILLED"))[0] == 1
    assert await cluster_requests.state(client) == "terminated"


async def test_sql_step_runs_without_requests(tmp_path: Path) -> None:
    """In real time: the table is there, and the cluster gone, before the first look at either."""
    pace = {"create_s": 0.1, "new_s": 0, "submitted_s": 0, "accepted_s": 0, "delete_s": 0}
    async with core.Emulator(http_client.options(pace=pace, obs_dir=tmp_path), clock.SystemClock()) as emulator:
        client = http_client.Client(emulator, clocks.HandClock())
        made = await flow(client, cluster_requests.step("ddl", "SparkSql", "create table t as select 42 as n"))
        async with asyncio.timeout(60):
            while True:
                found = await http_client.Client(emulator, client.clock).execute("select n from t")
                ended = await client.statement_ended(found.json()["id"])
                if ended["status"] == "FINISHED":
                    break
                await asyncio.sleep(0.01)
            while await cluster_requests.state(made) != "terminated":
                await asyncio.sleep(0.01)


async def test_a_year_of_nightly_clusters_needs_no_timers() -> None:
    """A cluster a day that comes, works and goes: names are free again every evening, old clusters are forgotten."""
    client = http_client.create(pace={"create_s": 600, "run_s": 3600})
    tasks = len(asyncio.all_tasks())
    for _ in range(365):
        await flow(client, cluster_requests.step("nightly"))
        client.clock.pass_s(86_400)
    reply = await client.ask("GET", f"{cluster_requests.INFOS}?clusterState=history&pageSize=1")
    assert reply.json()["clusterTotal"] == 180
    assert (await client.effects(kind="job"))["count"] == 365
    assert len(asyncio.all_tasks()) == tasks


@pytest.mark.looptime
async def test_cluster_lives_in_virtual_time() -> None:
    """Half an hour of creation and an hour of work pass at once."""
    emulator = core.Emulator(
        http_client.options(pace={"create_s": 1800, "run_s": 3600}), clock.LoopClock(http_client.START_MS)
    )
    client = await flow(http_client.Client(emulator, clocks.HandClock()), cluster_requests.step("hourly"))
    while await cluster_requests.state(client) != "terminated":
        await asyncio.sleep(60)
    assert asyncio.get_running_loop().time() // 60 == 91


async def test_jobs_of_a_new_cluster_exist_late_by_quirk() -> None:
    """The cluster runs, and for a while no read shows its jobs; it does not go before they have ended."""
    client = http_client.create(quirks={"late_steps_s": 50}, pace={"create_s": 10, "run_s": 5})
    body = cluster_requests.v2(steps=[cluster_requests.step("one")], delete_when_no_steps=True)
    made = await cluster_requests.created(client, body, cluster_requests.V2_FLOW)
    client.clock.pass_s(59)
    assert (await cluster_requests.state(made), await made.listed()) == ("running", (0, []))
    client.clock.pass_s(2)
    assert (await cluster_requests.state(made), await made.listed()) == ("running", (1, ["one"]))
    client.clock.pass_s(60)
    assert await cluster_requests.state(made) in {"terminating", "terminated"}
