"""What a tenant may use, in virtual time: turns, running jobs, jobs of a minute, the queue, the shared quota."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support import scenarios, service_harness, tenants

pytestmark = pytest.mark.looptime


def refused(here: service_harness.ServiceHarness) -> int:
    """Return how many calls MRS answered with 429."""
    return sum(one.status == 429 for replica in here.replicas for one in replica.wire.answered)


async def test_tenants_of_one_connection_share_its_quota_by_turns() -> None:
    """Both have a backlog: MRS's write quota is spent once, not twice, and each gets half of it."""
    emulated = {"clusters": [{"cluster_id": one, "slots": 0} for one in tenants.CLUSTERS]}
    chosen = tenants.tenants(engine={"slots_per_cluster": 0})
    async with service_harness.start(chosen, partitions=2, replicas=2, emulated=emulated) as here:
        await asyncio.sleep(70)  # a first coordinator takes a minute to know what was spent before it
        for number in range(300):  # the first tenant has six clusters full of work, the second has one
            tenants.put(here, "a", tenants.job(f"r-{number}", cluster=tenants.CLUSTERS[number % 6]), number % 2)
            tenants.put(here, "b", tenants.job(f"r-{number}"), number % 2)
        await asyncio.sleep(240)
        done = {tenant: tenants.count(here, tenant, "submitted") for tenant in "ab"}
        assert refused(here) == 0
        assert 0.93 * 240 <= sum(done.values()) <= 1.02 * 240
        assert abs(done["a"] - done["b"]) <= 6


async def test_a_flood_of_one_tenant_does_not_hold_up_another() -> None:
    """Behind 400 requests of one tenant on all clusters, another's request is submitted at its next turn."""
    emulated = {"clusters": [{"cluster_id": one, "slots": 0} for one in tenants.CLUSTERS]}
    async with service_harness.start(tenants.tenants(engine={"slots_per_cluster": 0}), emulated=emulated) as here:
        for number in range(400):
            tenants.put(here, "a", tenants.job(f"r-{number}", cluster=tenants.CLUSTERS[number % 6]))
        await asyncio.sleep(60)
        for number in range(3):
            before_s = asyncio.get_running_loop().time()
            tenants.put(here, "b", tenants.job(f"r-{number}"))
            await tenants.until(here, "b", "submitted", number + 1, 30)
            assert asyncio.get_running_loop().time() - before_s < 2.5


async def test_tenants_take_turns_on_a_cluster_that_is_full() -> None:
    """Ten slots, all taken by one tenant that has more waiting: the next slot that is free is the other's."""
    async with service_harness.start(
        tenants.tenants(mrs={"budgets": False}), emulated={"limits": {"on": False}}
    ) as here:
        for number in range(40):
            tenants.put(here, "a", tenants.job(f"r-{number}", 60.0 + 10 * number))
        await tenants.until(here, "a", "submitted", 10, 60)
        tenants.put(here, "b", tenants.job("r-1"))
        await tenants.until(here, "b", "submitted", 1, 120)
        assert tenants.count(here, "a", "succeeded") <= 2
        assert tenants.count(here, "a", "submitted") <= 12


async def _most_running(here: service_harness.ServiceHarness, tenant: str, ended: int, timeout_s: float) -> int:
    most = 0
    async with asyncio.timeout(timeout_s):
        while tenants.count(here, tenant, "succeeded") < ended:
            await asyncio.sleep(0.2)
            most = max(most, tenants.count(here, tenant, "submitted") - tenants.count(here, tenant, "succeeded"))
    return most


