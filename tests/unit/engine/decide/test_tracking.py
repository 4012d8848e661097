"""What polls of MRS change: progress, the last state, the rows."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import facts, job_records, jobs

_replace = msgspec.structs.replace


@pytest.mark.parametrize("happened", ["failed", "killed", "succeeded", "vanished"])
def test_finished_job_shrinks_and_is_remembered(happened: str) -> None:
    """After its last event a job keeps what answers a repeated request, for the time the rules say."""
    job = samples.decide(_replace(samples.job("running"), traceparent="t", tracestate="s"), samples.FACTS[happened]).job
    assert job is not None
    assert (job.work, job.traceparent, job.tracestate) == (None, None, None)
    assert job.digest == "d"
    assert job.expires_ms == samples.NOW_MS + samples.RULES.remember_ms


@pytest.mark.parametrize(
    ("progress", "expected"), [(29.9, False), (30.0, True), (10.1, False), (10.0, True), (100.0, True), (20.0, False)]
)
def test_progress_is_reported_in_steps(progress: float, expected: bool) -> None:
    """Progress is reported once it has changed by the step of the rules, either way, since it was reported last."""
    fact = facts.JobObserved(jobs.MrsStatus(samples.JOB_ID, "RUNNING", "UNDEFINED", progress, "app-1"))
    decision = transitions.decide(samples.job("running"), fact, samples.NOW_MS, samples.RULES)
    assert (decision is not None) is expected


def test_small_steps_add_up() -> None:
    """What was not reported does not count as reported: slow progress is reported as often as fast progress."""
    job: jobs.Job | None = samples.job("running")
    reported = []
    for percent in range(21, 61):
        fact = facts.JobObserved(jobs.MrsStatus(samples.JOB_ID, "RUNNING", "UNDEFINED", float(percent), "app-1"))
        decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
        if decision is not None:
            job = decision.job
            reported.append(percent)
    assert reported == [30, 40, 50, 60]


def test_what_mrs_leaves_out_still_holds() -> None:
    """A list that shows less than a single read takes nothing back."""
    before = jobs.MrsStatus(samples.JOB_ID, "RUNNING", "UNDEFINED", 20.0, "app-1", "http://x", 5, 6)
    bare = facts.JobObserved(jobs.MrsStatus(samples.JOB_ID, "FINISHED", "SUCCEEDED", 100.0))
    job = samples.decide(_replace(samples.job("running"), seen=before), bare).job
    assert job is not None
    assert job.seen == jobs.MrsStatus(samples.JOB_ID, "FINISHED", "SUCCEEDED", 100.0, "app-1", "http://x", 5, 6)


def test_rows_are_in_the_event_and_only_their_place_is_in_the_ledger() -> None:
    """Rows go out once; the ledger keeps where MRS put them."""
    result = samples.ROWS.model_copy(update={"location": "obs://b/x"})
    decision = samples.decide(samples.job("collecting"), facts.ResultCollected(result))
    assert samples.only_event(decision).result == result
    assert decision.job is not None
    assert decision.job.location == "obs://b/x"
    assert b"rows" not in job_records.encode(decision.job)
