"""
Log each committed decision in one line: what has been decided, about which request.

The tables say which line belongs to which decision. A decision that publishes events has a line for each of them; one
that publishes none has the line of its fact. What a step meets on its way, such as a call that failed, is logged by the
step and not here: the decision that follows from it is another line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import structlog

from mrs_relay.common import histograms
from mrs_relay.engine import redaction
from mrs_relay.engine.model import decisions, facts, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import dead_letters, events

_log = structlog.get_logger(__name__)


class Line(NamedTuple):
    """The name of a log event, and its level."""

    name: str
    level: int


DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

OF_EVENTS: Final[dict[str, Line]] = {
    "accepted": Line("request_accepted", INFO),
    "rejected": Line("request_rejected", WARNING),
    "submitted": Line("request_submitted", INFO),
    "running": Line("request_started", INFO),
    "progress": Line("request_progressed", DEBUG),
    "retrying": Line("attempt_failed", WARNING),
    "succeeded": Line("request_succeeded", INFO),
    "failed": Line("request_failed", WARNING),
    "cancelled": Line("request_cancelled", INFO),
    "unknown": Line("request_unresolved", ERROR),
    events.LATE_ROWS.rpartition(".")[2]: Line("late_rows_published", INFO),
}
"""The line of an event that reports a new state, by the last word of its type."""

ANSWERED: Final = Line("message_answered", INFO)
"""An event that repeats a state, as the answer to a message."""

REFUSED: Final = Line("message_rejected", WARNING)
"""An event that rejects a message about a request, or that uses its id again, and leaves the request as it is."""

DUPLICATES: Final = Line("duplicate_jobs_found", ERROR)
"""An event that reports several jobs of one submission; it takes the place of the other lines of events."""

STOP: Final = Line("stop_requested", INFO)
"""A job is to be stopped, by a cancel, a control or a deadline; its end follows."""

REPLY: Final = Line("cancel_matched", DEBUG)
"""A cancel that was sent to all partitions has found its request: its copies are dropped."""

OF_FACTS: Final[dict[type[facts.Fact], Line]] = {
    facts.Requested: Line("cluster_selection_begun", DEBUG),
    facts.CancelRequested: Line("cancel_kept", INFO),
    facts.CancelMatched: REPLY,
    facts.DeadlineReached: STOP,
    facts.Admitted: Line("request_admitted", INFO),
    facts.HeldBack: Line("request_held", INFO),
    facts.SubmissionNotApplied: Line("request_queued_again", DEBUG),
    facts.SubmissionInDoubt: Line("submission_in_doubt", WARNING),
    facts.InternalFailure: Line("submission_in_doubt", WARNING),
    facts.SubmissionNotFound: Line("submission_not_found", INFO),
    facts.DuplicatesChecked: Line("submission_in_doubt", WARNING),
    facts.DuplicatesStopped: Line("duplicates_ended", DEBUG),
    facts.JobObserved: Line("end_observed", DEBUG),
    facts.StatementObserved: Line("end_observed", DEBUG),
    facts.WaitsNoted: Line("job_wait_noted", DEBUG),
    facts.RowsRemoved: Line("rows_forgotten", DEBUG),
    facts.Expired: Line("request_forgotten", DEBUG),
}
"""The line of a decision that publishes no event, by its fact; those that are missing here always publish one."""

OTHER: Final = Line("request_changed", DEBUG)
"""The line of a decision that is in no table; there is none."""

LOOKED: Final = Line("second_look_done", DEBUG)
"""MRS was looked at again after a submission in doubt, and shows nothing new."""

LETTER: Final = Line("dead_letter", WARNING)
"""The line of a message that became a dead letter."""


class Taken(NamedTuple):
    """A decision, the fact that it follows from, and the job before."""

    before: jobs.Job | None
    fact: facts.Fact
    decision: decisions.Decision


class Written(NamedTuple):
    """A line with its fields."""

    line: Line
    fields: dict[str, Any]


def write(taken: Iterable[Taken], letters: Iterable[dead_letters.DeadLetter], partition: int) -> None:
    """Write the lines of what one commit has decided, in its order."""
    log = _log.bind()  # once for all lines: a logger that is not bound is made for each
    for one in taken:
        for line, fields in lines(one, log.is_enabled_for):
            log.log(line.level, line.name, **fields, partition=partition)
    for letter in letters:
        log.log(LETTER.level, LETTER.name, reason=letter.code, offset=letter.offset, partition=partition)


def lines(taken: Taken, is_enabled: Any = lambda _level: True) -> Iterator[Written]:  # noqa: ANN401 - structlog's method
    """
    Yield the lines of a decision: one for each of its events, or one if it has none.

    Args:
        taken: the decision.
        is_enabled: whether lines of a level are written; what is not is not built.
    """
    published = taken.decision.events
    if not published:
        line = of_fact(taken)
        if is_enabled(line.level):
            yield Written(line, _fields(taken))
    for event in published:
        line = of_event(event)
        if is_enabled(line.level):
            yield Written(line, _of_event(event) | _doubt(taken))


def of_event(event: events.Event) -> Line:
    """Return the line of an event."""
    reason = event.data.reason
    if reason is not None and reason.kind == "duplicate":
        return DUPLICATES
    if event.late_rows:
        return OF_EVENTS[event.word]
    if event.data.repeated:
        return ANSWERED
    return OF_EVENTS[event.word] if event.changes_state else REFUSED


def of_fact(taken: Taken) -> Line:
    """Return the line of a decision that publishes nothing."""
    before, fact, after = taken.before, taken.fact, taken.decision.job
    if isinstance(fact, facts.CancelRequested) and after is not None and after.state is not jobs.State.PENDING_CANCEL:
        return STOP if before is None or before.stop is not after.stop else REPLY
    if isinstance(fact, facts.CancelRequested) and fact.came_from >= 0:
        return OF_FACTS[facts.CancelRequested]._replace(level=DEBUG)  # one line is enough for all partitions
    if isinstance(fact, facts.DuplicatesChecked) and before is not None and after is not None:
        return LOOKED if before.state is after.state else OF_FACTS[facts.DuplicatesChecked]
    return OF_FACTS.get(type(fact), OTHER)


def _of_event(event: events.Event) -> dict[str, Any]:
    data = event.data
    found: dict[str, Any] = {"request": data.request.id, "source": data.request.source, "state": data.state}
    if data.attempt:
        found["attempt"] = data.attempt
    if data.cluster is not None:
        found["cluster"] = data.cluster
    if data.mrs is not None and data.mrs.job_id is not None:
        found["job_id"] = data.mrs.job_id
    if data.reason is not None:  # NB: its text is for the event's readers, and may quote what they sent
        found["reason"], found["code"] = data.reason.kind, data.reason.code
    if event.causation_id is not None:
        found["by"] = event.causation_id
    return found | _trace(event.traceparent)


def _fields(taken: Taken) -> dict[str, Any]:
    job = taken.decision.job or taken.before
    if job is None:
        return {}
    found: dict[str, Any] = {"request": job.id, "source": job.source}
    found["state"] = "none" if taken.decision.job is None else job.state.value
    if job.attempt:
        found["attempt"] = job.attempt
    if job.cluster:
        found["cluster"] = job.cluster
    if job.stop is not None:
        found["reason"], found["code"] = job.stop.kind, job.stop.code
    if job.asked_by is not None:
        found["by"] = job.asked_by
    return found | _trace(job.traceparent) | _doubt(taken)


def _trace(traceparent: str | None) -> dict[str, Any]:
    trace_id = histograms.trace_id(traceparent)
    return {} if trace_id is None else {"trace_id": trace_id}


def _doubt(taken: Taken) -> dict[str, Any]:
    """Return why a submission is in doubt, without the request's values: MRS or a gateway may quote them."""
    fact, job = taken.fact, taken.before
    if not isinstance(fact, facts.SubmissionInDoubt) or job is None:
        return {}
    return {"error": redaction.redact(fact.message, kinds.of(job).asked(job))}
