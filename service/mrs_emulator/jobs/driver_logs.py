"""
Logs of drivers in OBS: each job that has ended leaves stdout and stderr below a path of the settings.

    PATH/cluster id/job id/stdout|stderr

Nothing ticks in a scripted job, so its log is written when a client asks OBS for anything after its end. Not documented
and chosen here: where the files lie, since MRS lets each cluster choose it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from mrs_emulator.core import state
from mrs_emulator.jobs import causes, life


class DriverLogs:
    """
    The logs that are due.

    Args:
        world: clusters and their jobs.
        place: obs:// path of the folder; None keeps no logs.
    """

    def __init__(self, world: state.World, place: str | None) -> None:
        self._world = world
        self._place = place.rstrip("/") if place else None
        self._waiting: dict[tuple[str, str], None] = {}

    def watch(self, cluster_id: str, job_id: str) -> None:
        """Write the log of a job when it has ended."""
        if self._place is not None:
            self._waiting[cluster_id, job_id] = None

    def watch_all(self) -> None:
        """Watch the jobs that are there after a restart; logs written before are written again, the same."""
        for cluster_id, cluster in self._world.clusters.items():
            for number in cluster.index.arrived(cluster.index.span(None, None), newest_first=False):
                self.watch(cluster_id, cluster.index.at(number).job_id)

    def due(self, now_ms: int) -> Mapping[tuple[str, str], Mapping[str, str]]:
        """Return the texts to write now, by obs:// path, of each job by cluster and id; again until `written`."""
        found: dict[tuple[str, str], Mapping[str, str]] = {}
        for cluster_id, job in self._ended(now_ms):
            folder = f"{self._place}/{cluster_id}/{job.job_id}"
            found[cluster_id, job.job_id] = {f"{folder}/stdout": _stdout(job), f"{folder}/stderr": _stderr(job)}
        return found

    def written(self, jobs: Iterable[tuple[str, str]]) -> None:
        """Forget jobs whose logs have been written."""
        for job in jobs:
            self._waiting.pop(job, None)

    def _ended(self, now_ms: int) -> Iterable[tuple[str, life.Job]]:
        for cluster_id, job_id in list(self._waiting):
            cluster = self._world.clusters.get(cluster_id)
            job = cluster.index.get(job_id) if cluster else None
            if job is None:  # deleted with its log unwritten
                del self._waiting[cluster_id, job_id]
            elif job.ended(now_ms):
                yield cluster_id, job


def _stdout(job: life.Job) -> str:
    return f"{job.name} ({job.job_id}) ran as {job.user} in the queue {job.queue}\n"


def _stderr(job: life.Job) -> str:
    """Return lines of a driver: it begins, it ends, and why it failed; arguments and SQL text are no part of it."""
    ending = job.ending
    if ending is None:
        return ""
    lines = [_line(job.timetable.running_ms, "INFO", f"driver of {job.name} started")]
    if ending.result == "FAILED":
        why = job.error or causes.UNKNOWN
        lines.append(_line(ending.at_ms, "ERROR", f'Exception in thread "main" {why}'))
    elif ending.result == "KILLED":
        lines.append(_line(ending.at_ms, "ERROR", "RECEIVED SIGNAL TERM"))
    lines.append(_line(ending.at_ms, "INFO", f"driver ended: {ending.result}"))
    return "".join(lines)


def _line(at_ms: int, level: str, text: str) -> str:
    seen = dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC)
    return f"{seen:%Y-%m-%d %H:%M:%S},{at_ms % 1000:03d} {level:<5} [main] {text}\n"
