"""
Adapt the engine to batch jobs on V2's job API, SQL of Spark and Hive included.

A look-up finds a lost submission by the token in the job's name. Operations: CreateExecuteJob, ShowJobExeListNew,
ShowSingleJobExe, StopJob, ShowSqlResultWithJob.
"""

from __future__ import annotations

from typing import Final

from mrs_relay import errors
from mrs_relay.engine import redaction
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import adapter, codes, observations, results
from mrs_relay.messages import events, requests
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.models import jobs as models
from mrs_relay.mrs.operations import jobs as operations

_SQL_JOBS: Final = {"spark": "SparkSql", "hive": "HiveSql"}


class BatchV2(adapter.WorkAdapter):
    """Batch jobs and SQL scripts."""

    name = "batch_v2"
    traits = adapter.Traits(is_listed=True, leaves_log=True)

    def takes(self, request: requests.Work) -> bool:
        """Return whether the request is a job for V2, or SQL for an engine that runs it as a job."""
        if isinstance(request, requests.SqlSubmit):
            return request.engine in _SQL_JOBS
        return isinstance(request, requests.JobSubmit) and request.api == "v2"

    def draft(self, request: requests.Work, result_job_types: frozenset[str]) -> adapter.Draft:
        """Take the job as the request defines it; SQL becomes the argument of a job."""
        cluster = adapter.named_cluster(request)
        if isinstance(request, requests.JobSubmit):
            job = request.job
            work = jobs.Batch(job.job_type, tuple(job.arguments), job.properties)
            return adapter.Draft(work, cluster, job.job_name, collect=work.job_type in result_job_types)

        assert isinstance(request, requests.SqlSubmit)  # noqa: S101 - see `takes`
        # NB: SparkSql and HiveSql jobs have no database field; a leading USE chooses it and adds one result.
        chosen = request.database != "default"
        text = f"use {request.database};{request.statement}" if chosen else request.statement
        work = jobs.Batch(_SQL_JOBS[request.engine], (text,))
        collect = work.job_type in result_job_types
        return adapter.Draft(work, cluster, request.job_name, skip=int(chosen), collect=collect)

    def subject(self, request: requests.Work) -> adapter.PolicySubject:
        """Return the cluster, and the job's type."""
        clusters = adapter.named_clusters(request)
        if isinstance(request, requests.SqlSubmit):
            return adapter.PolicySubject(clusters, (_SQL_JOBS[request.engine],))
        return adapter.PolicySubject(
            clusters, (request.job.job_type,) if isinstance(request, requests.JobSubmit) else ()
        )

    def connect(self, client: clients.Client, settings: engine_settings.EngineSettings) -> adapter.WorkCalls:
        """Return the calls of V2."""
        return Calls(client, settings)

    def operation(self, job: jobs.Job) -> str:  # noqa: ARG002 - it is the same for all jobs
        """Return V2's operation that submits a job."""
        return jobs.SUBMISSION

    def is_findable(self, job: jobs.Job) -> bool:
        """Return whether the job's work is known, so that a look-up can search for its name."""
        return isinstance(job.work, jobs.Batch)

    def asked(self, job: jobs.Job) -> redaction.Asked | None:
        """Hide arguments, which may be SQL, and properties."""
        work = job.work
        if not isinstance(work, jobs.Batch):
            return None
        return redaction.Asked((*adapter.texts(work.arguments), *work.properties.values()), work.arguments)


