"""What decisions on cancels, deadlines, retries and settlings say beyond state, event and command."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import cancellation, transitions
from mrs_relay.engine.model import decisions, facts, jobs

_replace = msgspec.structs.replace


def _decide(job: jobs.Job | None, fact: facts.Fact | str, now_ms: int = samples.NOW_MS) -> decisions.Decision:
    happened = samples.FACTS[fact] if isinstance(fact, str) else fact
    decision = transitions.decide(job, happened, now_ms, samples.RULES)
    assert decision is not None
    return decision


def _job(name: str, **changes: object) -> jobs.Job:
    job = samples.JOBS[name]
    assert job is not None
    return _replace(job, **changes)


def test_cancelled_event_says_why_and_by_which_message() -> None:
    """Reason of the cancel, and its id as the cause."""
    (event,) = _decide(_job("queued"), "cancel").events
    assert event.causation_id == "c-1"
    assert event.data.reason is not None
    assert (event.data.reason.kind, event.data.reason.code) == ("cancelled", "requested")


@pytest.mark.parametrize("name", ["queued", "running", "collecting", "succeeded", "cancelled by a message", "rejected"])
def test_whoever_passed_a_cancel_on_hears_of_every_match(name: str) -> None:
    """Whatever the job does, also nothing: a request that is here was not missing."""
    assert _decide(_job(name), "cancel, passed").pass_back == 1


def test_cancel_that_came_directly_is_passed_on_once() -> None:
    """Only from the partition that it was sent to, and only while its request is not here."""
    assert _decide(None, "cancel").pass_on
    assert not _decide(None, "cancel, passed").pass_on
    assert not _decide(_job("running"), "cancel").pass_on


def test_retry_waits_longer_each_time_but_never_less_than_asked() -> None:
    """The wait doubles up to an hour; a longer one that the request names is kept."""

    def waits(backoff_s: float) -> list[float]:
        found = []
        for attempt in range(1, 13):
            job = _job("running, for a retry", attempt=attempt, retry=jobs.Retry(20, backoff_s, ("job_failed",)))
            again = _decide(job, "failed").job
            assert again is not None
            assert again.attempt == attempt + 1
            found.append((again.not_before_ms - samples.NOW_MS) / 1000)
        return found

    assert waits(30)[:8] == [30, 60, 120, 240, 480, 960, 1920, 3600]
    assert waits(86_400) == [86_400] * 12
    assert waits(0) == [0] * 12


def test_next_attempt_begins_afresh() -> None:
    """New mark, nothing seen, no run deadline yet; the queue deadline counts from the end of the wait."""
    job = _job(
        "running, for a retry", queue_deadline_s=10.0, queue_deadline_ms=5, run_deadline_s=9.0, run_deadline_ms=7
    )
    again = _decide(job, "failed").job
    assert again is not None
    assert again.mrs_name != job.mrs_name
    assert (again.seen, again.run_deadline_ms) == (None, 0)
    assert again.not_before_ms == samples.NOW_MS + 30_000
    assert again.queue_deadline_ms == samples.NOW_MS + 40_000


def test_queue_deadline_counts_from_when_the_job_may_go() -> None:
    """With `not_before` in the future a short deadline does not end the job before its time."""
    wanted = samples.request(queue_deadline_s=60.0, not_before_ms=samples.NOW_MS + 5000)
    job = _decide(None, facts.Requested(wanted)).job
    assert job is not None
    assert job.queue_deadline_ms == samples.NOW_MS + 65_000
    past = cancellation.with_deadlines(_replace(wanted, not_before_ms=1), samples.NOW_MS)
    assert past.queue_deadline_ms == samples.NOW_MS + 60_000


def test_deadline_of_an_earlier_attempt_does_not_end_the_next() -> None:
    """Its timer still rings; the run deadline counts for each attempt anew."""
    first = _job("running, for a retry", run_deadline_s=60.0, run_deadline_ms=samples.NOW_MS + 10)
    waiting = _decide(first, "failed").job
    assert transitions.decide(waiting, facts.DeadlineReached(), samples.NOW_MS + 10, samples.RULES) is None
    sent = _decide(waiting, "turn", samples.NOW_MS + 40_000).job
    second = _decide(sent, facts.SubmissionAccepted("j-2"), samples.NOW_MS + 40_001).job
    assert second is not None
    assert second.run_deadline_ms == samples.NOW_MS + 100_001
    assert transitions.decide(second, facts.DeadlineReached(), samples.NOW_MS + 50_000, samples.RULES) is None


@pytest.mark.parametrize("first", ["due", "cancel"])
@pytest.mark.parametrize("name", ["queued, late", "running, late"])
def test_of_cancel_and_deadline_the_first_gives_the_reason(name: str, first: str) -> None:
    """Both at once end the job once; what came second changes nothing."""
    second = "cancel" if first == "due" else "due"
    job = _decide(_job(name), first).job
    assert job is not None
    assert job.stop is not None
    assert job.stop.kind == ("deadline" if first == "due" else "cancelled")
    after = transitions.decide(job, samples.FACTS[second], samples.NOW_MS, samples.RULES)
    assert after is None or all(event.data.repeated for event in after.events)


def test_queue_deadline_that_passed_during_a_submission_ends_the_job_when_it_comes_back() -> None:
    """While the submission is on its way nothing can be said; if it was not taken, the deadline has passed."""
    job = _job("submitting", queue_deadline_s=60, queue_deadline_ms=samples.NOW_MS)
    assert transitions.decide(job, facts.DeadlineReached(), samples.NOW_MS, samples.RULES) is None
    back = _decide(job, "not taken").job
    assert [event.data.state for event in _decide(back, "turn").events] == ["cancelled"]
    assert [event.data.state for event in _decide(back, "due").events] == ["cancelled"]


def test_cancel_of_a_job_that_waits_for_its_next_attempt_ends_it() -> None:
    """Nothing of it is on MRS: cancelled at once, no further attempt."""
    waiting = _decide(_job("running, for a retry"), "failed").job
    decision = _decide(waiting, "cancel")
    assert [event.data.state for event in decision.events] == ["cancelled"]
    assert transitions.decide(decision.job, facts.Admitted(), samples.NOW_MS, samples.RULES) is None


@pytest.mark.parametrize("ended", ["failed", "killed"])
def test_cancelled_job_is_not_tried_again(ended: str) -> None:
    """Whoever cancels wants no further attempt, however the present one ends."""
    job = _job("running, for a retry", retry=jobs.Retry(9, 0.0, ("job_failed", "job_killed")))
    stopped = _decide(_decide(job, "cancel").job, ended).job
    assert stopped is not None
    assert jobs.TRAITS[stopped.state].last


def test_sighting_of_another_statement_changes_nothing() -> None:
    """What an earlier attempt's statement does is no news of this one."""
    for name in ("submitted, a statement", "running, a statement", "cancelling, a statement"):
        fact = facts.StatementObserved(jobs.MrsStatus("s-other", "FAILED"))
        assert transitions.decide(_job(name), fact, samples.NOW_MS, samples.RULES) is None


