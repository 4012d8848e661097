"""A later version and this one take turns on the same partitions: nothing of the later one's records is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.support import history, service, service_harness

from mrs_relay import settings as all_settings
from mrs_relay.engine.model import cold_jobs, job_records
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
        value = one.value if _mark(one.value) else _marked(one.value)
        return records.Outgoing(one.topic, one.key, value, one.headers, one.partition)


def _marked(value: bytes) -> bytes:
    """Add the field by its name, or behind the last place."""
    mark = {"by": "later", "id": job_records.decode(value).id}
    if value[:1] == b"{":
        return json.dumps({**json.loads(value), "trace": mark}).encode()
    places = cold_jobs.without_head(value)
    head = value.removesuffix(places)
    return head + msgspec.msgpack.encode([*msgspec.msgpack.decode(places), mark])


def _mark(value: bytes) -> Any:
    """Return what this version has kept of the field, wherever it has come from."""
    job = job_records.decode(value)
    if job.later:
        return json.loads(b"{" + job.later + b"}")["trace"]
    return msgspec.msgpack.decode(job.after)[1] if job.after else None


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


def _written(here: service_harness.ServiceHarness) -> dict[bytes, list[bytes]]:
    """Return all records of each job in the ledger, the oldest first."""
    found: dict[bytes, list[bytes]] = {}
    for record in here.broker.committed(here.chosen.kafka.topics.ledger):
        if record.key is not None and record.key[:1] != b"\0" and record.value is not None:
            found.setdefault(record.key, []).append(record.value)
    return found


async def _replace(here: service_harness.ServiceHarness, turn: int, chosen: all_settings.Settings) -> None:
    """Let requests come while one more replica begins and the one before it is killed."""
    for number, request in enumerate(_IDS[turn * 10 : turn * 10 + 10]):
        here.put(service.job(request), partition=number % 2)
    await asyncio.sleep(10)
    here.chosen = chosen
    await here.start_replica()
    await asyncio.sleep(10)
    await here.replicas[-2].kill()
    await asyncio.sleep(10)


def _settings(ledger_format: int, **kafka: Any) -> all_settings.Settings:
    return service_harness.settings(kafka={"ledger_format": ledger_format, **kafka}, engine={"slots_per_cluster": 0})


@pytest.mark.parametrize("formats", ["1", "2", "2112"])
async def test_versions_take_turns_under_load_and_no_field_is_lost(formats: str) -> None:
    """Rolled forth and back six times while requests come: each job once, its events in order, the field kept."""
    running = {"pace": {"run_s": 90.0}}
    async with service_harness.start(_settings(int(formats[0])), partitions=2, emulated=running) as here:
        this, later = here.broker, _LaterBroker(here.broker)
        for turn in range(6):
            here.broker = later if turn % 2 == 0 else this  # type: ignore[assignment]  # likewise
            await _replace(here, turn, _settings(int(formats[turn % len(formats)])))
            here.broker = this

        await here.until_ended(_IDS, 1800)
        assert history.faults(_IDS, here.events(), here.created()) == []

        jobs = _written(here)
        assert len(jobs) == len(_IDS)

        known = 0
        for key, values in jobs.items():
            marked = [_mark(value) for value in values]
            first = next((number for number, mark in enumerate(marked) if mark is not None), len(marked))
            assert marked[first:] == [{"by": "later", "id": key.decode().split()[-1]}] * (len(marked) - first)
            known += first < len(marked)

        assert known >= 40, "the later version has had most of them"


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_formats_of_the_ledger_take_turns_under_load(guarantee: str) -> None:
    """Replicas that write format 1 and 2 take each other's partitions over: each job once, its events in order."""
    running = {"pace": {"run_s": 90.0}}
    chosen = [_settings(one, guarantee=guarantee) for one in (1, 2)]
    async with service_harness.start(chosen[0], partitions=2, emulated=running) as here:
        for turn in range(6):
            await _replace(here, turn, chosen[(turn + 1) % 2])
            here.broker.compact(here.chosen.kafka.topics.ledger)
        await here.until_ended(_IDS, 1800)
        assert {values[-1][:1] == b"{" for values in _written(here).values()} == {True, False}, "ended in both formats"

        # Repetitions are known, whichever format their records have. Without transactions some events come twice.
        for number, request in enumerate(_IDS):
            here.put(service.job(request), partition=number % 2)
        before = len(here.events())
        await asyncio.sleep(30)
        events = here.events()
        assert len(events) == before + len(_IDS)
        if guarantee == "at-least-once":
            events, faults = history.once(events)
            assert faults == []
        assert history.faults(_IDS, events, here.created()) == []