class Calls(adapter.WorkCalls):
    """
    The calls of V2's job API.

    Args:
        client: the MRS client.
        settings: page size, and the largest size of rows that is kept.
    """

    listing = operations.SHOW_JOB_EXE_LIST_NEW
    by_moment = True

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings) -> None:
        self._client = client
        self._inline_bytes = settings.inline_result_bytes
        self.page_size = settings.list_page

    async def submit(self, job: jobs.Job) -> facts.Fact:
        """Submit the job by CreateExecuteJob."""
        work = adapter.unsent(job, jobs.Batch)
        # The values were checked when the request was read.
        body = models.written(work.job_type, job.mrs_name, work.arguments, work.properties)
        reply = await self._client.call(operations.CREATE_EXECUTE_JOB, path={"cluster_id": job.cluster}, body=body)
        return facts.SubmissionAccepted(reply.job_id)

    async def find_submitted(self, job: jobs.Job) -> list[jobs.MrsStatus]:
        """Return the jobs with exactly this name in the list, from a day before the intent on."""
        found: list[jobs.MrsStatus] = []
        page = 1

        while True:
            query = models.JobQuery(
                job_name=job.mrs_name,
                limit=self.page_size,
                offset=page,
                sort_by="asc",
                submitted_begin_ms=adapter.list_since_ms(job),
            )
            reply = await self._client.call(
                operations.SHOW_JOB_EXE_LIST_NEW, path={"cluster_id": job.cluster}, query=query
            )
            listed = reply.job_list or ()
            found += [observations.of_job(detail) for detail in listed if detail.job_name == job.mrs_name]

            if len(listed) < self.page_size:
                return sorted(found, key=lambda seen: seen.submitted_ms)
            page += 1

    async def page(self, cluster: str, number: int, since_ms: int, *, unfinished: bool) -> adapter.Page:
        """Read a page of the list, oldest first from a moment on."""
        query = models.JobQuery(
            job_result=models.JobResult.UNDEFINED if unfinished else None,
            limit=self.page_size,
            offset=number,
            sort_by="asc",
            submitted_begin_ms=since_ms,
        )
        reply = await self._client.call(operations.SHOW_JOB_EXE_LIST_NEW, path={"cluster_id": cluster}, query=query)
        listed = reply.job_list or ()
        return adapter.Page(
            tuple(map(observations.of_job, listed)), reply.total_record or 0, len(listed) < self.page_size
        )

    async def show(self, cluster: str, job_id: str) -> adapter.Sight | adapter.NoSuchJob:
        """Read the job by ShowSingleJobExe; it is gone only if the list, queried by its id, does not show it either."""
        path = {"cluster_id": cluster, "job_execution_id": job_id}
        try:
            reply = await self._client.call(operations.SHOW_SINGLE_JOB_EXE, path=path)
        except errors.MrsRefused as error:
            if error.code not in codes.NO_SUCH_JOB:
                raise
            return await self._listed(cluster, job_id) or adapter.NoSuchJob(str(error))
        return facts.JobObserved(observations.of_job(reply.job_detail))

    async def _listed(self, cluster: str, job_id: str) -> facts.JobObserved | None:
        """Return a job as the list shows it; None: not listed. A failed read raises: it does not prove an absence."""
        query = models.JobQuery(job_id=job_id, limit=self.page_size, offset=1)
        reply = await self._client.call(operations.SHOW_JOB_EXE_LIST_NEW, path={"cluster_id": cluster}, query=query)
        shown = [detail for detail in reply.job_list or () if detail.job_id == job_id]
        return facts.JobObserved(observations.of_job(shown[0])) if shown else None

    async def stop(self, cluster: str, job_id: str) -> None:
        """Stop the job by StopJob. Source: StopJob: an accepted kill is no end yet."""
        path = {"cluster_id": cluster, "job_execution_id": job_id}
        await self._client.call(operations.STOP_JOB, path=path, spend_budget=True)

    async def collect(self, job: jobs.Job) -> events.Result:
        """Read the rows of a Spark SQL job."""
        path = {"cluster_id": job.cluster, "job_execution_id": job.seen.job_id if job.seen else ""}
        try:
            reply = await self._client.call(operations.SHOW_SQL_RESULT_WITH_JOB, path=path)
        except errors.MrsRefused as error:
            if error.code != codes.EMPTY_RESULT:
                raise
            return events.Result()
        return results.inline(reply.statements[job.skip :], self._inline_bytes)
