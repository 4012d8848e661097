"""What is reported and repeated when replies are lost, rows cannot be read or the job list is away, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.support import service, service_harness

pytestmark = pytest.mark.looptime

_UNREADABLE = {"error_code": "0182", "error_msg": "Failed to read the SQL job result."}
_BAD_GATEWAY = {"error_code": "APIGW.0201", "error_msg": "Backend unavailable"}


def _call(request_id: str, operation: str, path: dict[str, str], **more: Any) -> bytes:
    data = {"operation": operation, "path": path, **more}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.call", "data": data}).encode()


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _last(here: service_harness.ServiceHarness, request_id: str) -> Mapping[str, Any]:
    return [event for event in here.events() if event.request_id == request_id][-1].data


def _ran(here: service_harness.ServiceHarness) -> int:
    return sum(effect.kind == "statement" for effect in here.mrs.effects())


async def test_a_read_whose_reply_never_comes_runs_a_few_times_and_not_for_ever() -> None:
    """A statement that takes longer than the call may: five times in some minutes, then reported as unknown."""
    async with service_harness.start() as here:
        here.trouble(action="drop_after", operation="ExecuteSql", count=None)
        here.put(service.sql("q", "presto", "show tables"))
        await here.until_ended(["q"], 600)
        last = _last(here, "q")
        assert (here.states("q"), last["attempt"], _ran(here)) == (["accepted", "unknown"], 1, 5)
        assert last["reason"]["code"] == "reply_lost"
        assert "5 submissions of it have no reply" in last["reason"]["message"]
        await asyncio.sleep(3600)
        assert _ran(here) == 5


async def test_a_cancelled_call_that_may_have_been_carried_out_is_unknown() -> None:
    """The cluster is being deleted while its deletion waits to be sent again: no event says that it was cancelled."""
    async with service_harness.start() as here:
        here.trouble(action="drop_after", operation="DeleteCluster", count=1)
        here.put(_call("d", "DeleteCluster", {"cluster_id": service.CLUSTER}))
        await asyncio.sleep(5)
        here.put(service.cancel("c", "d"))
        await here.until_ended(["d"], 60)
        last = _last(here, "d")
        assert (last["state"], last["attempt"], last["reason"]["class"]) == ("unknown", 1, "unresolved")
        assert "MRS may have carried out the call" in last["reason"]["message"]


async def test_the_second_deletion_is_not_reported_as_failed_because_the_first_one_worked() -> None:
    """A repetition that MRS refuses says nothing of the submission before."""
    async with service_harness.start() as here:
        body = {"tag": {"key": "owner", "value": "data"}}
        here.put(_call("t", "CreateClusterTag", {"cluster_id": service.CLUSTER}, body=body))
        await here.until_ended(["t"], 60)
        here.trouble(action="drop_after", operation="DeleteClusterTag", count=1)
        here.put(_call("d", "DeleteClusterTag", {"cluster_id": service.CLUSTER, "key": "owner"}))
        await here.until_ended(["d"], 300)
        assert (_last(here, "d")["state"], _last(here, "d")["reason"]["code"]) == ("unknown", "reply_lost")


async def test_an_outage_that_answers_every_submission_badly_ends_no_job_and_doubles_none() -> None:
    """Most of an hour of bad gateways: each submission is looked up, then sent again after growing waits."""
    async with service_harness.start() as here:
        order = {"action": "status", "operation": "CreateExecuteJob", "status": 502, "body": _BAD_GATEWAY}
        here.trouble(**order, count=10)
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 3 * 3600)
        assert here.states("r-1")[-1] == "succeeded"
        assert len(here.created()) == 1
        posts = [
            one.at_s for one in here.replicas[0].wire.answered if one.verb == "POST" and "executions" in one.target
        ]
        assert len(posts) == 11
        assert posts[-1] > 3000


async def test_a_success_whose_rows_cannot_be_read_is_reported_at_once_and_says_so() -> None:
    """MRS cannot read out a result over its own limit, however often it is asked."""
    async with service_harness.start(emulated={"pace": {"run_s": 5.0}}) as here:
        here.trouble(action="status", operation="ShowSqlResultWithJob", status=500, body=_UNREADABLE, count=None)
        here.put(service.sql("q", "spark", "select 1"))
        await here.until_ended(["q"], 120)
        published = {event.state: event for event in here.events()}
        assert published["succeeded"].data["result"]["unavailable"].startswith("MRS cannot read the rows")
        assert _now_s() < 60


@pytest.mark.parametrize("restart", [False, True])
async def test_a_success_is_reported_within_a_minute_whatever_keeps_its_rows(restart: bool) -> None:
    """Also if the replica dies meanwhile: the time continues where it was."""
    async with service_harness.start(emulated={"pace": {"run_s": 5.0}}) as here:
        here.trouble(action="status", operation="ShowSqlResultWithJob", status=503, body=_BAD_GATEWAY, count=None)
        here.put(service.sql("q", "spark", "select 1"))
        while not any("/sql-result" in one.target for one in here.replicas[0].wire.answered):
            await asyncio.sleep(0.5)
        seen_s = _now_s()
        if restart:
            await asyncio.sleep(20)
            await here.replicas[0].kill()
            await here.start_replica()
        await here.until_ended(["q"], 120)
        assert _now_s() - seen_s <= 60
        assert _last(here, "q")["result"]["unavailable"]


async def test_an_outage_of_the_list_is_no_verdict_on_anybody() -> None:
    """Jobs that the list hid when it went away are followed to their ends when it is back, an hour later."""
    async with service_harness.start(emulated={"pace": {"run_s": 600.0}}) as here:
        ids = [f"r-{number}" for number in range(5)]
        for one in ids:
            here.put(service.job(one))
        while not all("submitted" in here.states(one) for one in ids):
            await asyncio.sleep(0.2)
        for operation in ("ShowJobExeListNew", "ShowSingleJobExe"):
            here.trouble(action="status", operation=operation, status=500, body=_BAD_GATEWAY, count=60)
        await here.until_ended(ids, 3 * 3600)
        assert {here.states(one)[-1] for one in ids} == {"succeeded"}


@pytest.mark.parametrize("deleted", [True, False])
async def test_jobs_of_a_cluster_that_is_gone_are_unknown_and_say_why(deleted: bool) -> None:
    """A list that knows no cluster is believed if the cluster shows the same; if it lives, the list is just wrong."""
    async with service_harness.start(emulated={"pace": {"run_s": 1800.0}}) as here:
        here.put(service.job("r-1"))
        while "submitted" not in here.states("r-1"):
            await asyncio.sleep(0.2)
        no_cluster = {"error_code": "12000003", "error_msg": "The cluster does not exist."}

        for operation in ("ShowJobExeListNew", "ShowSingleJobExe"):
            here.trouble(
                action="status", operation=operation, status=400, body=no_cluster, count=None if deleted else 30
            )

        if deleted:
            here.put(_call("d", "DeleteCluster", {"cluster_id": service.CLUSTER}))
        await here.until_ended(["r-1"], 7200)
        last = _last(here, "r-1")
        reported = (last["state"], last.get("reason", {}).get("code"))

        assert reported == (("unknown", "cluster_gone") if deleted else ("succeeded", None))


@pytest.mark.parametrize("code", ["12000003", "12000012"])
@pytest.mark.parametrize("deleted", [True, False])
async def test_a_submission_in_doubt_on_a_cluster_that_is_gone_is_unknown(deleted: bool, code: str) -> None:
    """It may have run there: that is never denied. If the cluster lives, its list is just wrong, and proves nothing."""
    async with service_harness.start(emulated={"pace": {"run_s": 1800.0}}) as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        refusal = {"error_code": code, "error_msg": "no"}
        for operation in ("ShowJobExeListNew", "ShowSingleJobExe"):
            here.trouble(action="status", operation=operation, status=400, body=refusal, count=None if deleted else 30)
        here.put(service.job("r-1"))
        await asyncio.sleep(5)
        if deleted:
            here.put(_call("d", "DeleteCluster", {"cluster_id": service.CLUSTER}))
        await here.until_ended(["r-1"], 7200)
        last = _last(here, "r-1")
        reported = (last["state"], last.get("reason", {}).get("code"))
        assert reported == (("unknown", "cluster_gone") if deleted else ("succeeded", None))
        assert len([effect for effect in here.mrs.effects() if effect.kind == "job"]) == 1
