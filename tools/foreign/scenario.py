"""
What each client is asked to do, as data: calls in order, what they save for later, and what their replies must say.

Values of the form `$name` stand for what an earlier step has saved. Paths into replies are dotted; a number is a place
in a list, and a name is that of the API's JSON, whatever the client calls it inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

APIS = frozenset({"v1", "v2", "v4", "v4-host", "obs-host"})
"""What may stand before a call: the version of MRS's API, or the signature for OBS and where the bucket stands."""

CLUSTER = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"


@dataclass(frozen=True, slots=True)
class Step:
    """
    One call.

    Attributes:
        call: the client's method; one of `APIS` and a dot before it choose the API.
        fields: its arguments by name.
        values: its arguments by place.
        save: names for later steps, with the paths of their values in the reply.
        expect: paths with the values that they must have.
        until: repeat the call until the reply is as expected.
        local: the client answers it without the emulator.
    """

    call: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[Any, ...] = ()
    save: Mapping[str, str] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    until: bool = False
    local: bool = False


_SIZE = "c6.4xlarge.4.linux.mrs"
_DISK = {"type": "SAS", "size": 600}
_JOB = {"job_type": "SparkSubmit", "job_name": "etl", "arguments": ["--class", "A", "a.jar"], "properties": {"a": "b"}}

_OLD_CLUSTER = {
    "cluster_version": "MRS 3.1.2-LTS.3",
    "cluster_name": "old",
    "billing_type": 12,
    "data_center": "eu-west-0",
    "available_zone_id": "eu-west-0a",
    "vpc": "vpc-data",
    "vpc_id": "0b8d6f1e",
    "subnet_id": "5c1f7a2d",
    "subnet_name": "subnet-data",
    "safe_mode": 0,
    "component_list": [{"component_name": one} for one in ("Hadoop", "Spark2x", "Hive")],
    "node_groups": [
        {"group_name": "master_node_default_group", "node_num": 2, "node_size": _SIZE},
        {"group_name": "core_node_analysis_group", "node_num": 3, "node_size": _SIZE},
    ],
    "tags": [{"key": "owner", "value": "etl"}],
}
_NEW_CLUSTER = {
    "cluster_version": "MRS 3.1.0",
    "cluster_type": "ANALYSIS",
    "availability_zone": "cn-north-4a",
    "vpc_name": "vpc-data",
    "subnet_id": "5c1f7a2d",
    "components": "Hadoop,Spark2x,Hive",
    "safe_mode": "SIMPLE",
    "manager_admin_password": "Example@2026x",
    "login_mode": "KEYPAIR",
    "node_keypair_name": "kp-data",
    "node_groups": [
        {
            "group_name": name,
            "node_num": number,
            "node_size": _SIZE,
            "root_volume": _DISK,
            "data_volume": _DISK,
            "data_volume_count": 1,
        }
        for name, number in (("master_node_default_group", 2), ("core_node_analysis_group", 3))
    ],
}
_POLICY = {
    "auto_scaling_enable": True,
    "min_capacity": 1,
    "max_capacity": 4,
    "rules": [
        {
            "name": "out",
            "description": "",
            "adjustment_type": "scale_out",
            "cool_down_minutes": 10,
            "scaling_adjustment": 1,
            "trigger": {
                "metric_name": "YARNAppPending",
                "metric_value": "5",
                "comparison_operator": "GTOE",
                "evaluation_periods": 2,
            },
        }
    ],
}
_AT = {"cluster_id": CLUSTER}
_OLD = {"cluster_id": "$old"}


