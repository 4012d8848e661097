"""Data of any form: absent, null, of another type, and never quoted in an error."""

from __future__ import annotations

import datetime as dt
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.messages import parsing_samples, samples

from mrs_relay import errors
from mrs_relay.messages import envelope, reasons, requests


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "missing_field"),
        ([], "wrong_type"),
        ("x", "wrong_type"),
        (7, "wrong_type"),
        (False, "wrong_type"),
        ({}, "missing_field"),
    ],
)
def test_data_must_be_an_object(data: object, code: str) -> None:
    """Data other than an object is a wrong type, none is missing; nothing is guessed."""
    fault = parsing_samples.fault(data)
    assert fault.code == code
    assert fault.field is not None
    assert fault.field.startswith("data")


def test_missing_data_is_named() -> None:
    """A message without data says so."""
    members = {name: value for name, value in samples.message().items() if name != "data"}
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(envelope.read(samples.TOPIC, samples.raw(members), ()))
    assert (caught.value.code, caught.value.field) == ("missing_field", "data")


@pytest.mark.parametrize("version", ["0.3", "1", "1.0 ", "", 1.0, ["1.0"], "9" * 100_000])
def test_other_specversion_is_refused(version: object) -> None:
    """Only CloudEvents 1.0 is read; the text stays short whatever stood there."""
    fault = parsing_samples.fault(samples.job_data(), specversion=version)
    assert (fault.code, fault.field) == ("bad_specversion", "specversion")
    assert len(fault.message) < 200


def test_deeply_nested_attribute_is_refused() -> None:
    """An attribute as deep as the JSON reader allows is refused like any other wrong one."""
    deep = b"[" * 900 + b"]" * 900
    raw = samples.raw(samples.message(specversion="@", datacontenttype="1")).replace(b'"@"', deep)
    with pytest.raises(errors.BadMessage) as caught:
        requests.parse(envelope.read(samples.TOPIC, raw, ()))
    assert caught.value.code == "bad_specversion"


@pytest.mark.parametrize("kind", ["mrs.job.submit ", "MRS.JOB.SUBMIT", "mrs.sql.cancel", "", "x" * 100_000])
def test_unknown_type_is_answered_with_the_known_ones(kind: str) -> None:
    """An unknown type is refused with the list of the known ones; the text stays short."""
    fault = parsing_samples.fault(samples.job_data(), kind)
    assert (fault.code, fault.field) == ("unknown_type", "type")
    assert f"known: {', '.join(sorted(requests.MODELS))}" in fault.message
    assert len(fault.message) < 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/avro", "", 7, "x" * 100_000])
def test_other_content_of_data_is_refused(content_type: object) -> None:
    """Data in another format than JSON is refused; the text stays short."""
    fault = parsing_samples.fault(samples.job_data(), datacontenttype=content_type)
    assert (fault.code, fault.field) == ("unreadable_encoding", "datacontenttype")
    assert len(fault.message) < 200


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"]
)
def test_json_content_of_data_is_taken(content_type: str) -> None:
    """JSON under any of its names is taken."""
    assert isinstance(parsing_samples.parse(samples.job_data(), datacontenttype=content_type), requests.JobSubmit)


def test_first_of_several_faults_is_reported_with_their_number() -> None:
    """One error tells one fault, and how many more there are."""
    fault = parsing_samples.fault({"cluster": 7, "priority": "x", "job": {}})
    assert fault.field == "data.priority"
    assert fault.message.endswith("(and 2 more)")


def _spoiled() -> list[tuple[str, dict[str, Any]]]:
    """Return data with a hidden where arguments, SQL and properties stand, each wrong in some way."""
    hidden = samples.HIDDEN
    job: list[dict[str, Any]] = [
        {**parsing_samples.JOB, "arguments": [hidden, 7]},
        {**parsing_samples.JOB, "arguments": hidden},
        {**parsing_samples.JOB, "arguments": [hidden * 10_000]},
        {**parsing_samples.JOB, "arguments": [[hidden]]},
        {**parsing_samples.JOB, "arguments": {hidden: hidden}},
        {**parsing_samples.JOB, "properties": {hidden: 7}},
        {**parsing_samples.JOB, "properties": {"a": [hidden]}},
        {**parsing_samples.JOB, "properties": hidden},
        {**parsing_samples.JOB, "properties": {"a": hidden * 1000}},
        {**parsing_samples.JOB, "properties": {hidden: {hidden: hidden}}},
        {"job_type": hidden, "arguments": [hidden]},
    ]

    sql: list[dict[str, Any]] = [
        {"statement": f"{hidden}; {hidden}"},
        {"statement": hidden * 10_000},
        {"statement": [hidden]},
        {"statement": {hidden: hidden}},
        {"statement": hidden, "database": hidden + " "},
        {"statement": hidden, "archive_path": hidden},
        {"statement": hidden, "engine": hidden},
        {"statement": hidden, "not_before": hidden},
        {"statement": hidden, "priority": hidden},
    ]

    return [
        *(("mrs.job.submit", samples.job_data(job=part)) for part in job),
        *(("mrs.sql.submit", samples.sql_data(**part)) for part in sql),
        ("mrs.sql.submit", samples.sql_data(statement=hidden, retry={"attempts": hidden})),
        ("mrs.sql.submit", samples.sql_data(statement=hidden, retry={"attempts": 2, "on": [hidden]})),
        ("mrs.sql.submit", samples.sql_data(statement=hidden, queue_deadline_s=hidden)),
        ("mrs.job.cancel", samples.sql_data(statement=hidden)),
        ("mrs.job.resolve", samples.sql_data(statement=hidden)),
    ]


