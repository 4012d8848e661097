"""Statements whose status carries their rows."""

from __future__ import annotations

import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import facts, jobs
from mrs_relay.messages import events


def test_sighting_of_another_statement_changes_nothing() -> None:
    """What an earlier attempt's statement does is no news of this one."""
    for name in ("submitted, a statement", "running, a statement", "cancelling, a statement"):
        fact = facts.StatementObserved(jobs.MrsStatus("s-other", "FAILED"))
        assert transitions.decide(samples.job(name), fact, samples.NOW_MS, samples.RULES) is None


def test_statement_has_no_name_on_mrs() -> None:
    """MRS gives statements no name, so none is reported."""
    fact = facts.StatementObserved(jobs.MrsStatus("s-1", "QUEUED"))
    assert samples.only_event(
        samples.decide(samples.job("submitting, a statement that writes"), fact)
    ).mrs == events.BodyMrs(job_id="s-1")


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING"])
def test_statement_that_continues_without_an_id_becomes_unknown(status: str) -> None:
    """MRS gives DDL no id, so one that has not ended with its reply can never be followed: say so."""
    decision = samples.decide(
        samples.job("submitting, a statement that writes"), facts.StatementObserved(jobs.MrsStatus("", status))
    )
    assert [event.data.state for event in decision.events] == ["submitted", "unknown"]
    reason = decision.events[-1].data.reason
    assert reason is not None
    assert reason.code == "statement_without_id"


def test_statement_that_fails_without_a_word_still_has_a_reason() -> None:
    """A failure always carries a reason."""
    fact = facts.StatementObserved(jobs.MrsStatus(samples.JOB_ID, "FAILED"))
    reason = samples.only_event(samples.decide(samples.job("submitted, a statement"), fact)).reason
    assert reason is not None
    assert (reason.kind, reason.code, reason.message) == (
        "job_failed",
        "statement_failed",
        "the SQL engine gives no reason",
    )
