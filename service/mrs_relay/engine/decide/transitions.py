"""
Decide what follows from a fact: (job, fact, now) → the job's next state, its events, and a command.

This is the pure core. No I/O, no clock, no logging: the same arguments give the same decision, in a test, in production
and after a crash. A decision is committed as a whole before its command is run. A fact that does not fit the job's
state (it came late, or twice) yields None: nothing changes. The package's docstring says which module handles which
facts; `event_builder` builds the events.
"""

from __future__ import annotations

from typing import Final, assert_never

from mrs_relay.engine.decide import (
    acceptance,
    cancellation,
    causes,
    cluster_operations,
    deadlines,
    deliveries,
    duplicates,
    internal_errors,
    resolution,
    statements,
    submission,
    tracking,
)
from mrs_relay.engine.model import commands, decisions, facts, jobs

State = jobs.State

_NEW: Final = frozenset({State.REJECTED, State.PENDING_CANCEL})
"""In these states, as where there is no job, a request begins one. Any other job continues, even if the rules forbid it
now."""


def decide(  # noqa: C901, PLR0911, PLR0912 - one line per fact, closed by assert_never
    job: jobs.Job | None, fact: facts.Fact, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
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
            return decisions.Decision(None) if job is not None and job.state is State.PENDING_CANCEL else None
        case facts.ResolveRequested():
            return resolution.resolve_requested(job, fact, now_ms, config)
        case _ if job is None:
            return None
        # The cases are tried in order, so those of every job come first.
        case facts.Admitted():
            return submission.admitted(job, now_ms, config)
        case facts.HeldBack():
            return submission.held_back(job, fact, now_ms, config)
        case facts.RejectionDue():
            return None  # the control that rejected it is gone
        case (
            facts.SubmissionAccepted()
            | facts.CallReplied()
            | facts.SubmissionRefused()
            | facts.SubmissionNotApplied()
            | facts.SubmissionInDoubt()
        ):
            return submission.replied(job, fact, now_ms, config)
        case facts.JobObserved():
            return tracking.observed(job, fact, now_ms, config)
        case facts.ClusterSelected() | facts.NoClusterFits():
            return acceptance.cluster_selected(job, fact, now_ms, config)
        case facts.DuplicatesStopped():
            return duplicates.stopped(job, fact)
        case facts.DuplicatesChecked():
            return duplicates.checked(job, fact, now_ms)
        case facts.SubmissionFound() | facts.SubmissionNotFound():
            return submission.looked_up(job, fact, now_ms, config)
        case facts.StatementObserved():
            return statements.observed(job, fact, now_ms, config)
        case facts.ClusterObserved():
            return cluster_operations.observed(job, fact, now_ms, config)
        case facts.JobLost():
            return tracking.lost(job, fact, now_ms, config)
        case facts.WaitsNoted():
            return tracking.waits_noted(job, fact)
        case facts.ResultCollected():
            return deliveries.collected(job, fact, now_ms, config)
        case facts.RowsRemoved():
            return tracking.rows_removed(job, now_ms, config)
        case facts.LogRead():
            return causes.log_read(job, fact, now_ms, config)
        # The submission may have been sent: only a look-up or a repetition can settle it.
        case facts.InternalFailure() if job.state is State.SUBMITTING:
            return submission.replied(job, internal_errors.as_doubt(fact), now_ms, config)
        case facts.InternalFailure():
            return internal_errors.ended(job, fact, now_ms, config)
        case facts.DeadlineReached():
            return deadlines.deadline_reached(job, now_ms, config, fact.why)
        case facts.Expired():
            return deadlines.expired(job, now_ms)
        case _:
            assert_never(fact)


def recover(job: jobs.Job) -> facts.Fact | commands.Command:
    """
    Return how to resume a restored job.

    Returns the command of the job's state, or that of rows that come late. The submission of a job in state SUBMITTING
    may have been sent before the restart. Its command is not run again: the fact that the submission is in doubt is
    returned instead.
    """
    if job.state is State.SUBMITTING:
        return facts.SubmissionInDoubt(
            "the service was restarted or the partition moved while the submission was on its way"
        )

    return commands.of(job)
