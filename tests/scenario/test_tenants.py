"""Several tenants in one process and virtual time: whose turn it is, what is not allowed, what they do not share."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.support import history, scenarios, service, service_harness

from mrs_emulator.core import core
from mrs_emulator.core import settings as emulator_settings
from mrs_relay import app, wiring
from mrs_relay.engine import probe

pytestmark = pytest.mark.looptime

OTHER = "lake"
CLUSTERS = [service.CLUSTER, *(f"6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e{number}" for number in range(10, 15))]


def tenants(a: Mapping[str, Any] | None = None, b: Mapping[str, Any] | None = None, **groups: Mapping[str, Any]) -> Any:
    """Settings with two tenants, whose events go to topics of their own."""
    own = {name: {"requests": f"{name}.requests", "events": f"{name}.events"} for name in "ab"}
    return service_harness.settings(tenants={"a": {**own["a"], **(a or {})}, "b": {**own["b"], **(b or {})}}, **groups)


def job(request_id: str, duration_s: float = 1.0, cluster: Any = service.CLUSTER, **more: Any) -> bytes:
    """A request for a batch job that runs for a while."""
    body = {"job_type": "SparkSubmit", "properties": {"emulator.duration_s": str(duration_s)}}
    data = {"cluster": cluster, "job": body, **more}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.job.submit", "data": data}).encode()


def put(here: service_harness.ServiceHarness, tenant: str, value: bytes, partition: int = 0) -> None:
    here.put(value, topic=f"{tenant}.requests", partition=partition)


def reported(here: service_harness.ServiceHarness, tenant: str) -> list[history.Seen]:
    return here.events(f"{tenant}.events")


def states(here: service_harness.ServiceHarness, tenant: str, request_id: str) -> list[str]:
    return [event.state for event in reported(here, tenant) if event.request_id == request_id]


def count(here: service_harness.ServiceHarness, tenant: str, state: str) -> int:
    return sum(event.state == state for event in reported(here, tenant))


async def until(here: service_harness.ServiceHarness, tenant: str, state: str, number: int, timeout_s: float) -> None:
    """Let time pass until so many of a tenant's events are of a state."""
    async with asyncio.timeout(timeout_s):
        while count(here, tenant, state) < number:
            await asyncio.sleep(0.1)


def refused(here: service_harness.ServiceHarness) -> int:
    """How many calls MRS answered with 429."""
    return sum(one.status == 429 for replica in here.replicas for one in replica.wire.answered)


async def test_tenants_of_one_connection_share_its_quota_by_turns() -> None:
    """Both have a backlog: MRS's write quota is spent once, not twice, and each gets half of it."""
    emulated = {"clusters": [{"cluster_id": one, "slots": 0} for one in CLUSTERS]}
    chosen = tenants(engine={"slots_per_cluster": 0})
    async with service_harness.start(chosen, partitions=2, replicas=2, emulated=emulated) as here:
        await asyncio.sleep(70)  # a first coordinator takes a minute to know what was spent before it
        for number in range(300):  # the first tenant has six clusters full of work, the second has one
            put(here, "a", job(f"r-{number}", cluster=CLUSTERS[number % 6]), number % 2)
            put(here, "b", job(f"r-{number}"), number % 2)
        await asyncio.sleep(240)
        done = {tenant: count(here, tenant, "submitted") for tenant in "ab"}
        assert refused(here) == 0
        assert 0.93 * 240 <= sum(done.values()) <= 1.02 * 240
        assert abs(done["a"] - done["b"]) <= 6


async def test_a_flood_of_one_tenant_does_not_hold_up_another() -> None:
    """Behind 400 requests of one tenant on all clusters, another's request is submitted at its next turn."""
    emulated = {"clusters": [{"cluster_id": one, "slots": 0} for one in CLUSTERS]}
    async with service_harness.start(tenants(engine={"slots_per_cluster": 0}), emulated=emulated) as here:
        for number in range(400):
            put(here, "a", job(f"r-{number}", cluster=CLUSTERS[number % 6]))
        await asyncio.sleep(60)
        for number in range(3):
            before_s = asyncio.get_running_loop().time()
            put(here, "b", job(f"r-{number}"))
            await until(here, "b", "submitted", number + 1, 30)
            assert asyncio.get_running_loop().time() - before_s < 2.5


