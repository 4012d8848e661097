"""Each field's rule, and the error that tells the sender how to mend it."""

from __future__ import annotations

import datetime as dt
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.messages import samples

from mrs_relay import errors
from mrs_relay.messages import envelope, reasons, requests


def _parse(data: object, kind: str = "mrs.job.submit", **changes: object) -> requests.Request:
    return requests.parse(envelope.read(samples.TOPIC, samples.raw(samples.message(data, kind, **changes)), ()))


def _fault(data: object, kind: str = "mrs.job.submit", **changes: object) -> errors.BadMessage:
    with pytest.raises(errors.BadMessage) as caught:
        _parse(data, kind, **changes)
    assert caught.value.code in reasons.CODES
    return caught.value


def test_smallest_job_takes_the_documented_defaults() -> None:
    """Cluster and job type are enough; the rest has a default."""
    request = _parse({"cluster": "c", "job": {"job_type": "Flink"}})
    assert request == requests.JobSubmit(cluster="c", job=requests.BatchJob(job_type="Flink"))
    assert isinstance(request, requests.JobSubmit)
    assert (request.priority, request.labels, request.not_before) == (5, {}, None)
    assert (request.job.job_name, request.job.arguments, request.job.properties) == ("job", [], {})


def test_smallest_statement_takes_the_documented_defaults() -> None:
    """Cluster, engine and statement are enough; the rest has a default."""
    request = _parse({"cluster": "c", "engine": "presto", "statement": "select 1"}, "mrs.sql.submit")
    assert isinstance(request, requests.SqlSubmit)
    assert (request.database, request.archive_path, request.job_name) == ("default", None, "sql")


def test_whole_numbers_may_be_written_with_a_fraction_of_nothing() -> None:
    """5.0 is an integer to JSON Schema, so what the schema takes the relay takes; 5.5 is none to either."""
    request = _parse(samples.job_data(priority=7.0, retry={"attempts": 3.0}))
    assert isinstance(request, requests.JobSubmit)
    assert request.retry is not None
    assert (request.priority, request.retry.attempts) == (7, 3)
    assert _fault(samples.job_data(priority=5.5)).field == "data.priority"


def test_full_messages_are_read() -> None:
    """Every field is read as it was sent."""
    common = {"priority": 9, "labels": {"team": "ü"}, "not_before": "2026-11-24T06:00:00.5+01:00"}
    job = {"job_type": "SparkPython", "job_name": "n_1-A", "arguments": ["", "a\nb"], "properties": {"k": "v"}}
    request = _parse({"cluster": "c", "job": job, **common})
    assert isinstance(request, requests.JobSubmit)
    assert request.job.model_dump(exclude_none=True) == job
    assert (request.priority, request.labels) == (9, {"team": "ü"})
    assert request.not_before == dt.datetime(2026, 11, 24, 5, 0, 0, 500_000, tzinfo=dt.UTC)
    sql = {"engine": "presto", "statement": "select 1;", "database": "d_1", "archive_path": "obs://b/x"}
    reported = _parse({"cluster": "c", **sql, **common}, "mrs.sql.submit")
    assert {name: getattr(reported, name) for name in sql} == sql


@pytest.mark.parametrize("job_type", requests.JobType.__args__)  # type: ignore[attr-defined]  # a Literal has them
def test_every_job_type_is_taken(job_type: str) -> None:
    """All job types of CreateExecuteJob are taken, in MRS's spelling only."""
    request = _parse(samples.job_data(job={"job_type": job_type}))
    assert isinstance(request, requests.JobSubmit)
    assert request.job.job_type == job_type
    fault = _fault(samples.job_data(job={"job_type": job_type.lower()}))
    assert (fault.code, fault.field) == ("bad_value", "data.job.job_type")


