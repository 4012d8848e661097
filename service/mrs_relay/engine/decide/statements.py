"""
Follow a SQL statement whose status carries its rows. Pure, beside `transitions`.

MRS may answer the submission itself with the last status, so one fact can bring `submitted` and the end.
"""

from __future__ import annotations

import msgspec

from mrs_relay.engine import event_builder, redaction
from mrs_relay.engine.decide import deliveries, retry, submission
from mrs_relay.engine.model import commands, decisions, facts, jobs, verdict
from mrs_relay.engine.work import kinds
from mrs_relay.messages import events

State = jobs.State
_replace = msgspec.structs.replace


def observed(
    job: jobs.Job, fact: facts.StatementObserved, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """Continue or end a statement by its status, which may come with the reply to its submission."""
    kind = kinds.of(job)
    if not kind.traits.status_has_rows or job.state not in jobs.FOLLOWED | {State.SUBMITTING}:
        return None
    if job.seen is not None and fact.seen.job_id not in {"", job.seen.job_id}:
        return None

    first: tuple[events.Event, ...] = ()
    command: commands.Command | None = None
    says = redaction.redact(fact.message, kind.asked(job)) or "the SQL engine gives no reason"
    was_cancelled = job.state is State.CANCELLING

    # The reply to a submission carries the first status: publish `submitted` before what follows from the status.
    if job.state is State.SUBMITTING:
        taken = submission.submitted(job, jobs.MrsStatus(fact.seen.job_id), now_ms, config)
        assert taken.job is not None  # noqa: S101 - `submitted` always returns the job
        job, first, command = taken.job, taken.events, taken.command

    seen = _replace(fact.seen, submitted_ms=job.intent_ms)
    match fact.outcome:
        case verdict.Verdict.SUCCEEDED:
            last = deliveries.begin(_replace(job, seen=seen), fact.result, now_ms, config)
        case verdict.Verdict.FAILED if was_cancelled:
            # NB: there is no status for a cancelled statement; one that fails after its cancel counts as cancelled.
            last = event_builder.end(_replace(job, seen=seen), State.CANCELLED, now_ms, config, reason=job.stop)
        case verdict.Verdict.FAILED:
            reason = jobs.Reason("job_failed", "statement_failed", says)
            last = retry.ended_badly(_replace(job, seen=seen), State.FAILED, reason, now_ms, config)
        case _ if not seen.job_id:
            reason = jobs.Reason(
                "unresolved", "statement_without_id", f"MRS left the statement at {seen.job_state} and gave it no id"
            )
            last = event_builder.end(job, State.UNKNOWN, now_ms, config, reason=reason)
        case verdict.Verdict.RUNNING if job.state is State.SUBMITTED:
            running, event = event_builder.build_event(
                _replace(jobs.moved(job, State.RUNNING), seen=seen), "running", now_ms
            )
            return decisions.Decision(running, (*first, event), command)
        case _:
            return decisions.Decision(job, first, command) if first else None

    return decisions.Decision(last.job, (*first, *last.events), last.command)
