"""A replica meets ledgers that a newer version has written in a higher format: it leaves them to that version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
import structlog
from tests.support import history, newer, service, service_harness

from mrs_relay import settings
from mrs_relay.kafka import partition_worker

pytestmark = [
    pytest.mark.looptime,
    pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"]),
]


def _settings(guarantee: str) -> settings.Settings:
    return service_harness.settings(kafka={"guarantee": guarantee}, engine={"slots_per_cluster": 0})


async def _start_newer(here: service_harness.ServiceHarness) -> service_harness.Replica:
    this, here.broker = here.broker, newer.NewerBroker(here.broker)  # type: ignore[assignment]  # the same methods
    try:
        return await here.start_replica()
    finally:
        here.broker = this


async def _send(here: service_harness.ServiceHarness, ids: Sequence[str]) -> None:
    for number, request in enumerate(ids):
        here.put(service.job(request), partition=number % 2)
    await asyncio.sleep(10)


def _claims(here: service_harness.ServiceHarness, partition: int) -> list[int]:
    """Return the formats of all claims of a partition, the oldest first."""
    written = here.broker.committed(here.chosen.kafka.topics.ledger, partition)
    return [json.loads(record.value or b"")["format"] for record in written if record.key == b"\0claim"]


def _states(replica: service_harness.Replica) -> dict[int, str]:
    return {one.partition: one.state.value for one in replica.kafka.status().partitions}


async def test_newer_owner_is_not_disturbed_by_a_replica_that_cannot_read_its_ledger(guarantee: str) -> None:
    """The older one claims nothing, says why, stays up, and the group gives the partitions back within seconds."""
    async with service_harness.start(_settings(guarantee), partitions=2, replicas=0) as here:
        later = await _start_newer(here)
        await _send(here, ["r-0", "r-1"])

        with structlog.testing.capture_logs() as logs:
            older = await here.start_replica()
            await asyncio.sleep(15)

        assert _states(later) == {0: "running", 1: "running"}
        assert (_states(older), older.kafka.status().ready) == ({}, True)

        refused = [entry["error"] for entry in logs if entry["event"] == "partition_unreadable"]
        assert refused
        assert "format 3, this version reads format 2" in refused[0]

        await _send(here, ["r-2", "r-3"])
        await here.until_ended(["r-0", "r-1", "r-2", "r-3"], 1800)
        assert history.faults(["r-0", "r-1", "r-2", "r-3"], here.events(), here.created()) == []
        assert {*_claims(here, 0), *_claims(here, 1)} == {newer.FORMAT}
        assert older.task is not None
        assert not older.task.done()


async def test_partition_of_a_newer_format_waits_for_a_newer_replica_alone(guarantee: str) -> None:
    """In a rolling upgrade whose first new replica fails, the older one works on what it can read, and only there."""
    ids = [f"r-{number}" for number in range(6)]
    async with service_harness.start(_settings(guarantee), partitions=2) as here:
        older = here.replicas[0]
        await _send(here, ids[:2])
        first = await _start_newer(here)
        await asyncio.sleep(15)
        (lost,) = _states(first)
        claims = _claims(here, lost)
        await first.kill()
        await asyncio.sleep(60)
        assert _states(older) == {lost: partition_worker.State.UNREADABLE.value, 1 - lost: "running"}
        assert older.kafka.status().ready, "a restart would not help"
        await _send(here, ids[2:4])
        assert {event.request_id for event in here.events()} >= {ids[2 + 1 - lost]}
        assert ids[2 + lost] not in {event.request_id for event in here.events()}
        assert _claims(here, lost) == claims

        second = await _start_newer(here)
        await asyncio.sleep(15)
        assert (_states(second), _states(older)) == ({lost: "running"}, {1 - lost: "running"})
        await _send(here, ids[4:])
        await here.until_ended(ids, 1800)
        assert history.faults(ids, here.events(), here.created()) == []


async def test_replicas_of_one_format_take_turns_as_ever(guarantee: str) -> None:
    """No replica declines anything where all read the format: each has its share."""
    async with service_harness.start(_settings(guarantee), partitions=2, replicas=0) as here:
        one = await _start_newer(here)
        await _send(here, ["r-0", "r-1"])
        other = await _start_newer(here)
        await asyncio.sleep(15)
        assert sorted([*_states(one), *_states(other)]) == [0, 1]
        await one.kill()
        await asyncio.sleep(60)
        assert _states(other) == {0: "running", 1: "running"}
        await here.until_ended(["r-0", "r-1"], 1800)
        assert history.faults(["r-0", "r-1"], here.events(), here.created()) == []
