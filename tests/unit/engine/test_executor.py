"""The hands of a partition: kills go on until the end, deadlines ring, nothing is done for jobs that moved on."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from tests.unit.engine import fakes, samples, scheduling_fakes

from mrs_relay.engine import context as contexts
from mrs_relay.engine import executor
from mrs_relay.engine.model import commands, facts, jobs
from mrs_relay.engine.scheduling import lanes
from mrs_relay.kafka import lease as leases

_C = commands.Command
_KILL_AGAIN_S = 30.0


class _Clock:
    """All clocks show the virtual loop's time."""

    def now_ms(self) -> int:
        return samples.NOW_MS + round(asyncio.get_running_loop().time() * 1000)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    def boottime_s(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class _Mrs:
    """Notes who is to be stopped and when, and what is sent."""

    stopped: list[tuple[str, float]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    watched: set[str] = field(default_factory=set)

    async def stop(self, job: jobs.Job) -> None:
        self.stopped.append((job.id, asyncio.get_running_loop().time()))

    async def submit(self, job: jobs.Job, still_ours: Callable[[], bool]) -> facts.Fact:
        if not still_ours():
            return facts.SubmissionNotApplied()
        self.sent.append(job.id)
        return facts.SubmissionAccepted(samples.JOB_ID)

    async def collect(self, _job: jobs.Job) -> facts.Fact:
        await asyncio.sleep(1)
        return facts.ResultCollected(samples.ROWS)

    def follow(self, job: jobs.Job, _key: jobs.LedgerKey, _owner: object) -> None:
        self.watched.add(job.id)

    def unfollow(self, job: jobs.Job) -> None:
        self.watched.discard(job.id)

    def drop_owner(self, _owner: object) -> None:
        self.watched.clear()


class _Bench:
    """A performer with a real scheduler and lease, and a pretended MRS."""

    def __init__(self, *, slots: int = 10, in_flight: int = 9, mrs: _Mrs | None = None) -> None:
        self.mrs = mrs or _Mrs()
        pretended: Any = self.mrs
        self.scheduler = scheduling_fakes.open_scheduler(slots=slots)
        context = fakes.context(kill_again_s=_KILL_AGAIN_S)
        self.context = dataclasses.replace(
            context,
            time=_Clock(),
            scheduler=self.scheduler,
            tracker=pretended,
            cluster_tracker=pretended,
            submitter=pretended,
            lanes=lanes.Lanes(in_flight, in_flight),
        )
        self.lease: leases.Lease[contexts.Notice] = fakes.lease()
        self.executor = executor.CommandExecutor(self.lease, self.context)

    def place(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Hold a place in flight."""
        return self.context.lanes.of(jobs.SUBMISSION).place((self.context.quota, "other"))

    def perform(self, command: commands.Command, name: str, **changes: Any) -> None:
        job = samples.JOBS[name]
        assert job is not None
        job = msgspec.structs.replace(job, **changes)
        self.executor.execute(job.ledger_key, job, command, self.lease.act_epoch)

    async def told(self) -> list[facts.Fact]:
        if not self.lease.inbox.waiting:
            return []
        batch = await self.lease.inbox.take(100)
        return [notice.fact for notice in batch.notices if isinstance(notice, contexts.FactNotice)]

    def times(self) -> list[float]:
        return [round(when_s) for _, when_s in self.mrs.stopped]


def _run(live: Callable[[_Bench], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def with_bench() -> None:
        bench = _Bench(**options)
        broken: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: broken.append(context))
        async with bench.executor:
            await live(bench)
        bench.scheduler.close()
        assert broken == []  # what a timer called has worked
        assert len(asyncio.all_tasks()) == 1  # nothing goes on after the lease

    scheduling_fakes.run_virtually(with_bench())


def test_job_is_watched_and_asked_to_stop_again_and_again() -> None:
    """MRS may lose or ignore a kill: it is asked at once and then every `kill_again_s` until the job has ended."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.KILL, "cancelling")
        await asyncio.sleep(95)
        assert bench.times() == [0, 30, 60, 90]
        assert bench.mrs.watched == {"order-1"}

    _run(live)


@pytest.mark.parametrize(
    ("command", "name"), [(_C.RELEASE, "cancelled by a message"), (_C.RELEASE, "unknown"), (_C.COLLECT, "collecting")]
)
def test_killing_ends_when_the_job_has_ended(command: commands.Command, name: str) -> None:
    """Once the end is known MRS is left alone, and nobody watches any more."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.KILL, "cancelling")
        await asyncio.sleep(45)
        bench.perform(command, name)
        await asyncio.sleep(300)
        assert bench.times() == [0, 30]
        assert bench.mrs.watched == set()

    _run(live)


def test_killing_pauses_while_the_partition_may_have_another_owner() -> None:
    """Nothing is asked of MRS while acting is forbidden; it goes on when the partition comes back."""

    async def live(bench: _Bench) -> None:
        bench.lease.park()
        bench.perform(_C.KILL, "cancelling")
        await asyncio.sleep(70)
        assert bench.times() == []
        bench.lease.resume()
        await asyncio.sleep(25)
        assert bench.times() == [90]

    _run(live)


def test_killing_twice_is_killing_once() -> None:
    """A second order replaces the first: no second task asks for the same job."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.KILL, "cancelling")
        await asyncio.sleep(10)
        bench.perform(_C.KILL, "cancelling")
        await asyncio.sleep(45)
        assert bench.times() == [0, 10, 40]
        bench.perform(_C.RELEASE, "cancelled")
        await asyncio.sleep(100)
        assert bench.times() == [0, 10, 40]

    _run(live)


def test_kills_of_different_jobs_do_not_touch_each_other() -> None:
    """Each has a timer of its own: a job that ends takes its own along."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.KILL, "cancelling")
        bench.perform(_C.KILL, "cancelling", id="order-2")
        bench.perform(_C.RELEASE, "cancelled")
        await asyncio.sleep(35)
        assert [name for name, _ in bench.mrs.stopped].count("order-2") == 2

    _run(live)


@pytest.mark.parametrize(
    ("command", "name", "deadline"),
    [(_C.TRACK, "submitted", "run_deadline_ms"), (_C.TRACK, "running", "run_deadline_ms")],
)
def test_run_deadline_rings_once(command: commands.Command, name: str, deadline: str) -> None:
    """At its moment, not before, and once, however often the job is taken up."""

    async def live(bench: _Bench) -> None:
        bench.perform(command, name, **{deadline: samples.NOW_MS + 60_000})
        bench.perform(command, name, **{deadline: samples.NOW_MS + 60_000})
        await asyncio.sleep(59.9)
        assert await bench.told() == []
        await asyncio.sleep(0.2)
        assert await bench.told() == [facts.DeadlineReached()]
        await asyncio.sleep(4000)
        assert await bench.told() == []

    _run(live)


def test_queue_deadline_rings_once_although_the_job_comes_back_to_the_queue_often() -> None:
    """A busy cluster sends a job back again and again: one timer for its deadline, not one each time."""

    async def live(bench: _Bench) -> None:
        waits = {"not_before_ms": samples.NOW_MS + 900_000, "queue_deadline_ms": samples.NOW_MS + 60_000}
        for _ in range(50):
            bench.perform(_C.ENQUEUE, "queued", **waits)
        await asyncio.sleep(61)
        assert await bench.told() == [facts.DeadlineReached("its not_before or the backoff of its retry has not come")]

    _run(live)


def test_deadline_in_the_past_rings_at_once_and_none_never() -> None:
    """A restart finds deadlines that passed meanwhile; 0 is none."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.TRACK, "submitted", run_deadline_ms=samples.NOW_MS - 5)
        bench.perform(_C.TRACK, "submitted", id="order-2")
        await asyncio.sleep(0.1)
        assert await bench.told() == [facts.DeadlineReached()]

    _run(live)


def test_job_cancelled_in_its_line_gets_no_turn_and_no_slot() -> None:
    """The slot that it waited for goes to the next one."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.ENQUEUE, "queued", id="order-0")
        bench.perform(_C.ENQUEUE, "queued")
        bench.perform(_C.ENQUEUE, "queued", id="order-2")
        bench.perform(_C.RELEASE, "cancelled", seen=None)
        bench.perform(_C.RELEASE, "succeeded", id="order-0")
        batch = await bench.lease.inbox.take(100)
        turns = [notice.key for notice in batch.notices if isinstance(notice, contexts.FactNotice)]
        assert turns == [jobs.ledger_key("/billing", "order-0"), jobs.ledger_key("/billing", "order-2")]
        assert (scheduling_fakes.waiting(bench.scheduler), scheduling_fakes.in_flight(bench.scheduler)) == (0, 1)

    _run(live, slots=1)


def test_job_cancelled_before_its_time_asks_for_no_turn_when_it_comes() -> None:
    """`not_before`, or the wait before a further attempt, of a job that was cancelled meanwhile."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.ENQUEUE, "queued", not_before_ms=samples.NOW_MS + 60_000)
        await asyncio.sleep(10)
        bench.perform(_C.RELEASE, "cancelled", seen=None, expires_ms=samples.NOW_MS + 10**9)
        await asyncio.sleep(100)
        assert await bench.told() == []
        assert (scheduling_fakes.waiting(bench.scheduler), scheduling_fakes.in_flight(bench.scheduler)) == (0, 0)

    _run(live, slots=1)


def test_job_cancelled_in_the_batch_of_its_intent_is_not_sent() -> None:
    """The cancel is known before anything was sent: nothing is sent, and the place in flight is free."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.SUBMIT, "submitting, to be cancelled")
        bench.perform(_C.SUBMIT, "submitting", id="order-2")
        await asyncio.sleep(1)
        assert bench.mrs.sent == ["order-2"]
        assert sorted(type(fact).__name__ for fact in await bench.told()) == [
            "SubmissionAccepted",
            "SubmissionNotApplied",
        ]

    _run(live)


def test_submission_of_an_earlier_ownership_is_not_sent() -> None:
    """An intent is good only in the epoch it was committed in: another owner may have taken it up meanwhile."""

    async def live(bench: _Bench) -> None:
        async with bench.place():
            bench.perform(_C.SUBMIT, "submitting")
            await asyncio.sleep(0)
            bench.lease.park()
            bench.lease.resume()
        await asyncio.sleep(1)
        assert bench.lease.may_act()
        assert (bench.mrs.sent, await bench.told()) == ([], [facts.SubmissionNotApplied()])

    _run(live, in_flight=1)


def test_submission_that_waited_too_long_after_its_commit_is_not_sent() -> None:
    """Whoever takes over waits out `send_within_s` and no longer: a later request could be a second one."""

    async def live(bench: _Bench) -> None:
        for wait_s, sent in ((4.9, ["order-1"]), (5.1, ["order-1"])):
            async with bench.place():
                bench.perform(_C.SUBMIT, "submitting")
                await asyncio.sleep(wait_s)
            await asyncio.sleep(1)
            assert bench.mrs.sent == sent
        assert await bench.told() == [facts.SubmissionAccepted(samples.JOB_ID), facts.SubmissionNotApplied()]

    _run(live, in_flight=1)


def test_cancel_that_waits_in_vain_is_told_of_its_end() -> None:
    """An awaited request that never comes expires at its time."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.AWAIT_REQUEST, "awaited", expires_ms=samples.NOW_MS + 60_000)
        await asyncio.sleep(59)
        assert await bench.told() == []
        await asyncio.sleep(2)
        assert await bench.told() == [facts.Expired()]

    _run(live)


@pytest.mark.parametrize(
    ("command", "name"), [(_C.KILL, "cancelling"), (_C.COLLECT, "collecting"), (_C.RELEASE, "succeeded")]
)
def test_deadline_of_a_job_that_moved_on_does_not_ring(command: commands.Command, name: str) -> None:
    """A job that is being stopped, whose rows are being read or that has ended has no deadline any more."""

    async def live(bench: _Bench) -> None:
        due_ms = samples.NOW_MS + 60_000
        bench.perform(_C.TRACK, "running", run_deadline_ms=due_ms)
        bench.perform(command, name, expires_ms=samples.NOW_MS + 7_200_000)
        await asyncio.sleep(3600)
        assert not any(isinstance(fact, facts.DeadlineReached) for fact in await bench.told())

    _run(live)


def test_next_attempts_deadline_takes_the_place_of_the_first() -> None:
    """One job, one deadline at a time: the earlier one's timer is gone."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.TRACK, "running", run_deadline_ms=samples.NOW_MS + 60_000)
        bench.perform(_C.TRACK, "running", run_deadline_ms=samples.NOW_MS + 90_000)
        await asyncio.sleep(80)
        assert await bench.told() == []
        await asyncio.sleep(20)
        assert await bench.told() == [facts.DeadlineReached()]

    _run(live)


def test_job_that_ended_while_it_waited_for_its_time_asks_for_no_turn() -> None:
    """`not_before` of a job that was cancelled meanwhile wakes nobody."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.ENQUEUE, "queued", not_before_ms=samples.NOW_MS + 60_000)
        bench.perform(_C.RELEASE, "cancelled", expires_ms=samples.NOW_MS + 7_200_000)
        await asyncio.sleep(3600)
        assert await bench.told() == []
        assert scheduling_fakes.waiting(bench.scheduler) == scheduling_fakes.in_flight(bench.scheduler) == 0

    _run(live)


class _Doubtful(_Mrs):
    """Finds the job at once, a second one later; agrees to stop each on the second request."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def look_up(self, _job: jobs.Job) -> facts.Fact:
        return facts.SubmissionFound(jobs.MrsStatus(samples.JOB_ID))

    async def look_again(self, job: jobs.Job) -> facts.Fact:
        await asyncio.sleep(105)
        return facts.DuplicatesChecked(job.attempt, (samples.JOB_ID, "j-3"))

    async def stop_duplicate(self, _job: jobs.Job, job_id: str) -> bool:
        self.asked.append(job_id)
        return self.asked.count(job_id) > 1


def test_submission_in_doubt_is_looked_for_again_after_it_was_settled() -> None:
    """Once, after the time in which everything that was on its way has arrived; only for what has a mark in a list."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.LOOK_UP, "doubtful")
        bench.perform(_C.LOOK_UP, "doubtful, a cluster to create")
        await asyncio.sleep(100)
        assert [type(fact) for fact in await bench.told()] == [facts.SubmissionFound, facts.SubmissionFound]
        await asyncio.sleep(500)
        assert await bench.told() == [facts.DuplicatesChecked(1, (samples.JOB_ID, "j-3"))]

    _run(live, mrs=_Doubtful())


def test_each_twin_is_stopped_until_mrs_agrees_and_the_job_goes_on() -> None:
    """Asked again and again, each on its own, once at a time; the job that is kept keeps its slot and its watch."""
    mrs = _Doubtful()

    async def live(bench: _Bench) -> None:
        bench.perform(_C.TRACK, "submitted, with a twin")
        await asyncio.sleep(1)
        bench.perform(_C.STOP_DUPLICATES, "submitted, with a twin", twins=("j-2", "j-3"))
        await asyncio.sleep(100)
        assert sorted(mrs.asked) == ["j-2", "j-2", "j-3", "j-3"]
        assert sorted(await bench.told(), key=repr) == [
            facts.DuplicatesStopped(("j-2",)),
            facts.DuplicatesStopped(("j-3",)),
        ]
        assert bench.mrs.watched == {"order-1"}

    _run(live, mrs=mrs)


def test_a_job_that_is_looked_up_instead_of_sent_again_wants_no_turn_and_holds_its_slot() -> None:
    """It waited for the cluster's only slot when it showed up on MRS: no turn is given to it any more."""

    async def live(bench: _Bench) -> None:
        queued = samples.JOBS["queued, to be sent again"]
        assert queued is not None
        other = jobs.ledger_key("/b", "2")
        bench.scheduler.occupy(other, queued, bench.executor)
        bench.perform(_C.ENQUEUE, "queued, to be sent again")
        assert scheduling_fakes.waiting(bench.scheduler) == 1
        bench.perform(_C.LOOK_UP, "doubtful")
        assert (scheduling_fakes.waiting(bench.scheduler), scheduling_fakes.in_flight(bench.scheduler)) == (0, 0)
        assert bench.scheduler.load(queued.cluster) == (2, 0)
        bench.scheduler.release(other, queued, bench.executor)
        assert not bench.scheduler.enter_at_once(
            scheduling_fakes.entry(msgspec.structs.replace(queued, source="/b", id="2"), bench.executor)
        )

    _run(live, mrs=_Doubtful(), slots=1)


def test_stopping_twins_takes_nothing_from_a_job_that_waits_for_its_turn() -> None:
    """The job may have just been let through: its slot is not given back."""

    async def live(bench: _Bench) -> None:
        job = samples.JOBS["queued"]
        assert job is not None
        bench.scheduler.occupy(job.ledger_key, job, bench.executor)
        bench.perform(_C.STOP_DUPLICATES, "queued", twins=("j-2",))
        assert not bench.scheduler.enter_at_once(
            scheduling_fakes.entry(msgspec.structs.replace(job, source="/b", id="2"), bench.executor)
        )

    _run(live, mrs=_Doubtful(), slots=1)


class _Slow(_Doubtful):
    """Answers a submission after some time: the cluster is full."""

    def __init__(self, takes_s: float) -> None:
        super().__init__()
        self.takes_s = takes_s

    async def submit(self, job: jobs.Job, still_ours: Callable[[], bool]) -> facts.Fact:
        if still_ours():
            self.sent.append(job.mrs_name)
            await asyncio.sleep(self.takes_s)
        return facts.SubmissionNotApplied()


def test_the_reply_to_a_submission_that_is_looked_up_meanwhile_is_none_to_the_next_one() -> None:
    """It comes when the next attempt is on its way: taken for its reply, it would send that one twice."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.SUBMIT, "submitting", attempt=1)
        await asyncio.sleep(10)
        bench.perform(_C.LOOK_UP, "doubtful", attempt=1)
        await asyncio.sleep(10)
        job = samples.JOBS["submitting"]
        assert job is not None
        assert bench.scheduler.enter_at_once(scheduling_fakes.entry(job, bench.executor))
        bench.perform(_C.SUBMIT, "submitting", attempt=2)
        await asyncio.sleep(15)
        assert facts.SubmissionNotApplied() not in await bench.told()
        assert scheduling_fakes.in_flight(bench.scheduler) == 1
        await asyncio.sleep(20)
        assert (await bench.told()).count(facts.SubmissionNotApplied()) == 1
        assert scheduling_fakes.in_flight(bench.scheduler) == 0
        assert len(bench.mrs.sent) == 2

    _run(live, mrs=_Slow(30))


def test_a_submission_that_waits_to_be_sent_is_not_when_its_job_is_looked_up_instead() -> None:
    """What was thought lost has shown up: sending it now would make a second job."""

    async def live(bench: _Bench) -> None:
        bench.perform(_C.SUBMIT, "submitting", id="other")
        bench.perform(_C.SUBMIT, "submitting", attempt=1)
        await asyncio.sleep(1)
        bench.perform(_C.LOOK_UP, "doubtful", attempt=1)
        await asyncio.sleep(60)
        assert len(bench.mrs.sent) == 1

    _run(live, mrs=_Slow(3), in_flight=1)
