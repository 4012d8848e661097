"""What the page shows, as JSON: clusters, jobs, statements, faults and recent requests; no arguments and no secrets."""

from __future__ import annotations

from itertools import islice
from typing import Any

from mrs_emulator.core import adjustable_clock, faults, recent, records, state
from mrs_emulator.jobs import life
from mrs_emulator.sql import presto

_JOBS_SHOWN = 40
_STATEMENTS_SHOWN = 20
_REQUESTS_SHOWN = 60
_TEXT_SHOWN = 240


class Overview:
    """
    Gathers what a person wants to see at a glance.

    Args:
        world: clusters and their jobs.
        statements: the Presto statements.
        standing: the faults in force.
        requests: the last requests.
        clock: the emulator's clock.
    """

    def __init__(
        self,
        world: state.World,
        statements: presto.Presto,
        standing: faults.Faults,
        requests: recent.Recent,
        clock: adjustable_clock.AdjustableClock,
    ) -> None:
        self._world = world
        self._statements = statements
        self._faults = standing
        self._requests = requests
        self._clock = clock

    def members(self, now_ms: int) -> dict[str, Any]:
        """Return the whole of it at one moment."""
        return {
            "now_ms": now_ms,
            "clock": {"stopped": self._clock.stopped, "ahead_s": self._clock.ahead_ms / 1000},
            "clusters": [_cluster(one, now_ms) for one in self._world.clusters.values()],
            "jobs": self._jobs(now_ms),
            "statements": [_statement(one) for one in self._statements.recent(_STATEMENTS_SHOWN)],
            "faults": self._faults.listed(),
            "requests": self._requests.listed(_REQUESTS_SHOWN),
            "request_count": self._requests.count,
        }

    def calls(self) -> dict[str, Any]:
        """Return which operations were called since the start, how often, and with which HTTP status."""
        return {"calls": self._requests.calls()}

    def _jobs(self, now_ms: int) -> list[dict[str, Any]]:
        """Return the newest jobs of all clusters, newest first."""
        newest = []
        for one in self._world.clusters.values():
            numbers = one.index.arrived(one.index.span(None, None), newest_first=True)
            newest += [(one.record, one.index.at(number)) for number in islice(numbers, _JOBS_SHOWN)]
        newest.sort(key=lambda pair: pair[1].timetable.created_ms, reverse=True)
        return [_job(cluster, job, now_ms) for cluster, job in newest[:_JOBS_SHOWN]]


def _cluster(one: state.ClusterState, now_ms: int) -> dict[str, Any]:
    return {
        "id": one.record.cluster_id,
        "name": one.record.name,
        "state": one.state(now_ms),
        "version": one.record.version,
        "components": list(one.record.components),
        "slots": one.record.slots,
        "jobs": len(one.index),
        "unfinished": one.index.unfinished(now_ms),
    }


def _job(cluster: records.Cluster, job: life.Job, now_ms: int) -> dict[str, Any]:
    seen = life.stage(job, now_ms)
    return {
        "id": job.job_id,
        "name": job.name,
        "type": job.job_type,
        "cluster": cluster.name,
        "cluster_id": cluster.cluster_id,
        "user": job.user,
        "state": seen.state,
        "result": seen.result,
        "progress": seen.progress,
        "submitted_ms": job.timetable.created_ms,
        "elapsed_ms": seen.elapsed_ms,
        "error": (job.error or "")[:_TEXT_SHOWN] if job.ended(now_ms) else "",
    }


def _statement(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": one["id"],
        "text": one["statement"][:_TEXT_SHOWN],
        "status": one["status"],
        "place": one.get("result_location") or "",
        "message": (one.get("message") or "")[:_TEXT_SHOWN],
    }
