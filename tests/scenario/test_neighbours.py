"""Clusters and calls in trouble, in virtual time: what they leave to others, and what is reported of the wait."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support import history, service, service_harness

from mrs_relay.mrs import transport

pytestmark = pytest.mark.looptime

BAD = [f"bad-{number}" for number in range(100)]
CLUSTERS = [{"cluster_id": one, "name": one, "slots": 0} for one in (service.CLUSTER, *BAD)]


def _job(request_id: str, cluster: str = service.CLUSTER, **more: Any) -> bytes:
    data = {"cluster": cluster, "job": {"job_type": "MapReduce", "arguments": ["obs://demo-bucket/a.jar"]}, **more}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.job.submit", "data": data}).encode()


def _read(request_id: str, cluster: str) -> bytes:
    data = {"operation": "ListHosts", "path": {"cluster_id": cluster}}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.call", "data": data}).encode()


def _refuse(here: service_harness.ServiceHarness, cluster: str, code: str = "12000062", **more: Any) -> None:
    body = {"error_code": code, "error_msg": "hunter2"}
    here.trouble(action="status", operation="CreateExecuteJob", cluster=cluster, status=500, body=body, **more)


async def _submitted(here: service_harness.ServiceHarness, minutes: int, count: int) -> int:
    """Return how many of so many requests for the healthy cluster get through in these minutes."""
    for number in range(count):
        here.put(_job(f"good-{number}"))
    await asyncio.sleep(60 * minutes)
    return len([effect for effect in here.mrs.effects() if effect.cluster_id == service.CLUSTER])


async def test_thirty_clusters_that_take_no_jobs_leave_the_quota_to_the_one_that_does() -> None:
    """Each is tried ever less often, and all of them together with 4 % of the quota: 95 % of what there was is kept."""
    async with service_harness.start(emulated={"clusters": CLUSTERS}) as here:
        for cluster in BAD[:30]:
            _refuse(here, cluster, count=None)
            here.put(_job(f"r-{cluster}", cluster))
        await asyncio.sleep(120)
        assert await _submitted(here, 4, 300) >= 0.95 * 236


async def test_a_cluster_that_takes_jobs_again_gets_all_that_wait() -> None:
    """It is noticed within `busy_most_s`; the first that goes through opens it for all others."""
    async with service_harness.start(emulated={"clusters": CLUSTERS}) as here:
        _refuse(here, BAD[0], count=6)
        for number in range(8):
            here.put(_job(f"r-{number}", BAD[0]))
        await asyncio.sleep(15 + 30 + 60 + 120 + 240 - 5)
        assert here.mrs.effects() == []
        await asyncio.sleep(300 + 30)
        assert len(here.mrs.effects()) == 8


async def test_a_read_that_fails_holds_up_nothing_but_itself() -> None:
    """5xx answers to one operation on one cluster say nothing of submissions."""
    async with service_harness.start(emulated={"clusters": CLUSTERS}) as here:
        here.trouble(action="status", operation="ListHosts", cluster=BAD[0], status=500, count=None)
        for number in range(60):
            here.put(_read(f"r-{number}", BAD[0]))
        await asyncio.sleep(60)
        assert await _submitted(here, 2, 200) >= 0.95 * 118


async def test_calls_that_hang_take_no_place_of_submissions() -> None:
    """A hundred reads without an answer: not one submission is later for it."""
    async with service_harness.start(emulated={"clusters": CLUSTERS}) as here:
        here.trouble(action="latency", operation="ListHosts", seconds=60, count=None)
        for number in range(100):
            here.put(_read(f"r-{number}", BAD[number % 2]))
        await asyncio.sleep(60)
        assert await _submitted(here, 2, 200) >= 0.95 * 118


class _Away(service_harness.Wire):
    """A way to MRS that may be cut."""

    away = True

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        if self.away:
            self.sent += 1
            raise transport.NoConnection("no route to host")
        return await super().send(request, timeout_s)


async def test_a_connection_that_cannot_be_reached_holds_all() -> None:
    """Not each request tries for itself; once there is a way again, each is submitted, and once."""
    async with service_harness.start(replicas=0, emulated={"clusters": CLUSTERS}) as here:
        door = _Away(here.mrs)
        await here.start_replica(door)
        for number in range(40):
            here.put(_job(f"r-{number}", BAD[number]))
        await asyncio.sleep(120)
        assert 0 < door.sent <= 20
        door.away = False
        await asyncio.sleep(90)
        assert len(here.mrs.effects()) == 40


async def test_the_queue_deadline_tells_what_the_request_waited_for() -> None:
    """The cluster, since when it has refused and its last answer's code; nothing of what MRS quotes."""
    async with service_harness.start(emulated={"clusters": CLUSTERS}) as here:
        _refuse(here, BAD[0], count=None)
        here.put(_job("first", BAD[0]))
        here.put(_job("late", BAD[0], queue_deadline_s=30))
        await here.until_ended(["late"], 40)
        ended = next(one for one in here.events() if one.request_id == "late" and one.state in history.LAST)
        reason = ended.data["reason"]
        assert (ended.state, reason["code"]) == ("cancelled", "queue_deadline")
        assert f"CreateExecuteJob on cluster {BAD[0]} has been refused since 20" in reason["message"]
        assert "last answer 12000062 (the cluster's state forbids jobs now)" in reason["message"]
        assert "hunter2" not in reason["message"]


@pytest.mark.parametrize(
    ("own_s", "tenant", "ends_s"),
    [
        (None, {}, 60),
        (30, {}, 30),
        (90, {}, 90),
        (None, {"defaults": {"queue_deadline_s": 45}}, 45),
        (None, {"limits": {"queue_deadline_s": 120}}, 120),
    ],
)
async def test_a_default_queue_deadline_is_for_requests_that_name_none(
    own_s: int | None, tenant: dict[str, Any], ends_s: int
) -> None:
    """The request's own counts, else the tenant's default, else its limit, else the engine's default."""
    named = {"requests": "a.requests", "events": "a.events", **tenant}
    chosen = service_harness.settings(engine={"queue_deadline_s": 60}, **({"tenants": {"a": named}} if tenant else {}))
    async with service_harness.start(chosen, emulated={"clusters": CLUSTERS}) as here:
        _refuse(here, BAD[0], count=None)
        topics = chosen.tenancies[0].kafka.topics
        here.put(_job("r-1", BAD[0], **({"queue_deadline_s": own_s} if own_s else {})), topic=topics.requests)
        await asyncio.sleep(ends_s - 3)
        assert [one.state for one in here.events(topics.events)] == ["accepted"]
        await asyncio.sleep(6)
        assert [one.state for one in here.events(topics.events)] == ["accepted", "cancelled"]


async def test_a_low_priority_goes_before_those_that_come_nine_steps_later() -> None:
    """A stream of priority 9 that uses up the quota keeps priority 0 waiting for nine steps and its queue."""
    chosen = service_harness.settings(engine={"priority_aging_s": 20})
    async with service_harness.start(chosen, emulated={"clusters": CLUSTERS}) as here:
        for number in range(10):
            here.put(_job(f"first-{number}", priority=9))
        await asyncio.sleep(1)
        here.put(_job("low", priority=0))
        for number in range(175):
            here.put(_job(f"high-{number}", priority=9))
            await asyncio.sleep(1)
        assert "submitted" not in here.states("low")
        for number in range(60):
            here.put(_job(f"later-{number}", priority=9))
            await asyncio.sleep(1)
        assert "submitted" in here.states("low")
