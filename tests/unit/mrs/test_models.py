"""Requests are checked before they are sent; replies are forgiven where the documents of MRS disagree."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import pydantic
import pytest

from mrs_relay.mrs.models import base, clusters, jobs, sql

R = TypeVar("R", bound=base.Reply)

JOB: dict[str, Any] = {"job_type": "MapReduce", "job_name": "wc-7f3a9c1e"}
DETAIL: dict[str, Any] = {
    "job_id": "b6c1d6b0-3f1c-4d7e-8a47-1d6f0e9a2c55",
    "user": "svc-orchestrator",
    "job_name": "wc-7f3a9c1e",
    "job_result": "UNDEFINED",
    "job_state": "RUNNING",
    "job_progress": 37,
    "job_type": "MapReduce",
    "started_time": 1795419018500,
    "submitted_time": 1795419001200,
    "finished_time": 0,
    "elapsed_time": 41000,
    "queue": "default",
    "arguments": "[obs://demo-bucket/a.jar, wordcount]",
    "launcher_id": "application_1795300000000_0041",
    "properties": "{}",
}


def read(model: type[R], body: dict[str, Any]) -> R:
    """Return the reply of this body, the way the client reads it."""
    return model.model_validate_json(json.dumps(body))


def test_a_body_from_checked_values_is_that_of_the_model() -> None:
    """The quick way to write CreateExecuteJob's body gives what its model writes, also beyond ASCII."""
    given = {
        **JOB,
        "arguments": ["--name", 'a "b"\\\n\tc\x01', "结果/Ж"],
        "properties": {"fs.obs.endpoint": "obs.demo", "名": ""},
    }
    model = jobs.JobExecution.model_validate(given)
    written = jobs.written(model.job_type, model.job_name, model.arguments, model.properties)
    assert json.loads(written) == json.loads(model.model_dump_json(exclude_none=True)) == given


@pytest.mark.parametrize(
    ("change", "field", "limit"),
    [
        ({"job_name": "a b"}, "job_name", "{1,64}"),
        ({"job_name": "x" * 65}, "job_name", "{1,64}"),
        ({"job_type": "Spark"}, "job_type", "'SparkSubmit'"),
        ({"arguments": ["x" * 75_000, "y" * 75_001]}, "arguments", "150001 characters in all, MRS takes 150000"),
        ({"properties": {"k" * 1000: "v" * 1049}}, "properties", "2049 characters in all names and values"),
        ({"arguments": "not a list"}, "arguments", "tuple"),
        ({"cluster": "c"}, "cluster", "not permitted"),
    ],
)
def test_a_bad_job_is_refused_with_field_and_limit(change: dict[str, Any], field: str, limit: str) -> None:
    """What MRS would refuse is refused here, saying where and why, without showing the value."""
    with pytest.raises(pydantic.ValidationError) as caught:
        jobs.JobExecution.model_validate({**JOB, **change})
    said = str(caught.value)
    assert field in said
    assert limit in said
    assert "xxxx" not in said


def test_a_job_at_its_limits_is_taken() -> None:
    """150,000 characters of arguments and 2,048 of properties are allowed."""
    job = jobs.JobExecution.model_validate(
        {**JOB, "job_name": "x" * 64, "arguments": ["x" * 150_000], "properties": {"k" * 1000: "v" * 1048}}
    )
    assert len(job.arguments[0]) == jobs.MAX_ARGUMENTS


def test_characters_that_the_samples_use_are_left_to_mrs() -> None:
    """The documented list of forbidden characters is broken by the official samples, so it is not enforced here."""
    text = "insert into t values (1, 'a');select * from t where a > 1 && b"
    assert jobs.JobExecution.model_validate({**JOB, "job_type": "SparkSql", "arguments": [text]}).arguments == (text,)


def test_a_query_goes_out_by_the_names_of_the_api() -> None:
    """Fields are named with their units here and as documented on the wire; absent ones are left out."""
    query = jobs.JobQuery(submitted_begin_ms=1, limit=100, offset=2, job_result=jobs.JobResult.UNDEFINED)
    by_alias = jobs.JobQuery.model_validate(
        {"submitted_time_begin": "1", "limit": "100", "offset": 2, "job_result": "UNDEFINED"}
    )
    assert query == by_alias
    assert query.model_dump(exclude_none=True) == {
        "submitted_time_begin": 1,
        "limit": 100,
        "offset": 2,
        "job_result": "UNDEFINED",
    }


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (jobs.JobQuery, {"offset": 0}),
        (jobs.JobQuery, {"limit": 0}),
        (jobs.JobQuery, {"sort_by": "up"}),
        (jobs.JobsToDelete, {"job_id_list": []}),
        (jobs.JobsToDelete, {"job_id_list": ["../x"]}),
        (sql.SqlExecution, {"sql_content": ""}),
        (sql.SqlExecution, {"sql_content": "select 1; select 2"}),
        (sql.SqlExecution, {"sql_content": "select 1", "archive_path": "s3://bucket"}),
        (sql.SqlExecution, {"sql_content": "select 1", "sql_type": "hive"}),
        (clusters.ClusterQuery, {"pageSize": 0}),
    ],
)
def test_a_request_that_mrs_would_refuse_is_not_built(model: type[base.Asked], fields: dict[str, Any]) -> None:
    """Each documented limit is checked before anything is sent."""
    with pytest.raises(pydantic.ValidationError):
        model.model_validate(fields)


