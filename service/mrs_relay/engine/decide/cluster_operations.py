"""
Follow an operation that creates, resizes or deletes a cluster. Pure, beside `transitions`.

Such an operation cannot be cancelled: once MRS has accepted it, a cancel is answered with the present state.
"""

from __future__ import annotations

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.model import decisions, facts, jobs, verdict
from mrs_relay.engine.work import kinds

State = jobs.State


def observed(
    job: jobs.Job, fact: facts.ClusterObserved, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """Continue a job, or end it when its cluster has reached the target or cannot reach it any more."""
    before = job.seen
    if not kinds.of(job).traits.follows_cluster or job.state not in jobs.FOLLOWED or before is None:
        return None
    if before.job_id != fact.seen.job_id:
        return None

    job = msgspec.structs.replace(job, seen=fact.seen)
    match fact.outcome:
        case verdict.Verdict.SUCCEEDED:
            return event_builder.end(job, State.SUCCEEDED, now_ms, config)
        case verdict.Verdict.FAILED | verdict.Verdict.KILLED:
            reason = jobs.Reason("job_failed", "cluster_failed", f"MRS says: {fact.message}")
            return event_builder.end(job, State.FAILED, now_ms, config, reason=reason)
        case verdict.Verdict.UNSETTLED:
            text = f"what MRS shows does not say whether it carried out the order: {fact.message}"
            reason = jobs.Reason("unresolved", "cluster_unsettled", text)
            return event_builder.end(job, State.UNKNOWN, now_ms, config, reason=reason)
        case verdict.Verdict.RUNNING | verdict.Verdict.WAITING:
            return _goes_on(job, before, fact.outcome, now_ms)


def _goes_on(job: jobs.Job, before: jobs.MrsStatus, outcome: verdict.Verdict, now_ms: int) -> decisions.Decision | None:
    if job.state is State.SUBMITTED and outcome is verdict.Verdict.RUNNING:
        updated, event = event_builder.build_event(jobs.moved(job, State.RUNNING), "running", now_ms)
        return decisions.Decision(updated, (event,))
    if job.state is State.RUNNING and job.seen is not None and job.seen.job_state != before.job_state:
        updated, event = event_builder.build_event(job, "progress", now_ms)
        return decisions.Decision(updated, (event,))
    return None
