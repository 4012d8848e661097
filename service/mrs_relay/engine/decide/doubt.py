"""
Decide what follows when it is not known whether a submission had an effect. Pure, beside `transitions`.

A submission that MRS can be searched for is looked up, and is sent again only if the look-up finds nothing during the
whole visibility window. Any other submission is repeated if a repetition does no harm. Repetitions wait longer each
time and are bounded; then the job ends as `unknown`. A job whose submission may have had an effect is never reported as
`cancelled` or as not submitted.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.model import commands, decisions, facts, jobs
from mrs_relay.engine.work import kinds

State = jobs.State
_replace = msgspec.structs.replace

_MOST_WAIT_MS: Final = 600_000
"""The wait before a repetition doubles up to here."""

_MOST_DOUBLINGS: Final = 20
_MESSAGE_LENGTH: Final = 500
"""Characters kept of the reason for a lost reply; the job carries them until it ends."""


def in_doubt(
    job: jobs.Job, fact: facts.SubmissionInDoubt, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision:
    """Note that a reply was lost; look the submission up, repeat it, or end the job as `unknown`."""
    before = job.doubt or jobs.Doubt()
    kind = kinds.of(job)
    is_open = before.is_open or not kind.only_reads(job)
    doubt = jobs.Doubt(before.sent + 1, is_open, fact.message[:_MESSAGE_LENGTH])
    noted = _replace(job, doubt=doubt)

    if kind.is_findable(job):
        return decisions.Decision(jobs.moved(noted, State.IN_DOUBT), (), commands.Command.LOOK_UP)

    # MRS cannot be searched for it: repeat it as often as that is harmless. A withdrawn job is never sent again.
    is_repeatable = kind.is_repeatable(job)
    most = config.resubmit_attempts if kind.only_reads(job) else config.repeat_attempts
    if is_repeatable and (doubt.sent < most or job.stop is not None):
        return _repeated(noted, doubt.sent, now_ms, config)

    text = f"{kind.traits.lost_effect} or not, and there is no way to find out: {doubt.message}"
    if is_repeatable:
        text = f"{_unanswered(doubt)}, and {most} are the most; {text}{kind.traits.lost_advice}"
    return _unknown(noted, text, now_ms, config, mrs_request_id=fact.mrs_request_id)


def not_found(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision:
    """Submit again after a look-up that found nothing, as the submission had no effect; or end the job."""
    doubt = _replace(job.doubt or jobs.Doubt(1), is_open=False)
    searched = _replace(job, doubt=doubt)
    if doubt.sent < config.resubmit_attempts or job.stop is not None:
        return _repeated(searched, doubt.sent - 1, now_ms, config)
    text = (
        f"{_unanswered(doubt)}, and {config.resubmit_attempts} are the most; MRS showed nothing of it; "
        f"the last time: {doubt.message}"
    )
    return _unknown(searched, text, now_ms, config)


def cluster_gone(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision:
    """End a job as `unknown` whose submission may have had an effect on a cluster that is there no more."""
    text = (
        f"cluster {job.cluster} is there no more, and whether the job ran there is not shown; "
        f"{_unanswered(job.doubt or jobs.Doubt(1))}"
    )
    reason = jobs.Reason("unresolved", "cluster_gone", text)
    return event_builder.end(job, State.UNKNOWN, now_ms, config, reason=reason)


def not_applied(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision:
    """Queue a job again whose latest submission certainly had no effect; end it if it is to be stopped."""
    queued = jobs.moved(job, State.QUEUED)
    if job.stop is not None:
        return withdrawn(queued, now_ms, config)
    return decisions.Decision(queued, (), commands.Command.ENQUEUE)


def refused(
    job: jobs.Job, reason: jobs.Reason, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """
    End a job as `unknown` whose refusal may follow from the effect of an earlier submission; None: it does not.

    For example, MRS answers a second deletion with "no such cluster" if it carried out the first one.
    """
    kind = kinds.of(job)
    if job.doubt is None or kind.is_refusal_final(job) or kind.only_reads(job):
        return None
    said = f"sent again, it was refused ({reason.code}): {reason.message}"
    text = f"{_unanswered(job.doubt)}, so {kind.traits.lost_effect}; {said}"
    return _unknown(job, text, now_ms, config, mrs_request_id=reason.mrs_request_id)


def withdrawn(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision:
    """End a queued job that is to be stopped: as `unknown` if an earlier submission may have had an effect."""
    doubt, stop, kind = job.doubt, job.stop, kinds.of(job)
    if doubt is None or stop is None:
        return event_builder.end(job, State.CANCELLED, now_ms, config, reason=stop)

    # Replies were lost, but a look-up ruled out an effect, or the job only reads.
    if not doubt.is_open:
        why = "it changes nothing" if kind.only_reads(job) else "MRS shows nothing of it"
        said = _replace(stop, message=f"{stop.message}; {_unanswered(doubt)}, but {why}")
        return event_builder.end(job, State.CANCELLED, now_ms, config, reason=said)

    text = (
        f"{stop.message}; it is not sent again, but {_unanswered(doubt)}, so {kind.traits.lost_effect}: {doubt.message}"
    )
    ended = _unknown(job, text, now_ms, config)
    asked = {"causation_id": job.asked_by, "sender": job.asked_sender}
    return _replace(ended, events=tuple(_replace(event, **asked) for event in ended.events))


def of_next_attempt(doubt: jobs.Doubt | None) -> jobs.Doubt | None:
    """Return the doubt that a further attempt inherits: an earlier effect that no look-up ruled out may still exist."""
    return _replace(doubt, sent=0) if doubt is not None and doubt.is_open else None


def _repeated(job: jobs.Job, doublings: int, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision:
    """Queue the same attempt again; without a wait where `doublings` is 0, as a look-up has taken time already."""
    queued = jobs.moved(job, State.QUEUED)
    if job.stop is not None:
        return withdrawn(queued, now_ms, config)
    wait_ms = config.repeat_backoff_ms * 2 ** min(doublings - 1, _MOST_DOUBLINGS) if doublings else 0
    later = _replace(queued, not_before_ms=now_ms + min(wait_ms, _MOST_WAIT_MS))
    return decisions.Decision(later, (), commands.Command.ENQUEUE)


def _unknown(
    job: jobs.Job, text: str, now_ms: int, config: decisions.DecisionConfig, *, mrs_request_id: str | None = None
) -> decisions.Decision:
    reason = jobs.Reason("unresolved", "reply_lost", text, mrs_request_id=mrs_request_id)
    return event_builder.end(job, State.UNKNOWN, now_ms, config, reason=reason)


def _unanswered(doubt: jobs.Doubt) -> str:
    if doubt.sent > 1:
        return f"{doubt.sent} submissions of it have no reply"
    return "a submission of it has no reply" if doubt.sent else "an earlier attempt has no reply"
