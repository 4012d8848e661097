"""
Follow jobs on MRS: one poller per cluster and kind of work lists jobs page by page and turns differences into facts.

Cost grows with pages, not with jobs: a poll of n jobs takes ceil(n / page) reads and at most one more, unless the list
holds many jobs that are not followed. `work` has the calls of each kind; jobs of a kind without a list are read one by
one. A failed poll never changes a job. A job that MRS stops listing is read by itself. It is given up only when MRS
answers "no such job" for a long time in which the list answers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, clock, histograms, tasks
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs, verdict
from mrs_relay.engine.trackers import tracked_jobs
from mrs_relay.engine.work import adapter, kinds
from mrs_relay.engine.work import cluster as cluster_work
from mrs_relay.mrs import client as clients

_log = structlog.get_logger(__name__)

_CLOCK_SKEW_MS: Final = 900_000
"""Largest lag of MRS's clock behind ours; its own time of a submission is rounded to a second at worst."""

_ROUNDING_MS: Final = 1000
_AT_ONCE: Final = 8
_ENDS: Final = frozenset({verdict.Verdict.SUCCEEDED, verdict.Verdict.FAILED, verdict.Verdict.KILLED})

_COUNT_AGAIN_S: Final = 1.0
"""Seconds for which the number of reads of all pollers is cached: counting costs a step for each cluster."""

_BUDGET_PART: Final = 0.8
"""Part of the read budget that the pollers take; look-ups and results need the rest."""


_Place = tuple[str, str]
"""A kind of work and a cluster."""


