"""
Handle cancels, and stop jobs. Pure, beside `transitions`.

A cancel alone never ends a job: `cancelled` is published only if nothing was submitted, if MRS shows nothing of the
submission, or if MRS confirms the end. If the job ends before the cancel takes effect, its own outcome is published.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.decide import answers, doubt
from mrs_relay.engine.model import commands, decisions, facts, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import envelope

State = jobs.State
_replace = msgspec.structs.replace

_ON_MRS: Final = frozenset({State.SUBMITTED, State.RUNNING})


def cancel_requested(
    job: jobs.Job | None, fact: facts.CancelRequested, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """
    Handle a cancel request.

    If the request has not arrived yet, the cancel waits for it. A job that has ended is answered with a repeated event,
    but not if the same message arrives twice. The partition that broadcast the cancel gets a reply in any case of a
    match.
    """
    if fact.is_ahead and not _would_stop(job):
        return None

    if job is None or _replaces(fact, job):  # no request here
        awaited = _replace(
            fact.job,
            stop=fact.reason,
            asked_by=fact.by,
            came_from=fact.came_from,
            expires_ms=now_ms + config.cancel_wait_ms,
        )
        return decisions.Decision(awaited, (), commands.Command.AWAIT_REQUEST, pass_on=not fact.was_broadcast)
    if job.state is State.PENDING_CANCEL:
        return _already_requested(job, fact, now_ms)

    # The job is being stopped already, or this message has been answered: at most the other partition gets a reply.
    if job.stop is not None and (job.asked_by == fact.by or not jobs.TRAITS[job.state].last):
        if not fact.was_broadcast:
            return None
        decision = decisions.Decision(job)
    elif jobs.TRAITS[job.state].last:
        decision = answers.repeat_event(job, fact.by, fact.job, now_ms)
    elif job.state in _ON_MRS and not kinds.of(job).traits.can_be_stopped:
        decision = answers.repeat_event(job, fact.by, fact.job, now_ms)  # MRS cannot cancel this kind of work
    else:
        decision = stop(with_stop_request(job, fact.reason, fact.by, fact.job.sender), now_ms, config)

    return decision if fact.is_ahead else _replace(decision, pass_back=fact.came_from)


def _replaces(fact: facts.CancelRequested, job: jobs.Job) -> bool:
    """Return whether a cancel that was sent to this partition replaces one that another partition broadcast."""
    is_of_another_partition = job.came_from >= 0
    return job.state is State.PENDING_CANCEL and is_of_another_partition and not fact.was_broadcast


def _would_stop(job: jobs.Job | None) -> bool:
    """Return whether a cancel changes the job, rather than to be answered or to wait."""
    if job is None or job.stop is not None or jobs.TRAITS[job.state].last or job.state is State.PENDING_CANCEL:
        return False
    return job.state not in _ON_MRS or kinds.of(job).traits.can_be_stopped


def _already_requested(job: jobs.Job, fact: facts.CancelRequested, now_ms: int) -> decisions.Decision | None:
    """Reject a further cancel of a request that has not arrived: only one cancel waits for a request."""
    is_same = (job.asked_by, job.asked_source) == (fact.by, fact.job.asked_source)
    if is_same or fact.was_broadcast:
        return None  # the partition that it was sent to answers

    text = f"request {job.id} of {job.source} has not come yet, and another message asked to cancel it before"
    asker = answers.canceller(fact.job, fact.by, fact.job.asked_source)
    return decisions.Decision(
        job, (answers.rejected(asker, "cancel", jobs.Reason("conflict", "already_asked", text), now_ms),)
    )


def with_stop_request(
    job: jobs.Job, reason: jobs.Reason | None, by: str | None, sender: envelope.Sender | None = None
) -> jobs.Job:
    """Return the job with the reason to stop it, and the id and the sender of the message that asked for that."""
    return _replace(job, stop=reason, asked_by=by, asked_sender=sender)


def accepted_and_stopped(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision:
    """End a cancelled request that has no event yet: publish `accepted`, then `cancelled`."""
    accepted, event = event_builder.build_event(job, "accepted", now_ms)
    ended = event_builder.end(_replace(accepted, choice=None), State.CANCELLED, now_ms, config, reason=job.stop)
    return _replace(ended, events=(event, *ended.events))


def stop(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision:
    """Stop the job in the way that its state calls for."""
    if job.state is State.CHOOSING:
        return accepted_and_stopped(job, now_ms, config)
    if job.state is State.QUEUED:
        return doubt.withdrawn(job, now_ms, config)
    if job.state in _ON_MRS and not jobs.is_ending(job):
        return decisions.Decision(jobs.moved(job, State.CANCELLING), (), commands.Command.KILL)

    # SUBMITTING, IN_DOUBT: the reply or the look-up decides. COLLECTING, or ending: the outcome is known.
    return decisions.Decision(job)
