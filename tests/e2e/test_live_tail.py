"""A real Kafka's ledger is read from its end first, and the rest after it."""

from __future__ import annotations

import time
import uuid

import pytest
from tests.support import brokers as nodes
from tests.support import cold_rules, runtime_process

from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import live_tail, records, settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import topic_setup

pytestmark = pytest.mark.kafka

_COLD = cold_rules.rule(lambda value: 1 if value == b"ended" else None)


async def test_next_owner_finds_a_quiet_job_at_the_end_and_all_others_after_it(
    kafka: nodes.KafkaNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through markers, claims and batches as a broker keeps them."""
    for name, value in {"FEW": 100, "LEAST": 400, "AGE_S": 0.0, "LOOK_BACK": 50}.items():
        monkeypatch.setattr(live_tail, name, value)
    chosen = runtime_process.worker_settings(kafka.bootstrap, f"tail-{uuid.uuid4().hex[:8]}", "exactly-once")
    broker = client.KafkaBroker(chosen)
    async with broker.admin() as admin:
        await topic_setup.create(admin, chosen)
    one = _ledger(chosen, broker)
    await one.open()
    await one.commit([records.Change(b"quiet", b"runs")], [], 1)
    assert one.tail is not None
    for number in range(0, 2000, 100):
        one.tail.plan([b"quiet"], (), time.monotonic())
        again = [b"quiet"] if one.tail.next_behind() is not None else []
        ended = [records.Change(b"e-%d" % each, b"ended") for each in range(number, number + 100)]
        await one.commit([*(records.Change(key, b"runs") for key in again), *ended], [], number + 2)

    two = _ledger(chosen, broker)
    restored = await two.open()
    assert (restored.state, restored.next_offset) == ({b"quiet": b"runs"}, 1902)
    assert two.cold is not None
    first_part = two.cold.is_complete, len(two.cold) < 1000
    await two.index_older()
    assert (first_part, two.cold.is_complete) == ((False, True), True)
    found = await two.cold.take([b"e-0", b"e-1999", b"quiet"])
    assert found.keys() == {b"e-0", b"e-1999"}
    assert len(two.cold) == 1998
    await two.kill()
    await one.kill()


def _ledger(chosen: settings.KafkaSettings, broker: client.KafkaBroker) -> ledgers.Ledger:
    options = ledgers.Options(chosen.topics.ledger, True, {}, 1_000_000, 60.0, cold=_COLD)
    return ledgers.Ledger(records.Position(chosen.topics.requests, 0), options, broker, chosen.transactional_id(0))
