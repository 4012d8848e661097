"""What goes out: events as records, and back."""

from __future__ import annotations

import datetime as dt
import json
import re
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.messages import samples

from mrs_relay.messages import event_reader, events, reasons, registry

_SOURCE = "/mrs-relay/test"
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_TEXT = st.text(min_size=1, max_size=20)
_ROWS = st.lists(st.dictionaries(_TEXT, samples.json_values, max_size=3) | st.lists(_TEXT, max_size=3), max_size=4)

_views = st.builds(
    events.MrsView,
    job_id=st.none() | _TEXT,
    job_state=st.none() | st.sampled_from(["RUNNING", "FINISHED"]),
    progress=st.none() | st.floats(0, 100),
    tracking_url=st.none() | _TEXT,
)
_results = st.builds(
    events.Result,
    statements=st.lists(st.builds(events.StatementResult, rows=_ROWS, row_count=st.integers(0, 9)), max_size=2),
    truncated=st.booleans(),
    location=st.none() | _TEXT,
    unavailable=st.none() | _TEXT,
)
_reasons = st.builds(
    reasons.Reason,
    kind=st.sampled_from(sorted(reasons.CLASSES)),
    code=st.sampled_from(sorted(reasons.CODES)) | st.text(max_size=64),
    message=_TEXT,
    field=st.none() | _TEXT,
    mrs_request_id=st.none() | _TEXT,
    retryable=st.booleans(),
)
_data = st.builds(
    events.EventData,
    request=st.builds(events.RequestRef, id=_TEXT, source=_TEXT),
    state=st.sampled_from(sorted(events.STATES)),
    previous_state=st.none() | st.sampled_from(sorted(events.STATES)),
    sequence=st.integers(1, 10**9),
    attempt=st.integers(0, 9),
    cluster=st.none() | _TEXT,
    mrs=st.none() | _views,
    result=st.none() | _results,
    reason=st.none() | _reasons,
    labels=st.none() | st.dictionaries(_TEXT, _TEXT, max_size=3),
    repeated=st.booleans(),
)
_events = st.builds(
    events.Event,
    subject=st.sampled_from(["job", "sql"]),
    key=st.binary(max_size=8),
    time_ms=st.integers(0, 4_000_000_000_000),
    data=_data.map(events.body),
    event_id=_TEXT,
    correlation_id=_TEXT,
    traceparent=st.none() | st.just(_TRACE),
    tracestate=st.none() | st.just("vendor=1"),
    late_rows=st.just(value=False),
)


def _event(**changes: Any) -> events.Event:
    data = events.EventData(
        request=events.RequestRef(id="order-1", source="/billing"), state="accepted", sequence=1, attempt=0
    )
    fields = {"subject": "job", "key": b"k", "time_ms": 1_795_420_800_007, "data": events.body(data), "event_id": "e-1"}
    return events.Event(**{**fields, "correlation_id": "run-7", **changes})


@given(_events)
def test_event_survives_writing_and_reading(event: events.Event) -> None:
    """A subscriber reads the same data, type and attributes that were decided."""
    key, value, headers = events.write(event, _SOURCE)
    published = event_reader.read(value, headers)
    assert key == event.key
    assert events.body(published.data) == event.data
    assert published.type == f"mrs.{event.subject}.{event.data.state}"
    assert published.type in registry.EVENTS
    assert published.attributes["id"] == event.event_id
    assert published.attributes["source"] == _SOURCE
    assert published.attributes["subject"] == published.attributes["causationid"] == event.data.request.id
    assert published.attributes["sequence"] == f"{event.data.sequence:010d}"
    assert published.attributes["correlationid"] == event.correlation_id
    assert published.attributes.get("traceparent") == event.traceparent
    assert published.attributes.get("tracestate") == event.tracestate


@given(_data)
def test_body_is_written_as_the_model_of_readers(data: events.EventData) -> None:
    """What the relay makes without a check takes the very bytes that the model, which the schemas are of, takes."""
    _, value, _ = events.write(_event(data=events.body(data)), _SOURCE)
    assert value == data.model_dump_json(exclude_defaults=True, by_alias=True).encode()
    assert list(events.EventBody.__struct_fields__) == list(events.EventData.model_fields)
    assert list(events.BodyMrs.__struct_fields__) == list(events.MrsView.model_fields)


