"""
Adapt the engine to calls of any MRS operation, which end with the reply; the deletion of job records is such a call.

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
"""Operations with the job's type in `type`."""

_STORED_JOB_CALLS: Final = frozenset({"ExecuteJob"})
"""Operations that start a job whose type only MRS knows; it counts as an unknown type."""


class Call(adapter.WorkAdapter):
    """Calls of MRS operations."""

    name = "call"
    traits = adapter.Traits(ends_with_reply=True, names_operation=True)

    def takes(self, request: requests.Work) -> bool:
        """Return whether the request is a call, or the deletion of job records."""
        return isinstance(request, requests.Call | requests.JobDelete)

    def draft(self, request: requests.Work, result_job_types: frozenset[str]) -> adapter.Draft:  # noqa: ARG002 - there are no rows
        """Check the call against the operation's own models."""
        if isinstance(request, requests.Call):
            work = checked(registry.named(request.operation), request.path, request.query, request.body)
            return adapter.Draft(work, request.path.get("cluster_id", ""))
        assert isinstance(request, requests.JobDelete)  # noqa: S101 - see `takes`
        return adapter.Draft(_deletion(request), request.cluster)

    def subject(self, request: requests.Work) -> adapter.PolicySubject:
        """Return the operation, and what the request's values name: clusters, types of jobs, a cluster to create."""
        if not isinstance(request, requests.Call):
            return adapter.PolicySubject(adapter.named_clusters(request))
        given, body = [request.path, request.query, request.body], request.body or {}
        clusters = [str(value) for name in ("cluster_id", "clusterId") for value in values(given, name)]
        ordered = body if isinstance(body.get("cluster_name"), str) else None
        return adapter.PolicySubject(clusters, _job_types(request), request.operation, ordered)

    def connect(self, client: clients.Client, settings: engine_settings.EngineSettings) -> adapter.WorkCalls:
        """Return the calls of operations."""
        return Calls(client, settings)

    def operation(self, job: jobs.Job) -> str:
        """Return the operation of the call; "" when the call has been made."""
        return job.work.operation if isinstance(job.work, jobs.Call) else ""

    def is_repeatable(self, job: jobs.Job) -> bool:
        """Return whether the operation may be called twice."""
        return isinstance(job.work, jobs.Call) and job.work.repeatable

    def only_reads(self, job: jobs.Job) -> bool:
        """Return whether the operation is a read."""
        return isinstance(job.work, jobs.Call) and job.work.reads

    def is_refusal_final(self, job: jobs.Job) -> bool:
        """Return False for a call: MRS often refuses a repetition because the first call took effect."""
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
    target: jobs.TargetState | None = None,
) -> jobs.Call:
    """
    Make a call whose values fit the operation's models.

    Raises:
        BadMessage: the operation does not accept them.
    """
    try:
        validation.check(wanted, path=path or {}, query=query, body=body)
    except errors.MrsRefused as error:
        raise errors.BadMessage("bad_value", error.message, field="data") from error

    repeatable = wanted.safety is not operation.Safety.NON_REPEATABLE_WRITE
    reads = wanted.safety is operation.Safety.READ
    return jobs.Call(wanted.name, path or {}, query or {}, body, repeatable, target, reads)


def _deletion(request: requests.JobDelete) -> jobs.Call:
    if request.api == "v1.1":
        return checked(executions.DELETE_JOB_EXECUTION, {"job_execution_id": request.job_ids[0]})
    body = {"job_id_list": request.job_ids}
    return checked(job_operations.BATCH_DELETE_JOBS, {"cluster_id": request.cluster}, body=body)


def _job_types(request: requests.Call) -> tuple[str, ...]:
    """Return the types of the jobs that a call starts."""
    called = request.operation
    fields = _JOB_TYPE_FIELDS if called in _V11_JOB_CALLS else _JOB_TYPE_FIELDS[:1]
    return (
        *([policies.PRESTO] if called in _SQL_CALLS else []),
        *([""] if called in _STORED_JOB_CALLS else []),
        *(job_type for name in fields for job_type in named_job_types(request.body, name)),
    )


def named_job_types(body: Any, name: str = "job_type") -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield the types of jobs in a body, by V2's names; "" for an unknown type."""
    return map(_named, values(body, name))


def _named(job_type: object) -> str:
    if isinstance(job_type, str) and job_type.isdecimal() and len(job_type) == 1:
        job_type = int(job_type)
    known = _V11_JOB_TYPES.get(job_type) if isinstance(job_type, str | int) else None
    return known or (job_type if isinstance(job_type, str) else "")


def values(node: Any, name: str) -> Iterator[Any]:  # noqa: ANN401 - JSON
    """Yield the values of all members called `name`, at any depth."""
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
    The calls of operations.

    Args:
        client: the MRS client.
        settings: the largest size of a reply in an event.
    """

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings) -> None:
        self._client = client
        self._old = batch_v11.Calls(client, settings)
        self._most_reply_bytes = settings.inline_result_bytes

    async def submit(self, job: jobs.Job) -> facts.Fact:
        """Make the call, once."""
        work = adapter.unsent(job, jobs.Call)
        wanted = registry.named(work.operation)

        # V1.1 deletes a job's record by its id alone: check first that the job belongs to the request's cluster.
        deletes_run = job.subject == "job" and wanted is executions.DELETE_JOB_EXECUTION
        if deletes_run and (known := await self._known_about_run(job, work)) is not None:
            return known

        try:
            reply = await send(self._client, wanted, work, work.body)
        except errors.MrsRefused as error:
            if deletes_run and _is_gone(error):
                return facts.CallReplied(events.Result(reply={}))  # the record is gone, as requested
            raise
        return facts.CallReplied(results.reply(reply, self._most_reply_bytes))

    async def _known_about_run(self, job: jobs.Job, work: jobs.Call) -> facts.Fact | None:
        """
        Return the fact that makes the deletion of a V1.1 job needless or forbids it; None: delete it.

        V1.1 deletes and stops a job by its id alone, on any cluster; the request names a cluster, and may delete only
        jobs of this one. If MRS does not show the job by itself, the cluster's list decides.
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
    """Return whether there is no such job, so no record to delete. Source: Terraform providers: 404 (V1.1)."""
    return error.code in codes.NO_SUCH_JOB or error.status == _NOT_FOUND


async def send(
    client: clients.Client, wanted: operation.AnyOperation, work: jobs.Call, body: dict[str, Any] | None
) -> Any:  # noqa: ANN401 - the operation's own reply
    """
    Send a call. The outcome of a call that was sent and failed is unknown.

    MRS may have carried out a part of a write that it reports as failed, and a read is not repeated without end. Only a
    call that certainly was not sent waits until MRS can be reached.
    """
    try:
        return await client.call(wanted, path=work.path, query=work.query or None, body=body, spend_budget=False)
    except errors.MrsUntouched as error:
        # Neither a reply nor a lost connection: the call was not sent.
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
