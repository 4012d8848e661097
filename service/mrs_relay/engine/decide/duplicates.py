"""
Note further jobs that MRS has for one submission, so that they are stopped. Pure, beside `transitions`.

A lost reply and a late effect may give one request two jobs with the same token. One is kept; `job.duplicates` lists
the others until MRS shows that they have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.model import commands, decisions, facts, jobs
from mrs_relay.engine.work import kinds

State = jobs.State
_replace = msgspec.structs.replace

_UNSENT: Final = frozenset({State.QUEUED, State.SUBMITTING})


def checked(job: jobs.Job, fact: facts.DuplicatesChecked, now_ms: int) -> decisions.Decision | None:
    """
    Stop duplicates that MRS showed late, also when the job that is kept has ended.

    If the same attempt is about to be sent again, the submission is in doubt again: it had taken effect. If the job was
    cancelled because MRS showed nothing, all jobs that MRS shows now are stopped. If the job has no id on MRS, belongs
    to another attempt, or is UNKNOWN, no job is known to be the one to keep: then nothing is stopped.
    """
    # The attempt is queued to be sent again, but it took effect: look it up first.
    if job.state in _UNSENT and job.attempt == fact.attempt and fact.job_ids and kinds.of(job).traits.is_listed:
        return decisions.Decision(jobs.moved(job, State.IN_DOUBT), (), commands.Command.LOOK_UP)

    # The job was cancelled because MRS showed nothing: every job with its token is unwanted.
    if job.state is State.CANCELLED and job.seen is None and job.attempt == fact.attempt and fact.job_ids:
        return _report(job, fact.job_ids, _unwanted_reason, now_ms)

    # No job of this attempt is known to be the one to keep.
    if job.attempt != fact.attempt or job.seen is None or job.state is State.UNKNOWN:
        return None

    others = tuple(job_id for job_id in fact.job_ids if job_id != job.seen.job_id)
    return _report(job, others, reason_for, now_ms)


def _report(
    job: jobs.Job, job_ids: tuple[str, ...], why: Callable[[tuple[str, ...]], jobs.Reason | None], now_ms: int
) -> decisions.Decision | None:
    late = tuple(job_id for job_id in job_ids if job_id not in job.duplicates)
    if not late:
        return None
    noted = _replace(job, duplicates=(*job.duplicates, *late))
    updated, event = event_builder.build_event(
        noted, jobs.TRAITS[job.state].shown, now_ms, reason=why(late), repeated=True
    )
    return decisions.Decision(updated, (event,))


def _unwanted_reason(job_ids: tuple[str, ...]) -> jobs.Reason:
    text = f"the cancelled submission took effect after all; job {', '.join(job_ids)} is being stopped"
    return jobs.Reason("duplicate", "stopped_twin", text)


def reason_for(job_ids: tuple[str, ...]) -> jobs.Reason | None:
    """Return the event's reason when MRS has more than one job of a submission; None without duplicates."""
    if not job_ids:
        return None
    text = f"MRS has this submission more than once; job {', '.join(job_ids)} is being stopped, this one is kept"
    return jobs.Reason("duplicate", "stopped_twin", text)


def stopped(job: jobs.Job, fact: facts.DuplicatesStopped) -> decisions.Decision | None:
    """Remove duplicates from the job once MRS shows that they have ended."""
    left = tuple(job_id for job_id in job.duplicates if job_id not in fact.job_ids)
    return decisions.Decision(_replace(job, duplicates=left)) if left != job.duplicates else None
