"""
Decide what follows from a fact: (job, fact, now) → the job's next state, its events, and a command.

This is the pure core. No I/O, no clock, no logging: the same arguments give the same decision, in a test, in production
and after a crash. A decision is committed as a whole before its command is run. A fact that does not fit the job's
state (it came late, or twice) yields None: nothing changes. `acceptance` handles arriving requests, `submission` lost
replies, `cancellation` cancels, deadlines, retries and resolutions; `event_builder` builds the events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec

from mrs_relay.engine import event_builder, redaction
from mrs_relay.engine.decide import acceptance, cancellation, cluster_operations, internal_errors, submission
from mrs_relay.engine.model import commands, facts, jobs, verdict
from mrs_relay.engine.work import kinds
from mrs_relay.messages import events

Decision = event_builder.Decision
DecisionConfig = event_builder.DecisionConfig

State = jobs.State
_replace = msgspec.structs.replace
_build_event = event_builder.build_event
_end = event_builder.end


_NEW = frozenset({State.REJECTED, State.PENDING_CANCEL})
"""In these states, as where there is no job, a request begins one. Any other job continues, even if the rules forbid it
now."""


def decide(  # noqa: C901, PLR0911, PLR0912 - one line per fact, closed by assert_never
    job: jobs.Job | None, fact: facts.Fact, now_ms: int, config: DecisionConfig
) -> Decision | None:
    """
    Decide what follows from `fact` for `job`.

    Args:
        job: the job as last decided; None when there is none under this key.
        fact: the fact to decide on.
        now_ms: the present, epoch milliseconds.
        config: see `DecisionConfig`.

    Returns:
        The decision, or None when the fact changes nothing.
    """
    match fact:
        # The tenant's rules stop only a request that would begin a job, not the repetition of one under way.
        case facts.Requested() if fact.rejection is not None and (job is None or job.state in _NEW):
            return acceptance.invalid(
                job, facts.InvalidRequest(jobs.without_payload(fact.job), fact.rejection), now_ms, config
            )
        case facts.Requested():
            return acceptance.requested(job, fact, now_ms, config)
        case facts.InvalidRequest():
            return acceptance.invalid(job, fact, now_ms, config)
        case facts.CancelRequested():
            return cancellation.cancel_requested(job, fact, now_ms, config)
        case facts.CancelMatched():
            return Decision(None) if job is not None and job.state is State.PENDING_CANCEL else None
        case facts.ResolveRequested():
            return cancellation.resolve_requested(job, fact, now_ms, config)
        case _ if job is None:
            return None
        case facts.ClusterSelected() | facts.NoClusterFits():
            return acceptance.cluster_selected(job, fact, now_ms, config)
        case facts.Admitted():
            return _admitted(job, now_ms, config)
        case (
            facts.SubmissionAccepted()
            | facts.CallReplied()
            | facts.SubmissionRefused()
            | facts.SubmissionNotApplied()
            | facts.SubmissionInDoubt()
        ):
            return _reply(job, fact, now_ms, config)
        case facts.DuplicatesStopped():
            left = tuple(job_id for job_id in job.twins if job_id not in fact.job_ids)
            return Decision(_replace(job, twins=left)) if left != job.twins else None
        case facts.DuplicatesChecked():
            return _duplicates_checked(job, fact, now_ms)
        case facts.SubmissionFound() | facts.SubmissionNotFound():
            return _looked_up(job, fact, now_ms, config)
        case facts.JobObserved():
            return _observed(job, fact, now_ms, config)
        case facts.StatementObserved():
            return _statement(job, fact, now_ms, config)
        case facts.ClusterObserved():
            return cluster_operations.observed(job, fact, now_ms, config)
        case facts.JobLost():
            return _job_lost(job, fact, now_ms, config)
        case facts.WaitsNoted():
            return _noted(job, fact)
        case facts.ResultCollected():
            return _collected(job, fact, now_ms, config)
        # The submission may have been sent: only a look-up or a repetition can settle it.
        case facts.InternalFailure() if job.state is State.SUBMITTING:
            return _reply(job, internal_errors.as_doubt(fact), now_ms, config)
        case facts.InternalFailure():
            return internal_errors.ended(job, fact, now_ms, config)
        case facts.DeadlineReached():
            return cancellation.deadline_reached(job, now_ms, config, fact.why)
        case facts.Expired():
            return cancellation.expired(job, now_ms)
        case _:
            assert_never(fact)


def recover(job: jobs.Job) -> facts.Fact | commands.Command:
    """
    Return how to resume a restored job.

    Returns the command of the job's state. The submission of a job in state SUBMITTING may have been sent before the
    restart. Its command is not run again: the fact that the submission is in doubt is returned instead.
    """
    if job.state is State.SUBMITTING:
        return facts.SubmissionInDoubt(
            "the service was restarted or the partition moved while the submission was on its way"
        )

    return commands.FOR_STATE[job.state]


# submission ---------------------------------------------------------------------------------------------------------


def _admitted(job: jobs.Job, now_ms: int, config: DecisionConfig) -> Decision | None:
    if job.state is not State.QUEUED:
        return None
    late = cancellation.deadline_reached(job, now_ms, config)
    if late is not None:
        return late  # the deadline was reached before the scheduler admitted the job
    intent = _replace(jobs.moved(job, State.SUBMITTING), attempt=max(1, job.attempt), intent_ms=now_ms)
    return Decision(intent, (), commands.Command.SUBMIT)


def _reply(
    job: jobs.Job,
    fact: facts.SubmissionAccepted
    | facts.CallReplied
    | facts.SubmissionRefused
    | facts.SubmissionNotApplied
    | facts.SubmissionInDoubt,
    now_ms: int,
    config: DecisionConfig,
) -> Decision | None:
    if job.state is not State.SUBMITTING:
        return None

    match fact:
        case facts.SubmissionAccepted():
            return _under_way(job, jobs.MrsStatus(fact.job_id), now_ms, fact.goal)
        case facts.CallReplied():
            is_end = kinds.of(job).traits.ends_with_reply
            return _end(job, State.SUCCEEDED, now_ms, config, result=fact.result) if is_end else None
        case facts.SubmissionRefused():
            hidden = submission.refused(job, fact.reason, now_ms, config)
            return hidden or cancellation.ended_badly(job, State.FAILED, fact.reason, now_ms, config)
        case facts.SubmissionNotApplied():
            return submission.not_applied(job, now_ms, config)
        case facts.SubmissionInDoubt():
            return submission.in_doubt(job, fact, now_ms, config)
        case _:
            assert_never(fact)


def _looked_up(
    job: jobs.Job, fact: facts.SubmissionFound | facts.SubmissionNotFound, now_ms: int, config: DecisionConfig
) -> Decision | None:
    if job.state is not State.IN_DOUBT:
        return None
    if isinstance(fact, facts.SubmissionFound):
        return _under_way(_replace(job, doubt=None), jobs.MrsStatus(fact.seen.job_id), now_ms, twins=fact.duplicates)
    return submission.not_found(job, now_ms, config)


def _under_way(
    job: jobs.Job, seen: jobs.MrsStatus, now_ms: int, goal: jobs.TargetState | None = None, twins: tuple[str, ...] = ()
) -> Decision:
    kept = job.work if cancellation.may_retry(job) else None
    run_deadline_ms = now_ms + round(job.run_deadline_s * 1000) if job.run_deadline_s else 0
    submitted = _replace(
        jobs.moved(job, State.SUBMITTED),
        seen=seen,
        work=kept,
        run_deadline_ms=run_deadline_ms,
        doubt=submission.of_next_attempt(job.doubt),
        twins=(*job.twins, *twins),  # duplicates of an earlier attempt may still run
    )
    submitted = kinds.of(job).followed(job, submitted, goal)

    updated, event = _build_event(submitted, "submitted", now_ms, reason=_duplicates_reason(twins))
    # A stop that was requested during the submission is carried out now: MRS has the job.
    if submitted.stop is not None:
        return Decision(jobs.moved(updated, State.CANCELLING), (event,), commands.Command.KILL)
    return Decision(updated, (event,), commands.Command.TRACK)


_UNSENT = frozenset({State.QUEUED, State.SUBMITTING})


def _duplicates_checked(job: jobs.Job, fact: facts.DuplicatesChecked, now_ms: int) -> Decision | None:
    """
    Stop duplicates that MRS showed late, also when the job that is kept has ended.

    If the same attempt is about to be sent again, the submission is in doubt again: it had taken effect. If the job was
    cancelled because MRS showed nothing, all jobs that MRS shows now are stopped. If the job has no id on MRS, belongs
    to another attempt, or is UNKNOWN, no job is known to be the one to keep: then nothing is stopped.
    """
    # The attempt is queued to be sent again, but it took effect: look it up first.
    if job.state in _UNSENT and job.attempt == fact.attempt and fact.job_ids and kinds.of(job).traits.is_listed:
        return Decision(jobs.moved(job, State.IN_DOUBT), (), commands.Command.LOOK_UP)

    # The job was cancelled because MRS showed nothing: every job with its token is unwanted.
    if job.state is State.CANCELLED and job.seen is None and job.attempt == fact.attempt and fact.job_ids:
        return _report_duplicates(job, fact.job_ids, _unwanted_reason, now_ms)

    # No job of this attempt is known to be the one to keep.
    if job.attempt != fact.attempt or job.seen is None or job.state is State.UNKNOWN:
        return None

    others = tuple(job_id for job_id in fact.job_ids if job_id != job.seen.job_id)
    return _report_duplicates(job, others, _duplicates_reason, now_ms)


def _report_duplicates(
    job: jobs.Job, job_ids: tuple[str, ...], why: Callable[[tuple[str, ...]], jobs.Reason | None], now_ms: int
) -> Decision | None:
    late = tuple(job_id for job_id in job_ids if job_id not in job.twins)
    if not late:
        return None
    noted = _replace(job, twins=(*job.twins, *late))
    updated, event = _build_event(noted, jobs.TRAITS[job.state].shown, now_ms, reason=why(late), repeated=True)
    return Decision(updated, (event,))


def _unwanted_reason(job_ids: tuple[str, ...]) -> jobs.Reason:
    text = f"the cancelled submission took effect after all; job {', '.join(job_ids)} is being stopped"
    return jobs.Reason("duplicate", "stopped_twin", text)


def _duplicates_reason(job_ids: tuple[str, ...]) -> jobs.Reason | None:
    """Return the event's reason when MRS has more than one job of a submission; None without duplicates."""
    if not job_ids:
        return None
    text = f"MRS has this submission more than once; job {', '.join(job_ids)} is being stopped, this one is kept"
    return jobs.Reason("duplicate", "stopped_twin", text)


