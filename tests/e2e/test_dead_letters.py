"""Bad input and dead letters on a real broker: nothing vanishes, nobody is disturbed, replays do no harm."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import aiokafka
import pytest
from tests.support import brokers, history, malformed, raw_records, service, waiting

from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts
from mrs_relay.kafka import records
from mrs_relay.messages import dead_letters

_COUNT = 400
_MOST_BYTES = 524_288
_TAKEN_BYTES = 1_040_000
"""What the topic takes with its defaults; a producer's larger messages never come to the relay."""


@pytest.fixture(scope="module")
def mrs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Emulator]:
    """One emulator for this module; jobs are quick."""
    with service.emulator(tmp_path_factory.mktemp("mrs"), "--run-s", "0.5", "--speed", "10") as playing:
        yield playing


def _deployment(kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path, name: str) -> service.Deployment:
    return service.Deployment(kafka.bootstrap, f"{name}-{time.time_ns()}", mrs.url, tmp_path)


async def _send(here: service.Deployment, messages: Sequence[malformed.Message], topic: str = "") -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=here.bootstrap, acks="all", max_request_size=8_000_000)
    await producer.start()
    try:
        for one in messages:
            await producer.send_and_wait(
                topic or here.requests, one.value, key=one.key, headers=list(one.headers), partition=0
            )
    finally:
        await producer.stop()


def _ends(topic: str, message: malformed.Message) -> str:
    """Return what the relay has to make of a message: "letter", "rejected", or anything else."""
    record = records.Record(topic, 0, 0, 0, message.key, message.value, cast("records.Headers", message.headers))
    meaning = reader.read(record, frozenset(), _MOST_BYTES)
    if isinstance(meaning, dead_letters.DeadLetter):
        return "letter"
    return "rejected" if isinstance(meaning[1], facts.InvalidRequest) else "other"


async def test_hundreds_of_malformed_messages_disturb_nobody(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """Each bad one ends in a rejection or in a dead letter with its bytes, the relay lives, the good ones succeed."""
    here = _deployment(kafka, mrs, tmp_path, "fuzz")
    await asyncio.to_thread(here.create_topics, 1)
    drawn = [one for one in malformed.messages(3, _COUNT) if len(one.value or b"") < _TAKEN_BYTES]
    bad = [one for one in drawn if not one.key is one.value is None]  # which aiokafka's producer refuses to send
    expected = Counter(_ends(here.requests, one) for one in bad)
    good = [f"good-{number}" for number in range(20)]
    mixed = list(bad)
    for number, one in enumerate(good):
        mixed.insert(number * (len(bad) // len(good)), malformed.Message(b"k", service.job(one, name="neighbour"), ()))
    relay = here.start_relay("only")
    await _send(here, mixed[:200])
    await asyncio.to_thread(
        raw_records.write, here.bootstrap, here.requests, 0, service.job("odd-header", name="neighbour").decode()
    )
    await _send(here, mixed[200:])
    await here.until_ended([*good, "odd-header"])
    await _until_letters(here, expected["letter"])
    events = await here.story()
    letters = await here.records(here.dead_letters)

    assert relay.alive
    assert await asyncio.to_thread(relay.stop) == 0

    ours = [event for event in events if event.request_id in {*good, "odd-header"}]
    created = [effect["name"] for effect in mrs.effects() if effect["name"].startswith("neighbour-")]
    assert history.faults([*good, "odd-header"], ours, created) == []
    assert {event.state for event in ours if event.state in history.LAST} == {"succeeded"}
    assert len(letters) == expected["letter"]

    unread = [one for one in bad if _ends(here.requests, one) == "letter"]
    assert Counter((letter.key, letter.value) for letter in letters) == Counter(
        (one.key, one.value or b"") for one in unread
    )

    rejected = {event.request_id for event in events if event.state == "rejected"}
    assert len(rejected) > expected["rejected"] // 2


def _rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_replaying_twice_carries_a_request_out_once(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """
    A message that the relay reads today, and one that it does not, both without a key, are replayed twice.

    The first becomes one job, and its second replay is answered with what became of it; the other is set aside again,
    is listed once, and every copy has the bytes and headers that came in.
    """
    here = _deployment(kafka, mrs, tmp_path, "replay")
    await asyncio.to_thread(here.create_topics, 4)
    common: dict[str, Any] = {"key": None, "message": "m", "topic": here.requests, "partition": 2}
    readable = dead_letters.DeadLetter(
        value=service.job("once", name="once"), headers=(("h", b"1"),), code="unreadable_encoding", offset=7,
        timestamp_ms=1, **common,
    )  # fmt: skip
    unreadable = dead_letters.DeadLetter(
        value=b"\xff", headers=(("h", b"2"),), code="unreadable_json", offset=8, timestamp_ms=2, **common
    )
    letters = [malformed.Message(*one.write()) for one in (readable, unreadable)]
    await _send(here, letters, here.dead_letters)
    relay = here.start_relay("only")

    for number in (1, 2):
        code, text = await asyncio.to_thread(
            here.command, "dead-letters", "replay", "--all", "--note", "read now", "--json"
        )
        assert (code, [row["outcome"] for row in _rows(text)]) == (0, ["sent", "sent"])
        await here.until_ended(["once"])
        await _until_letters(here, 2 + number)

    events = [event for event in await here.until_ended(["once"]) if event.request_id == "once"]
    assert await asyncio.to_thread(relay.stop) == 0

    created = [effect["name"] for effect in mrs.effects() if effect["name"].startswith("once-")]
    assert len(created) == 1
    assert history.faults(["once"], events, created) == []
    assert [event.data.get("repeated", False) for event in events].count(True) == 1
    assert events[-1].data["repeated"]

    sent = await here.records(here.requests)
    assert {one.partition for one in sent} == {2}
    assert {tuple(one.headers) for one in sent} == {
        (("h", b"1"), ("mrs_relay_replay_of", f"{here.requests}-2-7".encode())),
        (("h", b"2"), ("mrs_relay_replay_of", f"{here.requests}-2-8".encode())),
    }

    code, text = await asyncio.to_thread(here.command, "dead-letters", "list", "--json")
    rows = {row["position"]: row["times"] for row in _rows(text)}
    assert (code, rows) == (0, {f"{here.requests}-2-7": 1, f"{here.requests}-2-8": 3})


async def _until_letters(here: service.Deployment, count: int) -> None:
    async def there() -> bool:
        return len(await here.records(here.dead_letters)) >= count

    await waiting.until(there)
