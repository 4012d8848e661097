"""Which alerts fire while a relay is in trouble: what it shows is recorded, and played through promtool."""

from __future__ import annotations

import asyncio
import datetime as dt
import pathlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trustme
from tests.support import measured, promtool, service, service_harness

from mrs_relay import wiring
from mrs_relay.kafka.memory import memory_group

pytestmark = pytest.mark.looptime

_FREE: dict[str, Any] = {"mrs": {"budgets": False}}
_STATE = {"error_code": "12000062", "error_msg": "The cluster state does not allow this"}
_STEP_S = 15
_RUNS = {"series": 'mrs_relay_build_info{version="1"}', "values": "1x200"}
_BEFORE_S = 120
_WITHIN_S = 300
"""The time in which the right alert must fire."""

Trouble = Callable[[service_harness.ServiceHarness], Awaitable[None]]


async def _cluster_away(relay: service_harness.ServiceHarness) -> None:
    relay.trouble(action="status", operation="CreateExecuteJob", status=400, body=_STATE, count=None)
    relay.put(service.job("r-1"))


async def _quota_used_up(relay: service_harness.ServiceHarness) -> None:
    for number in range(500):
        relay.put(service.job(f"r-{number}", cluster=f"c-{number}"))


async def _job_lost(relay: service_harness.ServiceHarness) -> None:
    relay.trouble(action="lost_job", operation="CreateExecuteJob")
    relay.put(service.job("r-1"))


async def _kafka_away(relay: service_harness.ServiceHarness) -> None:
    relay.broker.go_down()


async def _mrs_throttles(relay: service_harness.ServiceHarness) -> None:
    relay.trouble(action="status", operation="*", status=429, headers={"Retry-After": "20"}, count=None)
    relay.put(service.job("r-1"))


async def _no_message_readable(relay: service_harness.ServiceHarness) -> None:
    relay.put(b"no JSON")