# life on MRS --------------------------------------------------------------------------------------------------------


def _observed(job: jobs.Job, fact: facts.JobObserved, now_ms: int, config: DecisionConfig) -> Decision | None:
    seen, known = fact.seen, fact.outcome
    if job.state not in jobs.FOLLOWED or job.seen is None or job.seen.job_id != seen.job_id:
        return None

    seen = _completed(seen, job.seen)
    match known:
        case verdict.Verdict.WAITING | verdict.Verdict.UNSETTLED:
            return None
        case verdict.Verdict.RUNNING:
            return None if job.state is State.CANCELLING else _running(job, seen, now_ms, config)
        case verdict.Verdict.SUCCEEDED if job.collect:
            until_ms = now_ms + config.collect_within_ms
            collecting = _replace(jobs.moved(job, State.COLLECTING), seen=seen, run_deadline_ms=until_ms)
            return Decision(collecting, (), commands.Command.COLLECT)
        case verdict.Verdict.SUCCEEDED:
            return _end(_replace(job, seen=seen), State.SUCCEEDED, now_ms, config)
        case verdict.Verdict.FAILED | verdict.Verdict.KILLED:
            return _ended_badly(_replace(job, seen=seen), known, now_ms, config)
        case _:
            assert_never(known)


def _completed(seen: jobs.MrsStatus, before: jobs.MrsStatus) -> jobs.MrsStatus:
    """Return the new status; fields that MRS leaves out keep their earlier value, as lists and single reads differ."""
    return _replace(
        seen,
        progress=min(100.0, max(0.0, seen.progress)),
        app_id=seen.app_id or before.app_id,
        tracking_url=seen.tracking_url or before.tracking_url,
        submitted_ms=seen.submitted_ms or before.submitted_ms,
        started_ms=seen.started_ms or before.started_ms,
    )


