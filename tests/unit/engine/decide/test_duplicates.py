"""Second jobs of one submission."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import cold_jobs, facts, jobs

_LATE = facts.DuplicatesChecked(1, (samples.JOB_ID, "j-3"))


@pytest.mark.parametrize("name", ["submitted", "running", "collecting", "cancelling", "succeeded", "failed"])
def test_second_job_that_shows_up_late_is_noted_and_reported(name: str) -> None:
    """Whatever has become of the first one: ledger and event say which is to be stopped, no state moves."""
    decision = samples.decide(samples.job(name), _LATE)
    published = samples.only_event(decision)
    assert decision.job is not None
    assert (decision.job.state, decision.job.duplicates) == (samples.job(name).state, ("j-3",))
    assert published.repeated
    assert published.reason is not None
    assert (published.reason.kind, published.reason.code) == ("duplicate", "stopped_twin")
    assert "j-3" in published.reason.message
    assert samples.JOB_ID not in published.reason.message
    assert transitions.decide(decision.job, _LATE, samples.NOW_MS, samples.RULES) is None


@pytest.mark.parametrize(
    "fact", [facts.SubmissionFound(jobs.MrsStatus(samples.JOB_ID)), facts.SubmissionNotFound()], ids=["found", "not"]
)
def test_a_settled_doubt_leaves_a_second_look_in_the_ledger(fact: facts.Fact) -> None:
    """It is due when the time of a whole look-up has passed again; other attempts keep theirs."""
    earlier = jobs.SecondLook(1, samples.NOW_MS)
    job = msgspec.structs.replace(samples.job("doubtful"), attempt=2, second_looks=(earlier,))
    settled = samples.decide(job, fact).job
    assert settled is not None
    assert settled.second_looks == (earlier, jobs.SecondLook(2, samples.NOW_MS + samples.RULES.second_look_ms))
    assert not cold_jobs.is_cold(msgspec.structs.replace(settled, state=jobs.State.CANCELLED))


def test_a_kind_that_has_no_list_gets_no_second_look() -> None:
    """It has no token that could be found."""
    job = samples.job("doubtful, a cluster to create")
    settled = samples.decide(job, facts.SubmissionFound(jobs.MrsStatus(samples.JOB_ID))).job
    assert settled is not None
    assert settled.second_looks == ()


@pytest.mark.parametrize("name", ["submitted", "cancelled", "succeeded", "unknown"])
def test_a_second_look_that_finds_nothing_is_forgotten_without_an_event(name: str) -> None:
    """The job itself stays as it is; a look at another attempt is still due."""
    other = jobs.SecondLook(7, samples.NOW_MS)
    job = msgspec.structs.replace(samples.job(name), second_looks=(jobs.SecondLook(1, samples.NOW_MS), other))
    decision = samples.decide(job, facts.DuplicatesChecked(1, ()))
    assert decision.job == msgspec.structs.replace(job, second_looks=(other,))
    assert (decision.events, decision.command) == ((), None)


@pytest.mark.parametrize("name", ["queued", "doubtful", "unknown"])
def test_nothing_is_stopped_where_no_job_is_kept(name: str) -> None:
    """Who waits for his turn, or is unknown, must not have the only job stopped."""
    assert transitions.decide(samples.job(name), _LATE, samples.NOW_MS, samples.RULES) is None


@pytest.mark.parametrize(
    ("state", "attempt", "stopped"),
    [
        (jobs.State.QUEUED, 2, ("j-3",)),
        (jobs.State.SUBMITTING, 2, ("j-3",)),
        (jobs.State.IN_DOUBT, 2, ("j-3",)),
        (jobs.State.FAILED, 2, ("j-3",)),
        (jobs.State.FAILED, 1, ("j-3",)),
        (jobs.State.CANCELLED, 1, ("j-3",)),
        (jobs.State.UNKNOWN, 2, ("j-3",)),
        (jobs.State.UNKNOWN, 1, None),
    ],
)
def test_what_shows_up_of_an_attempt_that_is_over_is_stopped(
    state: jobs.State, attempt: int, stopped: tuple[str, ...] | None
) -> None:
    """A retry, a refusal or a cancel has ended it without a job; one that failed before is no news."""
    retry = jobs.Retry(2, 30.0, ("job_failed", "refused"))
    job = samples.request(state=state, attempt=attempt, retry=retry, sequence=3)
    decision = transitions.decide(
        job, facts.DuplicatesChecked(1, (samples.JOB_ID, "j-3"), (samples.JOB_ID,)), samples.NOW_MS, samples.RULES
    )
    assert (None if decision is None or decision.job is None else decision.job.duplicates) == stopped
    failed = facts.DuplicatesChecked(1, (samples.JOB_ID,), (samples.JOB_ID,))
    assert transitions.decide(job, failed, samples.NOW_MS, samples.RULES) is None


def test_each_stopped_twin_leaves_the_others() -> None:
    """A second job found while the first is being stopped is not forgotten with it."""
    both = samples.decide(samples.job("submitted, with a duplicate"), _LATE).job
    assert both is not None
    assert both.duplicates == ("j-2", "j-3")
    left = samples.decide(both, facts.DuplicatesStopped(("j-2",))).job
    assert left is not None
    assert left.duplicates == ("j-3",)
    assert transitions.decide(left, facts.DuplicatesStopped(("j-2",)), samples.NOW_MS, samples.RULES) is None


def test_a_look_up_of_a_later_attempt_forgets_no_second_job_of_an_earlier_one() -> None:
    """The wish to stop it stands in the ledger until MRS shows that it has ended; only what is new is reported."""
    seen = jobs.MrsStatus("j-5", submitted_ms=samples.NOW_MS)
    doubtful = msgspec.structs.replace(samples.job("doubtful"), attempt=2, duplicates=("j-2",))
    decision = samples.decide(doubtful, facts.SubmissionFound(seen, ("j-6",)))
    assert decision.job is not None
    assert decision.job.duplicates == ("j-2", "j-6")
    event = samples.only_event(decision)
    assert event.reason is not None
    assert "j-6" in event.reason.message
    assert "j-2" not in event.reason.message
    nothing_new = samples.only_event(samples.decide(doubtful, facts.SubmissionFound(seen)))
    assert nothing_new.reason is None
