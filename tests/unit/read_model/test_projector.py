"""The projection follows each topic on its own, in steps of a bounded size, and past transaction markers."""

from __future__ import annotations

import asyncio
import pathlib

import aiohttp
import pytest
from tests.support import web_role

from mrs_relay import web_role as role
from mrs_relay.common import clock
from mrs_relay.kafka.memory import memory_topic_io
from mrs_relay.read_model import database, event_log, projector, store

_EVENTS = web_role.KAFKA.topics.events
_LETTERS = web_role.KAFKA.topics.dead_letters


async def test_a_topic_that_is_missing_stops_no_other_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read as soon as it is there."""
    monkeypatch.setattr(projector, "_AGAIN_S", 0.05)
    stage = web_role.Stage()
    stage.broker.drop_topic(_LETTERS)
    await stage.put(*web_role.story("r-1"))
    running = role.running(web_role.chosen(), stage.client, clock.SystemClock(), lambda _name, _error: None)
    async with asyncio.timeout(20), running as port, aiohttp.ClientSession() as session:
        client = web_role.Client(session, port)
        await client.seen("r-1")
        while not (reasons := [one for one in (await _reasons(client)) if f"topic {_LETTERS}: " in one]):
            await asyncio.sleep(0.01)
        assert _EVENTS not in reasons[0]

        stage.broker.create_topic(_LETTERS, 1)
        await stage.put(web_role.letter(1))
        await client.ready()
        assert len((await client.get("/v1/dead-letters"))["items"]) == 1


async def _reasons(client: web_role.Client) -> list[str]:
    async with client.session.get(f"{client.url}/ready") as response:
        found: list[str] = (await response.json())["reasons"]
        return found


async def test_markers_that_retention_deletes_are_no_missing_events(tmp_path: pathlib.Path) -> None:
    """The last offset of a quiet partition is the marker of its last transaction."""
    chosen = web_role.chosen(f"sqlite:///{tmp_path}/web.db")
    stage = web_role.Stage(partitions=1)
    await stage.put(*web_role.story("r-1"))
    async with asyncio.timeout(20), database.opened(chosen.read_model) as opened:
        async with web_role.role(stage, chosen) as client:
            position = (await client.get("/v1/events?after=beginning&wait=0&limit=4"))["position"]
            while [log.next for log in await event_log.current(opened, [_EVENTS])] != [5]:
                await asyncio.sleep(0.01)

        stage.broker.cut(_EVENTS, 0, before=5)
        async with web_role.role(stage, chosen) as client:
            assert (await client.get(f"/v1/events?after={position}&wait=0"))["items"] == []
            assert [log.first for log in await event_log.current(opened, [_EVENTS])] == [0]


async def test_what_is_written_at_once_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large events would fill the memory long before their number is large."""
    monkeypatch.setattr(memory_topic_io, "_READ_RECORDS", 1)
    monkeypatch.setattr(projector, "_TAKE_BYTES", 15_000)
    sizes: list[int] = []
    apply = store.Store.apply

    async def noted(self: store.Store, batch: store.Batch) -> None:
        sizes.append(sum(map(len, batch.events.values())))
        await apply(self, batch)

    monkeypatch.setattr(store.Store, "apply", noted)
    stage = web_role.Stage(partitions=1)
    for number in range(10):
        await stage.put(web_role.event(f"r-{number}", 1, "accepted", labels={"text": "x" * 10_000}))
    async with web_role.role(stage):
        assert sum(sizes) == 10
        assert max(sizes) == 2