def test_settling_by_hand_is_the_last_word() -> None:
    """The note stands in the event and in every answer after it; a second settling is answered, not obeyed."""
    decision = _decide(_job("unknown"), "settled")
    (event,) = decision.events
    assert event.causation_id == "s-1"
    assert event.data.reason is not None
    assert (event.data.reason.kind, event.data.reason.message) == ("resolved", "the rows are there")
    settled = samples.FACTS["settled"]
    assert isinstance(settled, facts.ResolveRequested)
    again = _decide(decision.job, msgspec.structs.replace(settled, verdict=jobs.State.FAILED, by="s-2"))
    assert [(event.data.state, event.data.repeated) for event in again.events] == [("succeeded", True)]


@pytest.mark.parametrize("name", ["succeeded", "failed", "cancelled", "unknown", "rejected", "awaited"])
def test_nothing_is_forgotten_before_its_time(name: str) -> None:
    """A request answers for its id through the whole window; a timer that rings early changes nothing."""
    job = samples.JOBS[name]
    assert job is not None
    early = msgspec.structs.replace(job, expires_ms=samples.NOW_MS + 1)
    assert transitions.decide(early, facts.Expired(), samples.NOW_MS, samples.RULES) is None
    assert transitions.decide(early, facts.Expired(), samples.NOW_MS + 1, samples.RULES) is not None