_JOB = {"job_type": "SparkSubmit"}
_FAULTS: list[tuple[str, dict[str, Any], str, str, str]] = [
    # what is wrong, change of the data, code, field, part of the text
    ("no cluster", {"cluster": ...}, "missing_field", "cluster", "required"),
    ("cluster null", {"cluster": None}, "wrong_type", "cluster", "string"),
    ("cluster number", {"cluster": 7}, "wrong_type", "cluster", "string"),
    ("cluster empty", {"cluster": ""}, "bad_value", "cluster", "pattern"),
    ("cluster path", {"cluster": "a/../b"}, "bad_value", "cluster", "pattern"),
    ("cluster ends in newline", {"cluster": "a\n"}, "bad_value", "cluster", "pattern"),
    ("cluster long", {"cluster": "a" * 65}, "bad_value", "cluster", "pattern"),
    ("cluster not ASCII", {"cluster": "ü"}, "bad_value", "cluster", "pattern"),
    ("choice empty", {"cluster": {}}, "bad_value", "cluster", "give a name, tags or both"),
    ("choice misspelt", {"cluster": {"nam": "etl"}}, "unknown_field", "cluster.nam", "no such field"),
    ("choice name empty", {"cluster": {"name": ""}}, "bad_value", "cluster.name", "at least 1"),
    ("choice name number", {"cluster": {"name": 7}}, "wrong_type", "cluster.name", "string"),
    ("choice tag number", {"cluster": {"tags": {"a": 7}}}, "wrong_type", "cluster.tags", "string"),
    ("choice tags many", {"cluster": {"tags": {f"t{n}": "" for n in range(21)}}}, "bad_value", "cluster.tags", "20"),
    ("cluster list", {"cluster": ["a"]}, "wrong_type", "cluster", "string"),
    ("no job", {"job": ...}, "missing_field", "job", "required"),
    ("job text", {"job": "SparkSubmit"}, "wrong_type", "job", "object"),
    ("job null", {"job": None}, "wrong_type", "job", "object"),
    ("no job type", {"job": {}}, "missing_field", "job.job_type", "required"),
    ("job type unknown", {"job": {"job_type": "Cobol"}}, "bad_value", "job.job_type", "MapReduce"),
    ("job type number", {"job": {"job_type": 1}}, "bad_value", "job.job_type", "MapReduce"),
    ("name with space", {"job": {**_JOB, "job_name": "a b"}}, "bad_value", "job.job_name", "pattern"),
    ("name empty", {"job": {**_JOB, "job_name": ""}}, "bad_value", "job.job_name", "pattern"),
    ("name long", {"job": {**_JOB, "job_name": "a" * 65}}, "bad_value", "job.job_name", "pattern"),
    ("arguments text", {"job": {**_JOB, "arguments": "a b"}}, "wrong_type", "job.arguments", "list"),
    ("arguments object", {"job": {**_JOB, "arguments": {"0": "a"}}}, "wrong_type", "job.arguments", "list"),
    ("argument number", {"job": {**_JOB, "arguments": ["a", 7]}}, "wrong_type", "job.arguments.1", "string"),
    ("argument null", {"job": {**_JOB, "arguments": [None]}}, "wrong_type", "job.arguments.0", "string"),
    ("arguments long", {"job": {**_JOB, "arguments": ["a" * 150_001]}}, "bad_value", "job.arguments", "150000"),
    ("properties list", {"job": {**_JOB, "properties": ["a=b"]}}, "wrong_type", "job.properties", "object"),
    ("property number", {"job": {**_JOB, "properties": {"a": 1}}}, "wrong_type", "job.properties", "string"),
    ("properties long", {"job": {**_JOB, "properties": {"a": "b" * 2048}}}, "bad_value", "job.properties", "2048"),
    ("job with more", {"job": {**_JOB, "jar": "x"}}, "unknown_field", "job.jar", "no such field"),
    ("priority text", {"priority": "5"}, "wrong_type", "priority", "integer"),
    ("priority bool", {"priority": True}, "wrong_type", "priority", "integer"),
    ("priority float", {"priority": 5.5}, "wrong_type", "priority", "integer"),
    ("priority low", {"priority": -1}, "bad_value", "priority", "0"),
    ("priority high", {"priority": 10}, "bad_value", "priority", "9"),
    ("priority huge", {"priority": 10**100}, "bad_value", "priority", "9"),
    ("labels list", {"labels": ["a"]}, "wrong_type", "labels", "object"),
    ("label number", {"labels": {"a": 1}}, "wrong_type", "labels.a", "string"),
    ("label long", {"labels": {"a": "b" * 256}}, "bad_value", "labels.a", "255"),
    ("label name long", {"labels": {"a" * 64: "b"}}, "bad_value", f"labels.{'a' * 64}.[key]", "63"),
    ("labels many", {"labels": {str(n): "" for n in range(17)}}, "bad_value", "labels", "16"),
    ("moment without offset", {"not_before": "2026-11-24T06:00:00"}, "bad_value", "not_before", "timezone"),
    ("moment as date", {"not_before": "2026-11-24"}, "bad_value", "not_before", "timezone"),
    ("moment as number", {"not_before": 1_795_420_800}, "bad_value", "not_before", "RFC 3339"),
    ("moment as digits", {"not_before": "1795420800"}, "bad_value", "not_before", "RFC 3339"),
    ("moment of words", {"not_before": "tomorrow"}, "bad_value", "not_before", "RFC 3339"),
    ("moment empty", {"not_before": ""}, "bad_value", "not_before", "RFC 3339"),
    ("moment impossible", {"not_before": "2026-02-30T00:00:00Z"}, "bad_value", "not_before", "date"),
    ("moment list", {"not_before": []}, "bad_value", "not_before", "RFC 3339"),
    ("field unknown", {"clutser": "c"}, "unknown_field", "clutser", "no such field"),
    ("field of SQL", {"statement": "select 1"}, "unknown_field", "statement", "no such field"),
]


