"""What is refused before it is sent: each documented limit, by an error that names the field and shows no value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.mrs import support

from mrs_relay import errors
from mrs_relay.mrs.operations import registry

_SAMPLES = [
    one for path in sorted((Path(__file__).parent / "samples").glob("*.json")) for one in json.loads(path.read_text())
]
_GONE = object()
_PATH = {"cluster_id": "c", "job_id": "j", "data_source_id": "d", "job_binary_id": "b", "key": "k"}


def _changed(body: Any, place: str, value: object) -> Any:
    """Return the body with another value at a dotted place."""
    name, _, rest = place.partition(".")
    key: Any = int(name) if isinstance(body, list) else name
    copy = list(body) if isinstance(body, list) else dict(body)
    if rest:
        copy[key] = _changed(copy.get(key, {}) if isinstance(copy, dict) else copy[key], rest, value)
    elif value is _GONE:
        del copy[key]
    else:
        copy[key] = value
    return copy


_NODES = [{"group_name": "core_node_analysis_group", "node_num": 400, "node_size": "a"}]
_TAGS = [{"key": f"k{number}"} for number in range(21)]
_PLAN = {"start_time": "8:00", "end_time": "20:00", "min_capacity": 1, "max_capacity": 2}
_SCRIPT = {
    "name": "a",
    "uri": "/a.sh",
    "nodes": ["task"],
    "fail_action": "errorout",
    "action_stage": "after_scale_in",
}
_POLICY = "auto_scaling_policy"

CASES: list[tuple[str, str, object, str]] = [
    # V2 orders
    ("CreateCluster", "cluster_name", "a b", "cluster_name"),
    ("CreateCluster", "cluster_name", "a" * 65, "cluster_name"),
    ("CreateCluster", "cluster_type", "OTHER", "cluster_type"),
    ("CreateCluster", "region", _GONE, "region"),
    ("CreateCluster", "vpc_name", "", "vpc_name"),
    ("CreateCluster", "safe_mode", "safe", "safe_mode"),
    ("CreateCluster", "manager_admin_password", "secret1", "manager_admin_password: must have 8 to 32 characters"),
    ("CreateCluster", "manager_admin_password", "secretsecret", "must mix at least three"),
    ("CreateCluster", "login_mode", "PASSWORD", "login_mode PASSWORD needs node_root_password"),
    ("CreateCluster", "node_keypair_name", _GONE, "login_mode KEYPAIR needs node_keypair_name"),
    ("CreateCluster", "eip_address", "1.2.3.4", "eip_address needs eip_id"),
    ("CreateCluster", "tags", _TAGS, "tags"),
    ("CreateCluster", "tags", [{"key": "a"}, {"key": "a"}], "tags: the key 'a' occurs twice"),
    ("CreateCluster", "node_groups", [], "node_groups"),
    ("CreateCluster", "node_groups.0.node_num", 501, "node_groups.0.node_num"),
    ("CreateCluster", "node_groups.0.group_name", "a-b", "node_groups.0.group_name"),
    ("CreateCluster", "node_groups.0.data_volume", _GONE, "data_volume is needed when data_volume_count is not 0"),
    ("CreateCluster", "node_groups.0.root_volume.size", 9, "node_groups.0.root_volume.size"),
    ("CreateCluster", "node_groups.0.root_volume.type", "TAPE", "node_groups.0.root_volume.type"),
    ("CreateCluster", "node_groups.1.group_name", "master_node_default_group", "occurs twice"),
    ("CreateCluster", "charge_info", {"charge_mode": "prePaid"}, "charge_mode prePaid needs period_num"),
    ("CreateCluster", "steps", [], "steps"),
    ("RunJobFlow", "steps", [], "steps"),
    ("RunJobFlow", "steps.0.job_execution.job_type", "Storm", "steps.0.job_execution.job_type"),
    ("RunJobFlow", "charge_info", {"charge_mode": "prePaid", "period_num": 1}, "RunJobFlow does not take prePaid"),
    # V1.1 orders
    ("CreateClusterV11", "billing_type", 11, "billing_type"),
    ("CreateClusterV11", "component_list", [], "component_list"),
    ("CreateClusterV11", "safe_mode", 2, "safe_mode"),
    ("CreateClusterV11", "login_mode", 0, "login_mode 0 needs cluster_master_secret"),
    ("CreateClusterV11", "node_groups", _GONE, "master_node_num"),
    ("CreateClusterV11", "node_groups", [*_NODES, *_NODES], "800 core and task nodes, MRS takes 500"),
    ("CreateClusterV11", "add_jobs.0.submit_job_once_cluster_run", False, "add_jobs.0.submit_job_once_cluster_run"),
    ("CreateClusterV11", "add_jobs.0.jar_path", _GONE, "jar_path is needed for job_type 1"),
    ("CreateClusterV11", "bootstrap_scripts.0.name", " a", "bootstrap_scripts.0.name"),
    # resizing and scaling
    ("UpdateClusterScaling", "parameters.instances", 0, "parameters.instances"),
    ("UpdateClusterScaling", "parameters.scale_type", "bigger", "parameters.scale_type"),
    ("UpdateClusterScaling", "parameters.server_ids", ["a", "b", "c"], "server_ids: 3 ids for 2 instances"),
    ("CreateScalingPolicy", f"{_POLICY}.min_capacity", 6, "min_capacity must not be above max_capacity"),
    ("CreateScalingPolicy", f"{_POLICY}.max_capacity", 501, f"{_POLICY}.max_capacity"),
    ("CreateScalingPolicy", f"{_POLICY}.resources_plans", [{**_PLAN, "end_time": "8:29"}], "at least 30 minutes after"),
    ("CreateScalingPolicy", f"{_POLICY}.resources_plans", [{**_PLAN, "start_time": "24:00"}], "0:00 to 23:59"),
    ("CreateScalingPolicy", f"{_POLICY}.rules.0.cool_down_minutes", 10_081, "cool_down_minutes"),
    ("CreateScalingPolicy", f"{_POLICY}.rules.0.scaling_adjustment", 0, "scaling_adjustment"),
    ("CreateScalingPolicy", f"{_POLICY}.rules.0.trigger.metric_value", "1.234", "metric_value"),
    ("CreateScalingPolicy", f"{_POLICY}.rules.0.trigger.evaluation_periods", 289, "evaluation_periods"),
    (
        "CreateScalingPolicy",
        f"{_POLICY}.rules.1.name",
        "out-pending",
        "rules: the name 'out-pending' occurs twice",
    ),
    ("CreateScalingPolicy", f"{_POLICY}.exec_scripts.0", _SCRIPT, "fail_action must be continue for"),
    # tags
    ("CreateClusterTag", "tag.key", "", "tag.key"),
    ("CreateClusterTag", "tag.key", "k" * 37, "tag.key"),
    ("CreateClusterTag", "tag.key", "a=b", "tag.key: must not contain ="),
    ("CreateClusterTag", "tag.key", " a", "must not begin or end with a space"),
    ("CreateClusterTag", "tag.value", "v" * 44, "tag.value"),
    ("BatchCreateClusterTags", "action", "replace", "action"),
    ("BatchCreateClusterTags", "tags", [], "tags"),
    ("ListClustersByTags", "limit", 1001, "limit"),
    ("ListClustersByTags", "action", "count", "limit and offset belong to action filter"),
    ("ListClustersByTags", "tags_any", [{"key": "a"}, {"key": "a"}], "tags_any: the key 'a' occurs twice"),
    # data sources and binaries
    ("CreateDataSource", "name", "a.b", "name"),
    ("CreateDataSource", "name", "n" * 81, "name"),
    ("CreateDataSource", "url", "data", "url must start with / for type hdfs"),
    ("CreateDataSource", "url", "/" * 256, "url"),
    ("CreateDataSource", "description", "d" * 65_536, "description"),
    ("UpdateDataSource", "type", _GONE, "type"),
    ("CreateJobBinary", "url", "http://a", "url"),
    ("UpdateJobBinary", "description", _GONE, "description"),
    # V1.1 jobs
    ("CreateAndExecuteJob", "job_type", 8, "job_type"),
    ("CreateAndExecuteJob", "job_name", "a.b", "job_name"),
    ("CreateAndExecuteJob", "jar_path", "s3a://b/a.sh", "jar_path must end with .jar"),
    ("CreateAndExecuteJob", "input", "/a;b", "input: must not contain ;"),
    ("CreateAndExecuteJob", "output", "/" * 1024, "output"),
    ("CreateAndExecuteJob", "arguments", "a" * 150_001, "arguments"),
    ("CreateAndExecuteJob", "job_type", 3, "hive_script_path is needed for job_type 3"),
    ("CreateAndExecuteJob", "job_type", 5, "file_action: import or export is needed"),
    ("CreateJob", "libs", [], "libs must not be empty for type MapReduce"),
    ("CreateJob", "type", "Hive", "mains must not be empty for type Hive"),
    ("UpdateJob", "type", "hql", "type"),
    ("ExecuteJob", "input_id", _GONE, "input_id"),
    ("ExecuteJob", "job_configs", _GONE, "job_configs"),
]


@pytest.mark.parametrize(
    ("name", "place", "value", "says"), CASES, ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)]
)
async def test_a_request_over_a_limit_is_not_sent(name: str, place: str, value: object, says: str) -> None:
    """The error names the operation and the field, and nothing has left."""
    sample = next(one for one in _SAMPLES if one["operation"] == name and one["kind"] == "request")
    mrs, door = support.client_with()
    wanted = registry.named(name)
    path = {field: _PATH[field] for field in wanted.fields}
    with pytest.raises(errors.MrsRefused) as caught:
        await mrs.call(wanted, path=path, body=_changed(sample["body"], place, value))
    assert f"{name} was not sent: body: " in caught.value.message
    assert says in caught.value.message
    assert "secret" not in caught.value.message.replace("cluster_master_secret", "")
    assert not door.sent


@pytest.mark.parametrize(
    ("name", "query", "says"),
    [
        ("ListHosts", {"pageSize": 0}, "pageSize"),
        ("ListHosts", {"currentPage": 0}, "currentPage"),
        ("ListExecuteJob", {}, "cluster_id"),
        ("ListExecuteJob", {"cluster_id": "c", "page_size": 101}, "page_size"),
        ("ListExecuteJob", {"cluster_id": "c", "state": 7}, "state"),
        ("ListJobs", {"limit": 0}, "limit"),
        ("ListJobs", {"limit": 1_073_741_823}, "limit"),
        ("ListDataSources", {"sort_by": "name desc"}, "sort_by"),
        ("ListJobBinaries", {"page": 2}, "page"),
    ],
)
async def test_a_query_over_a_limit_is_not_sent(name: str, query: dict[str, object], says: str) -> None:
    """Queries are checked like bodies, the missing ones too."""
    mrs, door = support.client_with()
    wanted = registry.named(name)
    path = {field: _PATH[field] for field in wanted.fields}
    with pytest.raises(errors.MrsRefused, match=f"{name} was not sent: query: .*{says}"):
        await mrs.call(wanted, path=path, query=query or {"id": "x"})
    assert not door.sent


def test_passwords_are_hidden_in_the_order_and_sent_in_the_body() -> None:
    """They are secret texts: `repr` has stars, and only the serializer for MRS shows what they hold."""
    sample = next(one for one in _SAMPLES if one["operation"] == "RunJobFlow" and one["kind"] == "request")
    model = registry.named("RunJobFlow").body
    assert model is not None
    order = model.model_validate(sample["body"])
    assert "Example@2026" not in repr(order)
    assert json.loads(order.model_dump_json(exclude_none=True))["node_root_password"] == "Example@2026y"  # noqa: S105 - a sample
