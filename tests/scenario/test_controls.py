"""Controls through the whole service in virtual time: what they hold back, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from tests.support import history, service, service_harness, tenants

from mrs_relay.messages import controls

pytestmark = pytest.mark.looptime

_CONTROL = "mrs.control"
BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


def control(here: service_harness.ServiceHarness, scope: str, mode: str | None = "hold", **more: Any) -> None:
    """Set a control, as a message; None lifts it."""
    value = None if mode is None else json.dumps({"mode": mode, "reason": "upgrade", "by": "ann", **more}).encode()
    here.broker.put(_CONTROL, 0, scope.encode(), value)


def _now_ms(here: service_harness.ServiceHarness) -> int:
    return here.time.now_ms()


@contextlib.asynccontextmanager
async def _world(guarantee: str = "exactly-once", **more: Any) -> AsyncIterator[service_harness.ServiceHarness]:
    chosen = service_harness.settings(kafka={"guarantee": guarantee}, **more.pop("settings", {}))
    async with service_harness.start(chosen, **more) as here:
        yield here


@BOTH
async def test_hold_is_known_before_the_first_submission(guarantee: str) -> None:
    """A worker that starts with work in its topic, and a hold in the other, submits nothing."""
    async with _world(guarantee, replicas=0) as here:
        control(here, "all")
        for number in range(5):
            here.put(service.job(f"r-{number}"))
        await here.start_replica()
        await asyncio.sleep(600)
        assert here.created() == []
        assert here.states("r-0") == ["accepted"]

        control(here, "all", None)
        await here.until_ended([f"r-{number}" for number in range(5)], 600)
        assert history.faults([f"r-{number}" for number in range(5)], here.events(), here.created()) == []


async def test_replica_that_cannot_read_the_controls_takes_no_partition() -> None:
    """Nothing is submitted in the meantime; a replica that can read them keeps its partitions."""
    async with _world(replicas=0) as here:
        control(here, "all")
        here.broker.lose_leader(_CONTROL, 0)
        here.put(service.job("r-1"))
        replica = await here.start_replica()
        await asyncio.sleep(120)
        assert (here.created(), here.states("r-1")) == ([], [])
        assert "controls in topic mrs.control have not been read yet" in (replica.kafka.status().error or "")

        here.broker.regain_leaders()
        await asyncio.sleep(120)
        assert (here.created(), here.states("r-1")) == ([], ["accepted"])


@BOTH
async def test_hold_survives_the_restart_and_the_takeover(guarantee: str) -> None:
    """Every replica ends, and each new one knows the hold; so does the one that takes over."""
    async with _world(guarantee, partitions=2, replicas=2) as here:
        await asyncio.sleep(10)
        control(here, f"cluster/{service.CLUSTER}")
        await asyncio.sleep(1)
        for number in range(6):
            here.put(service.job(f"r-{number}"), partition=number % 2, key=None)
        await asyncio.sleep(30)

        await here.replicas[0].kill()  # takeover
        await asyncio.sleep(120)
        await here.replicas[1].kill()  # restart
        await here.start_replica()
        await asyncio.sleep(120)
        assert here.created() == []

        control(here, f"cluster/{service.CLUSTER}", "release")
        await here.until_ended([f"r-{number}" for number in range(6)], 600)
        assert len(here.created()) == 6


async def test_hold_reaches_every_replica_within_a_second() -> None:
    """What comes a second after it is held, on whichever replica it is."""
    async with _world(partitions=2, replicas=2) as here:
        await asyncio.sleep(10)
        control(here, "label/team=etl")
        await asyncio.sleep(1)
        for partition in range(2):
            here.put(service.job(f"held-{partition}", labels={"team": "etl"}), partition=partition)
            here.put(service.job(f"free-{partition}", labels={"team": "bi"}), partition=partition)
        await here.until_ended(["free-0", "free-1"], 300)
        assert here.states("held-0") == here.states("held-1") == ["accepted"]


async def test_jobs_under_way_go_on_under_a_hold() -> None:
    """A committed intent is sent and followed to its end: only what is new waits."""
    async with _world() as here:
        here.put(service.job("r-1"))
        while "submitted" not in here.states("r-1"):
            await asyncio.sleep(0.1)
        control(here, "all")
        await here.until_ended(["r-1"], 300)
        assert here.states("r-1")[-1] == "succeeded"


async def test_cancel_of_a_held_job_acts() -> None:
    """It ends at once, and does not come back with the release."""
    async with _world() as here:
        control(here, "all")
        await asyncio.sleep(5)
        here.put(service.job("r-1"))
        await asyncio.sleep(5)
        here.put(service.cancel("c-1", "r-1"))
        await here.until_ended(["r-1"], 30)
        assert here.states("r-1") == ["accepted", "cancelled"]
        control(here, "all", None)
        await asyncio.sleep(60)
        assert here.created() == []


async def test_hold_ends_by_itself() -> None:
    """At `until` the jobs go, without a further message."""
    async with _world() as here:
        await asyncio.sleep(5)
        until = dt.datetime.fromtimestamp(_now_ms(here) / 1000 + 100, dt.UTC).isoformat()
        control(here, "type/job", until=until)
        await asyncio.sleep(1)
        here.put(service.job("r-1"))
        await asyncio.sleep(95)
        assert here.created() == []
        await asyncio.sleep(5)
        assert len(here.created()) == 1


async def test_deadline_of_a_held_job_runs_on_and_its_event_names_the_hold() -> None:
    """Whoever set a deadline does not want the work later; the reason says what it waited for."""
    async with _world() as here:
        control(here, "all")
        await asyncio.sleep(5)
        here.put(service.job("r-1", queue_deadline_s=60))
        await here.until_ended(["r-1"], 90)
        last = here.events()[-1]
        assert (last.state, last.data["reason"]["code"]) == ("cancelled", "queue_deadline")
        assert "a control holds it; hold of all by ann: upgrade" in last.data["reason"]["message"]


async def test_hold_of_a_tenant_leaves_the_others_alone() -> None:
    """One topic of controls for all tenants of a deployment."""
    async with service_harness.start(tenants.tenants()) as here:
        control(here, "tenant/a")
        await asyncio.sleep(5)
        for tenant in "ab":
            tenants.put(here, tenant, tenants.job("r-1"))
        await tenants.until(here, "b", "succeeded", 1, 120)
        assert tenants.states(here, "a", "r-1") == ["accepted"]
        control(here, "tenant/a", None)
        await tenants.until(here, "a", "succeeded", 1, 120)


async def test_released_request_leaves_quarantine_and_runs_once() -> None:
    """The others stay until they are released or rejected."""
    async with _world() as here:
        control(here, "label/team=etl", "quarantine")
        await asyncio.sleep(5)
        for number in range(3):
            here.put(service.job(f"r-{number}", labels={"team": "etl"}))
        await asyncio.sleep(30)
        assert here.created() == []

        control(here, "request/r-1", "release")
        await here.until_ended(["r-1"], 300)
        await asyncio.sleep(60)
        assert (len(here.created()), here.states("r-0"), here.states("r-2")) == (1, ["accepted"], ["accepted"])


@BOTH
async def test_rejected_requests_end_as_cancelled_and_later_ones_wait(guarantee: str) -> None:
    """The event names the control; nothing of them runs, also when a replica begins after the rejection."""
    async with _world(guarantee) as here:
        control(here, "all", "quarantine")
        await asyncio.sleep(5)
        here.put(service.job("r-0"))
        here.put(service.job("r-1"))
        await asyncio.sleep(30)
        await here.replicas[0].kill()
        control(here, "all", "reject", at=dt.datetime.fromtimestamp(_now_ms(here) / 1000, dt.UTC).isoformat())
        await here.start_replica()
        await here.until_ended(["r-0", "r-1"], 120)
        last = here.events()[-1]
        assert (last.state, last.data["reason"]["class"]) == ("cancelled", "cancelled")
        assert last.data["reason"]["code"] == "control_rejected"
        assert "reject of all by ann: upgrade" in last.data["reason"]["message"]

        here.put(service.job("r-2"))
        await asyncio.sleep(60)
        assert here.states("r-2") == ["accepted"]
        assert here.created() == []


async def test_rejection_that_is_lifted_at_once_gives_no_turn() -> None:
    """The job goes back to its queue: the only slot is taken, and it waits for it like before."""
    async with _world(settings={"engine": {"slots_per_cluster": 1}}, emulated={"pace": {"run_s": 300.0}}) as here:
        here.put(service.job("r-1"))
        here.put(service.job("r-2"))
        await asyncio.sleep(30)
        found = here.replicas[0].context.controls
        reject = controls.Control(scope=controls.scope("all"), mode="reject", reason="why", at_ms=_now_ms(here))
        found.put(reject.scope, reject)
        found.put(reject.scope, None)
        await asyncio.sleep(60)
        assert (len(here.created()), here.states("r-2")) == (1, ["accepted"])
        await here.until_ended(["r-1", "r-2"], 1200)
        assert here.states("r-2")[-1] == "succeeded"


async def test_skipped_message_becomes_a_dead_letter_with_its_bytes() -> None:
    """The one in front of it and the one behind it run."""
    async with _world(replicas=0) as here:
        control(here, "offset/mrs.requests/0/1", "skip")
        for number in range(3):
            here.put(service.job(f"r-{number}"))
        await here.start_replica()
        await here.until_ended(["r-0", "r-2"], 300)
        assert here.states("r-1") == []
        (letter,) = here.broker.committed(here.chosen.kafka.topics.dead_letters)
        assert letter.value == service.job("r-1")
        headers = dict(letter.headers)
        assert headers["mrs_relay_reason"] == b"skipped"
        assert b"skip of offset/mrs.requests/0/1 by ann: upgrade" in headers["mrs_relay_message"]


async def test_job_that_waits_for_a_slot_is_held() -> None:
    """A control takes what waits already, not only what comes."""
    async with _world(settings={"engine": {"slots_per_cluster": 1}}) as here:
        here.put(service.job("r-1"))
        here.put(service.job("r-2"))
        while "submitted" not in here.states("r-1"):
            await asyncio.sleep(0.1)
        assert here.replicas[0].context.scheduler.load(service.CLUSTER) == (1, 1)
        control(here, "request/r-2")
        await here.until_ended(["r-1"], 300)
        await asyncio.sleep(60)
        assert here.states("r-2") == ["accepted"]


async def test_drain_holds_what_is_new_and_reports_the_end_of_the_last_one() -> None:
    """The count goes down with the jobs under way; the end is logged once."""
    async with _world(emulated={"pace": {"run_s": 120.0}}) as here:
        here.put(service.job("r-1"))
        here.put(service.job("r-2"))
        while here.states("r-2")[-1:] not in (["submitted"], ["running"]):
            await asyncio.sleep(0.1)
        found = here.replicas[0].context.controls
        with structlog.testing.capture_logs() as logs:
            control(here, f"cluster/{service.CLUSTER}", "drain")
            await asyncio.sleep(3)
            here.put(service.job("r-3"))
            await asyncio.sleep(10)
            assert list(found.draining.values()) == [2]
            assert "drain_ended" not in {line["event"] for line in logs}

            await here.until_ended(["r-1", "r-2"], 600)
            await asyncio.sleep(30)
            assert list(found.draining.values()) == [0]
        ended = [line for line in logs if line["event"] == "drain_ended"]
        assert [(line["scope"], line["by"]) for line in ended] == [(f"cluster/{service.CLUSTER}", "ann")]
        assert here.states("r-3") == ["accepted"]

        control(here, f"cluster/{service.CLUSTER}", None)
        await here.until_ended(["r-3"], 600)
        assert not found.draining
