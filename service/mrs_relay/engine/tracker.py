"""
Follows jobs on MRS: one poller per cluster and job API, which lists jobs page by page and turns differences into facts.

Cost grows with pages, not with jobs: a look at n jobs takes ceil(n / page) reads and at most one more, unless the list
holds many jobs that are not followed. `ways` knows how each API is asked. A failed poll never changes a job; a job that
MRS stops showing is read by itself, and only when that says "no such job" for a long time is it given up. Statements
have no list and are read one by one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import structlog

from mrs_relay import errors
from mrs_relay.engine import codes, facts, jobs, sightings, verdict, views, ways
from mrs_relay.engine import settings as engine_settings
from mrs_relay.kit import backoff, clock, tasks
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.operations import sql as sql_calls

_log = structlog.get_logger(__name__)

_CLOCK_SKEW_MS: Final = 900_000
"""By so much MRS's clock may be behind ours; its own time of a submission is rounded to a second at worst."""

_ROUNDING_MS: Final = 1000
_AT_ONCE: Final = 8
_ENDS: Final = frozenset({verdict.Verdict.SUCCEEDED, verdict.Verdict.FAILED, verdict.Verdict.KILLED})

_COUNT_AGAIN_S: Final = 1.0
"""Seconds for which the number of reads of all pollers is taken as known: counting costs a step for each cluster."""

_BUDGET_PART: Final = 0.8
"""Part of the read budget that the pollers take; look-ups and results need the rest."""


class Owner(Protocol):
    """Who follows jobs: a partition."""

    def tell(self, key: jobs.LedgerKey, fact: facts.Fact) -> None:
        """Take note of what happened to a job; must not block."""


@dataclass(slots=True, eq=False)
class _Watch:
    """
    One job that is followed; there may be 100,000 of them.

    Attributes:
        since_ms: its time of submission by MRS's clock, or an earlier one: from then on the list shows it.
        told: hash of what was told last, so that the same is not told again.
        missing_since_s: when MRS stopped showing it.
        unsettled_since_s: when MRS showed that it has ended and not how, or a state that no document knows.
        ended: its end was told; a further attempt of the same request is another job, with a watch of its own.
    """

    job_id: str
    key: jobs.LedgerKey
    owner: Owner
    since_ms: int
    statement: bool
    told: int = 0
    missing_since_s: float | None = None
    unsettled_since_s: float | None = None
    ended: bool = False


@dataclass(slots=True, eq=False)
class _Cluster:
    """
    What is followed on one cluster by one job API.

    Attributes:
        api: which.
        way: how it is asked.
        failures: looks in a row that showed nothing.
        shown: the present look has been answered something.
        crowded_since_ms: the list from this moment on was seen to hold much that is not followed; it only grows.
    """

    api: jobs.Api
    way: ways.Way
    watches: dict[str, _Watch] = field(default_factory=dict)
    failures: int = 0
    shown: bool = False
    crowded_since_ms: int | None = None


_Place = tuple[jobs.Api, str]
"""A job API and a cluster."""


