"""
Select clusters for requests that name one by name or tags: of those that fit and run, the one with the least work.

Only clusters that the tenant's rules allow fit. A cluster that is named by its id is looked up if only its name or tags
can allow it. The list of clusters, and the number of jobs on each, are read from MRS and kept for `clusters_fresh_s`;
selections since then are added. So 10,000 requests cost one reading of the list, and a replica sees the jobs of other
replicas and of other users.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.intake import policy_check
from mrs_relay.engine.model import deployments, facts, jobs
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.models import clusters as models
from mrs_relay.mrs.operations import jobs as job_calls
from mrs_relay.mrs.operations import lists

_log = structlog.get_logger(__name__)

_State = models.ClusterState
_USABLE: Final = frozenset({_State.RUNNING, _State.SCALING_OUT, _State.SCALING_IN})
"""Jobs may be submitted while a cluster is scaled. Source: the user guide, by the V1.1 contract."""
_GONE: Final = frozenset({_State.TERMINATING, _State.TERMINATED, _State.FAILED})

_WEIGHED: Final = 5
"""Number of candidates, those with the least known work, whose number of jobs is read from MRS."""

_AGAIN_S: Final = 1.0
"""A list that was read at most so many seconds before a request counts as read for it."""

Ours = Callable[[str], tuple[int, int]]
"""Number of the relay's jobs that are under way on a cluster, and number of those that wait for it."""


@dataclass(frozen=True, slots=True)
class KnownCluster:
    """A cluster as the list shows it."""

    id: str
    name: str
    state: str
    tags: Mapping[str, str]


@dataclass(slots=True)
class _Load:
    """
    The work of a cluster: its jobs as MRS and the scheduler showed them, and the selections since then.

    Attributes:
        read_s: when MRS answered, or failed to.
        reading: held while it is read: all who wait for one cluster share a reading, and wait for no other cluster.
    """

    read_s: float = float("-inf")
    busy: int | None = None
    chosen: int = 0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class _Snapshot:
    read_s: float = float("-inf")
    failed_s: float = float("-inf")
    failure: errors.MrsError | None = None
    clusters: list[KnownCluster] = field(default_factory=list)
    loads: dict[str, _Load] = field(default_factory=dict)


