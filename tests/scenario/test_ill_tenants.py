"""One tenant's trouble is its own: the others start and continue, the process stays up and names the tenant."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import service_harness, tenants

from mrs_relay import app, errors, measuring, wiring
from mrs_relay.engine import probe
from mrs_relay.kafka import records
from mrs_relay.mrs import settings as mrs_settings
from mrs_relay.web import health

pytestmark = pytest.mark.looptime

Trouble = Callable[[service_harness.ServiceHarness], object]


def quick() -> Any:
    """Return two tenants without a quota."""
    return tenants.tenants(mrs={"budgets": False})


async def status(here: service_harness.ServiceHarness) -> health.Health:
    """Return what `/ready` says once MRS has been asked."""
    served = here.replicas[0].served
    probes = {one.connection.name: probe.Probe(one.connection.client, "http://mrs.test") for one in served}
    for one in probes.values():
        await one.run()
    return app.health_of(served, probes)


def no_topic(here: service_harness.ServiceHarness) -> None:
    """Leave out the input topic."""
    here.broker.drop_topic("b.requests")


def no_ledger(here: service_harness.ServiceHarness) -> None:
    """Leave out the ledger."""
    here.broker.drop_topic("b.requests.ledger")


def wrong_ledger(here: service_harness.ServiceHarness) -> None:
    """Make a ledger that would forget."""
    here.broker.configure("b.requests.ledger", **{"cleanup.policy": "delete"})


@pytest.mark.parametrize("trouble", [no_topic, no_ledger, wrong_ledger])
async def test_a_tenant_that_cannot_start_is_reported_and_tried_again_and_the_others_work(trouble: Trouble) -> None:
    """Its set-up is wrong at the start: the other works from the start, and it works once that is put right."""
    async with service_harness.start(quick(), replicas=0) as here:
        trouble(here)
        await here.start_replica()
        tenants.put(here, "a", tenants.job("r-1"))
        await tenants.until(here, "a", "succeeded", 1, 60)
        now = await status(here)

        assert (now.ready, now.tenants["a"].ready, now.tenants["b"].ready) == (True, True, False)
        assert now.tenants["a"].reasons == ()
        assert [reason.partition(": ")[0] for reason in now.reasons] == ["tenant b"]
        assert "b.requests" in now.tenants["b"].reasons[0]

        here.broker.create_topic("b.requests", 1)
        here.broker.create_topic("b.requests.ledger", 1, {"cleanup.policy": "compact"})
        tenants.put(here, "b", tenants.job("r-1"))
        await tenants.until(here, "b", "succeeded", 1, 180)

        assert not (await status(here)).reasons


async def test_a_process_all_of_whose_tenants_cannot_start_ends_and_names_each() -> None:
    """No tenant is served: the end is an error with a line for each tenant, and all have left in order."""
    async with service_harness.start(quick(), replicas=0) as here:
        no_topic(here)
        here.broker.drop_topic("a.requests.ledger")
        replica = await here.start_replica()
        assert replica.task is not None
        await asyncio.wait([replica.task], timeout=60)
        error = replica.task.exception()
        assert isinstance(error, errors.SettingsError)
        of_a, _, of_b = str(error).partition("tenant b: ")
        assert of_a.startswith("tenant a: ")
        assert "a.requests.ledger" in of_a
        assert "b.requests;" in of_b
        assert [one.kafka.status().stopping for one in replica.served] == [True, True]


async def _fault_within(served: wiring.TenantService, limit_s: float) -> None:
    """Let time pass, but not beyond the moment at which the tenant is ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while served.kafka.fault is None:
                await asyncio.sleep(0.05)


async def test_a_tenant_that_is_ended_later_begins_again_by_itself() -> None:
    """Another deployment claims its partition again and again, for a while: the neighbour's job is not disturbed."""
    async with service_harness.start(quick()) as here:
        tenants.put(here, "a", tenants.job("r-1", 300.0))
        await tenants.until(here, "a", "running", 1, 60)
        of_b = here.replicas[0].served[1]
        rival = here.broker.producer(of_b.tenant.kafka.transactional_id(0), idempotent=True)
        claim = records.Outgoing("b.requests.ledger", b"\0claim", b'{"nonce":"rival"}', (), 0)

        async with asyncio.timeout(600):
            number = 0
            while (fault := of_b.kafka.fault) is None:
                await rival.start()
                with contextlib.suppress(errors.Fenced):
                    await rival.write([claim])
                tenants.put(here, "b", tenants.job(f"r-{(number := number + 1)}"))
                await _fault_within(of_b, 5.0)

        assert "kafka.app_id" in str(fault)

        boards = of_b.connection.quota.boards
        assert [board.membership is not None for board in boards] == [True, False]  # the quota is the other's
        assert [one.ready for one in (await status(here)).tenants.values()] == [True, False]

        await tenants.until(here, "a", "succeeded", 1, 600)
        await tenants.until(here, "b", "succeeded", number, 600)
        assert not (await status(here)).reasons

        seen = [state for state in tenants.states(here, "a", "r-1") if state != "progress"]
        assert seen == ["accepted", "submitted", "running", "succeeded"]


