"""
Follow a submission from its admission to MRS's reply. Pure, beside `transitions`.

The intent is decided first (`admitted`), and committed before MRS is called. `doubt` handles lost replies.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.decide import cancellation, causes, deadlines, doubt, duplicates, retry
from mrs_relay.engine.lineage import spark_parent
from mrs_relay.engine.model import commands, decisions, facts, jobs
from mrs_relay.engine.work import kinds, row_folders

State = jobs.State
_replace = msgspec.structs.replace


def admitted(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision | None:
    """Note the intent to submit a job that the scheduler admitted; stop a job whose deadline was reached before."""
    if job.state is not State.QUEUED:
        return None

    late = deadlines.deadline_reached(job, now_ms, config)
    if late is not None:
        return late

    intent = _replace(jobs.moved(job, State.SUBMITTING), attempt=max(1, job.attempt), intent_ms=now_ms)
    intent = row_folders.of_attempt(intent)
    if config.spark_parent is not None:
        intent = spark_parent.added(intent, config.spark_parent)
    return decisions.Decision(intent, (), commands.Command.SUBMIT)


def held_back(
    job: jobs.Job, fact: facts.HeldBack, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """Leave a job in the queue that a control holds, where the command gives its turn back; or end it."""
    if job.state is not State.QUEUED:
        return None
    if fact.rejection is None:
        return decisions.Decision(job, (), commands.Command.ENQUEUE)
    return cancellation.stop(cancellation.with_stop_request(job, fact.rejection, None), now_ms, config)


def replied(
    job: jobs.Job,
    fact: facts.SubmissionAccepted
    | facts.CallReplied
    | facts.SubmissionRefused
    | facts.SubmissionNotApplied
    | facts.SubmissionInDoubt,
    now_ms: int,
    config: decisions.DecisionConfig,
) -> decisions.Decision | None:
    """Decide on MRS's reply to a submission, or on its loss."""
    if job.state is not State.SUBMITTING:
        return None

    match fact:
        case facts.SubmissionAccepted():
            return submitted(job, jobs.MrsStatus(fact.job_id), now_ms, config, fact.target)
        case facts.CallReplied():
            is_end = kinds.of(job).traits.ends_with_reply
            return event_builder.end(job, State.SUCCEEDED, now_ms, config, result=fact.result) if is_end else None
        case facts.SubmissionRefused():
            hidden = doubt.refused(job, fact.reason, now_ms, config)
            return hidden or retry.ended_badly(job, State.FAILED, fact.reason, now_ms, config)
        case facts.SubmissionNotApplied():
            return doubt.not_applied(job, now_ms, config)
        case facts.SubmissionInDoubt():
            return doubt.in_doubt(job, fact, now_ms, config)
        case _:
            assert_never(fact)


def looked_up(
    job: jobs.Job, fact: facts.SubmissionFound | facts.SubmissionNotFound, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """Decide on what the look-up of a submission in doubt has shown."""
    if job.state is not State.IN_DOUBT:
        return None
    job = duplicates.to_be_checked(job, now_ms, config)
    if isinstance(fact, facts.SubmissionFound):
        return submitted(
            _replace(job, doubt=None), jobs.MrsStatus(fact.seen.job_id), now_ms, config, found=fact.duplicates
        )
    return doubt.cluster_gone(job, now_ms, config) if fact.is_gone else doubt.not_found(job, now_ms, config)


def submitted(
    job: jobs.Job,
    seen: jobs.MrsStatus,
    now_ms: int,
    config: decisions.DecisionConfig,
    target: jobs.TargetState | None = None,
    found: tuple[str, ...] = (),
) -> decisions.Decision:
    """Publish `submitted` for a job that MRS has, and follow it; or stop it, if that was requested meanwhile."""
    kept = job.work if retry.may_retry(job) or causes.needs_work(job, config) else None
    run_deadline_ms = now_ms + round(job.run_deadline_s * 1000) if job.run_deadline_s else 0
    moved = _replace(
        jobs.moved(job, State.SUBMITTED),
        seen=seen,
        work=kept,
        run_deadline_ms=run_deadline_ms,
        doubt=doubt.of_next_attempt(job.doubt),
        duplicates=(*job.duplicates, *found),  # duplicates of an earlier attempt may still run
    )
    moved = kinds.of(job).followed(job, moved, target)

    updated, event = event_builder.build_event(moved, "submitted", now_ms, reason=duplicates.reason_for(found))
    # A stop that was requested during the submission is carried out now: MRS has the job.
    if moved.stop is not None:
        return decisions.Decision(jobs.moved(updated, State.CANCELLING), (event,), commands.Command.KILL)
    return decisions.Decision(updated, (event,), commands.Command.TRACK)
