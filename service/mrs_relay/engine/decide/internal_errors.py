"""
End a job that the relay itself has failed on, by a bug or because its record cannot be written. Pure.

Such a job must not stop other jobs, must not be submitted again blindly, and must not wait for ever without an event.
So it ends, and its reason says what is certain: nothing was submitted, or the outcome is unknown.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.decide import deliveries
from mrs_relay.engine.model import decisions, facts, jobs
from mrs_relay.messages import events, reasons

State = jobs.State
_replace = msgspec.structs.replace

CODE: Final = facts.INTERNAL_ERROR

_ON_MRS: Final = frozenset({State.IN_DOUBT, State.SUBMITTED, State.RUNNING, State.CANCELLING})


def as_doubt(fact: facts.InternalFailure) -> facts.SubmissionInDoubt:
    """Return the fact for a failure during a submission: MRS may have the job, and a look-up finds out."""
    return facts.SubmissionInDoubt(f"the relay failed while it was submitting ({fact.error})")


def ended(  # noqa: PLR0911 - one for each state
    job: jobs.Job, fact: facts.InternalFailure, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """End a job that the relay failed on; a job that has ended or is being submitted is left alone."""
    # NB: the work is dropped first: it may be the part that cannot be encoded.
    bare = _replace(job, work=None, choice=None, stop=None, run_deadline_ms=0)

    match job.state:
        case State.CHOOSING:
            return event_builder.end(
                bare, State.REJECTED, now_ms, config, reason=_reason(fact, "invalid", "not submitted")
            )
        case State.QUEUED if not job.intent_ms and job.doubt is None:
            return event_builder.end(
                bare, State.FAILED, now_ms, config, reason=_reason(fact, "refused", "not submitted")
            )
        case State.SUBMITTED | State.RUNNING if job.ending is not None and jobs.is_ending(job):
            cause = jobs.Cause(unavailable=_text(fact, "its log was not read"))
            known = _replace(bare, ending=None, cause=cause)
            return event_builder.end(known, State(job.ending.state), now_ms, config, reason=job.ending.reason)
        case State.COLLECTING | State.SUCCEEDED:
            result = events.Result(unavailable=_text(fact, "its result was not read"), location=job.location)
            return deliveries.collected(bare, facts.ResultCollected(result), now_ms, config)
        case State.QUEUED:
            reason = _reason(fact, "unresolved", "not sent again; an earlier submission may have had an effect")
            return event_builder.end(bare, State.UNKNOWN, now_ms, config, reason=reason)
        case state if state in _ON_MRS:
            reason = _reason(fact, "unresolved", "no longer followed, and may run on MRS")
            return event_builder.end(bare, State.UNKNOWN, now_ms, config, reason=reason)
        case _:
            return None


def _reason(fact: facts.InternalFailure, kind: reasons.ReasonClass, outcome: str) -> jobs.Reason:
    return jobs.Reason(kind, fact.code, _text(fact, outcome))


def _text(fact: facts.InternalFailure, outcome: str) -> str:
    return f"the relay failed on this job ({fact.error}): {outcome}; contact the operator of the relay"
