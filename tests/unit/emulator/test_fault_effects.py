"""Faults that garble replies or change what MRS remembers, the file of faults, and the clock that can be bent."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import clocks
from tests.unit.emulator import http_client
from tests.unit.emulator.conftest import Opener

from mrs_emulator.core import adjustable_clock, core, failures

OLD = f"/v1.1/{http_client.PROJECT}"


async def order(client: http_client.Client, action: str, operation: str = "*", **more: Any) -> None:
    reply = await client.ask("POST", "/emulator/faults", {"action": action, "operation": operation, **more})
    assert reply.status == 201, reply.body


async def test_half_body_is_cut_and_the_effect_stays() -> None:
    """The job is there, though the client cannot know."""
    client = http_client.create()
    await order(client, "half_body", "CreateExecuteJob")
    reply = await client.submit("lonely")
    assert reply.cut_to == len(reply.body) // 2
    assert (await client.effects())["count"] == 1


async def test_wrong_type_says_html() -> None:
    """With its own body, or with another one."""
    client = http_client.create()
    await order(client, "wrong_type", "CreateExecuteJob")
    reply = await client.submit("a")
    assert (reply.status, reply.content_type) == (202, "text/html;charset=UTF-8")
    assert reply.json()["job_submit_result"]["state"] == "COMPLETE"
    await order(client, "wrong_type", "CreateExecuteJob", body="<html>", content_type="text/plain")
    other = await client.submit("b")
    assert (other.body, other.content_type) == (b"<html>", "text/plain")
    assert (await client.effects())["count"] == 2


async def test_stuck_job_never_ends_but_can_be_killed() -> None:
    """Ordered for the second submission of that name only."""
    client = http_client.create()
    await order(client, "stuck_job", "CreateExecuteJob", name="etl-*", nth=2)
    first, second = await client.submitted("etl-1"), await client.submitted("etl-2")
    client.clock.pass_s(1_000_000)
    assert await client.seen(first) == ("FINISHED", "SUCCEEDED")
    assert await client.seen(second) == ("RUNNING", "UNDEFINED")
    assert (await client.kill(second)).status == 202
    client.clock.pass_s(1)
    assert await client.seen(second) == ("KILLED", "KILLED")


async def test_job_gets_stuck_when_it_is_asked_about() -> None:
    """Before the answer; a job that has ended stays ended."""
    client = http_client.create()
    job_id = await client.submitted("a")
    await order(client, "stuck_job", "ShowSingleJobExe", cluster=client.cluster, name="a", count=None)
    assert (await client.seen(job_id))[0] == "NEW"
    client.clock.pass_s(1000)
    assert (await client.seen(job_id))[0] == "RUNNING"
    await client.ask("DELETE", "/emulator/faults")
    done = await client.submitted("b")
    client.clock.pass_s(1000)
    await order(client, "stuck_job", "ShowSingleJobExe")
    assert await client.seen(done) == ("FINISHED", "SUCCEEDED")


async def test_lost_job_is_gone_from_list_and_read() -> None:
    """On the third read of it; other calls do not count."""
    client = http_client.create()
    job_id = await client.submitted("a")
    await order(client, "lost_job", "ShowSingleJobExe", nth=3)
    for _ in range(2):
        await client.listed()
        assert (await client.job(job_id))["job_name"] == "a"
    reply = await client.ask("GET", f"{client.base}/job-executions/{job_id}")
    assert (reply.status, http_client.code(reply)) == (400, "0176")
    assert await client.listed() == (0, [])
    assert (await client.effects())["effects"][0]["deleted"] is True


async def test_job_lost_on_submission_was_created_all_the_same() -> None:
    """The reply has its id, nothing else knows it."""
    client = http_client.create()
    await order(client, "lost_job", "CreateExecuteJob")
    await client.submitted("a")
    assert await client.listed() == (0, [])
    assert (await client.effects())["count"] == 1


async def test_wrong_result_is_the_opposite() -> None:
    """For jobs ordered to fail, too; the state stays."""
    client = http_client.create()
    await order(client, "wrong_result", "CreateExecuteJob", count=None)
    good, bad, killed = await client.submitted("good"), await client.submitted("fail"), await client.submitted("kill")
    client.clock.pass_s(10)
    assert await client.seen(good) == ("FINISHED", "FAILED")
    assert await client.seen(bad) == ("FINISHED", "SUCCEEDED")
    assert await client.seen(killed) == ("KILLED", "KILLED")


async def test_sql_jobs_can_be_stuck_and_wrong(open_client: Opener) -> None:
    """Their end is not known when they are submitted."""
    async with open_client() as client:
        await order(client, "wrong_result", "CreateExecuteJob", name="flip")
        await order(client, "stuck_job", "CreateExecuteJob", name="held")
        held = await client.submitted("held", "SparkSql", arguments=["SELECT 1"])
        flip = await client.submitted("flip", "SparkSql", arguments=["SELECT 1"])
        plain = await client.submitted("plain", "SparkSql", arguments=["SELECT 1"])
        assert await client.ended(flip) == ("FINISHED", "FAILED")
        assert await client.ended(plain) == ("FINISHED", "SUCCEEDED")
        assert await client.seen(held) == ("RUNNING", "UNDEFINED")


async def test_runs_of_v11_can_be_hit_too() -> None:
    """By name and by the id in the path, though the path names no cluster."""
    client = http_client.create()
    body = {"job_type": 1, "job_name": "old", "cluster_id": client.cluster, "jar_path": "/x.jar"}
    await order(client, "stuck_job", "CreateAndExecuteJob", name="old", cluster=client.cluster)
    run = (await client.ask("POST", f"{OLD}/jobs/submit-job", body)).json()["job_execution"]["id"]
    client.clock.pass_s(1000)
    assert (await client.ask("GET", f"{OLD}/job-exes/{run}")).json()["job_execution"]["job_state"] == 2
    await order(client, "lost_job", "ShowJobExes", name="old", cluster=client.cluster)
    assert (await client.ask("GET", f"{OLD}/job-exes/{run}")).status == 400


async def test_job_object_is_hit_by_its_name() -> None:
    """Executing does not send a name, so the object's counts."""
    client = http_client.create()
    made = (await client.ask("POST", f"{OLD}/jobs", {"name": "load", "type": "DistCp"})).json()["job"]
    await order(client, "status", "ExecuteJob", name="load", status=502)
    assert (await client.ask("POST", f"{OLD}/jobs/{made['id']}/execute", {})).status == 502


