"""A job of another Kafka's ledger: it may have been submitted since."""

from __future__ import annotations

from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, facts, jobs
from mrs_relay.engine.model.imported import perhaps_sent, was_put_in_doubt

_NOW_MS = samples.NOW_MS
_STATES = tuple(jobs.State)


def _restored(job: jobs.Job) -> jobs.Job:
    """Return what the job becomes where a relay finds it in its ledger."""
    fact = transitions.recover(job)
    assert isinstance(fact, facts.SubmissionInDoubt)
    found = samples.decide(job, fact).job
    assert found is not None
    return found


def test_waiting_batch_job_is_looked_for_under_the_token_that_it_may_have() -> None:
    """The first attempt, or the next one of a retry."""
    arrived_ms = _NOW_MS - 86_400_000
    for attempt, token in ((0, 1), (1, 1), (3, 3)):
        job = perhaps_sent(samples.request(attempt=attempt, arrived_ms=arrived_ms), _NOW_MS)
        assert (job.state, job.attempt, job.intent_ms) == (jobs.State.SUBMITTING, token, arrived_ms)
        found = _restored(job)
        assert (found.state, found.attempt) == (jobs.State.IN_DOUBT, token)
        assert commands.FOR_STATE[found.state] is commands.Command.LOOK_UP


def test_what_cannot_be_looked_for_is_sent_again_only_if_that_is_harmless() -> None:
    """A SELECT runs again, an INSERT ends as unknown."""
    assert _restored(perhaps_sent(samples.request(samples.READ), _NOW_MS)).state is jobs.State.QUEUED
    assert _restored(perhaps_sent(samples.request(samples.WRITE), _NOW_MS)).state is jobs.State.UNKNOWN


def test_job_that_may_not_have_begun_yet_is_left_alone() -> None:
    """No relay has submitted it before its moment."""
    later = samples.request(not_before_ms=_NOW_MS + 1)
    assert perhaps_sent(later, _NOW_MS) is later
    assert perhaps_sent(later, _NOW_MS + 1).state is jobs.State.SUBMITTING


def test_jobs_in_other_states_are_left_alone() -> None:
    """MRS has them, they have ended, or they are in doubt already."""
    for state in _STATES:
        job = samples.request(state=state)
        assert (perhaps_sent(job, _NOW_MS) is job) == (state is not jobs.State.QUEUED), state


def test_doubt_of_an_import_is_known() -> None:
    """Only what it makes of the very job."""
    job = samples.request(order=4)
    doubtful = perhaps_sent(job, _NOW_MS)
    assert was_put_in_doubt(job, doubtful)
    assert not was_put_in_doubt(job, job)
    assert not was_put_in_doubt(samples.request(order=5), doubtful)
    assert not was_put_in_doubt(doubtful, doubtful)