@pytest.mark.parametrize("replicas", [1, 2])
async def test_no_more_of_a_tenant_run_than_it_may(replicas: int) -> None:
    """`limits.running` counts over all replicas; further requests wait, and other tenants do not notice."""
    chosen = tenants.tenants(a={"limits": {"running": 4}}, mrs={"budgets": False})
    async with service_harness.start(
        chosen, partitions=2, replicas=replicas, emulated={"limits": {"on": False}}
    ) as here:
        await asyncio.sleep(5)
        for number in range(12):
            tenants.put(here, "a", tenants.job(f"r-{number}", 10.0), number % 2)
        for number in range(5):
            tenants.put(here, "b", tenants.job(f"r-{number}", 10.0), number % 2)
        await tenants.until(here, "b", "submitted", 5, 5)
        assert await _most_running(here, "a", 12, 300) == 4
        assert tenants.count(here, "a", "rejected") == 0


async def test_jobs_taken_over_count_as_running() -> None:
    """A replica that takes over a tenant's jobs starts no more than are missing from what may run."""
    chosen = tenants.tenants(a={"limits": {"running": 2}}, mrs={"budgets": False})
    async with service_harness.start(chosen, emulated={"limits": {"on": False}}) as here:
        for number in range(6):
            tenants.put(here, "a", tenants.job(f"r-{number}", 100.0))
        await tenants.until(here, "a", "submitted", 2, 30)
        await here.replicas[0].kill()
        await here.start_replica()
        assert await _most_running(here, "a", 6, 900) == 2


async def test_a_limit_that_grows_with_the_share_lets_waiting_requests_go() -> None:
    """Another replica's partition comes to us: our part of `running` is larger at once, not when a job has ended."""
    chosen = tenants.tenants(a={"limits": {"running": 4}}, mrs={"budgets": False})
    async with service_harness.start(chosen, partitions=2, replicas=2, emulated={"limits": {"on": False}}) as here:
        for replica in here.replicas:
            await replica.kafka.ready()
        for number in range(6):
            tenants.put(here, "a", tenants.job(f"r-{number}", 36_000.0))
        await tenants.until(here, "a", "submitted", 2, 60)
        await asyncio.sleep(60)
        assert tenants.count(here, "a", "submitted") == 2
        other = next(
            one for one in here.replicas if 0 not in {each.partition for each in one.kafka.status().partitions}
        )
        await other.kill()
        await tenants.until(here, "a", "submitted", 4, 120)


@pytest.mark.parametrize("replaced", [False, True])
async def test_no_more_are_started_in_a_minute_than_may_be(replaced: bool) -> None:
    """`limits.per_minute`: five at once, and in no 60 seconds more than five, also when another replica takes over."""
    chosen = tenants.tenants(a={"limits": {"per_minute": 5}}, mrs={"budgets": False}, engine={"slots_per_cluster": 0})
    emulated = {"limits": {"on": False}, "clusters": [{"slots": 0}]}

    async with service_harness.start(chosen, emulated=emulated) as here:
        for number in range(22):
            tenants.put(here, "a", tenants.job(f"r-{number}"))
        await tenants.until(here, "a", "submitted", 5, 5)
        if replaced:
            await here.replicas[0].kill()
            await here.start_replica()
        await tenants.until(here, "a", "submitted", 22, 400)
        answered = [one for replica in here.replicas for one in replica.wire.answered]
        at_s = [one.at_s for one in answered if one.verb == "POST"]
        assert len(at_s) == 22
        assert all(later - earlier >= 59.5 for earlier, later in zip(at_s, at_s[5:], strict=False))
        assert at_s[-1] - at_s[0] < 250


