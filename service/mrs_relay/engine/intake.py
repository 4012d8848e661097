"""
From a Kafka record to what it means for a job: a request, an invalid request, or a dead letter.

Nothing that comes in is dropped: what names a request becomes a fact and so an event, everything else a dead letter.
What a tenant's rules say of a request goes with it; whether it is a new one, which they stop, is for `decide`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay import errors
from mrs_relay.engine import facts, jobs, rules, works
from mrs_relay.engine import policy as policies
from mrs_relay.messages import dead_letters, envelope, requests
from mrs_relay.stream import records

Keyed = tuple[jobs.LedgerKey, facts.Fact]

PASSED: Final = "mrs_relay_passed"
"""Header of a cancel that its partition passed to the others: that partition's number. It stops it from circling."""

MATCHED: Final = "mrs_relay_matched"
"""Header of a cancel that comes back to its partition, because another one has its request."""

_PARTITION_DIGITS: Final = 9

MAX_KEY_BYTES: Final = 1024
"""Bytes of a message's Kafka key; it stands in the job's ledger record and is the key of each of its events."""


def read(
    record: records.Record, result_job_types: frozenset[str], most_bytes: int, policy: policies.Policy = rules.OPEN
) -> Keyed | dead_letters.DeadLetter:
    """
    Say what a record means. Never raises: bad input is a value here.

    Args:
        record: as it came.
        result_job_types: job types whose rows are to be read after success.
        most_bytes: size of a message's value from which it is refused.
        policy: what may be asked for here.
    """
    try:
        message = envelope.read(record.topic, record.value, record.headers)
    except errors.BadMessage as error:
        return _dead_letter(record, error)
    key = jobs.ledger_key(message.source, message.id)
    try:
        _check_size(record, most_bytes)
        request = requests.parse(rules.with_defaults(policy, message))
        barred = rules.broken(policy, message.type, request) if policy.tenant else None
        if not isinstance(request, requests.JobCancel | requests.JobResolve):
            job = works.job_of(message, request, record, result_job_types)
            fact = _owned(job, request, policy, barred) if policy.tenant else facts.Requested(job)
            return key, msgspec.structs.replace(fact, record=record)
        if barred is not None and MATCHED not in message.headers:  # an answer of another partition to a cancel is none
            return key, facts.Invalid(_identity(message, record, jobs.State.REJECTED), barred)
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


def _owned(
    job: jobs.Job, request: requests.Work, policy: policies.Policy, barred: jobs.Reason | None
) -> facts.Requested:
    """The request as one of a tenant's; its cluster is looked up first if only that can tell whether it is allowed."""
    job = msgspec.structs.replace(job, tenant=policy.tenant)
    unproved = rules.unproved(policy, request)
    if unproved == {job.cluster}:
        job = msgspec.structs.replace(job, state=jobs.State.CHOOSING, choice=jobs.Choice(id=job.cluster))
    elif unproved and barred is None:
        barred = rules.cluster_refusal(policy)  # one that a call names in its body: nothing else would look it up
    return facts.Requested(jobs.share(job), barred)


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


def _identity(message: envelope.Envelope, record: records.Record, state: jobs.State) -> jobs.Job:
    return jobs.Job(
        source=message.source,
        id=message.id,
        subject=works.subject_of(message.type),
        digest="",
        state=state,
        key=record.key if record.key is None or len(record.key) <= MAX_KEY_BYTES else None,
        order=record.offset,
        correlation_id=message.text("correlationid"),
        traceparent=message.text("traceparent"),
        tracestate=message.text("tracestate"),
    )


def _dead_letter(record: records.Record, error: errors.BadMessage) -> dead_letters.DeadLetter:
    return dead_letters.DeadLetter(
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
