"""Why a job waits: for people, metrics and events; and how many wait for the quota alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.engine import scheduling_fakes

from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import breaker, waits

pytestmark = pytest.mark.looptime

PLACE = ("a", jobs.SUBMISSION)
STATE = breaker.Answer("12000062", "the cluster's state forbids jobs now")
C = waits.Cause


def _why(partition: scheduling_fakes.Partition, request_id: str) -> waits.Waiting | None:
    return partition.scheduler.why(scheduling_fakes.job(request_id).ledger_key, partition)


def _full(partition: scheduling_fakes.Partition) -> None:
    partition.enter("j1")


def _refused(partition: scheduling_fakes.Partition) -> None:
    partition.scheduler.pauses.refused(PLACE, 1.0, STATE)


def _probed(partition: scheduling_fakes.Partition) -> None:
    scheduling_fakes.full(partition.scheduler, PLACE, 0.0)
    partition.enter("j1")


@pytest.mark.parametrize(
    ("prepare", "slots", "intents", "rate", "limits", "cause"),
    [
        (_full, 1, 9, 0.0, {}, C.SLOTS),
        (_full, 9, 1, 0.0, {}, C.IN_FLIGHT),
        (_full, 9, 9, 0.1, {}, C.QUOTA),
        (_full, 9, 9, 0.0, {"running": 1}, C.RUNNING),
        (_full, 9, 9, 0.0, {"per_minute": 1}, C.PACE),
        (_refused, 9, 9, 0.0, {}, C.CLUSTER),
        (_probed, 9, 9, 0.0, {}, C.PROBE),
        (lambda partition: partition.scheduler.pauses.pause(9.0), 9, 9, 0.0, {}, C.CONNECTION),
    ],
)
async def test_a_job_that_waits_says_what_for(
    prepare: Callable[[scheduling_fakes.Partition], None],
    slots: int,
    intents: int,
    rate: float,
    limits: dict[str, int],
    cause: waits.Cause,
) -> None:
    """The first thing that has to change; and so say the counts that metrics show."""
    scheduler = scheduling_fakes.open_scheduler(slots=slots, intents=intents, quota=scheduling_fakes.Quota(rate))
    partition = scheduling_fakes.Partition(scheduler, scheduling_fakes.account("t", **limits))
    prepare(partition)
    partition.enter("j8")
    why = _why(partition, "j8")
    assert why is not None
    assert (why.cause, why.place) == (cause, PLACE)
    assert {name: count for name, count in scheduler.waiting_by_cause().items() if count} == {cause: 1}
    assert str(why)
    scheduler.close()


async def test_what_the_cluster_said_last_is_reported_with_its_moment() -> None:
    """Its code and what that means; MRS's own words may quote another request and are not reported."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    partition.scheduler.pauses.refused(PLACE, 1.0, STATE)
    for number in range(3):
        partition.enter(f"j{number}")
    partition.withdraw("j1")
    why = _why(partition, "j2")
    assert why is not None
    assert (why.state, why.answer, why.wait_s) == (breaker.State.REFUSING, STATE, 15.0)
    text = str(why)
    assert text.startswith("cluster a is left alone; CreateExecuteJob on cluster a has been refused since 20")
    assert text.endswith("Z, last answer 12000062 (the cluster's state forbids jobs now); next look in 15 s")
    partition.scheduler.close()


async def test_asking_changes_nothing() -> None:
    """Neither a token nor a turn is taken; a job that does not wait has no reason."""
    quota = scheduling_fakes.Quota(rate=0.1)
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(quota=quota))
    partition.enter("j1")
    partition.enter("j2")
    before = dict(quota.spent)
    for _ in range(5):
        assert _why(partition, "j2") is not None
        partition.scheduler.waiting_by_cause()
    assert (quota.spent, partition.admitted) == (before, ["j1"])
    assert _why(partition, "j1") is None
    await asyncio.sleep(11)
    assert partition.admitted == ["j1", "j2"]


async def test_waiting_lifts_a_job_and_the_wait_of_the_lowest_priority_is_bounded() -> None:
    """Priority 0 goes before every job of priority 9 that comes nine steps later, and after those that come sooner."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    partition.enter("j0")
    step_ms = 120_000
    partition.enter("low1", priority=0, arrived_ms=1000)
    partition.enter("j2", priority=9, arrived_ms=1000 + 9 * step_ms - 1)
    partition.enter("j3", priority=9, arrived_ms=1000 + 9 * step_ms + 1)
    for request_id in ("j0", "j2", "low1"):
        partition.release(request_id)
    assert partition.admitted == ["j0", "j2", "low1", "j3"]


async def test_the_time_before_not_before_is_no_waiting() -> None:
    """A job for tonight, sent this morning, goes behind those that have waited since noon."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    partition.enter("j0")
    partition.enter("j1", arrived_ms=1000, not_before_ms=9_000_000)
    partition.enter("j2", arrived_ms=8_000_000)
    partition.release("j0")
    assert partition.admitted == ["j0", "j2"]
