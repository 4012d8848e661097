"""Build the events of a decision, with their numbers, and end jobs. Pure, the lower half of `transitions`."""

from __future__ import annotations

import functools
from typing import Any, Final

import msgspec

from mrs_relay.common import clock
from mrs_relay.engine import redaction
from mrs_relay.engine.model import commands, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import events, reasons

_replace = msgspec.structs.replace

_CODE_LENGTH: Final = 64
_MRS_SAYS: Final[frozenset[reasons.ReasonClass]] = frozenset({"refused", "job_failed", "unresolved"})
"""Classes of reasons whose texts may hold words of MRS."""


class DecisionConfig(msgspec.Struct, frozen=True):
    """
    What decisions depend on besides their arguments.

    Attributes:
        remember_ms: how long a finished job answers for its idempotency key, milliseconds.
        progress_step: per cent that progress must have changed by before it is told.
        cancel_wait_ms: how long a cancel waits for a request that has not come yet, milliseconds.
        repeat_attempts: how often one attempt is sent at most if its replies are lost and nothing can be looked up.
        resubmit_attempts: the same if it surely had no effect: by look-ups that found nothing, or as it only reads.
        repeat_backoff_ms: wait before the first repetition, milliseconds; doubles for each further one.
        collect_within_ms: how long the rows of a job that has succeeded are read, milliseconds.
        remember_rejected_ms: how long a rejection is remembered, milliseconds.
    """

    remember_ms: int = 7 * 24 * 3_600_000
    progress_step: float = 10.0
    cancel_wait_ms: int = 3_600_000
    repeat_attempts: int = 5
    resubmit_attempts: int = 20
    repeat_backoff_ms: int = 10_000
    collect_within_ms: int = 45_000
    remember_rejected_ms: int = 3_600_000


class Decision(msgspec.Struct, frozen=True):
    """
    What follows from a fact.

    Attributes:
        job: the job's new state; None means that it is to be forgotten.
        events: what to publish, in order.
        command: what to do after the commit; None when what goes on goes on.
        pass_on: the message that brought the fact is to be passed to the topic's other partitions.
        pass_back: the partition that waits with a cancel for a request that is here; -1 for none.
    """

    job: jobs.Job | None
    events: tuple[events.Event, ...] = ()
    command: commands.Command | None = None
    pass_on: bool = False
    pass_back: int = -1


def end(
    job: jobs.Job,
    state: jobs.State,
    now_ms: int,
    config: DecisionConfig,
    *,
    reason: jobs.Reason | None = None,
    result: events.Result | None = None,
) -> Decision:
    """Publish the last event and shrink the job to what its idempotency key still needs."""
    if reason is not None:
        reason = from_mrs(job, reason)
    if result is not None and result.unavailable:
        says = redaction.redact(result.unavailable, kinds.of(job).asked(job))[: reasons.MAX_MESSAGE]
        result = result.model_copy(update={"unavailable": says})
    location = result.location if result else None
    ended = _replace(jobs.moved(job, state), reason=reason, location=location, attempt=submissions(job))
    updated, event = build_event(ended, jobs.TRAITS[state].shown, now_ms, reason=reason, result=result)
    if state is jobs.State.REJECTED:
        return Decision(rejected(updated, now_ms, config), (event,), commands.Command.RELEASE)
    expires_ms = now_ms + config.remember_ms
    shrunk = _replace(updated, work=None, doubt=None, traceparent=None, tracestate=None, expires_ms=expires_ms)
    return Decision(shrunk, (event,), commands.Command.RELEASE)


def rejected(job: jobs.Job, now_ms: int, config: DecisionConfig) -> jobs.Job:
    """Return what is remembered of a rejected request: the number of its last event, and as little else as can be."""
    remembered = jobs.without_payload(job)
    return _replace(
        remembered,
        sequence=job.sequence,
        shown=job.shown,
        arrived_ms=job.arrived_ms,
        reason=None if job.reason is None else _briefly(job.reason.kind, job.reason.code),
        traceparent=None,
        tracestate=None,
        expires_ms=now_ms + config.remember_rejected_ms,
    )


