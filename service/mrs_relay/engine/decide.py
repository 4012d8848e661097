"""
The pure core: (job, fact, now) → what the job becomes, what to tell, what to do.

No I/O, no clock, no logging: the same arguments give the same decision, in a test, in production and after a crash.
What is returned is committed as a whole before any command is carried out. A fact that does not fit the job's state
(it came late, or twice) yields None: nothing changes.
"""

from __future__ import annotations

from typing import Any, Final, assert_never

import msgspec

from mrs_relay.engine import commands, facts, jobs, verdict
from mrs_relay.kit import clock
from mrs_relay.messages import events, reasons

State = jobs.State
_replace = msgspec.structs.replace

_CODE_LENGTH: Final = 64
_MESSAGE_LENGTH: Final = 2000
"""Characters of a reason's text; engines are known to send whole stack traces."""

_YEAR_10000_MS: Final = 253_402_300_800_000
"""Moments from here on cannot be written; MRS would have to be badly wrong to name one."""


class Rules(msgspec.Struct, frozen=True):
    """
    What decisions depend on besides their arguments.

    Attributes:
        remember_ms: how long a finished job answers for its idempotency key, milliseconds.
        progress_step: per cent that progress must have changed by before it is told.
    """

    remember_ms: int = 7 * 24 * 3_600_000
    progress_step: float = 10.0


class Decision(msgspec.Struct, frozen=True):
    """
    What follows from a fact.

    Attributes:
        job: the job's new state; None means that it is to be forgotten.
        events: what to publish, in order.
        command: what to do after the commit; None when what goes on goes on.
    """

    job: jobs.Job | None
    events: tuple[events.Event, ...] = ()
    command: commands.Command | None = None


def decide(  # noqa: C901, PLR0911 - one line per fact, closed by assert_never
    job: jobs.Job | None, fact: facts.Fact, now_ms: int, rules: Rules
) -> Decision | None:
    """
    Decide what follows from `fact` for `job`.

    Args:
        job: the job as last decided; None when there is none under this key.
        fact: what happened.
        now_ms: the present, epoch milliseconds.
        rules: see `Rules`.

    Returns:
        The decision, or None when the fact changes nothing.
    """
    match fact:
        case facts.Requested():
            return _requested(job, fact, now_ms)
        case facts.Invalid():
            return _invalid(job, fact, now_ms, rules)
        case _ if job is None:
            return None
        case facts.Turn():
            return _turn(job, now_ms)
        case facts.Taken() | facts.Refused() | facts.NotTaken() | facts.InDoubt():
            return _reply(job, fact, now_ms, rules)
        case facts.Found() | facts.NotFound():
            return _looked_up(job, fact, now_ms)
        case facts.Observed():
            return _observed(job, fact.seen, now_ms, rules)
        case facts.StatementObserved():
            return _statement(job, fact, now_ms, rules)
        case facts.Vanished():
            return _vanished(job, fact, now_ms, rules)
        case facts.Collected():
            return _collected(job, fact, now_ms, rules)
        case facts.Expired():
            return Decision(None) if jobs.TRAITS[job.state].last and job.expires_ms <= now_ms else None
        case _:
            assert_never(fact)


def recover(job: jobs.Job) -> facts.Fact | commands.Command:
    """
    What a restart owes a job found in the ledger.

    A command to take up again, or, for a submission that somebody may have sent before us, the fact that it is in
    doubt.
    """
    if job.state is State.SUBMITTING:
        return facts.InDoubt("the service was restarted or the partition moved while the submission was on its way")
    return commands.FOR_STATE[job.state]


# requests -----------------------------------------------------------------------------------------------------------


def _requested(job: jobs.Job | None, fact: facts.Requested, now_ms: int) -> Decision | None:
    candidate = fact.job
    if job is None or job.state is State.REJECTED:
        fresh = _replace(candidate, sequence=0 if job is None else job.sequence, arrived_ms=now_ms)
        if job is not None and job.order >= candidate.order:
            return None
        accepted, told = _tell(fresh, "accepted", now_ms)
        return Decision(accepted, (told,), commands.Command.ENQUEUE)
    if job.order == candidate.order:
        return None  # the same record once more: it was decided before
    if job.digest == candidate.digest:
        again, told = _tell(job, jobs.TRAITS[job.state].shown, now_ms, repeated=True)
        return Decision(again, (told,))
    reason = jobs.Reason(
        "conflict", "id_reused", "this source and id were used before with another payload; use a new id"
    )
    return _rebuff(job, reason, now_ms)


