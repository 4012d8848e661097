"""
Handle cancels, resolutions, deadlines and retries. Pure, beside `transitions`.

A cancel alone never ends a job: `cancelled` is published only if nothing was submitted, if MRS shows nothing of the
submission, or if MRS confirms the end. If the job ends before the cancel takes effect, its own outcome is published.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.decide import submission
from mrs_relay.engine.model import commands, facts, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import events

State = jobs.State
_replace = msgspec.structs.replace

_MOST_BACKOFF_MS: Final = 3_600_000
"""The wait before an attempt doubles up to here; a longer first wait of the request is kept."""

_WAITS: Final = frozenset({State.CHOOSING, State.QUEUED})
_ON_MRS: Final = frozenset({State.SUBMITTED, State.RUNNING})


def cancel_requested(
    job: jobs.Job | None, fact: facts.CancelRequested, now_ms: int, config: event_builder.DecisionConfig
) -> event_builder.Decision | None:
    """
    Handle a cancel request.

    If the request has not arrived yet, the cancel waits for it. A job that has ended is answered with a repeated event,
    but not if the same message arrives twice. The partition that broadcast the cancel gets a reply in any case of a
    match.
    """
    # No request here. A cancel that was sent to this partition replaces one that another partition broadcast.
    if job is None or (job.state is State.PENDING_CANCEL and fact.came_from < 0 <= job.came_from):
        awaited = _replace(
            fact.job,
            stop=fact.reason,
            asked_by=fact.by,
            came_from=fact.came_from,
            expires_ms=now_ms + config.cancel_wait_ms,
        )
        return event_builder.Decision(awaited, (), commands.Command.AWAIT_REQUEST, pass_on=fact.came_from < 0)
    if job.state is State.PENDING_CANCEL:
        return _already_requested(job, fact, now_ms)

    # The job is being stopped already, or this message has been answered: at most the other partition gets a reply.
    if job.stop is not None and (job.asked_by == fact.by or not jobs.TRAITS[job.state].last):
        if fact.came_from < 0:
            return None
        decision = event_builder.Decision(job)
    elif jobs.TRAITS[job.state].last:
        decision = _repeat_event(job, fact.by, fact.job, now_ms)
    elif job.state in _ON_MRS and not kinds.of(job).traits.can_be_stopped:
        decision = _repeat_event(job, fact.by, fact.job, now_ms)  # MRS cannot cancel this kind of work
    else:
        decision = stop(with_stop_request(job, fact.reason, fact.by), now_ms, config)

    return _replace(decision, pass_back=fact.came_from)


def _already_requested(job: jobs.Job, fact: facts.CancelRequested, now_ms: int) -> event_builder.Decision | None:
    """Reject a further cancel of a request that has not arrived: only one cancel waits for a request."""
    is_same = (job.asked_by, job.asked_source) == (fact.by, fact.job.asked_source)
    if is_same or fact.came_from >= 0:
        return None  # the partition that it was sent to answers

    text = f"request {job.id} of {job.source} has not come yet, and another message asked to cancel it before"
    asker = _canceller(fact.job, fact.by, fact.job.asked_source)
    return event_builder.Decision(
        job, (_rejected(asker, "cancel", jobs.Reason("conflict", "already_asked", text), now_ms),)
    )


def _canceller(waiting: jobs.Job, by: str | None, source: str | None) -> jobs.Job:
    """Return a job with the identity of a cancel's message: the subject of an event when there is no request."""
    return _replace(waiting, source=source or waiting.source, id=by or waiting.id, sequence=0, shown=None)


def _rejected(asker: jobs.Job, wish: str, reason: jobs.Reason, now_ms: int) -> events.Event:
    """
    Build the `rejected` event of a cancel or a resolution that has no effect.

    The event's id ends with `wish`: there may be a request under the message's own source and id.
    """
    _, event = event_builder.build_event(asker, "rejected", now_ms, reason=reason)
    return _replace(event, event_id=f"{events.identity(asker.source, asker.id)}-{wish}", causation_id=asker.id)


def _repeat_event(job: jobs.Job, by: str, sender: jobs.Job, now_ms: int) -> event_builder.Decision:
    """Answer a message that changes nothing with the job's present state."""
    again, event = event_builder.build_event(
        with_trace_of(job, sender), jobs.TRAITS[job.state].shown, now_ms, repeated=True
    )
    return event_builder.Decision(with_trace_of(again, job), (_replace(event, causation_id=by),))


def with_trace_of(job: jobs.Job, by: jobs.Job) -> jobs.Job:
    """Return the job with the trace context of `by`: an answer belongs to the trace of the message that it answers."""
    return _replace(job, traceparent=by.traceparent, tracestate=by.tracestate)


def with_stop_request(job: jobs.Job, reason: jobs.Reason | None, by: str | None) -> jobs.Job:
    """Return the job with the reason to stop it and the id of the message that asked for that."""
    return _replace(job, stop=reason, asked_by=by)


def accepted_and_stopped(job: jobs.Job, now_ms: int, config: event_builder.DecisionConfig) -> event_builder.Decision:
    """End a cancelled request that has no event yet: publish `accepted`, then `cancelled`."""
    accepted, event = event_builder.build_event(job, "accepted", now_ms)
    ended = event_builder.end(_replace(accepted, choice=None), State.CANCELLED, now_ms, config, reason=job.stop)
    return _replace(ended, events=(event, *ended.events))


