"""`mrs-relay orphans` on a real broker: what nobody follows is listed, killed or adopted."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import brokers, child, service, waiting

from mrs_relay.engine.model import deployments

_QUICK = {
    "ENGINE__SEND_WITHIN_S": "0.1",
    "MRS__CALL_TIMEOUT_S": "2",
    "ENGINE__SETTLE_S": "2.2",
    "ENGINE__VISIBILITY_S": "0.1",
    "ENGINE__VANISH_AFTER_S": "2",
}


@pytest.fixture
def here(embedded: brokers.TansuNode, tmp_path: Path) -> Iterator[tuple[service.Deployment, service.Emulator]]:
    """A deployment of its own with a relay that runs."""
    with service.emulator(tmp_path, "--run-s", "5") as playing:
        name = f"orphans-{uuid.uuid4().hex[:6]}"
        deployment = service.Deployment(
            embedded.bootstrap, name, playing.url, tmp_path, guarantee="at-least-once", more=_QUICK
        )
        deployment.create_topics(4)
        relay = deployment.start_relay("one")
        try:
            yield deployment, playing
        finally:
            relay.stop()


def _run(deployment: service.Deployment, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "mrs_relay", *words]
    done = child.run(command, env=deployment.environment(), timeout_s=waiting.LIMIT_S)
    return done.returncode, done.stdout, done.stderr


async def _orphans(deployment: service.Deployment, *words: str) -> tuple[int, list[dict[str, Any]]]:
    code, out, err = await asyncio.to_thread(_run, deployment, "orphans", "--json", *words)
    assert code in {0, 1}, err
    return code, [json.loads(line) for line in out.splitlines()]


async def _until_found(deployment: service.Deployment, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(waiting.LIMIT_S):
        while True:
            _, found = await _orphans(deployment)
            if found and found[0]["kind"] == kind:
                return found[0]
            await asyncio.sleep(0.5)


async def _start(deployment: service.Deployment, name: str) -> str:
    """Start a job past the relay; its id."""
    body = {"job_type": "SparkSubmit", "job_name": name, "properties": {"emulator.duration_s": "3600"}}
    path = f"cluster_id={service.CLUSTER}"
    words = ("call", "CreateExecuteJob", "--path", path, "--body", json.dumps(body), "--json")
    code, out, err = await asyncio.to_thread(_run, deployment, *words)
    assert code == 0, err
    return str(json.loads(out)["job_submit_result"]["job_id"])


async def test_stranger_is_listed_and_killed(here: tuple[service.Deployment, service.Emulator]) -> None:
    """A marked job that no request knows: listed with exit code 1, stopped on request, gone from the list."""
    deployment, _ = here
    assert await _orphans(deployment) == (0, [])

    job_id = await _start(deployment, "left-mr0123456789abcd")
    found = await _until_found(deployment, "stranger")
    assert (found["job_id"], found["job_name"]) == (job_id, "left-mr0123456789abcd")

    code, _, err = await asyncio.to_thread(_run, deployment, "orphans", "--kill", "no-such-job", "--yes")
    assert (code, "no orphan has this id" in err) == (2, True)

    code, _, err = await asyncio.to_thread(_run, deployment, "orphans", "--adopt", job_id, "--yes")
    assert (code, "no unknown request that could adopt it" in err) == (2, True)

    code, _ = await _orphans(deployment, "--kill", job_id, "--yes", "--reason", "left by a test")
    assert code == 0

    _, out, _ = await asyncio.to_thread(_run, deployment, "audit", "--action", "orphan.kill", "--id", job_id, "--json")
    decided = json.loads(out)
    assert (decided["subject"], decided["data"]["why"]) == (job_id, "left by a test")

    async with asyncio.timeout(waiting.LIMIT_S):
        while (await _orphans(deployment))[1]:
            await asyncio.sleep(0.5)

    _, ended = await _orphans(deployment, "--all")
    assert [one["job_result"] for one in ended] == ["KILLED"]


async def test_kill_all_stops_what_is_surely_ours_alone(here: tuple[service.Deployment, service.Emulator]) -> None:
    """Of four jobs that no request knows one carries our tag: it is stopped, the others run on and are named."""
    deployment, _ = here
    ours = await _start(deployment, f"job-{deployments.tag(deployment.name)}-mr0123456789abcd")
    foreign = await _start(deployment, f"job-{deployments.tag('neighbour')}-mr0123456789abcd")
    unproved = await _start(deployment, "job-mr0123456789abcd")
    await _start(deployment, "job")

    async with asyncio.timeout(waiting.LIMIT_S):
        while len((await _orphans(deployment))[1]) < 2:
            await asyncio.sleep(0.5)

    _, shown = await _orphans(deployment, "--all")
    assert {one["job_id"]: one["kind"] for one in shown} == {
        ours: "forgotten",
        foreign: "foreign",
        unproved: "stranger",
    }

    code, _, err = await asyncio.to_thread(
        _run, deployment, "orphans", "--kill-all", "--yes", "--reason", "left behind"
    )

    assert (code, f"--kill {unproved}" in err, foreign in err) == (1, True, False)
    async with asyncio.timeout(waiting.LIMIT_S):
        while len((await _orphans(deployment))[1]) > 1:
            await asyncio.sleep(0.5)

    _, shown = await _orphans(deployment, "--all")
    assert [one["job_id"] for one in shown if one["job_state"] == "KILLED"] == [ours]


async def test_request_that_is_unknown_adopts_its_job(here: tuple[service.Deployment, service.Emulator]) -> None:
    """MRS hid the job until the relay gave it up; once it shows again and has ended, its verdict counts."""
    deployment, playing = here
    nothing = {"total_record": 0, "job_list": []}
    playing.fault(action="status", operation="ShowJobExeListNew", status=200, body=nothing, count=None)
    gone = {"error_code": "0176", "error_msg": "The job does not exist."}
    playing.fault(action="status", operation="ShowSingleJobExe", status=400, body=gone, count=None)
    await deployment.send([(b"\xff\xfek", service.job("r-1", name="hidden"))])
    story = await deployment.until_ended(["r-1"])

    assert [event.state for event in story][-1] == "unknown"

    playing._call("DELETE", "/emulator/faults")
    async with asyncio.timeout(waiting.LIMIT_S):
        while (found := await _until_found(deployment, "unclaimed"))["job_result"] != "SUCCEEDED":
            await asyncio.sleep(0.5)

    assert found["request"]["id"] == "r-1"

    code, _ = await _orphans(deployment, "--adopt", found["job_id"], "--yes")
    assert code == 0

    async with asyncio.timeout(waiting.LIMIT_S):
        while (last := (await deployment.story())[-1]).state == "unknown":
            await asyncio.sleep(0.3)

    assert last.state == "succeeded"
    assert (await _orphans(deployment))[1] == []
