"""What MRS and the ledger disagree about."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine import orphans
from mrs_relay.engine.model import jobs

_BEFORE_MS = samples.NOW_MS
_CLUSTER = samples.CLUSTER


def _job(name: str, **changes: object) -> jobs.Job:
    job = samples.JOBS[name]
    assert job is not None
    return msgspec.structs.replace(job, **changes)


def _sight(job_id: str, state: str = "RUNNING", submitted_ms: int = _BEFORE_MS - 1) -> jobs.MrsStatus:
    return jobs.MrsStatus(job_id, state, submitted_ms=submitted_ms)


def _found(ledger: list[jobs.Job], *sights: tuple[str, jobs.MrsStatus]) -> list[tuple[str, str]]:
    found = orphans.find(ledger, {_CLUSTER: sights}, before_ms=_BEFORE_MS)
    return [(one.kind, one.job_id) for one in found]


def test_job_that_a_request_follows_is_no_orphan() -> None:
    """The token, the id and the ledger agree."""
    job = _job("running")
    assert _found([job], (job.mrs_name, _sight(samples.JOB_ID))) == []


@pytest.mark.parametrize("name", ["nightly", "nightly-mr12", "mr0123456789abcd", "a-mr0123456789abcdef", ""])
def test_job_without_a_token_is_ignored(name: str) -> None:
    """Other people's jobs are never listed."""
    assert _found([], (name, _sight("j-9"))) == []


def test_marked_job_that_no_request_knows_is_a_stranger() -> None:
    """Its request is forgotten, or another deployment has it."""
    assert _found([_job("running")], ("x-mr0123456789abcd", _sight("j-9")))[0] == ("stranger", "j-9")


def test_second_job_of_a_request_is_a_duplicate() -> None:
    """The request follows one of them."""
    job = _job("running")
    sights = [(job.mrs_name, _sight(samples.JOB_ID)), (job.mrs_name, _sight("j-2"))]
    assert _found([job], *sights) == [("twin", "j-2")]


def test_job_of_a_request_that_is_unknown_is_unclaimed() -> None:
    """A person can settle the request by it."""
    job = _job("unknown")
    assert _found([job], (job.mrs_name, _sight(samples.JOB_ID, "FINISHED"))) == [("unclaimed", samples.JOB_ID)]


@pytest.mark.parametrize(("state", "found"), [("FINISHED", []), ("RUNNING", [("twin", "j-1")])])
def test_job_of_an_earlier_attempt_is_no_orphan_unless_it_continues(state: str, found: list[tuple[str, str]]) -> None:
    """Each attempt has a name of its own, and the ledger knows them all; an earlier attempt has ended."""
    first = _job("running")
    second = msgspec.structs.replace(first, attempt=2, seen=jobs.MrsStatus("j-2", "RUNNING"))
    assert _found([second], (first.mrs_name, _sight("j-1", state)), (second.mrs_name, _sight("j-2"))) == found


@pytest.mark.parametrize("name", ["submitted", "running", "cancelling"])
def test_followed_job_that_mrs_does_not_show_is_lost(name: str) -> None:
    """The ledger waits for an end that will not come."""
    assert _found([_job(name)]) == [("lost", samples.JOB_ID)]


@pytest.mark.parametrize("name", ["queued", "submitting", "doubtful", "succeeded", "running, a statement"])
def test_job_that_mrs_need_not_show_is_not_lost(name: str) -> None:
    """Not submitted yet, ended, or a statement, which no list has."""
    assert _found([_job(name)]) == []


def test_young_jobs_are_left_alone() -> None:
    """What was submitted a moment ago may be on its way into the ledger, or not yet in the list."""
    young = _job("running", intent_ms=_BEFORE_MS)
    assert _found([young], ("x-mr0123456789abcd", _sight("j-9", submitted_ms=_BEFORE_MS))) == []


def test_clusters_that_were_not_looked_at_lose_nothing() -> None:
    """Only where the list was read can a job be missing from it."""
    assert orphans.find([_job("running")], {"other": ()}, before_ms=_BEFORE_MS) == []


@pytest.mark.parametrize("attempt", [0, 1])
def test_job_that_shows_up_after_its_request_ended_without_it_is_left(attempt: int) -> None:
    """Cancelled as the look-up found nothing: the job that exists all the same has no request and is no stranger."""
    name = _job("running").mrs_name
    ended = _job("cancelled", seen=None, attempt=attempt)
    assert _found([ended], (name, _sight("j-9"))) == [("left", "j-9")]


@pytest.mark.parametrize("name", ["queued", "submitting", "doubtful"])
def test_job_of_a_request_on_its_way_is_no_orphan(name: str) -> None:
    """The relay looks for it itself."""
    assert _found([_job(name)], (_job("running").mrs_name, _sight("j-9"))) == []


def test_cancel_that_waits_in_another_partition_hides_no_request() -> None:
    """It stands there under the request's key; the request's job is still followed."""
    job = _job("running")
    assert _found([job, samples.pending_cancel()], (job.mrs_name, _sight(samples.JOB_ID))) == []
    assert _found([samples.pending_cancel(), job], (job.mrs_name, _sight(samples.JOB_ID))) == []
