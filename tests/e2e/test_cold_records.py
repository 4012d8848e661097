"""Records that a real Kafka alone holds are read back by the offsets that its replies to the writes have named."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator

import pytest
from tests.support import brokers as nodes
from tests.support import cold_rules, runtime_process

from mrs_relay.kafka import cold_records, ledger, records, settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import topic_setup

_RULE = cold_rules.rule(lambda value: 1000 if value.startswith(b"cold") else None)
_COMMITS, _KEYS = 40, 25


@contextlib.asynccontextmanager
async def _opened(
    broker: client.KafkaBroker, kafka: settings.KafkaSettings
) -> AsyncIterator[tuple[ledger.Ledger, cold_records.ColdRecords, dict[bytes, bytes]]]:
    options = ledger.Options(kafka.topics.ledger, True, {}, 1_000_000, 60.0, cold=_RULE)
    name = kafka.transactional_id(0) if kafka.transactional else None
    opened = ledger.Ledger(records.Position(kafka.topics.requests, 0), options, broker, name)
    restored = await opened.open()
    assert opened.cold is not None
    try:
        yield opened, opened.cold, restored.state
    finally:
        await opened.kill()


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_records_are_found_by_their_owner_and_by_the_next_one(kafka: nodes.KafkaNode, guarantee: str) -> None:
    """Among transactions, their markers, events and large commits; a restore indexes the newest of each key."""
    chosen = runtime_process.worker_settings(kafka.bootstrap, f"cold-{uuid.uuid4().hex[:8]}", guarantee)
    broker = client.KafkaBroker(chosen)
    async with broker.admin() as admin:
        await topic_setup.create(admin, chosen)

    values = {}
    async with _opened(broker, chosen) as (owner, cold, _):
        await owner.commit([], [], 0)
        for number in range(_COMMITS):
            changes = [
                records.Change(b"%d" % key, b"cold %d %d" % (number, key) + b"x" * 500 * (number % 7))
                for key in range(number % 3, _KEYS, 1 + number % 4)
            ]
            changes.append(records.Change(b"live", b"%d" % number))
            await cold.take([change.key for change in changes])
            await owner.commit(changes, [records.Outgoing(chosen.topics.events, b"k", b"e")] * (number % 5), number)
            for change in changes[:-1]:
                cold.put(change.key, cold.offset_of(change.key), 1000)
                values[change.key] = change.value
        some = list(values)[::3]
        found = await cold.take(some)
        assert {key: record.value for key, record in found.items()} == {key: values[key] for key in some}

    async with _opened(broker, chosen) as (_, cold, state):
        assert state == {b"live": b"%d" % (_COMMITS - 1)}
        assert sorted(await cold.due(1000, 1000)) == sorted(values)
        found = await cold.take([*values, b"nobody"])
        assert {key: record.value for key, record in found.items()} == values
        assert len(cold) == 0
