"""Several deployments, each with a Kafka of its own, on one MRS project: none meddles with the jobs of another."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from tests.support import history, scenarios, service, service_harness

from mrs_emulator.core import core
from mrs_relay import settings, wiring
from mrs_relay.common import clock
from mrs_relay.engine import orphans
from mrs_relay.engine.model import jobs
from mrs_relay.kafka.memory import memory_broker

pytestmark = pytest.mark.looptime

NAMES = ("prod", "staging")
DAY_S = 86_400.0


def named(deployment: str) -> settings.Settings:
    """Return settings of a deployment."""
    return service_harness.settings(kafka={"app_id": deployment}, mrs={"budgets": False})


@contextlib.asynccontextmanager
async def deployed(
    name: str, mrs: core.Emulator, time: clock.LoopClock
) -> AsyncIterator[service_harness.ServiceHarness]:
    """Yield a deployment of this name, with a broker of its own, on an MRS that others use, too."""
    chosen = named(name)
    broker = memory_broker.MemoryBroker(chosen.kafka, transactions=True)
    broker.create_topics(1, chosen.kafka.topics)
    async with contextlib.AsyncExitStack() as stack:
        made = service_harness.ServiceHarness(chosen, broker, mrs, time, stack)
        replica = await made.start_replica()
        try:
            yield made
        finally:
            wiring.stop(replica.served)
            assert replica.task is not None
            await asyncio.wait([replica.task])


@contextlib.asynccontextmanager
async def two() -> AsyncIterator[dict[str, service_harness.ServiceHarness]]:
    """Yield two deployments on one project."""
    async with (
        service_harness.start(named("prod"), emulated={"limits": {"on": False}}) as prod,
        deployed("staging", prod.mrs, prod.time) as staging,
    ):
        yield {"prod": prod, "staging": staging}


def nightly(jar: str) -> bytes:
    """Return the same request in both deployments but for what it runs."""
    body = {"job_type": "SparkSubmit", "arguments": [jar], "properties": {"emulator.duration_s": "2000"}}
    data = {"cluster": service.CLUSTER, "job": body}
    return json.dumps({"id": "nightly", "source": "/test", "type": "mrs.job.submit", "data": data}).encode()


async def until(here: service_harness.ServiceHarness, state: str) -> history.Seen:
    """Let time pass until the request's newest event is of a state."""
    async with asyncio.timeout(DAY_S):
        while not (events := here.events()) or events[-1].state != state:
            await asyncio.sleep(1.0)
    return events[-1]


@pytest.mark.parametrize("loss", ["drop_before", "drop_after"])
async def test_deployments_with_the_same_topic_and_id_do_not_take_each_others_jobs(loss: str) -> None:
    """One's reply is lost, with or without its job: it finds its own or starts its own, and the other's runs on."""
    async with two() as here:
        prod, staging = (here[name] for name in NAMES)
        prod.put(nightly("obs://prod/a.jar"))
        first = await until(prod, "running")
        prod.trouble(action=loss, operation="CreateExecuteJob", count=1)
        staging.put(nightly("obs://staging/a.jar"))
        second = await until(staging, "running")
        assert len(prod.created()) == len(set(prod.created())) == 2
        assert first.data["mrs"]["job_id"] != second.data["mrs"]["job_id"]
        for name in NAMES:
            assert (await until(here[name], "succeeded")).data.get("reason") is None


async def test_deployments_that_order_a_cluster_under_one_name_and_id_each_get_theirs() -> None:
    """The cluster's name carries the deployment as well: a lost reply finds one's own cluster only."""
    async with two() as here:
        body = scenarios.sample("v2-clusters", "CreateCluster")
        order = {"id": "o-1", "source": "/test", "type": "mrs.cluster.create", "data": {"body": body}}
        for name in NAMES:
            here[name].trouble(action="drop_after", operation="CreateCluster", count=1)
            here[name].put(json.dumps(order).encode())
            await asyncio.sleep(30)
        found = {(await until(here[name], "succeeded")).data["cluster"] for name in NAMES}
        assert len(found) == 2


async def test_only_jobs_that_are_surely_ours_are_proven() -> None:
    """After a deployment has lost its ledger, its own job is forgotten, and the neighbour's is reported from it."""
    async with two() as here:
        for name in NAMES:
            here[name].put(nightly(f"obs://{name}/a.jar"))
            await until(here[name], "running")
        listed = {service.CLUSTER: [(name, jobs.MrsStatus(name)) for name in here["prod"].created()]}
        found = orphans.find([], listed, before_ms=1, deployment="prod")
        assert [(one.kind, one.proven) for one in found] == [("forgotten", True), ("foreign", False)]
