"""Deadlines of the queue and of the run, and the end of an idempotency key's time."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import deadlines, transitions
from mrs_relay.engine.model import facts

_replace = msgspec.structs.replace


def test_queue_deadline_counts_from_when_the_job_may_go() -> None:
    """With `not_before` in the future a short deadline does not end the job before its time."""
    wanted = samples.request(queue_deadline_s=60.0, not_before_ms=samples.NOW_MS + 5000)
    job = samples.decide(None, facts.Requested(wanted)).job
    assert job is not None
    assert job.queue_deadline_ms == samples.NOW_MS + 65_000
    past = deadlines.with_deadlines(_replace(wanted, not_before_ms=1), samples.NOW_MS)
    assert past.queue_deadline_ms == samples.NOW_MS + 60_000


def test_deadline_of_an_earlier_attempt_does_not_end_the_next() -> None:
    """Its timer still expires; the run deadline counts for each attempt separately."""
    first = samples.job("running, for a retry", run_deadline_s=60.0, run_deadline_ms=samples.NOW_MS + 10)
    waiting = samples.decide(first, "failed").job
    assert transitions.decide(waiting, facts.DeadlineReached(), samples.NOW_MS + 10, samples.RULES) is None
    sent = samples.decide(waiting, "turn", samples.NOW_MS + 40_000).job
    second = samples.decide(sent, facts.SubmissionAccepted("j-2"), samples.NOW_MS + 40_001).job
    assert second is not None
    assert second.run_deadline_ms == samples.NOW_MS + 100_001
    assert transitions.decide(second, facts.DeadlineReached(), samples.NOW_MS + 50_000, samples.RULES) is None


@pytest.mark.parametrize("first", ["due", "cancel"])
@pytest.mark.parametrize("name", ["queued, late", "running, late"])
def test_of_cancel_and_deadline_the_first_gives_the_reason(name: str, first: str) -> None:
    """Both at once end the job once; what came second changes nothing."""
    second = "cancel" if first == "due" else "due"
    job = samples.decide(samples.job(name), first).job
    assert job is not None
    assert job.stop is not None
    assert job.stop.kind == ("deadline" if first == "due" else "cancelled")
    after = transitions.decide(job, samples.FACTS[second], samples.NOW_MS, samples.RULES)
    assert after is None or all(event.data.repeated for event in after.events)


def test_queue_deadline_that_passed_during_a_submission_ends_the_job_when_it_comes_back() -> None:
    """While the submission is on its way nothing can be said; if it was not taken, the deadline has passed."""
    job = samples.job("submitting", queue_deadline_s=60, queue_deadline_ms=samples.NOW_MS)
    assert transitions.decide(job, facts.DeadlineReached(), samples.NOW_MS, samples.RULES) is None
    back = samples.decide(job, "not taken").job
    assert [event.data.state for event in samples.decide(back, "turn").events] == ["cancelled"]
    assert [event.data.state for event in samples.decide(back, "due").events] == ["cancelled"]


@pytest.mark.parametrize("name", ["succeeded", "failed", "cancelled", "unknown", "rejected", "awaited"])
def test_nothing_is_forgotten_before_its_time(name: str) -> None:
    """A request answers for its id through the whole window; a timer that expires early changes nothing."""
    job = samples.JOBS[name]
    assert job is not None
    early = msgspec.structs.replace(job, expires_ms=samples.NOW_MS + 1)
    assert transitions.decide(early, facts.Expired(), samples.NOW_MS, samples.RULES) is None
    assert transitions.decide(early, facts.Expired(), samples.NOW_MS + 1, samples.RULES) is not None


def test_job_is_forgotten_only_when_its_time_has_come() -> None:
    """A timer that expires early removes nothing."""
    job = _replace(samples.job("succeeded"), expires_ms=samples.NOW_MS + 1)
    assert transitions.decide(job, facts.Expired(), samples.NOW_MS, samples.RULES) is None
    assert samples.decide(job, facts.Expired(), samples.NOW_MS + 1).job is None
