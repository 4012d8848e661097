"""A later version and this one take turns on the same partitions: nothing of the later one's records is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.support import history, service, service_harness

from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, settings
from mrs_relay.kafka.memory import memory_broker

pytestmark = pytest.mark.looptime

_IDS = [f"r-{number}" for number in range(60)]


class _LaterProducer:
    """Writes each job with one field more, as a later version would that knows it; keeps it once it is there."""

    def __init__(self, producer: brokers.Producer, ledger: str) -> None:
        self._producer = producer
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        return await self._producer.write([self._later(one) for one in outgoing])

    def _later(self, one: records.Outgoing) -> records.Outgoing:
        if one.topic != self._ledger or one.key is None or one.key[:1] == b"\0" or one.value is None:
            return one
        fields = json.loads(one.value)
        value = json.dumps({**fields, "trace": fields.get("trace", {"by": "later", "id": fields["id"]})}).encode()
        return records.Outgoing(one.topic, one.key, value, one.headers, one.partition)


class _LaterBroker:
    """The broker as a replica of the later version uses it."""

    def __init__(self, broker: memory_broker.MemoryBroker) -> None:
        self._broker = broker
        self._kafka: settings.KafkaSettings | None = None

    def for_group(self, kafka: settings.KafkaSettings) -> Any:
        later, door = _LaterBroker(self._broker), self._broker.for_group(kafka)
        later._kafka, later._broker = kafka, door  # type: ignore[assignment]  # the same methods
        return later

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> Any:
        assert self._kafka is not None
        made = self._broker.producer(transactional_id, idempotent=idempotent)
        return _LaterProducer(made, self._kafka.topics.ledger)


def _written(here: service_harness.ServiceHarness) -> dict[bytes, list[dict[str, Any]]]:
    """All states of each job in the ledger, the oldest first."""
    found: dict[bytes, list[dict[str, Any]]] = {}
    for record in here.broker.committed(here.chosen.kafka.topics.ledger):
        if record.key is not None and record.key[:1] != b"\0" and record.value is not None:
            found.setdefault(record.key, []).append(json.loads(record.value))
    return found


async def test_versions_take_turns_under_load_and_no_field_is_lost() -> None:
    """Rolled forth and back six times while requests come: each job once, its events in order, the field kept."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 0})
    async with service_harness.start(chosen, partitions=2, emulated={"pace": {"run_s": 90.0}}) as here:
        this, later = here.broker, _LaterBroker(here.broker)
        for turn in range(6):
            for number, request in enumerate(_IDS[turn * 10 : turn * 10 + 10]):
                here.put(service.job(request), partition=number % 2)
            await asyncio.sleep(10)
            here.broker = later if turn % 2 == 0 else this  # type: ignore[assignment]  # likewise
            await here.start_replica()
            await asyncio.sleep(10)
            await here.replicas[-2].kill()
            here.broker = this
            await asyncio.sleep(10)
        await here.until_ended(_IDS, 1800)
        assert history.faults(_IDS, here.events(), here.created()) == []
        jobs = _written(here)
        assert len(jobs) == len(_IDS)
        known = 0
        for states in jobs.values():
            marked = [state.get("trace") for state in states]
            first = next((number for number, mark in enumerate(marked) if mark is not None), len(marked))
            assert marked[first:] == [{"by": "later", "id": states[0]["id"]}] * (len(marked) - first)
            known += first < len(marked)
        assert known >= 40, "the later version has had most of them"