def _tag(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


def _state(cluster: str, state: str) -> Step:
    return Step("v1.ShowClusterDetails", {"cluster_id": cluster}, expect={"cluster.clusterState": state}, until=True)


def _tags(fields: Mapping[str, Any], **wanted: str) -> Step:
    return Step("v1.ListClusterTags", fields, expect={"tags": [_tag(*pair) for pair in wanted.items()]})


_OLD_API = (
    Step("v1.CreateCluster", {"body": _OLD_CLUSTER}, save={"old": "cluster_id"}, expect={"result": True, "msg": ""}),
    _state("$old", "running"),
    Step("v1.ListClusters", {"tags": "owner*etl"}, expect={"clusterTotal": 1, "clusters.0.clusterName": "old"}),
    Step(
        "v1.UpdateClusterScaling",
        {
            **_OLD,
            "body": {"parameters": {"scale_type": "scale_out", "node_id": "node_orderadd", "instances": 2}},
        },
        expect={"result": "succeeded"},
    ),
    _state("$old", "running"),
    Step("v1.ListHosts", {**_OLD, "pageSize": "5"}, expect={"total": 7, "hosts.0.type": "Master"}),
    Step(
        "v1.CreateScalingPolicy",
        {**_OLD, "body": {"node_group": "task_node_default_group", "auto_scaling_policy": _POLICY}},
        expect={"result": "succeeded"},
    ),
    Step("v1.CreateClusterTag", {**_OLD, "body": {"tag": _tag("größe", "1 %")}}),
    Step("v1.BatchCreateClusterTags", {**_OLD, "body": {"action": "create", "tags": [_tag("tier", "gold")]}}),
    _tags(_OLD, owner="etl", größe="1 %", tier="gold"),
    Step("v1.DeleteClusterTag", {**_OLD, "key": "größe"}),
    Step("v1.BatchDeleteClusterTags", {**_OLD, "body": {"action": "delete", "tags": [_tag("tier", "gold")]}}),
    _tags(_OLD, owner="etl"),
    Step("v1.ListAllTags", expect={"tags": [{"key": "owner", "values": ["etl"]}]}),
    Step(
        "v1.ListClustersByTags",
        {"body": {"action": "filter", "limit": 10, "offset": 0, "tags": [{"key": "owner", "values": ["etl"]}]}},
        expect={"total_count": 1},
    ),
    Step(
        "v1.CreateAndExecuteJob",
        {"body": {"job_type": 1, "job_name": "old", **_AT, "jar_path": "s3a://bucket/x.jar"}},
    ),
    Step(
        "v1.ListExecuteJob",
        {**_AT, "page_size": "10", "current_page": "1"},
        save={"run": "job_executions.0.id"},
        expect={"totalRecord": 1, "job_executions.0.job_name": "old"},
    ),
    Step("v1.ShowJobExes", {"job_exe_id": "$run"}, expect={"job_execution.job_final_status": 2}, until=True),
    Step("v1.DeleteJobExecution", {"job_execution_id": "$run"}),
    Step("v1.DeleteCluster", _OLD),
    _state("$old", "terminated"),
)
_NEW_API = (
    Step(
        "v2.CreateCluster",
        {"body": {**_NEW_CLUSTER, "cluster_name": "new", "region": "cn-north-4"}},
        save={"new": "cluster_id"},
    ),
    _state("$new", "running"),
    Step(
        "v2.RunJobFlow",
        {
            "body": {
                **_NEW_CLUSTER,
                "cluster_name": "flow",
                "region": "cn-north-4",
                "steps": [{"job_execution": _JOB}],
                "delete_when_no_steps": True,
            }
        },
        save={"flow": "cluster_id"},
    ),
    _state("$flow", "terminated"),
    Step("v2.CreateExecuteJob", {**_AT, "body": _JOB}, save={"job": "job_submit_result.job_id"}),
    Step(
        "v2.ShowSingleJobExe",
        {**_AT, "job_execution_id": "$job"},
        expect={
            "job_detail.job_state": "FINISHED",
            "job_detail.job_result": "SUCCEEDED",
            "job_detail.properties": "{a=b}",
        },
        until=True,
    ),
    Step("v2.ShowJobExeListNew", {**_AT, "job_name": "etl"}, expect={"total_record": 1, "job_list.0.job_id": "$job"}),
    Step("v2.BatchDeleteJobs", {**_AT, "body": {"job_id_list": ["$job"]}}),
    Step(
        "v2.CreateExecuteJob",
        {**_AT, "body": {**_JOB, "job_name": "stuck"}},
        save={"stuck": "job_submit_result.job_id"},
    ),
    Step("v2.StopJob", {**_AT, "job_execution_id": "$stuck"}),
    Step(
        "v2.ShowSingleJobExe",
        {**_AT, "job_execution_id": "$stuck"},
        expect={"job_detail.job_result": "KILLED"},
        until=True,
    ),
    Step(
        "v2.CreateExecuteJob",
        {**_AT, "body": {"job_type": "SparkSql", "job_name": "rows", "arguments": ["SELECT 7 AS n"]}},
        save={"rows": "job_submit_result.job_id"},
    ),
    Step(
        "v2.ShowSingleJobExe",
        {**_AT, "job_execution_id": "$rows"},
        expect={"job_detail.job_state": "FINISHED"},
        until=True,
    ),
    Step("v2.ShowSqlResultWithJob", {**_AT, "job_execution_id": "$rows"}, expect={"sql_results.0.0.n": 7}),
    Step(
        "v2.ExecuteSql",
        {**_AT, "body": {"sql_type": "presto", "sql_content": "SELECT 7 AS n", "database": "default"}},
        save={"statement": "id"},
    ),
    Step("v2.ShowSqlResult", {**_AT, "sql_id": "$statement"}, expect={"status": "FINISHED"}, until=True),
    Step("v2.CancelSql", {**_AT, "sql_id": "$statement"}, expect={"status": "SUCCEED"}),
)

VENDOR_SDK = (*_OLD_API, *_NEW_API)
"""All that the vendor's SDKs of today have of the API overview, the same for each language."""


def _rows(noun: str, plural: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Step, ...]:
    """Play a kind of rows in otcextensions: created, listed, read, found, changed and deleted."""
    return (
        Step(f"create_{noun}", first, save={noun: "id"}, expect={"name": first["name"]}),
        Step(plural, expect={"0.name": first["name"]}),
        Step(f"get_{noun}", values=(f"${noun}",), expect={"name": first["name"]}),
        Step(f"find_{noun}", values=(first["name"],), expect={"id": f"${noun}"}),
        Step(f"update_{noun}", second, (f"${noun}",), expect={"name": second["name"]}),
        Step(f"delete_{noun}", values=(f"${noun}",)),
        Step(plural, expect={"": []}),
    )


_LIBRARY = {"url": "/libs/etl.jar", "description": "first", "is_public": False, "is_protected": False}
OTC = (
    Step("clusters", expect={"0.name": "emulator"}),
    Step("get_cluster", values=(CLUSTER,), expect={"status": "running"}),
    Step("find_cluster", values=("emulator",), expect={"id": CLUSTER}),
    Step("hosts", {"cluster_id": CLUSTER}, expect={"0.type": "Master"}),
    Step(
        "update_cluster",
        {"parameters": {"scale_type": "scale_out", "node_id": "node_orderadd", "instances": 1}},
        (CLUSTER,),
    ),
    Step("get_cluster", values=(CLUSTER,), expect={"status": "running", "core_num": "4"}, until=True),
    *_rows(
        "datasource",
        "datasources",
        {"name": "in", "type": "hdfs", "url": "/data/in", "description": ""},
        {"name": "raw", "url": "/data/raw"},
    ),
    *_rows("jobbinary", "jobbinaries", {"name": "etl", **_LIBRARY}, {"name": "etl2", **_LIBRARY}),
    Step("create_jobbinary", {"name": "lib", **_LIBRARY}, save={"library": "id"}),
    *_rows(
        "job",
        "jobs",
        {"name": "nightly", "type": "MapReduce", "libs": ["$library"], "mains": [], "description": "sums"},
        {"name": "hourly"},
    ),
    Step("delete_cluster", values=(CLUSTER,)),
)
"""All that otcextensions has of MRS."""

_RUN = {"configs": {"configs": {}, "args": ["sum"]}, "is_public": False, "is_protected": False}
SAHARA = (
    Step("data_sources.create", values=("in", "", "hdfs", "/data/in"), save={"in": "id"}, expect={"type": "hdfs"}),
    Step("data_sources.create", values=("out", "", "hdfs", "/data/out"), save={"out": "id"}),
    Step("data_sources.update", values=("$in", {"name": "raw", "type": "hdfs", "url": "/data/raw"})),
    Step("data_sources.get", values=("$in",), expect={"url": "/data/raw"}),
    Step("job_binaries.create", {"is_public": False, "is_protected": False}, ("etl", "/libs/a.jar", ""), {"lib": "id"}),
    Step("job_binaries.update", values=("$lib", {"description": "second"})),
    Step("job_binaries.list", expect={"0.description": "second"}),
    Step("job_binaries.get", values=("$lib",), expect={"name": "etl"}),
    Step(
        "jobs.create",
        {"libs": ["$lib"], "mains": [], "description": "sums"},
        ("nightly", "MapReduce"),
        {"job": "id"},
        {"type": "MapReduce"},
    ),
    Step("jobs.update", {"name": "hourly"}, ("$job",)),
    Step("jobs.list", expect={"0.name": "hourly"}),
    Step("jobs.get", values=("$job",), expect={"description": "sums"}),
    Step("job_executions.create", _RUN, ("$job", CLUSTER, "$in", "$out"), {"run": "id"}, {"job_id": "$job"}),
    Step("job_executions.list", expect={"0.id": "$run"}),
    Step("job_executions.get", values=("$run",), expect={"job_id": "$job"}),
    Step("job_executions.delete", values=("$run",)),
    Step("jobs.delete", values=("$job",)),
    Step("job_binaries.delete", values=("$lib",)),
    Step("data_sources.delete", values=("$in",)),
    Step("data_sources.list", expect={"0.name": "out"}),
)
"""Stored jobs of V1.1: what Sahara's client has, and MRS has inherited."""

_AIRFLOW_JOB = {"cluster_id": CLUSTER, "job_type": "SparkSubmit", "arguments": ["a.jar"], "properties": {"a": "b"}}
_AIRFLOW_STEPS = [_JOB]
AIRFLOW = (
    Step("hook.create_cluster", {**_NEW_CLUSTER, "cluster_name": "one"}, save={"one": "cluster_id"}),
    Step("MRSCreateClusterTrigger", {"cluster_id": "$one", "poll_interval": 1}, expect={"status": "success"}),
    Step("hook.show_cluster_details", {"cluster_id": "$one"}, expect={"cluster.clusterState": "running"}),
    Step("MRSShowClusterStateSensor", {"cluster_id": "$one"}, expect={"": True}),
    Step("hook.delete_cluster", {"cluster_id": "$one"}),
    Step("MRSCreateClusterOperator", {**_NEW_CLUSTER, "cluster_name": "two"}, save={"two": "cluster_id"}),
    Step("MRSShowClusterStateSensor", {"cluster_id": "$two"}, expect={"": True}, until=True),
    Step("MRSDeleteClusterOperator", {"cluster_id": "$two"}),
    Step("hook.create_cluster_run_job", {**_NEW_CLUSTER, "cluster_name": "three", "steps": _AIRFLOW_STEPS}),
    Step("MRSCreateClusterRunJobOperator", {**_NEW_CLUSTER, "cluster_name": "four", "steps": _AIRFLOW_STEPS}),
    Step("hook.create_execute_job", {**_AIRFLOW_JOB, "job_name": "stuck"}, save={"stuck": "job_submit_result.job_id"}),
    Step("hook.stop_job", {"cluster_id": CLUSTER, "job_id": "$stuck"}),
    Step("MRSCreateExecuteJobOperator", {**_AIRFLOW_JOB, "job_name": "etl"}, save={"job": "job_id"}),
    Step(
        "MRSCreateExecuteJobTrigger",
        {"cluster_id": CLUSTER, "job_id": "$job", "poll_interval": 1},
        expect={"status": "success"},
    ),
    Step(
        "hook.show_single_job_exe",
        {"cluster_id": CLUSTER, "job_id": "$job"},
        expect={"job_detail.job_state": "FINISHED"},
    ),
    Step("MRSShowJobResultSensor", {"cluster_id": CLUSTER, "job_id": "$job"}, expect={"": True}),
)
"""All hooks, operators, sensors and triggers for MRS of Airflow's provider."""