def test_numbers_may_come_as_text() -> None:
    """Pages of 2021 print numbers as strings; later ones as numbers."""
    texts = {key: str(value) if isinstance(value, int) else value for key, value in DETAIL.items()}
    old = read(jobs.JobListReply, {"total_record": "1", "job_list": [texts]})
    new = read(jobs.JobListReply, {"total_record": 1, "job_list": [DETAIL]})
    assert old == new
    assert old.jobs[0].submitted_ms == 1795419001200
    assert old.jobs[0].job_progress == 37.0


@pytest.mark.parametrize("word", ["New", "NEW", " new "])
def test_a_state_is_read_in_upper_case(word: str) -> None:
    """English pages print 'New' where all others print 'NEW'."""
    assert read(jobs.JobReply, {"job_detail": {**DETAIL, "job_state": word}}).job_detail.job_state == jobs.JobState.NEW


@pytest.mark.parametrize(
    ("state", "ended"), [("RUNNING", False), ("FINISHED", True), ("KILLED", True), ("SOMETHING_NEW", False)]
)
def test_only_the_documented_ends_are_ends(state: str, ended: bool) -> None:
    """An unknown state is kept as it is and is no end."""
    detail = read(jobs.JobReply, {"job_detail": {**DETAIL, "job_state": state}}).job_detail
    assert detail.job_state == state
    assert detail.ended is ended


def test_absent_and_null_fields_of_a_job_are_forgiven() -> None:
    """Fields without a value are left out by some versions and null in others."""
    short = {"job_id": "a", "job_state": "FINISHED"}
    nulls = dict.fromkeys(DETAIL.keys() - short.keys(), None)
    sparse, null = (read(jobs.JobReply, {"job_detail": body}).job_detail for body in (short, {**short, **nulls}))
    assert sparse == null
    assert (sparse.job_name, sparse.job_result, sparse.finished_ms) == ("", "UNDEFINED", None)


def test_arguments_may_be_a_list_and_properties_an_object() -> None:
    """The tables of two regions promise a list and an object where samples show text."""
    body = {**DETAIL, "arguments": ["a", "b"], "properties": {"k": "v"}}
    detail = read(jobs.JobReply, {"job_detail": body}).job_detail
    assert (detail.arguments, detail.properties) == (("a", "b"), {"k": "v"})


def test_unknown_fields_are_kept() -> None:
    """What MRS learns to say tomorrow is not lost."""
    reply = read(jobs.JobReply, {"job_detail": {**DETAIL, "app_attempt": 2}, "trace": "t"})
    assert reply.job_detail.model_extra == {"app_attempt": 2}
    assert reply.model_dump()["job_detail"]["app_attempt"] == 2
    assert reply.model_extra == {"trace": "t"}


@pytest.mark.parametrize("body", [{"total_record": 0, "job_list": []}, {"total_record": 0}, {"job_list": []}])
def test_an_empty_page_is_a_page(body: dict[str, Any]) -> None:
    """No source shows an empty result; all likely forms are read as no jobs."""
    reply = read(jobs.JobListReply, body)
    assert reply.failure() is None
    assert reply.jobs == ()


@pytest.mark.parametrize("body", [{}, {"total_record": 3}, {"total_record": 3, "job_list": None}])
def test_an_absent_list_is_not_taken_for_no_jobs(body: dict[str, Any]) -> None:
    """A body without a list leaves open which jobs there are."""
    failure = read(jobs.JobListReply, body).failure()
    assert failure is not None
    assert failure.certain is False


@pytest.mark.parametrize("key", ["sql_results", "sql-results"])
def test_statement_results_come_in_the_order_of_the_statements(key: str) -> None:
    """Both spellings of the key are read; index 10 comes after index 2."""
    rows = {"10": [{"id": 3}], "0": [{"result": "succeed"}], "2": [{"id": "1", "name": None}]}
    reply = read(jobs.StatementResultsReply, {key: rows})
    assert reply.statements == (({"result": "succeed"},), ({"id": "1", "name": None},), ({"id": 3},))


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ([["t1"], ["t2"]], (("t1",), ("t2",))),
        ([["t1", None], [None, "t2"]], (("t1", None), (None, "t2"))),
        ([None, "t1", None, "t2"], ((None,), ("t1",), (None,), ("t2",))),
        ([], ()),
        (None, ()),
    ],
)
def test_sql_content_has_three_forms(content: object, rows: object) -> None:
    """Rows, rows with nulls, or a flat list without its width, which becomes one column."""
    assert read(sql.SqlResult, {"status": "FINISHED", "content": content}).content == rows


