"""What the census of the jobs counts, and when a job is overdue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mrs_relay.common import clock
from mrs_relay.engine import held_jobs, job_census, overdue, resting_jobs
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import job_values, jobs

pytestmark = pytest.mark.looptime

_SETTINGS = engine_settings.EngineSettings()
_NOW_MS = 1_795_420_800_000
_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000


def _job(state: jobs.State, name: str = "r-1", **fields: Any) -> jobs.Job:
    given: dict[str, Any] = {"cluster": "c-1", "arrived_ms": _NOW_MS - _HOUR_MS, **fields}
    return jobs.Job(source="s", id=name, subject="job", digest="", state=state, **given)


def _held(*several: jobs.Job) -> held_jobs.HeldJobs:
    return held_jobs.HeldJobs(in_memory=resting_jobs.RestingJobs({one.ledger_key: one for one in several}))


async def test_jobs_are_counted_by_state_over_all_partitions_and_slices() -> None:
    """More jobs than one slice holds."""
    many = [_job(jobs.State.RUNNING, f"r-{number}") for number in range(4_500)]
    held = {0: _held(*many), 1: _held(_job(jobs.State.QUEUED), _job(jobs.State.SUCCEEDED, "r-2"))}
    census = job_census.JobCensus(held, _SETTINGS, clock.LoopClock())
    await census.count()
    assert census.last.states == {jobs.State.RUNNING: 4_500, jobs.State.QUEUED: 1, jobs.State.SUCCEEDED: 1}
    assert not census.last.overdue


async def test_the_longest_wait_is_that_of_requests_that_may_go() -> None:
    """By cluster; a request before its time does not wait for the relay."""
    held = _held(
        _job(jobs.State.QUEUED, "old", arrived_ms=_NOW_MS - 5_000),
        _job(jobs.State.QUEUED, "new", arrived_ms=_NOW_MS - 1_000),
        _job(jobs.State.QUEUED, "later", arrived_ms=_NOW_MS - 9_000, not_before_ms=_NOW_MS + 1_000),
        _job(jobs.State.QUEUED, "there", cluster="c-2", arrived_ms=_NOW_MS - 2_000),
        _job(jobs.State.CHOOSING, "choosing", cluster="", arrived_ms=_NOW_MS - 3_000),
        _job(jobs.State.RUNNING, "gone", arrived_ms=_NOW_MS - 8_000),
    )
    census = job_census.JobCensus({0: held}, _SETTINGS, clock.LoopClock())
    await census.count()
    waited_ms = {cluster: _NOW_MS - since_ms for cluster, since_ms in census.last.oldest_waiting_ms.items()}
    assert waited_ms == {"c-1": 5_000, "c-2": 2_000, "": 3_000}


async def test_a_wait_that_the_request_asked_for_does_not_count() -> None:
    """Neither that until its `not_before`, nor the run before its next attempt."""
    queued = jobs.State.QUEUED
    held = _held(
        _job(queued, "planned", not_before_ms=_NOW_MS - 2_000),
        _job(queued, "again", cluster="c-2", attempt=2, not_before_ms=_NOW_MS - 1_000),
    )
    census = job_census.JobCensus({0: held}, _SETTINGS, clock.LoopClock())
    await census.count()
    waited_ms = {cluster: _NOW_MS - since_ms for cluster, since_ms in census.last.oldest_waiting_ms.items()}
    assert waited_ms == {"c-1": 2_000, "c-2": 1_000}


async def test_a_job_that_does_not_leave_its_state_becomes_overdue_from_one_count_to_the_next() -> None:
    """States without a moment of their own count from the first look; a job that moved begins again."""
    held = {0: _held(_job(jobs.State.CANCELLING))}
    time = clock.LoopClock()
    census = job_census.JobCensus(held, _SETTINGS, time)
    await census.count()
    assert not census.last.overdue

    await asyncio.sleep(4 * _SETTINGS.kill_again_s + overdue.GRACE_S + 1)
    await census.count()
    assert census.last.overdue == {jobs.State.CANCELLING: 1}
    held[0] = _held(_job(jobs.State.SUBMITTING))
    await census.count()
    assert not census.last.overdue


async def test_jobs_that_rest_are_counted_as_all_others_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their state, and as overdue by their deadline or by the time in which MRS does not show them."""
    late = {"run_deadline_ms": _NOW_MS - 2 * _MINUTE_MS}
    held = _held(
        *(_job(jobs.State.RUNNING, f"r-{number}") for number in range(8)),
        _job(jobs.State.RUNNING, "late", **late),
        _job(jobs.State.RUNNING, "in time", run_deadline_ms=_NOW_MS - 1_000),
        _job(jobs.State.SUBMITTED, "gone", missing=job_values.Span(_NOW_MS - 2 * _MINUTE_MS, _NOW_MS)),
    )
    census = job_census.JobCensus({0: held}, _SETTINGS, clock.LoopClock())
    await census.count()
    counted = census.last
    assert counted.overdue == {jobs.State.RUNNING: 1, jobs.State.SUBMITTED: 1}

    for _ in range(2):
        held.in_memory.rest(100)
    monkeypatch.setattr(resting_jobs.Packer, "unpack", _must_not_be_called)
    await census.count()
    assert census.last == counted


