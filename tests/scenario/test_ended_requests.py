"""Requests that have ended and left memory: every message about one is answered as if it were still there."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from typing import Any

import pytest
from tests.support import history, service, service_harness

from mrs_relay import wiring
from mrs_relay.engine import partition_jobs
from mrs_relay.kafka import cold_records

pytestmark = pytest.mark.looptime

_MODES = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> list[partition_jobs.Jobs]:
    """The jobs of every lease, in the order of their beginning."""
    found: list[partition_jobs.Jobs] = []
    load = partition_jobs.load

    async def loaded(*given: Any) -> partition_jobs.Jobs:
        found.append(await load(*given))
        return found[-1]

    monkeypatch.setattr(partition_jobs, "load", loaded)
    return found


@pytest.fixture(params=["distinct", "colliding"], autouse=True)
def _fingerprints(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as in production, once with two fingerprints for all keys there are."""
    if request.param == "colliding":
        rule_of = wiring._cold_rule

        def colliding(*given: Any) -> cold_records.ColdRule:
            return dataclasses.replace(rule_of(*given), fingerprint=lambda key: len(key) % 2)

        monkeypatch.setattr(wiring, "_cold_rule", colliding)


def _settings(guarantee: str = "exactly-once", **engine: Any) -> Any:
    return service_harness.settings(kafka={"guarantee": guarantee}, engine=engine)


def _successes(here: service_harness.ServiceHarness) -> list[history.Seen]:
    return [event for event in here.events() if event.state == "succeeded"]


async def _ended(here: service_harness.ServiceHarness, *ids: str) -> None:
    for one in ids:
        here.put(service.job(one))
    await here.until_ended(ids, 600)
    await asyncio.sleep(1)


@_MODES
async def test_a_repetition_of_an_ended_request_is_recognised(
    guarantee: str, in_memory: list[partition_jobs.Jobs]
) -> None:
    """The same message again is answered by the last event, another payload under the id is rejected."""
    async with service_harness.start(_settings(guarantee)) as here:
        await _ended(here, "r-1", "r-2", "r-3")
        assert in_memory[-1] == {}

        for _ in range(2):
            here.put(service.job("r-2"))
            here.put(service.job("r-1", name="another"))
            await asyncio.sleep(5)

        await _ended(here, "r-4")
        assert here.states("r-2")[-3:] == ["succeeded"] * 3
        assert here.states("r-1")[-3:] == ["succeeded", "rejected", "rejected"]
        assert len(here.created()) == 4
        assert in_memory[-1] == {}

        for name in ("r-1", "r-2"):
            numbers = [event.sequence for event in here.events() if event.request_id == name]
            assert numbers == list(range(1, len(numbers) + 1))


@_MODES
async def test_after_a_takeover_and_a_compaction_ended_requests_are_recognised(
    guarantee: str, in_memory: list[partition_jobs.Jobs]
) -> None:
    """The new owner decodes no ended job, and finds each when it is asked for."""
    async with service_harness.start(_settings(guarantee)) as here:
        await _ended(here, *[f"r-{number}" for number in range(20)])
        here.put(service.job("r-3"))
        await asyncio.sleep(120)
        here.broker.compact(here.chosen.kafka.topics.ledger)
        await here.replicas[-1].kill()
        await here.start_replica()
        for number in range(20):
            here.put(service.job(f"r-{number}"))
        here.put(service.job("r-3"))
        await _ended(here, "new")

        assert len(here.created()) == 21

        seen = Counter(request for request, _ in {(event.request_id, event.sequence) for event in _successes(here)})
        assert [seen[f"r-{number}"] for number in range(20)] == [2, 2, 2, 4, *[2] * 16]
        assert len(in_memory) == 2
        assert in_memory[-1] == {}


async def test_a_cancel_of_an_ended_request_is_answered(in_memory: list[partition_jobs.Jobs]) -> None:
    """By its last event, once for each message; also if the message is on another partition."""
    async with service_harness.start(_settings(), partitions=2) as here:
        await _ended(here, "r-1")
        here.put(service.cancel("c-1", "r-1"))
        await asyncio.sleep(5)
        here.put(service.cancel("c-1", "r-1"))
        here.put(service.cancel("c-2", "r-1"), partition=1)
        await asyncio.sleep(30)
        assert here.states("r-1").count("succeeded") == 4
        assert here.states("c-2") == []
        assert all(jobs == {} for jobs in in_memory)


async def test_an_unknown_request_is_settled_by_hand(in_memory: list[partition_jobs.Jobs]) -> None:
    """An `unknown` one leaves memory, too, and is settled all the same."""
    async with service_harness.start(_settings()) as here:
        here.trouble(action="drop_before", operation="ExecuteSql")
        here.put(service.sql("w", "presto", "insert into t values (1)"))
        await here.until_ended(["w"], 300)
        await asyncio.sleep(1)
        assert in_memory[-1] == {}
        here.put(service.resolve("s-1", "w", "succeeded", "the rows are there"))
        await asyncio.sleep(5)
        assert here.states("w") == ["accepted", "unknown", "succeeded"]


@_MODES
async def test_ended_requests_are_forgotten_in_time(guarantee: str, in_memory: list[partition_jobs.Jobs]) -> None:
    """With a tombstone, not before `remember_s` and soon after it, also after a takeover; then the id is new."""
    async with service_harness.start(_settings(guarantee, remember_s=1000)) as here:
        await _ended(here, "r-1")
        await asyncio.sleep(600)
        await _ended(here, "r-2")
        await asyncio.sleep(60)  # for so long its start counts against limits
        await here.replicas[-1].kill()
        await here.start_replica()
        await asyncio.sleep(240)
        here.put(service.job("r-1"))
        await asyncio.sleep(60)

        assert here.states("r-1").count("succeeded") == 2

        await asyncio.sleep(100)
        ledger = {record.key: record.value for record in here.broker.committed(here.chosen.kafka.topics.ledger)}
        left = [key for key, value in ledger.items() if key and key[:1] != b"\0" and value is not None]

        assert [key.split()[1] for key in left] == [b"r-2"]
        assert in_memory[-1] == {}

        here.put(service.job("r-1"))
        await asyncio.sleep(120)
        assert len(here.created()) == 3


async def test_an_outage_of_kafka_delays_the_answer_to_a_repetition() -> None:
    """The record cannot be read for a while: the repetition waits, and is no second job."""
    async with service_harness.start(_settings()) as here:
        await _ended(here, "r-1")
        here.put(service.job("r-1"))
        here.broker.go_down()
        await asyncio.sleep(40)
        here.broker.come_up()
        await asyncio.sleep(120)
        assert here.states("r-1").count("succeeded") == 2
        assert len(here.created()) == 1


async def test_a_lost_record_is_no_second_job_before_the_ledger_has_been_read_again() -> None:
    """Records deleted by hand: the partition stops, as it does at a restore, instead of answering wrongly."""
    async with service_harness.start(_settings()) as here:
        await _ended(here, "r-1", "r-2")
        ledger = here.chosen.kafka.topics.ledger
        here.broker.cut(ledger, 0, here.broker.committed(ledger)[-1].offset)
        here.put(service.job("r-1"))
        await asyncio.sleep(60)
        assert here.states("r-1").count("succeeded") == 1
        assert len(here.created()) == 2
