"""Set deadlines, stop jobs that reach one, and remove jobs whose time has passed. Pure, beside `transitions`."""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.decide import answers, cancellation
from mrs_relay.engine.model import decisions, jobs

State = jobs.State
_replace = msgspec.structs.replace

_WAITS: Final = frozenset({State.CHOOSING, State.QUEUED})
_ON_MRS: Final = frozenset({State.SUBMITTED, State.RUNNING})


def with_deadlines(job: jobs.Job, now_ms: int) -> jobs.Job:
    """Return a job that is being queued with its queue deadline, which counts from the earliest submission."""
    if not job.queue_deadline_s:
        return job
    since_ms = max(now_ms, job.not_before_ms)
    return _replace(job, queue_deadline_ms=since_ms + round(job.queue_deadline_s * 1000))


def deadline_reached(
    job: jobs.Job, now_ms: int, config: decisions.DecisionConfig, why: str = ""
) -> decisions.Decision | None:
    """Stop a job that has reached a deadline of its present state; `why` is the reason why it still waits."""
    if job.stop is not None or jobs.is_ending(job):
        return None

    if job.state in _WAITS and 0 < job.queue_deadline_ms <= now_ms:
        what = "still waiting to be submitted again after" if event_builder.submissions(job) else "not submitted within"
        text = f"{what} queue_deadline_s ({job.queue_deadline_s:g} s){f': {why}' if why else ''}"
        return cancellation.stop(
            cancellation.with_stop_request(job, jobs.Reason("deadline", "queue_deadline", text, retryable=True), None),
            now_ms,
            config,
        )

    if job.state in _ON_MRS and 0 < job.run_deadline_ms <= now_ms:
        text = f"not ended within run_deadline_s ({job.run_deadline_s:g} s) after its submission"
        return cancellation.stop(
            cancellation.with_stop_request(job, jobs.Reason("deadline", "run_deadline", text, retryable=True), None),
            now_ms,
            config,
        )

    return None


def expired(job: jobs.Job, now_ms: int) -> decisions.Decision | None:
    """Remove a job whose time has passed; publish `rejected` for a cancel whose request did not arrive."""
    if not jobs.TRAITS[job.state].last or job.expires_ms > now_ms:
        return None

    # Only the partition that the cancel was sent to answers it.
    if job.state is State.PENDING_CANCEL and job.came_from < 0:
        text = f"no request {job.id} of {job.source} came or was there"
        reason = jobs.Reason("invalid", "unknown_request", text)
        event = answers.rejected(answers.canceller(job, job.asked_by, job.asked_source), "cancel", reason, now_ms)
        return decisions.Decision(None, (event,))

    return decisions.Decision(None)