@pytest.mark.parametrize("key", ["id", "sql_id"])
def test_a_statement_id_has_two_names(key: str) -> None:
    """Pages of 2021 call it sql_id, later ones id."""
    assert read(sql.SqlResult, {key: "20190909_011820_00151_xxxxx", "status": "RUNNING"}).id.startswith("20190909")


@pytest.mark.parametrize("given", [{}, {"id": ""}, {"id": None}])
def test_a_statement_without_id_has_an_empty_one(given: dict[str, Any]) -> None:
    """Statements other than SELECT, SHOW and DESC have none."""
    assert read(sql.SqlResult, {"status": "FINISHED", **given}).id == ""


def test_a_result_location_is_trimmed() -> None:
    """Samples of 2021 have a leading space in it."""
    reply = read(sql.SqlResult, {"status": "finished", "result_location": " obs://b/u_20261123/r.csv"})
    assert reply.result_location == "obs://b/u_20261123/r.csv"
    assert reply.ended


@pytest.mark.parametrize(("status", "done"), [("SUCCEED", True), ("SUCCEEDED", True), ("FAILED", False)])
def test_a_cancel_reply_says_whether_it_worked(status: str, done: bool) -> None:
    """SUCCEED has no final ED in the documents; both are read."""
    assert read(sql.CancelReply, {"status": status}).done is done


CLUSTER: dict[str, Any] = {
    "clusterId": "7d1c2f52-0c0b-4c8b-9f2e-3b7f6a1e5d44",
    "clusterName": "nightly",
    "clusterState": "running",
    "stageDesc": None,
    "createAt": "1671012003",
    "masterNodeNum": "2",
    "safeMode": 0,
    "componentList": [{"componentName": "Hadoop", "componentDescEn": None}],
    "nodeGroups": [{"groupName": "master_node_default_group", "nodeNum": 2}],
    "tags": "owner=etl",
    "vpcId": "v",
}


def test_a_cluster_is_read_with_or_without_its_envelope() -> None:
    """The tables of two regions list the fields without mentioning the envelope."""
    inside, bare = read(clusters.ClusterReply, {"cluster": CLUSTER}), read(clusters.ClusterReply, CLUSTER)
    assert inside == bare
    cluster = inside.cluster
    assert (cluster.cluster_state, cluster.created_s, cluster.master_node_num) == ("running", 1671012003, 2)
    assert cluster.component_list is not None
    assert cluster.component_list[0].component_name == "Hadoop"
    assert cluster.model_extra == {"vpcId": "v"}


@pytest.mark.parametrize("key", ["isMrsManagerFinish", "mrsManagerFinish", "ismrsManagerFinish"])
def test_the_manager_flag_has_three_spellings(key: str) -> None:
    """SDK, OTC and one sample each spell it in their own way."""
    assert read(clusters.ClusterReply, {"cluster": {**CLUSTER, key: True}}).cluster.manager_installed is True


@pytest.mark.parametrize("total", [1, "1"])
def test_a_cluster_list_counts_in_numbers_or_text(total: object) -> None:
    """The total is a string in three sources and an integer in two."""
    reply = read(clusters.ClusterListReply, {"clusterTotal": total, "clusters": [{**CLUSTER, "tags": [{"key": "k"}]}]})
    assert reply.cluster_total == 1
    assert reply.clusters[0].cluster_name == "nightly"


def test_a_reply_keeps_its_request_id_outside_of_its_fields() -> None:
    """The request id is no part of what MRS said, so equality and dumps ignore it."""
    one, other = (read(sql.CancelReply, {"status": "SUCCEED"}) for _ in range(2))
    before = one.request_id
    one.keep_request_id("r-1")
    assert (before, one.request_id) == (None, "r-1")
    assert one == other
    assert one.model_dump(exclude_none=True) == {"status": "SUCCEED"}


def test_models_do_not_change() -> None:
    """Requests and replies are values."""
    with pytest.raises(pydantic.ValidationError):
        jobs.JobExecution.model_validate(JOB).job_name = "other"  # type: ignore[misc]
    with pytest.raises(pydantic.ValidationError):
        read(sql.CancelReply, {"status": "SUCCEED"}).status = "FAILED"  # type: ignore[misc]
