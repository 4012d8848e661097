"""Two tenants in one process: their settings, requests, and what their events say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from tests.support import history, service, service_harness

CLUSTERS = [service.CLUSTER, *(f"6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e{number}" for number in range(10, 15))]


def tenants(a: Mapping[str, Any] | None = None, b: Mapping[str, Any] | None = None, **groups: Mapping[str, Any]) -> Any:
    """Return settings with two tenants, whose events go to topics of their own."""
    own = {name: {"requests": f"{name}.requests", "events": f"{name}.events"} for name in "ab"}
    return service_harness.settings(tenants={"a": {**own["a"], **(a or {})}, "b": {**own["b"], **(b or {})}}, **groups)


def job(request_id: str, duration_s: float = 1.0, cluster: Any = service.CLUSTER, **more: Any) -> bytes:
    """Return a request for a batch job that runs for a while."""
    body = {"job_type": "SparkSubmit", "properties": {"emulator.duration_s": str(duration_s)}}
    data = {"cluster": cluster, "job": body, **more}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.job.submit", "data": data}).encode()


def put(here: service_harness.ServiceHarness, tenant: str, value: bytes, partition: int = 0) -> None:
    here.put(value, topic=f"{tenant}.requests", partition=partition)


def reported(here: service_harness.ServiceHarness, tenant: str) -> list[history.Seen]:
    return here.events(f"{tenant}.events")


def states(here: service_harness.ServiceHarness, tenant: str, request_id: str) -> list[str]:
    return [event.state for event in reported(here, tenant) if event.request_id == request_id]


def count(here: service_harness.ServiceHarness, tenant: str, state: str) -> int:
    return sum(event.state == state for event in reported(here, tenant))


async def until(here: service_harness.ServiceHarness, tenant: str, state: str, number: int, timeout_s: float) -> None:
    """Let time pass until so many of a tenant's events are of a state."""
    async with asyncio.timeout(timeout_s):
        while count(here, tenant, state) < number:
            await asyncio.sleep(0.1)