async def test_vanished_cluster_is_unknown_everywhere() -> None:
    """The call that it is ordered for finds nothing; what was created stays noted."""
    client = http_client.create()
    await client.submitted("a")
    await order(client, "vanish_cluster", "ShowJobExeListNew", cluster=client.cluster)
    reply = await client.ask("GET", f"{client.base}/job-executions")
    assert http_client.code(reply) == "12000003"
    assert http_client.code(await client.submit("b")) == "12000003"
    found = (await client.ask("GET", f"{OLD}/cluster_infos")).json()
    assert found["clusters"] == []
    assert (await client.effects())["effects"][0]["deleted"] is True


async def test_clock_can_be_put_forward_and_stopped() -> None:
    """Jobs age with it; a clock that continues catches up and never goes back."""
    client = http_client.create()
    job_id = await client.submitted("a")
    reported = (await client.ask("POST", "/emulator/clock", {"advance_s": 2})).json()
    assert reported == {"now_ms": http_client.START_MS + 2000, "ahead_s": 2.0, "stopped": False}
    assert (await client.seen(job_id))[0] == "RUNNING"
    assert (await client.ask("POST", "/emulator/clock", {"stopped": True})).json()["stopped"] is True
    client.clock.pass_s(3600)
    assert (await client.seen(job_id))[0] == "RUNNING"
    await client.ask("POST", "/emulator/clock", {"stopped": False})
    assert (await client.seen(job_id))[0] == "FINISHED"
    assert (await client.ask("GET", "/emulator/clock")).json()["now_ms"] == http_client.START_MS + 3_602_000
    wrong: object
    for wrong in ({"advance_s": -1}, {"stop": True}, [], b"{"):
        assert (await client.ask("POST", "/emulator/clock", wrong)).status == 400


async def test_clock_never_leaves_the_years_that_can_be_written() -> None:
    """Put forward again and again it stands at the year 9000, and the emulator still answers."""
    client = http_client.create()
    for _ in range(10):
        reported = (await client.ask("POST", "/emulator/clock", {"advance_s": 31_536_000_000})).json()
    assert dt.datetime.fromtimestamp(reported["now_ms"] / 1000, tz=dt.UTC).year == 9000
    job_id = await client.submitted("a")
    assert (await client.seen(job_id))[0] == "NEW"


async def test_fault_stops_and_jumps_the_clock() -> None:
    """At a call of one's choice."""
    client = http_client.create()
    job_id = await client.submitted("a")
    await order(client, "jump_clock", "ShowSingleJobExe", seconds=60)
    assert (await client.seen(job_id))[0] == "FINISHED"
    await order(client, "stop_clock", "CreateExecuteJob")
    late = await client.submitted("b")
    client.clock.pass_s(60)
    assert (await client.seen(late))[0] == "NEW"


def test_stopped_clock_can_be_put_forward() -> None:
    """It stays stopped, further on."""
    hand = clocks.HandClock()
    clock = adjustable_clock.AdjustableClock(hand)
    clock.stop()
    hand.pass_s(5)
    clock.advance(60)
    assert clock.now_ms() == http_client.START_MS + 60_000
    clock.go()
    assert clock.now_ms() == http_client.START_MS + 65_000


TOML = '[[faults]]\naction = "busy"\noperation = "CreateExecuteJob"\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.toml", TOML),
        ("f.json", json.dumps([{"action": "busy", "operation": "CreateExecuteJob"}])),
        ("f.json", json.dumps({"faults": [{"action": "busy", "operation": "CreateExecuteJob"}]})),
        ("f.json", json.dumps({"action": "busy", "operation": "CreateExecuteJob"})),
    ],
)
async def test_faults_from_a_file_are_in_force_from_the_start(tmp_path: Path, name: str, text: str) -> None:
    """TOML, or JSON in the shapes that the admin API takes."""
    file = tmp_path / name
    file.write_text(text)
    client = http_client.create(faults_file=file)
    assert http_client.code(await client.submit("a")) == "0177"
    assert (await client.submit("a")).status == 202


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("f.toml", TOML.replace("busy", "explode"), "action"),
        ("f.toml", TOML.replace("CreateExecuteJob", "Nothing"), "Nothing is not played"),
        ("f.toml", "[[", "cannot be used"),
        ("f.json", "{", "cannot be used"),
        ("missing.toml", None, "cannot be used"),
    ],
)
def test_wrong_file_of_faults_refuses_to_start(tmp_path: Path, name: str, text: str | None, named: str) -> None:
    """It names the file and what is wrong in it."""
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(failures.CannotStart, match=named):
        core.Emulator(http_client.options(faults_file=file))
