"""The whole service in virtual time: one message, one job or one slow Kafka never stops a partition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.support import history, service, service_harness
from tests.unit.engine.test_one_record import _order

from mrs_relay.kafka import records
from mrs_relay.kafka.memory import memory_clients
from mrs_relay.messages import codec
from mrs_relay.mrs import client as clients

pytestmark = pytest.mark.looptime

BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


@BOTH
async def test_message_that_is_nested_deeply_is_rejected_and_what_stands_behind_it_continues(guarantee: str) -> None:
    """2 kB used to stop a partition for ever."""
    async with service_harness.start(service_harness.settings(kafka={"guarantee": guarantee})) as here:
        here.put(codec.encode(_order(300) | {"id": "deep"}))
        here.put(service.job("r-1"))
        await here.until_ended(["r-1", "deep"], 300)
        assert here.states("deep") == ["rejected"]
        assert history.faults(["r-1", "deep"], here.events(), here.created()) == []
        assert here.replicas[0].kafka.status().partitions[0].crashes == 0


async def test_request_that_is_too_large_for_the_ledger_is_rejected_and_not_tried_for_ever() -> None:
    """Numbers are written longer than they came."""
    order = _order(1)
    order["data"]["body"]["component_configs"] = [{"a": "@"}]
    raw = codec.encode(order | {"id": "large"}).replace(b'"@"', b"[" + b",".join([b"1e15"] * 19_000) + b"]")
    async with service_harness.start(service_harness.settings(kafka={"batch_bytes": 100_000}), replicas=0) as here:
        here.broker.configure("mrs.requests.ledger", max_message_bytes="120000")
        await here.start_replica()
        here.put(raw)
        here.put(service.job("r-1"))
        await here.until_ended(["r-1", "large"], 300)
        assert here.states("large") == ["rejected"]
        assert here.replicas[0].kafka.status().partitions[0].failures == 0


async def test_job_whose_submission_makes_us_fail_is_never_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been sent: it is looked up, found by its token and followed; its partition notices nothing."""
    sound = clients.Client.call

    async def call(self: Any, wanted: Any, **given: Any) -> Any:
        reply = await sound(self, wanted, **given)
        if wanted.name == "CreateExecuteJob" and "bad" in given["body"].job_name:
            raise KeyError("hunter2")
        return reply

    monkeypatch.setattr(clients.Client, "call", call)
    async with service_harness.start() as here:
        here.put(service.job("r-bad", name="bad"))
        here.put(service.job("r-1"))
        await here.until_ended(["r-1", "r-bad"], 900)
        assert here.states("r-bad")[-1] == "succeeded"
        assert history.faults(["r-1", "r-bad"], here.events(), here.created()) == []
        assert here.replicas[0].kafka.status().partitions[0].crashes == 0


@pytest.mark.parametrize("bytes_per_s", [1_000_000, 50_000])
async def test_backlog_of_large_requests_gets_through_a_slow_kafka(
    monkeypatch: pytest.MonkeyPatch, bytes_per_s: int
) -> None:
    """A client quota of Kafka makes commits long: they are made smaller until they get through."""
    sound = memory_clients.Producer._transact
    failed: list[int] = []

    async def transact(self: Any, number: Any, outgoing: Sequence[records.Outgoing]) -> Any:
        size_bytes = sum(len(sent.value or b"") for sent in outgoing)
        try:
            await asyncio.sleep(size_bytes / bytes_per_s)
        except asyncio.CancelledError:
            failed.append(size_bytes)
            raise
        return await sound(self, number, outgoing)

    monkeypatch.setattr(memory_clients.Producer, "_transact", transact)
    async with service_harness.start() as here:
        for number in range(200):
            here.put(service.sql(f"r-{number}", "spark", "select '" + "x" * 40_000 + "'"))
        async with asyncio.timeout(1200):
            await asyncio.sleep(10)
            while (status := here.replicas[0].kafka.status().partitions[0]).next_offset != 200:
                await asyncio.sleep(10)
        assert status.error is None
        assert len(failed) <= 3
