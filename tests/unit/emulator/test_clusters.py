"""The cluster reads of V1.1."""

from __future__ import annotations

import urllib.parse

import pytest
from tests.unit.emulator import http_client

from mrs_emulator.core import settings

CLUSTERS = (
    settings.Cluster(cluster_id="c1", name="etl"),
    settings.Cluster(cluster_id="c2", name="ads", state="terminated"),
    settings.Cluster(cluster_id="c3", name="etl-2", state="scaling-out"),
)
BASE = f"/v1.1/{http_client.PROJECT}/cluster_infos"


async def listed(**query: object) -> tuple[int, list[str]]:
    """Total and ids of a list page."""
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