def test_further_cancel_of_a_request_that_has_not_come_is_answered_once() -> None:
    """Under its own id, at once; the same message once more is no other cancel."""
    decision = _decide(_job("awaited"), "cancel by another")
    (event,) = decision.events
    assert decision.job == samples.JOBS["awaited"]
    assert (event.data.request.source, event.data.request.id) == ("/ops", "c-3")
    assert (event.causation_id, event.data.sequence) == ("c-3", 1)
    assert event.data.reason is not None
    assert (event.data.reason.kind, event.data.reason.code) == ("conflict", "already_asked")
    assert not event.changes_state
    assert transitions.decide(_job("awaited"), samples.FACTS["cancel"], samples.NOW_MS, samples.RULES) is None


@pytest.mark.parametrize(
    ("name", "fact"), [("awaited", "expired"), ("awaited", "cancel by another"), (None, "settled")]
)
def test_wish_that_finds_no_request_shares_no_event_id_with_a_request_of_the_same_id(
    name: str | None, fact: str
) -> None:
    """A message that is no request may have the source and id of one: their events still have ids of their own."""
    (event,) = _decide(None if name is None else _job(name), fact).events
    ref = event.data.request
    namesake = samples.request(source=ref.source, id=ref.id)
    (accepted,) = _decide(None, facts.Requested(namesake)).events
    assert accepted.data.sequence == event.data.sequence
    assert accepted.event_id != event.event_id


def test_cause_of_an_event_is_what_brought_it_about() -> None:
    """A cancel is the cause of the end that it brings and of its own answer; all other events are the request's."""
    stopping = _decide(_job("running"), "cancel").job
    (lost,) = _decide(stopping, "succeeded").events
    assert lost.causation_id is None
    won = _decide(stopping, "killed")
    assert [event.causation_id for event in won.events] == ["c-1"]
    (again,) = _decide(won.job, "request").events
    assert again.causation_id is None
    (answer,) = _decide(won.job, "cancel by another").events
    assert answer.causation_id == "c-3"
    sent = _decide(_job("submitting, to be cancelled"), "taken")
    assert [event.causation_id for event in sent.events] == [None]


def test_attempt_counts_submissions_and_not_what_waits_for_its_turn() -> None:
    """An attempt counts from its turn on, and not if the submission surely had no effect."""
    waiting = _decide(_job("running, for a retry"), "failed")
    assert [event.data.attempt for event in waiting.events] == [1]
    assert _decide(waiting.job, "request").events[0].data.attempt == 1
    (ended,) = _decide(waiting.job, "cancel").events
    assert ended.data.attempt == 1
    sent = _decide(waiting.job, "turn").job
    assert _decide(sent, "request").events[0].data.attempt == 2
    assert _decide(_decide(sent, "taken").job, "request").events[0].data.attempt == 2
    back = _decide(sent, "not taken").job
    assert _decide(back, "request").events[0].data.attempt == 1
    stopped = _decide(_decide(sent, "cancel").job, "not taken")
    assert [event.data.attempt for event in stopped.events] == [1]
    assert _decide(stopped.job, "request").events[0].data.attempt == 1


def test_rejected_first_turn_leaves_no_attempt() -> None:
    """MRS took nothing, so a cancel finds 0 submissions."""
    back = _decide(_job("submitting"), "not taken").job
    assert _decide(back, "cancel").events[0].data.attempt == 0