@functools.lru_cache(maxsize=256)
def _briefly(kind: reasons.ReasonClass, code: str) -> jobs.Reason:
    """Make one reason for all rejections of a kind: the whole text was told when the request was rejected."""
    return jobs.Reason(kind, code, "rejected before; the event of that moment says why")


def from_mrs(job: jobs.Job, reason: jobs.Reason) -> jobs.Reason:
    """A reason that may be MRS's, as it may be told: within its limits, and without what the job asked for."""
    message = reason.message
    if reason.kind in _MRS_SAYS:
        message = redaction.redact(message, kinds.of(job).asked(job))
    return _replace(reason, code=reason.code[:_CODE_LENGTH], message=message[: reasons.MAX_MESSAGE])


def submissions(job: jobs.Job) -> int:
    """Attempts sent so far; while a job waits for its turn, `attempt` may count one that was not sent yet."""
    was_sent = job.state is not jobs.State.QUEUED or (job.doubt is not None and job.doubt.sent > 0)
    return job.attempt if was_sent else max(0, job.attempt - 1)


def build_event(
    job: jobs.Job,
    state: events.State,
    now_ms: int,
    *,
    reason: jobs.Reason | None = None,
    result: events.Result | None = None,
    repeated: bool = False,
) -> tuple[jobs.Job, events.Event]:
    """
    Number an event; returns the job that has published it and the event.

    The event's cause is the request, or whoever asked for the stop of which it tells.
    """
    updated = _replace(job, sequence=job.sequence + 1, shown=state)
    is_granted = reason is not None and job.stop is not None and reason.kind == job.stop.kind
    if repeated:
        reason = reason or job.reason
        result = events.Result(location=job.location) if job.location else None
    kind = kinds.of(job)
    data = events.EventBody(
        request=events.BodyRequest(id=job.id, source=job.source),
        state=state,
        previous_state=job.shown,
        sequence=updated.sequence,
        attempt=submissions(job),
        cluster=job.cluster or None,
        operation=(kind.operation(job) or None) if kind.traits.names_operation else None,
        mrs=_mrs_view(job),
        result=result,
        reason=_reason(reason) if reason else None,
        labels=job.labels,
        repeated=repeated,
    )
    event = events.Event(
        subject=job.subject,
        key=job.id.encode() if job.key is None else job.key,
        time_ms=now_ms,
        data=data,
        event_id=f"{events.identity(job.source, job.id)}-{updated.sequence}",
        correlation_id=job.correlation_id or job.id,
        causation_id=job.asked_by if is_granted else None,
        traceparent=job.traceparent,
        tracestate=job.tracestate,
    )
    return updated, event


def _mrs_view(job: jobs.Job) -> events.BodyMrs | None:
    seen = job.seen
    if seen is None:
        return None
    if not seen.job_state:
        return events.BodyMrs(
            job_id=seen.job_id or None, job_name=job.mrs_name or None, submitted_at=_moment(seen.submitted_ms)
        )
    return events.BodyMrs(
        job_id=seen.job_id or None,
        job_name=job.mrs_name or None,
        job_state=seen.job_state,
        job_result=seen.job_result or None,
        progress=seen.progress,
        app_id=seen.app_id or None,
        tracking_url=seen.tracking_url or None,
        submitted_at=_moment(seen.submitted_ms),
        started_at=_moment(seen.started_ms),
        finished_at=_moment(seen.finished_ms),
    )


def _moment(epoch_ms: int) -> str | None:
    return clock.rfc3339(epoch_ms) if clock.is_moment(epoch_ms) else None


def _reason(reason: jobs.Reason) -> reasons.Reason:
    fields: dict[str, Any] = {name: getattr(reason, name) for name in reason.__struct_fields__}
    return reasons.Reason(**fields)
