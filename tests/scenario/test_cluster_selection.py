"""The whole service in virtual time: requests that name their cluster by name or tags."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from tests.support import history, scenarios, service, service_harness

pytestmark = pytest.mark.looptime

BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
_TWO: dict[str, Any] = {
    "clusters": [
        {"cluster_id": "one", "name": "etl", "tags": {"team": "ads"}},
        {"cluster_id": "two", "name": "etl", "tags": {"team": "ads"}},
        {"cluster_id": "three", "name": "web"},
    ],
    "seed": 3,
}


def _job(request_id: str, cluster: Any, **more: Any) -> bytes:
    message = json.loads(service.job(request_id, **more))
    message["data"]["cluster"] = cluster
    return json.dumps(message).encode()


def _accepted(here: service_harness.ServiceHarness, request_id: str) -> history.Seen:
    [event] = [event for event in here.events() if (event.request_id, event.state) == (request_id, "accepted")]
    return event


@BOTH
async def test_the_choice_is_reported_with_accepted_and_the_job_runs_there(guarantee: str) -> None:
    """A name that one cluster has leads there; everything after is as with an id."""
    async with service_harness.start(service_harness.settings(kafka={"guarantee": guarantee}), emulated=_TWO) as here:
        here.put(_job("r-1", {"name": "web"}))
        await here.until_ended(["r-1"], 600)
        assert here.states("r-1")[-1] == "succeeded"
        assert {event.data["cluster"] for event in here.events()} == {"three"}
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_requests_by_tag_fill_both_clusters_evenly() -> None:
    """Twenty jobs for two clusters of ten slots all run at once."""
    async with service_harness.start(emulated={**_TWO, "pace": {"run_s": 600.0}}) as here:
        ids = [f"r-{number}" for number in range(20)]
        for one in ids:
            here.put(_job(one, {"tags": {"team": "ads"}}))
        await asyncio.sleep(60)
        assert Counter(_accepted(here, one).data["cluster"] for one in ids) == {"one": 10, "two": 10}
        assert len(here.created()) == 20


async def test_what_no_cluster_fits_is_rejected_and_may_be_sent_again_later() -> None:
    """The rejection names what was asked for; once there is such a cluster, the same message starts the job."""
    async with service_harness.start(emulated={**_TWO, "pace": {"create_s": 60.0}}) as here:
        here.put(_job("r-1", {"tags": {"team": "new"}}))
        await here.until_ended(["r-1"], 60)
        [event] = here.events()
        assert (event.state, event.data["reason"]["code"]) == ("rejected", "no_cluster")
        assert "team=new" in event.data["reason"]["message"]
        body = scenarios.sample("v2-clusters", "CreateCluster", tags=[{"key": "team", "value": "new"}])
        order = {"id": "c-1", "type": "mrs.cluster.create", "data": {"body": body}}
        here.put(json.dumps(order).encode())
        await here.until_ended(["c-1"], 3600)
        here.put(_job("r-1", {"tags": {"team": "new"}}))
        while here.states("r-1")[-1] != "succeeded":
            await asyncio.sleep(1)
        assert here.states("r-1")[:3] == ["rejected", "accepted", "submitted"]


async def test_a_cluster_that_is_being_created_is_waited_for_and_nothing_is_reported_before() -> None:
    """The request is accepted when its cluster runs, and not lost before."""
    async with service_harness.start(emulated={**_TWO, "pace": {"create_s": 900.0}}) as here:
        body = scenarios.sample("v2-clusters", "CreateCluster", tags=[{"key": "team", "value": "new"}])
        here.put(json.dumps({"id": "c-1", "type": "mrs.cluster.create", "data": {"body": body}}).encode())
        await asyncio.sleep(60)
        here.put(_job("r-1", {"tags": {"team": "new"}}))
        await asyncio.sleep(300)
        assert here.states("r-1") == []
        await here.until_ended(["c-1", "r-1"], 3600)
        assert here.states("r-1")[-1] == "succeeded"


_STARTING: dict[str, Any] = {"clusters": [{"cluster_id": "one", "name": "etl", "state": "starting"}], "seed": 3}


@BOTH
async def test_a_replica_that_dies_while_it_chooses_is_replaced(guarantee: str) -> None:
    """A request whose cluster is being chosen stands in the ledger; the next owner chooses for it, once."""
    async with service_harness.start(
        service_harness.settings(kafka={"guarantee": guarantee}), emulated=_TWO, replicas=1
    ) as here:
        here.trouble(action="status", status=503, operation="ListClusters", count=3)
        here.put(_job("r-1", {"name": "etl"}))
        await asyncio.sleep(5)
        assert here.states("r-1") == []
        await here.replicas[0].kill()
        await here.start_replica()
        await here.until_ended(["r-1"], 900)
        assert here.states("r-1")[-1] == "succeeded"
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_a_cancel_while_the_cluster_is_chosen_ends_it_at_once() -> None:
    """First `accepted` is published, then `cancelled`; no job is ever made."""
    async with service_harness.start(emulated=_STARTING) as here:
        here.put(_job("r-1", {"name": "etl"}))
        await asyncio.sleep(30)
        here.put(service.cancel("x-1", "r-1"))
        await here.until_ended(["r-1"], 60)
        await asyncio.sleep(7200)
        assert here.states("r-1") == ["accepted", "cancelled"]
        assert here.created() == []


async def test_a_queue_deadline_counts_while_the_cluster_is_chosen() -> None:
    """Who waits for a cluster that does not come up waits no longer than the request says."""
    async with service_harness.start(emulated=_STARTING) as here:
        here.put(_job("r-1", {"name": "etl"}, queue_deadline_s=120))
        await here.until_ended(["r-1"], 130)
        last = [event for event in here.events() if event.request_id == "r-1"][-1]
        assert (last.state, last.data["reason"]["class"]) == ("cancelled", "deadline")


async def test_the_same_request_twice_while_the_cluster_is_chosen_is_answered_once() -> None:
    """The second message is answered by the `accepted` that is on its way."""
    async with service_harness.start(emulated=_TWO) as here:
        for _ in range(3):
            here.put(_job("r-1", {"name": "web"}))
        await here.until_ended(["r-1"], 600)
        assert here.states("r-1").count("accepted") == 1
        assert len(here.created()) == 1


async def test_another_payload_while_the_cluster_is_chosen_is_rejected_and_the_first_continues() -> None:
    """An id that is in use stays with its first request, also before that one is accepted."""
    async with service_harness.start(emulated=_TWO) as here:
        here.put(_job("r-1", {"name": "web"}))
        here.put(_job("r-1", {"name": "etl"}))
        while "succeeded" not in here.states("r-1"):
            await asyncio.sleep(1)
        events = here.events()
        assert (events[0].state, events[0].data["reason"]["class"]) == ("rejected", "conflict")
        assert [event.data["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert len(here.created()) == 1
