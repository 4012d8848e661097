"""Malformed messages on a real broker, in batches of every codec that Kafka knows, as librdkafka writes them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import cast

from tests.support import brokers, damage, history, librdkafka, malformed, service

from mrs_relay.kafka import records
from mrs_relay.messages import dead_letters

_COUNT = 200
_GOOD = 10
"""Good messages among those of each codec, the last message one of them."""
_TAKEN_BYTES = 1_000_000
"""What the topic takes of one record without compression."""


def _mixed(number: int, codec: str) -> tuple[list[malformed.Message], list[str]]:
    """Return the messages of a partition, and the ids of the good ones."""
    drawn = [one for one in malformed.messages(number, _COUNT) if librdkafka.can_write(one)]
    mixed = [one for one in drawn if len(one.value or b"") < _TAKEN_BYTES]
    good = [f"good-{codec}-{count}" for count in range(_GOOD)]
    for count, request_id in enumerate(good, start=1):
        value = service.job(request_id, name=f"neighbour-{codec}")
        mixed.insert(len(mixed) * count // _GOOD, malformed.Message(b"k", value, ()))
    return mixed, good


async def test_malformed_messages_in_every_codec_disturb_nobody(kafka: brokers.KafkaNode, tmp_path: Path) -> None:
    """
    One partition for each codec, 200 malformed messages on each: all of them are read and the good ones are done.

    No partition restarts, each message that no event can answer is kept once, and nothing secret is told or logged.
    """
    with service.emulator(tmp_path, "--run-s", "0.5", "--speed", "10") as mrs:
        here = service.Deployment(kafka.bootstrap, f"codecs-{time.time_ns()}", mrs.url, tmp_path)
        await asyncio.to_thread(here.create_topics, len(librdkafka.CODECS))
        relay = here.start_relay("only")
        wanted: list[str] = []
        sent: list[list[malformed.Message]] = []

        for number, codec in enumerate(librdkafka.CODECS):
            mixed, good = _mixed(number, codec)
            await asyncio.to_thread(librdkafka.write, here.bootstrap, here.requests, number, mixed, codec)
            wanted += good
            sent.append(mixed)

        events = await here.until_ended(wanted)
        letters = [
            dead_letters.read(one.key, one.value, cast("records.Headers", one.headers))
            for one in await here.records(here.dead_letters)
        ]
        created = [one["name"] for one in mrs.effects() if one["name"].startswith("neighbour-")]

        assert await asyncio.to_thread(relay.stop) == 0

    ours = [event for event in events if event.request_id in set(wanted)]
    assert history.faults(wanted, ours, created) == []
    assert {event.state for event in ours if event.state in history.LAST} == {"succeeded"}
    assert max(Counter((one.partition, one.offset) for one in letters).values()) == 1
    assert {one.partition for one in letters} == set(range(len(librdkafka.CODECS)))

    kept = Counter((one.partition, one.key, one.value) for one in letters if not one.cut)
    assert kept <= Counter((number, one.key, one.value) for number, mixed in enumerate(sent) for one in mixed)

    log = relay.log.read_text()
    assert "handler_failed" not in log
    assert "commit_failed" not in log
    assert damage.SECRET not in log
    assert not [event for event in events if damage.SECRET in str(event.data)]