def _invalid(job: jobs.Job | None, fact: facts.Invalid, now_ms: int, rules: Rules) -> Decision | None:
    if job is not None and job.order >= fact.job.order:
        return None
    if job is not None and job.state is not State.REJECTED:
        return _rebuff(job, fact.reason, now_ms)
    rejected = _replace(
        fact.job,
        sequence=0 if job is None else job.sequence,
        arrived_ms=now_ms,
        reason=fact.reason,
        expires_ms=now_ms + rules.remember_ms,
    )
    told_job, told = _tell(rejected, "rejected", now_ms, reason=fact.reason)
    return Decision(told_job, (told,), commands.Command.RELEASE)


def _rebuff(job: jobs.Job, reason: jobs.Reason, now_ms: int) -> Decision:
    """Tell the sender of a second message that it is not accepted; the first one's job goes on untouched."""
    told_job, told = _tell(job, "rejected", now_ms, reason=reason)
    return Decision(_replace(told_job, shown=job.shown), (told,))


# submission ---------------------------------------------------------------------------------------------------------


def _turn(job: jobs.Job, now_ms: int) -> Decision | None:
    if job.state is not State.QUEUED:
        return None
    intent = _replace(jobs.moved(job, State.SUBMITTING), attempt=max(1, job.attempt), intent_ms=now_ms)
    return Decision(intent, (), commands.Command.SUBMIT)


def _reply(
    job: jobs.Job,
    fact: facts.Taken | facts.Refused | facts.NotTaken | facts.InDoubt,
    now_ms: int,
    rules: Rules,
) -> Decision | None:
    if job.state is not State.SUBMITTING:
        return None
    match fact:
        case facts.Taken():
            return _under_way(job, jobs.Seen(fact.job_id), now_ms)
        case facts.Refused():
            return _end(job, State.FAILED, now_ms, rules, reason=fact.reason)
        case facts.NotTaken():
            return Decision(jobs.moved(job, State.QUEUED), (), commands.Command.ENQUEUE)
        case facts.InDoubt():
            return _doubt(job, fact, now_ms, rules)
        case _:
            assert_never(fact)


def _doubt(job: jobs.Job, fact: facts.InDoubt, now_ms: int, rules: Rules) -> Decision:
    if isinstance(job.work, jobs.Batch):
        return Decision(jobs.moved(job, State.DOUBTFUL), (), commands.Command.LOOK_UP)
    if isinstance(job.work, jobs.Presto) and job.work.repeatable:
        return Decision(jobs.moved(job, State.QUEUED), (), commands.Command.ENQUEUE)
    reason = jobs.Reason(
        "unresolved",
        "reply_lost",
        f"the statement may have run or not, and MRS offers no way to find out: {fact.message}",
        mrs_request_id=fact.mrs_request_id,
    )
    return _end(job, State.UNKNOWN, now_ms, rules, reason=reason)


def _looked_up(job: jobs.Job, fact: facts.Found | facts.NotFound, now_ms: int) -> Decision | None:
    if job.state is not State.DOUBTFUL:
        return None
    if isinstance(fact, facts.Found):
        return _under_way(job, jobs.Seen(fact.seen.job_id), now_ms)
    return Decision(jobs.moved(job, State.QUEUED), (), commands.Command.ENQUEUE)


def _under_way(job: jobs.Job, seen: jobs.Seen, now_ms: int) -> Decision:
    submitted = _replace(jobs.moved(job, State.SUBMITTED), seen=seen, work=None)
    told_job, told = _tell(submitted, "submitted", now_ms)
    return Decision(told_job, (told,), commands.Command.TRACK)


# life on MRS --------------------------------------------------------------------------------------------------------


