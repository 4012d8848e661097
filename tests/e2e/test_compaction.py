"""Kafka takes overwritten and deleted ledger records from the disk within `max.compaction.lag.ms`, as is promised."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support import brokers as nodes
from tests.support import runtime_process

from mrs_relay.kafka import ledger, records, settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import topic_setup

_LAG_S = 10
_HURRIED = "file.delete.delay.ms=1000,delete.retention.ms=1000"  # a minute and a day, else
_SECRET, _ID = b"SELECT secret", b"id-of-a-finished-request"

pytestmark = pytest.mark.timeout(400)


def _on_disk(workdir: Path, topic: str, wanted: bytes) -> bool:
    """Whether a file of the first partition has these bytes, segments that wait to be deleted included."""
    for file in workdir.glob(f"kafka-*-data/{topic}-0/*.log*"):
        with contextlib.suppress(FileNotFoundError):  # deleted between the two
            if wanted in file.read_bytes():
                return True
    return False


@contextlib.asynccontextmanager
async def _opened(broker: client.KafkaBroker, kafka: settings.KafkaSettings) -> AsyncIterator[ledger.Ledger]:
    options = ledger.Options(
        kafka.topics.ledger, idempotent=True, limits_bytes={}, default_limit_bytes=1_000_000, restore_timeout_s=60.0
    )
    opened = ledger.Ledger(records.Position(kafka.topics.requests, 0), options, broker, kafka.transactional_id(0))
    await opened.open()
    try:
        yield opened
    finally:
        await opened.kill()


async def test_overwritten_records_leave_the_disk_within_the_limit(tmp_path: Path) -> None:
    """Under the limit they are gone soon after it, the tombstones with the next pass; without it they stay."""
    node = nodes.KafkaNode(tmp_path, jvm=nodes.QUICK_JVM)
    node.add({"log.cleaner.backoff.ms": "500"})
    try:
        await asyncio.to_thread(node.start, 150.0)
        bounded, unbounded = (
            runtime_process.worker_settings(node.bootstrap, name, "exactly-once") for name in ("b", "u")
        )
        async with contextlib.AsyncExitStack() as stack:
            changes = []
            for kafka in (bounded, unbounded):
                async with client.KafkaBroker(kafka).admin() as admin:
                    await topic_setup.create(admin, kafka)
                lag_ms = _LAG_S * 1000 if kafka is bounded else 1 << 62
                entity = ["--entity-type", "topics", "--entity-name", kafka.topics.ledger]
                config = ["--add-config", f"max.compaction.lag.ms={lag_ms},{_HURRIED}"]
                changes.append(["kafka.admin.ConfigCommand", "--alter", *entity, *config])
            await asyncio.to_thread(node.tools, changes)
            writers = [
                await stack.enter_async_context(_opened(client.KafkaBroker(kafka), kafka))
                for kafka in (bounded, unbounded)
            ]
            gone_s = await _gone_after(tmp_path, writers, bounded.topics.ledger)
        print(f"limit {_LAG_S} s: {gone_s}")  # noqa: T201 - the figures of docs/data-at-rest.md; see them with `-s`
        assert gone_s["overwritten value"] < _LAG_S + 20
        assert gone_s["deleted key"] < 2 * _LAG_S + 40
        assert _on_disk(tmp_path, unbounded.topics.ledger, _SECRET)
        assert _on_disk(tmp_path, unbounded.topics.ledger, _ID)
    finally:
        await asyncio.to_thread(node.close)


async def _gone_after(workdir: Path, writers: list[ledger.Ledger], topic: str) -> dict[str, float]:
    """Write, overwrite and delete; then commit once a second, as a quiet partition does, and see what is left."""
    for writer in writers:
        await writer.commit([records.Change(b"job", _SECRET), records.Change(_ID, b"done")], [], 1)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for writer in writers:
        await writer.commit([records.Change(b"job", b"running"), records.Change(_ID, None)], [], 2)
    assert _on_disk(workdir, topic, _SECRET)
    wanted, gone_s = {"overwritten value": _SECRET, "deleted key": _ID}, {}
    async with asyncio.timeout(120):
        while wanted:
            await asyncio.sleep(1)
            for writer in writers:
                await writer.commit([records.Change(b"job", b"running")], [], 3)
            for what in [what for what, content in wanted.items() if not _on_disk(workdir, topic, content)]:
                gone_s[what] = round(loop.time() - began_s, 1)
                del wanted[what]
    return gone_s
