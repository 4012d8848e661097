"""What a call looks like to a fault: its operation, cluster, job and name; only worked out while there are faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mrs_emulator.core import faults, routes, state, wire
from mrs_emulator.v11 import v11_api

_SUBMITS = frozenset({"CreateExecuteJob", "CreateAndExecuteJob", "ExecuteJob"})
_NAMES = ("job_name", "sql_content", "cluster_name", "name")


class FaultMatcher:
    """
    Reads calls for faults.

    Args:
        world: clusters and their jobs.
        older: knows the names of V1.1 job objects.
    """

    def __init__(self, world: state.World, older: v11_api.V11Api) -> None:
        self._world = world
        self._older = older

    def at(self, route: routes.Route, path: Mapping[str, str], request: wire.Request) -> faults.Aim:
        """Return the names by which a fault can match this call."""
        query = dict(request.pairs())
        body = {} if route.verb == "GET" else _object(request.body)
        cluster_id = path.get("cluster_id") or body.get("cluster_id") or query.get("cluster_id")
        job_id = path.get("job_execution_id") or path.get("job_exe_id")
        if job_id is not None:
            cluster_id, name = self._job(cluster_id, job_id)
        elif route.operation == "ExecuteJob":
            name = self._older.name_of(path["job_id"])
        else:
            merged = {**query, **body}
            name = next((merged[one] for one in _NAMES if isinstance(merged.get(one), str)), "")
        known = cluster_id if isinstance(cluster_id, str) else None
        return faults.Aim(route.operation, known, name, job_id, route.operation in _SUBMITS)

    def _job(self, cluster_id: str | None, job_id: str) -> tuple[str | None, str]:
        """Return cluster and name of a job; V1.1 does not name the cluster, so all are looked through."""
        for one in self._world.clusters.values():
            job = one.index.get(job_id) if cluster_id in {None, one.record.cluster_id} else None
            if job is not None:
                return one.record.cluster_id, job.name
        return cluster_id, ""


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
