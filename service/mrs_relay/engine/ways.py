"""
The two ways of a batch job: V2's job API, and V1.1's for clusters that are too old for it.

All that differs between them stands here; `submitter` and `tracker` ask a way and know neither's operations. A way
makes calls and says what MRS shows. It waits for nothing, repeats nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from mrs_relay import errors
from mrs_relay.engine import codes, jobs, oldworks, results, sightings
from mrs_relay.engine import settings as engine_settings
from mrs_relay.messages import events
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import operation
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.models import oldjobs as old_models
from mrs_relay.mrs.operations import executions as execution_calls
from mrs_relay.mrs.operations import jobs as job_calls
from mrs_relay.mrs.operations import oldjobs as old_calls

_CLOCK_SKEW_MS: Final = 86_400_000
"""
How far MRS's clock may be behind ours when a look-up asks for jobs submitted since the intent. A day costs nothing, as
the mark is in the query, too; a job that the query leaves out would be submitted again. Signatures allow 15 minutes,
tokens any difference.
"""


def oldest_ms(job: jobs.Job) -> int:
    """
    From when on, epoch milliseconds, something on MRS can be the effect of the job's submission.

    What is older carries the mark of an earlier request with the same id, which is forgotten: it must not be adopted.
    """
    return max(0, job.intent_ms - _CLOCK_SKEW_MS)


_OLD_PAGE: Final = 100
"""Jobs per page that ListExecuteJob gives at most. Source: mrs_02_0046, page_size."""


@dataclass(frozen=True, slots=True)
class Page:
    """
    One page of a cluster's job list.

    Attributes:
        jobs: what it shows.
        total: how many jobs match, on all pages; 0 if MRS does not say.
        last: no page follows.
    """

    jobs: tuple[jobs.Seen, ...]
    total: int
    last: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """MRS shows no such job, and says so in `message`."""

    message: str


class Way(Protocol):
    """
    What a job API can do. Every method raises MrsError as the client does.

    Attributes:
        listing: the operation that reads a page; its budget paces the pollers.
        page_size: jobs of a page.
        by_moment: whether the list can begin at a moment of submission, oldest first.
        nowhere: error codes of the list that mean that the cluster has no job of this API at all.
    """

    listing: operation.AnyOperation
    page_size: int
    by_moment: bool
    nowhere: frozenset[str]

    async def submit(self, job: jobs.Job, work: jobs.Batch) -> str:
        """Ask MRS to run the job, once; returns its id."""

    async def marked(self, job: jobs.Job) -> list[jobs.Seen]:
        """All jobs with the very name of this attempt, the oldest first."""

    async def page(self, cluster: str, number: int, since_ms: int, *, unfinished: bool) -> Page:
        """Page `number` (from 1) of the jobs submitted since then if the list can tell, or of all `unfinished` ones."""

    async def show(self, cluster: str, job_id: str) -> jobs.Seen | Gone:
        """One job, read by itself."""

    async def stop(self, cluster: str, job_id: str) -> None:
        """Ask MRS to stop a job; that it was asked is no end yet, and the job may still end by itself."""

    async def collect(self, job: jobs.Job) -> events.Result:
        """What MRS tells of the result of a job that has succeeded."""


def by_api(client: clients.Client, settings: engine_settings.EngineSettings) -> Mapping[jobs.Api, Way]:
    """Both ways."""
    return MappingProxyType({"v2": V2(client, settings), "v1.1": V11(client, settings)})


class V2:
    """
    CreateExecuteJob, ShowJobExeListNew, ShowSingleJobExe, StopJob, ShowSqlResultWithJob.

    Args:
        client: the MRS client.
        settings: page size, and how many bytes of rows are kept.
    """

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings) -> None:
        self._client = client
        self._inline_bytes = settings.inline_result_bytes
        self.listing: operation.AnyOperation = job_calls.SHOW_JOB_EXE_LIST_NEW
        self.page_size = settings.list_page
        self.by_moment = True
        self.nowhere = frozenset({codes.NO_SUCH_CLUSTER})

    async def submit(self, job: jobs.Job, work: jobs.Batch) -> str:
        """Ask for it by CreateExecuteJob."""
        body = job_models.JobExecution.model_construct(
            job_type=work.job_type,  # type: ignore[arg-type]  # checked when the request was read
            job_name=job.mrs_name,
            arguments=work.arguments,
            properties=work.properties,
        )
        reply = await self._client.call(job_calls.CREATE_EXECUTE_JOB, path={"cluster_id": job.cluster}, body=body)
        return reply.job_id

    async def marked(self, job: jobs.Job) -> list[jobs.Seen]:
        """Jobs of that name by the list, from a day before the intent on."""
        found: list[jobs.Seen] = []
        page = 1
        while True:
            query = job_models.JobQuery(
                job_name=job.mrs_name,
                limit=self.page_size,
                offset=page,
                sort_by="asc",
                submitted_begin_ms=oldest_ms(job),
            )
            reply = await self._client.call(
                job_calls.SHOW_JOB_EXE_LIST_NEW, path={"cluster_id": job.cluster}, query=query
            )
            listed = reply.job_list or ()
            found += [sightings.of_job(detail) for detail in listed if detail.job_name == job.mrs_name]
            if len(listed) < self.page_size:
                return sorted(found, key=lambda seen: seen.submitted_ms)
            page += 1

    async def page(self, cluster: str, number: int, since_ms: int, *, unfinished: bool) -> Page:
        """Read a page of the list, oldest first from a moment on."""
        query = job_models.JobQuery(
            job_result=job_models.JobResult.UNDEFINED if unfinished else None,
            limit=self.page_size,
            offset=number,
            sort_by="asc",
            submitted_begin_ms=since_ms,
        )
        reply = await self._client.call(job_calls.SHOW_JOB_EXE_LIST_NEW, path={"cluster_id": cluster}, query=query)
        listed = reply.job_list or ()
        return Page(tuple(map(sightings.of_job, listed)), reply.total_record or 0, len(listed) < self.page_size)

    async def show(self, cluster: str, job_id: str) -> jobs.Seen | Gone:
        """Read it by ShowSingleJobExe; it is gone only if the list, asked for its id, does not show it either."""
        path = {"cluster_id": cluster, "job_execution_id": job_id}
        try:
            reply = await self._client.call(job_calls.SHOW_SINGLE_JOB_EXE, path=path)
        except errors.MrsRefused as error:
            if error.code not in codes.NO_SUCH_JOB:
                raise
            return await self._listed(cluster, job_id) or Gone(str(error))
        return sightings.of_job(reply.job_detail)

    async def _listed(self, cluster: str, job_id: str) -> jobs.Seen | None:
        """What the list shows of a job: where it does not answer, nobody can say that there is none."""
        query = job_models.JobQuery(job_id=job_id, limit=self.page_size, offset=1)
        reply = await self._client.call(job_calls.SHOW_JOB_EXE_LIST_NEW, path={"cluster_id": cluster}, query=query)
        shown = [detail for detail in reply.job_list or () if detail.job_id == job_id]
        return sightings.of_job(shown[0]) if shown else None

    async def stop(self, cluster: str, job_id: str) -> None:
        """Ask for it by StopJob. Source: StopJob: an accepted kill is no end yet."""
        path = {"cluster_id": cluster, "job_execution_id": job_id}
        await self._client.call(job_calls.STOP_JOB, path=path, spend_budget=True)

    async def collect(self, job: jobs.Job) -> events.Result:
        """Read the rows of a Spark SQL job."""
        path = {"cluster_id": job.cluster, "job_execution_id": job.seen.job_id if job.seen else ""}
        try:
            reply = await self._client.call(job_calls.SHOW_SQL_RESULT_WITH_JOB, path=path)
        except errors.MrsRefused as error:
            if error.code != codes.EMPTY_RESULT:
                raise
            return events.Result()
        return results.inline(reply.statements[job.skip :], self._inline_bytes)


class V11:
    """
    CreateAndExecuteJob, ListExecuteJob, ShowJobExes, CancelJobExecution.

    One call stores and starts a job and returns its id, so there is one intent and one effect, as with V2.

    Args:
        client: the MRS client.
        settings: page size.
    """

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings) -> None:
        self._client = client
        self.listing: operation.AnyOperation = old_calls.LIST_EXECUTE_JOB
        self.page_size = min(_OLD_PAGE, settings.list_page)
        self.by_moment = False
        self.nowhere = codes.NO_OLD_JOBS | {codes.NO_SUCH_CLUSTER}

    async def submit(self, job: jobs.Job, work: jobs.Batch) -> str:
        """Ask for it by CreateAndExecuteJob; a reply that names no job leaves open whether there is one."""
        body = old_models.JobToSubmit.model_construct(
            job_type=oldworks.TYPES[work.job_type],
            job_name=job.mrs_name,
            cluster_id=job.cluster,
            arguments=" ".join(work.arguments) or None,
            **work.properties,  # type: ignore[arg-type]  # checked when the request was read
        )
        reply = await self._client.call(old_calls.CREATE_AND_EXECUTE_JOB, body=body)
        if not reply.job_execution.id:
            raise errors.MrsAmbiguous("the reply names no job", request_id=reply.request_id)
        return reply.job_execution.id

    async def marked(self, job: jobs.Job) -> list[jobs.Seen]:
        """
        Jobs of that name by the list, all its pages, from a day before the intent on.

        No order of the list is documented, and neither whether the name must match exactly.
        """
        found: dict[str, jobs.Seen] = {}
        number = 1
        while True:
            listed, last = await self._read(job.cluster, number, job_name=job.mrs_name)
            found |= {one.id: sightings.of_old_job(one) for one in listed if one.job_name == job.mrs_name}
            if last:
                since_ms = oldest_ms(job)
                recent = [one for one in found.values() if not one.submitted_ms or one.submitted_ms >= since_ms]
                return sorted(recent, key=lambda seen: seen.submitted_ms)
            number += 1

    async def page(self, cluster: str, number: int, since_ms: int, *, unfinished: bool) -> Page:  # noqa: ARG002 - V1.1's list knows no times
        """Read a page of the list, of running jobs only or of all, in the order in which MRS shows them."""
        state = old_models.OldState.RUNNING if unfinished else None
        listed, last = await self._read(cluster, number, state=state)
        return Page(tuple(map(sightings.of_old_job, listed)), 0, last)

    async def show(self, cluster: str, job_id: str) -> jobs.Seen | Gone:
        """Read it by ShowJobExes; see `find`."""
        found = await self.find(cluster, job_id)
        return found if isinstance(found, Gone) else sightings.of_old_job(found)

    async def find(self, cluster: str, job_id: str) -> old_models.OldJob | Gone:
        """
        Read it by ShowJobExes.

        How that refuses an unknown job is not documented, so a job is gone only when the list, asked for its id, does
        not show it either. Source: acceptance tests of two clients: 400, in some regions 500.
        """
        try:
            reply = await self._client.call(old_calls.SHOW_JOB_EXES, path={"job_exe_id": job_id})
        except (errors.MrsRefused, errors.MrsUntouched) as error:
            if error.status not in {400, 404, 500} or error.code in self.nowhere:
                raise
            listed, last = await self._read(cluster, 1, job_id=job_id)
            shown = next((one for one in listed if one.id == job_id), None)
            if shown is None and last:
                return Gone(str(error))
            if shown is None:
                raise
            return shown
        return reply.job_execution

    async def stop(self, cluster: str, job_id: str) -> None:  # noqa: ARG002 - V1.1 finds a job by its id alone
        """
        Ask for it by CancelJobExecution.

        Source: mrs_02_0052; that it takes ids of CreateAndExecuteJob is what its example shows, no page says so.
        """
        path = {"job_execution_id": job_id}
        await self._client.call(execution_calls.CANCEL_JOB_EXECUTION, path=path, spend_budget=True)

    async def collect(self, job: jobs.Job) -> events.Result:
        """Read where the job wrote and where its log is; V1.1 gives out no rows."""
        path = {"job_exe_id": job.seen.job_id if job.seen else ""}
        shown = (await self._client.call(old_calls.SHOW_JOB_EXES, path=path)).job_execution
        return events.Result(location=shown.output or None, log_location=shown.job_log or None)

    async def _read(
        self,
        cluster: str,
        number: int,
        *,
        job_name: str | None = None,
        job_id: str | None = None,
        state: old_models.OldState | None = None,
    ) -> tuple[tuple[old_models.OldJob, ...], bool]:
        query = old_models.OldJobQuery(
            cluster_id=cluster, id=job_id, page_size=self.page_size, current_page=number, job_name=job_name, state=state
        )
        listed = (await self._client.call(old_calls.LIST_EXECUTE_JOB, query=query)).job_executions
        return listed, len(listed) < self.page_size
