"""
Accept or reject an arriving request, or answer it as a repetition. Pure, beside `transitions`.

No message is decided twice: a commit has jobs and input offset together, and `kafka.inbox` ignores what it has had. So
offsets are not compared: those of jobs may belong to an earlier requests topic.
"""

from __future__ import annotations

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.decide import answers, cancellation, deadlines
from mrs_relay.engine.model import commands, decisions, facts, jobs

State = jobs.State
_replace = msgspec.structs.replace


def requested(
    job: jobs.Job | None, fact: facts.Requested, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """Decide on a valid request: it begins a job, repeats one, or conflicts with another request of the same id."""
    candidate = fact.job
    if job is None or job.state in {State.REJECTED, State.PENDING_CANCEL}:
        return _start(job, candidate, now_ms, config)

    is_repeat = fact.repeats(job)
    if is_repeat and job.state is State.CHOOSING:
        return None  # the first request is answered soon, by `accepted` or `rejected`
    if is_repeat:
        again, event = event_builder.build_event(
            answers.with_trace_of(job, candidate), jobs.TRAITS[job.state].shown, now_ms, repeated=True
        )
        return decisions.Decision(answers.with_trace_of(again, job), (event,))

    reason = jobs.Reason(
        "conflict", "id_reused", "this source and id were used before with another payload; use a new id"
    )
    return _reject_duplicate(job, candidate, reason, now_ms)


def _start(
    before: jobs.Job | None, candidate: jobs.Job, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision:
    fresh = deadlines.with_deadlines(candidate, now_ms)
    fresh = _replace(fresh, sequence=0 if before is None else before.sequence, arrived_ms=now_ms)

    # A cancel arrived before its request: the job ends at once, and the partition that sent the cancel gets a reply.
    if before is not None and before.state is State.PENDING_CANCEL:
        stopped = cancellation.accepted_and_stopped(
            cancellation.with_stop_request(fresh, before.stop, before.asked_by, before.sender), now_ms, config
        )
        return _replace(stopped, pass_back=before.came_from)

    return decisions.Decision(fresh, (), commands.Command.SELECT_CLUSTER) if fresh.choice else _accepted(fresh, now_ms)


def _accepted(job: jobs.Job, now_ms: int) -> decisions.Decision:
    accepted, event = event_builder.build_event(job, "accepted", now_ms)
    return decisions.Decision(accepted, (event,), commands.Command.ENQUEUE)


def cluster_selected(
    job: jobs.Job, fact: facts.ClusterSelected | facts.NoClusterFits, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """Accept a request whose cluster was selected, or reject one without a cluster."""
    if job.state is not State.CHOOSING:
        return None
    if isinstance(fact, facts.ClusterSelected):
        return _accepted(_replace(jobs.moved(job, State.QUEUED), cluster=fact.cluster, choice=None), now_ms)
    return event_builder.end(_replace(job, choice=None), State.REJECTED, now_ms, config, reason=fact.reason)


def invalid(
    job: jobs.Job | None, fact: facts.InvalidRequest, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """Reject a request, and keep the rejection for a while; an existing job with its id continues."""
    if job is not None and job.state not in {State.REJECTED, State.PENDING_CANCEL}:
        return _reject_duplicate(job, fact.job, _replace(fact.reason, kind="conflict"), now_ms)

    rejected = _replace(
        fact.job,
        sequence=0 if job is None else job.sequence,
        arrived_ms=now_ms,
        reason=fact.reason,
    )
    updated, event = event_builder.build_event(rejected, "rejected", now_ms, reason=fact.reason)

    # A cancel may wait for this request: the partition that sent the cancel gets a reply.
    waits = job.came_from if job is not None else -1
    remembered = event_builder.rejected(updated, now_ms, config)
    return decisions.Decision(remembered, (event,), commands.Command.RELEASE, pass_back=waits)


def _reject_duplicate(job: jobs.Job, second: jobs.Job, reason: jobs.Reason, now_ms: int) -> decisions.Decision:
    """Publish `rejected` for a second message; the first one's job continues unchanged."""
    updated, event = event_builder.build_event(answers.with_trace_of(job, second), "rejected", now_ms, reason=reason)
    return decisions.Decision(_replace(answers.with_trace_of(updated, job), shown=job.shown), (event,))
