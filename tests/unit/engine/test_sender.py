"""Submissions are sent in time and in the ownership of their commit, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.unit.engine import executor_bench, samples, scheduling_fakes

from mrs_relay.engine.model import commands, facts, jobs


def test_job_cancelled_in_the_batch_of_its_intent_is_not_sent() -> None:
    """The cancel is known before anything was sent: nothing is sent, and the place in flight is free."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.SUBMIT, "submitting, to be cancelled")
        bench.perform(commands.Command.SUBMIT, "submitting", id="order-2")
        await asyncio.sleep(1)
        assert bench.mrs.sent == ["order-2"]
        assert sorted(type(fact).__name__ for fact in await bench.reported()) == [
            "SubmissionAccepted",
            "SubmissionNotApplied",
        ]

    executor_bench.run(live)


def test_submission_of_an_earlier_ownership_is_not_sent() -> None:
    """An intent is good only in the epoch it was committed in: another owner may have taken it up meanwhile."""

    async def live(bench: executor_bench.Bench) -> None:
        async with bench.place():
            bench.perform(commands.Command.SUBMIT, "submitting")
            await asyncio.sleep(0)
            bench.lease.park()
            bench.lease.resume()
        await asyncio.sleep(1)
        assert bench.lease.may_act()
        assert (bench.mrs.sent, await bench.reported()) == ([], [facts.SubmissionNotApplied()])

    executor_bench.run(live, in_flight=1)


def test_submission_that_waited_too_long_after_its_commit_is_not_sent() -> None:
    """The next owner waits for `send_within_s` and no longer: a later request could be a second one."""

    async def live(bench: executor_bench.Bench) -> None:
        for wait_s, sent in ((4.9, ["order-1"]), (5.1, ["order-1"])):
            async with bench.place():
                bench.perform(commands.Command.SUBMIT, "submitting")
                await asyncio.sleep(wait_s)
            await asyncio.sleep(1)
            assert bench.mrs.sent == sent
        assert await bench.reported() == [facts.SubmissionAccepted(samples.JOB_ID), facts.SubmissionNotApplied()]

    executor_bench.run(live, in_flight=1)


class _Slow(executor_bench.Doubtful):
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

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.SUBMIT, "submitting", attempt=1)
        await asyncio.sleep(10)
        bench.perform(commands.Command.LOOK_UP, "doubtful", attempt=1)
        await asyncio.sleep(10)
        job = samples.JOBS["submitting"]

        assert job is not None
        assert bench.scheduler.enter_at_once(scheduling_fakes.entry(job, bench.executor))

        bench.perform(commands.Command.SUBMIT, "submitting", attempt=2)
        await asyncio.sleep(15)
        assert facts.SubmissionNotApplied() not in await bench.reported()
        assert scheduling_fakes.in_flight(bench.scheduler) == 1

        await asyncio.sleep(20)
        assert (await bench.reported()).count(facts.SubmissionNotApplied()) == 1
        assert scheduling_fakes.in_flight(bench.scheduler) == 0
        assert len(bench.mrs.sent) == 2

    executor_bench.run(live, mrs=_Slow(30))


def test_a_submission_that_waits_to_be_sent_is_not_when_its_job_is_looked_up_instead() -> None:
    """What was thought lost has shown up: sending it now would make a second job."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.SUBMIT, "submitting", id="other")
        bench.perform(commands.Command.SUBMIT, "submitting", attempt=1)
        await asyncio.sleep(1)
        bench.perform(commands.Command.LOOK_UP, "doubtful", attempt=1)
        await asyncio.sleep(60)
        assert len(bench.mrs.sent) == 1

    executor_bench.run(live, mrs=_Slow(3), in_flight=1)
