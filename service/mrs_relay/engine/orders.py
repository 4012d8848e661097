"""
What becomes of an order to create, resize or delete a cluster. Pure, beside `decide`.

An order cannot be called back: once MRS has it, a cancel is answered with the present state.
"""

from __future__ import annotations

import msgspec

from mrs_relay.engine import facts, jobs, telling, verdict

State = jobs.State


def can_be_found(work: jobs.Work | None) -> bool:
    """Whether the effect of an order in doubt shows on MRS; that of a resize, a difference, does not."""
    return isinstance(work, jobs.Call) and work.goal is not None and work.goal.kind != "resized"


def observed(job: jobs.Job, fact: facts.ClusterObserved, now_ms: int, rules: telling.Rules) -> telling.Decision | None:
    """MRS shows the cluster: the job goes on, or ends when the cluster is what was ordered or never will be."""
    before = job.seen
    if job.subject != "cluster" or job.state not in jobs.FOLLOWED or before is None:
        return None
    if before.job_id != fact.seen.job_id:
        return None
    job = msgspec.structs.replace(job, seen=fact.seen)
    match fact.outcome:
        case verdict.Verdict.SUCCEEDED:
            return telling.end(job, State.SUCCEEDED, now_ms, rules)
        case verdict.Verdict.FAILED | verdict.Verdict.KILLED:
            reason = jobs.Reason("job_failed", "cluster_failed", f"MRS says: {fact.message}")
            return telling.end(job, State.FAILED, now_ms, rules, reason=reason)
        case verdict.Verdict.UNSETTLED:
            text = f"whether MRS carried out the order cannot be told from what it shows: {fact.message}"
            reason = jobs.Reason("unresolved", "cluster_unsettled", text)
            return telling.end(job, State.UNKNOWN, now_ms, rules, reason=reason)
        case verdict.Verdict.RUNNING | verdict.Verdict.WAITING:
            return _goes_on(job, before, fact.outcome, now_ms)


def _goes_on(job: jobs.Job, before: jobs.Seen, outcome: verdict.Verdict, now_ms: int) -> telling.Decision | None:
    if job.state is State.SUBMITTED and outcome is verdict.Verdict.RUNNING:
        told_job, told = telling.tell(jobs.moved(job, State.RUNNING), "running", now_ms)
        return telling.Decision(told_job, (told,))
    if job.state is State.RUNNING and job.seen is not None and job.seen.job_state != before.job_state:
        told_job, told = telling.tell(job, "progress", now_ms)
        return telling.Decision(told_job, (told,))
    return None