@pytest.mark.parametrize(("change", "code", "field", "text"), [f[1:] for f in _FAULTS], ids=[f[0] for f in _FAULTS])
def test_wrong_field_of_a_job_is_named(change: dict[str, Any], code: str, field: str, text: str) -> None:
    """One wrong field gives its code, its dotted path and a text that names the rule."""
    fault = _fault(samples.job_data(**change))
    assert (fault.code, fault.field) == (code, f"data.{field}")
    assert fault.message.startswith(f"`data.{field}`: ")
    assert text in fault.message.removeprefix(f"`data.{field}`: ")


_RETRY = {"attempts": 3}
_WISH_FAULTS: list[tuple[str, dict[str, Any], str, str, str]] = [
    *(
        (f"{name} {what}", {name: value}, code, name, text)
        for name in ("queue_deadline_s", "run_deadline_s")
        for what, value, code, text in (
            ("zero", 0, "bad_value", "greater than 0"),
            ("negative", -1, "bad_value", "greater than 0"),
            ("longer than a year", 31_536_001, "bad_value", "31536000"),
            ("text", "30", "wrong_type", "number"),
            ("bool", True, "wrong_type", "number"),
            ("list", [30], "wrong_type", "number"),
        )
    ),
    ("retry text", {"retry": "twice"}, "wrong_type", "retry", "object"),
    ("retry number", {"retry": 3}, "wrong_type", "retry", "object"),
    ("no attempts", {"retry": {}}, "missing_field", "retry.attempts", "required"),
    ("one attempt", {"retry": {"attempts": 1}}, "bad_value", "retry.attempts", "2"),
    ("many attempts", {"retry": {"attempts": 21}}, "bad_value", "retry.attempts", "20"),
    ("attempts text", {"retry": {"attempts": "3"}}, "wrong_type", "retry.attempts", "integer"),
    ("attempts bool", {"retry": {"attempts": True}}, "wrong_type", "retry.attempts", "integer"),
    ("backoff negative", {"retry": {**_RETRY, "backoff_s": -1}}, "bad_value", "retry.backoff_s", "0"),
    ("backoff over a day", {"retry": {**_RETRY, "backoff_s": 86_401}}, "bad_value", "retry.backoff_s", "86400"),
    ("backoff text", {"retry": {**_RETRY, "backoff_s": "30"}}, "wrong_type", "retry.backoff_s", "number"),
    ("on nothing", {"retry": {**_RETRY, "on": []}}, "bad_value", "retry.on", "at least 1"),
    ("on text", {"retry": {**_RETRY, "on": "job_failed"}}, "wrong_type", "retry.on", "list"),
    ("on unknown", {"retry": {**_RETRY, "on": ["unresolved"]}}, "bad_value", "retry.on.0", "job_failed"),
    ("retry with more", {"retry": {**_RETRY, "until": 1}}, "unknown_field", "retry.until", "no such field"),
]


@pytest.mark.parametrize("kind", ["mrs.job.submit", "mrs.sql.submit"])
@pytest.mark.parametrize(
    ("change", "code", "field", "text"), [f[1:] for f in _WISH_FAULTS], ids=[f[0] for f in _WISH_FAULTS]
)
def test_wrong_deadline_or_retry_is_named(kind: str, change: dict[str, Any], code: str, field: str, text: str) -> None:
    """The same for what both kinds of requests may wish, beside what they run."""
    data = samples.job_data(**change) if kind == "mrs.job.submit" else samples.sql_data(**change)
    fault = _fault(data, kind)
    assert (fault.code, fault.field) == (code, f"data.{field}")
    assert text in fault.message.removeprefix(f"`data.{field}`: ")


