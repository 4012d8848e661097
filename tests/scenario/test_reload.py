"""Limits and rules that change while the relay runs, in virtual time."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import service_harness, tenants

from mrs_relay import settings, wiring
from mrs_relay.messages import audit

pytestmark = pytest.mark.looptime

_EMULATED = {"limits": {"on": False}}


def _adopt(here: service_harness.ServiceHarness, chosen: settings.Settings) -> None:
    for replica in here.replicas:
        wiring.adopt(replica.served, chosen)


async def test_a_raised_limit_lets_what_waits_go_at_once_and_a_lowered_one_stops_no_job() -> None:
    """Running jobs count against the new limit, and end as they would have."""
    chosen = tenants.tenants({"limits": {"running": 2}}, mrs={"budgets": False})
    async with service_harness.start(chosen, partitions=2, emulated=_EMULATED) as here:
        for number in range(8):
            tenants.put(here, "a", tenants.job(f"r-{number}", 600.0), number % 2)
        await tenants.until(here, "a", "submitted", 2, 30)
        await asyncio.sleep(30)
        assert tenants.count(here, "a", "submitted") == 2

        _adopt(here, tenants.tenants({"limits": {"running": 5}}, mrs={"budgets": False}))
        await tenants.until(here, "a", "submitted", 5, 5)
        _adopt(here, tenants.tenants({"limits": {"running": 1}}, mrs={"budgets": False}))
        await asyncio.sleep(700)
        assert tenants.count(here, "a", "succeeded") == 5
        assert tenants.count(here, "a", "submitted") == 6
        assert tenants.count(here, "a", "failed") + tenants.count(here, "a", "cancelled") == 0


async def test_a_limit_that_is_new_or_gone_holds_from_the_reload_on() -> None:
    """Without a limit nothing was counted for starts; what runs was."""
    async with service_harness.start(tenants.tenants(mrs={"budgets": False}), emulated=_EMULATED) as here:
        for number in range(3):
            tenants.put(here, "a", tenants.job(f"r-{number}", 600.0))
        await tenants.until(here, "a", "submitted", 3, 30)
        _adopt(here, tenants.tenants({"limits": {"running": 3, "per_minute": 1}}, mrs={"budgets": False}))
        tenants.put(here, "a", tenants.job("r-3"))
        await asyncio.sleep(60)
        assert tenants.count(here, "a", "submitted") == 3
        _adopt(here, tenants.tenants(mrs={"budgets": False}))
        await tenants.until(here, "a", "submitted", 4, 5)


async def test_new_rules_judge_what_is_read_afterwards() -> None:
    """What was accepted before continues; the defaults are those of the moment; the other tenant notices nothing."""
    async with service_harness.start(tenants.tenants(), emulated=_EMULATED) as here:
        tenants.put(here, "a", tenants.job("before", 30.0))
        await tenants.until(here, "a", "submitted", 1, 30)
        _adopt(here, tenants.tenants({"allow": {"types": ["mrs.sql.submit"]}}))
        for tenant in "ab":
            tenants.put(here, tenant, tenants.job("after"))
        await tenants.until(here, "a", "rejected", 1, 30)
        await tenants.until(here, "b", "succeeded", 1, 120)
        await tenants.until(here, "a", "succeeded", 1, 120)
        assert tenants.states(here, "a", "after") == ["rejected"]


async def test_slots_change_for_all_clusters() -> None:
    """More submissions go at once; fewer slots stop no job."""

    def with_slots(count: int) -> settings.Settings:
        made: settings.Settings = tenants.tenants(engine={"slots_per_cluster": count}, mrs={"budgets": False})
        return made

    async with service_harness.start(with_slots(1), emulated=_EMULATED) as here:
        for number in range(4):
            tenants.put(here, "a", tenants.job(f"r-{number}", 600.0))
        await tenants.until(here, "a", "submitted", 1, 30)
        _adopt(here, with_slots(3))
        await tenants.until(here, "a", "submitted", 3, 5)
        _adopt(here, with_slots(1))
        await asyncio.sleep(60)
        assert tenants.count(here, "a", "submitted") == 3


async def test_an_accepted_loss_is_on_record_once_before_any_partition_goes_on() -> None:
    """Who runs the relay has decided it by its settings; each tenant's topics are named."""
    chosen = tenants.tenants(kafka={"accept_loss": True})
    async with service_harness.start(chosen, emulated=_EMULATED) as here:
        tenants.put(here, "a", tenants.job("r-1"))
        await tenants.until(here, "a", "succeeded", 1, 60)
        decided = [audit.read(one.value) for one in here.broker.committed("mrs.audit")]
        found = {one.data.tenant: one.data for one in decided}
        assert len(decided) == len(found) == 2
        assert (found["a"].action, found["a"].via) == ("loss.accept", "settings")
        assert found["a"].what == {"requests": "a.requests", "ledger": "a.requests.ledger"}
        assert found["a"].after == {"kafka.accept_loss": True}


async def test_where_no_loss_is_accepted_nothing_is_on_record() -> None:
    """The usual start."""
    async with service_harness.start(tenants.tenants(), emulated=_EMULATED) as here:
        tenants.put(here, "a", tenants.job("r-1"))
        await tenants.until(here, "a", "succeeded", 1, 60)
        assert here.broker.committed("mrs.audit") == []
