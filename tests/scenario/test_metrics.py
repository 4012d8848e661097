"""What a working relay measures of its jobs, its calls and its partitions."""

from __future__ import annotations

import asyncio
from typing import Any

import prometheus_client
import pytest
from prometheus_client import exposition
from tests.support import measured, service, service_harness

from mrs_relay.messages import codec

pytestmark = pytest.mark.looptime

_FREE: dict[str, Any] = {"mrs": {"budgets": False}}
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_STATE = {"error_code": "12000062", "error_msg": "The cluster state does not allow this"}


def _value(registry: prometheus_client.CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


async def test_waits_runs_and_calls_are_counted_once_for_each_job() -> None:
    """A restore counts nothing again: the second replica has seen no job of the first."""
    async with service_harness.start(service_harness.settings(**_FREE), emulated={"pace": {"run_s": 100}}) as relay:
        async with measured.measured(relay) as seen:
            for number in range(3):
                relay.put(service.job(f"r-{number}"))
            await relay.until_ended([f"r-{number}" for number in range(3)], 600)

            assert _value(seen, "mrs_relay_wait_seconds_count", subject="job") == 3
            assert _value(seen, "mrs_relay_run_seconds_count", subject="job", state="succeeded") == 3
            ran_s = _value(seen, "mrs_relay_run_seconds_sum", subject="job", state="succeeded")
            assert ran_s is not None
            assert 300 <= ran_s <= 3 * 130
            assert _value(seen, "mrs_relay_mrs_calls_total", operation="CreateExecuteJob", outcome="worked") == 3
            commits = _value(seen, "mrs_relay_commit_seconds_count")
            assert commits is not None
            assert commits >= (_value(seen, "mrs_relay_commits_total") or 0)
            assert _value(seen, "mrs_relay_restore_seconds_count") == 1
            assert _value(seen, "mrs_relay_rebalances_total") == 1
            state = {"topic": "mrs.requests", "partition": "0"}
            assert _value(seen, "mrs_relay_partition_state", **state, state="running") == 1
            assert _value(seen, "mrs_relay_partition_lag_records", **state) == 0

        await relay.replicas[0].kill()
        await relay.start_replica()
        await asyncio.sleep(30)
        counts = relay.replicas[1].context.counts
        assert not counts.waits
        assert not counts.runs


async def test_the_oldest_request_and_the_time_of_a_pause_grow_while_a_cluster_is_away() -> None:
    """By cluster, with its share of the time."""
    async with service_harness.start(service_harness.settings(**_FREE)) as relay, measured.measured(relay) as seen:
        relay.trouble(action="status", operation="CreateExecuteJob", status=400, body=_STATE, count=None)
        relay.put(service.job("r-1"))
        await asyncio.sleep(240)
        assert _value(seen, "mrs_relay_ledger_jobs", state="queued") == 1
        waited_s = _value(seen, "mrs_relay_oldest_waiting_seconds", cluster=service.CLUSTER)
        open_s = _value(
            seen, "mrs_relay_circuit_open_seconds_total", cluster=service.CLUSTER, operation="CreateExecuteJob"
        )
        for seconds in (waited_s, open_s):
            assert seconds is not None
            assert 230 <= seconds <= 241


async def test_a_429_is_counted_and_so_is_the_time_that_it_costs() -> None:
    """The answer, and the seconds in which nothing may be sent."""
    async with service_harness.start(service_harness.settings(**_FREE)) as relay, measured.measured(relay) as seen:
        relay.trouble(action="status", operation="CreateExecuteJob", status=429)
        relay.put(service.job("r-1"))
        await relay.until_ended(["r-1"], 600)
        assert _value(seen, "mrs_relay_mrs_throttled_total") == 1
        assert _value(seen, "mrs_relay_mrs_calls_total", operation="CreateExecuteJob", outcome="throttled") == 1
        held_s = _value(seen, "mrs_relay_throttled_seconds_total")
        assert held_s is not None
        assert 25 <= held_s <= 35


async def test_a_bucket_shows_the_trace_of_a_request_to_callers_who_accept_openmetrics() -> None:
    """The trace id of the last one; plain text has no place for it."""
    async with service_harness.start(service_harness.settings(**_FREE)) as relay, measured.measured(relay) as seen:
        relay.put(codec.encode({**codec.decode(service.job("r-1")), "traceparent": f"00-{_TRACE}-00f067aa0ba902b7-01"}))
        await relay.until_ended(["r-1"], 600)
        encode, _ = exposition.choose_encoder("application/openmetrics-text; version=1.0.0")
        shown = [line for line in encode(seen).decode().splitlines() if f'trace_id="{_TRACE}"' in line]
        assert {line.partition("_bucket")[0] for line in shown} == {"mrs_relay_wait_seconds", "mrs_relay_run_seconds"}
        assert _TRACE not in prometheus_client.generate_latest(seen).decode()


async def test_a_consumer_is_silent_for_as_long_as_kafka_is() -> None:
    """Seconds since it was heard, and that commits and look-ups fail meanwhile."""
    async with service_harness.start(service_harness.settings(**_FREE)) as relay, measured.measured(relay) as seen:
        await asyncio.sleep(30)
        assert (_value(seen, "mrs_relay_consumer_silent_seconds") or 0.0) < 5
        assert _value(seen, "mrs_relay_kafka_connected") == 1
        relay.broker.go_down()
        await asyncio.sleep(60)
        silent_s = _value(seen, "mrs_relay_consumer_silent_seconds")
        assert silent_s is not None
        assert 50 <= silent_s <= 61
        assert _value(seen, "mrs_relay_kafka_connected") == 0
        relay.broker.come_up()
        await asyncio.sleep(90)
        assert (_value(seen, "mrs_relay_consumer_silent_seconds") or 0.0) < 5