@given(_events)
def test_headers_are_a_valid_cloudevent_in_binary_mode(event: events.Event) -> None:
    """
    Every required attribute is there, once, under a legal name and as UTF-8; the time is RFC 3339.

    Source: CloudEvents 1.0.2, sections 3 and 3.1; Kafka protocol binding 1.0.2, section 3.2.
    """
    _, value, headers = events.write(event, _SOURCE)
    shown = {name: raw.decode() for name, raw in headers}
    assert len(shown) == len(headers)
    attributes = {name.removeprefix("ce_"): text for name, text in shown.items() if name.startswith("ce_")}
    assert {"specversion", "id", "source", "type"} <= attributes.keys()
    assert attributes["specversion"] == "1.0"
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in attributes)
    assert all(attributes.values())
    assert "datacontenttype" not in attributes
    assert shown["content-type"] == "application/json"
    assert shown.keys() - {f"ce_{name}" for name in attributes} <= {"content-type", "traceparent", "tracestate"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", attributes["time"])
    assert dt.datetime.fromisoformat(attributes["time"]).timestamp() * 1000 == pytest.approx(event.time_ms, abs=0.01)
    assert isinstance(json.loads(value), dict)


@given(_events)
def test_structured_form_is_one_line_of_cloudevents_json(event: events.Event) -> None:
    """`as_json` holds the same attributes and data in CloudEvents' JSON format, on one line."""
    _, value, headers = events.write(event, _SOURCE)
    line = event_reader.read(value, headers).as_json()
    assert b"\n" not in line
    published = json.loads(line)
    assert published["data"] == json.loads(value)
    assert published["datacontenttype"] == "application/json"
    assert published["type"] == f"mrs.{event.subject}.{event.data.state}"


def test_written_event_is_pinned() -> None:
    """Subscribers rely on names and form: this is what an event looks like on the wire."""
    seen = events.MrsView(job_id="j-1", job_state="RUNNING", progress=0.0)
    data = events.EventData(
        request=events.RequestRef(id="order-1", source="/billing"),
        state="progress",
        previous_state="running",
        sequence=4,
        attempt=1,
        cluster="c-1",
        mrs=seen,
        labels={"team": "ü"},
    )

    key, value, headers = events.write(_event(data=events.body(data), traceparent=_TRACE), _SOURCE)
    assert key == b"k"

    assert json.loads(value) == {
        "request": {"id": "order-1", "source": "/billing"},
        "state": "progress",
        "previous_state": "running",
        "sequence": 4,
        "attempt": 1,
        "cluster": "c-1",
        "mrs": {"job_id": "j-1", "job_state": "RUNNING", "progress": 0.0},
        "labels": {"team": "ü"},
    }

    assert headers == (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e-1"),
        ("ce_source", b"/mrs-relay/test"),
        ("ce_type", b"mrs.job.progress"),
        ("ce_subject", b"order-1"),
        ("ce_time", b"2026-11-23T08:00:00.007Z"),
        ("ce_sequence", b"0000000004"),
        ("ce_correlationid", b"run-7"),
        ("ce_causationid", b"order-1"),
        ("ce_traceparent", _TRACE.encode()),
        ("traceparent", _TRACE.encode()),
    )


def test_rows_that_come_late_have_a_type_of_their_own() -> None:
    """Who reads states alone sees that nothing has changed: the request has succeeded before."""
    data = events.EventData(
        request=events.RequestRef(id="q-1", source="/billing"), state="succeeded", sequence=5, attempt=1, repeated=True
    )
    event = _event(subject="sql", data=events.body(data), late_rows=True)
    _, value, headers = events.write(event, _SOURCE)
    assert dict(headers)["ce_type"] == events.LATE_ROWS.encode() == b"mrs.sql.result"
    assert (json.loads(value)["state"], event.changes_state) == ("succeeded", False)


@given(_events)
def test_structured_event_says_what_the_binary_one_says(event: events.Event) -> None:
    """Both modes carry the same attributes and data under the same key; a subscriber reads the same event."""
    key, value, headers = events.write(event, _SOURCE)
    structured_key, structured, structured_headers = events.write(event, _SOURCE, "structured")
    assert structured_key == key
    assert event_reader.read(structured, structured_headers) == event_reader.read(value, headers)


@given(_events)
def test_structured_event_is_a_valid_cloudevent(event: events.Event) -> None:
    """
    The value holds every attribute as text under a legal name, the data as JSON, and the header names the format.

    Source: CloudEvents 1.0.2, JSON event format, sections 2 and 3; Kafka protocol binding 1.0.2, section 3.3.
    """
    _, value, headers = events.write(event, _SOURCE, "structured")
    members = json.loads(value)
    assert headers[0] == ("content-type", b"application/cloudevents+json; charset=UTF-8")
    assert {name for name, _ in headers[1:]} <= {"traceparent", "tracestate"}
    assert isinstance(members.pop("data"), dict)
    assert {"specversion", "id", "source", "type", "datacontenttype", "subject", "time"} <= members.keys()
    assert members["datacontenttype"] == "application/json"
    assert all(
        re.fullmatch(r"[a-z0-9]{1,20}", name) and isinstance(text, str) and text for name, text in members.items()
    )


def test_headers_of_others_do_not_spoil_an_event() -> None:
    """What a proxy adds to a record is passed over, and case means nothing."""
    _, value, headers = events.write(_event(), _SOURCE)
    odd = (("X-Proxy", b"\xff"), *((name.upper(), raw) for name, raw in headers))
    assert event_reader.read(value, odd) == event_reader.read(value, headers)


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"{}", b'{"type":"mrs.job.accepted"}', b'{"type":"x","data":{}}', b"\xff"]
)
def test_other_structured_records_are_refused(value: bytes) -> None:
    """A structured record that is no event of this service raises ValueError, nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011 - the promise is this class; the text is pydantic's or ours
        event_reader.read(value, (("content-type", b"application/cloudevents+json"),))


def test_reason_is_written_under_its_public_name() -> None:
    """On the wire a reason's class is called `class`."""
    reason = reasons.Reason(kind="refused", code="0176", message="no")
    data = msgspec.structs.replace(_event().data, reason=reason)
    assert json.loads(events.write(_event(data=data), _SOURCE)[1])["reason"] == {
        "class": "refused",
        "code": "0176",
        "message": "no",
    }


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"{}", ()),
        (b"{}", (("ce_type", b"com.example.other"),)),
        (b"{}", (("ce_type", b"mrs.job.accepted"),)),
        (b"", (("ce_type", b"mrs.job.accepted"),)),
        (b"\xff", (("ce_type", b"mrs.job.accepted"),)),
        (b"{}", (("ce_type", b"\xff"),)),
    ],
)
def test_other_records_on_the_events_topic_are_refused(value: bytes, headers: events.Headers) -> None:
    """A record that is no event of this service raises ValueError, nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011 - the promise is this class; the text is pydantic's or ours
        event_reader.read(value, headers)


def test_unknown_member_of_a_newer_event_is_skipped() -> None:
    """A reader of today reads events of a later version that say more."""
    _, value, headers = events.write(_event(), _SOURCE)
    newer = json.dumps({**json.loads(value), "colour": "blue"}).encode()
    assert events.body(event_reader.read(newer, headers).data) == _event().data


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_new_words_of_a_newer_event_are_kept(mode: events.Mode) -> None:
    """A state or class of reason that came later does not make an event unreadable: its request's end would be lost."""
    reason = reasons.Reason(kind="refused", code="0176", message="no")
    data = msgspec.structs.replace(_event().data, reason=reason, state="failed", previous_state="running")
    key, value, headers = events.write(_event(data=data), _SOURCE, mode)
    assert key
    for old, new in ((b'"refused"', b'"later"'), (b'"running"', b'"paused"')):
        assert old in value
        value = value.replace(old, new)
    published = event_reader.read(value, headers).data
    assert (published.state, published.previous_state, published.sequence) == ("failed", "paused", data.sequence)
    assert published.reason is not None
    assert (published.reason.kind, published.reason.code) == ("later", "0176")


