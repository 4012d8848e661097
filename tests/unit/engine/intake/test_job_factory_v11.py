"""What a request for V1.1 becomes, and what it is rejected for: each rule names its field."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engine import samples

from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, job_records, jobs
from mrs_relay.engine.work import batch_v11, kinds
from mrs_relay.messages import v11_rules

_JAR = "s3a://demo/sessionize.jar"
_SQL = "s3a://demo/report.sql"
_COPY = {"job_type": "DistCp", "file_action": "import", "input": "s3a://demo/in/", "output": "/user/in"}


def _read(job: dict[str, Any], api: str | None = "v1.1", kind: str = "mrs.job.submit", **more: Any) -> facts.Fact:
    data = {"cluster": samples.CLUSTER, **({} if api is None else {"api": api}), "job": job, **more}
    value = json.dumps({"id": "r-1", "source": "/s", "type": kind, "data": data}).encode()
    meaning = reader.read(samples.record(value), samples.RESULT_TYPES, 100_000)
    assert isinstance(meaning, tuple)
    return meaning[1]


def _job(job: dict[str, Any], **more: Any) -> jobs.Job:
    fact = _read(job, **more)
    assert isinstance(fact, facts.Requested), fact
    return fact.job


@pytest.mark.parametrize(
    ("job", "fields"),
    [
        ({"job_type": "MapReduce", "jar_path": _JAR, "output": "/out"}, {"jar_path": _JAR, "output": "/out"}),
        ({"job_type": "SparkSubmit", "jar_path": "/x/APP.JAR"}, {"jar_path": "/x/APP.JAR"}),
        ({"job_type": "HiveScript", "hive_script_path": _SQL}, {"hive_script_path": _SQL}),
        ({"job_type": "SparkScript", "hive_script_path": _SQL}, {"hive_script_path": _SQL}),
        (_COPY, {name: _COPY[name] for name in ("input", "output", "file_action")}),
        (
            {**_COPY, "file_action": "export", "input": "/user/in", "output": "obs://demo/out"},
            {"file_action": "export", "input": "/user/in", "output": "obs://demo/out"},
        ),
    ],
)
def test_each_type_that_v11_runs_becomes_a_job_with_its_fields(job: dict[str, Any], fields: dict[str, str]) -> None:
    """The job remembers the API, waits in that API's line and carries its fields by their names."""
    made = _job({**job, "arguments": ["sessionize", "--days", "30"]})
    assert isinstance(made.work, jobs.Batch)
    assert (made.api, kinds.place(made)[1]) == ("v1.1", "CreateAndExecuteJob")
    assert (made.work.job_type, made.work.properties) == (job["job_type"], fields)
    assert made.work.arguments == ("sessionize", "--days", "30")
    assert made.collect is ("output" in fields)


@pytest.mark.parametrize("api", [None, "v2"])
def test_without_the_field_or_with_v2_everything_is_as_it_was(api: str | None) -> None:
    """V2 is the default, and the ledger record of such a job says nothing of an API."""
    made = _job({"job_type": "SparkSql", "arguments": ["select 1"]}, api=api)
    assert (made.api, kinds.place(made)[1], made.collect) == ("v2", "CreateExecuteJob", True)
    assert b'"api"' not in job_records.encode(made)


