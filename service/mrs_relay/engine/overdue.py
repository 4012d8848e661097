"""Say whether a job is past the moment at which the relay should have moved it on. Pure."""

from __future__ import annotations

from typing import Final

from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import jobs

GRACE_S: Final = 60.0
"""Seconds after a deadline in which its handling counts as under way."""

_CALL_S: Final = 60.0
"""Longest time of one call with the wait for its turn, in seconds."""


def is_overdue(job: jobs.Job, now_ms: int, since_ms: int, settings: engine_settings.EngineSettings) -> bool:
    """
    Return whether a job should have left its state.

    Args:
        job: as committed.
        now_ms: epoch milliseconds.
        since_ms: when the job was first seen in this state; counts for states whose job has no moment of its own.
        settings: how long look-ups and stops take.
    """
    late_ms = now_ms - round(GRACE_S * 1000)
    match job.state:
        case jobs.State.QUEUED | jobs.State.CHOOSING:
            return 0 < job.queue_deadline_ms < late_ms
        case jobs.State.SUBMITTING:
            return since_ms + (settings.send_within_s + _CALL_S) * 1000 < late_ms
        case jobs.State.IN_DOUBT:
            return since_ms + (settings.settle_s + settings.visibility_s + _CALL_S) * 1000 < late_ms
        case jobs.State.SUBMITTED | jobs.State.RUNNING | jobs.State.COLLECTING:
            return is_late(due_ms(job), now_ms)
        case jobs.State.CANCELLING:
            return since_ms + 4 * settings.kill_again_s * 1000 < late_ms or is_late(due_ms(job), now_ms)
    return False


def is_late(due_ms: int, now_ms: int) -> bool:
    """Return whether a job that was due at a moment, or at none (0), is overdue; all in epoch milliseconds."""
    return 0 < due_ms < now_ms - round(GRACE_S * 1000)


def due_ms(job: jobs.Job) -> int:
    """
    Return the moment from which on a followed job is late by what it says itself, epoch milliseconds; 0: never.

    That is its deadline, or the beginning of a time in which MRS does not show it, or shows an end without an outcome.
    A job that is being stopped has no deadline any more.
    """
    if job.ending is not None and jobs.is_ending(job):
        return job.ending.until_ms
    deadline_ms = 0 if job.state is jobs.State.CANCELLING else job.run_deadline_ms
    if job.missing is None and job.unsettled is None:
        return deadline_ms
    moments = [span.since_ms for span in (job.missing, job.unsettled) if span is not None]
    if deadline_ms:
        moments.append(deadline_ms)
    return min(moments)
