"""Rows that come late keep no rows in chunks of a success waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pydantic
import pytest
from tests.unit.engine import samples

from mrs_relay.common import clock
from mrs_relay.engine.execution import deliveries
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import csv_chunks
from mrs_relay.obs import client, paths, settings, transport

pytestmark = pytest.mark.looptime

FOLDER = "obs://lake/results/"


class _Door:
    """Objects of one byte; those whose name begins with `slow` take an hour."""

    async def head(self, _place: paths.Place, _keys: transport.Keys) -> transport.Head:
        return transport.Head(1, "tag")

    async def part(
        self, place: paths.Place, _keys: transport.Keys, _head: transport.Head, _span: tuple[int, int]
    ) -> AsyncIterator[bytes]:
        await asyncio.sleep(3600 if "slow" in place.key else 0.1)
        yield b"1"

    async def open(self, _place: paths.Place, _keys: transport.Keys) -> transport.OpenObject:
        return _Object()


class _Object:
    size = 1

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"1"


class _Sink:
    """Takes all rows."""

    event_source = "/relay"

    async def store(self, _origin: object, content: AsyncIterator[bytes], *, has_header: bool, cutter: object) -> None:
        assert not has_header
        assert cutter is csv_chunks.CsvChunks
        async for _ in content:
            pass


def _job(name: str, **how: Any) -> jobs.Job:
    delivery = jobs.Delivery(FOLDER, **how)
    job = samples.request(id=name, state=jobs.State.COLLECTING, statement=True)
    return msgspec.structs.replace(job, delivery=delivery, location=f"{FOLDER}{name}.csv")


async def test_rows_in_chunks_that_come_late_leave_a_place_to_those_of_a_success() -> None:
    """Large results come late and take long: whatever their number, others are read meanwhile, in both ways."""
    group = settings.ObsSettings(csv_header=False, read_timeout_s=7200)
    keys = transport.OwnKeys("ak", pydantic.SecretStr("sk"))
    reader = deliveries.Deliveries(client.Client(group, cast("Any", _Door()), lambda: keys), 1000, clock.LoopClock())
    sink = cast("Any", _Sink())
    late = [
        asyncio.create_task(reader.read_late(_job(f"slow-{number}", inline=False, chunks=True), sink))
        for number in range(4)
    ]

    try:
        await asyncio.sleep(1)
        async with asyncio.timeout(10):
            await reader.read(_job("few", inline=False, chunks=True), sink)
            await reader.read_late(_job("few-late", inline=True), sink)
    finally:
        for task in late:
            task.cancel()
        await asyncio.wait(late)
