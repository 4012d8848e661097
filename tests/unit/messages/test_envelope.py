"""Whose message is this? Structured, binary and plain form, and what only a dead letter can keep."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.messages import envelopes, samples

from mrs_relay import errors
from mrs_relay.messages import requests

_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("headers", [envelopes.STRUCTURED, (), (("Content-Type", b"APPLICATION/CLOUDEVENTS+JSON"),)])
def test_structured_message_is_read(headers: tuple[tuple[str, bytes], ...]) -> None:
    """A CloudEvents JSON object is read, with its content type in any case or none."""
    read = envelopes.read(samples.message(correlationid="run-7", traceparent=_TRACE), headers)
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

    read = envelopes.read(samples.job_data(), headers)
    assert (read.id, read.source, read.type) == ("ürder-1", "/billing", "mrs.job.submit")
    assert read.data == samples.job_data()
    assert read.attributes["datacontenttype"] == "application/json"
    assert (read.text("correlationid"), read.text("traceparent")) == ("run-7", _TRACE)
    assert read.headers == {"traceparent": _TRACE}


def test_plain_message_is_read() -> None:
    """A plain object needs id, type and data only; its topic stands in for the source."""
    read = envelopes.read(samples.message(specversion=..., source=...), (("content-type", b"application/json"),))
    assert (read.id, read.source, read.type) == ("order-1", f"/{samples.TOPIC}", "mrs.job.submit")
    assert read.attributes == {}


def test_content_type_decides_before_ce_headers() -> None:
    """A structured message stays one when `ce_` headers stand beside it (Kafka binding 1.0.2, section 3)."""
    read = envelopes.read(
        samples.message(id="inside"), (*envelopes.STRUCTURED, ("ce_specversion", b"1.0"), ("ce_id", b"outside"))
    )
    assert read.id == "inside"
    assert read.data == samples.job_data()


def test_repeated_member_or_header_takes_the_last_value() -> None:
    """As JSON parsers and Kafka's `lastHeader` have it, so all readers see the same request."""
    assert envelopes.read(b'{"id": "a", "type": "t", "data": {"x": 1}, "id": "b", "data": {"x": 2}}').id == "b"
    assert envelopes.read({}, (*envelopes.BINARY, ("CE_ID", b"b"))).id == "b"


def test_an_attribute_that_is_null_is_not_there() -> None:
    """Serializers may write unset members as null; with data in base64 the member `data`, too."""
    unset = dict.fromkeys(("datacontenttype", "specversion", "time", "dataschema", "correlationid"))
    message = envelopes.read({**samples.message(), **unset})
    assert not message.attributes.keys() & unset.keys()
    assert requests.parse(message) == requests.parse(envelopes.read(samples.message()))
    encoded = base64.b64encode(samples.raw(samples.job_data())).decode()
    assert envelopes.read(samples.message(None, data_base64=encoded)).data == samples.job_data()


def test_data_may_come_as_base64() -> None:
    """`data_base64` stands in for a `data` that is missing or null; beside any other it is ignored."""
    encoded = base64.b64encode(samples.raw(samples.job_data())).decode()
    assert (
        envelopes.read(samples.message(data=..., data_base64=encoded) | {"data_base64": encoded}).data
        == samples.job_data()
    )
    members = {name: value for name, value in samples.message().items() if name != "data"}
    assert envelopes.read(members | {"data_base64": encoded}).data == samples.job_data()
    assert envelopes.read(samples.message({"x": 1}, data_base64=encoded)).data == {"x": 1}


@pytest.mark.parametrize(
    ("encoded", "code"),
    [("%%%", "bad_value"), ("ü", "bad_value"), (7, "bad_value"), (["a"], "bad_value"), ("e30x", "unreadable_json")],
)
def test_bad_base64_is_left_to_the_parser(encoded: object, code: str) -> None:
    """Data that cannot be decoded still has an owner: the fault is kept for a rejection event."""
    members = {name: value for name, value in samples.message().items() if name != "data"} | {"data_base64": encoded}
    read = envelopes.read(members)
    assert isinstance(read.data, errors.BadMessage)
    assert read.data.code == code
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(read)
    assert caught.value.code == code


