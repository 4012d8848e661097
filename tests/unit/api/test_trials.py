"""What would become of a request that is not sent: its faults, or the call to MRS."""

from __future__ import annotations

from typing import Any

from tests.support import cells, web_role

_JOB: dict[str, Any] = {
    "type": "mrs.job.submit",
    "data": {
        "cluster": "c-1",
        "job": {
            "job_type": "SparkSubmit",
            "job_name": "nightly",
            "arguments": ["--class", "A", "x.jar"],
            "properties": {"fs.obs.secret.key": "s3cret"},
        },
    },
}


async def test_all_faults_of_a_request_are_told_at_once_and_nothing_is_sent() -> None:
    """With their fields, for a person who corrects them."""
    stage = web_role.Stage()
    wrong = {"type": "mrs.sql.submit", "data": {"cluster": "c-1", "engine": "spar", "more": 1, "priority": 11}}

    async with web_role.role(stage) as client:
        for path in ("/v1/requests/validate", "/v1/requests/dry-run"):
            with cells.cell(path):
                problem, _ = await client.post(path, wrong, 422)
                assert {one["field"] for one in problem["errors"]} == {
                    "data.engine",
                    "data.statement",
                    "data.more",
                    "data.priority",
                }
                assert "(and 3 more)" in problem["detail"]
        found, _ = await client.post("/v1/requests/validate", {**_JOB, "source": "/billing"}, 200)
        assert found == {"type": "mrs.job.submit", "source": "/billing", "tenant": ""}

    assert not stage.broker.committed("mrs.requests")


async def test_a_dry_run_shows_the_call_without_its_secrets() -> None:
    """The very body, with the name that the job of this id would have."""
    async with web_role.role(web_role.Stage()) as client:
        found, _ = await client.post("/v1/requests/dry-run", _JOB, 200, {"Idempotency-Key": "r-1"})
        again, _ = await client.post("/v1/requests/dry-run", {**_JOB, "id": "r-1"}, 200)
    assert found == again
    assert found["accepted"] is True
    call = found["call"]
    assert (call["operation"], call["method"]) == ("CreateExecuteJob", "POST")
    assert call["path"] == "/v2/PROJECT/clusters/c-1/job-executions"
    assert call["body"]["arguments"] == ["--class", "A", "x.jar"]
    assert call["body"]["job_name"].startswith("nightly-")
    assert call["body"]["properties"] == {"fs.obs.secret.key": "***"}


_KINDS: list[tuple[str, dict[str, Any], str]] = [
    ("mrs.sql.submit", {"cluster": "c-1", "engine": "presto", "statement": "select 1"}, "ExecuteSql"),
    ("mrs.sql.submit", {"cluster": {"name": "etl"}, "engine": "hive", "statement": "select 1"}, "CreateExecuteJob"),
    ("mrs.call", {"operation": "ShowClusterDetails", "path": {"cluster_id": "c-1"}}, "ShowClusterDetails"),
    ("mrs.cluster.delete", {"cluster": "c-1"}, "DeleteCluster"),
    ("mrs.job.delete", {"cluster": "c-1", "job_ids": ["j-1"]}, "BatchDeleteJobs"),
    (
        "mrs.cluster.resize",
        {
            "cluster": "c-1",
            "parameters": {"order_id": "", "scale_type": "scale_out", "node_id": "node_orderadd", "instances": 1},
        },
        "UpdateClusterScaling",
    ),
]


async def test_every_kind_of_work_can_be_tried() -> None:
    """Also where the relay reads from MRS before it writes, or chooses a cluster first."""
    async with web_role.role(web_role.Stage()) as client:
        for kind, data, operation in _KINDS:
            with cells.cell(kind, data):
                found, _ = await client.post("/v1/requests/dry-run", {"type": kind, "data": data}, 200)
                assert found["accepted"], found
                assert found["call"]["operation"] == operation
                assert found["chooses_cluster"] is isinstance(data.get("cluster"), dict)


async def test_the_rule_that_refuses_a_request_is_named() -> None:
    """It is the tenant's, so the relay alone would say it, later."""
    tenants = {"etl": {"requests": "etl.requests", "allow": {"clusters": ["c-9"]}, "limits": {"running": 3}}}
    stage = web_role.Stage()
    stage.broker.create_topic("etl.requests", 1, {})

    async with web_role.role(stage, web_role.chosen(tenants=tenants)) as client:
        found, _ = await client.post("/v1/requests/dry-run", {**_JOB, "tenant": "etl"}, 200)
        assert "tenants.etl.allow.clusters" in found["reason"]["message"]
        assert (found["accepted"], found["reason"]["class"], found["reason"]["code"]) == (
            False,
            "not_allowed",
            "cluster_not_allowed",
        )

        allowed = {**_JOB["data"], "cluster": "c-9", "not_before": "2030-01-01T00:00:00Z"}
        found, _ = await client.post("/v1/requests/dry-run", {**_JOB, "tenant": "etl", "data": allowed}, 200)
        assert (found["accepted"], found["limits"], found["not_before"]) == (
            True,
            {"running": 3},
            "2030-01-01T00:00:00.000Z",
        )


async def test_a_moment_that_is_no_time_in_utc_can_be_tried() -> None:
    """The relay accepts it, as any RFC 3339 text."""
    async with web_role.role(web_role.Stage()) as client:
        for moment in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"):
            tried = {**_JOB, "data": {**_JOB["data"], "not_before": moment}}
            found, _ = await client.post("/v1/requests/dry-run", tried, 200)
            assert found["accepted"]
            assert found["not_before"].endswith("(not a time in milliseconds)")
