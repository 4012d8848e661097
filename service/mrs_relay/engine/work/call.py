"""
One call of any MRS operation: the reply is its end. The deletion of job records is such a call, too.

A call is sent once. After a lost reply it is repeated only if a repetition does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mrs_relay import errors
from mrs_relay.engine import redaction
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import adapter, batch_v11, codes, results
from mrs_relay.messages import events, requests
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import operation, transport, validation
from mrs_relay.mrs.models import jobs_v11 as v11_models
from mrs_relay.mrs.operations import executions, registry
from mrs_relay.mrs.operations import jobs as job_operations

_NOT_FOUND: Final = 404

_SQL_CALLS: Final = frozenset({"ExecuteSql"})

_V11_JOB_TYPES: Final[dict[object, str]] = {
    **{number.value: name for name, number in batch_v11.TYPES.items()},
    v11_models.ProgramType.HIVE_SQL.value: "HiveSql",
    v11_models.ProgramType.SPARK_SQL.value: "SparkSql",
    "Spark": "SparkSubmit",
    "Hive": "HiveScript",
    "hql": "HiveSql",
}
"""Job types of V1.1, by number and by name. Source: job_type of submit-job, type of CreateJob."""

_JOB_TYPE_FIELDS: Final = ("job_type", "type")
_V11_JOB_CALLS: Final = frozenset({"CreateJob", "UpdateJob"})
"""Here the job's type stands in `type`."""

_STORED_JOB_CALLS: Final = frozenset({"ExecuteJob"})
"""Here a job starts whose type stands on MRS alone: it counts as none that is named."""


class Call(adapter.WorkAdapter):
    """Calls."""

    name = "call"
    traits = adapter.Traits(ends_with_reply=True, names_operation=True)

    def takes(self, request: requests.Work) -> bool:
        """Take a call, or the deletion of job records."""
        return isinstance(request, requests.Call | requests.JobDelete)

    def draft(self, request: requests.Work, result_job_types: frozenset[str]) -> adapter.Draft:  # noqa: ARG002 - there are no rows
        """Check the call against the operation's own models."""
        if isinstance(request, requests.Call):
            work = checked(registry.named(request.operation), request.path, request.query, request.body)
            return adapter.Draft(work, request.path.get("cluster_id", ""))
        assert isinstance(request, requests.JobDelete)  # noqa: S101 - see `takes`
        return adapter.Draft(_deletion(request), request.cluster)

    def subject(self, request: requests.Work) -> adapter.PolicySubject:
        """Name the operation, and what stands in its body: clusters, types of jobs, an order of a cluster."""
        if not isinstance(request, requests.Call):
            return adapter.PolicySubject(adapter.named_clusters(request))
        given, body = [request.path, request.query, request.body], request.body or {}
        clusters = [str(value) for name in ("cluster_id", "clusterId") for value in values(given, name)]
        ordered = body if isinstance(body.get("cluster_name"), str) else None
        return adapter.PolicySubject(clusters, _job_types(request), request.operation, ordered)

    def connect(self, client: clients.Client, settings: engine_settings.EngineSettings) -> adapter.WorkCalls:
        """Return the one call of any operation."""
        return Calls(client, settings)

    def operation(self, job: jobs.Job) -> str:
        """Return the operation that is called, as long as the call is to be made."""
        return job.work.operation if isinstance(job.work, jobs.Call) else ""

    def is_repeatable(self, job: jobs.Job) -> bool:
        """Whether the operation may be called twice."""
        return isinstance(job.work, jobs.Call) and job.work.repeatable

    def only_reads(self, job: jobs.Job) -> bool:
        """Whether the operation is a read."""
        return isinstance(job.work, jobs.Call) and job.work.reads

    def is_refusal_final(self, job: jobs.Job) -> bool:
        """A call that was carried out is often refused the second time: what it wanted has been done."""
        return not isinstance(job.work, jobs.Call)

    def asked(self, job: jobs.Job) -> redaction.Asked | None:
        """Hide the secrets of its body and its query."""
        work = job.work
        return redaction.Asked(redaction.secrets([work.body, work.query])) if isinstance(work, jobs.Call) else None


def checked(
    wanted: operation.AnyOperation,
    path: dict[str, str] | None = None,
    query: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
    goal: jobs.TargetState | None = None,
) -> jobs.Call:
    """
    Make a call that MRS could take.

    Raises:
        BadMessage: the operation does not take it.
    """
    try:
        validation.check(wanted, path=path or {}, query=query, body=body)
    except errors.MrsRefused as error:
        raise errors.BadMessage("bad_value", error.message, field="data") from error
    repeatable = wanted.safety is not operation.Safety.NON_REPEATABLE_WRITE
    reads = wanted.safety is operation.Safety.READ
    return jobs.Call(wanted.name, path or {}, query or {}, body, repeatable, goal, reads)


