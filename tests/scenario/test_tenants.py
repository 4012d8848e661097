"""Several tenants in one process and virtual time: what is not allowed, and what they do not share."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.support import emulated, history, scenarios, service, service_harness, tenants

from mrs_emulator.core import core
from mrs_emulator.core import settings as emulator_settings
from mrs_relay import app, measuring, wiring
from mrs_relay.engine import probe

pytestmark = pytest.mark.looptime


OTHER = "lake"


async def test_what_is_not_allowed_is_rejected_and_what_is_under_way_continues() -> None:
    """A rule stops new requests only: a job that was accepted before the rule is followed and cancelled."""
    async with service_harness.start(tenants.tenants(mrs={"budgets": False})) as here:
        tenants.put(here, "a", tenants.job("r-1", 50.0))
        await tenants.until(here, "a", "submitted", 1, 30)
        await here.replicas[0].kill()
        here.chosen = tenants.tenants(a={"allow": {"types": ["mrs.job.cancel"]}}, mrs={"budgets": False})
        await here.start_replica()
        tenants.put(here, "a", tenants.job("r-1", 50.0))
        tenants.put(here, "a", tenants.job("r-2"))
        tenants.put(here, "b", tenants.job("r-2"))
        await tenants.until(here, "a", "rejected", 1, 120)

        assert tenants.states(here, "a", "r-2") == ["rejected"]
        assert "tenants.a.allow.types" in tenants.reported(here, "a")[-1].data["reason"]["message"]
        assert "rejected" not in tenants.states(here, "a", "r-1")

        tenants.put(here, "a", service.cancel("c-1", "r-1"))
        await tenants.until(here, "a", "cancelled", 1, 120)
        await tenants.until(here, "b", "succeeded", 1, 120)


async def test_defaults_and_longest_deadlines_are_filled_in() -> None:
    """A request that says nothing gets the tenant's default cluster and its longest deadline, and is held to it."""
    chosen = tenants.tenants(a={"defaults": {"cluster": service.CLUSTER}, "limits": {"run_deadline_s": 20}})
    async with service_harness.start(chosen) as here:
        body = {"job": {"job_type": "Flink", "properties": {"emulator.duration_s": "500"}}}
        tenants.put(
            here, "a", json.dumps({"id": "r-1", "source": "/test", "type": "mrs.job.submit", "data": body}).encode()
        )
        await tenants.until(here, "a", "cancelled", 1, 300)
        last = tenants.reported(here, "a")[-1]
        assert last.data["cluster"] == service.CLUSTER
        assert last.data["reason"]["code"] == "run_deadline"


async def test_the_same_id_of_two_tenants_is_two_jobs() -> None:
    """Both send the same source and id, and both replies are lost: each finds its own job by its own mark."""
    async with service_harness.start(tenants.tenants(mrs={"budgets": False})) as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob", count=2)
        for tenant in "ab":
            tenants.put(here, tenant, tenants.job("r-1"))
        for tenant in "ab":
            await tenants.until(here, tenant, "succeeded", 1, 600)
        names = {tenant: tenants.reported(here, tenant)[-1].data["mrs"]["job_name"] for tenant in "ab"}
        assert names["a"] != names["b"]
        assert sorted(here.created()) == sorted(names.values())
        assert not any("duplicate" in str(event.data) for tenant in "ab" for event in tenants.reported(here, tenant))


@contextlib.asynccontextmanager
async def two_connections(
    **groups: Mapping[str, Any],
) -> AsyncIterator[tuple[service_harness.ServiceHarness, core.Emulator]]:
    """Yield tenant a on the connection of all, tenant b on one of its own, to another MRS."""
    keys = service_harness.settings().mrs
    lake = {
        "endpoint": f"http://{OTHER}.test",
        "project_id": keys.project_id,
        "access_key": keys.access_key,
        "secret_key": keys.secret_key,
    }
    chosen = tenants.tenants(b={"connection": OTHER}, connections={OTHER: lake}, **groups)
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
            tenants.put(here, "a", tenants.job(f"r-{number}"))
            tenants.put(here, "b", tenants.job(f"r-{number}", 0.1))
        await asyncio.sleep(100)
        assert tenants.count(here, "a", "submitted") == 0
        assert tenants.count(here, "b", "submitted") >= 90
        assert not here.created()
        assert len(other.effects()) >= tenants.count(here, "b", "submitted")


async def test_stopping_the_process_stops_all_its_tenants() -> None:
    """After a stop each tenant's jobs are in its ledger and the task ends without an error."""
    async with service_harness.start(tenants.tenants()) as here:
        for tenant in "ab":
            tenants.put(here, tenant, tenants.job("r-1", 100.0))
            await tenants.until(here, tenant, "submitted", 1, 60)
        replica = here.replicas[0]
        wiring.stop(replica.served)
        assert replica.task is not None
        await asyncio.wait([replica.task], timeout=30)
        assert replica.task.exception() is None


