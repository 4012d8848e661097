"""
Adapt the engine to batch jobs on V1.1's job API, for clusters that are too old for V2's.

`messages/v11_rules` checks the requests. Operations: CreateAndExecuteJob, ListExecuteJob, ShowJobExes,
CancelJobExecution. One call stores and starts a job and returns its id, so there is one intent and one effect, as with
V2. Source: CreateAndExecuteJob (mrs_02_0040).
"""

from __future__ import annotations

from typing import Final

import pydantic

from mrs_relay import errors
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import adapter, batch_v2, codes, observations
from mrs_relay.messages import events, requests, v11_rules
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.models import jobs_v11 as models
from mrs_relay.mrs.operations import executions
from mrs_relay.mrs.operations import jobs_v11 as operations

TYPES: Final = {
    "MapReduce": models.ProgramType.MAP_REDUCE,
    "SparkSubmit": models.ProgramType.SPARK,
    "HiveScript": models.ProgramType.HIVE_SCRIPT,
    "DistCp": models.ProgramType.DIST_CP,
    "SparkScript": models.ProgramType.SPARK_SCRIPT,
}
"""Job types of V1.1, by V2's names, with V1.1's numbers."""


_V11_PAGE: Final = 100
"""Most jobs per page of ListExecuteJob. Source: mrs_02_0046, page_size."""


class BatchV11(batch_v2.BatchV2):
    """Batch jobs of old clusters: like those of V2, except for their fields and their calls."""

    name = "batch_v11"

    def takes(self, request: requests.Work) -> bool:
        """Return whether the request is a job for V1.1, which runs no SQL."""
        return isinstance(request, requests.JobSubmit) and request.api == "v1.1"

    def draft(self, request: requests.Work, result_job_types: frozenset[str]) -> adapter.Draft:  # noqa: ARG002 - V1.1 gives out no rows
        """Keep V1.1's own fields as properties; collect the places of its output and its log after success."""
        assert isinstance(request, requests.JobSubmit)  # noqa: S101 - see `takes`
        work = _batch(request.job)
        collect = not work.properties.keys().isdisjoint({"output", "job_log"})
        return adapter.Draft(work, adapter.named_cluster(request), request.job.job_name, collect=collect, api="v1.1")

    def connect(self, client: clients.Client, settings: engine_settings.EngineSettings) -> adapter.WorkCalls:
        """Return the calls of V1.1."""
        return Calls(client, settings)

    def operation(self, job: jobs.Job) -> str:  # noqa: ARG002 - it is the same for all jobs
        """Return V1.1's operation that submits a job."""
        return jobs.V11_SUBMISSION


def _batch(job: requests.BatchJob) -> jobs.Batch:
    named = {name: value for name in v11_rules.FIELDS if (value := getattr(job, name)) is not None}
    try:
        models.JobProgram.model_validate({"job_type": TYPES[job.job_type], "job_name": job.job_name, **named})
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(["data", "job", *map(str, fault["loc"])])
        raise errors.BadMessage("bad_value", f"`{field}`: {fault['msg']}", field=field) from error
    return jobs.Batch(job.job_type, tuple(job.arguments), named)


