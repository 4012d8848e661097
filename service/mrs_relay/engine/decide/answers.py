"""
Answer a message that changes no job: with the job's present state, or with `rejected`. Pure, beside `transitions`.

Such an answer belongs to the trace of the message that it answers, and names that message as its cause.
"""

from __future__ import annotations

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.model import decisions, jobs
from mrs_relay.messages import events

_replace = msgspec.structs.replace


def with_trace_of(job: jobs.Job, by: jobs.Job) -> jobs.Job:
    """
    Return the job with the trace context and the sender of `by`.

    An answer belongs to the trace of the message that it answers, and its cause is that message's sender.
    """
    return _replace(job, traceparent=by.traceparent, tracestate=by.tracestate, sender=by.sender)


def repeat_event(job: jobs.Job, by: str, sender: jobs.Job, now_ms: int) -> decisions.Decision:
    """Answer a message that changes nothing with the job's present state."""
    again, event = event_builder.build_event(
        with_trace_of(job, sender), jobs.TRAITS[job.state].shown, now_ms, repeated=True
    )
    return decisions.Decision(with_trace_of(again, job), (_replace(event, causation_id=by),))


def rejected(asker: jobs.Job, suffix: str, reason: jobs.Reason, now_ms: int) -> events.Event:
    """
    Build the `rejected` event of a cancel or a resolution that has no effect.

    The event's id ends with `suffix`: there may be a request under the message's own source and id.
    """
    _, event = event_builder.build_event(asker, "rejected", now_ms, reason=reason)
    return _replace(event, event_id=f"{events.identity(asker.source, asker.id)}-{suffix}", causation_id=asker.id)


def canceller(waiting: jobs.Job, by: str | None, source: str | None) -> jobs.Job:
    """Return a job with the identity of a cancel's message: the subject of an event when there is no request."""
    return _replace(waiting, source=source or waiting.source, id=by or waiting.id, sequence=0, shown=None)
