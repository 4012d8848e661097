"""Kafka takes overwritten and deleted ledger records from the disk within `max.compaction.lag.ms`, as is promised."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support import brokers as nodes
from tests.support import runtime_process

from mrs_relay.kafka import broker, ledger, records, settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import topic_setup

_LAG_S = 10
_HURRIED = {"file.delete.delay.ms": "1000", "delete.retention.ms": "1000"}  # a minute and a day, else
_SECRET, _ID = b"SELECT secret", b"id-of-a-finished-request"


def _on_disk(data: Path, topic: str, wanted: bytes) -> bool:
    """Return whether a file of the first partition has these bytes, segments that wait to be deleted included."""
    for file in data.glob(f"{topic}-0/*.log*"):
        with contextlib.suppress(FileNotFoundError):  # deleted between the two
            if wanted in file.read_bytes():
                return True
    return False


@contextlib.asynccontextmanager
async def _opened(kafka: settings.KafkaSettings) -> AsyncIterator[ledger.Ledger]:
    options = ledger.Options(
        kafka.topics.ledger, idempotent=True, limits_bytes={}, default_limit_bytes=1_000_000, restore_timeout_s=60.0
    )
    there, name = client.KafkaBroker(kafka), kafka.transactional_id(0)
    opened = ledger.Ledger(records.Position(kafka.topics.requests, 0), options, there, name)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.kill()


async def _made(bootstrap: str, lag_ms: int) -> settings.KafkaSettings:
    """Make topics, and keep what is overwritten in the ledger for so long."""
    chosen = runtime_process.worker_settings(bootstrap, f"compacted-{uuid.uuid4().hex[:8]}", "exactly-once")
    own = {chosen.topics.ledger: {**_HURRIED, "max.compaction.lag.ms": str(lag_ms)}}
    specs = topic_setup.plan(chosen, partitions=1)
    async with client.KafkaBroker(chosen).admin() as admin:
        made = [
            broker.TopicSpec(one.name, one.partitions, 1, {**one.configs, **own.get(one.name, {})}) for one in specs
        ]
        assert await admin.create(made) == {}
    return chosen


async def test_overwritten_records_leave_the_disk_within_the_limit(kafka: nodes.KafkaNode) -> None:
    """Under the limit they are gone soon after it, the tombstones with the next pass; without it they stay."""
    bounded, unbounded = [await _made(kafka.bootstrap, lag_ms) for lag_ms in (_LAG_S * 1000, 1 << 62)]
    async with contextlib.AsyncExitStack() as stack:
        writers = [await stack.enter_async_context(_opened(chosen)) for chosen in (bounded, unbounded)]
        gone_s = await _gone_after(kafka.data, writers, bounded.topics.ledger)
    print(f"limit {_LAG_S} s: {gone_s}")  # noqa: T201 - the figures of docs/data-at-rest.md; see them with `-s`
    assert gone_s["overwritten value"] < _LAG_S + 20
    assert gone_s["deleted key"] < 2 * _LAG_S + 40
    assert _on_disk(kafka.data, unbounded.topics.ledger, _SECRET)
    assert _on_disk(kafka.data, unbounded.topics.ledger, _ID)


async def _gone_after(data: Path, writers: list[ledger.Ledger], topic: str) -> dict[str, float]:
    """Write, overwrite and delete; then commit once a second, as a quiet partition does, and see what is left."""
    for writer in writers:
        await writer.commit([records.Change(b"job", _SECRET), records.Change(_ID, b"done")], [], 1)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for writer in writers:
        await writer.commit([records.Change(b"job", b"running"), records.Change(_ID, None)], [], 2)

    assert _on_disk(data, topic, _SECRET)

    wanted, gone_s = {"overwritten value": _SECRET, "deleted key": _ID}, {}
    async with asyncio.timeout(120):
        while wanted:
            await asyncio.sleep(1)
            for writer in writers:
                await writer.commit([records.Change(b"job", b"running")], [], 3)
            for what in [what for what, content in wanted.items() if not _on_disk(data, topic, content)]:
                gone_s[what] = round(loop.time() - began_s, 1)
                del wanted[what]

    return gone_s