def _observed(job: jobs.Job, seen: jobs.Seen, now_ms: int, rules: Rules) -> Decision | None:
    if job.state not in {State.SUBMITTED, State.RUNNING} or job.seen is None or job.seen.job_id != seen.job_id:
        return None
    seen = _completed(seen, job.seen)
    known = verdict.of_job(seen.job_state, seen.job_result)
    match known:
        case verdict.Verdict.WAITING | verdict.Verdict.UNSETTLED:
            return None
        case verdict.Verdict.RUNNING:
            return _running(job, seen, now_ms, rules)
        case verdict.Verdict.SUCCEEDED if job.collect:
            return Decision(_replace(jobs.moved(job, State.COLLECTING), seen=seen), (), commands.Command.COLLECT)
        case verdict.Verdict.SUCCEEDED:
            return _end(_replace(job, seen=seen), State.SUCCEEDED, now_ms, rules)
        case verdict.Verdict.FAILED | verdict.Verdict.KILLED:
            return _ended_badly(_replace(job, seen=seen), known, now_ms, rules)
        case _:
            assert_never(known)


def _completed(seen: jobs.Seen, before: jobs.Seen) -> jobs.Seen:
    """What MRS says now; what it said before and now leaves out still holds, for lists and single reads differ."""
    return _replace(
        seen,
        progress=min(100.0, max(0.0, seen.progress)),
        app_id=seen.app_id or before.app_id,
        tracking_url=seen.tracking_url or before.tracking_url,
        submitted_ms=seen.submitted_ms or before.submitted_ms,
        started_ms=seen.started_ms or before.started_ms,
    )


def _running(job: jobs.Job, seen: jobs.Seen, now_ms: int, rules: Rules) -> Decision | None:
    before = job.seen
    if job.state is State.SUBMITTED:
        told_job, told = _tell(_replace(jobs.moved(job, State.RUNNING), seen=seen), "running", now_ms)
        return Decision(told_job, (told,))
    if before is None or (
        abs(seen.progress - before.progress) < rules.progress_step
        and (seen.app_id, seen.tracking_url) == (before.app_id, before.tracking_url)
    ):
        return None
    told_job, told = _tell(_replace(job, seen=seen), "progress", now_ms)
    return Decision(told_job, (told,))


def _ended_badly(job: jobs.Job, known: verdict.Verdict, now_ms: int, rules: Rules) -> Decision:
    seen = job.seen
    says = f"job_state {seen.job_state}, job_result {seen.job_result}" if seen else "no details"
    if known is verdict.Verdict.KILLED:
        reason = jobs.Reason("job_killed", "job_result", f"the job was killed on MRS ({says})", retryable=True)
        return _end(job, State.CANCELLED, now_ms, rules, reason=reason)
    reason = jobs.Reason("job_failed", "job_result", f"the job failed on MRS ({says}); its log there says why")
    return _end(job, State.FAILED, now_ms, rules, reason=reason)


def _statement(job: jobs.Job, fact: facts.StatementObserved, now_ms: int, rules: Rules) -> Decision | None:
    if not job.statement or job.state not in {State.SUBMITTING, State.SUBMITTED, State.RUNNING}:
        return None
    told: tuple[events.Event, ...] = ()
    command: commands.Command | None = None
    if job.state is State.SUBMITTING:
        taken = _under_way(job, jobs.Seen(fact.seen.job_id), now_ms)
        assert taken.job is not None  # noqa: S101 - _under_way always returns the job
        job, told, command = taken.job, taken.events, taken.command
    seen = _replace(fact.seen, submitted_ms=job.intent_ms)
    match verdict.of_statement(seen.job_state):
        case verdict.Verdict.SUCCEEDED:
            last = _end(_replace(job, seen=seen), State.SUCCEEDED, now_ms, rules, result=fact.result)
        case verdict.Verdict.FAILED:
            reason = jobs.Reason("job_failed", "statement_failed", fact.message or "the SQL engine gives no reason")
            last = _end(_replace(job, seen=seen), State.FAILED, now_ms, rules, reason=reason)
        case _ if not seen.job_id:
            reason = jobs.Reason(
                "unresolved", "statement_without_id", f"MRS left the statement at {seen.job_state} and gave it no id"
            )
            last = _end(job, State.UNKNOWN, now_ms, rules, reason=reason)
        case verdict.Verdict.RUNNING if job.state is State.SUBMITTED:
            running, event = _tell(_replace(jobs.moved(job, State.RUNNING), seen=seen), "running", now_ms)
            return Decision(running, (*told, event), command)
        case _:
            return Decision(job, told, command) if told else None
    return Decision(last.job, (*told, *last.events), last.command)


