"""On a real broker: a replica that cannot read the ledger's format beside one that writes it, in one group."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from tests.support import brokers as nodes
from tests.support import newer, runtime_process, waiting

from mrs_relay.common import clock
from mrs_relay.kafka import records, runtime, settings, topic_io
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import topic_setup

_PARTITIONS = 4


@contextlib.asynccontextmanager
async def _running(kafka: settings.KafkaSettings, broker: Any) -> AsyncIterator[runtime.Runtime[None]]:
    work = runtime.Runtime(kafka, broker, runtime_process.number, clock.SystemClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(work.run(), name="runtime")
        try:
            yield work
        finally:
            work.stop()


def _states(work: runtime.Runtime[None]) -> list[str]:
    return [partition.state.value for partition in work.status().partitions]


async def _send(broker: client.KafkaBroker, topic: str) -> None:
    sender = broker.producer(None, idempotent=True)
    await sender.start()
    await sender.write([records.Outgoing(topic, b"k", b"v", (), number) for number in range(_PARTITIONS)])
    await sender.kill()


async def _count(broker: client.KafkaBroker, topic: str) -> int:
    return len([record async for record in topic_io.read_all(broker, topic)])


async def _claims(broker: client.KafkaBroker, kafka: settings.KafkaSettings) -> list[int]:
    """Return the formats of all claims, sorted."""
    written = [one async for one in topic_io.read_all(broker, kafka.topics.ledger) if one.key == b"\0claim"]
    return sorted(json.loads(one.value or b"")["format"] for one in written)


async def test_newer_owner_goes_on_beside_an_older_replica(kafka: nodes.KafkaNode) -> None:
    """The older one claims nothing and leaves all partitions to the newer one; without that one they wait."""
    chosen = runtime_process.worker_settings(kafka.bootstrap, f"format-{uuid.uuid4().hex[:8]}", "exactly-once")
    broker = client.KafkaBroker(chosen)
    async with broker.admin() as admin:
        await topic_setup.create(admin, chosen)
    async with contextlib.AsyncExitStack() as stack:
        async with _running(chosen, newer.NewerBroker(broker, chosen)) as owner:
            await waiting.until(lambda: _states(owner) == ["running"] * _PARTITIONS)
            older = await stack.enter_async_context(_running(chosen, broker))
            await waiting.until(lambda: older.status().joined and not _states(older))
            await waiting.until(lambda: _states(owner) == ["running"] * _PARTITIONS)
            await _send(broker, chosen.topics.requests)

            async def all_done() -> bool:
                return await _count(broker, chosen.topics.events) >= _PARTITIONS

            await waiting.until(all_done)
        claims = await _claims(broker, chosen)
        assert set(claims) == {newer.FORMAT}

        await waiting.until(lambda: _states(older) == ["unreadable"] * _PARTITIONS)
        assert older.status().ready, "a restart would not help"
        assert "format 3, this version reads format 2" in (older.status().partitions[0].error or "")
        assert await _claims(broker, chosen) == claims

        async with _running(chosen, newer.NewerBroker(broker, chosen)) as owner:
            await waiting.until(lambda: _states(owner) == ["running"] * _PARTITIONS)
