"""
From a checked request to the job that it becomes. Pure.

What the request asks of MRS is checked against the operation's own model here, so that a request that MRS could never
take is rejected at once, with the field that is wrong.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final

from mrs_relay import errors
from mrs_relay.engine import jobs, oldworks
from mrs_relay.kit import sqltext
from mrs_relay.messages import digests, envelope, events, requests
from mrs_relay.mrs import checks, operation
from mrs_relay.mrs.operations import clusters as cluster_calls
from mrs_relay.mrs.operations import executions as execution_calls
from mrs_relay.mrs.operations import jobs as job_calls
from mrs_relay.mrs.operations import registry
from mrs_relay.stream import records

_READS: Final = re.compile(r"[\s(]*(select|show|desc|describe|values|with|explain)\b", re.IGNORECASE)
_EFFECTS: Final[dict[str, re.Pattern[str]]] = {
    "explain": re.compile(r"\banalyze\b", re.IGNORECASE),
    "with": re.compile(r"\b(insert|into|update|delete|merge|create|drop|alter|call|execute)\b", re.IGNORECASE),
}
"""Words that a statement with this beginning must not hold to be a read: EXPLAIN ANALYZE runs what it explains."""

_SQL_JOBS: Final = {"spark": "SparkSql", "hive": "HiveSql"}
_SUBJECTS: Final[dict[str, events.Subject]] = {"sql": "sql", "cluster": "cluster", "call": "call"}


@functools.lru_cache(maxsize=64)
def subject_of(message_type: str) -> events.Subject:
    """What kind of request a type is about; "job" for a type that is not known."""
    words = message_type.split(".")
    return _SUBJECTS.get(words[1], "job") if words[0] == "mrs" and len(words) > 1 else "job"


def is_repeatable(statement: str) -> bool:
    """Whether a Presto statement only reads, so that running it twice does no harm."""
    code = sqltext.code(statement)
    begins = _READS.match(code)
    effects = _EFFECTS.get(begins[1].lower()) if begins else None
    return begins is not None and (effects is None or effects.search(code) is None)


def job_of(
    message: envelope.Envelope, request: requests.Work, record: records.Record, result_job_types: frozenset[str]
) -> jobs.Job:
    """
    Make the job, in state QUEUED, or CHOOSING if it names no cluster by its id, with sequence 0.

    Args:
        message: the envelope.
        request: its data.
        record: where it stood.
        result_job_types: job types whose rows are to be read after success.

    Raises:
        BadMessage: MRS's operation does not take what the request wants of it.
    """
    work, name, skip = _work(request)
    submission = request if isinstance(request, requests.JobSubmit | requests.SqlSubmit) else None
    retry = submission.retry if submission else None
    choice = _choice(submission.cluster) if submission else None
    api = request.api if isinstance(request, requests.JobSubmit) else "v2"
    return jobs.Job(
        source=message.source,
        id=message.id,
        subject=subject_of(message.type),
        digest=digests.of(message, request),
        state=jobs.State.QUEUED if choice is None else jobs.State.CHOOSING,
        key=record.key,
        order=record.offset,
        cluster=_cluster(request),
        choice=choice,
        work=work,
        statement=isinstance(work, jobs.Presto),
        name=name,
        priority=request.priority,
        not_before_ms=int(request.not_before.timestamp() * 1000) if request.not_before else 0,
        labels=request.labels or None,
        collect=_has_result(work, result_job_types) if api == "v2" else oldworks.names_places(work),
        skip=skip,
        queue_deadline_s=request.queue_deadline_s or jobs.FOR_EVER_S,
        run_deadline_s=(submission and submission.run_deadline_s) or jobs.FOR_EVER_S,
        retry=jobs.Retry(retry.attempts, retry.backoff_s, tuple(retry.on)) if retry else None,
        correlation_id=message.text("correlationid"),
        traceparent=message.text("traceparent"),
        tracestate=message.text("tracestate"),
        api=api,
    )


def _has_result(work: jobs.Work, result_job_types: frozenset[str]) -> bool:
    return isinstance(work, jobs.Batch) and work.job_type in result_job_types


def _cluster(request: requests.Work) -> str:
    if isinstance(request, requests.Call):
        return request.path.get("cluster_id", "")
    cluster = getattr(request, "cluster", "")
    return "" if isinstance(cluster, requests.ClusterChoice) else cluster


def _choice(cluster: str | requests.ClusterChoice) -> jobs.Choice | None:
    return jobs.Choice(cluster.name or "", cluster.tags) if isinstance(cluster, requests.ClusterChoice) else None


def _work(request: requests.Work) -> tuple[jobs.Work, str, int]:
    """What to run, its name, and how many leading statements are the relay's own."""
    match request:
        case requests.JobSubmit(job=job):
            return _batch(request), job.job_name, 0
        case requests.SqlSubmit():
            return _sql(request)
        case requests.JobDelete():
            return _deletion(request), "", 0
        case requests.Call():
            wanted = registry.named(request.operation)
            return _call(wanted, request.path, request.query, request.body), "", 0
        case _:
            return _of_cluster(request)


