"""Bodies that order clusters, and what tests ask about clusters."""

from __future__ import annotations

from typing import Any

from tests.unit.emulator import http_client

from mrs_emulator.core import wire

V11 = f"/v1.1/{http_client.PROJECT}"
FLOW = f"{V11}/run-job-flow"
INFOS = f"{V11}/cluster_infos"
CLUSTERS = f"{V11}/clusters"
V2_CLUSTERS = f"/v2/{http_client.PROJECT}/clusters"
V2_FLOW = f"/v2/{http_client.PROJECT}/run-job-flow"


def node_group(name: str, number: int, **changes: object) -> dict[str, Any]:
    """Return a node group of V1.1."""
    return {"group_name": name, "node_num": number, "node_size": "c6.4xlarge.4.linux.mrs", **changes}


def v11(name: str = "etl", **changes: Any) -> dict[str, Any]:
    """Return a body of V1.1's run-job-flow; None takes a member out."""
    body: dict[str, Any] = {
        "cluster_name": name,
        "cluster_version": "MRS 3.1.2-LTS.3",
        "billing_type": 12,
        "data_center": "eu-west-0",
        "available_zone_id": "eu-west-0a",
        "vpc": "vpc-data",
        "vpc_id": "0b8d6f1e",
        "subnet_id": "5c1f7a2d",
        "safe_mode": 0,
        "component_list": [{"component_name": one} for one in ("Hadoop", "Spark2x", "Hive")],
        "node_groups": [node_group("master_node_default_group", 2), node_group("core_node_analysis_group", 4)],
        **changes,
    }

    return {key: value for key, value in body.items() if value is not None}


def v2(name: str = "etl", **changes: Any) -> dict[str, Any]:
    """Return a body of V2's CreateCluster; None takes a member out."""
    group = {"node_size": "rc3.4xlarge.4.linux.bigdata", "data_volume": {"type": "SAS", "size": 600}}
    body: dict[str, Any] = {
        "cluster_name": name,
        "cluster_version": "MRS 3.1.0",
        "cluster_type": "ANALYSIS",
        "region": "cn-north-4",
        "availability_zone": "cn-north-4a",
        "vpc_name": "vpc-data",
        "subnet_id": "5c1f7a2d",
        "components": "Hadoop,Spark2x,Hive",
        "safe_mode": "SIMPLE",
        "manager_admin_password": "Example@2026x",
        "login_mode": "KEYPAIR",
        "node_keypair_name": "kp-data",
        "node_groups": [
            {**group, "group_name": "master_node_default_group", "node_num": 2},
            {**group, "group_name": "core_node_analysis_group", "node_num": 3},
        ],
        **changes,
    }

    return {key: value for key, value in body.items() if value is not None}


def step(name: str, job_type: str = "SparkSubmit", *arguments: str, **properties: str) -> dict[str, Any]:
    """Return a step of RunJobFlow."""
    job = {"job_name": name, "job_type": job_type, "arguments": list(arguments), "properties": properties}
    return {"job_execution": job}


async def created(
    client: http_client.Client, body: dict[str, Any] | None = None, url: str = FLOW
) -> http_client.Client:
    """Return a desk at a cluster that was just ordered."""
    reply = await client.ask("POST", url, v11() if body is None else body)
    assert reply.status == 200, reply.body
    return http_client.Client(client.emulator, client.clock, reply.json()["cluster_id"])


async def details(client: http_client.Client) -> dict[str, Any]:
    """Return details of the desk's cluster."""
    reply = await client.ask("GET", f"{INFOS}/{client.cluster}")
    assert reply.status == 200, reply.body
    found = reply.json()["cluster"]
    assert isinstance(found, dict)
    return found


async def state(client: http_client.Client) -> str:
    """State of the desk's cluster."""
    return str((await details(client))["clusterState"])


async def resize(
    client: http_client.Client, number: object = 2, direction: str = "scale_out", **changes: object
) -> wire.Reply:
    """Resize the desk's cluster."""
    parameters = {"scale_type": direction, "node_id": "node_orderadd", "instances": number, **changes}
    return await client.ask("PUT", f"{INFOS}/{client.cluster}", {"parameters": parameters})


async def delete(client: http_client.Client) -> wire.Reply:
    """Delete the desk's cluster."""
    return await client.ask("DELETE", f"{CLUSTERS}/{client.cluster}")


async def hosts(client: http_client.Client, query: str = "?pageSize=100") -> list[dict[str, Any]]:
    """Return hosts of the desk's cluster."""
    reply = await client.ask("GET", f"{CLUSTERS}/{client.cluster}/hosts{query}")
    assert reply.status == 200, reply.body
    found = reply.json()["hosts"]
    assert isinstance(found, list)
    return found


async def tag(client: http_client.Client, key: str, value: str = "") -> wire.Reply:
    """Add a tag to the desk's cluster."""
    return await client.ask("POST", f"{CLUSTERS}/{client.cluster}/tags", {"tag": {"key": key, "value": value}})
