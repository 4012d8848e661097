"""
Say which run events follow from a decision. Pure.

A run is one attempt of a batch job or of SQL: calls and cluster operations process no data and have none. An attempt
begins when MRS has it, or when it ends without that; the event says when its submission was decided. So an attempt
that the events of the request count has exactly one START and one end. A person who settles an unknown outcome adds
the end that replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from mrs_relay.engine.model import decisions, jobs
from mrs_relay.messages import events

EventType = Literal["START", "COMPLETE", "FAIL", "ABORT"]

_ENDS: Final[dict[events.State, EventType]] = {
    "succeeded": "COMPLETE",
    "failed": "FAIL",
    "retrying": "FAIL",
    "cancelled": "ABORT",
    "unknown": "ABORT",
}
"""Event state that ends an attempt -> event type of OpenLineage."""

_STARTED: Final = frozenset(
    {
        jobs.State.SUBMITTED,
        jobs.State.RUNNING,
        jobs.State.CANCELLING,
        jobs.State.COLLECTING,
        jobs.State.UNKNOWN,
    }
)
"""States of a job whose present attempt has its START."""


class Change(NamedTuple):
    """
    One run event to write.

    Attributes:
        type: of OpenLineage.
        job: the job before the decision, with the work of the attempt as far as it is still known.
        event: the event of the request that belongs to it.
        time_ms: when it happened, epoch milliseconds.
    """

    type: EventType
    job: jobs.Job
    event: events.Event
    time_ms: int


def changes(before: jobs.Job | None, decision: decisions.Decision) -> Iterator[Change]:
    """Yield the run events of a decision, in order."""
    if before is None or before.attempt == 0 or not decision.events or not has_runs(before):
        return

    is_started = before.state in _STARTED
    for event in decision.events:
        data = event.data
        # An end without the present attempt is that of an attempt which was never sent.
        if data.repeated or data.attempt != before.attempt:
            continue
        end = _ENDS.get(data.state)
        if not is_started and (end is not None or data.state == "submitted"):
            is_started = True
            yield Change("START", before, event, min(before.intent_ms or event.time_ms, event.time_ms))
        if end is not None:
            yield Change(end, before, event, event.time_ms)


def has_runs(job: jobs.Job) -> bool:
    """Return whether the attempts of a job are runs: it is a batch job, which has a name on MRS, or SQL."""
    return job.subject in {"job", "sql"} and (job.statement or bool(job.name))