def _deletion(request: requests.JobDelete) -> jobs.Call:
    if request.api == "v1.1":
        return checked(executions.DELETE_JOB_EXECUTION, {"job_execution_id": request.job_ids[0]})
    body = {"job_id_list": request.job_ids}
    return checked(job_operations.BATCH_DELETE_JOBS, {"cluster_id": request.cluster}, body=body)


def _job_types(request: requests.Call) -> tuple[str, ...]:
    """Types of the jobs that a call starts."""
    called = request.operation
    fields = _JOB_TYPE_FIELDS if called in _V11_JOB_CALLS else _JOB_TYPE_FIELDS[:1]
    return (
        *([policies.PRESTO] if called in _SQL_CALLS else []),
        *([""] if called in _STORED_JOB_CALLS else []),
        *(job_type for name in fields for job_type in named_job_types(request.body, name)),
    )


def named_job_types(body: Any, name: str = "job_type") -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield the types of jobs in a body, by their names of V2; "" for one that is not known."""
    return map(_named, values(body, name))


def _named(job_type: object) -> str:
    if isinstance(job_type, str) and job_type.isdecimal() and len(job_type) == 1:
        job_type = int(job_type)
    known = _V11_JOB_TYPES.get(job_type) if isinstance(job_type, str | int) else None
    return known or (job_type if isinstance(job_type, str) else "")


def values(node: Any, name: str) -> Iterator[Any]:  # noqa: ANN401 - JSON
    """Yield all values of members called `name`, at any depth."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from (value for key, value in one.items() if key == name)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


class Calls(adapter.WorkCalls):
    """
    The one call of any operation.

    Args:
        client: the MRS client.
        settings: how many bytes of a reply an event carries.
    """

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings) -> None:
        self._client = client
        self._old = batch_v11.Calls(client, settings)
        self._most_reply_bytes = settings.inline_result_bytes

    async def submit(self, job: jobs.Job) -> facts.Fact:
        """Make the call, once."""
        work = adapter.unsent(job, jobs.Call)
        wanted = registry.named(work.operation)
        deletes_run = job.subject == "job" and wanted is executions.DELETE_JOB_EXECUTION
        if deletes_run and (known := await self._known_about_run(job, work)) is not None:
            return known
        try:
            reply = await send(self._client, wanted, work, work.body)
        except errors.MrsRefused as error:
            if deletes_run and _is_gone(error):
                return facts.CallReplied(events.Result(reply={}))  # its record is gone, which is what was asked for
            raise
        return facts.CallReplied(results.reply(reply, self._most_reply_bytes))

    async def _known_about_run(self, job: jobs.Job, work: jobs.Call) -> facts.Fact | None:
        """
        What stands against deleting a V1.1 job; None: nothing, it is a job of the request's cluster.

        V1.1 deletes, and stops, by the job's id alone, whatever its cluster; the request names one, and may name no
        other. Where MRS does not show the job by itself, the cluster's list decides.
        """
        run_id = work.path["job_execution_id"]
        shown = await self._old.find(job.cluster, run_id)
        if isinstance(shown, adapter.NoSuchJob):
            return facts.CallReplied(events.Result(reply={}))
        if shown.cluster_id in {None, "", job.cluster}:
            return None
        text = f"job {run_id} is none of cluster {job.cluster}; name the cluster on which it ran"
        return facts.SubmissionRefused(jobs.Reason("invalid", "bad_value", text, field="data.job_ids"))


def _is_gone(error: errors.MrsRefused) -> bool:
    """Whether there is no such job, so that its record need not be deleted. Source: Terraform providers: 404 (V1.1)."""
    return error.code in codes.NO_SUCH_JOB or error.status == _NOT_FOUND


async def send(
    client: clients.Client, wanted: operation.AnyOperation, work: jobs.Call, body: dict[str, Any] | None
) -> Any:  # noqa: ANN401 - the operation's own reply
    """
    Send a call; of one that was sent and failed nobody knows the outcome.

    A write that MRS calls failed may be half done, and a read is not repeated without end. Only a call that surely
    did not leave waits for MRS to be there.
    """
    try:
        return await client.call(wanted, path=work.path, query=work.query or None, body=body, spend_budget=False)
    except errors.MrsUntouched as error:
        if error.status is None and not isinstance(error.__cause__, transport.Lost):
            raise
        raise errors.MrsAmbiguous(
            error.message,
            method=error.method,
            path=error.path,
            status=error.status,
            code=error.code,
            request_id=error.request_id,
        ) from error
