"""Whose message is this? Structured, binary and plain form, and what only a dead letter can keep."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.messages import samples

from mrs_relay import errors
from mrs_relay.messages import envelope, requests

_STRUCTURED = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_BINARY = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"order-1"),
    ("ce_source", b"/billing"),
    ("ce_type", b"mrs.job.submit"),
    ("content-type", b"application/json"),
)

_LEGAL = ("a\u200db", "a\u00a0b", "a\u3000b", "a\u202eb", "\u2028", "\ufeff", "a\u0378b", "\ue000", "\U0010fffd")
"""Joiners, other spaces, marks of direction, unassigned and private characters."""


def _read(value: object, headers: tuple[tuple[str, bytes | None], ...] = ()) -> envelope.Envelope:
    return envelope.read(samples.TOPIC, value if isinstance(value, bytes | None) else samples.raw(value), headers)


def _binary(**changes: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple({**dict(_BINARY), **{f"ce_{name}": text for name, text in changes.items()}}.items())


def _refusal(value: object, headers: tuple[tuple[str, bytes | None], ...] = ()) -> errors.BadMessage:
    with pytest.raises(errors.BadMessage) as caught:
        _read(value, headers)
    return caught.value


@pytest.mark.parametrize("headers", [_STRUCTURED, (), (("Content-Type", b"APPLICATION/CLOUDEVENTS+JSON"),)])
def test_structured_message_is_read(headers: tuple[tuple[str, bytes], ...]) -> None:
    """A CloudEvents JSON object is read, with its content type in any case or none."""
    read = _read(samples.message(correlationid="run-7", traceparent=_TRACE), headers)
    assert (read.id, read.source, read.type) == ("order-1", "/billing", "mrs.job.submit")
    assert read.data == samples.job_data()
    assert (read.text("correlationid"), read.text("traceparent")) == ("run-7", _TRACE)
    assert read.attributes == {"specversion": "1.0", "correlationid": "run-7", "traceparent": _TRACE}
    assert read.headers == {}


def test_binary_message_is_read() -> None:
    """Attributes come from `ce_` headers in any case, data from the value, and the rest of the headers is kept."""
    headers = (
        ("CE_SpecVersion", b"1.0"),
        ("ce_ID", "ürder-1".encode()),
        ("ce_source", b"/billing"),
        ("ce_type", b"mrs.job.submit"),
        ("ce_correlationid", b"run-7"),
        ("content-type", b"application/json"),
        ("traceparent", _TRACE.encode()),
        ("empty", None),
    )
    read = _read(samples.job_data(), headers)
    assert (read.id, read.source, read.type) == ("ürder-1", "/billing", "mrs.job.submit")
    assert read.data == samples.job_data()
    assert read.attributes["datacontenttype"] == "application/json"
    assert (read.text("correlationid"), read.text("traceparent")) == ("run-7", _TRACE)
    assert read.headers == {"traceparent": _TRACE}


def test_plain_message_is_read() -> None:
    """A plain object needs id, type and data only; its topic stands in for the source."""
    read = _read(samples.message(specversion=..., source=...), (("content-type", b"application/json"),))
    assert (read.id, read.source, read.type) == ("order-1", f"/{samples.TOPIC}", "mrs.job.submit")
    assert read.attributes == {}


def test_content_type_decides_before_ce_headers() -> None:
    """A structured message stays one when `ce_` headers stand beside it (Kafka binding 1.0.2, section 3)."""
    read = _read(samples.message(id="inside"), (*_STRUCTURED, ("ce_specversion", b"1.0"), ("ce_id", b"outside")))
    assert read.id == "inside"
    assert read.data == samples.job_data()


def test_repeated_member_or_header_takes_the_last_value() -> None:
    """As JSON parsers and Kafka's `lastHeader` have it, so all readers see the same request."""
    assert _read(b'{"id": "a", "type": "t", "data": {"x": 1}, "id": "b", "data": {"x": 2}}').id == "b"
    assert _read({}, (*_BINARY, ("CE_ID", b"b"))).id == "b"


def test_an_attribute_that_is_null_is_not_there() -> None:
    """Serializers may write unset members as null; with data in base64 the member `data`, too."""
    unset = dict.fromkeys(("datacontenttype", "specversion", "time", "dataschema", "correlationid"))
    message = _read({**samples.message(), **unset})
    assert not message.attributes.keys() & unset.keys()
    assert requests.parse(message) == requests.parse(_read(samples.message()))
    encoded = base64.b64encode(samples.raw(samples.job_data())).decode()
    assert _read(samples.message(None, data_base64=encoded)).data == samples.job_data()


