"""From the admission to `submitted`."""

from __future__ import annotations

import msgspec
from tests.unit.engine import samples

from mrs_relay.engine.model import facts, job_names, jobs
from mrs_relay.messages import events

_replace = msgspec.structs.replace


def test_submitted_event_names_the_job_on_mrs() -> None:
    """From `submitted` on, events carry MRS's id and the marked name under which the job is found there."""
    job = samples.job("submitting")
    event = samples.only_event(samples.decide(job, facts.SubmissionAccepted("j-7"))).mrs
    assert event == events.BodyMrs(job_id="j-7", job_name=f"nightly-{job_names.submission_token(job.ledger_key, 1)}")


def test_turn_keeps_what_was_sent_before() -> None:
    """An attempt that had no effect is no attempt: the next submission bears the same token."""
    job = samples.decide(samples.job("queued"), facts.Admitted()).job
    assert job is not None
    assert (job.attempt, job.intent_ms) == (1, samples.NOW_MS)
    again = samples.decide(
        samples.decide(job, facts.SubmissionNotApplied()).job, facts.Admitted(), samples.NOW_MS + 7
    ).job
    assert again is not None
    assert (again.attempt, again.intent_ms, again.mrs_name) == (1, samples.NOW_MS + 7, job.mrs_name)


def test_job_that_mrs_has_keeps_no_work() -> None:
    """Arguments and SQL are dropped from the ledger as soon as MRS has them."""
    assert samples.decide(samples.job("submitting"), facts.SubmissionAccepted("j")).job == _replace(
        samples.job("submitting"),
        state=jobs.State.SUBMITTED,
        work=None,
        seen=jobs.MrsStatus("j"),
        sequence=4,
        shown="submitted",
    )
