"""Clusters by message, in virtual time: ordered, resized, deleted; followed until they are what was wanted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support import history, scenarios, service, service_harness

pytestmark = pytest.mark.looptime

BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_SLOW: dict[str, Any] = {"pace": {"create_s": 300, "resize_s": 120, "delete_s": 60}, "seed": 7}


def _request(request_id: str, kind: str, **data: Any) -> bytes:
    message = {"id": request_id, "source": "/test", "type": f"mrs.cluster.{kind}", "data": data}
    return json.dumps(message).encode()


def _creation(request_id: str, **changes: Any) -> bytes:
    return _request(request_id, "create", body=scenarios.sample("v2-clusters", "CreateCluster", **changes))


def _flow(request_id: str, **changes: Any) -> bytes:
    return _request(request_id, "flow", body=scenarios.sample("v2-clusters", "RunJobFlow", **changes))


def _resize(request_id: str, kind: str = "scale_out", instances: int = 2) -> bytes:
    parameters = {"scale_type": kind, "instances": instances}
    return _request(request_id, "resize", cluster=service.CLUSTER, parameters=parameters)


def _last(here: service_harness.ServiceHarness, request_id: str) -> history.Seen:
    return [event for event in here.events() if event.request_id == request_id][-1]


def _clusters(here: service_harness.ServiceHarness) -> list[str]:
    return [effect.name for effect in here.mrs.effects() if effect.kind == "cluster"]


@BOTH
async def test_a_cluster_is_reported_from_its_order_until_it_runs(guarantee: str) -> None:
    """One message, one cluster: submitted with its id, running while it starts, succeeded when it runs."""
    async with service_harness.start(service_harness.settings(kafka={"guarantee": guarantee}), emulated=_SLOW) as here:
        here.put(_creation("c-1"))
        await here.until_ended(["c-1"], 3600)
        assert here.states("c-1") == ["accepted", "submitted", "running", "succeeded"]
        last = _last(here, "c-1")
        assert last.data["mrs"]["job_state"] == "RUNNING"
        assert last.data["cluster"] == last.data["mrs"]["job_id"]
        assert [name.rpartition("-")[0] for name in _clusters(here)] == ["orders-nightly"]
        assert history.faults(["c-1"], here.events(), _clusters(here)) == []


async def test_a_lost_reply_to_an_order_is_looked_up_by_the_clusters_name() -> None:
    """The order took effect: its cluster is found by the token in its name, adopted and followed."""
    async with service_harness.start(emulated=_SLOW) as here:
        here.trouble(operation="CreateCluster", action="drop_after", count=1)
        here.put(_creation("c-1"))
        await here.until_ended(["c-1"], 3600)
        assert here.states("c-1") == ["accepted", "submitted", "running", "succeeded"]
        assert len(_clusters(here)) == 1


async def test_an_order_that_never_arrived_is_sent_again() -> None:
    """The whole visibility window without the name: nothing was ordered."""
    async with service_harness.start(emulated=_SLOW) as here:
        here.trouble(operation="CreateCluster", action="drop_before", count=1)
        here.put(_creation("c-1"))
        await here.until_ended(["c-1"], 3600)
        assert here.states("c-1") == ["accepted", "submitted", "running", "succeeded"]
        assert len(_clusters(here)) == 1


@BOTH
async def test_a_replica_that_dies_while_a_cluster_starts_is_replaced(guarantee: str) -> None:
    """The next owner follows the same cluster and orders none."""
    async with service_harness.start(service_harness.settings(kafka={"guarantee": guarantee}), emulated=_SLOW) as here:
        here.put(_creation("c-1"))
        await asyncio.sleep(100)
        await here.replicas[0].kill()
        await here.start_replica()
        await here.until_ended(["c-1"], 3600)
        published = {event.event_id: event.state for event in here.events()}  # a repeat has the same id
        assert list(published.values()) == ["accepted", "submitted", "running", "succeeded"]
        assert len(_clusters(here)) == 1


async def test_a_creation_that_fails_is_reported_as_failed() -> None:
    """MRS takes the order and the cluster never runs."""
    async with service_harness.start(emulated=_SLOW) as here:
        here.put(_creation("c-1", cluster_name="will-fail"))
        await here.until_ended(["c-1"], 3600)
        last = _last(here, "c-1")
        assert (last.state, last.data["reason"]["code"]) == ("failed", "cluster_failed")


async def test_an_order_that_mrs_could_never_take_is_rejected() -> None:
    """The operation's own model judges the body."""
    async with service_harness.start(emulated=_SLOW) as here:
        here.put(_request("c-1", "create", body={"cluster_name": "a"}))
        await here.until_ended(["c-1"], 60)
        assert here.states("c-1") == ["rejected"]
        assert "cluster_version" in _last(here, "c-1").data["reason"]["message"]
        assert here.replicas[0].wire.sent == 0


async def test_a_cluster_with_jobs_succeeds_when_its_jobs_have() -> None:
    """The jobs' outcomes count, also when the cluster is deleted after them."""
    async with service_harness.start(emulated=_SLOW) as here:
        here.put(_flow("c-1"))
        await here.until_ended(["c-1"], 7200)
        assert here.states("c-1")[:3] == ["accepted", "submitted", "running"]
        assert here.states("c-1")[-1] == "succeeded"