class JobTracker:
    """
    Run all pollers of this process.

    Args:
        client: the MRS client; its read budget paces the pollers.
        settings: intervals and page size.
        time: wall clock and monotonic clock.

    Attributes:
        lag: seconds between the end of a job on MRS and the poll that saw it.
    """

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings, time: clock.Clock) -> None:
        self._client = client
        self._settings = settings
        self._time = time
        self._calls = kinds.connect(client, settings)
        self._clusters: dict[_Place, tracked_jobs.TrackedCluster] = {}
        self._all_reads: Counter[str] = Counter()
        self._counted_s = float("-inf")
        self._pollers = tasks.TaskSupervisor(self._on_error)
        self._pause = backoff.Backoff(first_s=1.0, most_s=60.0)
        self.lag = histograms.Histogram()

    @property
    def followed(self) -> int:
        """Jobs that are followed."""
        return sum(len(cluster.jobs) for cluster in self._clusters.values())

    def follow(self, job: jobs.Job, key: jobs.LedgerKey, owner: tracked_jobs.Owner) -> None:
        """
        Follow a job until `unfollow`; a second call has no effect.

        Args:
            job: submitted, with its MRS id.
            key: its ledger key.
            owner: its partition; gets a fact for each change.
        """
        if job.seen is None or not job.seen.job_id:
            return

        # The first job of a cluster starts its poller.
        kind = kinds.of(job).name
        place = (kind, job.cluster)
        cluster = self._clusters.get(place)
        if cluster is None:
            cluster = self._clusters[place] = tracked_jobs.TrackedCluster(kind, self._calls[kind])
            self._pollers.start(self._poll(place, cluster), name=f"poll {kind} {job.cluster}")

        job_id = job.seen.job_id
        if job_id not in cluster.jobs:
            since_ms = max(0, job.intent_ms - _CLOCK_SKEW_MS)
            tracked = cluster.jobs[job_id] = tracked_jobs.TrackedJob(job_id, key, owner, since_ms)
            tracked.missing = tracked_jobs.resumed(job.missing)
            tracked.unsettled = tracked_jobs.resumed(job.unsettled)

    def unfollow(self, job: jobs.Job) -> None:
        """Stop following a job."""
        cluster = self._clusters.get((kinds.of(job).name, job.cluster))
        if cluster is not None and job.seen is not None:
            cluster.jobs.pop(job.seen.job_id, None)

    def drop_owner(self, owner: tracked_jobs.Owner) -> None:
        """Stop following all jobs of a partition."""
        for cluster in self._clusters.values():
            for job_id in [job_id for job_id, tracked in cluster.jobs.items() if tracked.owner is owner]:
                del cluster.jobs[job_id]

    async def close(self) -> None:
        """End all pollers."""
        await self._pollers.close()

    def _on_error(self, task: str, error: BaseException) -> None:
        _log.error("poller_ended", task=task, exc_info=error)

    async def _poll(self, place: _Place, cluster: tracked_jobs.TrackedCluster) -> None:
        """Poll one cluster at intervals, as long as it has followed jobs."""
        try:
            while True:
                await asyncio.sleep(self._wait_s(cluster))
                if not cluster.jobs:
                    return
                await self._look(place[1], cluster)
        finally:
            if self._clusters.get(place) is cluster:
                del self._clusters[place]

    def _wait_s(self, cluster: tracked_jobs.TrackedCluster) -> float:
        """Return the interval: as set, or longer when all pollers together would exceed their part of the budget."""
        now_s = self._time.monotonic_s()
        if now_s >= self._counted_s + _COUNT_AGAIN_S:
            self._counted_s = now_s
            self._all_reads = Counter()
            for one in self._clusters.values():
                self._all_reads[one.kind] += self._reads(one)

        listing = cluster.calls.listing
        every_s = 0.0 if listing is None else self._client.limits.every_s(listing)
        affordable_s = self._all_reads[cluster.kind] * every_s / _BUDGET_PART
        wait_s = max(self._settings.poll_interval_s, affordable_s)
        return max(wait_s, self._pause.delay_s(cluster.failures)) if cluster.failures else wait_s

    def _reads(self, cluster: tracked_jobs.TrackedCluster) -> int:
        """Count the reads of one poll of a cluster: its pages and one more, or one for each of a few jobs."""
        count = len(cluster.jobs)
        is_single = count <= self._settings.single_reads or not cluster.calls.page_size
        return count if is_single else _pages(cluster, count) + 1

    async def _look(self, cluster_id: str, cluster: tracked_jobs.TrackedCluster) -> None:
        for tracked in [tracked for tracked in cluster.jobs.values() if tracked.ended]:
            del cluster.jobs[tracked.job_id]

        cluster.shown = False
        try:
            await self._look_at_all(cluster_id, cluster)
        except errors.MrsThrottled as error:
            _log.warning("poll_throttled", cluster=cluster_id, wait_s=error.retry_after_s)
            await asyncio.sleep(error.retry_after_s)
        except (errors.MrsRefused, errors.MrsBusy) as error:
            self._failed(cluster)
            _log.warning("poll_refused", cluster=cluster_id, error=str(error), failures=cluster.failures)
            if _is_about_cluster(cluster, error):
                await self._nothing_there(cluster_id, cluster, error)
        except errors.MrsError as error:
            self._failed(cluster)
            _log.warning("poll_failed", cluster=cluster_id, error=str(error), failures=cluster.failures)
        except Exception:  # noqa: BLE001 - a poller continues after a bug, which is logged with its stack
            self._failed(cluster)
            _log.exception("poller_crashed", cluster=cluster_id)
        else:
            cluster.failures = 0

    def _failed(self, cluster: tracked_jobs.TrackedCluster) -> None:
        """Poll less often while MRS shows nothing; a few jobs that MRS fails to show slow down no others."""
        cluster.failures = 0 if cluster.shown else cluster.failures + 1

    async def _look_at_all(self, cluster_id: str, cluster: tracked_jobs.TrackedCluster) -> None:
        """
        Read the list, where there is one, and then each job by itself that the list does not show.

        Raises:
            MrsError: the first failure.
        """
        look = cluster.begin(self._time.monotonic_s())
        wanted = dict(cluster.jobs)

        try:
            if cluster.calls.page_size and len(wanted) > self._settings.single_reads:
                await self._look_at_list(cluster_id, cluster, wanted)
            await self._one_by_one(cluster_id, cluster, list(wanted.values()))
        except errors.MrsThrottled:
            raise
        except errors.MrsError:
            look.answered = cluster.read  # a job that could not be read starts a new wait
            raise
        look.answered = True

    async def _nothing_there(
        self, cluster_id: str, cluster: tracked_jobs.TrackedCluster, refusal: errors.MrsRefused | errors.MrsBusy
    ) -> None:
        """
        Count all jobs of a cluster as missing when MRS refuses their list, if the cluster's state confirms that.

        MRS may refuse the list because there is no such cluster, or because of its state: a terminated one keeps it.
        """
        message, code = str(refusal), "job_vanished"
        if cluster_work.is_about(refusal):
            if not await cluster_work.is_gone(self._client, cluster_id, refusal):
                return  # the list is wrong, or the cluster cannot be read: no verdict
            message, code = (
                f"cluster {cluster_id} is there no more, and how its jobs ended is not shown",
                "cluster_gone",
            )

        cluster.look.answered = True
        for tracked in list(cluster.jobs.values()):
            self._missing(tracked, message, code)

    async def _look_at_list(
        self, cluster_id: str, cluster: tracked_jobs.TrackedCluster, wanted: dict[str, tracked_jobs.TrackedJob]
    ) -> None:
        """
        Read the list of jobs; removes the listed jobs from `wanted`, which is not empty.

        The list from the oldest job on shows all followed jobs, but others, too. Where the others are many, or the list
        cannot begin at a moment, the list of unfinished jobs is read instead. Then the jobs that it does not show are
        read, because they have ended.
        """
        since_ms = _oldest_ms(wanted)
        whole = cluster.calls.by_moment and since_ms != cluster.crowded_since_ms
        if whole and await self._list(cluster_id, cluster, wanted, _pages(cluster, len(wanted)) + 1):
            return

        # The whole list is too long: from this moment on the next polls begin with unfinished jobs.
        cluster.crowded_since_ms = since_ms
        await self._list(cluster_id, cluster, wanted, None)
        if cluster.calls.by_moment and len(wanted) > self._settings.single_reads:
            await self._list(cluster_id, cluster, wanted, len(wanted))

    async def _list(
        self,
        cluster_id: str,
        cluster: tracked_jobs.TrackedCluster,
        wanted: dict[str, tracked_jobs.TrackedJob],
        most_pages: int | None,
    ) -> bool:
        """
        Read the cluster's list from the oldest of `wanted` on; removes the listed jobs from `wanted`.

        Args:
            cluster_id: the cluster.
            cluster: its calls and jobs.
            wanted: by job id; not empty to begin with.
            most_pages: stop after the first page of a longer list; None: unfinished jobs only, all pages.

        Returns whether the list was read as far as needed.
        """
        since_ms = _oldest_ms(wanted)
        page = 1
        while wanted:
            read = await cluster.calls.page(cluster_id, page, since_ms, unfinished=most_pages is None)
            cluster.shown = True
            self._report_listed(wanted, read.jobs)
            if read.last:
                break
            if most_pages is not None and max(page + 1, _pages(cluster, read.total)) > most_pages:
                return not wanted
            page += 1
        return True

    def _report_listed(self, wanted: dict[str, tracked_jobs.TrackedJob], listed: Iterable[jobs.MrsStatus]) -> None:
        for seen in listed:
            tracked = wanted.pop(seen.job_id, None)
            if tracked is not None:
                self._seen(tracked, facts.JobObserved(seen))

    async def _one_by_one(
        self, cluster_id: str, cluster: tracked_jobs.TrackedCluster, wanted: list[tracked_jobs.TrackedJob]
    ) -> None:
        """
        Read each job by itself, a few at once. A job that MRS fails to show does not stop the report of others.

        Raises:
            MrsError: the first failure, once all have been read, or none of a group could be, or MRS throttles.
        """
        troubles: list[errors.MrsError] = []
        for start in range(0, len(wanted), _AT_ONCE):
            several = wanted[start : start + _AT_ONCE]
            failed: list[errors.MrsError] = []
            async with asyncio.TaskGroup() as group:
                for tracked in several:
                    group.create_task(self._read(cluster_id, cluster, tracked, failed), name=f"read {tracked.job_id}")

            throttled = next((error for error in failed if isinstance(error, errors.MrsThrottled)), None)
            if throttled is not None:
                raise throttled
            troubles += failed
            if len(failed) == len(several):
                break
        if troubles:
            raise troubles[0]

    async def _read(
        self,
        cluster_id: str,
        cluster: tracked_jobs.TrackedCluster,
        tracked: tracked_jobs.TrackedJob,
        failed: list[errors.MrsError],
    ) -> None:
        """Read one job; after a failure it moves behind all others, so that they come first in the next poll."""
        try:
            shown = await cluster.calls.show(cluster_id, tracked.job_id)
            if isinstance(shown, adapter.NoSuchJob):
                self._missing(tracked, shown.message)
            else:
                self._seen(tracked, shown)
            cluster.shown = cluster.read = True
        except errors.MrsError as error:
            failed.append(error)
            if not _is_about_cluster(cluster, error):
                tracked.end_missing()
            if cluster.jobs.get(tracked.job_id) is tracked:  # another owner may follow the job by now
                del cluster.jobs[tracked.job_id]
                cluster.jobs[tracked.job_id] = tracked

    def _seen(self, tracked: tracked_jobs.TrackedJob, fact: adapter.Sight) -> None:
        seen = fact.seen
        shown = hash(msgspec.structs.astuple(seen))
        if shown == tracked.reported and tracked.missing is None and tracked.unsettled is None:
            return  # as in the poll before: so it is with nearly all jobs in nearly all polls

        tracked.end_missing()
        known = fact.outcome
        self._settle(tracked, seen, is_clear=known is not verdict.Verdict.UNSETTLED and fact.is_documented)
        if seen.submitted_ms:
            tracked.since_ms = max(0, seen.submitted_ms - _ROUNDING_MS)
        if shown != tracked.reported:
            tracked.reported = shown
            if seen.finished_ms:
                self.lag.add(max(0.0, (self._time.now_ms() - seen.finished_ms) / 1000))
            tracked.ended = known in _ENDS
            tracked.owner.report(tracked.key, fact)

    def _settle(self, tracked: tracked_jobs.TrackedJob, seen: jobs.MrsStatus, *, is_clear: bool) -> None:
        """Give up a job or statement whose state shows for too long neither progress nor an outcome."""
        if is_clear:
            tracked.end_unsettled()
            return

        tracked.unsettled = tracked.unsettled or tracked_jobs.Wait()
        waited_s, is_over = self._wait(tracked, tracked.unsettled, self._settings.outcome_within_s)
        if is_over:
            text = f"MRS has shown {seen.job_state} without an outcome ({seen.job_result}) for {round(waited_s)} s"
            tracked.owner.report(tracked.key, facts.JobLost(text, "no_outcome"))

    def _missing(self, tracked: tracked_jobs.TrackedJob, message: str, code: str = "job_vanished") -> None:
        tracked.missing = tracked.missing or tracked_jobs.Wait()
        gone_s, is_over = self._wait(tracked, tracked.missing, self._settings.vanish_after_s)
        if is_over:
            text = f"MRS has not shown the job for {round(gone_s)} s: {message}"
            tracked.owner.report(tracked.key, facts.JobLost(text, code))

    def _wait(self, tracked: tracked_jobs.TrackedJob, wait: tracked_jobs.Wait, limit_s: float) -> tuple[float, bool]:
        """Count one more poll of a wait; returns the seconds of the wait and whether they reach the limit."""
        waited_s = wait.look(self._time, limit_s)
        is_over = waited_s >= limit_s
        if not is_over and wait.note(self._time, limit_s, waited_s):
            tracked.report_waits()
        return waited_s, is_over


def _is_about_cluster(cluster: tracked_jobs.TrackedCluster, error: errors.MrsError) -> bool:
    """Return whether a refusal concerns all jobs of the cluster: there is none, or its state forbids the read."""
    return error.code in cluster.calls.nowhere or isinstance(error, errors.MrsBusy)


def _pages(cluster: tracked_jobs.TrackedCluster, count: int) -> int:
    return -(-count // cluster.calls.page_size)


def _oldest_ms(wanted: Mapping[str, tracked_jobs.TrackedJob]) -> int:
    return min(tracked.since_ms for tracked in wanted.values())