@pytest.mark.parametrize("word", ["7", '""', "null", "[]", "{}"])
def test_a_state_that_is_no_word_is_refused(word: str) -> None:
    """Only words may be new."""
    value = b'{"request":{"id":"r","source":"/s"},"sequence":1,"attempt":0,"state":%s}' % word.encode()
    with pytest.raises(ValueError):  # noqa: PT011 - as above
        event_reader.data_of(value)


def test_identity_is_deterministic_and_legal() -> None:
    """The same request always has the same name, pinned because event ids of all versions are made from it."""
    assert events.identity("/billing", "order-1") == "2ed9b579c77da842c69dcb3388ed2877"
    assert re.fullmatch(r"[0-9a-f]{32}", events.identity("ü", "\n"))


@given(st.tuples(_TEXT, _TEXT), st.tuples(_TEXT, _TEXT))
def test_identity_tells_requests_apart(one: tuple[str, str], two: tuple[str, str]) -> None:
    """Two requests never share a name; a source holds no space, which keeps source and id apart."""
    one, two = (one[0].replace(" ", "_"), one[1]), (two[0].replace(" ", "_"), two[1])
    assert (events.identity(*one) == events.identity(*two)) is (one == two)


def test_states_are_described_and_last_ones_are_states() -> None:
    """Each state of the type has a description, and each class and code a text."""
    assert set(events.STATES) == set(typing.get_args(events.State))
    assert set(events.STATES) >= events.LAST
    assert set(reasons.CLASSES) == set(typing.get_args(reasons.ReasonClass))
    texts = [*events.STATES.values(), *reasons.CLASSES.values(), *reasons.CODES.values()]
    assert all(texts)
