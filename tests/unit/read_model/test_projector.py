"""The projection follows each topic on its own, in steps of a bounded size, and past transaction markers."""

from __future__ import annotations

import asyncio
import pathlib
import time
from collections.abc import Sequence

import aiohttp
import pytest
from tests.support import web_role

from mrs_relay import errors
from mrs_relay import web_role as role
from mrs_relay.client import reading
from mrs_relay.common import clock
from mrs_relay.kafka import records
from mrs_relay.kafka.memory import memory_topic_io
from mrs_relay.messages import events
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
    async with asyncio.timeout(60), running as port, aiohttp.ClientSession() as session:
        client = web_role.Client(session, port)
        await client.seen("r-1")
        while not (reasons := [one for one in (await _reasons(client)) if f"topic {_LETTERS}: " in one]):
            await asyncio.sleep(0.01)
        assert _EVENTS not in reasons[0]

        stage.broker.create_topic(_LETTERS, 1)
        await stage.put(web_role.letter(1))
        await client.ready()
        assert len((await client.get("/v1/dead-letters"))["items"]) == 1


async def test_a_right_that_is_lost_while_a_topic_is_read_is_named_until_it_is_given_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All that was there before is written, so nothing else would show that the topic is not read."""
    monkeypatch.setattr(reading, "_AGAIN_S", 0.05)
    stage, lost = web_role.Stage(), asyncio.Event()
    read = memory_topic_io.MemoryTopicReader.read

    async def refused(self: memory_topic_io.MemoryTopicReader, timeout_s: float) -> Sequence[records.Record]:
        if lost.is_set():
            raise errors.NotAllowed("the right Read is missing for User:web")
        return await read(self, min(timeout_s, 0.05))

    monkeypatch.setattr(memory_topic_io.MemoryTopicReader, "read", refused)
    await stage.put(*web_role.story("r-1"))
    async with asyncio.timeout(60), web_role.role(stage) as client:
        await client.ready()
        lost.set()
        while "the right Read is missing for User:web" not in str(await _reasons(client)):
            await asyncio.sleep(0.01)
        for path in ("/v1/queues", "/v1/controls"):
            while "the right Read" not in str(await client.get(path)):
                await asyncio.sleep(0.01)
        lost.clear()
        await stage.put(*web_role.story("r-2"))
        await client.seen("r-2")
        await client.ready()


async def _reasons(client: web_role.Client) -> list[str]:
    async with client.session.get(f"{client.url}/ready") as response:
        found: list[str] = (await response.json())["reasons"]
        return found


async def test_markers_that_retention_deletes_are_no_missing_events(tmp_path: pathlib.Path) -> None:
    """The last offset of a quiet partition is the marker of its last transaction."""
    chosen = web_role.chosen(f"sqlite:///{tmp_path}/web.db")
    stage = web_role.Stage(partitions=1)
    await stage.put(*web_role.story("r-1"))
    async with asyncio.timeout(60), database.opened(chosen.read_model) as opened:
        async with web_role.role(stage, chosen) as client:
            position = (await client.get("/v1/events?after=beginning&wait=0&limit=4"))["position"]
            while [log.next for log in await event_log.current(opened, [_EVENTS])] != [5]:
                await asyncio.sleep(0.01)

        stage.broker.cut(_EVENTS, 0, before=5)
        async with web_role.role(stage, chosen) as client:
            assert (await client.get(f"/v1/events?after={position}&wait=0"))["items"] == []
            assert [log.first for log in await event_log.current(opened, [_EVENTS])] == [0]


async def _events(client: web_role.Client, request_id: str, status: int = 200) -> list[str]:
    """Return the states of a request's events as the role tells them."""
    found = await client.get(f"/v1/requests/{request_id}/events", status)
    return [one["data"]["state"] for one in found.get("items", [])]


async def test_history_outlives_the_topic_for_the_days_that_are_set(tmp_path: pathlib.Path) -> None:
    """Kafka has deleted the events; the file answers, after a restart, too, until its own time is over."""
    address = f"sqlite:///{tmp_path}/web.db"
    chosen = web_role.chosen(address, read_model={"keep_days": 3_000})
    stage = web_role.Stage(partitions=1)
    await stage.put(*web_role.story("r-1"))
    async with web_role.role(stage, chosen) as client:
        stage.broker.cut(_EVENTS, 0, before=4)
        await stage.put(*web_role.story("r-2", start_ms=round(time.time() * 1000))[:1])
        await client.seen("r-2", "accepted")
        assert await _events(client, "r-1") == list(web_role.STORY)
    async with web_role.role(stage, chosen) as client:
        assert await _events(client, "r-1") == list(web_role.STORY)

    async with web_role.role(stage, web_role.chosen(address, read_model={"keep_days": 0.001})) as client:
        while (await client.get("/v1/requests?state=succeeded"))["items"]:
            await asyncio.sleep(0.01)
        assert await _events(client, "r-1", 404) == []
        assert await _events(client, "r-2") == ["accepted"]


def _delete(folder: pathlib.Path) -> None:
    for file in folder.glob("web.db*"):
        file.unlink()


async def test_what_the_topics_hold_is_there_again_after_the_database_was_deleted(tmp_path: pathlib.Path) -> None:
    """All answers are the same but for what is this database's own."""
    chosen = web_role.chosen(f"sqlite:///{tmp_path}/web.db")
    stage = web_role.Stage()
    await stage.put(*web_role.story("r-1", labels={"team": "a"}), web_role.failed("r-2"), web_role.letter(1))
    paths = ("/v1/requests", "/v1/requests/r-1", "/v1/requests/r-1/events", "/v1/dead-letters", "/v1/requests?text=r-2")
    answers = []
    for _ in range(2):
        async with web_role.role(stage, chosen) as client:
            answers.append([await client.get(path) for path in paths])
        await asyncio.to_thread(_delete, tmp_path)
    assert answers[0] == answers[1]
    assert [len(one["items"]) for one in (answers[0][0], answers[0][3], answers[0][4])] == [2, 1, 1]


async def test_who_asks_learns_how_far_the_database_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """In records of each topic, as long as any is not written."""
    stage = web_role.Stage(partitions=1)
    async with web_role.role(stage) as client:
        may_go_on, begun = asyncio.Event(), asyncio.Event()
        apply = store.Store.apply

        async def held(self: store.Store, batch: store.Batch) -> None:
            if begun.is_set():
                await may_go_on.wait()
            begun.set()
            await apply(self, batch)

        monkeypatch.setattr(store.Store, "apply", held)
        monkeypatch.setattr(memory_topic_io, "_READ_RECORDS", 2)
        monkeypatch.setattr(projector, "_TAKE_BYTES", 1)
        await stage.put(*web_role.story("r-1"))
        behind: dict[str, int] = {}
        while not behind.get(_EVENTS):
            behind = (await client.get("/ready"))["behind"]
            await asyncio.sleep(0.01)
        async with client.session.get(f"{client.url}/metrics") as response:
            assert f'mrs_relay_web_behind_records{{topic="{_EVENTS}"}} {behind[_EVENTS]}' in await response.text()
        may_go_on.set()
        await client.seen("r-1")
        await client.ready()


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
        await stage.put(web_role.event(f"r-{number}", 1, "accepted", mrs=events.BodyMrs(tracking_url="x" * 10_000)))
    async with web_role.role(stage):
        assert sum(sizes) == 10
        assert max(sizes) == 2
