"""End an attempt that failed: with the job, or with its next attempt in the queue. Pure, beside `transitions`."""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.decide import deadlines, doubt
from mrs_relay.engine.model import commands, decisions, jobs

State = jobs.State
_replace = msgspec.structs.replace

_MOST_BACKOFF_MS: Final = 3_600_000
"""The wait before an attempt doubles up to here; a longer first wait of the request is kept."""


def may_retry(job: jobs.Job) -> bool:
    """Return whether a further attempt may follow the present one."""
    return job.retry is not None and max(1, job.attempt) < job.retry.attempts and job.stop is None


def ended_badly(
    job: jobs.Job, state: jobs.State, reason: jobs.Reason, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision:
    """End the job, or queue its next attempt if the request wants one for this class of reason, or for its cause."""
    wanted = job.retry
    reason = event_builder.from_mrs(job, reason)
    if wanted is None or not may_retry(job) or not _is_wanted(wanted, job, reason) or job.work is None:
        return event_builder.end(job, state, now_ms, config, reason=reason)

    first_ms = round(wanted.backoff_s * 1000)
    wait_ms = min(max(_MOST_BACKOFF_MS, first_ms), first_ms * 2 ** min(max(1, job.attempt) - 1, 20))
    updated, event = event_builder.build_event(job, "retrying", now_ms, reason=reason)
    again = _replace(
        jobs.moved(updated, State.QUEUED),
        attempt=job.attempt + 1,
        not_before_ms=now_ms + wait_ms,
        seen=None,
        run_deadline_ms=0,
        doubt=doubt.of_next_attempt(job.doubt),
        cause=None,
    )
    return decisions.Decision(deadlines.with_deadlines(again, now_ms), (event,), commands.Command.ENQUEUE)


def _is_wanted(wanted: jobs.Retry, job: jobs.Job, reason: jobs.Reason) -> bool:
    return reason.kind in wanted.on or (job.cause is not None and job.cause.name in wanted.on)
