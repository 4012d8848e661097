"""
What MRS remembers: clusters with their job records, and what was ever really created.

Changes go to the tables of `persistence.py`, so that they survive a restart where a state file is set.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from mrs_emulator.clusters import cluster_life
from mrs_emulator.core import persistence, records, refusals, settings
from mrs_emulator.jobs import job_index, life


class ClusterState:
    """
    A cluster and its jobs.

    Args:
        record: what is known of it.
        jobs: its job records.
    """

    __slots__ = ("index", "record")

    def __init__(self, record: records.Cluster, jobs: job_index.JobIndex) -> None:
        self.record = record
        self.index = jobs

    @property
    def created_ms(self) -> int:
        """When it was ordered, in milliseconds since the epoch."""
        return self.record.created_ms

    def at(self, now_ms: int) -> cluster_life.Segment:
        """Return what queries see of it at a moment."""
        return self.record.life.at(now_ms)

    def state(self, now_ms: int) -> cluster_life.State:
        """State at a moment, as clusterState shows it."""
        return self.record.life.at(now_ms).state

    def busy(self, now_ms: int) -> bool:
        """Return whether an operation was accepted that does not show yet, or has not ended."""
        return self.record.life.end.begin_ms > now_ms

    def takes_jobs(self, now_ms: int) -> bool:
        """Return whether jobs and statements can be submitted at a moment."""
        return self.state(now_ms) in cluster_life.TAKES_JOBS

    def has(self, *names: str) -> bool:
        """Return whether any of the named components is installed."""
        return any(name in self.record.components for name in names)


@dataclass(frozen=True, slots=True)
class Effect:
    """
    Something that a client's request really created.

    Attributes:
        kind: "job" or "statement".
        effect_id: job id or statement id; statements other than SELECT, SHOW and DESC have none.
        name: job name; empty for statements.
        cluster_id: where.
        created_ms: when, in milliseconds since the epoch.
        statement: SQL text of a statement; empty for jobs.
    """

    kind: str
    effect_id: str
    name: str
    cluster_id: str
    created_ms: int
    statement: str = ""


class World:
    """
    Everything MRS remembers.

    Args:
        clusters: the clusters that exist from the start.
        now_ms: the time they were made, in milliseconds since the epoch.
        state_file: where changes are kept.
        terminated_kept_s: seconds for which a terminated cluster is remembered.
    """

    def __init__(
        self,
        clusters: Iterable[settings.Cluster],
        now_ms: int,
        state_file: persistence.StateFile,
        terminated_kept_s: float,
    ) -> None:
        self._clusters: dict[str, ClusterState] = {}
        self._effects: list[Effect] = []
        self._expiries: list[tuple[int, str]] = []
        self._flows: dict[str, None] = {}
        self._kept_ms = round(terminated_kept_s * 1000)
        self._keeps_jobs = state_file.on
        self._cluster_table = state_file.table("clusters", self._restore_clusters)
        self._job_table = state_file.table("jobs", self._restore_jobs)
        self._effect_table = state_file.table("effects", self._restore_effects)
        for one in clusters:
            self.add(records.configured(one, now_ms))

    @property
    def clusters(self) -> Mapping[str, ClusterState]:
        """Clusters by id, in the order in which they were made."""
        return self._clusters

    @property
    def flows(self) -> Collection[str]:
        """Ids of the clusters with jobs that came with them and are not over."""
        return self._flows

    def cluster(self, cluster_id: str) -> ClusterState:
        """
        Return the cluster with this id.

        Raises:
            Refusal: 12000003, there is none.
        """
        found = self._clusters.get(cluster_id)
        if found is None:
            raise refusals.unknown_cluster()
        return found

    def add(self, record: records.Cluster) -> ClusterState:
        """Enter a new cluster."""
        made = self._made(record)
        self._cluster_table.put(record.cluster_id, record)
        return made

    def change(self, cluster: ClusterState, **changes: Any) -> None:  # noqa: ANN401 - members of the record
        """Change members of a cluster's record."""
        cluster.record = replace(cluster.record, **changes)
        self._cluster_table.put(cluster.record.cluster_id, cluster.record)
        self._watch(cluster.record)

    def remove(self, cluster: ClusterState) -> None:
        """Forget a cluster and its jobs, as if it had never been; what was created stays noted."""
        cluster_id = cluster.record.cluster_id
        del self._clusters[cluster_id]
        self._flows.pop(cluster_id, None)
        self._cluster_table.drop(cluster_id)
        for number in cluster.index.arrived(cluster.index.span(None, None), newest_first=False):
            self._job_table.drop(f"{cluster_id}/{cluster.index.at(number).job_id}")

    def expire(self, now_ms: int) -> None:
        """Forget the clusters that have been terminated for long enough."""
        while self._expiries and self._expiries[0][0] <= now_ms:
            expiry_ms, cluster_id = heapq.heappop(self._expiries)
            found = self._clusters.get(cluster_id)
            if found is not None and self._expiry_ms(found.record) == expiry_ms:
                self.remove(found)

    def note(self, effect: Effect) -> None:
        """Remember that something was created; deleting a job record does not undo it."""
        self._effect_table.put(str(len(self._effects)), effect)
        self._effects.append(effect)

    def effects(self, *, start: int = 0, count: int | None = None) -> list[Effect]:
        """Return what was created, oldest first, from number `start`."""
        return list(islice(self._effects, start, None if count is None else start + count))

    def _made(self, record: records.Cluster) -> ClusterState:
        table, prefix = self._job_table, f"{record.cluster_id}/"

        def keep(job: life.Job) -> None:
            table.put(prefix + job.job_id, job)

        def drop(job_id: str) -> None:
            table.drop(prefix + job_id)

        jobs = job_index.JobIndex(keep, drop) if self._keeps_jobs else job_index.JobIndex()
        made = ClusterState(record, jobs)
        self._clusters[record.cluster_id] = made
        self._watch(record)
        return made

    def _expiry_ms(self, record: records.Cluster) -> int | None:
        end = record.life.end
        return end.begin_ms + self._kept_ms if end.state == "terminated" else None

    def _watch(self, record: records.Cluster) -> None:
        """Note what will happen to a cluster by itself."""
        if record.flow is not None:
            self._flows[record.cluster_id] = None
        else:
            self._flows.pop(record.cluster_id, None)
        expiry_ms = self._expiry_ms(record)
        if expiry_ms is not None:
            heapq.heappush(self._expiries, (expiry_ms, record.cluster_id))

    def _restore_clusters(self, rows: Iterable[persistence.Row]) -> None:
        for row in rows:
            self._made(row.read(records.Cluster))

    def _restore_jobs(self, rows: Iterable[persistence.Row]) -> None:
        for row in rows:
            found = self._clusters.get(row.key.partition("/")[0])
            if found is not None:
                found.index.restore(row.read(life.Job))

    def _restore_effects(self, rows: Iterable[persistence.Row]) -> None:
        self._effects = [row.read(Effect) for row in rows]
