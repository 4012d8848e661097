"""The ledger moves to another Kafka while jobs are under way: each runs once, whatever its relay did until then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support import memory_kafka, service, service_harness

from mrs_relay.cli import connect, ledger_files, ledger_import
from mrs_relay.kafka.ledger_files import ledger_file

pytestmark = pytest.mark.looptime

_IDS = ("ended", "runs", "waits")


async def _until(here: service_harness.ServiceHarness, request_id: str, state: str) -> None:
    async with asyncio.timeout(600):
        while state not in here.states(request_id):
            await asyncio.sleep(0.2)


async def _other_kafka(here: service_harness.ServiceHarness, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Export the ledgers as they are."""
    old = memory_kafka.MemoryKafka.__new__(memory_kafka.MemoryKafka)
    old.__dict__ = here.broker.__dict__  # the same Kafka, as commands use it
    monkeypatch.setattr(connect, "broker", lambda _settings: old)
    with ledger_file.new_file(path) as out:
        await ledger_files._export(here.chosen.tenancies, out)


async def _import(
    here: service_harness.ServiceHarness, monkeypatch: pytest.MonkeyPatch, path: Path, *, is_final: bool
) -> None:
    """Fill the ledgers of another Kafka, which is the deployment's from now on."""
    new = memory_kafka.MemoryKafka(here.chosen.kafka)
    new.create_topic("another", 1)  # the ids of topics follow from their number here
    new.create_topics(here.broker.partitions(here.chosen.kafka.topics.requests))
    monkeypatch.setattr(connect, "broker", lambda _settings: new)
    wanted = ledger_import.Wanted(path, "earliest", "", is_final=is_final, merge=False, dry_run=False, only=None)
    await ledger_import.run_import(here.chosen.tenancies, wanted)
    here.broker = new


@pytest.mark.parametrize("goes_on", [False, True], ids=["final", "relay-goes-on"])
async def test_each_job_runs_once_also_if_its_relay_went_on_after_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """What waited at the export is found on MRS if it was submitted later, and is submitted if it was not."""
    kafka: dict[str, Any] = {"app_id": "moves"}
    async with service_harness.start(
        service_harness.settings(kafka=kafka), emulated={"pace": {"run_s": 120.0}}
    ) as here:
        here.put(service.job("ended", name="ended"))
        await _until(here, "ended", "succeeded")
        here.put(service.job("runs", name="runs"))
        await _until(here, "runs", "submitted")
        here.trouble(action="busy", operation="CreateExecuteJob", count=None)
        here.put(service.job("waits", name="waits"))
        await _until(here, "waits", "accepted")
        await asyncio.sleep(5)
        await _other_kafka(here, monkeypatch, tmp_path / "relay.ledgers")

        if goes_on:
            here.mrs.clear_faults()
            await _until(here, "waits", "submitted")
        await here.replicas[-1].kill()
        here.mrs.clear_faults()
        before = list(here.events())
        await _import(here, monkeypatch, tmp_path / "relay.ledgers", is_final=not goes_on)
        await here.start_replica()
        for request_id in _IDS:  # their senders are not sure
            here.put(service.job(request_id, name=request_id))
        await here.until_ended(_IDS, 3600)
        await asyncio.sleep(600)

        assert sorted(name.split("-")[0] for name in here.created()) == sorted(_IDS)
        for request_id in _IDS:
            assert here.states(request_id)[-1] == "succeeded"
        numbers = {event.event_id for event in before if event.request_id == "runs"}
        again = [event for event in here.events() if event.request_id == "runs"]
        assert len({event.sequence for event in again}) == len(again)
        if not goes_on:
            assert numbers.isdisjoint(event.event_id for event in again)