def test_deadlines_and_retry_are_read() -> None:
    """What is within the rules is taken; the rest of a retry has defaults."""
    data = samples.job_data(queue_deadline_s=0.5, run_deadline_s=31_536_000, retry={"attempts": 2})
    request = _parse(data)
    assert isinstance(request, requests.JobSubmit)
    assert (request.queue_deadline_s, request.run_deadline_s) == (0.5, 31_536_000)
    assert request.retry == requests.RetryPolicy(attempts=2, backoff_s=30.0, on=["job_failed"])
    none = _parse(samples.job_data(queue_deadline_s=None, run_deadline_s=None, retry=None))
    assert none == _parse(samples.job_data())


_TARGET = {"id": "order-1"}
_TARGET_FAULTS: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("without request", {}, "missing_field", "request", "required"),
    ("request text", {"request": "order-1"}, "wrong_type", "request", "object"),
    ("request null", {"request": None}, "wrong_type", "request", "object"),
    ("request without id", {"request": {}}, "missing_field", "request.id", "required"),
    ("id number", {"request": {"id": 7}}, "wrong_type", "request.id", "string"),
    ("id empty", {"request": {"id": ""}}, "bad_value", "request.id", "at least 1"),
    ("id long", {"request": {"id": "x" * 257}}, "bad_value", "request.id", "256"),
    ("id with control", {"request": {"id": "a\n"}}, "bad_value", "request.id", "control characters"),
    ("source empty", {"request": {**_TARGET, "source": ""}}, "bad_value", "request.source", "at least 1"),
    ("source long", {"request": {**_TARGET, "source": "x" * 257}}, "bad_value", "request.source", "256"),
    ("source with space", {"request": {**_TARGET, "source": "/a b"}}, "bad_value", "request.source", "space"),
    (
        "source with NUL",
        {"request": {**_TARGET, "source": "\0claim"}},
        "bad_value",
        "request.source",
        "control characters",
    ),
    (
        "request with more",
        {"request": {**_TARGET, "key": "k"}},
        "unknown_field",
        "request.key",
        "no such field",
    ),
    ("note long", {"request": _TARGET, "note": "x" * 501}, "bad_value", "note", "500"),
    ("note number", {"request": _TARGET, "note": 7}, "wrong_type", "note", "string"),
    ("field unknown", {"request": _TARGET, "force": True}, "unknown_field", "force", "no such field"),
]
_MESSAGE_FAULTS: list[tuple[str, str, dict[str, Any], str, str, str]] = [
    *(
        (
            f"{kind} {what}",
            kind,
            {"verdict": "failed", "note": "n", **change} if kind == "resolve" else change,
            code,
            field,
            text,
        )
        for kind in ("cancel", "resolve")
        for what, change, code, field, text in _TARGET_FAULTS
    ),
    ("no verdict", "resolve", {"request": _TARGET, "note": "n"}, "missing_field", "verdict", "required"),
    ("no note", "resolve", {"request": _TARGET, "verdict": "failed"}, "missing_field", "note", "required"),
    ("empty note", "resolve", {"request": _TARGET, "verdict": "failed", "note": ""}, "bad_value", "note", "at least 1"),
    (
        "odd verdict",
        "resolve",
        {"request": _TARGET, "verdict": "unknown", "note": "n"},
        "bad_value",
        "verdict",
        "failed",
    ),
    ("cancel with verdict", "cancel", {"request": _TARGET, "verdict": "failed"}, "unknown_field", "verdict", "no such"),
]


@pytest.mark.parametrize(
    ("kind", "data", "code", "field", "text"), [f[1:] for f in _MESSAGE_FAULTS], ids=[f[0] for f in _MESSAGE_FAULTS]
)
def test_wrong_field_of_a_cancel_or_resolve_is_named(
    kind: str, data: dict[str, Any], code: str, field: str, text: str
) -> None:
    """The same for messages about another request; what no request can be called is refused, the ledger's keys too."""
    fault = _fault(data, f"mrs.job.{kind}")
    assert (fault.code, fault.field) == (code, f"data.{field}")
    assert text in fault.message.removeprefix(f"`data.{field}`: ")


def test_cancel_and_resolve_are_read() -> None:
    """A target's source may be left out; an id may hold spaces; a cancel needs no note."""
    assert _parse({"request": {"id": "a b"}}, "mrs.job.cancel") == requests.JobCancel(request=requests.Target(id="a b"))
    data = {"request": {"id": "x" * 256, "source": "/s"}, "verdict": "cancelled", "note": "ü"}
    reported = _parse(data, "mrs.job.resolve")
    assert isinstance(reported, requests.JobResolve)
    assert reported.model_dump() == data