@pytest.mark.parametrize(("value", "code"), [(b"{", "unreadable_json"), (b"", "missing_field"), (b"[]", "wrong_type")])
def test_unreadable_value_of_binary_message_is_left_to_the_parser(value: bytes, code: str) -> None:
    """In binary mode the headers name the owner, so bad bytes become a rejection, not a dead letter."""
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(envelopes.read(value, envelopes.BINARY))
    assert caught.value.code == code


@pytest.mark.parametrize("charset", [b"iso-8859-1", b"UTF-16", b"'latin1'", b"\xff"])
def test_other_charset_is_not_guessed_at(charset: bytes) -> None:
    """Bytes said to be no UTF-8 are never read as if they were: a dead letter, or a rejection in binary mode."""
    header = b"; charset=" + charset
    for content_type in (b"application/cloudevents+json", b"application/json", b"text/plain"):
        refusal = envelopes.refusal(samples.message(), (("content-type", content_type + header),))
        assert refusal.code == "unreadable_encoding"
    read = envelopes.read(samples.job_data(), (*envelopes.BINARY[:-1], ("content-type", b"application/json" + header)))
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
    read = envelopes.read(samples.job_data(), (*envelopes.BINARY[:-1], ("content-type", content_type)))
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
    headers = (*first, *envelopes.BINARY[:-1], ("ce_datacontenttype", declared))
    read = envelopes.read(samples.job_data(), headers)
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
        requests.parse(envelopes.read(samples.message(datacontenttype=declared), envelopes.STRUCTURED))
    assert (caught.value.code, caught.value.field) == ("unreadable_encoding", "datacontenttype")


@given(st.permutations(envelopes.BINARY), st.lists(st.booleans(), min_size=5, max_size=5))
def test_headers_are_read_in_any_order_and_case(headers: list[tuple[str, bytes]], upper: list[bool]) -> None:
    """Kafka clients write `CE_Id` or `ce_id`, as HTTP has taught them."""
    shuffled = tuple((name.upper() if up else name, raw) for (name, raw), up in zip(headers, upper, strict=True))
    assert envelopes.read(samples.job_data(), shuffled) == envelopes.read(samples.job_data(), envelopes.BINARY)


@pytest.mark.parametrize(
    "name", ["content-type", "ce_source", "ce_datacontenttype", "ce_correlationid", "CE_Source", "x"]
)
@pytest.mark.parametrize("raw", [None, b""])
def test_header_that_is_null_counts_as_not_sent(name: str, raw: bytes | None) -> None:
    """Some clients write null or nothing for what was not set; neither names anything."""
    without = tuple(header for header in envelopes.BINARY if header[0] != name.lower())
    assert envelopes.read(samples.job_data(), (*without, (name, raw))) == envelopes.read(samples.job_data(), without)


def test_text_of_a_megabyte_is_read() -> None:
    """A large value is read; whether it is too large is for others to say."""
    big = "x" * 1_000_000
    assert envelopes.read(samples.message({"cluster": big})).data == {"cluster": big}


def test_type_that_is_no_text_reads_as_empty() -> None:
    """A bad type still has an owner, who gets the answer that it is unknown."""
    for kind in (7, None, ["mrs.job.submit"], ...):
        read = envelopes.read(samples.message(type=kind))
        assert read.type == ""
        with pytest.raises(errors.BadMessage) as caught:
            requests.parse(read)
        assert (caught.value.code, caught.value.field) == ("unknown_type", "type")


@given(samples.members, samples.headers)
def test_any_object_is_read_or_refused_quickly(
    members: dict[str, Any], headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    """No JSON object and no headers raise anything but BadMessage, in reading or parsing; nor do they take long."""
    started = time.process_time()
    reported = ""
    try:
        read = envelopes.read(members, headers)
        reported = read.id + read.source
        requests.parse(read)
    except errors.BadMessage as error:
        reported += error.message
    assert reported.isprintable()
    assert len(reported.encode()) < 3000
    assert time.process_time() - started < 1


@given(samples.json_values, samples.headers)
def test_any_json_is_read_or_refused(value: object, headers: tuple[tuple[str, bytes | None], ...]) -> None:
    """No JSON value raises anything but BadMessage."""
    try:
        requests.parse(envelopes.read(samples.raw(value), headers))
    except errors.BadMessage:
        return
    pytest.fail("a valid request out of thin air")