def _vanished(job: jobs.Job, fact: facts.Vanished, now_ms: int, rules: Rules) -> Decision | None:
    if job.state not in {State.SUBMITTED, State.RUNNING}:
        return None
    return _end(job, State.UNKNOWN, now_ms, rules, reason=jobs.Reason("unresolved", "job_vanished", fact.message))


def _collected(job: jobs.Job, fact: facts.Collected, now_ms: int, rules: Rules) -> Decision | None:
    if job.state is not State.COLLECTING:
        return None
    return _end(job, State.SUCCEEDED, now_ms, rules, result=fact.result)


# endings and events -------------------------------------------------------------------------------------------------


def _end(
    job: jobs.Job,
    state: jobs.State,
    now_ms: int,
    rules: Rules,
    *,
    reason: jobs.Reason | None = None,
    result: events.Result | None = None,
) -> Decision:
    """Publish the last event and shrink the job to what its idempotency key still needs."""
    if reason is not None:
        reason = _replace(reason, code=reason.code[:_CODE_LENGTH], message=reason.message[:_MESSAGE_LENGTH])
    if reason is not None:
        reason = _replace(reason, message=reason.message[: reasons.MAX_MESSAGE])
    ended = _replace(jobs.moved(job, state), reason=reason, location=result.location if result else None)
    told_job, told = _tell(ended, jobs.TRAITS[state].shown, now_ms, reason=reason, result=result)
    shrunk = _replace(told_job, work=None, traceparent=None, tracestate=None, expires_ms=now_ms + rules.remember_ms)
    return Decision(shrunk, (told,), commands.Command.RELEASE)


def _tell(
    job: jobs.Job,
    state: events.State,
    now_ms: int,
    *,
    reason: jobs.Reason | None = None,
    result: events.Result | None = None,
    repeated: bool = False,
) -> tuple[jobs.Job, events.Event]:
    """Number an event; returns the job that has published it and the event."""
    told = _replace(job, sequence=job.sequence + 1, shown=state)
    if repeated:
        reason = job.reason
        result = events.Result(location=job.location) if job.location else None
    data = events.EventData(
        request=events.RequestRef(id=job.id, source=job.source),
        state=state,
        previous_state=job.shown,
        sequence=told.sequence,
        attempt=job.attempt,
        cluster=job.cluster or None,
        mrs=_mrs_view(job),
        result=result,
        reason=_reason(reason) if reason else None,
        labels=job.labels,
        repeated=repeated,
    )
    event = events.Event(
        subject=job.subject,
        key=job.id.encode() if job.key is None else job.key,
        time_ms=now_ms,
        data=data,
        event_id=f"{events.identity(job.source, job.id)}-{told.sequence}",
        correlation_id=job.correlation_id or job.id,
        traceparent=job.traceparent,
        tracestate=job.tracestate,
    )
    return told, event


def _mrs_view(job: jobs.Job) -> events.MrsView | None:
    seen = job.seen
    if seen is None:
        return None
    return events.MrsView(
        job_id=seen.job_id or None,
        job_name=job.mrs_name or None,
        job_state=seen.job_state or None,
        job_result=seen.job_result or None,
        progress=seen.progress if seen.job_state else None,
        app_id=seen.app_id or None,
        tracking_url=seen.tracking_url or None,
        submitted_at=_moment(seen.submitted_ms),
        started_at=_moment(seen.started_ms),
        finished_at=_moment(seen.finished_ms),
    )


def _moment(epoch_ms: int) -> str | None:
    return clock.rfc3339(epoch_ms) if 0 < epoch_ms < _YEAR_10000_MS else None


def _reason(reason: jobs.Reason) -> reasons.Reason:
    fields: dict[str, Any] = {name: getattr(reason, name) for name in reason.__struct_fields__}
    return reasons.Reason(**fields)
