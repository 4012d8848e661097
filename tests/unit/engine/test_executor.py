"""Commands of a partition: kills continue until the end, deadlines expire, nothing is done for jobs that moved on."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.unit.engine import executor_bench, samples, scheduling_fakes

from mrs_relay.engine import context as contexts
from mrs_relay.engine.model import commands, facts, jobs


@pytest.mark.parametrize(
    ("command", "name", "deadline"),
    [(commands.Command.TRACK, "submitted", "run_deadline_ms"), (commands.Command.TRACK, "running", "run_deadline_ms")],
)
def test_run_deadline_rings_once(command: commands.Command, name: str, deadline: str) -> None:
    """At its moment, not before, and once, however often the job is taken up."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(command, name, **{deadline: samples.NOW_MS + 60_000})
        bench.perform(command, name, **{deadline: samples.NOW_MS + 60_000})
        await asyncio.sleep(59.9)
        assert await bench.reported() == []
        await asyncio.sleep(0.2)
        assert await bench.reported() == [facts.DeadlineReached()]
        await asyncio.sleep(4000)
        assert await bench.reported() == []

    executor_bench.run(live)


def test_queue_deadline_rings_once_although_the_job_comes_back_to_the_queue_often() -> None:
    """A busy cluster sends a job back again and again: one timer for its deadline, not one each time."""

    async def live(bench: executor_bench.Bench) -> None:
        waits = {"not_before_ms": samples.NOW_MS + 900_000, "queue_deadline_ms": samples.NOW_MS + 60_000}
        for _ in range(50):
            bench.perform(commands.Command.ENQUEUE, "queued", **waits)
        await asyncio.sleep(61)
        assert await bench.reported() == [
            facts.DeadlineReached("its not_before or the backoff of its retry has not come")
        ]

    executor_bench.run(live)


def test_deadline_in_the_past_rings_at_once_and_none_never() -> None:
    """A restart finds deadlines that passed meanwhile; 0 is none."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.TRACK, "submitted", run_deadline_ms=samples.NOW_MS - 5)
        bench.perform(commands.Command.TRACK, "submitted", id="order-2")
        await asyncio.sleep(0.1)
        assert await bench.reported() == [facts.DeadlineReached()]

    executor_bench.run(live)


def test_job_cancelled_in_its_line_gets_no_turn_and_no_slot() -> None:
    """The slot that it waited for goes to the next one."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.ENQUEUE, "queued", id="order-0")
        bench.perform(commands.Command.ENQUEUE, "queued")
        bench.perform(commands.Command.ENQUEUE, "queued", id="order-2")
        bench.perform(commands.Command.RELEASE, "cancelled", seen=None)
        bench.perform(commands.Command.RELEASE, "succeeded", id="order-0")
        batch = await bench.lease.inbox.take(100)
        turns = [notice.key for notice in batch.notices if isinstance(notice, contexts.FactNotice)]
        assert turns == [jobs.ledger_key("/billing", "order-0"), jobs.ledger_key("/billing", "order-2")]
        assert (scheduling_fakes.waiting(bench.scheduler), scheduling_fakes.in_flight(bench.scheduler)) == (0, 1)

    executor_bench.run(live, slots=1)


def test_job_cancelled_before_its_time_asks_for_no_turn_when_it_comes() -> None:
    """`not_before`, or the wait before a further attempt, of a job that was cancelled meanwhile."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.ENQUEUE, "queued", not_before_ms=samples.NOW_MS + 60_000)
        await asyncio.sleep(10)
        bench.perform(commands.Command.RELEASE, "cancelled", seen=None, expires_ms=samples.NOW_MS + 10**9)
        await asyncio.sleep(100)
        assert await bench.reported() == []
        assert (scheduling_fakes.waiting(bench.scheduler), scheduling_fakes.in_flight(bench.scheduler)) == (0, 0)

    executor_bench.run(live, slots=1)


def test_cancel_that_waits_in_vain_is_reported_of_its_end() -> None:
    """An awaited request that never comes expires at its time."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.AWAIT_REQUEST, "awaited", expires_ms=samples.NOW_MS + 60_000)
        await asyncio.sleep(59)
        assert await bench.reported() == []
        await asyncio.sleep(2)
        assert await bench.reported() == [facts.Expired()]

    executor_bench.run(live)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (commands.Command.KILL, "cancelling"),
        (commands.Command.COLLECT, "collecting"),
        (commands.Command.RELEASE, "succeeded"),
    ],
)
def test_deadline_of_a_job_that_moved_on_does_not_ring(command: commands.Command, name: str) -> None:
    """A job that is being stopped, whose rows are being read or that has ended has no deadline any more."""

    async def live(bench: executor_bench.Bench) -> None:
        due_ms = samples.NOW_MS + 60_000
        bench.perform(commands.Command.TRACK, "running", run_deadline_ms=due_ms)
        bench.perform(command, name, expires_ms=samples.NOW_MS + 7_200_000)
        await asyncio.sleep(3600)
        assert not any(isinstance(fact, facts.DeadlineReached) for fact in await bench.reported())

    executor_bench.run(live)