@pytest.mark.parametrize("gone_after", [True, False])
async def test_jobs_that_show_up_long_after_the_cluster_runs_are_waited_for(*, gone_after: bool) -> None:
    """The cluster runs without a job for 50 s: neither that nor the missing job is an outcome."""
    emulated = {**_SLOW, "pace": {"create_s": 300, "run_s": 200, "delete_s": 60}, "quirks": {"late_steps_s": 50}}
    steps = [{"job_execution": {"job_type": "SparkSubmit", "job_name": name}} for name in ("good", "will-fail")]
    async with service_harness.start(emulated=emulated) as here:
        here.put(_flow("c-1", steps=steps, delete_when_no_steps=gone_after))
        await asyncio.sleep(400)
        assert here.states("c-1")[-1] in {"running", "progress"}
        await here.until_ended(["c-1"], 7200)
        assert here.states("c-1")[-1] == "failed"


async def test_a_cluster_whose_job_fails_has_failed() -> None:
    """All jobs must succeed."""
    steps = [{"job_execution": {"job_type": "SparkSubmit", "job_name": name}} for name in ("good", "will-fail")]
    async with service_harness.start(emulated=_SLOW) as here:
        here.put(_flow("c-1", steps=steps))
        await here.until_ended(["c-1"], 7200)
        assert here.states("c-1")[-1] == "failed"


@pytest.mark.parametrize(("kind", "instances"), [("scale_out", 2), ("scale_in", 1)])
async def test_a_resize_is_followed_until_the_nodes_are_there(kind: str, instances: int) -> None:
    """The number of nodes tells success; the cluster's state tells nothing."""
    async with service_harness.start(emulated=_SLOW) as here:
        if kind == "scale_in":
            here.put(_resize("c-0", "scale_out", 3))
            await here.until_ended(["c-0"], 3600)
        here.put(_resize("c-1", kind, instances))
        await here.until_ended(["c-1"], 3600)
        assert here.states("c-1") == ["accepted", "submitted", "running", "succeeded"]


async def test_a_resize_whose_reply_is_lost_is_never_repeated() -> None:
    """It is a difference: sent twice it would scale twice."""
    async with service_harness.start(emulated=_SLOW) as here:
        here.trouble(operation="UpdateClusterScaling", action="drop_after", count=1)
        here.put(_resize("c-1"))
        await here.until_ended(["c-1"], 3600)
        assert here.states("c-1") == ["accepted", "unknown"]


async def test_a_resize_waits_until_the_one_before_is_done() -> None:
    """MRS takes one at a time; the next one keeps its turn."""
    async with service_harness.start(emulated=_SLOW) as here:
        for one in ("c-1", "c-2"):
            here.put(_resize(one))
        await here.until_ended(["c-1", "c-2"], 7200)
        assert here.states("c-2")[-1] == "succeeded"


async def test_a_deletion_is_followed_until_the_cluster_is_gone() -> None:
    """Terminating, then terminated."""
    async with service_harness.start(emulated=_SLOW) as here:
        here.put(_request("c-1", "delete", cluster=service.CLUSTER))
        await here.until_ended(["c-1"], 3600)
        assert here.states("c-1") == ["accepted", "submitted", "running", "succeeded"]
        assert _last(here, "c-1").data["mrs"]["job_state"] == "TERMINATED"


@pytest.mark.parametrize("action", ["drop_after", "drop_before"])
async def test_a_deletion_whose_reply_is_lost_is_looked_at(action: str) -> None:
    """Whether it took effect shows in the cluster's state; if not, it is sent again."""
    async with service_harness.start(emulated=_SLOW) as here:
        here.trouble(operation="DeleteCluster", action=action, count=1)
        here.put(_request("c-1", "delete", cluster=service.CLUSTER))
        await here.until_ended(["c-1"], 3600)
        assert here.states("c-1")[-1] == "succeeded"


async def test_deleting_twice_does_no_harm() -> None:
    """A cluster that is going already is what was wanted."""
    async with service_harness.start(emulated=_SLOW) as here:
        for one in ("c-1", "c-2"):
            here.put(_request(one, "delete", cluster=service.CLUSTER))
        await here.until_ended(["c-1", "c-2"], 3600)
        assert {here.states(one)[-1] for one in ("c-1", "c-2")} == {"succeeded"}


async def test_an_order_cannot_be_called_back() -> None:
    """A cancel before the order is sent stops it; after that it is answered with the present state."""
    later = {"not_before": "2100-01-01T00:00:00Z"}
    async with service_harness.start(emulated=_SLOW) as here:
        here.put(_request("c-1", "delete", cluster=service.CLUSTER, **later))
        here.put(_creation("c-2"))
        await asyncio.sleep(30)
        for one in ("c-1", "c-2"):
            here.put(service.cancel(f"stop-{one}", one))
        await here.until_ended(["c-1", "c-2"], 3600)
        assert here.states("c-1") == ["accepted", "cancelled"]
        assert here.states("c-2") == ["accepted", "submitted", "running", "running", "succeeded"]


async def test_a_cluster_that_cannot_be_read_for_a_while_is_read_later() -> None:
    """A failed read changes nothing."""
    async with service_harness.start(emulated=_SLOW) as here:
        here.trouble(operation="ShowClusterDetails", action="status", status=503, count=5)
        here.put(_creation("c-1"))
        await here.until_ended(["c-1"], 3600)
        assert here.states("c-1") == ["accepted", "submitted", "running", "succeeded"]


async def test_a_resize_that_never_shows_becomes_unknown() -> None:
    """After long enough, the outcome is unknown."""
    chosen = service_harness.settings(engine={"cluster_settle_s": 120})
    async with service_harness.start(chosen, emulated=_SLOW) as here:
        here.trouble(operation="UpdateClusterScaling", action="status", status=200, body={"result": "succeeded"})
        here.put(_resize("c-1"))
        await here.until_ended(["c-1"], 3600)
        last = _last(here, "c-1")
        assert (last.state, last.data["reason"]["code"]) == ("unknown", "cluster_unsettled")
