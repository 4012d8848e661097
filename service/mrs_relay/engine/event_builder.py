"""Build the numbered events of a decision, and end jobs. Pure; `transitions` is built on it."""

from __future__ import annotations

import functools
from typing import Any, Final

import msgspec

from mrs_relay.common import clock
from mrs_relay.engine import redaction
from mrs_relay.engine.model import commands, decisions, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import events, reasons

_replace = msgspec.structs.replace

_CODE_LENGTH: Final = 64
_MRS_SAYS: Final[frozenset[reasons.ReasonClass]] = frozenset({"refused", "job_failed", "unresolved"})
"""Classes of reasons whose texts may quote MRS."""

_OF_RUNS: Final[frozenset[reasons.ReasonClass]] = frozenset({"job_failed", "job_killed"})
"""Classes of reasons of a job that ran, whose cause its log may show."""


def end(
    job: jobs.Job,
    state: jobs.State,
    now_ms: int,
    config: decisions.DecisionConfig,
    *,
    reason: jobs.Reason | None = None,
    result: events.Result | None = None,
) -> decisions.Decision:
    """Publish the last event and shrink the job to the fields that its idempotency key still needs."""
    if reason is not None:
        reason = from_mrs(job, reason)
    result = bounded(job, result)
    location = result.location if result else None
    ended = _replace(jobs.moved(job, state), reason=reason, location=location, attempt=submissions(job))
    updated, event = build_event(ended, jobs.TRAITS[state].shown, now_ms, reason=reason, result=result)
    if state is jobs.State.REJECTED:
        return decisions.Decision(rejected(updated, now_ms, config), (event,), commands.Command.RELEASE)

    kept = _replace(
        updated,
        work=None,
        doubt=None,
        expires_ms=now_ms + config.remember_ms,
        rows_until_ms=rows_until_ms(updated, now_ms, config),
        rows_removed=False,
    )

    if job.late_until_ms:  # one more event follows
        return decisions.Decision(kept, (event,), commands.Command.COLLECT_LATE)
    return decisions.Decision(without_sender(kept), (event,), commands.Command.RELEASE)


def without_sender(job: jobs.Job) -> jobs.Job:
    """Return a job without what only further events need: the trace, and who sent its messages."""
    return _replace(job, traceparent=None, tracestate=None, sender=None, asked_sender=None)


def bounded(job: jobs.Job, result: events.Result | None) -> events.Result | None:
    """Return a result whose text is within its limits, and without the request's values."""
    if result is None or not result.unavailable:
        return result
    says = redaction.redact(result.unavailable, kinds.of(job).asked(job))[: reasons.MAX_MESSAGE]
    return result.model_copy(update={"unavailable": says})


def rows_until_ms(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> int:
    """Return when the folders are removed that the attempts of a job which now ends may have written; 0: never."""
    has_folders = job.delivery is not None and not job.statement and job.attempt > 0
    return now_ms + config.keep_rows_ms if config.keep_rows_ms and has_folders else 0


def rejected(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> jobs.Job:
    """Shrink a rejected request to what must be remembered: the number of its last event, and little else."""
    remembered = jobs.without_payload(job)
    return _replace(
        remembered,
        sequence=job.sequence,
        shown=job.shown,
        arrived_ms=job.arrived_ms,
        reason=None if job.reason is None else _shared_reason(job.reason.kind, job.reason.code),
        traceparent=None,
        tracestate=None,
        sender=None,
        expires_ms=now_ms + config.remember_rejected_ms,
    )


@functools.lru_cache(maxsize=256)
def _shared_reason(kind: reasons.ReasonClass, code: str) -> jobs.Reason:
    """Return one shared reason for all rejections of a kind: the event of the rejection had the whole text."""
    return jobs.Reason(kind, code, "rejected before; the event of that moment says why")


def from_mrs(job: jobs.Job, reason: jobs.Reason) -> jobs.Reason:
    """Return a reason that may be MRS's as events may show it: within its limits, and without the request's values."""
    message = reason.message
    if reason.kind in _MRS_SAYS:
        message = redaction.redact(message, kinds.of(job).asked(job))
    return _replace(reason, code=reason.code[:_CODE_LENGTH], message=message[: reasons.MAX_MESSAGE])


def submissions(job: jobs.Job) -> int:
    """Count the attempts sent so far; while a job is queued, `attempt` may include one that was not sent yet."""
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
    Build a numbered event; returns the job with the new number, and the event.

    The event's cause is the request, or the message that asked for the stop which the event reports.
    """
    updated = _replace(job, sequence=job.sequence + 1, shown=state)
    is_granted = reason is not None and job.stop is not None and reason.kind == job.stop.kind
    if repeated:
        reason = reason or job.reason
        result = result or _named(job)

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
        reason=_reason(reason, job.cause) if reason else None,
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
        sender=job.asked_sender if is_granted and not repeated else job.sender,
    )
    return updated, event


def _named(job: jobs.Job) -> events.Result | None:
    """Return the result of a job that has ended, as far as the ledger has it. NB: a folder has its name before."""
    if job.location is None or not jobs.TRAITS[job.state].last:
        return None
    return events.Result(location=job.location, late_until=_moment(job.late_until_ms))


def _mrs_view(job: jobs.Job) -> events.BodyMrs | None:
    seen = job.seen
    if seen is None:
        return None

    # MRS has taken the job, and no poll has seen its state yet.
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


def _reason(reason: jobs.Reason, cause: jobs.Cause | None) -> reasons.Reason:
    fields: dict[str, Any] = {name: getattr(reason, name) for name in reason.__struct_fields__}
    if cause is not None and reason.kind in _OF_RUNS:
        fields |= {
            "cause": cause.name or None,
            "detail": cause.detail or None,
            "log_location": cause.log or None,
            "detail_unavailable": cause.unavailable or None,
        }
    return reasons.Reason(**fields)
