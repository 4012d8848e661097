"""The CloudEvents project's own Python SDK reads our events and writes our requests, in both modes."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats import json as json_format
from cloudevents.core.v1 import event as cloudevent
from tests.support import service, service_harness

from mrs_relay.messages import envelope, events, examples, requests

pytestmark = pytest.mark.looptime

_FORMAT = json_format.JSONFormat()
_STORY = ["mrs.sql.accepted", "mrs.sql.submitted", "mrs.sql.succeeded"]
_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _request(kind: str, **more: Any) -> cloudevent.CloudEvent:
    message = examples.message(kind)
    attributes = {name: value for name, value in message.items() if name != "data"}
    moment = dt.datetime(2026, 11, 24, 6, tzinfo=dt.UTC)
    reported = {**attributes, "datacontenttype": "application/json", "time": moment, **more}
    return cloudevent.CloudEvent(reported, message["data"])


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("kind", sorted(requests.MODELS))
def test_a_request_that_the_sdk_writes_is_read(mode: str, kind: str) -> None:
    """Every type, with the SDK's own spelling of headers and times."""
    write = kafka.to_binary if mode == "binary" else kafka.to_structured
    message = write(_request(kind, correlationid="run-7", traceparent=_TRACE), _FORMAT)
    read = envelope.read("mrs.requests", message.value, message.headers.items())
    wanted = examples.message(kind)
    assert (read.id, read.source, read.type, read.data) == (
        wanted["id"],
        wanted["source"],
        wanted["type"],
        wanted["data"],
    )
    assert isinstance(requests.parse(read), requests.MODELS[kind])
    assert (read.text("correlationid"), read.text("traceparent")) == ("run-7", _TRACE)


@pytest.mark.parametrize("mode", ["binary", "structured"])
async def test_the_sdk_reads_every_event_of_a_request_that_it_wrote(mode: events.Mode) -> None:
    """One request there, its whole story back: attributes, extensions and data as they are."""
    write, read = (
        (kafka.to_binary, kafka.from_binary) if mode == "binary" else (kafka.to_structured, kafka.from_structured)
    )

    async with service_harness.start(service_harness.settings().model_copy(update={"event_mode": mode})) as here:
        request = _request("mrs.sql.submit", correlationid="run-7", traceparent=_TRACE)
        message = write(request, _FORMAT, lambda _event: service.CLUSTER)
        key = message.key.encode() if isinstance(message.key, str) else message.key
        here.broker.put(here.chosen.kafka.topics.requests, 0, key, message.value, tuple(message.headers.items()))
        topic = here.chosen.kafka.topics.events
        async with asyncio.timeout(600):
            while len(records := here.broker.committed(topic)) < len(_STORY):
                await asyncio.sleep(0.5)
        shown = [read(kafka.KafkaMessage(dict(each.headers), each.key, each.value or b""), _FORMAT) for each in records]

    assert [event.get_type() for event in shown] == _STORY
    for number, event in enumerate(shown, start=1):
        data: Any = event.get_data()
        assert event.get_specversion() == "1.0"
        assert event.get_source() == "/mrs-relay"
        assert event.get_subject() == request.get_id() == data["request"]["id"]
        assert event.get_datacontenttype() in {"application/json", None}
        assert isinstance(event.get_time(), dt.datetime)
        assert event.get_extension("sequence") == f"{number:010d}"
        assert event.get_extension("correlationid") == "run-7"
        assert event.get_extension("causationid") == request.get_id()
        assert event.get_extension("traceparent") == _TRACE
        assert event.get_extension("partitionkey") == service.CLUSTER
        assert data["sequence"] == number

    assert len({event.get_id() for event in shown}) == len(shown)