def test_next_attempts_deadline_takes_the_place_of_the_first() -> None:
    """One job, one deadline at a time: the earlier one's timer is gone."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.TRACK, "running", run_deadline_ms=samples.NOW_MS + 60_000)
        bench.perform(commands.Command.TRACK, "running", run_deadline_ms=samples.NOW_MS + 90_000)
        await asyncio.sleep(80)
        assert await bench.reported() == []
        await asyncio.sleep(20)
        assert await bench.reported() == [facts.DeadlineReached()]

    executor_bench.run(live)


def test_job_that_ended_while_it_waited_for_its_time_asks_for_no_turn() -> None:
    """`not_before` of a job that was cancelled meanwhile has no effect."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.ENQUEUE, "queued", not_before_ms=samples.NOW_MS + 60_000)
        bench.perform(commands.Command.RELEASE, "cancelled", expires_ms=samples.NOW_MS + 7_200_000)
        await asyncio.sleep(3600)
        assert await bench.reported() == []
        assert scheduling_fakes.waiting(bench.scheduler) == scheduling_fakes.in_flight(bench.scheduler) == 0

    executor_bench.run(live)


def test_second_look_that_the_ledger_has_is_taken_once_when_it_is_due() -> None:
    """Whatever becomes of the job until then, and whichever owner noted it: each of its commands says it again."""

    async def live(bench: executor_bench.Bench) -> None:
        due = (jobs.SecondLook(1, samples.NOW_MS + 105_000),)
        bench.perform(commands.Command.TRACK, "submitted", second_looks=due)
        bench.perform(commands.Command.KILL, "cancelling", second_looks=due)
        await asyncio.sleep(100)
        assert not [fact for fact in await bench.reported() if isinstance(fact, facts.DuplicatesChecked)]
        await asyncio.sleep(500)
        looked = [fact for fact in await bench.reported() if isinstance(fact, facts.DuplicatesChecked)]
        assert looked == [facts.DuplicatesChecked(1, (samples.JOB_ID, "j-3"))]

    executor_bench.run(live, mrs=executor_bench.Doubtful())


def test_a_job_that_is_looked_up_instead_of_sent_again_wants_no_turn_and_holds_its_slot() -> None:
    """It waited for the cluster's only slot when it showed up on MRS: no turn is given to it any more."""

    async def live(bench: executor_bench.Bench) -> None:
        queued = samples.JOBS["queued, to be sent again"]
        assert queued is not None
        other = jobs.ledger_key("/b", "2")
        bench.scheduler.occupy(other, queued, bench.executor)
        bench.perform(commands.Command.ENQUEUE, "queued, to be sent again")
        assert scheduling_fakes.waiting(bench.scheduler) == 1
        bench.perform(commands.Command.LOOK_UP, "doubtful")
        assert (scheduling_fakes.waiting(bench.scheduler), scheduling_fakes.in_flight(bench.scheduler)) == (0, 0)
        assert bench.scheduler.load(queued.cluster) == (2, 0)
        bench.scheduler.release(other, queued, bench.executor)
        assert not bench.scheduler.enter_at_once(
            scheduling_fakes.entry(msgspec.structs.replace(queued, source="/b", id="2"), bench.executor)
        )

    executor_bench.run(live, mrs=executor_bench.Doubtful(), slots=1)