def stop(job: jobs.Job, now_ms: int, config: event_builder.DecisionConfig) -> event_builder.Decision:
    """Stop the job in the way that its state calls for."""
    if job.state is State.CHOOSING:
        return accepted_and_stopped(job, now_ms, config)
    if job.state is State.QUEUED:
        return submission.withdrawn(job, now_ms, config)
    if job.state in _ON_MRS:
        return event_builder.Decision(jobs.moved(job, State.CANCELLING), (), commands.Command.KILL)

    # SUBMITTING, IN_DOUBT: the reply or the look-up decides. COLLECTING: the outcome is known.
    return event_builder.Decision(job)


def resolve_requested(
    job: jobs.Job | None, fact: facts.ResolveRequested, now_ms: int, config: event_builder.DecisionConfig
) -> event_builder.Decision | None:
    """End an `unknown` job with the verdict of a person; answer for any other job with its present state."""
    if job is None or job.state is State.PENDING_CANCEL:
        text = "there is no such request here; send the message with the Kafka key of the request"
        reason = jobs.Reason("invalid", "unknown_request", text)
        return event_builder.Decision(job, (_rejected(fact.sender, "resolve", reason, now_ms),))

    if job.state is State.UNKNOWN:
        settled = event_builder.end(with_trace_of(job, fact.sender), fact.verdict, now_ms, config, reason=fact.reason)
        return _replace(settled, events=tuple(_replace(event, causation_id=fact.by) for event in settled.events))

    return _repeat_event(job, fact.by, fact.sender, now_ms)


def with_deadlines(job: jobs.Job, now_ms: int) -> jobs.Job:
    """Return a job that is being queued with its queue deadline, which counts from the earliest submission."""
    if not job.queue_deadline_s:
        return job
    since_ms = max(now_ms, job.not_before_ms)
    return _replace(job, queue_deadline_ms=since_ms + round(job.queue_deadline_s * 1000))


def deadline_reached(
    job: jobs.Job, now_ms: int, config: event_builder.DecisionConfig, why: str = ""
) -> event_builder.Decision | None:
    """Stop a job that has reached a deadline of its present state; `why` is the reason why it still waits."""
    if job.stop is not None:
        return None

    if job.state in _WAITS and 0 < job.queue_deadline_ms <= now_ms:
        what = "still waiting to be submitted again after" if event_builder.submissions(job) else "not submitted within"
        text = f"{what} queue_deadline_s ({job.queue_deadline_s:g} s){f': {why}' if why else ''}"
        return stop(
            with_stop_request(job, jobs.Reason("deadline", "queue_deadline", text, retryable=True), None),
            now_ms,
            config,
        )

    if job.state in _ON_MRS and 0 < job.run_deadline_ms <= now_ms:
        text = f"not ended within run_deadline_s ({job.run_deadline_s:g} s) after its submission"
        return stop(
            with_stop_request(job, jobs.Reason("deadline", "run_deadline", text, retryable=True), None), now_ms, config
        )

    return None


def expired(job: jobs.Job, now_ms: int) -> event_builder.Decision | None:
    """Remove a job whose time has passed; publish `rejected` for a cancel whose request did not arrive."""
    if not jobs.TRAITS[job.state].last or job.expires_ms > now_ms:
        return None

    # Only the partition that the cancel was sent to answers it.
    if job.state is State.PENDING_CANCEL and job.came_from < 0:
        text = f"no request {job.id} of {job.source} came or was there"
        reason = jobs.Reason("invalid", "unknown_request", text)
        event = _rejected(_canceller(job, job.asked_by, job.asked_source), "cancel", reason, now_ms)
        return event_builder.Decision(None, (event,))

    return event_builder.Decision(None)


def may_retry(job: jobs.Job) -> bool:
    """Whether a further attempt may follow the present one."""
    return job.retry is not None and max(1, job.attempt) < job.retry.attempts and job.stop is None


def ended_badly(
    job: jobs.Job, state: jobs.State, reason: jobs.Reason, now_ms: int, config: event_builder.DecisionConfig
) -> event_builder.Decision:
    """End the job, or queue its next attempt if the request wants one for this class of reason."""
    retry = job.retry
    reason = event_builder.from_mrs(job, reason)
    if retry is None or not may_retry(job) or reason.kind not in retry.on or job.work is None:
        return event_builder.end(job, state, now_ms, config, reason=reason)

    first_ms = round(retry.backoff_s * 1000)
    wait_ms = min(max(_MOST_BACKOFF_MS, first_ms), first_ms * 2 ** min(max(1, job.attempt) - 1, 20))
    updated, event = event_builder.build_event(job, "retrying", now_ms, reason=reason)
    again = _replace(
        jobs.moved(updated, State.QUEUED),
        attempt=job.attempt + 1,
        not_before_ms=now_ms + wait_ms,
        seen=None,
        run_deadline_ms=0,
        doubt=submission.of_next_attempt(job.doubt),
    )
    return event_builder.Decision(with_deadlines(again, now_ms), (event,), commands.Command.ENQUEUE)