def test_data_may_come_as_base64() -> None:
    """`data_base64` stands in for a `data` that is missing or null; beside any other it is ignored."""
    encoded = base64.b64encode(samples.raw(samples.job_data())).decode()
    assert _read(samples.message(data=..., data_base64=encoded) | {"data_base64": encoded}).data == samples.job_data()
    members = {name: value for name, value in samples.message().items() if name != "data"}
    assert _read(members | {"data_base64": encoded}).data == samples.job_data()
    assert _read(samples.message({"x": 1}, data_base64=encoded)).data == {"x": 1}


@pytest.mark.parametrize(
    ("encoded", "code"),
    [("%%%", "bad_value"), ("ü", "bad_value"), (7, "bad_value"), (["a"], "bad_value"), ("e30x", "unreadable_json")],
)
def test_bad_base64_is_left_to_the_parser(encoded: object, code: str) -> None:
    """Data that cannot be decoded still has an owner: the fault is kept for a rejection event."""
    members = {name: value for name, value in samples.message().items() if name != "data"} | {"data_base64": encoded}
    read = _read(members)
    assert isinstance(read.data, errors.BadMessage)
    assert read.data.code == code
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(read)
    assert caught.value.code == code


@pytest.mark.parametrize(("value", "code"), [(b"{", "unreadable_json"), (b"", "missing_field"), (b"[]", "wrong_type")])
def test_unreadable_value_of_binary_message_is_left_to_the_parser(value: bytes, code: str) -> None:
    """In binary mode the headers name the owner, so bad bytes become a rejection, not a dead letter."""
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(_read(value, _BINARY))
    assert caught.value.code == code


def test_tombstone_has_no_owner() -> None:
    """A record without a value is `no_value` unless its headers name its owner."""
    assert _refusal(None).code == "no_value"
    assert _refusal(None, _STRUCTURED).code == "no_value"


def test_binary_message_without_data_has_an_owner() -> None:
    """
    In binary mode no value means no data, which its sender is reported.

    Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2.2.
    """
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(_read(None, _BINARY))
    assert (caught.value.code, caught.value.field) == ("missing_field", "data")


@pytest.mark.parametrize("missing", ["ce_specversion", "ce_type", "ce_source"])
def test_binary_message_that_lacks_an_attribute_has_an_owner(missing: str) -> None:
    """One attribute is enough to see the mode; a missing version or type is reported, a missing source is the topic."""
    read = _read(samples.job_data(), tuple(header for header in _BINARY if header[0] != missing))
    assert read.id == "order-1"
    if missing == "ce_source":
        assert read.source == f"/{samples.TOPIC}"
        return
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(read)
    assert caught.value.code == {"ce_specversion": "bad_specversion", "ce_type": "unknown_type"}[missing]


@pytest.mark.parametrize("charset", [b"iso-8859-1", b"UTF-16", b"'latin1'", b"\xff"])
def test_other_charset_is_not_guessed_at(charset: bytes) -> None:
    """Bytes said to be no UTF-8 are never read as if they were: a dead letter, or a rejection in binary mode."""
    header = b"; charset=" + charset
    for content_type in (b"application/cloudevents+json", b"application/json", b"text/plain"):
        refusal = _refusal(samples.message(), (("content-type", content_type + header),))
        assert refusal.code == "unreadable_encoding"
    read = _read(samples.job_data(), (*_BINARY[:-1], ("content-type", b"application/json" + header)))
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(read)
    assert (caught.value.code, caught.value.field) == ("unreadable_encoding", "datacontenttype")


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json;charset=UTF-8",
        b'text/json; q=1; Charset="utf-8"',
        b"application/vnd.mrs+json",
        b"Application/JSON",
    ],
)
def test_json_of_any_kind_is_data(content_type: bytes) -> None:
    """Media types of JSON in UTF-8 are taken, in any case and with any parameters."""
    read = _read(samples.job_data(), (*_BINARY[:-1], ("content-type", content_type)))
    assert isinstance(requests.parse(read), requests.JobSubmit)