class Calls(adapter.WorkCalls):
    """
    The calls of V1.1's job API.

    Args:
        client: the MRS client.
        settings: page size.
    """

    nowhere = codes.NO_OLD_JOBS | {codes.NO_SUCH_CLUSTER}
    listing = operations.LIST_EXECUTE_JOB

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings) -> None:
        self._client = client
        self.page_size = min(_V11_PAGE, settings.list_page)

    async def submit(self, job: jobs.Job) -> facts.Fact:
        """Submit the job by CreateAndExecuteJob; after a reply without an id the submission is in doubt."""
        work = adapter.unsent(job, jobs.Batch)
        body = models.JobToSubmit.model_construct(
            job_type=TYPES[work.job_type],
            job_name=job.mrs_name,
            cluster_id=job.cluster,
            arguments=" ".join(work.arguments) or None,
            **work.properties,  # type: ignore[arg-type]  # checked when the request was read
        )
        reply = await self._client.call(operations.CREATE_AND_EXECUTE_JOB, body=body)
        if not reply.job_execution.id:
            raise errors.MrsAmbiguous("the reply names no job", request_id=reply.request_id)
        return facts.SubmissionAccepted(reply.job_execution.id)

    async def find_submitted(self, job: jobs.Job) -> list[jobs.MrsStatus]:
        """
        Return the jobs with exactly this name, from a day before the intent on; reads all pages of the list.

        Neither the order of the list is documented, nor whether the name must match exactly.
        """
        found: dict[str, jobs.MrsStatus] = {}
        number = 1

        while True:
            listed, last = await self._read(job.cluster, number, job_name=job.mrs_name)
            found |= {one.id: observations.of_v11_job(one) for one in listed if one.job_name == job.mrs_name}
            if last:
                since_ms = adapter.list_since_ms(job)
                recent = [one for one in found.values() if not one.submitted_ms or one.submitted_ms >= since_ms]
                return sorted(recent, key=lambda seen: seen.submitted_ms)
            number += 1

    async def page(self, cluster: str, number: int, since_ms: int, *, unfinished: bool) -> adapter.Page:  # noqa: ARG002 - V1.1's list knows no times
        """Read a page of the list, of running jobs or of all jobs, in MRS's order."""
        state = models.StateV11.RUNNING if unfinished else None
        listed, last = await self._read(cluster, number, state=state)
        return adapter.Page(tuple(map(observations.of_v11_job, listed)), 0, last)

    async def show(self, cluster: str, job_id: str) -> adapter.Sight | adapter.NoSuchJob:
        """Read the job by ShowJobExes; see `find`."""
        found = await self.find(cluster, job_id)
        return found if isinstance(found, adapter.NoSuchJob) else facts.JobObserved(observations.of_v11_job(found))

    async def find(self, cluster: str, job_id: str) -> models.JobV11 | adapter.NoSuchJob:
        """
        Read the job by ShowJobExes.

        The refusal of an unknown job is not documented, so a job is gone only if the list, queried for its id, does not
        show it either. Source: acceptance tests of two clients: 400, in some regions 500.
        """
        try:
            reply = await self._client.call(operations.SHOW_JOB_EXES, path={"job_exe_id": job_id})
        except (errors.MrsRefused, errors.MrsUntouched) as error:
            if error.status not in {400, 404, 500} or error.code in self.nowhere:
                raise

            listed, last = await self._read(cluster, 1, job_id=job_id)
            shown = next((one for one in listed if one.id == job_id), None)
            if shown is None and last:
                return adapter.NoSuchJob(str(error))
            if shown is None:
                raise
            return shown
        return reply.job_execution

    async def stop(self, cluster: str, job_id: str) -> None:  # noqa: ARG002 - V1.1 finds a job by its id alone
        """
        Stop the job by CancelJobExecution.

        Source: mrs_02_0052; its example shows that it accepts ids of CreateAndExecuteJob, but no page says so.
        """
        path = {"job_execution_id": job_id}
        await self._client.call(executions.CANCEL_JOB_EXECUTION, path=path, spend_budget=True)

    async def collect(self, job: jobs.Job) -> events.Result:
        """Read the places of the job's output and of its log; V1.1 returns no rows."""
        path = {"job_exe_id": job.seen.job_id if job.seen else ""}
        shown = (await self._client.call(operations.SHOW_JOB_EXES, path=path)).job_execution
        return events.Result(location=shown.output or None, log_location=shown.job_log or None)

    async def _read(
        self,
        cluster: str,
        number: int,
        *,
        job_name: str | None = None,
        job_id: str | None = None,
        state: models.StateV11 | None = None,
    ) -> tuple[tuple[models.JobV11, ...], bool]:
        query = models.JobQueryV11(
            cluster_id=cluster, id=job_id, page_size=self.page_size, current_page=number, job_name=job_name, state=state
        )
        listed = (await self._client.call(operations.LIST_EXECUTE_JOB, query=query)).job_executions
        return listed, len(listed) < self.page_size