def _running(job: jobs.Job, seen: jobs.MrsStatus, now_ms: int, config: DecisionConfig) -> Decision | None:
    before = job.seen
    if job.state is State.SUBMITTED:
        updated, event = _build_event(_replace(jobs.moved(job, State.RUNNING), seen=seen), "running", now_ms)
        return Decision(updated, (event,))

    # No event for a small step of progress, unless MRS now shows the application's id or address.
    if before is None or (
        abs(seen.progress - before.progress) < config.progress_step
        and (seen.app_id, seen.tracking_url) == (before.app_id, before.tracking_url)
    ):
        return None

    updated, event = _build_event(_replace(job, seen=seen), "progress", now_ms)
    return Decision(updated, (event,))


def _ended_badly(job: jobs.Job, known: verdict.Verdict, now_ms: int, config: DecisionConfig) -> Decision:
    seen = job.seen
    says = f"job_state {seen.job_state}, job_result {seen.job_result}" if seen else "no details"
    if known is verdict.Verdict.KILLED and job.stop is not None:
        return _end(job, State.CANCELLED, now_ms, config, reason=job.stop)
    if known is verdict.Verdict.KILLED:
        reason = jobs.Reason("job_killed", "job_result", f"the job was killed on MRS ({says})", retryable=True)
        return cancellation.ended_badly(job, State.CANCELLED, reason, now_ms, config)
    reason = jobs.Reason("job_failed", "job_result", f"the job failed on MRS ({says}); its log there says why")
    return cancellation.ended_badly(job, State.FAILED, reason, now_ms, config)


