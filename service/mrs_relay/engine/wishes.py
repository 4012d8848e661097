"""
What people and deadlines want of a job: cancel, settle, give up in time, try again. Pure, beside `decide`.

A wish never ends a job by itself: `cancelled` is told only when nothing was submitted, MRS shows nothing of it, or MRS
confirms it. A cancel that loses the race ends in the job's own verdict.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine import commands, doubts, facts, jobs, telling
from mrs_relay.engine.work import kinds
from mrs_relay.messages import events

State = jobs.State
_replace = msgspec.structs.replace

_MOST_BACKOFF_MS: Final = 3_600_000
"""Doubling ends here; a longer wait that the request names itself is kept."""

_WAITS: Final = frozenset({State.CHOOSING, State.QUEUED})
_ON_MRS: Final = frozenset({State.SUBMITTED, State.RUNNING})


def cancel_asked(
    job: jobs.Job | None, fact: facts.CancelAsked, now_ms: int, rules: telling.Rules
) -> telling.Decision | None:
    """
    Somebody wants the job not to run.

    A request that has not come yet is waited for; the cancel then overtakes it. A job that has ended is told again, but
    not for the same message come twice. Whoever passed the cancel on is told of a match in any case.
    """
    if job is None or (job.state is State.AWAITED and fact.came_from < 0 <= job.came_from):
        awaited = _replace(
            fact.job,
            stop=fact.reason,
            asked_by=fact.by,
            came_from=fact.came_from,
            expires_ms=now_ms + rules.cancel_wait_ms,
        )
        return telling.Decision(awaited, (), commands.Command.AWAIT, pass_on=fact.came_from < 0)
    if job.state is State.AWAITED:
        return _already_asked(job, fact, now_ms)
    if job.stop is not None and (job.asked_by == fact.by or not jobs.TRAITS[job.state].last):
        if fact.came_from < 0:
            return None
        decision = telling.Decision(job)
    elif jobs.TRAITS[job.state].last:
        decision = _told_again(job, fact.by, fact.job, now_ms)
    elif job.state in _ON_MRS and not kinds.of(job).traits.can_be_stopped:
        decision = _told_again(job, fact.by, fact.job, now_ms)  # MRS knows no way to call an order back
    else:
        decision = stop(to_stop(job, fact.reason, fact.by), now_ms, rules)
    return _replace(decision, pass_back=fact.came_from)


def _already_asked(job: jobs.Job, fact: facts.CancelAsked, now_ms: int) -> telling.Decision | None:
    """A further cancel of a request that has not come: one waits for it, and that is enough; its sender hears of it."""
    is_same = (job.asked_by, job.asked_source) == (fact.by, fact.job.asked_source)
    if is_same or fact.came_from >= 0:
        return None  # the partition that it was sent to answers
    text = f"request {job.id} of {job.source} has not come yet, and another message asked to cancel it before"
    asker = _asker(fact.job, fact.by, fact.job.asked_source)
    return telling.Decision(
        job, (_turned_away(asker, "cancel", jobs.Reason("conflict", "already_asked", text), now_ms),)
    )


def _asker(waiting: jobs.Job, by: str | None, source: str | None) -> jobs.Job:
    """The sender of a cancel, as whom an event is about that has no request to be about."""
    return _replace(waiting, source=source or waiting.source, id=by or waiting.id, sequence=0, shown=None)


def _turned_away(asker: jobs.Job, wish: str, reason: jobs.Reason, now_ms: int) -> events.Event:
    """
    Tell somebody that nothing came of a wish.

    The event's id names the wish, too: there may be a request under the message's own source and id.
    """
    _, told = telling.tell(asker, "rejected", now_ms, reason=reason)
    return _replace(told, event_id=f"{events.identity(asker.source, asker.id)}-{wish}", causation_id=asker.id)


def _told_again(job: jobs.Job, by: str, sender: jobs.Job, now_ms: int) -> telling.Decision:
    """Answer a wish that changes nothing with the job's present state."""
    again, told = telling.tell(traced(job, sender), jobs.TRAITS[job.state].shown, now_ms, repeated=True)
    return telling.Decision(traced(again, job), (_replace(told, causation_id=by),))


def traced(job: jobs.Job, by: jobs.Job) -> jobs.Job:
    """The job with the trace context of the message that `by` came from: an answer belongs to who asked."""
    return _replace(job, traceparent=by.traceparent, tracestate=by.tracestate)


def to_stop(job: jobs.Job, reason: jobs.Reason | None, by: str | None) -> jobs.Job:
    """The job with the wish noted on it."""
    return _replace(job, stop=reason, asked_by=by)


def accepted_and_stopped(job: jobs.Job, now_ms: int, rules: telling.Rules) -> telling.Decision:
    """End a request that was told nothing yet and is wanted no more: first that it came, then that it is cancelled."""
    accepted, told = telling.tell(job, "accepted", now_ms)
    ended = telling.end(_replace(accepted, choice=None), State.CANCELLED, now_ms, rules, reason=job.stop)
    return _replace(ended, events=(told, *ended.events))


