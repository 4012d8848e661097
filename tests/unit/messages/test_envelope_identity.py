"""Which messages have an owner: ids, sources, extensions, and what is left of a message that cannot be read."""

from __future__ import annotations

import json

import pytest
from tests.unit.messages import envelopes, samples

from mrs_relay import errors
from mrs_relay.messages import requests

_LEGAL = ("a\u200db", "a\u00a0b", "a\u3000b", "a\u202eb", "\u2028", "\ufeff", "a\u0378b", "\ue000", "\U0010fffd")
"""Joiners, other spaces, marks of direction, unassigned and private characters."""


def _binary(**changes: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple({**dict(envelopes.BINARY), **{f"ce_{name}": text for name, text in changes.items()}}.items())


def test_tombstone_has_no_owner() -> None:
    """A record without a value is `no_value` unless its headers name its owner."""
    assert envelopes.refusal(None).code == "no_value"
    assert envelopes.refusal(None, envelopes.STRUCTURED).code == "no_value"


def test_binary_message_without_data_has_an_owner() -> None:
    """
    In binary mode no value means no data, which its sender is reported.

    Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2.2.
    """
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(envelopes.read(None, envelopes.BINARY))
    assert (caught.value.code, caught.value.field) == ("missing_field", "data")


@pytest.mark.parametrize("missing", ["ce_specversion", "ce_type", "ce_source"])
def test_binary_message_that_lacks_an_attribute_has_an_owner(missing: str) -> None:
    """One attribute is enough to see the mode; a missing version or type is reported, a missing source is the topic."""
    read = envelopes.read(samples.job_data(), tuple(header for header in envelopes.BINARY if header[0] != missing))
    assert read.id == "order-1"
    if missing == "ce_source":
        assert read.source == f"/{samples.TOPIC}"
        return
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(read)
    assert caught.value.code == {"ce_specversion": "bad_specversion", "ce_type": "unknown_type"}[missing]


@pytest.mark.parametrize("value", [b"", b"hello", b"\x00\x00\x00\x00\x07avro", b"{", b'{"id": NaN}', b"[" * 300_000])
def test_unreadable_bytes_have_no_owner(value: bytes) -> None:
    """Without JSON there is no id to answer to, so the message becomes a dead letter."""
    assert envelopes.refusal(value).code == "unreadable_json"


@pytest.mark.parametrize(
    ("value", "what"),
    [([], "array"), ("text", "string"), (7, "number"), (7.5, "number"), (True, "boolean"), (None, "null")],
)
def test_json_that_is_no_object_has_no_owner(value: object, what: str) -> None:
    """JSON other than an object is `not_an_object`, and the text says what it is."""
    refusal = envelopes.refusal(json.dumps(value).encode())
    assert refusal.code == "not_an_object"
    assert what in refusal.message


@pytest.mark.parametrize(
    "content_type",
    [b"application/cloudevents+avro", b"application/cloudevents-batch+json", b"application/cloudevents"],
)
def test_other_cloudevents_formats_have_no_owner(content_type: bytes) -> None:
    """A CloudEvents format that is not read here is `unreadable_encoding`, whatever the bytes are."""
    refusal = envelopes.refusal(samples.message(), (("content-type", content_type),))
    assert refusal.code == "unreadable_encoding"
    assert content_type.decode() in refusal.message


@pytest.mark.parametrize(
    "request_id",
    [
        ...,
        None,
        "",
        7,
        7.5,
        True,
        ["a"],
        {"a": 1},
        "x" * 257,
        "a\nb",
        "a\x00b",
        "a\x7fb",
        "a\u0085b",
        "a\ufdd0b",
        "a\uffffb",
        "a\U0001fffeb",
        "a\U0010ffffb",
    ],
)
def test_bad_id_has_no_owner(request_id: object) -> None:
    """An id is text of 1 to 256 characters without control characters and noncharacters; else it is `bad_id`."""
    refusal = envelopes.refusal(samples.message(id=request_id))
    assert (refusal.code, refusal.field) == ("bad_id", "id")


@pytest.mark.parametrize(
    "request_id", ["x" * 256, "a b", "ü", "日本", "../../etc", "'; drop table jobs; --", "%00", "🙂", *_LEGAL]
)
def test_text_is_taken_as_an_id_as_it_is(request_id: str) -> None:
    """Every text that CloudEvents allows is an id; nothing is trimmed, folded or normalised."""
    assert envelopes.read(samples.message(id=request_id)).id == request_id


@pytest.mark.parametrize("source", ["", 7, True, [], {}, "a b", "x" * 257, "a\tb", "a\ufffeb"])
def test_bad_source_has_no_owner(source: object) -> None:
    """A source is text of 1 to 256 characters without control characters and spaces; else it is `bad_source`."""
    refusal = envelopes.refusal(samples.message(source=source))
    assert (refusal.code, refusal.field) == ("bad_source", "source")


@pytest.mark.parametrize("source", _LEGAL)
def test_text_is_taken_as_a_source_as_it_is(source: str) -> None:
    """Every text that CloudEvents allows is a source, but for spaces, which end it in keys."""
    assert envelopes.read(samples.message(source=source)).source == source


@pytest.mark.parametrize("source", [None, ...])
def test_missing_source_is_the_topic(source: object) -> None:
    """A plain message needs no source: the id is then unique within the topic it came on."""
    assert envelopes.read(samples.message(source=source)).source == f"/{samples.TOPIC}"


@pytest.mark.parametrize(("name", "code"), [("id", "bad_id"), ("source", "bad_source")])
@pytest.mark.parametrize("raw", [b"a\xff", b"\xc3\x28", b"\xed\xa0\x80", b"a\x00", b"\x1b[2J"])
def test_header_bytes_that_are_no_text_have_no_owner(name: str, code: str, raw: bytes) -> None:
    """Two ids of different bad bytes must never read as the same id, so none of them is read at all."""
    assert envelopes.refusal({}, _binary(**{name: raw})).code == code


def test_bad_bytes_in_other_headers_do_no_harm() -> None:
    """Headers that identify no request may hold any bytes; values that are not short printable text are left out."""
    headers = (
        *envelopes.BINARY,
        ("ce_correlationid", b"\xff"),
        ("traceparent", b"a\nb"),
        ("tracestate", b"x" * 513),
        ("\ud7ff", b"\x80"),
    )
    read = envelopes.read(samples.job_data(), headers)
    assert [read.text(name) for name in ("correlationid", "traceparent", "tracestate", "absent")] == [None] * 4
    assert isinstance(requests.parse(read), requests.JobSubmit)


@pytest.mark.parametrize("name", ["ce_id", "ce_specversion", "ce_type", "content-type"])
def test_null_headers_alone_make_no_binary_message(name: str) -> None:
    """A message without CloudEvents headers is read by its value, whatever names stand there with null."""
    assert envelopes.read(samples.message(), ((name, None),)) == envelopes.read(samples.message(), ())
    assert envelopes.refusal(None, ((name, None),)).code == "no_value"


def test_null_id_in_a_header_is_no_id() -> None:
    """What has to be there is missed, not taken for the text `None` or nothing."""
    headers = tuple((name, None if name == "ce_id" else raw) for name, raw in envelopes.BINARY)
    assert envelopes.refusal(samples.job_data(), headers).code == "bad_id"


@pytest.mark.parametrize(("value", "text"), [(42, "42"), (-1, "-1"), (True, "true"), (False, "false"), (4.5, "4.5")])
def test_number_of_an_extension_is_passed_on_as_text(value: object, text: str) -> None:
    """CloudEvents attributes may be integers and booleans in JSON; as text they are written as there."""
    assert envelopes.read(samples.message(correlationid=value)).text("correlationid") == text


@pytest.mark.parametrize("value", ["", [7], None, {"a": 1}, "x" * 513, "a\r\nb: c", "a\ufffe"])
def test_attribute_that_is_no_short_text_is_not_passed_on(value: object) -> None:
    """Only short printable text is passed on into events and their headers."""
    assert envelopes.read(samples.message(traceparent=value)).text("traceparent") is None
