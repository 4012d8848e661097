"""
What MRS remembers: clusters with their job records, and what was ever really created.

A `JobBook` keeps jobs in order of arrival and finds by id, by name and by "not ended yet" without a scan.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from mrs_relay.emulator import life, refusals, settings

READY_STATES = frozenset({"running", "scaling-out", "scaling-in"})
"""States in which a cluster takes jobs. Source: user guide, jobs may be submitted during scaling."""


class JobBook:
    """
    The job records of one cluster.

    Jobs that will end at a known moment wait in a heap, so `settle` finds the ended ones without looking at the others.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, life.Job] = {}
        self._by_name: dict[str, dict[str, None]] = {}
        self._open: dict[str, None] = {}
        self._endings: list[tuple[int, str]] = []
        self._last_ms = 0
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def next_number(self) -> int:
        """A number for the next job; never given twice."""
        self._numbers += 1
        return self._numbers - 1

    def arrival_ms(self, now_ms: int) -> int:
        """Time of arrival for the next job: `now_ms`, or the last arrival if the clock went back."""
        self._last_ms = max(self._last_ms, now_ms)
        return self._last_ms

    def add(self, job: life.Job) -> None:
        """Enter a new job; it must not have arrived before the last one."""
        self._jobs[job.job_id] = job
        self._by_name.setdefault(job.name, {})[job.job_id] = None
        self._open[job.job_id] = None
        self._watch(job)

    def replace(self, job: life.Job) -> None:
        """Put a job in the place of its older version; unknown ones are ignored, they were deleted."""
        if job.job_id in self._jobs:
            self._jobs[job.job_id] = job
            self._watch(job)

    def _watch(self, job: life.Job) -> None:
        if job.ending is not None:
            heapq.heappush(self._endings, (job.ending.at_ms, job.job_id))

    def remove(self, job_id: str) -> None:
        """Forget a job."""
        job = self._jobs.pop(job_id)
        self._open.pop(job_id, None)
        namesakes = self._by_name[job.name]
        del namesakes[job_id]
        if not namesakes:
            del self._by_name[job.name]

    def get(self, job_id: str) -> life.Job | None:
        """The job with this id."""
        return self._jobs.get(job_id)

    def settle(self, now_ms: int) -> None:
        """Take note of all jobs that have ended by `now_ms`."""
        while self._endings and self._endings[0][0] <= now_ms:
            _, job_id = heapq.heappop(self._endings)
            job = self._jobs.get(job_id)
            if job is not None and job.ended(now_ms):
                self._open.pop(job_id, None)

    def unfinished(self, now_ms: int) -> int:
        """How many jobs have not ended by `now_ms`."""
        self.settle(now_ms)
        return len(self._open)

    def ids(self, *, newest_first: bool) -> Iterator[str]:
        """Ids of all jobs, in order of arrival."""
        return iter(reversed(self._jobs) if newest_first else self._jobs)

    def open_ids(self, now_ms: int, *, newest_first: bool) -> Iterator[str]:
        """Ids of the jobs that have not ended by `now_ms`, in order of arrival."""
        self.settle(now_ms)
        return iter(reversed(self._open) if newest_first else self._open)

    def named_ids(self, name: str, *, newest_first: bool) -> Iterator[str]:
        """Ids of the jobs with exactly this name, in order of arrival."""
        ids = self._by_name.get(name, {})
        return iter(reversed(ids) if newest_first else ids)

    def jobs(self, ids: Iterable[str]) -> Iterator[life.Job]:
        """The jobs with these ids."""
        return map(self._jobs.__getitem__, ids)

    def since(self, begin_ms: int, *, newest_first: bool) -> Iterable[life.Job]:
        """Jobs that arrived at `begin_ms` or later; costs as much as there are such jobs."""
        recent = []
        for job in reversed(self._jobs.values()):
            if job.timetable.created_ms < begin_ms:
                break
            recent.append(job)
        return recent if newest_first else reversed(recent)


@dataclass(slots=True)
class ClusterState:
    """
    A cluster and its jobs.

    Attributes:
        settings: its description.
        created_ms: when the emulator started it, in milliseconds since the epoch.
        book: its job records.
    """

    settings: settings.Cluster
    created_ms: int
    book: JobBook

    def has(self, *names: str) -> bool:
        """Whether any of the named components is installed."""
        return any(name in self.settings.components for name in names)


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
        clusters: the clusters that exist.
        now_ms: the time they were made, in milliseconds since the epoch.
    """

    def __init__(self, clusters: Iterable[settings.Cluster], now_ms: int) -> None:
        self._clusters = {one.cluster_id: ClusterState(one, now_ms, JobBook()) for one in clusters}
        self._effects: list[Effect] = []

    @property
    def clusters(self) -> Mapping[str, ClusterState]:
        """Clusters by id."""
        return self._clusters

    def cluster(self, cluster_id: str) -> ClusterState:
        """
        The cluster with this id.

        Raises:
            Refusal: 12000003, there is none.
        """
        found = self._clusters.get(cluster_id)
        if found is None:
            raise refusals.unknown_cluster()
        return found

    def note(self, effect: Effect) -> None:
        """Remember that something was created; deleting a job record does not undo it."""
        self._effects.append(effect)

    def effects(self, *, start: int = 0, count: int | None = None) -> list[Effect]:
        """What was created, oldest first, from number `start`."""
        return list(islice(self._effects, start, None if count is None else start + count))
