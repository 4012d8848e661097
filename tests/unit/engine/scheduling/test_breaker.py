"""How long a cluster is left alone that takes no calls, and what opens it again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.engine import scheduling_fakes

from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import breaker

pytestmark = pytest.mark.looptime

PLACE = ("a", jobs.SUBMISSION)
STATE = breaker.Answer("12000062", "the cluster's state forbids jobs now")


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _tries(count: int) -> list[int]:
    """Return when a job is sent to a cluster that refuses each time."""
    scheduler, owner = scheduling_fakes.open_scheduler(), object()
    sent: asyncio.Queue[jobs.LedgerKey] = asyncio.Queue()
    when: list[int] = []
    job = scheduling_fakes.job("j0")
    while len(when) < count:
        if not scheduler.enter(scheduling_fakes.entry(job, owner, sent.put_nowait)):
            await sent.get()
        when.append(round(_now_s()))
        scheduler.pauses.refused(PLACE, _now_s(), STATE)
        scheduler.completed(job.ledger_key, owner)
        scheduler.release(job.ledger_key, job, owner)
    scheduler.close()
    return when


async def test_a_cluster_that_refuses_is_tried_ever_less_often() -> None:
    """The distance doubles from `busy_wait_s` up to `busy_most_s`; nothing is random."""
    assert await _tries(9) == [0, 15, 45, 105, 225, 465, 765, 1065, 1365]


async def test_one_success_opens_it_for_all() -> None:
    """One job is tried; when MRS takes it, as many go as there are slots, and the next refusal begins again."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=4))
    for _ in range(5):
        partition.scheduler.pauses.refused(PLACE, _now_s(), STATE)
        await asyncio.sleep(0.1)
    for number in range(6):
        partition.enter(f"j{number}")
    await asyncio.sleep(250)
    assert partition.admitted == ["j0"]
    partition.scheduler.pauses.worked(PLACE, _now_s())
    partition.land("j0")
    assert partition.admitted == ["j0", "j1", "j2", "j3"]
    assert partition.scheduler.pauses.refused(PLACE, _now_s() + 1, STATE) == 15.0


async def test_a_job_that_ends_opens_a_full_cluster_and_no_other() -> None:
    """A cluster whose state forbids jobs takes none because one has ended: it may be why all end."""
    for is_full in (True, False):
        partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
        partition.enter("j0")
        partition.land("j0")
        if is_full:
            partition.scheduler.pauses.full(PLACE, STATE)
        else:
            partition.scheduler.pauses.refused(PLACE, _now_s(), STATE)
        partition.enter("j1")
        partition.release("j0")
        assert partition.admitted == (["j0", "j1"] if is_full else ["j0"])


async def test_a_full_cluster_is_asked_at_the_same_distance_as_long_as_it_is_full() -> None:
    """It drains: nothing but its own jobs keeps it full."""
    pauses = scheduling_fakes.open_scheduler().pauses
    for _ in range(8):
        assert pauses.full(PLACE, STATE) == 15.0
        await asyncio.sleep(15)


async def test_answers_to_calls_sent_before_say_nothing_new() -> None:
    """Calls that were under way together are one failure, and an older success opens nothing."""
    scheduler = scheduling_fakes.open_scheduler()
    seen = scheduler._admission.cluster(PLACE).breaker
    await asyncio.sleep(10)
    for _ in range(20):
        scheduler.pauses.refused(PLACE, 9.0, STATE)
    assert seen.until_s == 25.0
    scheduler.pauses.worked(PLACE, 9.5)
    assert seen.state is breaker.State.REFUSING
    await asyncio.sleep(1)
    scheduler.pauses.worked(PLACE, 10.5)
    assert (seen.state, seen.until_s) == (breaker.State.CLOSED, 0.0)
    scheduler.close()


async def test_a_final_refusal_ends_a_failure_and_no_refusal_by_state() -> None:
    """That MRS looked at a request shows that the way is clear, not that the cluster takes jobs."""
    scheduler = scheduling_fakes.open_scheduler()
    scheduler.pauses.failed(PLACE, 0.0, breaker.Answer("http_502"))
    await asyncio.sleep(1)
    scheduler.pauses.answered(PLACE, 0.5)
    assert scheduler.paused() == []
    scheduler.pauses.refused(PLACE, 0.9, STATE)
    await asyncio.sleep(1)
    scheduler.pauses.answered(PLACE, 1.5)
    assert [one.state for one in scheduler.paused()] == [breaker.State.REFUSING]
    scheduler.close()


async def test_a_lost_reply_makes_a_cluster_that_refuses_no_nearer() -> None:
    """Its pauses continue to double."""
    pauses = scheduling_fakes.open_scheduler().pauses
    assert pauses.refused(PLACE, 0.0, STATE) == 15.0
    await asyncio.sleep(15)
    assert pauses.failed(PLACE, 15.0, breaker.Answer("no_reply")) == 30.0


async def test_a_place_that_fails_holds_up_no_other() -> None:
    """Neither another operation on the cluster nor the operation on another cluster."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    partition.scheduler.pauses.failed(("a", "ListHosts"), _now_s(), breaker.Answer("http_500"))
    read: dict[str, Any] = {"subject": "call", "work": jobs.Call("ListHosts", {"cluster_id": "a"}, repeatable=True)}
    other: dict[str, Any] = {"subject": "call", "work": jobs.Call("ListFiles", {"cluster_id": "a"}, repeatable=True)}
    assert not partition.enter("r0", **read)
    assert partition.enter("j1")
    assert partition.enter("f2", **other)
    assert partition.enter("r3", "b", **read)
    await asyncio.sleep(0.6)
    assert "r0" in partition.admitted


async def test_state_of_an_unused_cluster_is_forgotten() -> None:
    """Its requests may all have been cancelled: neither memory nor metrics keep it."""
    scheduler = scheduling_fakes.open_scheduler()
    partition = scheduling_fakes.Partition(scheduler)
    scheduler.pauses.refused(PLACE, _now_s(), STATE)
    partition.enter("j0")
    partition.withdraw("j0")
    assert [(one.place, one.state, one.code) for one in scheduler.paused()] == [
        (PLACE, breaker.State.REFUSING, "12000062")
    ]
    await asyncio.sleep(80)
    assert (scheduler.paused(), scheduler._admission.clusters) == ([], {})
    scheduler.close()


async def test_unused_places_are_swept_when_there_are_many() -> None:
    """Without a reader of metrics, too."""
    scheduler = scheduling_fakes.open_scheduler()
    for number in range(1000):
        scheduler.pauses.failed((f"c{number}", "ListHosts"), _now_s(), breaker.Answer("http_500"))
    await asyncio.sleep(62)
    scheduler.pauses.failed(("one more", "ListHosts"), _now_s(), breaker.Answer("http_500"))
    assert len(scheduler._admission.clusters) == 1
    scheduler.close()
