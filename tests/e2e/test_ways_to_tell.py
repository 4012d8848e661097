"""Events in structured mode and the topic of latest states, on real Kafka with a real relay; clusters by name."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from tests.support import brokers, service, waiting

_STRUCTURED = b"application/cloudevents+json; charset=UTF-8"


def _by_name(request_id: str, name: str) -> bytes:
    message = json.loads(service.job(request_id))
    message["data"]["cluster"] = {"name": name}
    return json.dumps(message).encode()


def _names(events: list[dict[str, Any]], request_id: str) -> list[str]:
    return [event["type"] for event in events if event["subject"] == request_id]


async def test_structured_events_and_latest_states_tell_the_same_story(
    kafka: brokers.KafkaNode, tmp_path: Path
) -> None:
    """Each event is one whole CloudEvent in its value; the compacted topic ends with each request's last one."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "1") as mrs:
        more = {"EVENT_MODE": "structured"}
        here = service.Deployment(kafka.bootstrap, f"ways-{time.time_ns()}", mrs.url, tmp_path, more=more)
        latest = f"{here.name}.latest"
        more["KAFKA__TOPICS__LATEST"] = latest
        await asyncio.to_thread(here.create_topics, 2)
        relay = here.start_relay("only")

        await here.send(
            [
                (b"a", service.job("r-1")),
                (b"b", _by_name("r-2", "emulator")),
                (b"c", _by_name("r-3", "nowhere")),
            ]
        )

        ids = {"r-1", "r-2", "r-3"}
        last = ("succeeded", "rejected")
        reported: list[dict[str, Any]] = []
        deadline_s = time.monotonic() + waiting.LIMIT_S

        while {event["subject"] for event in reported if event["type"].endswith(last)} < ids:
            assert time.monotonic() < deadline_s, reported
            await asyncio.sleep(0.5)
            records = await here.records(here.events)
            reported = [json.loads(record.value) for record in records]

        assert await asyncio.to_thread(relay.stop) == 0
        states = await here.records(latest)

    assert {dict(record.headers)["content-type"] for record in [*records, *states]} == {_STRUCTURED}
    assert {event["specversion"] for event in reported} == {"1.0"}
    assert _names(reported, "r-2")[0] == "mrs.job.accepted"
    assert next(event["data"]["cluster"] for event in reported if event["subject"] == "r-2") == service.CLUSTER
    assert _names(reported, "r-3") == ["mrs.job.rejected"]

    ended = {record.key: json.loads(record.value) for record in states}
    assert {event["subject"]: event["id"] for event in ended.values()} == {
        one: [event["id"] for event in reported if event["subject"] == one][-1] for one in ids
    }
