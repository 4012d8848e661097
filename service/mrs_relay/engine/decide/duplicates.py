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
_WITHOUT_JOB: Final = frozenset({State.CANCELLED, State.FAILED})
"""In these states a request without an id on MRS has been reported to have no job there."""


def to_be_checked(job: jobs.Job, now_ms: int, config: decisions.DecisionConfig) -> jobs.Job:
    """
    Note that MRS is to be looked at again for jobs of this attempt, when the time of a whole look-up has passed.

    The note is in the ledger, so that the second look takes place under whichever owner the partition has by then.
    """
    if not kinds.of(job).traits.is_listed:
        return job
    look = jobs.SecondLook(job.attempt, now_ms + config.second_look_ms)
    return _replace(job, second_looks=(*_looks_but(job, job.attempt), look))


def _looks_but(job: jobs.Job, attempt: int) -> tuple[jobs.SecondLook, ...]:
    return tuple(look for look in job.second_looks if look.attempt != attempt)


def checked(job: jobs.Job, fact: facts.DuplicatesChecked, now_ms: int) -> decisions.Decision | None:
    """Note that the second look at an attempt is over, and act on what it has found; see `_found`."""
    left = _looks_but(job, fact.attempt)
    done = _replace(job, second_looks=left)
    return _found(done, fact, now_ms) or (decisions.Decision(done) if left != job.second_looks else None)


def _found(job: jobs.Job, fact: facts.DuplicatesChecked, now_ms: int) -> decisions.Decision | None:
    """
    Stop duplicates that MRS showed late, also when the job that is kept has ended.

    If the same attempt is about to be sent again, the submission is in doubt again: it had taken effect. If the attempt
    is over without a job to keep (it was cancelled or refused because MRS showed nothing, or a later attempt has
    followed), what MRS shows of it now is stopped. If the request is UNKNOWN, no job is known to be the one to keep:
    then nothing of its last attempt is stopped.
    """
    # The attempt is queued to be sent again, but it took effect: look it up first.
    if job.state in _UNSENT and job.attempt == fact.attempt and fact.job_ids and kinds.of(job).traits.is_listed:
        return decisions.Decision(jobs.moved(job, State.IN_DOUBT), (), commands.Command.LOOK_UP)

    # The attempt is over: every job with its token is unwanted, but for those that had ended badly before a retry.
    if fact.attempt < job.attempt or (job.state in _WITHOUT_JOB and job.seen is None and job.attempt == fact.attempt):
        kept = () if job.seen is None else (job.seen.job_id,)
        known = fact.failed if job.retry is not None else ()
        unwanted = tuple(job_id for job_id in fact.job_ids if job_id not in (*kept, *known))
        return _report(job, unwanted, _unwanted_reason, now_ms)

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
    text = (
        f"a submission that was taken to be without effect took effect after all; job {', '.join(job_ids)} is being "
        "stopped"
    )
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
