"""Streams of events: nothing is repeated and nothing is left out, wherever a reader comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from tests.support import web_role

from mrs_relay.kafka import records
from mrs_relay.messages import events


class Block:
    """One block of a stream of server-sent events."""

    def __init__(self, text: str) -> None:
        fields = [line.partition(": ") for line in text.splitlines() if not line.startswith(":")]
        self.fields = {name: value for name, _, value in fields}
        self.id = self.fields.get("id", "")
        self.kind = self.fields.get("event", "message")
        self.data: Any = json.loads(self.fields["data"]) if "data" in self.fields else None

    @property
    def what(self) -> tuple[str, int]:
        """Request and number of the event."""
        return self.data["data"]["request"]["id"], self.data["data"]["sequence"]


async def blocks(client: web_role.Client, query: str = "", last: str | None = None) -> AsyncGenerator[Block, None]:
    """Yield the blocks of a stream, heartbeats too."""
    headers = {} if last is None else {"Last-Event-ID": last}
    async with client.session.get(f"{client.url}/v1/events?{query}", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        text = ""
        async for chunk in response.content.iter_any():
            text += chunk.decode()
            *whole, text = text.split("\n\n")
            for one in whole:
                yield Block(one)


async def read(client: web_role.Client, count: int, query: str = "", last: str | None = None) -> list[Block]:
    """Return the next so many events."""
    found = []
    async with asyncio.timeout(60):
        async for block in blocks(client, query, last):
            if block.data is not None:
                found.append(block)
            if len(found) == count:
                break
    return found


def everything(number: int) -> set[tuple[str, int]]:
    return {(f"r-{one}", sequence) for one in range(number) for sequence in range(1, 5)}


async def test_a_reader_that_comes_back_after_any_event_gets_each_event_once_also_from_another_replica() -> None:
    """The id of an event is a position in Kafka, so a replica with a database of its own continues it."""
    stage = web_role.Stage(partitions=3)
    for number in range(8):
        await stage.put(*web_role.story(f"r-{number}"))

    async with web_role.role(stage) as one, web_role.role(stage) as other:
        found: list[Block] = []
        last = "beginning"
        for turn in range(16):
            some = await read((one, other)[turn % 2], 2, last=last)
            found += some
            last = some[-1].id
        delivered = [block.what for block in found]
        assert len(delivered) == len(set(delivered))
        assert set(delivered) == everything(8)
        for number in range(8):
            assert [sequence for name, sequence in delivered if name == f"r-{number}"] == [1, 2, 3, 4]


async def test_a_new_reader_gets_what_comes_from_now_on() -> None:
    """Without a position the past is left out."""
    stage = web_role.Stage()
    await stage.put(*web_role.story("old"))
    async with web_role.role(stage) as client:
        stream = blocks(client)
        await anext(stream)  # the stream is open
        await stage.put(*web_role.story("new"))
        async with asyncio.timeout(60):
            while (block := await anext(stream)).data is None:
                pass
        assert block.what == ("new", 1)
        await stream.aclose()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=succeeded", [("r-0", 4), ("r-1", 4)]),
        ("id=r-1", [("r-1", 1), ("r-1", 2), ("r-1", 3), ("r-1", 4)]),
        ("label=team%3Db&state=accepted", [("r-1", 1)]),
        ("cluster=c-0&type=sql&tenant=&state=running&source=/tests", [("r-0", 3)]),
    ],
)
async def test_a_filter_leaves_out_events_and_keeps_the_position(query: str, expected: list[tuple[str, int]]) -> None:
    """What a filter leaves out does not come when the reader comes back."""
    stage = web_role.Stage(partitions=1)
    await stage.put(*web_role.story("r-0", cluster="c-0", labels={"team": "a"}))
    await stage.put(*web_role.story("r-1", cluster="c-1", labels={"team": "b"}))
    async with web_role.role(stage) as client:
        found = await client.get(f"/v1/events?{query}&after=beginning&wait=0")
        assert [(one["subject"], one["data"]["sequence"]) for one in found["items"]] == expected
        again = await client.get(f"/v1/events?{query}&after={found['position']}&wait=0")
        assert again == {"items": [], "position": found["position"]}


async def test_a_stream_where_nothing_happens_gets_heartbeats_that_leave_nothing_out() -> None:
    """A heartbeat may carry a position, but only one behind everything that was delivered."""
    stage = web_role.Stage()
    await stage.put(*web_role.story("r-0"))
    async with web_role.role(stage, web_role.chosen(api={"heartbeat_s": 0.1})) as client:
        stream = blocks(client, "id=other&after=beginning")
        seen = [await anext(stream) for _ in range(4)]
        assert [block.data for block in seen] == [None] * 4
        await stream.aclose()
        await stage.put(*web_role.story("r-1"))
        assert {block.what[0] for block in await read(client, 4, last=seen[-1].id)} == {"r-1"}


async def test_a_busy_topic_of_which_nothing_matches_gets_no_more_heartbeats_than_a_quiet_one() -> None:
    """Each change of the topic would otherwise cost every such stream a write."""
    stage = web_role.Stage(partitions=1)
    async with web_role.role(stage, web_role.chosen(api={"heartbeat_s": 600})) as client:
        stream = blocks(client, "id=mine")
        await anext(stream)  # the stream is open
        for number in range(5):
            await stage.put(*web_role.story(f"r-{number}"))
            await client.seen(f"r-{number}")
        await stage.put(*web_role.story("mine"))
        async with asyncio.timeout(60):
            assert (await anext(stream)).what == ("mine", 1)
        await stream.aclose()


async def test_a_position_whose_events_are_gone_gives_one_reset_and_then_what_is_new() -> None:
    """A reader must not believe that it has seen everything."""
    stage = web_role.Stage(partitions=1)
    await stage.put(*web_role.story("r-0"))
    async with web_role.role(stage) as client:
        position = (await read(client, 2, last="beginning"))[-1].id
    await stage.put(*web_role.story("r-1"))
    stage.broker.cut("mrs.events", 0, before=6)

    async with web_role.role(stage) as client:
        problem = await client.get(f"/v1/events?after={position}&wait=0", status=410)
        assert problem["type"] == "urn:mrs-relay:problem:position-gone"
        assert (await client.get(f"/v1/events?after={problem['position']}&wait=0"))["items"] == []

        stream = blocks(client, last=position)
        while (first := await anext(stream)).kind != "reset":
            assert first.data is None
        assert "no longer kept" in first.data["reason"]
        await stage.put(*web_role.story("r-2"))
        async with asyncio.timeout(60):
            while (block := await anext(stream)).data is None:
                pass
        assert block.what == ("r-2", 1)
        await stream.aclose()


async def test_copies_of_an_event_come_once() -> None:
    """With at-least-once the relay may write an event twice."""
    stage = web_role.Stage(partitions=1)
    accepted, submitted, *rest = web_role.story("r-0")
    await stage.put(accepted, submitted)
    await stage.put(submitted, *rest)
    async with web_role.role(stage) as client:
        found = await client.get("/v1/events?after=beginning&wait=0")
        assert [one["data"]["sequence"] for one in found["items"]] == [1, 2, 3, 4]


async def test_a_call_with_wait_returns_as_soon_as_there_is_an_event() -> None:
    """`wait` is the longest wait, not the shortest."""
    stage = web_role.Stage(partitions=1)
    async with web_role.role(stage) as client:
        position = (await client.get("/v1/events?wait=0"))["position"]
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(client.get(f"/v1/events?after={position}&wait=60&id=r-0"))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await stage.put(*web_role.story("other"))
            await stage.put(*web_role.story("r-0"))
        assert [one["subject"] for one in waiting.result()["items"]] == ["r-0"] * 4


async def test_a_call_with_limit_goes_on_behind_the_last_event_that_it_returned() -> None:
    """What did not fit comes with the next call."""
    stage = web_role.Stage(partitions=2)
    for number in range(3):
        await stage.put(*web_role.story(f"r-{number}"))
    async with web_role.role(stage) as client:
        delivered, position = [], "beginning"
        while True:
            found = await client.get(f"/v1/events?after={position}&wait=0&limit=5")
            if not found["items"]:
                break
            delivered += [(one["subject"], one["data"]["sequence"]) for one in found["items"]]
            position = found["position"]
        assert len(delivered) == len(set(delivered)) == 12


async def test_lines_of_json_carry_event_and_position() -> None:
    """The same stream for programs that do not know server-sent events."""
    stage = web_role.Stage(partitions=1)
    await stage.put(*web_role.story("r-0"))
    async with web_role.role(stage) as client:
        accept = {"Accept": "application/x-ndjson"}
        async with client.session.get(f"{client.url}/v1/events?after=beginning", headers=accept) as response:
            lines = [json.loads(await response.content.readline()) for _ in range(4)]
        assert [line["event"]["data"]["sequence"] for line in lines] == [1, 2, 3, 4]
        (after_two,) = [line["position"] for line in lines[1:2]]
        found = await client.get(f"/v1/events?after={after_two}&wait=0")
        assert [one["data"]["sequence"] for one in found["items"]] == [3, 4]


async def test_an_event_with_line_ends_comes_on_one_line() -> None:
    """Another producer may indent its JSON; a line end would end the event in both forms of a stream."""
    stage = web_role.Stage(partitions=1)
    for number, end in enumerate((b"\n", b"\r\n", b"\r")):
        one = web_role.event(f"r-{number}", 1, "accepted")
        value = msgspec.json.format(one.value or b"", indent=2).replace(b"\n", end)
        await stage.put(records.Outgoing(one.topic, one.key, value, one.headers))
    async with web_role.role(stage) as client:
        found = await read(client, 3, last="beginning")
        assert [block.what for block in found] == [("r-0", 1), ("r-1", 1), ("r-2", 1)]
        accept = {"Accept": "application/x-ndjson"}
        async with client.session.get(f"{client.url}/v1/events?after=beginning", headers=accept) as response:
            lines = [json.loads(await response.content.readline()) for _ in range(3)]
        assert [line["event"]["subject"] for line in lines] == ["r-0", "r-1", "r-2"]


async def test_an_event_of_a_foreign_type_does_not_end_a_stream_with_a_filter() -> None:
    """A newer version may write types that this one does not know."""
    stage = web_role.Stage(partitions=1)
    one = web_role.event("r-0", 1, "accepted")
    headers = tuple((name, b"mrs" if name == "ce_type" else value) for name, value in one.headers)
    await stage.put(records.Outgoing(one.topic, one.key, one.value, headers), *web_role.story("r-1"))
    async with web_role.role(stage) as client:
        assert [block.what for block in await read(client, 1, "type=sql", "beginning")] == [("r-1", 1)]


async def test_a_reader_that_does_not_read_is_cut_off() -> None:
    """It would keep its events in memory."""
    stage = web_role.Stage(partitions=1)
    large = events.BodyMrs(tracking_url="x" * 100_000)
    big = [
        web_role.event(f"r-{number}", 1, "accepted", mrs=large, time_ms=web_role.NOW_MS + number)
        for number in range(100)
    ]
    for one in big:
        await stage.put(one)

    async with web_role.role(stage, web_role.chosen(api={"send_timeout_s": 0.3})) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]), limit=1024)
        writer.write(b"GET /v1/events?after=beginning HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(60):
            while "mrs_relay_web_streams_cut_off_total 1.0" not in await _metrics(client):
                await asyncio.sleep(0.05)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(20_000_000)
        writer.close()


async def _metrics(client: web_role.Client) -> str:
    async with client.session.get(f"{client.url}/metrics") as response:
        return await response.text()


async def test_one_stream_more_than_allowed_is_refused() -> None:
    """Each stream costs queries."""
    async with web_role.role(web_role.Stage(), web_role.chosen(api={"streams": 1})) as client:
        stream = blocks(client)
        await anext(stream)
        problem = await client.get("/v1/events?wait=0", status=503)
        assert "as many as api.streams allows" in problem["detail"]
        await stream.aclose()


async def test_a_call_without_a_body_is_answered_at_once() -> None:
    """It takes the place of no stream."""
    async with web_role.role(web_role.Stage()) as client, asyncio.timeout(30):
        for _ in range(3):
            async with client.session.head(f"{client.url}/v1/events") as response:
                assert (response.status, response.content_type) == (200, "text/event-stream")


async def test_a_topic_that_was_created_again_gives_a_reset() -> None:
    """Offsets of the old topic mean nothing in the new one."""
    stage = web_role.Stage(partitions=1)
    await stage.put(*web_role.story("r-0"))
    async with web_role.role(stage) as client:
        position = (await read(client, 4, last="beginning"))[-1].id
    stage.broker.drop_topic("mrs.events")
    stage.broker.create_topic("mrs.events", 1)
    for number in range(3):
        await stage.put(*web_role.story(f"n-{number}"))
    async with web_role.role(stage) as client:
        problem = await client.get(f"/v1/events?after={position}&wait=0", status=410)
        assert "was deleted and created again" in problem["detail"]


def test_events_of_a_stage_are_records() -> None:
    """The stage writes what the relay would write."""
    assert all(isinstance(one, records.Outgoing) for one in web_role.story("r-1"))