async def test_tenants_take_turns_on_a_cluster_that_is_full() -> None:
    """Ten slots, all taken by one tenant that has more waiting: the next slot that is free is the other's."""
    async with service_harness.start(tenants(mrs={"budgets": False}), emulated={"limits": {"on": False}}) as here:
        for number in range(40):
            put(here, "a", job(f"r-{number}", 60.0 + 10 * number))
        await until(here, "a", "submitted", 10, 60)
        put(here, "b", job("r-1"))
        await until(here, "b", "submitted", 1, 120)
        assert count(here, "a", "succeeded") <= 2
        assert count(here, "a", "submitted") <= 12


async def _most_running(here: service_harness.ServiceHarness, tenant: str, ended: int, timeout_s: float) -> int:
    most = 0
    async with asyncio.timeout(timeout_s):
        while count(here, tenant, "succeeded") < ended:
            await asyncio.sleep(0.2)
            most = max(most, count(here, tenant, "submitted") - count(here, tenant, "succeeded"))
    return most


@pytest.mark.parametrize("replicas", [1, 2])
async def test_no_more_of_a_tenant_run_than_it_may(replicas: int) -> None:
    """`limits.running` counts over all replicas; further requests wait, and other tenants do not notice."""
    chosen = tenants(a={"limits": {"running": 4}}, mrs={"budgets": False})
    async with service_harness.start(
        chosen, partitions=2, replicas=replicas, emulated={"limits": {"on": False}}
    ) as here:
        await asyncio.sleep(5)
        for number in range(12):
            put(here, "a", job(f"r-{number}", 10.0), number % 2)
        for number in range(5):
            put(here, "b", job(f"r-{number}", 10.0), number % 2)
        await until(here, "b", "submitted", 5, 5)
        assert await _most_running(here, "a", 12, 300) == 4
        assert count(here, "a", "rejected") == 0


async def test_jobs_taken_over_count_as_running() -> None:
    """A replica that takes over a tenant's jobs starts no more than are missing from what may run."""
    chosen = tenants(a={"limits": {"running": 2}}, mrs={"budgets": False})
    async with service_harness.start(chosen, emulated={"limits": {"on": False}}) as here:
        for number in range(6):
            put(here, "a", job(f"r-{number}", 100.0))
        await until(here, "a", "submitted", 2, 30)
        await here.replicas[0].kill()
        await here.start_replica()
        assert await _most_running(here, "a", 6, 900) == 2


async def test_a_limit_that_grows_with_the_share_lets_waiting_requests_go() -> None:
    """Another replica's partition comes to us: our part of `running` is larger at once, not when a job has ended."""
    chosen = tenants(a={"limits": {"running": 4}}, mrs={"budgets": False})
    async with service_harness.start(chosen, partitions=2, replicas=2, emulated={"limits": {"on": False}}) as here:
        for replica in here.replicas:
            await replica.kafka.ready()
        for number in range(6):
            put(here, "a", job(f"r-{number}", 36_000.0))
        await until(here, "a", "submitted", 2, 60)
        await asyncio.sleep(60)
        assert count(here, "a", "submitted") == 2
        other = next(
            one for one in here.replicas if 0 not in {each.partition for each in one.kafka.status().partitions}
        )
        await other.kill()
        await until(here, "a", "submitted", 4, 120)


@pytest.mark.parametrize("replaced", [False, True])
async def test_no_more_are_started_in_a_minute_than_may_be(replaced: bool) -> None:
    """`limits.per_minute`: five at once, and in no 60 seconds more than five, also when another replica takes over."""
    chosen = tenants(a={"limits": {"per_minute": 5}}, mrs={"budgets": False}, engine={"slots_per_cluster": 0})
    emulated = {"limits": {"on": False}, "clusters": [{"slots": 0}]}
    async with service_harness.start(chosen, emulated=emulated) as here:
        for number in range(22):
            put(here, "a", job(f"r-{number}"))
        await until(here, "a", "submitted", 5, 5)
        if replaced:
            await here.replicas[0].kill()
            await here.start_replica()
        await until(here, "a", "submitted", 22, 400)
        answered = [one for replica in here.replicas for one in replica.wire.answered]
        at_s = [one.at_s for one in answered if one.verb == "POST"]
        assert len(at_s) == 22
        assert all(later - earlier >= 59.5 for earlier, later in zip(at_s, at_s[5:], strict=False))
        assert at_s[-1] - at_s[0] < 250


