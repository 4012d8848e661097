"""
Make a job of a checked request. Pure.

The adapter of its kind checks the request's values against the model of the MRS operation. So a request that MRS could
never accept is rejected at once, and the rejection names the wrong field.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import kinds
from mrs_relay.kafka import records
from mrs_relay.messages import digests, envelope, events, requests

_SUBJECTS: Final[dict[str, events.Subject]] = {"sql": "sql", "cluster": "cluster", "call": "call"}


def subject_of(message_type: str) -> events.Subject:
    """Return the subject of a message type; "job" for an unknown type."""
    words = message_type.split(".")
    return _SUBJECTS.get(words[1], "job") if words[0] == "mrs" and len(words) > 1 else "job"


def create_job(
    message: envelope.Envelope, request: requests.Work, record: records.Record, result_job_types: frozenset[str]
) -> jobs.Job:
    """
    Make the job, in state QUEUED, or CHOOSING if it names no cluster by its id, with sequence 0.

    Args:
        message: the envelope.
        request: its data.
        record: the Kafka record of the message.
        result_job_types: job types whose rows are to be read after success.

    Raises:
        BadMessage: MRS's operation does not accept the request's values.
    """
    adapter = kinds.taking(request)
    draft = adapter.draft(request, result_job_types)
    submission = request if isinstance(request, requests.Submission) else None
    retry = submission.retry if submission else None
    choice = _choice(submission.cluster) if submission else None

    return jobs.Job(
        source=message.source,
        id=message.id,
        subject=subject_of(message.type),
        digest=digests.of(message, request),
        state=jobs.State.QUEUED if choice is None else jobs.State.CHOOSING,
        key=record.key,
        order=record.offset,
        cluster=draft.cluster,
        choice=choice,
        work=draft.work,
        statement=draft.statement,
        name=draft.name,
        priority=request.priority,
        not_before_ms=int(request.not_before.timestamp() * 1000) if request.not_before else 0,
        labels=request.labels or None,
        collect=draft.collect,
        skip=draft.skip,
        queue_deadline_s=request.queue_deadline_s or jobs.UNLIMITED_S,
        run_deadline_s=(submission and submission.run_deadline_s) or jobs.UNLIMITED_S,
        retry=jobs.Retry(retry.attempts, retry.backoff_s, tuple(retry.on)) if retry else None,
        correlation_id=message.text("correlationid"),
        traceparent=message.text("traceparent"),
        tracestate=message.text("tracestate"),
        sender=message.sender,
        api=draft.api,
        kind=kinds.recorded(adapter),
    )


def _choice(cluster: str | requests.ClusterChoice) -> jobs.Choice | None:
    return jobs.Choice(cluster.name or "", cluster.tags) if isinstance(cluster, requests.ClusterChoice) else None