@pytest.mark.parametrize(("kind", "data"), _spoiled())
def test_error_never_shows_arguments_sql_or_properties(kind: str, data: dict[str, Any]) -> None:
    """Whatever is wrong, the error tells rules, not the sender's arguments, SQL text or properties."""
    fault = parsing_samples.fault(data, kind)
    for text in (fault.message, str(fault), repr(fault), str(fault.field), fault.code):
        assert samples.HIDDEN not in text


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "request",
                "verdict",
                "note",
                "retry",
                "cluster",
                "job",
                "priority",
                "labels",
                "not_before",
                "engine",
                "statement",
                "database",
            ]
        )
        | st.text(alphabet=string.ascii_lowercase, max_size=8),
        st.sampled_from(["c", "presto", "select 1", {"job_type": "Flink"}]) | samples.json_values,
    ),
    st.sampled_from(sorted(requests.MODELS)),
)
def test_any_data_is_a_request_or_a_reported_fault(data: dict[str, Any], kind: str) -> None:
    """No data raises anything but BadMessage with a code of the closed list, a field and a short text."""
    reported: requests.Request | errors.BadMessage
    try:
        reported = parsing_samples.parse(data, kind)
    except errors.BadMessage as fault:
        reported = fault
    if isinstance(reported, errors.BadMessage):
        assert reported.code in reasons.CODES
        assert reported.field is not None
        assert len(reported.message) < 600
    else:
        assert getattr(reported, "cluster", None) == (None if "request" in data else data.get("cluster"))


@pytest.mark.parametrize(
    "change",
    [
        {name: None}
        for name in ("priority", "labels", "not_before", "queue_deadline_s", "run_deadline_s", "retry", "api")
    ],
)
def test_null_counts_as_absent(change: dict[str, Any]) -> None:
    """Many JSON writers put null where nothing was set; a field that need not be there may be null."""
    assert parsing_samples.parse(samples.job_data(**change)) == parsing_samples.parse(samples.job_data())


def test_null_inside_a_field_counts_as_absent() -> None:
    """The same for fields of fields."""
    job = {**samples.job_data()["job"], "job_name": None, "properties": None}
    assert parsing_samples.parse(samples.job_data(job=job)) == parsing_samples.parse(samples.job_data())
    assert parsing_samples.parse(samples.sql_data(database=None), "mrs.sql.submit") == parsing_samples.parse(
        samples.sql_data(), "mrs.sql.submit"
    )


def test_null_under_an_unknown_name_is_refused() -> None:
    """A mistake in a name stays one."""
    assert parsing_samples.fault(samples.job_data(prioriti=None)).code == "unknown_field"


@pytest.mark.parametrize(("value", "got"), [([], "an array"), ("x", "a string"), (7, "a number"), (True, "a boolean")])
def test_data_of_another_type_is_reported(value: object, got: str) -> None:
    """The text says what was expected and what came."""
    fault = parsing_samples.fault(value)
    assert (fault.code, fault.field, fault.message) == ("wrong_type", "data", f"`data`: expected an object, got {got}")


def test_other_specversion_is_reported_with_the_right_one() -> None:
    """The text says what came and what is expected."""
    assert (
        parsing_samples.fault(samples.job_data(), specversion="0.3").message
        == 'unsupported specversion "0.3": expected "1.0"'
    )


@pytest.mark.parametrize(
    ("moment", "instant"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2017-01-01T07:59:60.250+08:00", "2017-01-01T00:00:00.250000+00:00"),
    ],
)
def test_leap_second_is_a_time(moment: str, instant: str) -> None:
    """RFC 3339 has 23:59:60 in UTC; clocks show the first second of the next day for it."""
    request = parsing_samples.parse(samples.job_data(not_before=moment))
    assert isinstance(request, requests.JobSubmit)
    assert request.not_before == dt.datetime.fromisoformat(instant)


@pytest.mark.parametrize("moment", ["2016-12-31T23:58:60Z", "2016-12-31T12:59:60Z", "9999-12-31T23:59:60Z"])
def test_second_60_elsewhere_is_no_time(moment: str) -> None:
    """Leap seconds end a day in UTC; and the last second that can be reported is that before the year 10000."""
    assert parsing_samples.fault(samples.job_data(not_before=moment)).code == "bad_value"