async def test_a_tenant_whose_ledger_takes_nothing_does_not_slow_the_others() -> None:
    """Each of its commits fails for ten minutes: jobs of the other end as if it were not there, and it catches up."""
    async with service_harness.start(quick()) as here:
        is_full = True
        here.broker.fail_writes(10_000, applied=False, concerns=lambda out: is_full and out[0].topic.startswith("b."))
        for number in range(100):
            tenants.put(here, "b", tenants.job(f"r-{number}"))
        await asyncio.sleep(60)
        for number in range(20):
            tenants.put(here, "a", tenants.job(f"r-{number}"))
        await tenants.until(here, "a", "succeeded", 20, 60)
        now = await status(here)

        assert (now.ready, now.tenants["b"].ready) == (True, False)

        await asyncio.sleep(600)
        assert tenants.count(here, "b", "accepted") == 0

        is_full = False
        await tenants.until(here, "b", "succeeded", 100, 300)
        assert len(here.created()) == len(set(here.created())) == 120


async def test_a_tenant_with_a_ledger_that_cannot_be_read_is_alone_with_it() -> None:
    """A record of a newer version: its partition is parked and named, the other tenant starts."""
    async with service_harness.start(quick(), replicas=0) as here:
        here.broker.put("b.requests.ledger", 0, b"\0claim", json.dumps({"nonce": "x", "format": 99}).encode())
        await here.start_replica()
        tenants.put(here, "a", tenants.job("r-1"))
        await tenants.until(here, "a", "succeeded", 1, 60)
        now = await status(here)
        assert now.ready
        assert "format 99" in now.tenants["b"].reasons[0]


async def test_a_bug_that_ends_one_tenants_runtime_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error is logged with its stack, reported as that tenant's trouble, and tried again."""
    async with service_harness.start(quick(), replicas=0) as here:
        door = here.broker.for_group
        broken = True

        class Broken:
            def __init__(self, kafka: Any) -> None:
                self._whole = door(kafka)

            def __getattr__(self, name: str) -> Any:
                if broken and name == "admin":
                    raise ZeroDivisionError("a bug")
                return getattr(self._whole, name)

        def chosen(kafka: Any) -> Any:
            return Broken(kafka) if kafka.topics.requests == "b.requests" else door(kafka)

        monkeypatch.setattr(here.broker, "for_group", chosen)
        await here.start_replica()
        tenants.put(here, "a", tenants.job("r-1"))
        await tenants.until(here, "a", "succeeded", 1, 60)
        assert "a bug" in (await status(here)).tenants["b"].reasons[0]
        broken = False
        tenants.put(here, "b", tenants.job("r-1"))
        await tenants.until(here, "b", "succeeded", 1, 180)


async def test_a_stop_ends_tenants_that_wait_for_their_next_try() -> None:
    """SIGTERM does not wait for the pause between two tries, and is a good end."""
    async with service_harness.start(quick(), replicas=0) as here:
        no_topic(here)
        replica = await here.start_replica()
        await asyncio.sleep(300)
        began_s = asyncio.get_running_loop().time()
        wiring.stop(replica.served)
        assert replica.task is not None
        await asyncio.wait([replica.task], timeout=30)
        assert replica.task.exception() is None
        assert asyncio.get_running_loop().time() - began_s < 5


async def test_a_connection_that_cannot_be_used_is_its_tenants_trouble_alone() -> None:
    """The MRS of one connection refuses the credentials: `/ready` says so for its tenants, the others are served."""
    lake = mrs_settings.MrsSettings.model_validate(
        {
            "endpoint": f"http://{service_harness.HOST}",
            "project_id": "00000000000000000000lake",
            "access_key": "NOBODY",
            "secret_key": "wrong",
            "budgets": False,
        }
    )

    async with service_harness.start(tenants.tenants(b={"connection": "lake"}, connections={"lake": lake})) as here:
        tenants.put(here, "a", tenants.job("r-1"))
        tenants.put(here, "b", tenants.job("r-1"))
        await tenants.until(here, "a", "succeeded", 1, 60)
        served = here.replicas[0].served
        probes = {one.connection.name: probe.Probe(one.connection.client, "http://mrs.test") for one in served}
        await probes["mrs"].run()
        asked = asyncio.create_task(probes["lake"].run())
        await asyncio.sleep(30)
        now = app.health_of(served, probes)
        ready = {one.name: one.ready for one in measuring.snapshot(served, probes).tenants}
        asked.cancel()
        assert (now.ready, ready) == (True, {"a": True, "b": False})
        assert "does not accept the credentials" in now.tenants["b"].reasons[0]
