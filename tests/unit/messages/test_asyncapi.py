"""The AsyncAPI document says what the models and topics are; whether it is valid says `tests/contract`."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
from tests.unit.messages import samples

from mrs_relay.kafka import settings
from mrs_relay.messages import asyncapi, dead_letters, envelope, events, registry, requests

_DOCUMENT = asyncapi.document()
_MESSAGES = _DOCUMENT["components"]["messages"]
_REQUESTS = sorted(registry.REQUESTS)


def _faults(schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": _DOCUMENT["components"]}
    return [fault.message for fault in jsonschema.Draft202012Validator(whole).iter_errors(value)]


def test_every_reference_leads_somewhere() -> None:
    """Channels, messages and schemas that are named are there."""
    for path in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(_DOCUMENT)):
        node: Any = _DOCUMENT
        for step in path.split("/"):
            node = node[step]


def test_every_type_is_a_message_of_its_channel() -> None:
    """Requests in both modes, events, dead letters; new types show up by themselves."""
    channels = _DOCUMENT["channels"]
    wanted = {f"request.{kind}{mode}" for kind in registry.REQUESTS for mode in ("", ".binary")}
    assert set(channels["requests"]["messages"]) == wanted
    assert set(channels["events"]["messages"]) == {f"event.{kind}" for kind in registry.EVENTS}
    assert set(channels["deadLetters"]["messages"]) == {"deadLetter"}


def test_addresses_are_the_topics_of_the_settings() -> None:
    """The defaults are the addresses of the document."""
    topics = settings.Topics()
    published = {channel["address"] for channel in _DOCUMENT["channels"].values()}
    own = {topics.requests, topics.events, topics.dead_letters, topics.ledger, topics.control, topics.status}
    assert published == {*own, "mrs.latest", "mrs.lineage", "mrs.results"}


@pytest.mark.parametrize("kind", _REQUESTS)
def test_the_examples_follow_payload_and_headers(kind: str) -> None:
    """In both modes; and what the example in headers says is read as such a request."""
    [structured] = _MESSAGES[f"request.{kind}"]["examples"]
    assert _faults(_MESSAGES[f"request.{kind}"]["payload"], structured["payload"]) == []
    [binary] = _MESSAGES[f"request.{kind}.binary"]["examples"]
    assert _faults(_MESSAGES[f"request.{kind}.binary"]["payload"], binary["payload"]) == []
    assert _faults(_MESSAGES[f"request.{kind}.binary"]["headers"], binary["headers"]) == []
    headers = [(name, text.encode()) for name, text in binary["headers"].items()]
    read = envelope.read("t", samples.raw(binary["payload"]), headers)
    assert isinstance(requests.parse(read), requests.MODELS[kind])


def test_written_headers_are_those_of_the_document() -> None:
    """Every header that an event has is reported, and every one that is required is there."""
    trait = _DOCUMENT["components"]["messageTraits"]["event"]
    data = events.EventData(
        request=events.RequestRef(id="r", source="/s"), state="accepted", sequence=1, attempt=0, cluster="c"
    )
    whole: dict[str, Any] = {"subject": "job", "key": b"k", "time_ms": 1, "data": events.body(data), "event_id": "e"}
    plain = events.Event(**whole, correlation_id="c")
    traced = events.Event(**whole, correlation_id="c", traceparent="00-a", tracestate="b=c")
    for event in (plain, traced):
        _, value, headers = events.write(event, "/mrs-relay")
        shown = {name: raw.decode() for name, raw in headers}
        assert set(shown) <= set(trait["headers"]["properties"])
        assert _faults(trait["headers"], shown) == []
        assert _faults(_MESSAGES["event.mrs.job.accepted"]["payload"], json.loads(value)) == []
        assert _faults(_MESSAGES["event.mrs.job.failed"]["payload"], json.loads(value)) != []


def test_headers_of_dead_letters_are_those_of_the_document() -> None:
    """A consumer that is generated from the document finds every header of a dead letter."""
    letter = dead_letters.DeadLetter(
        key=None,
        value=None,
        headers=((dead_letters.REPLAY_OF, b"t-0-1"),),
        code="bad_id",
        message="m",
        topic="t",
        partition=0,
        offset=2,
        timestamp_ms=3,
        cut=tuple((f"mrs_relay_cut_{what}", b"4") for what in ("headers", "key_bytes", "from_bytes")),
    )

    reported = {name: raw.decode() for name, raw in letter.write()[2]}
    schema = _DOCUMENT["components"]["schemas"]["DeadLetterHeaders"]
    assert set(reported) == set(schema["properties"])
    assert _faults(schema, reported) == []