async def test_a_request_beyond_the_queue_is_rejected_with_the_name_of_the_rule() -> None:
    """`limits.queued`: three wait, the next are rejected and may be sent again; repeats of those that wait are not."""
    chosen = tenants(a={"limits": {"running": 1, "queued": 3}}, mrs={"budgets": False})
    async with service_harness.start(chosen, emulated={"limits": {"on": False}}) as here:
        put(here, "a", job("r-0", 30.0))
        await until(here, "a", "running", 1, 30)
        for number in range(1, 6):
            put(here, "a", job(f"r-{number}"))
        put(here, "a", job("r-1"))
        await until(here, "a", "rejected", 2, 30)
        assert [states(here, "a", f"r-{number}")[-1] for number in range(6)] == [
            *("running", "accepted", "accepted", "accepted"),
            *("rejected", "rejected"),
        ]
        reason = next(event.data["reason"] for event in reported(here, "a") if event.state == "rejected")
        assert (reason["class"], reason["code"], reason["retryable"]) == ("not_allowed", "too_many_queued", True)
        assert "tenants.a.limits.queued" in reason["message"]
        await until(here, "a", "succeeded", 3, 120)
        put(here, "a", job("r-5"))
        await until(here, "a", "succeeded", 5, 120)
        assert states(here, "a", "r-5")[:2] == ["rejected", "accepted"]


async def test_what_is_not_allowed_is_rejected_and_what_is_under_way_continues() -> None:
    """A rule stops new requests only: a job that was accepted before the rule is followed and cancelled."""
    async with service_harness.start(tenants(mrs={"budgets": False})) as here:
        put(here, "a", job("r-1", 50.0))
        await until(here, "a", "submitted", 1, 30)
        await here.replicas[0].kill()
        here.chosen = tenants(a={"allow": {"types": ["mrs.job.cancel"]}}, mrs={"budgets": False})
        await here.start_replica()
        put(here, "a", job("r-1", 50.0))
        put(here, "a", job("r-2"))
        put(here, "b", job("r-2"))
        await until(here, "a", "rejected", 1, 120)
        assert states(here, "a", "r-2") == ["rejected"]
        assert "tenants.a.allow.types" in reported(here, "a")[-1].data["reason"]["message"]
        assert "rejected" not in states(here, "a", "r-1")
        put(here, "a", service.cancel("c-1", "r-1"))
        await until(here, "a", "cancelled", 1, 120)
        await until(here, "b", "succeeded", 1, 120)


async def test_defaults_and_longest_deadlines_are_filled_in() -> None:
    """A request that says nothing gets the tenant's default cluster and its longest deadline, and is held to it."""
    chosen = tenants(a={"defaults": {"cluster": service.CLUSTER}, "limits": {"run_deadline_s": 20}})
    async with service_harness.start(chosen) as here:
        body = {"job": {"job_type": "Flink", "properties": {"emulator.duration_s": "500"}}}
        put(here, "a", json.dumps({"id": "r-1", "source": "/test", "type": "mrs.job.submit", "data": body}).encode())
        await until(here, "a", "cancelled", 1, 300)
        last = reported(here, "a")[-1]
        assert last.data["cluster"] == service.CLUSTER
        assert last.data["reason"]["code"] == "run_deadline"


async def test_the_same_id_of_two_tenants_is_two_jobs() -> None:
    """Both send the same source and id, and both replies are lost: each finds its own job by its own mark."""
    async with service_harness.start(tenants(mrs={"budgets": False})) as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob", count=2)
        for tenant in "ab":
            put(here, tenant, job("r-1"))
        for tenant in "ab":
            await until(here, tenant, "succeeded", 1, 600)
        names = {tenant: reported(here, tenant)[-1].data["mrs"]["job_name"] for tenant in "ab"}
        assert names["a"] != names["b"]
        assert sorted(here.created()) == sorted(names.values())
        assert not any("duplicate" in str(event.data) for tenant in "ab" for event in reported(here, tenant))