@pytest.mark.parametrize(
    ("content_type", "declared", "agree"),
    [
        (b"application/json", b"application/xml", False),
        (b"application/xml", b"application/json", False),
        (b"application/json", b"application/json; charset=utf-16", False),
        (b"application/json", b"Application/JSON", True),
        (b"application/json; charset=utf-8", b"application/json", True),
        (b"application/json", b'application/json; charset="UTF-8"; x=y', True),
        (None, b"application/json", True),
        (None, b"text/csv", False),
    ],
)
def test_content_types_that_disagree_are_reported(content_type: bytes | None, declared: bytes, agree: bool) -> None:
    """`content-type` is the data's type in binary mode; a `ce_datacontenttype` that says otherwise is rejected."""
    first = () if content_type is None else (("Content-Type", content_type),)
    headers = (*first, *_BINARY[:-1], ("ce_datacontenttype", declared))
    read = _read(samples.job_data(), headers)
    if agree:
        assert isinstance(requests.parse(read), requests.JobSubmit)
        return
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(read)
    assert (caught.value.code, caught.value.field) == ("unreadable_encoding", "datacontenttype")


@pytest.mark.parametrize("declared", ["application/xml", "application/jsonp", "json", "application/json-seq", "", 7])
def test_structured_data_that_is_not_json_is_reported(declared: object) -> None:
    """`datacontenttype` inside a structured message must name JSON."""
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(_read(samples.message(datacontenttype=declared), _STRUCTURED))
    assert (caught.value.code, caught.value.field) == ("unreadable_encoding", "datacontenttype")


@given(st.permutations(_BINARY), st.lists(st.booleans(), min_size=5, max_size=5))
def test_headers_are_read_in_any_order_and_case(headers: list[tuple[str, bytes]], upper: list[bool]) -> None:
    """Kafka clients write `CE_Id` or `ce_id`, as HTTP has taught them."""
    shuffled = tuple((name.upper() if up else name, raw) for (name, raw), up in zip(headers, upper, strict=True))
    assert _read(samples.job_data(), shuffled) == _read(samples.job_data(), _BINARY)


@pytest.mark.parametrize("value", [b"", b"hello", b"\x00\x00\x00\x00\x07avro", b"{", b'{"id": NaN}', b"[" * 300_000])
def test_unreadable_bytes_have_no_owner(value: bytes) -> None:
    """Without JSON there is no id to answer to, so the message becomes a dead letter."""
    assert _refusal(value).code == "unreadable_json"


@pytest.mark.parametrize(
    ("value", "what"),
    [([], "array"), ("text", "string"), (7, "number"), (7.5, "number"), (True, "boolean"), (None, "null")],
)
def test_json_that_is_no_object_has_no_owner(value: object, what: str) -> None:
    """JSON other than an object is `not_an_object`, and the text says what it is."""
    refusal = _refusal(json.dumps(value).encode())
    assert refusal.code == "not_an_object"
    assert what in refusal.message


@pytest.mark.parametrize(
    "content_type",
    [b"application/cloudevents+avro", b"application/cloudevents-batch+json", b"application/cloudevents"],
)
def test_other_cloudevents_formats_have_no_owner(content_type: bytes) -> None:
    """A CloudEvents format that is not read here is `unreadable_encoding`, whatever the bytes are."""
    refusal = _refusal(samples.message(), (("content-type", content_type),))
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
    refusal = _refusal(samples.message(id=request_id))
    assert (refusal.code, refusal.field) == ("bad_id", "id")


@pytest.mark.parametrize(
    "request_id", ["x" * 256, "a b", "ü", "日本", "../../etc", "'; drop table jobs; --", "%00", "🙂", *_LEGAL]
)
def test_text_is_taken_as_an_id_as_it_is(request_id: str) -> None:
    """Every text that CloudEvents allows is an id; nothing is trimmed, folded or normalised."""
    assert _read(samples.message(id=request_id)).id == request_id


@pytest.mark.parametrize("source", ["", 7, True, [], {}, "a b", "x" * 257, "a\tb", "a\ufffeb"])
def test_bad_source_has_no_owner(source: object) -> None:
    """A source is text of 1 to 256 characters without control characters and spaces; else it is `bad_source`."""
    refusal = _refusal(samples.message(source=source))
    assert (refusal.code, refusal.field) == ("bad_source", "source")


@pytest.mark.parametrize("source", _LEGAL)
def test_text_is_taken_as_a_source_as_it_is(source: str) -> None:
    """Every text that CloudEvents allows is a source, but for spaces, which end it in keys."""
    assert _read(samples.message(source=source)).source == source


@pytest.mark.parametrize("source", [None, ...])
def test_missing_source_is_the_topic(source: object) -> None:
    """A plain message needs no source: the id is then unique within the topic it came on."""
    assert _read(samples.message(source=source)).source == f"/{samples.TOPIC}"


