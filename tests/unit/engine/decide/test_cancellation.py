"""What a cancel does in each state, beyond state, event and command."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, facts, jobs


def test_cancelled_event_says_why_and_by_which_message() -> None:
    """Reason of the cancel, and its id as the cause."""
    (event,) = samples.decide(samples.job("queued"), "cancel").events
    assert event.causation_id == "c-1"
    assert event.data.reason is not None
    assert (event.data.reason.kind, event.data.reason.code) == ("cancelled", "requested")


@pytest.mark.parametrize("name", ["queued", "running", "collecting", "succeeded", "cancelled by a message", "rejected"])
def test_partition_that_passed_a_cancel_on_gets_a_reply_to_every_match(name: str) -> None:
    """Whatever the job does, also nothing: a request that is here was not missing."""
    assert samples.decide(samples.job(name), "cancel, passed").pass_back == 1


def test_cancel_that_came_directly_is_passed_on_once() -> None:
    """Only from the partition that it was sent to, and only while its request is not here."""
    assert samples.decide(None, "cancel").pass_on
    assert not samples.decide(None, "cancel, passed").pass_on
    assert not samples.decide(samples.job("running"), "cancel").pass_on


def test_cancel_of_a_job_that_waits_for_its_next_attempt_ends_it() -> None:
    """Nothing of it is on MRS: cancelled at once, no further attempt."""
    waiting = samples.decide(samples.job("running, for a retry"), "failed").job
    decision = samples.decide(waiting, "cancel")
    assert [event.data.state for event in decision.events] == ["cancelled"]
    assert transitions.decide(decision.job, facts.Admitted(), samples.NOW_MS, samples.RULES) is None


@pytest.mark.parametrize("ended", ["failed", "killed"])
def test_cancelled_job_is_not_tried_again(ended: str) -> None:
    """After a cancel there is no further attempt, however the present one ends."""
    job = samples.job("running, for a retry", retry=jobs.Retry(9, 0.0, ("job_failed", "job_killed")))
    stopped = samples.decide(samples.decide(job, "cancel").job, ended).job
    assert stopped is not None
    assert jobs.TRAITS[stopped.state].last


def test_further_cancel_of_a_request_that_has_not_come_is_answered_once() -> None:
    """Under its own id, at once; the same message once more is no other cancel."""
    decision = samples.decide(samples.job("awaited"), "cancel by another")
    (event,) = decision.events
    assert decision.job == samples.JOBS["awaited"]
    assert (event.data.request.source, event.data.request.id) == ("/ops", "c-3")
    assert (event.causation_id, event.data.sequence) == ("c-3", 1)
    assert event.data.reason is not None
    assert (event.data.reason.kind, event.data.reason.code) == ("conflict", "already_asked")
    assert not event.changes_state
    assert transitions.decide(samples.job("awaited"), samples.FACTS["cancel"], samples.NOW_MS, samples.RULES) is None


@pytest.mark.parametrize("name", ["succeeded", "cancelled by a message", "rejected", "cancelling"])
def test_cancel_ahead_of_its_turn_only_stops(name: str) -> None:
    """What is to be answered, or to wait, is decided in its turn alone; the reply to another partition, too."""
    ahead = msgspec.structs.replace(samples.FACTS["cancel, passed"], is_ahead=True)
    assert transitions.decide(samples.job(name), ahead, samples.NOW_MS, samples.RULES) is None
    assert transitions.decide(None, ahead, samples.NOW_MS, samples.RULES) is None
    stopped = transitions.decide(samples.job("running"), ahead, samples.NOW_MS, samples.RULES)
    assert stopped is not None
    assert (stopped.command, stopped.pass_back) == (commands.Command.KILL, -1)
