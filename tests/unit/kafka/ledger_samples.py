"""A ledger on the broker in memory, and the records that tests write to it."""

from __future__ import annotations

import pytest
from tests.support import runtimes

from mrs_relay.kafka import cold_records, ledger_format, records
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka.memory import memory_broker

INPUT = records.Position(runtimes.IN, 0)

BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


def make_broker(guarantee: str) -> memory_broker.MemoryBroker:
    return runtimes.cluster(runtimes.kafka_settings(guarantee=guarantee), partitions=1)


def make_ledger(
    broker: memory_broker.MemoryBroker,
    limits_bytes: dict[str, int] | None = None,
    form: int = ledger_format.FORMAT,
    cold: cold_records.ColdRule | None = None,
) -> ledgers.Ledger:
    kafka = broker.kafka
    options = ledgers.Options(
        runtimes.LEDGER, kafka.transactional, limits_bytes or {}, 1_000_000, 60.0, cold=cold, format=form
    )
    return ledgers.Ledger(INPUT, options, broker, kafka.transactional_id(0) if kafka.transactional else None)


def change(key: str, value: str | None) -> records.Change:
    return records.Change(key.encode(), None if value is None else value.encode())


async def begun_ledger(broker: memory_broker.MemoryBroker) -> ledgers.Ledger:
    """Return a ledger that has begun: its first commit wrote the offset alone, as the runtime does."""
    ledger = make_ledger(broker)
    assert (await ledger.open()).next_offset is None
    await ledger.commit([], [], 0)
    return ledger
