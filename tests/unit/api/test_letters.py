"""Dead letters over HTTP: who sees their content, what a replay sends, and what it leaves alone."""

from __future__ import annotations

import asyncio
import base64
import json
import pathlib
from typing import Any

from tests.support import access, cells, web_role

from mrs_relay.common import clock
from mrs_relay.kafka import records
from mrs_relay.messages import audit, dead_letters

_HEADERS = (("content-type", b"application/json"), ("x", b"\xff"))


def letter(
    offset: int, *, value: bytes | None = b"not json", topic: str = "mrs.requests", headers: Any = _HEADERS, **more: Any
) -> records.Outgoing:
    """Return a dead letter of a message with headers of its own."""
    made = dead_letters.DeadLetter(
        key=b"k",
        value=value,
        headers=headers,
        code=more.get("code", "bad_id"),
        message="no id can be read",
        topic=topic,
        partition=more.get("partition", 0),
        offset=offset,
        timestamp_ms=web_role.NOW_MS,
        cut=more.get("cut", ()),
    )
    return records.Outgoing("mrs.dead-letters", *made.write())


def _sent(stage: web_role.Stage, topic: str = "mrs.requests") -> list[records.Record]:
    return stage.broker.committed(topic)


async def test_operators_see_the_message_as_it_came_and_viewers_why_not(tmp_path: pathlib.Path) -> None:
    """Bytes of any kind, key and headers; another tenant's dead letter is not there."""
    known, stage = access.Callers(tmp_path), access.stage()
    await stage.put(letter(1, topic="etl.requests"), letter(2, topic="etl.requests", value=b"\xff\x00"))
    await stage.put(letter(3, topic="bi.requests"), letter(4, topic="etl.requests", value=None))
    async with web_role.role(stage, known.chosen()) as client:
        ours = known.headers("operator")
        whole = await client.get("/v1/dead-letters/etl.requests-0-1", headers=ours)
        assert (whole["tenant"], whole["code"], whole["size_bytes"]) == ("etl", "bad_id", 8)
        assert whole["content"] == {
            "key_base64": base64.b64encode(b"k").decode(),
            "value_base64": base64.b64encode(b"not json").decode(),
            "text": "not json",
            "headers": [
                {"name": "content-type", "value_base64": base64.b64encode(b"application/json").decode()},
                {"name": "x", "value_base64": "/w=="},
            ],
            "cut": False,
        }
        raw = (await client.get("/v1/dead-letters/etl.requests-0-2", headers=ours))["content"]
        assert (raw["value_base64"], "text" in raw) == ("/wA=", False)
        tombstone = (await client.get("/v1/dead-letters/etl.requests-0-4", headers=ours))["content"]
        assert "value_base64" not in tombstone

        for name in ("viewer", "viewer of all"):
            with cells.cell(name):
                shown = await client.get("/v1/dead-letters/etl.requests-0-1", headers=known.headers(name))
                assert "content" not in shown
                assert "operators of the tenant see" in shown["withheld"]
        mixed = await client.get(
            "/v1/dead-letters/bi.requests-0-3", headers=known.headers("operator here, viewer there")
        )
        assert "content" not in mixed
        for path in ("bi.requests-0-3", "etl.requests-0-9", "x%00y", "etl.requests-0-1%0a"):
            with cells.cell(path):
                await client.get(f"/v1/dead-letters/{path}", 404, ours)


async def test_a_message_is_sent_once_more_as_it_came_to_where_it_stood_and_that_is_on_record() -> None:
    """With one more header, which names it; nothing is sent by a dry run."""
    stage = web_role.Stage()
    await stage.put(letter(17, partition=1), letter(18))
    async with web_role.role(stage) as client:
        body = {"positions": ["mrs.requests-1-17", "mrs.requests-0-99"], "dry_run": True}
        tried, _ = await client.post("/v1/dead-letters/replay", body, 200)
        assert [one["outcome"] for one in tried["items"]] == ["would_be_sent", "failed"]
        assert not _sent(stage)
        assert not stage.broker.committed("mrs.audit")

        done, _ = await client.post("/v1/dead-letters/replay", {**body, "dry_run": False, "note": "repaired"}, 200)
        assert [one["outcome"] for one in done["items"]] == ["sent", "failed"]
    [record] = _sent(stage)
    assert (record.partition, record.key, record.value) == (1, b"k", b"not json")
    assert record.headers == (*_HEADERS, ("mrs_relay_replay_of", b"mrs.requests-1-17"))
    [decided] = [audit.read(one.value) for one in stage.broker.committed("mrs.audit")]
    assert (decided.subject, decided.data.action, decided.data.why) == ("mrs.requests-1-17", "replay", "repaired")
    assert (decided.data.what, decided.data.before) == ({"position": "mrs.requests-1-17"}, {"code": "bad_id"})