@pytest.mark.parametrize(("name", "code"), [("id", "bad_id"), ("source", "bad_source")])
@pytest.mark.parametrize("raw", [b"a\xff", b"\xc3\x28", b"\xed\xa0\x80", b"a\x00", b"\x1b[2J"])
def test_header_bytes_that_are_no_text_have_no_owner(name: str, code: str, raw: bytes) -> None:
    """Two ids of different bad bytes must never read as the same id, so none of them is read at all."""
    assert _refusal({}, _binary(**{name: raw})).code == code


def test_bad_bytes_in_other_headers_do_no_harm() -> None:
    """Headers that identify no request may hold any bytes; values that are not short printable text are left out."""
    headers = (
        *_BINARY,
        ("ce_correlationid", b"\xff"),
        ("traceparent", b"a\nb"),
        ("tracestate", b"x" * 513),
        ("\ud7ff", b"\x80"),
    )
    read = _read(samples.job_data(), headers)
    assert [read.text(name) for name in ("correlationid", "traceparent", "tracestate", "absent")] == [None] * 4
    assert isinstance(requests.parse(read), requests.JobSubmit)


@pytest.mark.parametrize(
    "name", ["content-type", "ce_source", "ce_datacontenttype", "ce_correlationid", "CE_Source", "x"]
)
@pytest.mark.parametrize("raw", [None, b""])
def test_header_that_is_null_counts_as_not_sent(name: str, raw: bytes | None) -> None:
    """Some clients write null or nothing for what was not set; neither names anything."""
    without = tuple(header for header in _BINARY if header[0] != name.lower())
    assert _read(samples.job_data(), (*without, (name, raw))) == _read(samples.job_data(), without)


@pytest.mark.parametrize("name", ["ce_id", "ce_specversion", "ce_type", "content-type"])
def test_null_headers_alone_make_no_binary_message(name: str) -> None:
    """A message without CloudEvents headers is read by its value, whatever names stand there with null."""
    assert _read(samples.message(), ((name, None),)) == _read(samples.message(), ())
    assert _refusal(None, ((name, None),)).code == "no_value"


def test_null_id_in_a_header_is_no_id() -> None:
    """What has to be there is missed, not taken for the text `None` or nothing."""
    headers = tuple((name, None if name == "ce_id" else raw) for name, raw in _BINARY)
    assert _refusal(samples.job_data(), headers).code == "bad_id"


@pytest.mark.parametrize(("value", "text"), [(42, "42"), (-1, "-1"), (True, "true"), (False, "false"), (4.5, "4.5")])
def test_number_of_an_extension_is_passed_on_as_text(value: object, text: str) -> None:
    """CloudEvents attributes may be integers and booleans in JSON; as text they are written as there."""
    assert _read(samples.message(correlationid=value)).text("correlationid") == text


@pytest.mark.parametrize("value", ["", [7], None, {"a": 1}, "x" * 513, "a\r\nb: c", "a\ufffe"])
def test_attribute_that_is_no_short_text_is_not_passed_on(value: object) -> None:
    """Only short printable text is passed on into events and their headers."""
    assert _read(samples.message(traceparent=value)).text("traceparent") is None


def test_text_of_a_megabyte_is_read() -> None:
    """A large value is read; whether it is too large is for others to say."""
    big = "x" * 1_000_000
    assert _read(samples.message({"cluster": big})).data == {"cluster": big}


def test_type_that_is_no_text_reads_as_empty() -> None:
    """A bad type still has an owner, who gets the answer that it is unknown."""
    for kind in (7, None, ["mrs.job.submit"], ...):
        read = _read(samples.message(type=kind))
        assert read.type == ""
        with pytest.raises(errors.BadMessage) as caught:
            requests.parse(read)
        assert (caught.value.code, caught.value.field) == ("unknown_type", "type")


@given(samples.members, samples.headers)
def test_any_object_is_read_or_refused_quickly(
    members: dict[str, Any], headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    """No JSON object and no headers raise anything but BadMessage, in reading or parsing; nor do they take long."""
    started = time.perf_counter()
    reported = ""
    try:
        read = _read(members, headers)
        reported = read.id + read.source
        requests.parse(read)
    except errors.BadMessage as error:
        reported += error.message
    assert reported.isprintable()
    assert len(reported.encode()) < 3000
    assert time.perf_counter() - started < 1


@given(samples.json_values, samples.headers)
def test_any_json_is_read_or_refused(value: object, headers: tuple[tuple[str, bytes | None], ...]) -> None:
    """No JSON value raises anything but BadMessage."""
    try:
        requests.parse(_read(samples.raw(value), headers))
    except errors.BadMessage:
        return
    pytest.fail("a valid request out of thin air")