async def test_a_request_beyond_the_queue_is_rejected_with_the_name_of_the_rule() -> None:
    """`limits.queued`: three wait, the next are rejected and may be sent again; repeats of those that wait are not."""
    chosen = tenants.tenants(a={"limits": {"running": 1, "queued": 3}}, mrs={"budgets": False})
    async with service_harness.start(chosen, emulated={"limits": {"on": False}}) as here:
        tenants.put(here, "a", tenants.job("r-0", 30.0))
        await tenants.until(here, "a", "running", 1, 30)
        for number in range(1, 6):
            tenants.put(here, "a", tenants.job(f"r-{number}"))
        tenants.put(here, "a", tenants.job("r-1"))
        await tenants.until(here, "a", "rejected", 2, 30)

        assert [tenants.states(here, "a", f"r-{number}")[-1] for number in range(6)] == [
            *("running", "accepted", "accepted", "accepted"),
            *("rejected", "rejected"),
        ]

        reason = next(event.data["reason"] for event in tenants.reported(here, "a") if event.state == "rejected")
        assert (reason["class"], reason["code"], reason["retryable"]) == ("not_allowed", "too_many_queued", True)
        assert "tenants.a.limits.queued" in reason["message"]

        await tenants.until(here, "a", "succeeded", 3, 120)
        tenants.put(here, "a", tenants.job("r-5"))
        await tenants.until(here, "a", "succeeded", 5, 120)

        assert tenants.states(here, "a", "r-5")[:2] == ["rejected", "accepted"]


async def test_the_quota_of_a_connection_is_shared_by_all_its_tenants_partitions() -> None:
    """Three partitions of one tenant and one of another on two replicas: together they spend the quota, and no more."""
    emulated = {"clusters": [{"slots": 0}]}
    async with service_harness.start(
        tenants.tenants(engine={"slots_per_cluster": 0}), replicas=0, emulated=emulated
    ) as here:
        for topic in ("a.requests", "a.requests.ledger"):
            here.broker.drop_topic(topic)
            here.broker.create_topic(topic, 3, {"cleanup.policy": "compact"} if "ledger" in topic else {})

        for _ in range(2):
            await here.start_replica()
        await asyncio.sleep(70)  # as above
        shares = [[one.context.quota.share.owned for one in replica.served] for replica in here.replicas]

        assert [sum(each) for each in zip(*shares, strict=True)] == [3, 1]
        for number in range(400):
            tenants.put(here, "a", tenants.job(f"r-{number}"), number % 3)
            tenants.put(here, "b", tenants.job(f"r-{number}"))

        await asyncio.sleep(240)
        assert refused(here) == 0
        assert 0.93 * 240 <= tenants.count(here, "a", "submitted") + tenants.count(here, "b", "submitted") <= 1.02 * 240


async def test_the_queue_of_a_partition_that_moves_is_counted_where_it_is() -> None:
    """A second replica takes one of two partitions: each counts the requests that wait in its own."""
    chosen = tenants.tenants(a={"limits": {"running": 1, "queued": 100}}, mrs={"budgets": False})
    async with service_harness.start(chosen, partitions=2, emulated={"limits": {"on": False}}) as here:
        for number in range(9):
            tenants.put(here, "a", tenants.job(f"r-{number}", 500.0), number % 2)
        await tenants.until(here, "a", "accepted", 9, 30)
        await here.start_replica()
        await asyncio.sleep(30)
        waiting = [replica.context.quota.queued for replica in here.replicas]
        running = [replica.context.quota.running for replica in here.replicas]
        assert (sum(waiting) + sum(running), min(waiting) > 0) == (9, True)


async def test_a_call_does_not_begin_what_the_limits_would_not_see() -> None:
    """A tenant with a limit of what runs starts no job by `mrs.call`; one without limits may."""
    chosen = tenants.tenants(a={"limits": {"running": 2, "run_deadline_s": 60}}, mrs={"budgets": False})
    call = {"operation": "CreateExecuteJob", "path": {"cluster_id": tenants.CLUSTERS[0]}, "body": scenarios.JOB}
    async with service_harness.start(chosen, emulated={"limits": {"on": False}}) as here:
        for tenant in "ab":
            tenants.put(
                here, tenant, json.dumps({"id": "c", "source": "/test", "type": "mrs.call", "data": call}).encode()
            )
        await tenants.until(here, "a", "rejected", 1, 30)
        await tenants.until(here, "b", "succeeded", 1, 30)
        reason = tenants.reported(here, "a")[-1].data["reason"]
        assert (reason["class"], reason["code"]) == ("not_allowed", "not_followed")
        assert "send mrs.job.submit instead" in reason["message"]
        assert len(here.created()) == 1
