"""Jobs by V1.1 on real Kafka with real processes: the promise holds, and the page's example runs as it stands."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import brokers, history, pages, service, waiting


@pytest.fixture
def mrs(tmp_path: Path) -> Iterator[service.Emulator]:
    """An MRS with many slots and jobs of two seconds."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "2") as playing:
        yield playing


_QUICK = {"ENGINE__SEND_WITHIN_S": "0.1", "MRS__CALL_TIMEOUT_S": "2", "ENGINE__SETTLE_S": "2.2"}


def _deployment(kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path, **more: str) -> service.Deployment:
    name = f"old-{time.time_ns()}"
    given = {"ENGINE__SLOTS_PER_CLUSTER": "0", "ENGINE__MAX_IN_FLIGHT": "4", "ENGINE__KILL_AGAIN_S": "1", **more}
    return service.Deployment(kafka.bootstrap, name, mrs.url, tmp_path, more=given)


def _request(request_id: str) -> bytes:
    """Return the example of docs/old-clusters.md, under an id of its own."""
    [example] = [block for block in pages.blocks("old-clusters.md") if block.language == "json"]
    message: dict[str, Any] = json.loads(example.text)
    return json.dumps({**message, "id": request_id, "source": "/test"}).encode()


async def test_two_relays_one_killed_in_mid_submission_and_replies_lost_still_one_job_each(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """40 requests, a relay killed with calls on the wire, replies dropped: one job each, a gapless story of each."""
    here = _deployment(kafka, mrs, tmp_path)
    await asyncio.to_thread(here.create_topics, 4)
    ids = [f"r-{number}" for number in range(40)]
    mrs.fault(action="latency", operation="CreateAndExecuteJob", seconds=0.3, count=None)
    mrs.fault(action="drop_after", operation="CreateAndExecuteJob", nth=3, count=2)
    first, second = here.start_relay("first"), here.start_relay("second")
    await here.send([(b"key-%d" % (number % 8), _request(one)) for number, one in enumerate(ids)])
    await waiting.until(lambda: len(mrs.effects()) >= 6)
    first.kill()
    events = await here.until_ended(ids)

    assert await asyncio.to_thread(second.stop) == 0

    created = [effect["name"] for effect in mrs.effects()]
    assert history.faults(ids, events, created) == []
    assert len(created) == len(ids)

    last = next(event for event in events if event.state == "succeeded")
    assert last.data["result"] == {
        "location": "s3a://analytics/sessions/20261124/",
        "log_location": "s3a://analytics/logs/",
    }


async def test_a_running_job_is_cancelled_and_the_ledger_names_its_api(
    kafka: brokers.KafkaNode, tmp_path: Path
) -> None:
    """`cancelled` once MRS confirms; the command line sends such a job and says by which API it ran."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "600") as mrs:
        here = _deployment(kafka, mrs, tmp_path)
        await asyncio.to_thread(here.create_topics, 1)
        relay = here.start_relay("only")
        words = f"submit job --api v1.1 --cluster {service.CLUSTER} --type MapReduce --arg sessionize --id r-1"
        more = "--source /test --key k --field jar_path=s3a://analytics/programs/sessions.jar"
        code, printed = await asyncio.to_thread(here.command, *words.split(), *more.split())
        assert code == 0, printed

        async def runs() -> bool:
            return "running" in {event.state for event in await here.story()}

        await waiting.until(runs)
        await here.send([(b"k", service.cancel("c-1", "r-1"))])
        events = await here.until_ended(["r-1"])
        assert (events[-1].state, events[-1].data["mrs"]["job_state"]) == ("cancelled", "TERMINATED")
        code, printed = await asyncio.to_thread(here.command, "jobs", "--json")
        assert (code, json.loads(printed)["api"]) == (0, "v1.1")
        assert await asyncio.to_thread(relay.stop) == 0


async def test_orphans_of_a_cluster_that_v2_does_not_know_are_found_and_killed_by_v11(
    kafka: brokers.KafkaNode, tmp_path: Path
) -> None:
    """0167 for V2's list: V1.1's shows the job that nobody follows, and the one that is followed is not lost."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "600") as mrs:
        body = {"error_code": "0167", "error_msg": "The cluster version does not support this API."}
        for operation in ("ShowJobExeListNew", "StopJob"):
            mrs.fault(action="status", operation=operation, status=400, body=body, count=None)
        here = _deployment(kafka, mrs, tmp_path, **_QUICK, ENGINE__VISIBILITY_S="0.1")
        await asyncio.to_thread(here.create_topics, 1)
        relay = here.start_relay("only")
        await here.send([(b"k", _request("r-1"))])
        stranger = {"job_type": 1, "job_name": "left-mr0123456789abcd", "jar_path": "/x.jar"}
        text = json.dumps({**stranger, "cluster_id": service.CLUSTER})
        code, printed = await asyncio.to_thread(here.command, "call", "CreateAndExecuteJob", "--body", text, "--json")

        assert code == 0, printed
        async with asyncio.timeout(waiting.LIMIT_S):
            while not (printed := (await asyncio.to_thread(here.command, "orphans", "--json"))[1]).strip():
                await asyncio.sleep(0.3)

        [found] = map(json.loads, printed.splitlines())
        assert (found["kind"], found["job_name"], found["job_state"]) == ("stranger", stranger["job_name"], "RUNNING")

        await asyncio.to_thread(here.command, "orphans", "--kill", found["job_id"], "--yes", "--json")
        async with asyncio.timeout(waiting.LIMIT_S):
            while (await asyncio.to_thread(here.command, "orphans", "--json"))[1].strip():
                await asyncio.sleep(0.3)

        assert (await here.story())[-1].state in {"running", "progress", "submitted"}
        assert await asyncio.to_thread(relay.stop) == 0
