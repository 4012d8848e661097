"""A job that the relay itself fails on ends, says what is certain, and is never sent once more."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, facts, job_records, jobs
from mrs_relay.messages import reasons

_FAILED = facts.InternalFailure("RecursionError")


@pytest.mark.parametrize(
    ("name", "state", "kind"),
    [
        ("choosing", "rejected", "invalid"),
        ("queued", "failed", "refused"),
        ("queued, to be sent again", "unknown", "unresolved"),
        ("doubtful", "unknown", "unresolved"),
        ("doubtful, to be cancelled", "unknown", "unresolved"),
        ("submitted", "unknown", "unresolved"),
        ("running, for a retry", "unknown", "unresolved"),
        ("cancelling", "unknown", "unresolved"),
    ],
)
def test_job_that_the_relay_fails_on_ends_and_says_what_is_certain(name: str, state: str, kind: str) -> None:
    """`failed` and `rejected` mean that nothing was submitted; where MRS may have it, the outcome is unknown."""
    decision = transitions.decide(samples.JOBS[name], _FAILED, samples.NOW_MS, samples.RULES)
    assert decision is not None
    assert decision.job is not None
    assert decision.command is commands.Command.RELEASE
    (event,) = decision.events
    assert (event.data.state, decision.job.state, decision.job.work) == (state, state, None)
    assert event.data.reason is not None
    assert (event.data.reason.kind, event.data.reason.code) == (kind, "internal_error")
    assert event.data.reason.code in reasons.CODES
    assert "RecursionError" in event.data.reason.message


def test_success_whose_rows_make_the_relay_fail_is_reported() -> None:
    """The job has succeeded, whatever reading its rows does to us."""
    decision = transitions.decide(samples.JOBS["collecting"], _FAILED, samples.NOW_MS, samples.RULES)
    assert decision is not None
    (event,) = decision.events
    assert event.data.state == "succeeded"
    assert event.data.result is not None
    assert "RecursionError" in (event.data.result.unavailable or "")


def test_submission_on_its_way_that_the_relay_fails_on_is_in_doubt() -> None:
    """MRS may have it: a look-up decides, and it is not sent again blindly."""
    decision = transitions.decide(samples.JOBS["submitting"], _FAILED, samples.NOW_MS, samples.RULES)
    assert decision is not None
    assert decision.job is not None
    assert (decision.job.state, decision.command) == (jobs.State.IN_DOUBT, commands.Command.LOOK_UP)


@pytest.mark.parametrize("name", [name for name, job in samples.JOBS.items() if job and jobs.TRAITS[job.state].last])
def test_job_that_has_ended_is_left_alone(name: str) -> None:
    """Last states are final, whatever fails afterwards."""
    assert transitions.decide(samples.JOBS[name], _FAILED, samples.NOW_MS, samples.RULES) is None


def test_what_cannot_be_reported_of_a_job_is_let_go_first() -> None:
    """The work, a choice and a wish are what an event or a record may be unable to hold."""
    job = samples.JOBS["choosing"]
    assert job is not None
    poisoned = msgspec.structs.replace(job, work=jobs.Batch("\ud800"), choice=jobs.Choice("\ud800"))
    decision = transitions.decide(poisoned, _FAILED, samples.NOW_MS, samples.RULES)
    assert decision is not None
    assert decision.job is not None
    job_records.encode_readable(decision.job)
