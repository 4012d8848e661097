"""Ordering clusters: V2's CreateCluster, and both run-job-flows; what is taken, and what is refused with which code."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.emulator import cluster_requests, http_client

URLS = {"v11": cluster_requests.FLOW, "v2": cluster_requests.V2_CLUSTERS, "flow": cluster_requests.V2_FLOW}
TASKS = {"data_volume_type": "SAS", "data_volume_count": 1, "data_volume_size": 200}
FLAT: dict[str, Any] = {
    "node_groups": None,
    "master_node_num": 2,
    "master_node_size": "m.large",
    "core_node_num": 3,
    "core_node_size": "c.large",
    "core_data_volume_count": 2,
    "task_node_groups": [{"node_num": 1, "node_size": "t.large", **TASKS}],
}
JOB = {"job_type": 1, "job_name": "wc", "jar_path": "s3a://b/wc.jar", "submit_job_once_cluster_run": True}


async def test_v11_order_starts_a_cluster_and_shows_what_was_ordered() -> None:
    """The reply has an id, result true and no message; details have the order's members under their own names."""
    client = http_client.create()
    script = {"name": "tune os", "uri": "s3a://b/t.sh", "nodes": ["master"], "fail_action": "continue"}
    tags = [{"key": "owner", "value": "etl"}, {"key": "run", "value": "7"}]
    body = cluster_requests.v11(
        tags=tags, bootstrap_scripts=[script], security_groups_id="sg-1", enterprise_project_id="ep-1"
    )
    reply = await client.ask("POST", cluster_requests.FLOW, body)

    assert (reply.status, reply.json()["result"], reply.json()["msg"]) == (200, True, "")

    found = await cluster_requests.details(
        http_client.Client(client.emulator, client.clock, reply.json()["cluster_id"])
    )

    assert (found["clusterName"], found["clusterState"], found["stageDesc"]) == (
        "etl",
        "starting",
        "Verifying cluster parameters",
    )
    assert (found["masterNodeNum"], found["coreNodeNum"], found["totalNodeNum"]) == ("2", "4", "6")
    assert (found["vpc"], found["vpcId"], found["dataCenter"]) == ("vpc-data", "0b8d6f1e", "eu-west-0")
    assert (found["tags"], found["securityGroupsId"], found["slaveSecurityGroupsId"]) == (
        "owner=etl,run=7",
        "sg-1",
        "sg-1",
    )
    assert found["bootstrapScripts"][0]["name"] == "tune os"
    assert (found["createAt"], found["billingType"], found["enterpriseProjectId"]) == (
        str(http_client.START_MS // 1000),
        "Metered",
        "ep-1",
    )
    assert [one["componentName"] for one in found["componentList"]] == ["Hadoop", "Spark2x", "Hive"]


async def test_v11_order_with_flat_members_makes_the_same_groups() -> None:
    """Older clients give numbers and flavors for each role instead of node groups."""
    client = await cluster_requests.created(http_client.create(), cluster_requests.v11(**FLAT))
    found = await cluster_requests.details(client)
    assert [(one["groupName"], one["nodeNum"], one["nodeSize"]) for one in found["nodeGroups"]] == [
        ("master_node_default_group", 2, "m.large"),
        ("core_node_analysis_group", 3, "c.large"),
        ("task_node_analysis_group", 1, "t.large"),
    ]
    assert (found["coreDataVolumeCount"], found["taskNodeGroups"][0]["dataVolumeSize"]) == (2, 200)


async def test_numbers_and_booleans_may_come_as_strings() -> None:
    """Published examples send them so."""
    body = cluster_requests.v11(
        billing_type="12", safe_mode="0", add_jobs=[{**JOB, "submit_job_once_cluster_run": "true"}]
    )
    await cluster_requests.created(http_client.create(), body)


async def test_v2_order_starts_a_cluster() -> None:
    """The id is all the reply has; passwords are nowhere to be read."""
    client = http_client.create()
    reply = await client.ask("POST", cluster_requests.V2_CLUSTERS, cluster_requests.v2(safe_mode="KERBEROS"))
    assert (reply.status, list(reply.json())) == (200, ["cluster_id"])
    shown = await client.ask("GET", f"{cluster_requests.INFOS}/{reply.json()['cluster_id']}")
    found = shown.json()["cluster"]
    assert (found["safeMode"], found["clusterType"], found["azName"]) == (1, 0, "cn-north-4a")
    assert b"Example@2026x" not in shown.body


async def test_prepaid_order_gets_an_order_id_and_cannot_be_deleted_or_resized() -> None:
    """Clusters paid by the month are cancelled elsewhere: 12000024 and 12000065."""
    body = cluster_requests.v2(charge_info={"charge_mode": "prePaid", "period_type": "month", "period_num": 1})
    client = http_client.create()
    reply = await client.ask("POST", cluster_requests.V2_CLUSTERS, body)
    assert reply.json()["order_id"]
    client.cluster = reply.json()["cluster_id"]
    client.clock.pass_s(5)
    assert http_client.code(await cluster_requests.delete(client)) == "12000024"
    assert http_client.code(await cluster_requests.resize(client)) == "12000065"


async def test_second_order_with_a_name_in_use_is_12000043() -> None:
    """Names are unique over all three operations; names of failed and terminated clusters are free again."""
    client = http_client.create()
    first = await cluster_requests.created(client)
    for url, body in (
        (cluster_requests.FLOW, cluster_requests.v11()),
        (cluster_requests.V2_CLUSTERS, cluster_requests.v2()),
    ):
        assert http_client.code(await client.ask("POST", url, body)) == "12000043"
    client.clock.pass_s(5)
    await cluster_requests.delete(first)
    assert http_client.code(await client.ask("POST", cluster_requests.FLOW, cluster_requests.v11())) == "12000043"
    client.clock.pass_s(2)
    await cluster_requests.created(client)


async def test_names_stay_taken_when_the_setting_says_so() -> None:
    """Whether names are freed is not documented."""
    client = http_client.create(cluster_rules={"names_freed": False})
    await cluster_requests.created(client, cluster_requests.v11("will-fail"))
    client.clock.pass_s(5)
    assert (
        http_client.code(await client.ask("POST", cluster_requests.FLOW, cluster_requests.v11("will-fail")))
        == "12000043"
    )


def groups(**changes: object) -> list[dict[str, Any]]:
    """Return v2's node groups with changes to the Core group."""
    master, core = cluster_requests.v2()["node_groups"]
    return [master, {**core, **changes}]


@pytest.mark.parametrize(
    ("api", "changes", "expected"),
    [
        ("v11", {"cluster_name": None}, "12000002"),
        ("v11", {"cluster_name": "no spaces please"}, "12000002"),
        ("v11", {"cluster_version": None}, "12000002"),
        ("v11", {"cluster_version": "MRS three"}, "12000093"),
        ("v11", {"billing_type": None}, "12000002"),
        ("v11", {"billing_type": 11}, "12000053"),
        ("v11", {"vpc": None}, "12000002"),
        ("v11", {"vpc": None, "vpc_id": None}, "12000209"),
        ("v11", {"subnet_id": None}, "12000210"),
        ("v11", {"safe_mode": 2}, "12000002"),
        ("v11", {"cluster_type": 2}, "12000002"),
        ("v11", {"component_list": []}, "12000002"),
        ("v11", {"component_list": "Hadoop"}, "12000002"),
        ("v11", {"cluster_admin_secret": "short"}, "12000002"),
        ("v11", {"node_groups": [cluster_requests.node_group("core_node_analysis_group", 3)]}, "12000002"),
        ("v11", {"node_groups": [cluster_requests.node_group("my_group", 3)]}, "12000002"),
        ("v11", {"node_groups": None}, "12000002"),
        ("v11", {**FLAT, "master_node_num": 1}, "12000002"),
        ("v11", {**FLAT, "core_node_num": 500}, "12000028"),
        ("v11", {**FLAT, "core_data_volume_size": 99}, "12000002"),
        ("v11", {"tags": [{"key": f"k{one}", "value": ""} for one in range(11)]}, "12005001"),
        ("v11", {"tags": [{"key": "a=b", "value": ""}]}, "12005002"),
        ("v11", {"tags": [{"key": "a", "value": ""}] * 2}, "12000002"),
        (
            "v11",
            {"bootstrap_scripts": [{"name": "x", "uri": "x.sh", "nodes": [], "fail_action": "continue"}]},
            "12000002",
        ),
        ("v11", {"add_jobs": [JOB, JOB]}, "12000002"),
        ("v11", {"add_jobs": [{**JOB, "submit_job_once_cluster_run": False}]}, "12000002"),
        ("v11", {"add_jobs": [{**JOB, "job_type": 5}]}, "12000054"),
        ("v11", {"add_jobs": [{**JOB, "job_type": 7}]}, "12000054"),
        ("v11", {"add_jobs": [{**JOB, "jar_path": ""}]}, "12000081"),
        ("v11", {"add_jobs": [{**JOB, "job_type": 3}]}, "12000114"),
        ("v2", {"region": None}, "12000002"),
        ("v2", {"subnet_id": None}, "12000210"),
        ("v2", {"cluster_type": "analysis"}, "12000002"),
        ("v2", {"login_mode": "PASSWORD"}, "12000002"),
        ("v2", {"manager_admin_password": "alllowercase"}, "12000002"),
        ("v2", {"cluster_version": "3.1.0"}, "12000093"),
        ("v2", {"cluster_type": "MIXED"}, "12000002"),
        ("v2", {"cluster_type": "CUSTOM"}, "12000002"),
        ("v2", {"node_groups": groups(data_volume_count=1, data_volume=None)}, "12000002"),
        ("v2", {"node_groups": groups(data_volume={"type": "SAS", "size": 9})}, "12000002"),
        ("v2", {"node_groups": groups(data_volume={"type": "TAPE", "size": 90})}, "12000002"),
        ("v2", {"node_groups": groups(group_name="node_group_1")}, "12000002"),
        ("v2", {"node_groups": [*groups(node_num=400), *groups(node_num=101)[1:]]}, "12000002"),
        ("v2", {"charge_info": {"charge_mode": "prePaid"}}, "12000002"),
        ("v2", {"charge_info": {"charge_mode": "prePaid", "period_type": "year", "period_num": 4}}, "12000002"),
        ("v2", {"eip_address": "1.2.3.4"}, "12000002"),
        ("flow", {}, "12000002"),
        ("flow", {"steps": [{}]}, "12000002"),
        ("flow", {"steps": [cluster_requests.step("bad name")]}, "12000002"),
        ("flow", {"steps": [cluster_requests.step("q", "SparkSql")]}, "0165"),
        ("flow", {"steps": [cluster_requests.step("f", "Flink")]}, "0169"),
        ("flow", {"steps": [cluster_requests.step("f", "SparkSubmit", "emulator.outcome=maybe")]}, "12000002"),
        ("flow", {"steps": [], "charge_info": {"charge_mode": "prePaid", "period_num": 1}}, "12000053"),
    ],
)
async def test_wrong_order_is_refused_with_the_code_of_its_fault(
    api: str, changes: dict[str, Any], expected: str
) -> None:
    """A refused order makes no cluster."""
    client = http_client.create()
    body = cluster_requests.v11(**changes) if api == "v11" else cluster_requests.v2(**changes)
    reply = await client.ask("POST", URLS[api], body)
    assert (reply.status, http_client.code(reply)) == (400, expected)
    assert (await client.ask("GET", cluster_requests.INFOS)).json()["clusterTotal"] == 1


async def test_message_of_a_wrong_member_names_it_by_its_path() -> None:
    """Arrays are counted from 0."""
    body = cluster_requests.v2(node_groups=groups(data_volume={"type": "SAS", "size": "huge"}))
    reply = await http_client.create().ask("POST", cluster_requests.V2_CLUSTERS, body)
    assert "node_groups[1].data_volume.size must be an integer" in reply.json()["error_msg"]


async def test_flavors_and_versions_that_are_not_on_offer_are_refused() -> None:
    """12000048 and 12000093, where the settings say what is on offer."""
    client = http_client.create(cluster_rules={"flavors": ["m.large"], "versions": ["MRS 3.1.0"]})
    assert http_client.code(await client.ask("POST", cluster_requests.FLOW, cluster_requests.v11())) == "12000093"
    body = cluster_requests.v11(cluster_version="MRS 3.1.0")
    assert http_client.code(await client.ask("POST", cluster_requests.FLOW, body)) == "12000048"


async def test_custom_cluster_has_groups_of_its_own() -> None:
    """Roles are assigned to each group, and the cluster cannot be resized here: 12000054."""
    roles = {"assigned_roles": ["NodeManager"]}
    master, core = cluster_requests.v2()["node_groups"]
    own = [{**master, **roles}, {**core, **roles, "group_name": "node_group_1"}]
    client = await cluster_requests.created(
        http_client.create(), cluster_requests.v2(cluster_type="CUSTOM", node_groups=own), cluster_requests.V2_CLUSTERS
    )
    client.clock.pass_s(5)
    assert (await cluster_requests.details(client))["clusterType"] == 3
    assert http_client.code(await cluster_requests.resize(client, node_group="node_group_1")) == "12000054"