class Tracker:
    """
    All pollers of this process.

    Args:
        client: the MRS client; its read budget paces the pollers.
        settings: intervals and page size.
        time: both sides of the clock.

    Attributes:
        lag: seconds between the end of a job on MRS and the moment we saw it.
    """

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings, time: clock.Clock) -> None:
        self._client = client
        self._settings = settings
        self._time = time
        self._ways = ways.by_api(client, settings)
        self._clusters: dict[_Place, _Cluster] = {}
        self._all_reads: Counter[jobs.Api] = Counter()
        self._counted_s = float("-inf")
        self._pollers = tasks.Crew(self._on_error)
        self._pause = backoff.Backoff(first_s=1.0, most_s=60.0)
        self.lag = views.Histogram()

    @property
    def watched(self) -> int:
        """Jobs that are followed."""
        return sum(len(cluster.watches) for cluster in self._clusters.values())

    def watch(self, job: jobs.Job, key: jobs.LedgerKey, owner: Owner) -> None:
        """
        Follow a job until `unwatch`; doing so twice is the same as once.

        Args:
            job: submitted, with its MRS id.
            key: its ledger key.
            owner: its partition; told what is observed, each time something has changed.
        """
        if job.seen is None or not job.seen.job_id:
            return
        place = (job.api, job.cluster)
        cluster = self._clusters.get(place)
        if cluster is None:
            cluster = self._clusters[place] = _Cluster(job.api, self._ways[job.api])
            self._pollers.start(self._poll(place, cluster), name=f"poll {job.api} {job.cluster}")
        job_id = job.seen.job_id
        if job_id not in cluster.watches:
            since_ms = max(0, job.intent_ms - _CLOCK_SKEW_MS)
            cluster.watches[job_id] = _Watch(job_id, key, owner, since_ms, job.statement)

    def unwatch(self, job: jobs.Job) -> None:
        """Stop following a job."""
        cluster = self._clusters.get((job.api, job.cluster))
        if cluster is not None and job.seen is not None:
            cluster.watches.pop(job.seen.job_id, None)

    def leave(self, owner: Owner) -> None:
        """Stop following all jobs of a partition."""
        for cluster in self._clusters.values():
            for job_id in [job_id for job_id, watch in cluster.watches.items() if watch.owner is owner]:
                del cluster.watches[job_id]

    async def close(self) -> None:
        """End all pollers."""
        await self._pollers.close()

    def _on_error(self, task: str, error: BaseException) -> None:
        _log.error("poller_ended", task=task, exc_info=error)

    async def _poll(self, place: _Place, cluster: _Cluster) -> None:
        """Look at one cluster again and again, as long as there is something to look at."""
        try:
            while True:
                await asyncio.sleep(self._wait_s(cluster))
                if not cluster.watches:
                    return
                await self._look(place[1], cluster)
        finally:
            if self._clusters.get(place) is cluster:
                del self._clusters[place]

    def _wait_s(self, cluster: _Cluster) -> float:
        """The interval: as set, or longer when all pollers together would spend more than their part of the budget."""
        now_s = self._time.monotonic_s()
        if now_s >= self._counted_s + _COUNT_AGAIN_S:
            self._counted_s = now_s
            self._all_reads = Counter()
            for one in self._clusters.values():
                self._all_reads[one.api] += self._reads(one)
        every_s = self._client.limits.every_s(cluster.way.listing)
        affordable_s = self._all_reads[cluster.api] * every_s / _BUDGET_PART
        wait_s = max(self._settings.poll_interval_s, affordable_s)
        return max(wait_s, self._pause.delay_s(cluster.failures)) if cluster.failures else wait_s

    def _reads(self, cluster: _Cluster) -> int:
        """Reads that one look at a cluster takes: its pages and one more, or one for each of a few jobs."""
        count = len(cluster.watches)
        return count if count <= self._settings.single_reads else _pages(cluster, count) + 1

    async def _look(self, cluster_id: str, cluster: _Cluster) -> None:
        for watch in [watch for watch in cluster.watches.values() if watch.ended]:
            del cluster.watches[watch.job_id]
        cluster.shown = False
        try:
            await self._look_at_all(cluster_id, cluster)
        except errors.MrsThrottled as error:
            _log.warning("poll_throttled", cluster=cluster_id, wait_s=error.retry_after_s)
            await asyncio.sleep(error.retry_after_s)
        except errors.MrsRefused as error:
            self._failed(cluster)
            _log.warning("poll_refused", cluster=cluster_id, error=str(error), failures=cluster.failures)
            if error.code in cluster.way.nowhere:
                for watch in list(cluster.watches.values()):
                    self._missing(watch, str(error))
        except errors.MrsError as error:
            self._failed(cluster)
            _log.warning("poll_failed", cluster=cluster_id, error=str(error), failures=cluster.failures)
        except Exception:  # noqa: BLE001 - a poller outlives its bugs; each is logged with its stack
            self._failed(cluster)
            _log.exception("poller_bug", cluster=cluster_id)
        else:
            cluster.failures = 0

    def _failed(self, cluster: _Cluster) -> None:
        """Look less often as long as nothing is shown; a few jobs that MRS fails to show slow down no others."""
        cluster.failures = 0 if cluster.shown else cluster.failures + 1

    async def _look_at_all(self, cluster_id: str, cluster: _Cluster) -> None:
        """
        Look at batch jobs and at statements: trouble with the ones keeps nobody from looking at the others.

        Raises:
            MrsError: the first trouble.
        """
        troubles: list[errors.MrsError] = []
        for look in (self._look_at_jobs, self._look_at_statements):
            try:
                await look(cluster_id, cluster)
            except errors.MrsThrottled:
                raise
            except errors.MrsError as error:
                troubles.append(error)
        if troubles:
            raise troubles[0]

    async def _look_at_statements(self, cluster_id: str, cluster: _Cluster) -> None:
        await self._one_by_one(cluster_id, cluster, [one for one in cluster.watches.values() if one.statement])

    async def _look_at_jobs(self, cluster_id: str, cluster: _Cluster) -> None:
        """
        Look at batch jobs.

        The list from the oldest job on tells all, but shows jobs that are not followed, too. Where those are many, or
        the list cannot begin at a moment, the list of unfinished jobs is read instead, and then those that it does not
        show, for they have ended.
        """
        wanted = {watch.job_id: watch for watch in cluster.watches.values() if not watch.statement}
        if len(wanted) > self._settings.single_reads:
            since_ms = _oldest_ms(wanted)
            whole = cluster.way.by_moment and since_ms != cluster.crowded_since_ms
            if not whole or not await self._list(cluster_id, cluster, wanted, _pages(cluster, len(wanted)) + 1):
                cluster.crowded_since_ms = since_ms
                await self._list(cluster_id, cluster, wanted, None)
                if cluster.way.by_moment and len(wanted) > self._settings.single_reads:
                    await self._list(cluster_id, cluster, wanted, len(wanted))
        await self._one_by_one(cluster_id, cluster, list(wanted.values()))

    async def _list(
        self, cluster_id: str, cluster: _Cluster, wanted: dict[str, _Watch], most_pages: int | None
    ) -> bool:
        """
        Read the cluster's list from the oldest of `wanted` on; takes out of `wanted` what it shows.

        Args:
            cluster_id: the cluster.
            cluster: how it is asked.
            wanted: by job id; not empty to begin with.
            most_pages: leave a list that is longer after its first page; None: unfinished jobs only, all pages.

        Returns whether the list was read as far as it was needed.
        """
        since_ms = _oldest_ms(wanted)
        page = 1
        while wanted:
            read = await cluster.way.page(cluster_id, page, since_ms, unfinished=most_pages is None)
            cluster.shown = True
            self._tell(wanted, read.jobs)
            if read.last:
                break
            if most_pages is not None and max(page + 1, _pages(cluster, read.total)) > most_pages:
                return not wanted
            page += 1
        return True

    def _tell(self, wanted: dict[str, _Watch], listed: Iterable[jobs.Seen]) -> None:
        for seen in listed:
            watch = wanted.pop(seen.job_id, None)
            if watch is not None:
                self._seen(watch, seen)

    async def _one_by_one(self, cluster_id: str, cluster: _Cluster, watches: list[_Watch]) -> None:
        """
        Read each by itself, a few at once. One that MRS fails to show keeps no other from being told.

        Raises:
            MrsError: the first failure, once all have been read, or none of a group could be, or MRS throttles.
        """
        troubles: list[errors.MrsError] = []
        for start in range(0, len(watches), _AT_ONCE):
            several = watches[start : start + _AT_ONCE]
            failed: list[errors.MrsError] = []
            async with asyncio.TaskGroup() as group:
                for watch in several:
                    group.create_task(self._read(cluster_id, cluster, watch, failed), name=f"read {watch.job_id}")
            throttled = next((error for error in failed if isinstance(error, errors.MrsThrottled)), None)
            if throttled is not None:
                raise throttled
            troubles += failed
            if len(failed) == len(several):
                break
        if troubles:
            raise troubles[0]

    async def _read(self, cluster_id: str, cluster: _Cluster, watch: _Watch, failed: list[errors.MrsError]) -> None:
        """Read one; if that fails it goes behind all others, so that they come first at the next look."""
        try:
            if watch.statement:
                await self._read_statement(cluster_id, watch)
            else:
                await self._read_job(cluster_id, cluster.way, watch)
            cluster.shown = True
        except errors.MrsError as error:
            failed.append(error)
            if cluster.watches.get(watch.job_id) is watch:  # it may be another owner's by now
                del cluster.watches[watch.job_id]
                cluster.watches[watch.job_id] = watch

    async def _read_job(self, cluster_id: str, way: ways.Way, watch: _Watch) -> None:
        shown = await way.show(cluster_id, watch.job_id)
        if isinstance(shown, ways.Gone):
            self._missing(watch, shown.message)
        else:
            self._seen(watch, shown)

    async def _read_statement(self, cluster_id: str, watch: _Watch) -> None:
        path = {"cluster_id": cluster_id, "sql_id": watch.job_id}
        try:
            reply = await self._client.call(sql_calls.SHOW_SQL_RESULT, path=path)
        except errors.MrsRefused as error:
            if error.code == codes.NO_SUCH_CLUSTER:
                raise
            self._missing(watch, str(error))  # the error for an unknown statement is not documented
            return
        fact = sightings.of_statement(reply, self._settings.inline_result_bytes)
        watch.missing_since_s = None
        self._tell_news(watch, fact)

    def _seen(self, watch: _Watch, seen: jobs.Seen) -> None:
        watch.missing_since_s = None
        known = verdict.of_job(seen.job_state, seen.job_result)
        if known is verdict.Verdict.UNSETTLED or not verdict.is_documented(seen.job_state):
            self._unsettled(watch, seen)
        else:
            watch.unsettled_since_s = None
        if seen.submitted_ms:
            watch.since_ms = max(0, seen.submitted_ms - _ROUNDING_MS)
        self._tell_news(watch, facts.Observed(seen))

    def _tell_news(self, watch: _Watch, fact: facts.Observed | facts.StatementObserved) -> None:
        told = hash(msgspec.structs.astuple(fact.seen))
        if told != watch.told:
            watch.told = told
            if fact.seen.finished_ms:
                self.lag.add(max(0.0, (self._time.now_ms() - fact.seen.finished_ms) / 1000))
            watch.ended = _is_end(fact)
            watch.owner.tell(watch.key, fact)

    def _unsettled(self, watch: _Watch, seen: jobs.Seen) -> None:
        now_s = self._time.monotonic_s()
        if watch.unsettled_since_s is None:
            watch.unsettled_since_s = now_s
        waited_s = now_s - watch.unsettled_since_s
        if waited_s >= self._settings.outcome_within_s:
            text = f"MRS has shown {seen.job_state} without an outcome ({seen.job_result}) for {round(waited_s)} s"
            watch.owner.tell(watch.key, facts.Vanished(text, "no_outcome"))

    def _missing(self, watch: _Watch, message: str) -> None:
        now_s = self._time.monotonic_s()
        if watch.missing_since_s is None:
            watch.missing_since_s = now_s
        gone_s = now_s - watch.missing_since_s
        if gone_s >= self._settings.vanish_after_s:
            watch.owner.tell(watch.key, facts.Vanished(f"MRS has not shown the job for {round(gone_s)} s: {message}"))


def _pages(cluster: _Cluster, count: int) -> int:
    return -(-count // cluster.way.page_size)


def _oldest_ms(watches: Mapping[str, _Watch]) -> int:
    return min(watch.since_ms for watch in watches.values())


def _is_end(fact: facts.Observed | facts.StatementObserved) -> bool:
    seen = fact.seen
    if isinstance(fact, facts.Observed):
        return verdict.of_job(seen.job_state, seen.job_result) in _ENDS
    return verdict.of_statement(seen.job_state) in _ENDS
