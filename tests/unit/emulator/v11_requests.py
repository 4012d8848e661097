"""Requests of V1.1 that tests of the emulator share."""

from __future__ import annotations

from typing import Any

from tests.unit.emulator import http_client

BASE = f"/v1.1/{http_client.PROJECT}"

JOB = {
    "job_type": 1,
    "job_name": "sessionize",
    "cluster_id": http_client.CLUSTER,
    "jar_path": "s3a://bucket/programs/s.jar",
    "arguments": "sessionize username=alice @password=secret",
    "input": "s3a://bucket/in/",
    "output": "s3a://bucket/out/",
    "file_action": "",
    "hql": "",
}


async def submitted(client: http_client.Client, **changes: object) -> dict[str, Any]:
    """Submit a job, expect success, give the reply's members."""
    reply = await client.ask("POST", f"{BASE}/jobs/submit-job", JOB | changes)
    assert reply.status == 200, reply.body
    members = reply.json()["job_execution"]
    assert isinstance(members, dict)
    return members


async def exe(client: http_client.Client, run_id: str) -> dict[str, Any]:
    reply = await client.ask("GET", f"{BASE}/job-exes/{run_id}")
    assert reply.status == 200, reply.body
    members = reply.json()["job_execution"]
    assert isinstance(members, dict)
    return members


async def listed(client: http_client.Client, query: str = "") -> tuple[Any, list[str]]:
    reply = await client.ask("GET", f"{BASE}/job-exes?cluster_id={client.cluster}{query}")
    assert reply.status == 200, reply.body
    found = reply.json()
    return found["totalRecord"], [one["job_name"] for one in found["job_executions"]]