def _must_not_be_called(_packer: resting_jobs.Packer, _packed: bytes) -> jobs.Job:
    raise AssertionError("a job that rests was read to be counted")


async def test_a_job_that_rests_while_it_is_being_stopped_becomes_overdue_as_any_other() -> None:
    """From the first look on; its deadline counts no more."""
    many = [_job(jobs.State.CANCELLING, f"r-{number}", run_deadline_ms=_LONG_AGO_MS) for number in range(6)]
    held = _held(*many)
    for _ in range(2):
        held.in_memory.rest(100)
    census = job_census.JobCensus({0: held}, _SETTINGS, clock.LoopClock())
    await census.count()
    assert not census.last.overdue

    await asyncio.sleep(4 * _SETTINGS.kill_again_s + overdue.GRACE_S + 1)
    await census.count()
    assert census.last.overdue == {jobs.State.CANCELLING: 6}


async def test_counting_continues_beside_the_work_and_pauses_in_between() -> None:
    """A new job is seen within the pause."""
    held = {0: _held()}
    census = job_census.JobCensus(held, _SETTINGS, clock.LoopClock())
    task = asyncio.create_task(census.run())
    await asyncio.sleep(1)
    held[0] = _held(_job(jobs.State.QUEUED))
    await asyncio.sleep(6)
    assert census.last.states == {jobs.State.QUEUED: 1}
    task.cancel()
    await asyncio.wait([task])


_LONG_AGO_MS = _NOW_MS - _HOUR_MS
_SPAN = job_values.Span(_NOW_MS - 2 * _MINUTE_MS, _NOW_MS)


@pytest.mark.parametrize(
    ("job", "since_ms", "expected"),
    [
        (_job(jobs.State.QUEUED), _LONG_AGO_MS, False),
        (_job(jobs.State.QUEUED, queue_deadline_ms=_NOW_MS - 2 * _MINUTE_MS), _NOW_MS, True),
        (_job(jobs.State.QUEUED, queue_deadline_ms=_NOW_MS - 1_000), _LONG_AGO_MS, False),
        (_job(jobs.State.SUBMITTING), _NOW_MS - _MINUTE_MS, False),
        (_job(jobs.State.SUBMITTING), _NOW_MS - 3 * _MINUTE_MS, True),
        (_job(jobs.State.IN_DOUBT), _NOW_MS - 3 * _MINUTE_MS, False),
        (_job(jobs.State.IN_DOUBT), _NOW_MS - 4 * _MINUTE_MS, True),
        (_job(jobs.State.RUNNING), _LONG_AGO_MS, False),
        (_job(jobs.State.RUNNING, run_deadline_ms=_LONG_AGO_MS), _NOW_MS, True),
        (_job(jobs.State.RUNNING, missing=_SPAN), _NOW_MS, True),
        (_job(jobs.State.SUBMITTED, unsettled=_SPAN), _NOW_MS, True),
        (_job(jobs.State.COLLECTING, run_deadline_ms=_NOW_MS - 2 * _MINUTE_MS), _NOW_MS, True),
        (_job(jobs.State.CANCELLING), _NOW_MS - 2 * _MINUTE_MS, False),
        (_job(jobs.State.CANCELLING), _NOW_MS - 4 * _MINUTE_MS, True),
        (_job(jobs.State.SUCCEEDED), _LONG_AGO_MS, False),
        (_job(jobs.State.PENDING_CANCEL), _LONG_AGO_MS, False),
    ],
    ids=lambda value: f"{value.state}" if isinstance(value, jobs.Job) else str(value),
)
def test_a_job_is_overdue_a_minute_after_it_should_have_moved(job: jobs.Job, since_ms: int, *, expected: bool) -> None:
    """By its own deadline, or by the time since which it is in a state that has none."""
    assert overdue.is_overdue(job, _NOW_MS, since_ms, _SETTINGS) is expected
