"""End a job of unknown outcome with the verdict of a person. Pure, beside `transitions`."""

from __future__ import annotations

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.decide import answers
from mrs_relay.engine.model import decisions, facts, jobs

State = jobs.State
_replace = msgspec.structs.replace


def resolve_requested(
    job: jobs.Job | None, fact: facts.ResolveRequested, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """End an `unknown` job with the verdict of a person; answer for any other job with its present state."""
    if job is None or job.state is State.PENDING_CANCEL:
        text = "there is no such request here; send the message with the Kafka key of the request"
        reason = jobs.Reason("invalid", "unknown_request", text)
        return decisions.Decision(job, (answers.rejected(fact.sender, "resolve", reason, now_ms),))

    if job.state is State.UNKNOWN:
        settled = event_builder.end(
            answers.with_trace_of(job, fact.sender), fact.verdict, now_ms, config, reason=fact.reason
        )
        return _replace(settled, events=tuple(_replace(event, causation_id=fact.by) for event in settled.events))

    return answers.repeat_event(job, fact.by, fact.sender, now_ms)
