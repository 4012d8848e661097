"""
From a Kafka record to what it means for a job: a request, an invalid request, or a dead letter.

Nothing that comes in is dropped: what names a request becomes a fact and so an event, everything else a dead letter.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from mrs_relay import errors
from mrs_relay.engine import facts, jobs
from mrs_relay.messages import codec, envelope, events, requests
from mrs_relay.stream import records

Keyed = tuple[jobs.LedgerKey, facts.Fact]

PASSED: Final = "mrs_relay_passed"
"""Header of a cancel that its partition passed to the others: that partition's number. It stops it from circling."""

MATCHED: Final = "mrs_relay_matched"
"""Header of a cancel that comes back to its partition, because another one has its request."""

_PARTITION_DIGITS: Final = 9

MAX_KEY_BYTES: Final = 1024
"""Bytes of a message's Kafka key; it stands in the job's ledger record and is the key of each of its events."""

_NOISE: Final = re.compile(r"(?:\s|\(|--[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_READS: Final = re.compile(
    r"(?:select|show|desc|describe|values|with|explain(?!.*\banalyze\b))\b", re.IGNORECASE | re.DOTALL
)
"""NB: EXPLAIN ANALYZE runs what it explains; a comment may stand between the two words."""
_SQL_JOBS: Final = {"spark": "SparkSql", "hive": "HiveSql"}


def read(record: records.Record, result_job_types: frozenset[str], most_bytes: int) -> Keyed | events.DeadLetter:
    """
    Say what a record means. Never raises: bad input is a value here.

    Args:
        record: as it came.
        result_job_types: job types whose rows are to be read after success.
        most_bytes: size of a message's value from which it is refused.
    """
    try:
        message = envelope.read(record.topic, record.value, record.headers)
    except errors.BadMessage as error:
        return _dead_letter(record, error)
    key = jobs.ledger_key(message.source, message.id)
    try:
        _check_size(record, most_bytes)
        request = requests.parse(message)
    except errors.BadMessage as error:
        reason = jobs.Reason("invalid", error.code, error.message, field=error.field)
        return key, facts.Invalid(_identity(message, record, jobs.State.REJECTED), reason)
    match request:
        case requests.JobCancel():
            return _cancel(message, request, record)
        case requests.JobResolve():
            reason = jobs.Reason("resolved", "by_hand", request.note)
            sender = _identity(message, record, jobs.State.REJECTED)
            settled = jobs.State(request.verdict)
            return _target(message, request), facts.ResolveAsked(settled, reason, message.id, sender)
        case _:
            return key, facts.Requested(_job(message, request, record, result_job_types))


def _target(message: envelope.Envelope, request: requests.JobCancel | requests.JobResolve) -> jobs.LedgerKey:
    return jobs.ledger_key(request.request.source or message.source, request.request.id)


def _cancel(message: envelope.Envelope, request: requests.JobCancel, record: records.Record) -> Keyed:
    key = _target(message, request)
    if MATCHED in message.headers:
        return key, facts.CancelMatched()
    awaited = _identity(message, record, jobs.State.AWAITED)
    awaited = msgspec.structs.replace(
        awaited, source=request.request.source or message.source, id=request.request.id, asked_source=message.source
    )
    passed = message.headers.get(PASSED, "")
    came_from = int(passed) if passed.isdecimal() and len(passed) <= _PARTITION_DIGITS else -1
    reason = jobs.Reason("cancelled", "requested", request.note or f"cancelled by message {message.id}")
    return key, facts.CancelAsked(awaited, reason, message.id, came_from)


def _check_size(record: records.Record, most_bytes: int) -> None:
    if record.key is not None and len(record.key) > MAX_KEY_BYTES:
        raise errors.BadMessage(
            "too_large", f"the message's Kafka key has {len(record.key)} bytes; at most {MAX_KEY_BYTES} are taken"
        )
    if record.value is not None and len(record.value) > most_bytes:
        raise errors.BadMessage(
            "too_large", f"the message has {len(record.value)} bytes; at most {most_bytes} are taken"
        )


def is_repeatable(statement: str) -> bool:
    """Whether a Presto statement only reads, so that running it twice does no harm."""
    start = _NOISE.match(statement)
    return _READS.match(statement, start.end() if start else 0) is not None


def _identity(message: envelope.Envelope, record: records.Record, state: jobs.State) -> jobs.Job:
    return jobs.Job(
        source=message.source,
        id=message.id,
        subject="sql" if message.type.startswith("mrs.sql.") else "job",
        digest="",
        state=state,
        key=record.key if record.key is None or len(record.key) <= MAX_KEY_BYTES else None,
        order=record.offset,
        correlation_id=message.text("correlationid"),
        traceparent=message.text("traceparent"),
        tracestate=message.text("tracestate"),
    )


def _job(
    message: envelope.Envelope,
    request: requests.JobSubmit | requests.SqlSubmit,
    record: records.Record,
    result_job_types: frozenset[str],
) -> jobs.Job:
    work, name, skip = _work(request)
    is_batch = isinstance(work, jobs.Batch)
    job = jobs.Job(
        source=message.source,
        id=message.id,
        subject="sql" if isinstance(request, requests.SqlSubmit) else "job",
        digest=codec.digest(message.type, message.data),
        state=jobs.State.QUEUED,
        key=record.key,
        order=record.offset,
        cluster=request.cluster,
        work=work,
        statement=not is_batch,
        name=name,
        priority=request.priority,
        not_before_ms=int(request.not_before.timestamp() * 1000) if request.not_before else 0,
        labels=request.labels or None,
        collect=isinstance(work, jobs.Batch) and work.job_type in result_job_types,
        skip=skip,
        queue_deadline_s=request.queue_deadline_s or 0.0,
        run_deadline_s=request.run_deadline_s or 0.0,
        retry=jobs.Retry(request.retry.attempts, request.retry.backoff_s, tuple(request.retry.on))
        if request.retry
        else None,
        correlation_id=message.text("correlationid"),
        traceparent=message.text("traceparent"),
        tracestate=message.text("tracestate"),
    )
    return jobs.share(job)


def _work(request: requests.JobSubmit | requests.SqlSubmit) -> tuple[jobs.Work, str, int]:
    """What to run, its name, and how many leading statements are the relay's own."""
    if isinstance(request, requests.JobSubmit):
        job = request.job
        return jobs.Batch(job.job_type, tuple(job.arguments), job.properties), job.job_name, 0
    if request.engine == "presto":
        statement = request.statement.rstrip(" \t\r\n;")
        presto = jobs.Presto(statement, request.database, request.archive_path, is_repeatable(statement))
        return presto, "", 0
    # NB: SparkSql and HiveSql jobs have no database field; a leading USE chooses it and adds one result.
    chosen = request.database != "default"
    text = f"use {request.database};{request.statement}" if chosen else request.statement
    return jobs.Batch(_SQL_JOBS[request.engine], (text,)), request.job_name, int(chosen)


def _dead_letter(record: records.Record, error: errors.BadMessage) -> events.DeadLetter:
    return events.DeadLetter(
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        code=error.code,
        message=error.message,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
    )