@pytest.mark.parametrize(
    ("trouble", "alerts", "settings"),
    [
        (_cluster_away, {"MrsRelayClusterAway"}, _FREE),
        (_quota_used_up, {"MrsRelayQuotaExhausted"}, {}),
        (_job_lost, {"MrsRelayJobStuck"}, _FREE),
        (_kafka_away, {"MrsRelayKafkaAway", "MrsRelayConsumerSilent", "MrsRelayNotReady"}, _FREE),
        (_mrs_throttles, {"MrsRelayThrottled"}, _FREE),
        (_no_message_readable, {"MrsRelayDeadLetters"}, _FREE),
    ],
)
async def test_the_right_alert_fires_within_five_minutes(
    trouble: Trouble, alerts: set[str], settings: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """It, and no other."""
    emulated = {"pace": {"run_s": 3600}}
    async with service_harness.start(service_harness.settings(**settings), emulated=emulated) as relay:
        recording = await _recorded(relay, trouble)
    promtool.expect(tmp_path, recording.written(), alerts, step_s=_STEP_S, at_s=_BEFORE_S + _WITHIN_S)


async def _recorded(relay: service_harness.ServiceHarness, trouble: Trouble) -> measured.Recording:
    """Record a relay from before a trouble until the right alert must fire."""
    recording, names, origin_s = measured.Recording(_STEP_S), promtool.names(), relay.time.now_ms() / 1000
    async with measured.measured(relay) as seen:
        await measured.record(recording, seen, names, origin_s, _BEFORE_S)
        await trouble(relay)
        await measured.record(recording, seen, names, origin_s, _WITHIN_S + _STEP_S)
    return recording


async def test_a_partition_whose_ledger_was_cut_is_parked_and_an_alert_says_so(tmp_path: pathlib.Path) -> None:
    """The next owner finds it."""
    async with service_harness.start(service_harness.settings(**_FREE)) as relay:
        relay.put(service.job("r-1"))
        await relay.until_ended(["r-1"], 600)
        await relay.replicas[0].kill()
        relay.broker.cut(relay.chosen.kafka.topics.ledger, 0, 3)
        await relay.start_replica()

        recording, origin_s = measured.Recording(_STEP_S), relay.time.now_ms() / 1000
        async with measured.measured(relay, replica=1) as seen:
            await measured.record(recording, seen, promtool.names(), origin_s, _WITHIN_S + _STEP_S)
    promtool.expect(tmp_path, recording.written(), {"MrsRelayPartitionParked"}, step_s=_STEP_S, at_s=_WITHIN_S)


def test_a_partition_that_fails_between_its_restores_is_reported(tmp_path: pathlib.Path) -> None:
    """It waits for half a minute after each restore, which takes a minute until it fails."""
    where = 'topic="mrs.requests", partition="0"'
    fails = {"waiting": "0 0 0 0 1 1 " * 6, "restoring": "1 1 1 1 0 0 " * 6}
    series = [
        {"series": f'mrs_relay_partition_state{{{where}, state="{state}"}}', "values": values}
        for state, values in fails.items()
    ]
    promtool.expect(
        tmp_path, [_RUNS, *series], {"MrsRelayPartitionNotWorking"}, step_s=_STEP_S, at_s=_BEFORE_S + _WITHIN_S
    )


def test_a_group_that_is_rebalanced_for_half_an_hour_is_reported(tmp_path: pathlib.Path) -> None:
    """By a pod that is started again every five minutes."""
    series = {"series": "mrs_relay_rebalances_total", "values": " ".join(str(5 * (step // 20)) for step in range(160))}
    promtool.expect(tmp_path, [_RUNS, series], {"MrsRelayRebalancesOften"}, step_s=_STEP_S, at_s=2_370)


async def test_a_consumer_that_hears_nothing_while_kafka_answers_is_reported(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the relay replaces it again and again, and none of the new ones hears more."""
    async with service_harness.start(service_harness.settings(**_FREE)) as relay:

        async def silence(_relay: service_harness.ServiceHarness) -> None:
            monkeypatch.setattr(memory_group.MemoryGroupConsumer, "last_answer", lambda _self, _position: 1)

        recording = await _recorded(relay, silence)
        monkeypatch.undo()
    promtool.expect(
        tmp_path, recording.written(), {"MrsRelayConsumerSilent"}, step_s=_STEP_S, at_s=_BEFORE_S + _WITHIN_S
    )


async def test_a_certificate_that_expires_in_ten_days_is_reported(tmp_path: pathlib.Path) -> None:
    """The file as it is, by its own date."""
    authority = tmp_path / "authority.pem"
    async with service_harness.start(service_harness.settings(mrs={"budgets": False, "ca_file": authority})) as relay:
        expires = dt.datetime.fromtimestamp(relay.time.now_ms() / 1000, dt.UTC) + dt.timedelta(days=10)
        authority.write_bytes(trustme.CA().issue_cert("mrs.test", not_after=expires).cert_chain_pems[0].bytes())

        async def nothing(_relay: service_harness.ServiceHarness) -> None:
            pass

        recording = await _recorded(relay, nothing)
    promtool.expect(
        tmp_path, recording.written(), {"MrsRelayCertificateExpires"}, step_s=_STEP_S, at_s=_BEFORE_S + _WITHIN_S
    )


async def test_no_alert_fires_in_a_calm_week(tmp_path: pathlib.Path) -> None:
    """
    Jobs come and go, a cluster is full now and then, and a few calls fail.

    Two hours are recorded, and played 84 times.
    """
    recording, names = measured.Recording(120), promtool.names()
    emulated = {"pace": {"run_s": 400}}
    async with service_harness.start(service_harness.settings(), emulated=emulated) as relay:
        origin_s = relay.time.now_ms() / 1000
        async with measured.measured(relay) as seen, asyncio.TaskGroup() as group:
            traffic = group.create_task(_traffic(relay))
            await asyncio.sleep(120)
            await measured.record(recording, seen, names, origin_s, 7200)
            traffic.cancel()

    whole = recording.repeated(84)
    assert whole.length == 7 * 24 * 30
    promtool.expect(tmp_path, whole.written(), (), step_s=120, at_s=7 * 86_400 - 120, ever=True)


async def _traffic(relay: service_harness.ServiceHarness) -> None:
    """Send a dozen requests every ten minutes; now and then a call fails or is throttled, or Kafka is away."""
    for number in range(1000):
        for one in range(12):
            relay.put(service.job(f"r-{number}-{one}"))
        match number % 4:
            case 1:
                relay.trouble(action="status", operation="CreateExecuteJob", status=429, nth=3)
            case 2:
                relay.trouble(action="status", operation="ShowJobExeListNew", status=503, count=3)
            case 3:
                relay.broker.go_down()
                await asyncio.sleep(15)
                relay.broker.come_up()
        await asyncio.sleep(600)


async def test_a_rolling_restart_of_two_relays_raises_no_alert(tmp_path: pathlib.Path) -> None:
    """One leaves and another comes, a minute each."""
    async with service_harness.start(service_harness.settings(**_FREE), partitions=4, replicas=2) as relay:

        async def restart(_relay: service_harness.ServiceHarness) -> None:
            wiring.stop(relay.replicas[1].served)
            await asyncio.sleep(60)
            await relay.start_replica()

        recording = await _recorded(relay, restart)
    promtool.expect(tmp_path, recording.written(), (), step_s=_STEP_S, at_s=_BEFORE_S + _WITHIN_S, ever=True)
