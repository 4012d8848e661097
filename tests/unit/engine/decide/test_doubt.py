"""What follows a lost reply: repetitions that are counted, wait and end, and effects that are never denied."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import facts, job_records, jobs
from mrs_relay.messages import events

_S = jobs.State
_LOST = facts.SubmissionInDoubt("the reply was lost: no reply within 30 s", "r-1")
_replace = msgspec.structs.replace


def _happen(job: jobs.Job, fact: facts.Fact, now_ms: int = samples.NOW_MS) -> tuple[jobs.Job, tuple[events.Event, ...]]:
    decision = transitions.decide(job, fact, now_ms, samples.RULES)
    assert decision is not None
    assert decision.job is not None
    return job_records.decode(job_records.encode(decision.job)), decision.events


def _lose_all(work: jobs.Work) -> tuple[int, list[float], events.Event]:
    """Lose every reply, and find nothing: how often it was sent, the waits between in seconds, the last event."""
    job = samples.request(work, sequence=1, shown="accepted")
    now_ms = samples.NOW_MS
    sent = 0
    waits: list[float] = []

    while True:
        job, _ = _happen(job, facts.Admitted(), now_ms)
        sent += 1
        job, published = _happen(job, _LOST, now_ms)
        if job.state is _S.IN_DOUBT:
            job, published = _happen(job, facts.SubmissionNotFound(), now_ms)
        if job.state is not _S.QUEUED:
            assert job.state is _S.UNKNOWN
            return sent, waits, published[-1]
        waits.append((job.not_before_ms - now_ms) / 1000)
        now_ms = job.not_before_ms


@pytest.mark.parametrize("work", [samples.READ, samples.DELETING_CALL])
def test_what_cannot_be_looked_up_is_repeated_a_few_times_and_ever_later(work: jobs.Work) -> None:
    """Five times, doubling the wait; then `unknown`, which says how often it was sent and why."""
    sent, waits, event = _lose_all(work)
    assert (sent, waits) == (5, [10, 20, 40, 80])
    assert event.data.reason is not None
    assert (event.data.attempt, event.data.reason.kind, event.data.reason.code) == (1, "unresolved", "reply_lost")
    assert "5 submissions of it have no reply" in event.data.reason.message
    assert "no reply within 30 s" in event.data.reason.message
    assert ("mrs.call_timeout_s" in event.data.reason.message) is isinstance(work, jobs.Presto)


def test_a_call_that_reads_is_repeated_for_hours_but_not_for_ever() -> None:
    """It changes nothing, so an outage is outlasted; ever later, up to ten minutes."""
    sent, waits, event = _lose_all(samples.CALL)
    assert (sent, waits[:7], set(waits[7:])) == (20, [10, 20, 40, 80, 160, 320, 600], {600})
    assert event.data.reason is not None
    assert "20 submissions of it have no reply" in event.data.reason.message


@pytest.mark.parametrize("work", [samples.BATCH, samples.CREATION])
def test_what_leaves_no_trace_is_sent_again_for_hours_but_not_for_ever(work: jobs.Work) -> None:
    """At once after the first look-up, then ever later, up to ten minutes; twenty times."""
    sent, waits, event = _lose_all(work)
    assert (sent, waits[:8], set(waits[8:])) == (20, [0, 10, 20, 40, 80, 160, 320, 600], {600})
    assert event.data.reason is not None
    assert "20 submissions of it have no reply" in event.data.reason.message
    assert "MRS showed nothing of it" in event.data.reason.message


def test_what_may_not_be_repeated_is_sent_once() -> None:
    """As ever: a statement that writes is `unknown` as soon as its reply is lost."""
    sent, waits, event = _lose_all(samples.WRITE)
    assert (sent, waits, event.data.attempt) == (1, [], 1)


@pytest.mark.parametrize("work", [samples.READ, samples.DELETING_CALL])
@pytest.mark.parametrize("lost", [_LOST, transitions.recover(samples.request(state=_S.SUBMITTING))])
def test_a_cancel_denies_no_effect(work: jobs.Work, lost: facts.SubmissionInDoubt) -> None:
    """Wherever the cancel finds it: in line to be repeated, or on its way, also after a kill."""
    sending = samples.request(work, state=_S.SUBMITTING, attempt=1, sequence=1, shown="accepted")
    cancel = samples.FACTS["cancel"]
    for first, then in ((lost, cancel), (cancel, lost)):
        job, _ = _happen(sending, first)
        job, (event,) = _happen(job, then)
        assert (event.data.state, event.data.attempt, event.causation_id) == ("unknown", 1, "c-1")
        assert event.data.reason is not None
        assert event.data.reason.message.startswith(
            "no longer needed; it is not sent again, but a submission of it has no"
        )


def test_a_deadline_denies_no_effect() -> None:
    """What was sent is not reported as not submitted."""
    job, _ = _happen(samples.request(samples.DELETING_CALL, state=_S.SUBMITTING, attempt=1), _LOST)
    job, (event,) = _happen(
        _replace(job, queue_deadline_s=60.0, queue_deadline_ms=samples.NOW_MS), facts.DeadlineReached()
    )
    assert (event.data.state, event.data.attempt) == ("unknown", 1)
    assert event.data.reason is not None
    assert "still waiting to be submitted again after queue_deadline_s (60 s)" in event.data.reason.message
    assert "MRS may have carried out the call" in event.data.reason.message


@pytest.mark.parametrize(
    ("name", "why"),
    [("queued, looked up in vain", "MRS shows nothing of it"), ("queued, a call that reads, without reply", "nothing")],
)
def test_what_surely_had_no_effect_is_cancelled_and_says_that_it_was_sent(name: str, why: str) -> None:
    """A look-up that found nothing, or a call that changes nothing: `cancelled` is true, and the attempt counts."""
    job = samples.JOBS[name]
    assert job is not None
    _, (event,) = _happen(job, samples.FACTS["cancel"])
    assert (event.data.state, event.data.attempt) == ("cancelled", 1)
    assert event.data.reason is not None
    assert why in event.data.reason.message


def test_a_refusal_of_a_repetition_denies_no_effect() -> None:
    """The second deletion is refused because the first one was carried out."""
    job = samples.JOBS["submitting, a call that deletes, again"]
    assert job is not None
    gone = facts.SubmissionRefused(
        jobs.Reason("refused", "12000003", "the cluster does not exist", mrs_request_id="r-2")
    )
    _, (event,) = _happen(job, gone)
    assert event.data.reason is not None
    assert (event.data.state, event.data.reason.code, event.data.reason.mrs_request_id) == (
        "unknown",
        "reply_lost",
        "r-2",
    )
    assert "refused (12000003)" in event.data.reason.message


def test_a_submission_that_was_not_taken_leaves_earlier_ones_in_doubt() -> None:
    """A full cluster says of this submission only that it had no effect."""
    job, _ = _happen(samples.request(samples.READ, state=_S.SUBMITTING, attempt=1), _LOST)
    job, _ = _happen(job, facts.Admitted())
    job, _ = _happen(job, facts.SubmissionNotApplied())
    _, (event,) = _happen(job, samples.FACTS["cancel"])
    assert event.data.state == "unknown"


def test_a_further_attempt_does_not_forget_what_the_first_may_have_done() -> None:
    """A statement that was repeated and then failed: the retry waits, and its cancel denies nothing."""
    retry = jobs.Retry(3, 30.0, ("job_failed",))
    job, _ = _happen(samples.request(samples.READ, state=_S.SUBMITTING, attempt=1, retry=retry), _LOST)
    job, _ = _happen(job, facts.Admitted())
    job, _ = _happen(job, samples.FACTS["statement failed"])
    assert (job.state, job.attempt) == (_S.QUEUED, 2)
    _, (event,) = _happen(job, samples.FACTS["cancel"])
    assert (event.data.state, event.data.attempt) == ("unknown", 1)
    assert event.data.reason is not None
    assert "an earlier attempt has no reply" in event.data.reason.message


def test_a_job_that_is_found_is_in_doubt_no_more() -> None:
    """What was found is followed like any other, and its record carries nothing of the doubt."""
    job, _ = _happen(samples.request(samples.BATCH, state=_S.SUBMITTING, attempt=1), _LOST)
    assert job.doubt == jobs.Doubt(1, is_open=True, message=_LOST.message)
    job, _ = _happen(job, samples.FACTS["found"])
    assert (job.state, job.doubt) == (_S.SUBMITTED, None)


def test_a_record_of_before_in_doubt_continues() -> None:
    """A ledger written without the count: the look-up that found nothing counts as the first."""
    job, _ = _happen(samples.request(samples.BATCH, state=_S.IN_DOUBT, attempt=1), facts.SubmissionNotFound())
    assert (job.state, job.doubt) == (_S.QUEUED, jobs.Doubt(1))
