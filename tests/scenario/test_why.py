"""What a whole relay says about requests that wait, in each situation that makes them wait."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support import service, service_harness, status_board

from mrs_relay.common import clock

pytestmark = pytest.mark.looptime

_STATUS: dict[str, Any] = {"kafka": {"topics": {"status": status_board.TOPIC}}}
_FREE: dict[str, Any] = {"mrs": {"budgets": False}, **_STATUS}
_STATE = {"error_code": "12000062", "error_msg": "The cluster state does not allow this"}


def _settings(**engine: Any) -> Any:
    """Return a relay without quota."""
    return service_harness.settings(engine=engine, **_FREE)


async def test_a_request_for_a_full_cluster_names_the_jobs_that_it_waits_for() -> None:
    """The slots, who holds them, and its place in line by priority."""
    emulated = {"pace": {"run_s": 600}}
    async with service_harness.start(_settings(slots_per_cluster=2), emulated=emulated) as relay:
        for number in range(2):
            relay.put(service.job(f"r-{number}"))
        await asyncio.sleep(1)
        relay.put(service.job("r-2"))
        relay.put(service.job("r-3", priority=9))
        await asyncio.sleep(3)

        first = status_board.held(relay, "r-3")
        assert list(first) == ["slots_taken"]
        assert "2 of 2 slots" in first["slots_taken"].text
        assert [one.id for one in first["slots_taken"].jobs] == ["r-0", "r-1"]
        second = status_board.held(relay, "r-2")
        assert list(second) == ["slots_taken", "in_line"]
        assert "1 request goes before it, of 2" in second["in_line"].text
        assert [one.id for one in second["in_line"].jobs] == ["r-3"]
        assert status_board.held(relay, "r-0")["on_mrs"].text.startswith("MRS has it since")


async def test_a_request_that_waits_for_the_quota_says_how_much_of_it_is_used() -> None:
    """Calls used and granted, and how many wait for it."""
    async with service_harness.start(service_harness.settings(**_STATUS)) as relay:
        for number in range(90):
            relay.put(service.job(f"r-{number}", cluster=f"c-{number}"))
        await asyncio.sleep(3)
        waiting = status_board.held(relay, "r-80", cluster="c-80")
        assert list(waiting) == ["quota"]
        assert "of 60 calls used, of 60 for all relays" in waiting["quota"].text
        assert "for which 88 wait here" in waiting["quota"].text


async def test_a_request_before_its_time_says_when_that_is() -> None:
    """Its not_before."""
    async with service_harness.start(_settings()) as relay:
        when_ms = relay.time.now_ms() + 3_600_000
        relay.put(service.job("r-1", not_before=clock.rfc3339(when_ms)))
        await asyncio.sleep(3)
        held = status_board.held(relay, "r-1")
        assert list(held) == ["not_before"]
        assert held["not_before"].earliest_ms == when_ms


async def test_a_submission_in_doubt_says_until_when_it_is_looked_up() -> None:
    """Settling and visibility, from the lost reply on."""
    async with service_harness.start(_settings()) as relay:
        relay.trouble(action="drop_before", operation="CreateExecuteJob", count=1)
        begun_ms = relay.time.now_ms()
        relay.put(service.job("r-1"))
        await asyncio.sleep(3)
        held = status_board.held(relay, "r-1")
        assert list(held) == ["in_doubt"]
        assert 105_000 <= held["in_doubt"].earliest_ms - begun_ms <= 107_000
        await relay.until_ended(["r-1"], 600)
        assert list(status_board.held(relay, "r-1", ended=True)) == ["ended"]


@pytest.mark.parametrize(
    ("trouble", "code", "text"),
    [
        ({"action": "status", "status": 429, "headers": {"Retry-After": "60"}}, "mrs_paused", "MRS throttles (429)"),
        ({"action": "status", "status": 503}, "cluster_paused", "circuit open: cluster"),
        ({"action": "status", "status": 500, "body": _STATE}, "cluster_paused", "takes no jobs in its state"),
        ({"action": "busy"}, "cluster_paused", "has no room, says MRS"),
    ],
)
async def test_a_request_that_mrs_does_not_take_says_what_mrs_answers(
    trouble: dict[str, Any], code: str, text: str
) -> None:
    """Throttling pauses the connection, other answers one cluster."""
    async with service_harness.start(_settings(busy_wait_s=60, slots_per_cluster=50)) as relay:
        relay.trouble(operation="CreateExecuteJob", count=1000, **trouble)
        for number in range(15):
            relay.put(service.job(f"r-{number}"))
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        held = status_board.held(relay, "r-14")
        assert code in held, held
        assert text in held[code].text
        assert code != "mrs_paused" or held[code].earliest_ms > relay.time.now_ms()


async def test_a_request_without_a_running_cluster_says_so() -> None:
    """A cluster that is chosen by name or tags, and does not run."""
    async with service_harness.start(_settings()) as relay:
        data = {"cluster": {"name": "nightly"}, "job": {"job_type": "SparkSubmit", "job_name": "j"}}
        relay.put(json.dumps({"id": "r-1", "source": "/test", "type": "mrs.job.submit", "data": data}).encode())
        relay.trouble(operation="ListClusters", action="status", status=503, count=1000)
        await asyncio.sleep(3)
        assert list(status_board.held(relay, "r-1", cluster="")) == ["cluster_choice"]


async def test_a_tenant_at_its_limit_says_which_limit() -> None:
    """limits.running and limits.per_minute."""
    limits = {"running": {"running": 1}, "pace": {"per_minute": 1}}
    tenants = {name: {"requests": f"in.{name}", "limits": limit} for name, limit in limits.items()}
    chosen = service_harness.settings(tenants=tenants, **_FREE)
    async with service_harness.start(chosen, emulated={"pace": {"run_s": 600}}) as relay:
        for name in limits:
            for number in range(2):
                relay.put(service.job(f"{name}-{number}"), topic=f"in.{name}")
        await asyncio.sleep(10)
        assert "limits.running, 1 of 1" in status_board.held(relay, "running-1", tenant="running")["limit_running"].text
        held = status_board.held(relay, "pace-1", tenant="pace")
        assert "limits.per_minute, 1" in held["limit_per_minute"].text
        assert held["limit_per_minute"].earliest_ms > relay.time.now_ms()


async def test_a_partition_that_nobody_serves_is_named() -> None:
    """Its owner no longer lists it, and no other one has taken it over."""
    async with service_harness.start(_settings(slots_per_cluster=1), emulated={"pace": {"run_s": 6000}}) as relay:
        relay.put(service.job("r-1"))
        relay.put(service.job("r-2"))
        await asyncio.sleep(5)
        await relay.replicas[0].kill()
        await asyncio.sleep(5)
        held = status_board.held(relay, "r-2")
        assert list(held) == ["partition_not_served"]
        assert held["partition_not_served"].clears == "a relay that takes it over"


async def test_a_replica_that_leaves_takes_its_status_along() -> None:
    """Only its partitions stay, without an owner that reports."""
    async with service_harness.start(_settings()) as relay:
        relay.put(service.job("r-1"))
        await relay.until_ended(["r-1"], 600)
        await asyncio.sleep(2)
        now_ms = relay.time.now_ms()
        assert [seen.stale for seen in status_board.read(relay.broker).partitions(now_ms)] == [False]
        await relay.stack.aclose()
        board = status_board.read(relay.broker)
        assert (board.replicas(now_ms), board.clusters(now_ms)) == ([], [])
        assert [seen.stale for seen in board.partitions(now_ms)] == [True]


async def test_a_request_for_a_paused_and_full_connection_names_both() -> None:
    """The pause of the connection, and the slots that are taken all the same."""
    async with service_harness.start(_settings(slots_per_cluster=1), emulated={"pace": {"run_s": 600}}) as relay:
        relay.put(service.job("r-1"))
        await asyncio.sleep(2)
        throttled = {"action": "status", "status": 429, "headers": {"Retry-After": "60"}}
        relay.trouble(operation="CreateExecuteJob", count=1000, **throttled)
        relay.put(service.job("r-2"))
        relay.put(service.job("r-3", cluster="c-2"))
        await asyncio.sleep(3)
        assert list(status_board.held(relay, "r-2")) == ["mrs_paused", "slots_taken"]


async def test_a_request_that_a_person_holds_names_the_control() -> None:
    """It is in no queue; the requests of other clusters are not held."""
    async with service_harness.start(_settings()) as relay:
        value = json.dumps({"mode": "hold", "reason": "maintenance", "by": "ann"}).encode()
        relay.put(value, key=f"cluster/{service.CLUSTER}".encode(), topic="mrs.control")
        await asyncio.sleep(2)
        relay.put(service.job("r-1"))
        await asyncio.sleep(3)
        held = status_board.held(relay, "r-1")
        assert list(held) == ["control"]
        assert held["control"].text == f"hold of cluster/{service.CLUSTER} by ann: maintenance"