@pytest.mark.parametrize(
    ("job", "field", "code"),
    [
        ({"job_type": "SparkSql"}, "job_type", "bad_value"),
        ({"job_type": "HiveSql"}, "job_type", "bad_value"),
        ({"job_type": "Flink"}, "job_type", "bad_value"),
        ({"job_type": "SparkPython"}, "job_type", "bad_value"),
        ({"job_type": "MapReduce"}, "jar_path", "missing_field"),
        ({"job_type": "SparkSubmit", "jar_path": "/x/app.py"}, "jar_path", "bad_value"),
        ({"job_type": "SparkSubmit", "jar_path": "app.jar"}, "jar_path", "bad_value"),
        ({"job_type": "SparkSubmit", "jar_path": "/a;b.jar"}, "jar_path", "bad_value"),
        ({"job_type": "SparkSubmit", "jar_path": "/" + "a" * 1023 + ".jar"}, "jar_path", "bad_value"),
        ({"job_type": "HiveScript"}, "hive_script_path", "missing_field"),
        ({"job_type": "SparkScript", "hive_script_path": "/x.txt"}, "hive_script_path", "bad_value"),
        ({"job_type": "MapReduce", "jar_path": _JAR, "hive_script_path": _SQL}, "hive_script_path", "bad_value"),
        ({"job_type": "MapReduce", "jar_path": _JAR, "file_action": "import"}, "file_action", "bad_value"),
        ({"job_type": "MapReduce", "jar_path": _JAR, "properties": {"a": "b"}}, "properties", "bad_value"),
        ({"job_type": "MapReduce", "jar_path": _JAR, "arguments": ["a b"]}, "arguments", "bad_value"),
        ({"job_type": "MapReduce", "jar_path": _JAR, "arguments": [""]}, "arguments", "bad_value"),
        ({"job_type": "MapReduce", "jar_path": _JAR, "arguments": ["$HOME"]}, "arguments", "bad_value"),
        ({**_COPY, "file_action": None}, "file_action", "missing_field"),
        ({**_COPY, "file_action": "move"}, "file_action", "bad_value"),
        ({**_COPY, "input": None}, "input", "missing_field"),
        ({**_COPY, "input": "/user/in"}, "input", "bad_value"),
        ({**_COPY, "file_action": "export"}, "input", "bad_value"),
        ({**_COPY, "output": "obs://demo/out"}, "output", "bad_value"),
    ],
)
def test_what_v11_could_never_take_is_rejected_at_its_field(job: dict[str, Any], field: str, code: str) -> None:
    """A wrong combination never reaches MRS."""
    fact = _read(job)
    assert isinstance(fact, facts.InvalidRequest)
    assert (fact.reason.field, fact.reason.code) == (f"data.job.{field}", code)
    assert f"data.job.{field}" in fact.reason.message


@pytest.mark.parametrize("name", ["jar_path", "hive_script_path", "input", "output", "job_log"])
def test_a_field_of_v11_is_rejected_with_v2(name: str) -> None:
    """V2 would not be sent it, and the sender would wonder."""
    fact = _read({"job_type": "MapReduce", name: "/x/a.jar"}, api=None)
    assert isinstance(fact, facts.InvalidRequest)
    assert fact.reason.field == f"data.job.{name}"


def test_an_unknown_api_is_rejected_with_those_there_are() -> None:
    """A closed list."""
    fact = _read({"job_type": "MapReduce"}, api="v3")
    assert isinstance(fact, facts.InvalidRequest)
    assert fact.reason.field == "data.api"
    assert "v1.1" in fact.reason.message


def test_v11_deletes_one_record_at_a_time() -> None:
    """One call, one intent: several ids are several requests."""

    def read(*job_ids: str, api: str) -> facts.Fact:
        data = {"cluster": samples.CLUSTER, "api": api, "job_ids": job_ids}
        value = json.dumps({"id": "r-1", "source": "/s", "type": "mrs.job.delete", "data": data}).encode()
        meaning = reader.read(samples.record(value), samples.RESULT_TYPES, 100_000)
        assert isinstance(meaning, tuple)
        return meaning[1]

    one = read("j-1", api="v1.1")
    assert isinstance(one, facts.Requested)
    assert one.job.work == jobs.Call("DeleteJobExecution", {"job_execution_id": "j-1"}, repeatable=True)
    assert isinstance(read("j-1", "j-2", api="v2"), facts.Requested)
    two = read("j-1", "j-2", api="v1.1")
    assert isinstance(two, facts.InvalidRequest)
    assert two.reason.field == "data.job_ids"


def test_jobs_of_older_ledgers_run_on_v2() -> None:
    """A record that says nothing of an API was written when there was only one."""
    for file in sorted((Path(__file__).parents[2] / "recorded").glob("ledger-*.jsonl")):
        for line in file.read_text().splitlines():
            assert job_records.decode(base64.b64decode(json.loads(line)["value"])).api == "v2"


def test_an_old_job_reads_as_it_was_written() -> None:
    """The API stands in the ledger from the first commit to the last, for it answers for the id."""
    made = _job({"job_type": "MapReduce", "jar_path": _JAR})
    assert job_records.decode(job_records.encode(made)) == made
    assert set(batch_v11.TYPES) == set(v11_rules.TYPES)
