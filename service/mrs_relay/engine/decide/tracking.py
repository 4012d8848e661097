"""
Follow a job that MRS has, from one observation to the next. Pure, beside `transitions`.

`statements` and `cluster_operations` do the same for work that is not in MRS's list of jobs.
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.decide import causes, deliveries
from mrs_relay.engine.model import commands, decisions, facts, jobs, verdict
from mrs_relay.messages import events

State = jobs.State
_replace = msgspec.structs.replace

_NEXT_LOOK_MS: Final = 3_600_000
_LAST_LOOK_MS: Final = 86_400_000
"""Folders of rows are looked at once more after the time for which they were kept, but within these bounds."""


def observed(
    job: jobs.Job, fact: facts.JobObserved, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """Continue or end a job by the status that a poll of MRS has shown."""
    seen, known = fact.seen, fact.outcome
    if job.state not in jobs.FOLLOWED or job.seen is None or job.seen.job_id != seen.job_id or jobs.is_ending(job):
        return None

    seen = _completed(seen, job.seen)
    match known:
        case verdict.Verdict.WAITING | verdict.Verdict.UNSETTLED:
            return None
        case verdict.Verdict.RUNNING:
            return None if job.state is State.CANCELLING else _running(job, seen, now_ms, config)
        case verdict.Verdict.SUCCEEDED:
            return _succeeded(_replace(job, seen=seen), now_ms, config)
        case verdict.Verdict.FAILED | verdict.Verdict.KILLED:
            return _ended_badly(_replace(job, seen=seen), known, now_ms, config)
        case _:
            assert_never(known)


def _succeeded(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision:
    """Read the rows of a job that has succeeded, from its folder or from MRS, or end it."""
    if job.delivery is not None and job.location is not None:
        return deliveries.begin(job, events.Result(location=job.location), now_ms, config)
    if not job.collect:
        return event_builder.end(job, State.SUCCEEDED, now_ms, config)
    until_ms = now_ms + config.collect_within_ms
    collecting = _replace(jobs.moved(job, State.COLLECTING), run_deadline_ms=until_ms)
    return decisions.Decision(collecting, (), commands.Command.COLLECT)


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


def _running(
    job: jobs.Job, seen: jobs.MrsStatus, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    before = job.seen
    if job.state is State.SUBMITTED:
        updated, event = event_builder.build_event(
            _replace(jobs.moved(job, State.RUNNING), seen=seen), "running", now_ms
        )
        return decisions.Decision(updated, (event,))

    # No event for a small step of progress, unless MRS now shows the application's id or address.
    if before is None or (
        abs(seen.progress - before.progress) < config.progress_step
        and (seen.app_id, seen.tracking_url) == (before.app_id, before.tracking_url)
    ):
        return None

    updated, event = event_builder.build_event(_replace(job, seen=seen), "progress", now_ms)
    return decisions.Decision(updated, (event,))


def _ended_badly(
    job: jobs.Job, known: verdict.Verdict, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision:
    seen = job.seen
    says = f"job_state {seen.job_state}, job_result {seen.job_result}" if seen else "no details"
    if known is verdict.Verdict.KILLED and job.stop is not None:
        return event_builder.end(job, State.CANCELLED, now_ms, config, reason=job.stop)
    if known is verdict.Verdict.KILLED:
        reason = jobs.Reason("job_killed", "job_result", f"the job was killed on MRS ({says})", retryable=True)
        return causes.ended_badly(job, State.CANCELLED, reason, now_ms, config)
    reason = jobs.Reason("job_failed", "job_result", f"the job failed on MRS ({says}){causes.LOG_SAYS}")
    return causes.ended_badly(job, State.FAILED, reason, now_ms, config)


def lost(
    job: jobs.Job, fact: facts.JobLost, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """End a job as `unknown` that MRS no longer shows, or whose status cannot be read."""
    if job.state not in jobs.FOLLOWED or jobs.is_ending(job):
        return None
    return event_builder.end(
        job, State.UNKNOWN, now_ms, config, reason=jobs.Reason("unresolved", fact.code, fact.message)
    )


def waits_noted(job: jobs.Job, fact: facts.WaitsNoted) -> decisions.Decision | None:
    """Record how long the job has been missing or unsettled, so that the wait continues after a takeover."""
    if job.state not in jobs.FOLLOWED or job.seen is None or job.seen.job_id != fact.job_id or jobs.is_ending(job):
        return None
    noted = _replace(job, missing=fact.missing, unsettled=fact.unsettled)
    return decisions.Decision(noted) if noted != job else None


def rows_removed(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision | None:
    """
    Let a job that has ended leave memory, when the folders of its rows have been removed twice.

    What MRS has not ended, such as an attempt that was lost or is being stopped, may write after the first time.
    """
    if not job.rows_until_ms:
        return None
    if job.rows_removed:
        return decisions.Decision(_replace(job, rows_until_ms=0, rows_removed=False), (), commands.Command.RELEASE)
    again_ms = now_ms + min(max(config.keep_rows_ms, _NEXT_LOOK_MS), _LAST_LOOK_MS)
    return decisions.Decision(_replace(job, rows_until_ms=again_ms, rows_removed=True), (), commands.Command.RELEASE)
