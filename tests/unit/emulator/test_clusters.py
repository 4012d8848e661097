"""The cluster reads of V1.1."""

from __future__ import annotations

import re
import urllib.parse

import pytest
from tests.unit.emulator import cluster_requests, http_client

from mrs_emulator.core import settings

CLUSTERS = (
    settings.Cluster(cluster_id="c1", name="etl"),
    settings.Cluster(cluster_id="c2", name="ads", state="terminated"),
    settings.Cluster(cluster_id="c3", name="etl-2", state="scaling-out"),
)
_KINDS = ("analysis", "streaming")
BASE = f"/v1.1/{http_client.PROJECT}/cluster_infos"


async def listed(**query: object) -> tuple[int, list[str]]:
    """Return total and ids of a list page."""
    reply = await http_client.create(clusters=CLUSTERS).ask("GET", f"{BASE}?{urllib.parse.urlencode(query)}")
    assert reply.status == 200
    return reply.json()["clusterTotal"], [one["clusterId"] for one in reply.json()["clusters"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (3, ["c1", "c2", "c3"])),
        ({"pageSize": "2", "currentPage": "2"}, (3, ["c3"])),
        ({"pageSize": 2, "currentPage": 9}, (3, [])),
        ({"clusterName": "etl"}, (1, ["c1"])),
        ({"clusterState": "running"}, (1, ["c1"])),
        ({"clusterState": "existing"}, (2, ["c1", "c3"])),
        ({"clusterState": "history"}, (1, ["c2"])),
        ({"tags": "owner*etl"}, (0, [])),
        ({"enterpriseProjectId": "0"}, (3, ["c1", "c2", "c3"])),
        ({"enterpriseProjectId": "other"}, (0, [])),
    ],
)
async def test_clusters_are_listed_page_by_page(query: dict[str, object], expected: tuple[int, list[str]]) -> None:
    """The total counts matches; a page past the end is empty."""
    assert await listed(**query) == expected


async def test_details_have_the_keys_and_types_of_the_samples() -> None:
    """Keys are camelCase, counts are strings, times are seconds in strings, unset members are null."""
    reply = await http_client.create(clusters=CLUSTERS).ask("GET", f"{BASE}/c3")
    found = reply.json()["cluster"]
    assert (reply.status, found["clusterName"], found["clusterState"], found["scale"]) == (
        200,
        "etl-2",
        "scaling-out",
        "scaling-out",
    )
    assert found["createAt"] == str(http_client.START_MS // 1000)
    assert (found["masterNodeNum"], found["totalNodeNum"], found["safeMode"], found["stageDesc"]) == ("2", "5", 0, None)
    assert found["tenantId"] == http_client.PROJECT
    assert [one["componentName"] for one in found["componentList"]][:2] == ["Hadoop", "Spark2x"]
    assert found["componentList"][0]["componentId"] == "MRS 3.1.2-LTS.3_001"


async def test_missing_cluster_is_12000003_with_400() -> None:
    """Never a 404."""
    reply = await http_client.create().ask("GET", f"{BASE}/nope")
    assert (reply.status, http_client.code(reply)) == (400, "12000003")


@pytest.mark.parametrize("query", ["pageSize=0", "currentPage=x", "clusterState=asleep"])
async def test_wrong_parameter_is_12000002(query: str) -> None:
    """Query parameters are checked."""
    assert http_client.code(await http_client.create().ask("GET", f"{BASE}?{query}")) == "12000002"


@pytest.mark.parametrize("url", [cluster_requests.INFOS, "one"])
async def test_untagged_cluster_has_null_for_tags(url: str) -> None:
    """No text at all, in the list and in the details."""
    client = http_client.create()
    if url == "one":
        found = await cluster_requests.details(client)
    else:
        (found,) = (await client.ask("GET", url)).json()["clusters"]
    assert found["tags"] is None
    await cluster_requests.tag(client, "owner", "etl")
    assert (await cluster_requests.details(client))["tags"] == "owner=etl"


async def test_hosts_of_a_mixed_cluster_tell_analysis_from_streaming() -> None:
    """Types as the vendor's Terraform provider reads them."""
    client = http_client.create(pace={"create_s": 0})
    size = {"node_size": "c6.xlarge", "data_volume": {"type": "SAS", "size": 600}}
    names = ("master_node_default_group", *(f"{r}_node_{k}_group" for r in ("core", "task") for k in _KINDS))
    groups = [{**size, "group_name": name, "node_num": 1} for name in names]
    body = cluster_requests.v2(cluster_type="MIXED", node_groups=groups)
    made = await cluster_requests.created(client, body, cluster_requests.V2_CLUSTERS)
    client.clock.pass_s(1)
    assert [one["type"] for one in await cluster_requests.hosts(made)] == [
        "Master",
        "Analysis_Core",
        "Streaming_Core",
        "Analysis_Task",
        "Streaming_Task",
    ]


async def test_hosts_of_a_custom_group_are_named_after_it() -> None:
    """The cluster's id, the group, four characters; masters are named as everywhere."""
    client = http_client.create(pace={"create_s": 0})
    size = {"node_size": "c6.xlarge", "data_volume": {"type": "SAS", "size": 600}, "assigned_roles": ["NodeManager"]}
    groups = [{**size, "group_name": name, "node_num": 1} for name in ("master_node_default_group", "node_group_1")]
    body = cluster_requests.v2(cluster_type="CUSTOM", node_groups=groups)
    made = await cluster_requests.created(client, body, cluster_requests.V2_CLUSTERS)
    client.clock.pass_s(1)
    master, own = [one["name"].removeprefix(made.cluster) for one in await cluster_requests.hosts(made)]
    assert re.fullmatch(r"_node_master1_[A-Za-z]{5}", master)
    assert re.fullmatch(r"_node_group_1[A-Za-z]{4}", own)