@contextlib.asynccontextmanager
async def two_connections(
    **groups: Mapping[str, Any],
) -> AsyncIterator[tuple[service_harness.ServiceHarness, core.Emulator]]:
    """Tenant a on the connection of all, tenant b on one of its own, to another MRS."""
    keys = service_harness.settings().mrs
    lake = {
        "endpoint": f"http://{OTHER}.test",
        "project_id": keys.project_id,
        "access_key": keys.access_key,
        "secret_key": keys.secret_key,
    }
    chosen = tenants(b={"connection": OTHER}, connections={OTHER: lake}, **groups)
    async with service_harness.start(chosen, replicas=0) as here:
        other = core.Emulator(emulator_settings.EmulatorSettings(seed=2), here.time)
        await here.stack.enter_async_context(other)
        here.doors[f"http://{OTHER}.test"] = service_harness.Wire(other, f"{OTHER}.test")
        await here.start_replica()
        yield here, other


async def test_connections_do_not_share_trouble_or_quota() -> None:
    """One MRS throttles for ten minutes; tenants of another spend its whole quota meanwhile, on jobs of their own."""
    async with two_connections(engine={"slots_per_cluster": 0, "busy_wait_s": 1.0}) as (here, other):
        here.trouble(action="status", status=429, operation="CreateExecuteJob", count=None)
        for number in range(100):
            put(here, "a", job(f"r-{number}"))
            put(here, "b", job(f"r-{number}", 0.1))
        await asyncio.sleep(100)
        assert count(here, "a", "submitted") == 0
        assert count(here, "b", "submitted") >= 90
        assert not here.created()
        assert len(other.effects()) >= count(here, "b", "submitted")


async def test_stopping_the_process_stops_all_its_tenants() -> None:
    """After a stop each tenant's jobs are in its ledger and the task ends without an error."""
    async with service_harness.start(tenants()) as here:
        for tenant in "ab":
            put(here, tenant, job("r-1", 100.0))
            await until(here, tenant, "submitted", 1, 60)
        replica = here.replicas[0]
        wiring.stop(replica.served)
        assert replica.task is not None
        await asyncio.wait([replica.task], timeout=30)
        assert replica.task.exception() is None


async def test_health_and_metrics_tell_tenants_apart() -> None:
    """Ready as long as one tenant is served; what is in the way begins with the tenant's name."""
    async with service_harness.start(tenants(mrs={"budgets": False})) as here:
        put(here, "a", job("r-1"))
        await until(here, "a", "succeeded", 1, 60)
        served = here.replicas[0].served
        probes = {"mrs": probe.Probe(served[0].connection.client, "http://mrs.test")}
        asked = app.health_of(served, probes)
        assert not asked.ready
        assert asked.reasons[0].startswith("tenant a: MRS at http://mrs.test has not been asked yet")
        await probes["mrs"].run()
        assert app.health_of(served, probes).ready
        here.broker.go_down()
        await asyncio.sleep(30)
        down = app.health_of(served, probes)
        assert {reason.partition(":")[0] for reason in down.reasons} == {"tenant a", "tenant b"}
        here.broker.come_up()
        events = {one.name: one.counts.events["job", "succeeded"] for one in app.snapshot(served, probes).tenants}
        assert events == {"a": 1, "b": 0}
        assert [one.name for one in app.snapshot(served, probes).connections] == ["mrs"]


@pytest.mark.parametrize(
    ("wanted", "states_"),
    [
        (["name:night-*"], {"by id": "succeeded", "by name": "succeeded", "by tag": "rejected", "call": "succeeded"}),
        (["tag:team=red"], {"by id": "rejected", "by name": "rejected", "by tag": "succeeded", "call": "rejected"}),
    ],
)
async def test_clusters_are_allowed_by_name_and_tag_however_a_request_names_them(
    wanted: list[str], states_: Mapping[str, str]
) -> None:
    """An id is looked up before anything is submitted; a choice falls only on clusters that are allowed."""
    emulated = {
        "limits": {"on": False},
        "clusters": [
            {"cluster_id": CLUSTERS[0], "name": "night-1"},
            {"cluster_id": CLUSTERS[1], "name": "day-1", "tags": {"team": "red"}},
        ],
    }
    chosen = tenants(a={"allow": {"clusters": wanted}}, mrs={"budgets": False})
    async with service_harness.start(chosen, emulated=emulated) as here:
        put(here, "a", job("by id", cluster=CLUSTERS[0]))
        put(here, "a", job("by name", cluster={"name": "night-1"}))
        put(here, "a", job("by tag", cluster={"tags": {"team": "red"}}))
        call = {"operation": "ShowClusterDetails", "path": {"cluster_id": CLUSTERS[0]}}
        put(here, "a", json.dumps({"id": "call", "source": "/test", "type": "mrs.call", "data": call}).encode())
        ends: dict[str, str] = {}
        async with asyncio.timeout(120):
            while len(ends) < len(states_):
                await asyncio.sleep(0.5)
                ends = {event.request_id: event.state for event in reported(here, "a") if event.state in history.LAST}
        assert ends == states_
        for event in reported(here, "a"):
            if event.state == "rejected":
                assert event.data["reason"]["code"] == "cluster_not_allowed"
        assert len(here.created()) == sum(end == "succeeded" for name, end in ends.items() if name != "call")