async def test_health_and_metrics_tell_tenants_apart() -> None:
    """Ready as long as one tenant is served; what is in the way begins with the tenant's name."""
    async with service_harness.start(tenants.tenants(mrs={"budgets": False})) as here:
        tenants.put(here, "a", tenants.job("r-1"))
        await tenants.until(here, "a", "succeeded", 1, 60)
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
        events = {one.name: one.counts.events["job", "succeeded"] for one in measuring.snapshot(served, probes).tenants}
        assert events == {"a": 1, "b": 0}
        assert [one.name for one in measuring.snapshot(served, probes).connections] == ["mrs"]


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
            {"cluster_id": tenants.CLUSTERS[0], "name": "night-1"},
            {"cluster_id": tenants.CLUSTERS[1], "name": "day-1", "tags": {"team": "red"}},
        ],
    }

    chosen = tenants.tenants(a={"allow": {"clusters": wanted}}, mrs={"budgets": False})
    async with service_harness.start(chosen, emulated=emulated) as here:
        tenants.put(here, "a", tenants.job("by id", cluster=tenants.CLUSTERS[0]))
        tenants.put(here, "a", tenants.job("by name", cluster={"name": "night-1"}))
        tenants.put(here, "a", tenants.job("by tag", cluster={"tags": {"team": "red"}}))
        call = {"operation": "ShowClusterDetails", "path": {"cluster_id": tenants.CLUSTERS[0]}}
        tenants.put(here, "a", json.dumps({"id": "call", "source": "/test", "type": "mrs.call", "data": call}).encode())
        ends: dict[str, str] = {}

        async with asyncio.timeout(120):
            while len(ends) < len(states_):
                await asyncio.sleep(0.5)
                ends = {
                    event.request_id: event.state
                    for event in tenants.reported(here, "a")
                    if event.state in history.LAST
                }

        assert ends == states_
        for event in tenants.reported(here, "a"):
            if event.state == "rejected":
                assert event.data["reason"]["code"] == "cluster_not_allowed"

        assert len(here.created()) == sum(end == "succeeded" for name, end in ends.items() if name != "call")


async def test_orders_of_clusters_with_the_same_id_are_both_followed() -> None:
    """Two tenants order a cluster each under the same source and id: each sees its own come up."""
    async with service_harness.start(tenants.tenants(mrs={"budgets": False})) as here:
        body = scenarios.sample("v2-clusters", "CreateCluster")
        order = {"id": "o-1", "source": "/test", "type": "mrs.cluster.create", "data": {"body": body}}
        for tenant in "ab":
            tenants.put(here, tenant, json.dumps(order).encode())
        for tenant in "ab":
            await tenants.until(here, tenant, "succeeded", 1, 7200)
        assert len({tenants.reported(here, tenant)[-1].data["cluster"] for tenant in "ab"}) == 2


async def test_the_tenants_of_a_project_move_to_replicas_of_their_own_without_a_stop() -> None:
    """New replicas have these tenants alone, and the old one is restarted without them: nothing is lost or doubled."""
    address = {"endpoint": f"http://{service_harness.HOST}", "project_id": service.PROJECT, "budgets": False}
    lake = {**address, **emulated.KEYS}
    more: dict[str, Any] = {"mrs": {"budgets": False}, "engine": {"slots_per_cluster": 0}}
    both = tenants.tenants(b={"connection": "lake"}, connections={"lake": lake}, **more)
    own = {"requests": "b.requests", "events": "b.events", "connection": "lake"}
    alone = service_harness.settings(tenants={"b": own}, connections={"lake": lake}, **more)
    first = service_harness.settings(tenants={"a": {"requests": "a.requests", "events": "a.events"}}, **more)

    async with service_harness.start(
        both, partitions=2, emulated={"limits": {"on": False}, "clusters": [{"slots": 0}]}
    ) as here:
        sent = 0
        for step in range(4):
            for number in range(6):
                for name in "ab":
                    tenants.put(here, name, tenants.job(f"r-{sent}", 40.0), number % 2)
                sent += 1
            if step in {0, 1}:
                here.chosen = alone
                await here.start_replica()
            elif step == 2:
                here.chosen = first
                wiring.stop(here.replicas[0].served)
                await here.start_replica()
            await asyncio.sleep(20)

        for name in "ab":
            await tenants.until(here, name, "succeeded", sent, 300)
            assert tenants.count(here, name, "accepted") == tenants.count(here, name, "submitted") == sent
        assert len(here.created()) == 2 * sent