def _statement(job: jobs.Job, fact: facts.StatementObserved, now_ms: int, config: DecisionConfig) -> Decision | None:
    kind = kinds.of(job)
    if not kind.traits.status_has_rows or job.state not in jobs.FOLLOWED | {State.SUBMITTING}:
        return None
    if job.seen is not None and fact.seen.job_id not in {"", job.seen.job_id}:
        return None

    told: tuple[events.Event, ...] = ()
    command: commands.Command | None = None
    says = redaction.redact(fact.message, kind.asked(job)) or "the SQL engine gives no reason"
    was_cancelled = job.state is State.CANCELLING

    # The reply to a submission carries the first status: publish `submitted` before what follows from the status.
    if job.state is State.SUBMITTING:
        taken = _under_way(job, jobs.MrsStatus(fact.seen.job_id), now_ms)
        assert taken.job is not None  # noqa: S101 - _under_way always returns the job
        job, told, command = taken.job, taken.events, taken.command

    seen = _replace(fact.seen, submitted_ms=job.intent_ms)
    match fact.outcome:
        case verdict.Verdict.SUCCEEDED:
            last = _end(_replace(job, seen=seen), State.SUCCEEDED, now_ms, config, result=fact.result)
        case verdict.Verdict.FAILED if was_cancelled:
            # NB: there is no status for a cancelled statement; one that fails after its cancel counts as cancelled.
            last = _end(_replace(job, seen=seen), State.CANCELLED, now_ms, config, reason=job.stop)
        case verdict.Verdict.FAILED:
            reason = jobs.Reason("job_failed", "statement_failed", says)
            last = cancellation.ended_badly(_replace(job, seen=seen), State.FAILED, reason, now_ms, config)
        case _ if not seen.job_id:
            reason = jobs.Reason(
                "unresolved", "statement_without_id", f"MRS left the statement at {seen.job_state} and gave it no id"
            )
            last = _end(job, State.UNKNOWN, now_ms, config, reason=reason)
        case verdict.Verdict.RUNNING if job.state is State.SUBMITTED:
            running, event = _build_event(_replace(jobs.moved(job, State.RUNNING), seen=seen), "running", now_ms)
            return Decision(running, (*told, event), command)
        case _:
            return Decision(job, told, command) if told else None

    return Decision(last.job, (*told, *last.events), last.command)


def _job_lost(job: jobs.Job, fact: facts.JobLost, now_ms: int, config: DecisionConfig) -> Decision | None:
    if job.state not in jobs.FOLLOWED:
        return None
    return _end(job, State.UNKNOWN, now_ms, config, reason=jobs.Reason("unresolved", fact.code, fact.message))


def _noted(job: jobs.Job, fact: facts.WaitsNoted) -> Decision | None:
    if job.state not in jobs.FOLLOWED or job.seen is None or job.seen.job_id != fact.job_id:
        return None
    noted = _replace(job, missing=fact.missing, unsettled=fact.unsettled)
    return Decision(noted) if noted != job else None


def _collected(job: jobs.Job, fact: facts.ResultCollected, now_ms: int, config: DecisionConfig) -> Decision | None:
    if job.state is not State.COLLECTING:
        return None
    return _end(job, State.SUCCEEDED, now_ms, config, result=fact.result)