async def test_all_that_match_are_sent_step_by_step_and_replays_are_left_alone() -> None:
    """Each message once, whatever was set aside meanwhile; what cannot be sent is an outcome."""
    stage = web_role.Stage()
    replayed = (*_HEADERS, (dead_letters.REPLAY_OF, b"mrs.requests-0-1"))

    await stage.put(
        *(letter(number, value=b"v%d" % number) for number in range(5)),
        letter(7, headers=replayed, value=b"v1"),
        letter(8, cut=(("mrs_relay_cut_value", b"9"),)),
        letter(9, topic="gone.requests"),
        letter(10, partition=9),
        letter(11, code="other"),
    )

    async with web_role.role(stage) as client:
        body: dict[str, Any] = {"code": "bad_id", "limit": 4}
        preview, _ = await client.post("/v1/dead-letters/replay", {**body, "dry_run": True}, 200)
        assert preview["matching"] == 9
        assert preview["until"] > "2026"

        until_ms = web_role.milliseconds((await client.get("/v1/dead-letters"))["items"][0]["written_at"]) + 1
        body |= {"until": clock.rfc3339(until_ms), "note": "repaired"}
        await asyncio.sleep(0.005)  # the broker has the clock of the loop
        await stage.put(letter(12, value=b"later"))
        await client.seen_letters(11)
        outcomes: dict[str, tuple[str, str]] = {}
        cursor: str | None = None

        for _ in range(3):
            page, _ = await client.post("/v1/dead-letters/replay", {**body, "cursor": cursor}, 200)
            outcomes |= {one["position"]: (one["outcome"], one["message"]) for one in page["items"]}
            cursor = page.get("next")

        assert cursor is None

    assert {record.value for record in _sent(stage)} == {b"v%d" % number for number in range(5)}
    assert len(_sent(stage)) == 5
    assert outcomes["mrs.requests-0-7"][0] == "passed"
    assert "name its position" in outcomes["mrs.requests-0-7"][1]

    for position, words in (("mrs.requests-0-8", "cut off"), ("gone.requests-0-9", "no topic of requests")):
        assert outcomes[position][0] == "failed"
        assert words in outcomes[position][1]

    assert "fewer partitions" in outcomes["mrs.requests-9-10"][1]


async def test_a_replay_is_sent_where_its_original_cannot_be() -> None:
    """An outcome says that another one is sent only if it is."""
    stage = web_role.Stage()
    again = (*_HEADERS, (dead_letters.REPLAY_OF, b"mrs.requests-0-1"))
    await stage.put(letter(1, cut=(("mrs_relay_cut_value", b"9"),)), letter(7, headers=again), letter(8, headers=again))
    async with web_role.role(stage) as client:
        positions = [f"mrs.requests-0-{offset}" for offset in (1, 7, 8)]
        page, _ = await client.post("/v1/dead-letters/replay", {"positions": positions, "note": "x"}, 200)
    assert [one["outcome"] for one in page["items"]] == ["failed", "sent", "passed"]
    assert len(_sent(stage)) == 1


async def test_a_call_says_which_and_why() -> None:
    """Else one call with nothing in it would send all."""
    async with web_role.role(web_role.Stage()) as client:
        for body in (
            {"note": "x"},
            {"positions": ["a-0-1"]},
            {"positions": ["a-0-1"], "note": " "},
            {"positions": [], "note": "x"},
            {"positions": ["a-0-\0"], "note": "x"},
            {"positions": ["a-0-1"], "code": "bad_id", "note": "x"},
            {"all": True},
            {"all": True, "note": "x", "limit": 101},
        ):
            with cells.cell(json.dumps(body)):
                await client.post("/v1/dead-letters/replay", body, 422)

        nothing, _ = await client.post("/v1/dead-letters/replay", {"all": True, "note": "x"}, 200)
        assert (nothing["matching"], nothing["items"]) == (0, [])


async def test_no_caller_replays_what_is_another_tenants(tmp_path: pathlib.Path) -> None:
    """Neither by position nor by filter; a viewer replays nothing."""
    known, stage = access.Callers(tmp_path), access.stage()
    await stage.put(letter(1, topic="etl.requests"), letter(2, topic="bi.requests"))
    async with web_role.role(stage, known.chosen()) as client:
        path, note = "/v1/dead-letters/replay", {"note": "x"}
        ours = known.headers("operator")
        page, _ = await client.post(path, {"positions": ["bi.requests-0-2"], **note}, 200, ours)
        assert [one["message"] for one in page["items"]] == ["there is no such dead letter"]
        await client.post(path, {"tenant": "bi", **note}, 403, ours)
        mixed = known.headers("operator here, viewer there")
        await client.post(path, {"positions": ["bi.requests-0-2"], **note}, 403, mixed)
        await client.post(path, {"all": True, **note}, 403, known.headers("viewer of all"))
        page, _ = await client.post(path, {"all": True, **note}, 200, mixed)
        assert [one["position"] for one in page["items"]] == ["etl.requests-0-1"]
    assert (len(_sent(stage, "etl.requests")), len(_sent(stage, "bi.requests"))) == (1, 0)


async def test_a_letter_that_claims_another_topic_writes_nothing_there() -> None:
    """Who may write dead letters must not thereby write controls."""
    stage = web_role.Stage()
    await stage.put(letter(1, topic="mrs.control"))
    async with web_role.role(stage) as client:
        page, _ = await client.post("/v1/dead-letters/replay", {"all": True, "note": "x"}, 200)
        assert "no topic of requests" in page["items"][0]["message"]
    assert not _sent(stage, "mrs.control")


async def test_a_message_that_kafka_no_longer_holds_is_said_to_be_gone() -> None:
    """Its row outlives it in the read model."""
    stage = web_role.Stage()
    await stage.put(letter(1))
    async with web_role.role(stage) as client:
        for partition in range(2):
            stage.broker.cut(
                "mrs.dead-letters", partition, stage.broker.log(records.Position("mrs.dead-letters", partition)).end
            )
        shown = await client.get("/v1/dead-letters/mrs.requests-0-1")
        assert "no longer in the topic" in shown["withheld"]
        page, _ = await client.post("/v1/dead-letters/replay", {"all": True, "note": "x"}, 200)
        assert page["items"][0]["outcome"] == "failed"
    assert not _sent(stage)
