"""Each field's rule, and the error that tells the sender how to mend it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.unit.messages import parsing_samples, samples

from mrs_relay.messages import requests


def test_smallest_job_takes_the_documented_defaults() -> None:
    """Cluster and job type are enough; the rest has a default."""
    request = parsing_samples.parse({"cluster": "c", "job": {"job_type": "Flink"}})
    assert request == requests.JobSubmit(cluster="c", job=requests.BatchJob(job_type="Flink"))
    assert isinstance(request, requests.JobSubmit)
    assert (request.priority, request.labels, request.not_before) == (5, {}, None)
    assert (request.job.job_name, request.job.arguments, request.job.properties) == ("job", [], {})


def test_smallest_statement_takes_the_documented_defaults() -> None:
    """Cluster, engine and statement are enough; the rest has a default."""
    request = parsing_samples.parse({"cluster": "c", "engine": "presto", "statement": "select 1"}, "mrs.sql.submit")
    assert isinstance(request, requests.SqlSubmit)
    assert (request.database, request.archive_path, request.job_name) == ("default", None, "sql")


def test_whole_numbers_may_be_written_with_a_fraction_of_nothing() -> None:
    """5.0 is an integer to JSON Schema, so what the schema takes the relay takes; 5.5 is none to either."""
    request = parsing_samples.parse(samples.job_data(priority=7.0, retry={"attempts": 3.0}))
    assert isinstance(request, requests.JobSubmit)
    assert request.retry is not None
    assert (request.priority, request.retry.attempts) == (7, 3)
    assert parsing_samples.fault(samples.job_data(priority=5.5)).field == "data.priority"


def test_full_messages_are_read() -> None:
    """Every field is read as it was sent."""
    common = {"priority": 9, "labels": {"team": "ü"}, "not_before": "2026-11-24T06:00:00.5+01:00"}
    job = {"job_type": "SparkPython", "job_name": "n_1-A", "arguments": ["", "a\nb"], "properties": {"k": "v"}}
    request = parsing_samples.parse({"cluster": "c", "job": job, **common})
    assert isinstance(request, requests.JobSubmit)
    assert request.job.model_dump(exclude_none=True) == job
    assert (request.priority, request.labels) == (9, {"team": "ü"})
    assert request.not_before == dt.datetime(2026, 11, 24, 5, 0, 0, 500_000, tzinfo=dt.UTC)
    sql = {"engine": "presto", "statement": "select 1;", "database": "d_1", "archive_path": "obs://b/x"}
    reported = parsing_samples.parse({"cluster": "c", **sql, **common}, "mrs.sql.submit")
    assert {name: getattr(reported, name) for name in sql} == sql


@pytest.mark.parametrize("job_type", requests.JobType.__args__)  # type: ignore[attr-defined]  # a Literal has them
def test_every_job_type_is_taken(job_type: str) -> None:
    """All job types of CreateExecuteJob are taken, in MRS's spelling only."""
    request = parsing_samples.parse(samples.job_data(job={"job_type": job_type}))
    assert isinstance(request, requests.JobSubmit)
    assert request.job.job_type == job_type
    fault = parsing_samples.fault(samples.job_data(job={"job_type": job_type.lower()}))
    assert (fault.code, fault.field) == ("bad_value", "data.job.job_type")


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
    ("name with space", {"job": {**parsing_samples.JOB, "job_name": "a b"}}, "bad_value", "job.job_name", "pattern"),
    ("name empty", {"job": {**parsing_samples.JOB, "job_name": ""}}, "bad_value", "job.job_name", "pattern"),
    ("name long", {"job": {**parsing_samples.JOB, "job_name": "a" * 65}}, "bad_value", "job.job_name", "pattern"),
    ("arguments text", {"job": {**parsing_samples.JOB, "arguments": "a b"}}, "wrong_type", "job.arguments", "list"),
    (
        "arguments object",
        {"job": {**parsing_samples.JOB, "arguments": {"0": "a"}}},
        "wrong_type",
        "job.arguments",
        "list",
    ),
    (
        "argument number",
        {"job": {**parsing_samples.JOB, "arguments": ["a", 7]}},
        "wrong_type",
        "job.arguments.1",
        "string",
    ),
    ("argument null", {"job": {**parsing_samples.JOB, "arguments": [None]}}, "wrong_type", "job.arguments.0", "string"),
    (
        "arguments long",
        {"job": {**parsing_samples.JOB, "arguments": ["a" * 150_001]}},
        "bad_value",
        "job.arguments",
        "150000",
    ),
    (
        "properties list",
        {"job": {**parsing_samples.JOB, "properties": ["a=b"]}},
        "wrong_type",
        "job.properties",
        "object",
    ),
    (
        "property number",
        {"job": {**parsing_samples.JOB, "properties": {"a": 1}}},
        "wrong_type",
        "job.properties",
        "string",
    ),
    (
        "properties long",
        {"job": {**parsing_samples.JOB, "properties": {"a": "b" * 2048}}},
        "bad_value",
        "job.properties",
        "2048",
    ),
    ("job with more", {"job": {**parsing_samples.JOB, "jar": "x"}}, "unknown_field", "job.jar", "no such field"),
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
    fault = parsing_samples.fault(samples.job_data(**change))
    assert (fault.code, fault.field) == (code, f"data.{field}")
    assert fault.message.startswith(f"`data.{field}`: ")
    assert text in fault.message.removeprefix(f"`data.{field}`: ")


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
    fault = parsing_samples.fault(samples.sql_data(**change), "mrs.sql.submit")
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
    request = parsing_samples.parse(samples.sql_data(**change), "mrs.sql.submit")
    assert request.model_dump(include=set(change)) == change