class ClusterSelector:
    """
    Select clusters on one connection.

    Args:
        client: the MRS client.
        ours: returns the scheduler's numbers for a cluster.
        settings: `clusters_fresh_s` and `choose_within_s`.
        time: the clock.
    """

    def __init__(
        self, client: clients.Client, ours: Ours, settings: engine_settings.EngineSettings, time: clock.Clock
    ) -> None:
        self._client = client
        self._ours = ours
        self._settings = settings
        self._time = time
        self._book = _Snapshot()
        self._listing = asyncio.Lock()

    async def select(
        self, job: jobs.Job, choice: jobs.Choice, policy: policies.Policy = policy_check.UNRESTRICTED
    ) -> facts.ClusterSelected | facts.NoClusterFits:
        """
        Select a cluster as soon as one that fits runs, or return the reason why there is none.

        The tenant's rules must allow the cluster; a cluster that is named by its id is checked against the rules only.
        Waits while MRS cannot be reached. Waits up to `choose_within_s` while MRS refuses the list of clusters, or
        while clusters fit and none of them runs.
        """
        is_delay_logged = False
        while True:
            try:
                fact = await self._select_once(job, choice, policy)
            except errors.MrsError as error:
                _log.warning("clusters_not_read", request=job.id, error=str(error))
                # A refusal may be repaired, as by granting a right: the request waits for that, but not for ever.
                if isinstance(error, errors.MrsRefused) and self._is_overdue(job):
                    text = f"the cluster could not be chosen, the list of clusters is refused: {error.message}"
                    return facts.NoClusterFits(
                        jobs.Reason("refused", error.code or "http_error", text, mrs_request_id=error.request_id)
                    )
            else:
                if fact is not None:
                    return fact
                # Clusters fit, and none of them runs yet.
                if not is_delay_logged:
                    is_delay_logged = True
                    _log.info("cluster_selection_delayed", request=job.id, wanted=_wanted(choice))

            await asyncio.sleep(self._settings.clusters_fresh_s)  # the list is not read again before

    async def _select_once(
        self, job: jobs.Job, choice: jobs.Choice, policy: policies.Policy
    ) -> facts.ClusterSelected | facts.NoClusterFits | None:
        asked_s = self._time.monotonic_s()
        # If no cluster of the kept list fits and runs, read the list again: one may have started since.
        for since_s in (asked_s - self._settings.clusters_fresh_s, asked_s - _AGAIN_S):
            named = [one for one in await self._listed_since(since_s) if fits(choice, one)]
            fitting = [one for one in named if policy_check.cluster_allowed(policy, one.id, one.name, one.tags)]
            usable = [one for one in fitting if choice.id or one.state in _USABLE]
            if usable and choice.id:
                return facts.ClusterSelected(choice.id)
            if usable:
                return facts.ClusterSelected(await self._with_most_room(job, [one.id for one in usable]))
        if choice.id or (named and not fitting):
            return facts.NoClusterFits(policy_check.cluster_rejection(policy))

        # Wait for clusters that fit and do not run yet.
        coming = sorted(f"{one.name} is {one.state}" for one in fitting if one.state not in _GONE)
        if coming and not self._is_overdue(job):
            return None

        says = f"; none came up within {self._settings.choose_within_s:g} s ({', '.join(coming[:5])})" if coming else ""
        text = f"no running cluster has {_wanted(choice)}{says}; name another one or its id, or send it again later"
        return facts.NoClusterFits(jobs.Reason("invalid", "no_cluster", text, field="data.cluster", retryable=True))

    def _is_overdue(self, job: jobs.Job) -> bool:
        return self._time.now_ms() - job.arrived_ms >= self._settings.choose_within_s * 1000

    async def _listed_since(self, since_s: float) -> list[KnownCluster]:
        """
        Return the list as it was read after `since_s`; read it again if it is older.

        All callers that wait share one reading, and one failure to read.
        """
        async with self._listing:
            if self._book.read_s < since_s:
                if self._book.failure is not None and self._book.failed_s >= since_s:
                    raise self._book.failure.with_traceback(None)

                read_s = self._time.monotonic_s()
                try:
                    clusters = [known(one) async for one in self._client.iterate(lists.CLUSTERS)]
                except errors.MrsError as error:
                    self._book.failure, self._book.failed_s = error, read_s
                    raise

                loads = {one.id: self._book.loads[one.id] for one in clusters if one.id in self._book.loads}
                self._book = _Snapshot(read_s, clusters=clusters, loads=loads)
            return self._book.clusters

    async def _with_most_room(self, job: jobs.Job, candidates: list[str]) -> str:
        """Return the candidate with the least work; of equals a different one for each request, on all replicas."""

        def rank(cluster: str) -> tuple[int, bytes]:
            return self._expected(cluster), hashlib.sha256(job.ledger_key + cluster.encode()).digest()

        if len(candidates) > 1:
            candidates = sorted(candidates, key=rank)[:_WEIGHED]
            await self._read_loads(candidates)
        best = min(candidates, key=rank)
        self._load(best).chosen += 1
        return best

    async def _read_loads(self, clusters: list[str]) -> None:
        """Read the work of clusters at once, so that those that hang cost one time-out together; share readings."""
        shared = [load.reading for load in map(self._load, clusters) if load.reading.locked()]
        async with asyncio.TaskGroup() as group:
            for cluster in clusters:
                load = self._load(cluster)
                if load.reading not in shared and not self._is_fresh(load):
                    group.create_task(self._unfinished_jobs(cluster), name=f"read the load of {cluster}")

        # Those that are being read for other requests. If that fails, the scheduler's numbers count here, too.
        for reading in shared:
            async with reading:
                pass

    async def _unfinished_jobs(self, cluster: str) -> None:
        """
        Read from MRS how many jobs of a cluster have not ended; after a failure the scheduler's numbers count.

        Source: ShowJobExeListNew; job_result is UNDEFINED while a job continues, total_record counts all that match.
        """
        load = self._load(cluster)
        async with load.reading:
            if self._is_fresh(load):
                return

            try:
                page = await self._client.call(
                    job_calls.SHOW_JOB_EXE_LIST_NEW,
                    path={"cluster_id": cluster},
                    query={"job_result": "UNDEFINED", "limit": 1, "offset": 1},
                )
            except errors.MrsError as error:
                _log.warning("cluster_load_not_read", cluster=cluster, error=str(error))
                load.busy = None
            else:
                under_way, waiting = self._ours(cluster)
                load.busy = max(page.total_record or 0, under_way) + waiting
            load.read_s, load.chosen = self._time.monotonic_s(), 0

    def _expected(self, cluster: str) -> int:
        """
        Return the known work of a cluster.

        An old number from MRS does not count any more, nor do selections before it: the scheduler counts those jobs by
        now. Otherwise a cluster that was busy once would not be read again while five others have less work.
        """
        load = self._load(cluster)
        if not self._is_fresh(load):
            return sum(self._ours(cluster))
        return load.chosen + (sum(self._ours(cluster)) if load.busy is None else load.busy)

    def _is_fresh(self, load: _Load) -> bool:
        return self._time.monotonic_s() - load.read_s <= self._settings.clusters_fresh_s

    def _load(self, cluster: str) -> _Load:
        return self._book.loads.setdefault(cluster, _Load())


def known(cluster: models.Cluster) -> KnownCluster:
    """Return the fields of a list entry that a selection needs."""
    return KnownCluster(cluster.cluster_id, cluster.cluster_name, cluster.cluster_state, dict(_tags(cluster.tags)))


def fits(choice: jobs.Choice, cluster: KnownCluster) -> bool:
    """
    Return whether a cluster has the id, the name and all the tags of a choice.

    A cluster that a request created has a token after its requested name; it fits with and without the token.
    """
    is_named = choice.name == "" or deployments.goes_by(cluster.name, choice.name)
    return (
        choice.id in {"", cluster.id}
        and is_named
        and all(cluster.tags.get(key) == value for key, value in choice.tags.items())
    )


def _tags(tags: str | Iterable[Any] | None) -> Iterable[tuple[str, str]]:
    """
    Parse MRS's tags: `k1=v1,k2=v2`, or a list of such texts or of objects with key and value.

    Source: ShowClusterDetails; the tables of the documents do not agree.
    """
    for one in tags.split(",") if isinstance(tags, str) else tags or ():
        if isinstance(one, Mapping):
            yield str(one.get("key", "")), str(one.get("value") or "")
        elif isinstance(one, str) and one:
            key, _, value = one.partition("=")
            yield key.strip(), value.strip()


def _wanted(choice: jobs.Choice) -> str:
    tags = ", ".join(f"{key}={value}" for key, value in choice.tags.items())
    if choice.id:
        return f"the id {choice.id}"
    return " and ".join(
        [*([f"the name {choice.name}"] if choice.name else []), *([f"the tags {tags}"] if tags else [])]
    )