async def test_the_quota_of_a_connection_is_shared_by_all_its_tenants_partitions() -> None:
    """Three partitions of one tenant and one of another on two replicas: together they spend the quota, and no more."""
    emulated = {"clusters": [{"slots": 0}]}
    async with service_harness.start(tenants(engine={"slots_per_cluster": 0}), replicas=0, emulated=emulated) as here:
        for topic in ("a.requests", "a.requests.ledger"):
            here.broker.drop_topic(topic)
            here.broker.create_topic(topic, 3, {"cleanup.policy": "compact"} if "ledger" in topic else {})
        for _ in range(2):
            await here.start_replica()
        await asyncio.sleep(70)  # as above
        shares = [[one.context.quota.share.owned for one in replica.served] for replica in here.replicas]
        assert [sum(each) for each in zip(*shares, strict=True)] == [3, 1]
        for number in range(400):
            put(here, "a", job(f"r-{number}"), number % 3)
            put(here, "b", job(f"r-{number}"))
        await asyncio.sleep(240)
        assert refused(here) == 0
        assert 0.93 * 240 <= count(here, "a", "submitted") + count(here, "b", "submitted") <= 1.02 * 240


async def test_orders_of_clusters_with_the_same_id_are_both_followed() -> None:
    """Two tenants order a cluster each under the same source and id: each sees its own come up."""
    async with service_harness.start(tenants(mrs={"budgets": False})) as here:
        body = scenarios.sample("v2-clusters", "CreateCluster")
        order = {"id": "o-1", "source": "/test", "type": "mrs.cluster.create", "data": {"body": body}}
        for tenant in "ab":
            put(here, tenant, json.dumps(order).encode())
        for tenant in "ab":
            await until(here, tenant, "succeeded", 1, 7200)
        assert len({reported(here, tenant)[-1].data["cluster"] for tenant in "ab"}) == 2


async def test_the_queue_of_a_partition_that_moves_is_counted_where_it_is() -> None:
    """A second replica takes one of two partitions: each counts the requests that wait in its own."""
    chosen = tenants(a={"limits": {"running": 1, "queued": 100}}, mrs={"budgets": False})
    async with service_harness.start(chosen, partitions=2, emulated={"limits": {"on": False}}) as here:
        for number in range(9):
            put(here, "a", job(f"r-{number}", 500.0), number % 2)
        await until(here, "a", "accepted", 9, 30)
        await here.start_replica()
        await asyncio.sleep(30)
        waiting = [replica.context.quota.queued for replica in here.replicas]
        running = [replica.context.quota.running for replica in here.replicas]
        assert (sum(waiting) + sum(running), min(waiting) > 0) == (9, True)


async def test_a_call_does_not_begin_what_the_limits_would_not_see() -> None:
    """A tenant with a limit of what runs starts no job by `mrs.call`; one without limits may."""
    chosen = tenants(a={"limits": {"running": 2, "run_deadline_s": 60}}, mrs={"budgets": False})
    call = {"operation": "CreateExecuteJob", "path": {"cluster_id": CLUSTERS[0]}, "body": scenarios.JOB}
    async with service_harness.start(chosen, emulated={"limits": {"on": False}}) as here:
        for tenant in "ab":
            put(here, tenant, json.dumps({"id": "c", "source": "/test", "type": "mrs.call", "data": call}).encode())
        await until(here, "a", "rejected", 1, 30)
        await until(here, "b", "succeeded", 1, 30)
        reason = reported(here, "a")[-1].data["reason"]
        assert (reason["class"], reason["code"]) == ("not_allowed", "not_followed")
        assert "send mrs.job.submit instead" in reason["message"]
        assert len(here.created()) == 1