_SQL_FAULTS: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("no engine", {"engine": ...}, "missing_field", "data.engine", "required"),
    ("engine unknown", {"engine": "Presto"}, "bad_value", "data.engine", "'presto'"),
    ("no statement", {"statement": ...}, "missing_field", "data.statement", "required"),
    ("statement empty", {"statement": ""}, "bad_value", "data.statement", "at least 1"),
    ("statement blank", {"statement": " \r\n;\t;"}, "bad_value", "data.statement", "no SQL"),
    ("statement number", {"statement": 1}, "wrong_type", "data.statement", "string"),
    ("statement list", {"statement": ["select 1"]}, "wrong_type", "data.statement", "string"),
    ("statement long", {"statement": "s" * 149_801}, "bad_value", "data.statement", "149800"),
    ("only a comment", {"statement": "-- select 1;"}, "bad_value", "data", "no SQL"),
    ("two behind a comment", {"statement": "select 1; -- a\nselect 2"}, "bad_value", "data", "exactly one statement"),
    ("semicolon in quotes", {"statement": "select ';'"}, "bad_value", "data", "chr(59)"),
    ("two for presto", {"statement": "select 1; select 2"}, "bad_value", "data", "exactly one statement"),
    ("database path", {"database": "a;b"}, "bad_value", "data.database", "pattern"),
    ("database empty", {"database": ""}, "bad_value", "data.database", "pattern"),
    ("archive elsewhere", {"archive_path": "s3://b/x"}, "bad_value", "data.archive_path", "pattern"),
    ("archive without bucket", {"archive_path": "obs:///x"}, "bad_value", "data.archive_path", "pattern"),
    ("archive with space", {"archive_path": "obs://b/a b"}, "bad_value", "data.archive_path", "pattern"),
    ("archive for spark", {"engine": "spark", "archive_path": "obs://b/x"}, "bad_value", "data", "presto only"),
    ("name with space", {"job_name": "a b"}, "bad_value", "data.job_name", "pattern"),
    ("field unknown", {"sql": "select 1"}, "unknown_field", "data.sql", "no such field"),
    ("field of a job", {"job": {}}, "unknown_field", "data.job", "no such field"),
]


@pytest.mark.parametrize(
    ("change", "code", "field", "text"), [f[1:] for f in _SQL_FAULTS], ids=[f[0] for f in _SQL_FAULTS]
)
def test_wrong_field_of_a_statement_is_named(change: dict[str, Any], code: str, field: str, text: str) -> None:
    """The same for SQL."""
    fault = _fault(samples.sql_data(**change), "mrs.sql.submit")
    assert (fault.code, fault.field) == (code, field)
    assert text in fault.message


@pytest.mark.parametrize(
    "change",
    [
        {"statement": "select 1 ; \n;"},
        {"statement": "select 1; -- done; really"},
        {"statement": "/* a; b */ select 'it''s -- one' -- ;"},
        {"engine": "hive", "statement": "use x; select 1; select 2"},
        {"engine": "spark", "statement": "select ';'"},
        {"statement": "s" * 149_800},
        {"archive_path": "obs://b"},
        {"archive_path": None},
    ],
)
def test_borderline_statement_is_taken(change: dict[str, Any]) -> None:
    """What is just within the rules is taken."""
    request = _parse(samples.sql_data(**change), "mrs.sql.submit")
    assert request.model_dump(include=set(change)) == change


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
    fault = _fault(data)
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
    fault = _fault(samples.job_data(), specversion=version)
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
def test_unknown_type_is_reported_the_known_ones(kind: str) -> None:
    """An unknown type is refused with the list of the known ones; the text stays short."""
    fault = _fault(samples.job_data(), kind)
    assert (fault.code, fault.field) == ("unknown_type", "type")
    assert f"known: {', '.join(sorted(requests.MODELS))}" in fault.message
    assert len(fault.message) < 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/avro", "", 7, "x" * 100_000])
def test_other_content_of_data_is_refused(content_type: object) -> None:
    """Data in another format than JSON is refused; the text stays short."""
    fault = _fault(samples.job_data(), datacontenttype=content_type)
    assert (fault.code, fault.field) == ("unreadable_encoding", "datacontenttype")
    assert len(fault.message) < 200


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"]
)
def test_json_content_of_data_is_taken(content_type: str) -> None:
    """JSON under any of its names is taken."""
    assert isinstance(_parse(samples.job_data(), datacontenttype=content_type), requests.JobSubmit)