def _batch(request: requests.JobSubmit) -> jobs.Batch:
    job = request.job
    if request.api == "v1.1":
        return oldworks.batch(job)
    return jobs.Batch(job.job_type, tuple(job.arguments), job.properties)


def _deletion(request: requests.JobDelete) -> jobs.Call:
    if request.api == "v1.1":
        return _call(execution_calls.DELETE_JOB_EXECUTION, {"job_execution_id": request.job_ids[0]})
    return _call(job_calls.BATCH_DELETE_JOBS, {"cluster_id": request.cluster}, body={"job_id_list": request.job_ids})


def _sql(request: requests.SqlSubmit) -> tuple[jobs.Work, str, int]:
    if request.engine == "presto":
        statement = sqltext.single(request.statement)
        presto = jobs.Presto(statement, request.database, request.archive_path, is_repeatable(statement))
        return presto, "", 0
    # NB: SparkSql and HiveSql jobs have no database field; a leading USE chooses it and adds one result.
    chosen = request.database != "default"
    text = f"use {request.database};{request.statement}" if chosen else request.statement
    return jobs.Batch(_SQL_JOBS[request.engine], (text,)), request.job_name, int(chosen)


def _of_cluster(request: requests.ClusterRequest) -> tuple[jobs.Work, str, int]:
    match request:
        case requests.ClusterCreate(body=body):
            create = _call(cluster_calls.CREATE_CLUSTER, body=body, goal=jobs.Goal("created"))
            return create, str(body["cluster_name"]), 0
        case requests.ClusterFlow(body=body):
            steps = body.get("steps")
            goal = jobs.Goal("flowed", jobs=len(steps) if isinstance(steps, list) else 0)
            flow = _call(cluster_calls.RUN_JOB_FLOW, body=body, goal=goal)
            return flow, str(body["cluster_name"]), 0
        case requests.ClusterResize(cluster=cluster):
            wanted = cluster_calls.UPDATE_CLUSTER_SCALING
            body = {"parameters": request.parameters}
            return _call(wanted, {"cluster_id": cluster}, body=body, goal=jobs.Goal("resized")), "", 0
        case requests.ClusterDelete(cluster=cluster):
            return _call(cluster_calls.DELETE_CLUSTER, {"cluster_id": cluster}, goal=jobs.Goal("deleted")), "", 0


def _call(
    wanted: operation.AnyOperation,
    path: dict[str, str] | None = None,
    query: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
    goal: jobs.Goal | None = None,
) -> jobs.Call:
    try:
        checks.check(wanted, path=path or {}, query=query, body=body)
    except errors.MrsRefused as error:
        raise errors.BadMessage("bad_value", error.message, field="data") from error
    repeatable = wanted.safety is not operation.Safety.NON_REPEATABLE_WRITE
    reads = wanted.safety is operation.Safety.READ
    return jobs.Call(wanted.name, path or {}, query or {}, body, repeatable, goal, reads)