def stop(job: jobs.Job, now_ms: int, rules: telling.Rules) -> telling.Decision:
    """Do what the noted wish calls for in the job's state."""
    if job.state is State.CHOOSING:
        return accepted_and_stopped(job, now_ms, rules)
    if job.state is State.QUEUED:
        return doubts.withdrawn(job, now_ms, rules)
    if job.state in _ON_MRS:
        return telling.Decision(jobs.moved(job, State.CANCELLING), (), commands.Command.KILL)
    return telling.Decision(job)  # on its way: the reply or the look-up decides; collecting: the verdict is known


def resolve_asked(
    job: jobs.Job | None, fact: facts.ResolveAsked, now_ms: int, rules: telling.Rules
) -> telling.Decision | None:
    """A person settles a job that nobody can tell the end of; any other job is told as it stands."""
    if job is None or job.state is State.AWAITED:
        text = "there is no such request here; send the message with the Kafka key of the request"
        reason = jobs.Reason("invalid", "unknown_request", text)
        return telling.Decision(job, (_turned_away(fact.sender, "resolve", reason, now_ms),))
    if job.state is State.UNKNOWN:
        settled = telling.end(traced(job, fact.sender), fact.verdict, now_ms, rules, reason=fact.reason)
        return _replace(settled, events=tuple(_replace(told, causation_id=fact.by) for told in settled.events))
    return _told_again(job, fact.by, fact.sender, now_ms)


def with_deadlines(job: jobs.Job, now_ms: int) -> jobs.Job:
    """A job that is being queued, with the moment until which it may wait; it counts from when it may be submitted."""
    if not job.queue_deadline_s:
        return job
    since_ms = max(now_ms, job.not_before_ms)
    return _replace(job, queue_deadline_ms=since_ms + round(job.queue_deadline_s * 1000))


def due(job: jobs.Job, now_ms: int, rules: telling.Rules, why: str = "") -> telling.Decision | None:
    """End a job whose deadline has come, unless it has moved on meanwhile; `why` is what it waited for."""
    if job.stop is not None:
        return None
    if job.state in _WAITS and 0 < job.queue_deadline_ms <= now_ms:
        what = "still waiting to be submitted again after" if telling.submissions(job) else "not submitted within"
        text = f"{what} queue_deadline_s ({job.queue_deadline_s:g} s){f': {why}' if why else ''}"
        return stop(to_stop(job, jobs.Reason("deadline", "queue_deadline", text, retryable=True), None), now_ms, rules)
    if job.state in _ON_MRS and 0 < job.run_deadline_ms <= now_ms:
        text = f"not ended within run_deadline_s ({job.run_deadline_s:g} s) after its submission"
        return stop(to_stop(job, jobs.Reason("deadline", "run_deadline", text, retryable=True), None), now_ms, rules)
    return None


def expired(job: jobs.Job, now_ms: int) -> telling.Decision | None:
    """Forget a job whose time has passed; a cancel that waited in vain is told to its sender."""
    if not jobs.TRAITS[job.state].last or job.expires_ms > now_ms:
        return None
    if job.state is State.AWAITED and job.came_from < 0:
        text = f"no request {job.id} of {job.source} came or was there"
        reason = jobs.Reason("invalid", "unknown_request", text)
        told = _turned_away(_asker(job, job.asked_by, job.asked_source), "cancel", reason, now_ms)
        return telling.Decision(None, (told,))
    return telling.Decision(None)


def may_retry(job: jobs.Job) -> bool:
    """Whether a further attempt may follow the present one."""
    return job.retry is not None and max(1, job.attempt) < job.retry.attempts and job.stop is None


def ended_badly(
    job: jobs.Job, state: jobs.State, reason: jobs.Reason, now_ms: int, rules: telling.Rules
) -> telling.Decision:
    """End the job, or queue its next attempt if the request wants one for this class of reason."""
    retry = job.retry
    reason = telling.from_mrs(job, reason)
    if retry is None or not may_retry(job) or reason.kind not in retry.on or job.work is None:
        return telling.end(job, state, now_ms, rules, reason=reason)
    first_ms = round(retry.backoff_s * 1000)
    wait_ms = min(max(_MOST_BACKOFF_MS, first_ms), first_ms * 2 ** min(max(1, job.attempt) - 1, 20))
    told_job, told = telling.tell(job, "retrying", now_ms, reason=reason)
    again = _replace(
        jobs.moved(told_job, State.QUEUED),
        attempt=job.attempt + 1,
        not_before_ms=now_ms + wait_ms,
        seen=None,
        run_deadline_ms=0,
        doubt=doubts.of_next_attempt(job.doubt),
    )
    return telling.Decision(with_deadlines(again, now_ms), (told,), commands.Command.ENQUEUE)