def test_first_of_several_faults_is_reported_with_their_number() -> None:
    """One error tells one fault, and how many more there are."""
    fault = _fault({"cluster": 7, "priority": "x", "job": {}})
    assert fault.field == "data.priority"
    assert fault.message.endswith("(and 2 more)")


def _spoiled() -> list[tuple[str, dict[str, Any]]]:
    """Data with a hidden where arguments, SQL and properties stand, each wrong in some way."""
    hidden = samples.HIDDEN
    job: list[dict[str, Any]] = [
        {**_JOB, "arguments": [hidden, 7]},
        {**_JOB, "arguments": hidden},
        {**_JOB, "arguments": [hidden * 10_000]},
        {**_JOB, "arguments": [[hidden]]},
        {**_JOB, "arguments": {hidden: hidden}},
        {**_JOB, "properties": {hidden: 7}},
        {**_JOB, "properties": {"a": [hidden]}},
        {**_JOB, "properties": hidden},
        {**_JOB, "properties": {"a": hidden * 1000}},
        {**_JOB, "properties": {hidden: {hidden: hidden}}},
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
    fault = _fault(data, kind)
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
        reported = _parse(data, kind)
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
    assert _parse(samples.job_data(**change)) == _parse(samples.job_data())


def test_null_inside_a_field_counts_as_absent() -> None:
    """The same for fields of fields."""
    job = {**samples.job_data()["job"], "job_name": None, "properties": None}
    assert _parse(samples.job_data(job=job)) == _parse(samples.job_data())
    assert _parse(samples.sql_data(database=None), "mrs.sql.submit") == _parse(samples.sql_data(), "mrs.sql.submit")


def test_null_under_an_unknown_name_is_refused() -> None:
    """A mistake in a name stays one."""
    assert _fault(samples.job_data(prioriti=None)).code == "unknown_field"


@pytest.mark.parametrize(("value", "got"), [([], "an array"), ("x", "a string"), (7, "a number"), (True, "a boolean")])
def test_data_of_another_type_is_reported(value: object, got: str) -> None:
    """The text says what was expected and what came."""
    fault = _fault(value)
    assert (fault.code, fault.field, fault.message) == ("wrong_type", "data", f"`data`: expected an object, got {got}")


def test_other_specversion_is_reported_with_the_right_one() -> None:
    """The text says what came and what is expected."""
    assert _fault(samples.job_data(), specversion="0.3").message == 'unsupported specversion "0.3": expected "1.0"'


@pytest.mark.parametrize(
    ("moment", "instant"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2017-01-01T07:59:60.250+08:00", "2017-01-01T00:00:00.250000+00:00"),
    ],
)
def test_leap_second_is_a_time(moment: str, instant: str) -> None:
    """RFC 3339 has 23:59:60 in UTC; clocks show the first second of the next day for it."""
    request = _parse(samples.job_data(not_before=moment))
    assert isinstance(request, requests.JobSubmit)
    assert request.not_before == dt.datetime.fromisoformat(instant)


@pytest.mark.parametrize("moment", ["2016-12-31T23:58:60Z", "2016-12-31T12:59:60Z", "9999-12-31T23:59:60Z"])
def test_second_60_elsewhere_is_no_time(moment: str) -> None:
    """Leap seconds end a day in UTC; and the last second that can be reported is that before the year 10000."""
    assert _fault(samples.job_data(not_before=moment)).code == "bad_value"


@pytest.mark.parametrize("number", ["0.33333333333333333333", "3600.00000000000000000001"])
def test_number_with_many_digits_is_a_deadline(number: str) -> None:
    """A float is near enough for seconds, whatever the writer's digits."""
    raw = samples.raw(samples.message(samples.job_data(queue_deadline_s="@"))).replace(b'"@"', number.encode())
    request = requests.parse(envelope.read(samples.TOPIC, raw, ()))
    assert isinstance(request, requests.JobSubmit)
    assert request.queue_deadline_s == float(number)


@pytest.mark.parametrize("name", ["a\u200db", "a\u00a0b", "a\u3000b"])
def test_target_may_have_any_name_that_a_request_may_have(name: str) -> None:
    """What can be sent can be cancelled."""
    request = _parse({"request": {"id": name, "source": name}}, "mrs.job.cancel")
    assert isinstance(request, requests.JobCancel)
    assert (request.request.id, request.request.source) == (name, name)
