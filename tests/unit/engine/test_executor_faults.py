"""A bug that one job brings out in the hands of its partition ends that job, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.support import turns
from tests.unit.engine import executor_bench, fakes, samples

from mrs_relay.common import tasks
from mrs_relay.engine import partition_jobs, resting_jobs
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, facts, job_records, jobs

_C = commands.Command


class _Broken(executor_bench.Mrs):
    """Fails on whatever it is asked for the request `bad`."""

    def _fail(self, job: jobs.Job) -> None:
        if job.id == "bad":
            raise KeyError("hunter2")

    async def submit(self, job: jobs.Job, still_ours: Callable[[], bool]) -> facts.Fact:
        self._fail(job)
        return await super().submit(job, still_ours)

    async def stop(self, job: jobs.Job) -> None:
        await super().stop(job)
        self._fail(job)

    async def stop_duplicate(self, job: jobs.Job, _job_id: str) -> bool:
        self.stopped.append((job.id, asyncio.get_running_loop().time()))
        if len(self.stopped) == 1:
            self._fail(job)
        return True

    async def look_up(self, job: jobs.Job) -> facts.Fact:
        self._fail(job)
        return facts.SubmissionFound(jobs.MrsStatus(samples.JOB_ID))

    async def look_again(self, _job: jobs.Job, _look: jobs.SecondLook) -> facts.DuplicatesChecked:
        raise KeyError("hunter2")

    async def collect(self, job: jobs.Job, _chunks: object) -> facts.Fact:
        self._fail(job)
        return facts.ResultCollected(samples.ROWS)

    def follow(self, job: jobs.Job, key: jobs.LedgerKey, owner: object) -> None:
        self._fail(job)
        super().follow(job, key, owner)


@pytest.mark.parametrize(
    ("command", "name", "outcome", "step"),
    [
        (_C.SUBMIT, "submitting", facts.SubmissionInDoubt, "submit"),
        (_C.LOOK_UP, "doubtful", facts.InternalFailure, "look_up"),
        (_C.COLLECT, "collecting", facts.InternalFailure, "collect"),
        (_C.TRACK, "running", facts.InternalFailure, "act"),
    ],
)
def test_what_fails_for_one_job_becomes_a_fact_of_that_job(
    command: commands.Command, name: str, outcome: type[facts.Fact], step: str
) -> None:
    """The partition is not restarted; a submission that failed may have been sent, so it is in doubt."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(command, name, id="bad")
        bench.perform(command, name, id="good")
        await asyncio.sleep(10)
        reported = await bench.reported()
        assert [
            type(fact) for fact in reported if isinstance(fact, facts.InternalFailure | facts.SubmissionInDoubt)
        ] == [outcome]
        assert not any("hunter2" in str(fact) for fact in reported)
        assert bench.context.counts.internal_errors[step, "KeyError"] == 1

    executor_bench.run(live, mrs=_Broken())


def test_second_look_that_fails_changes_nothing() -> None:
    """The first one has settled the job; the ledger has to forget the look all the same."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(_C.TRACK, "submitted", second_looks=(jobs.SecondLook(1, samples.NOW_MS),))
        await asyncio.sleep(1)
        assert await bench.reported() == [facts.DuplicatesChecked(1, ())]
        assert bench.context.counts.internal_errors == {("look_again", "KeyError"): 1}

    executor_bench.run(live, mrs=_Broken())


def test_kill_that_fails_is_asked_for_again() -> None:
    """A bug in asking must not leave a job running that is to be stopped."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.mrs.follow = lambda *_: None  # type: ignore[method-assign]
        bench.perform(_C.KILL, "cancelling", id="bad")
        await asyncio.sleep(65)
        assert bench.times() == [0, 30, 60]
        assert await bench.reported() == []

    executor_bench.run(live, mrs=_Broken())


def test_stop_of_a_second_job_that_fails_is_asked_for_again() -> None:
    """The same for a job that is not followed."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(_C.STOP_DUPLICATES, "queued", id="bad", duplicates=("j-2",))
        await asyncio.sleep(65)
        assert bench.times() == [0, 30]
        assert await bench.reported() == [facts.DuplicatesStopped(("j-2",))]

    executor_bench.run(live, mrs=_Broken())


@pytest.mark.parametrize("broken", ["recover", "occupy", "follow"])
def test_poisoned_job_of_the_ledger_keeps_no_other_from_being_taken_up(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """It is reported as failed; all others continue."""
    sound = transitions.recover

    def recover(job: jobs.Job) -> Any:
        if job.id == "bad" and broken == "recover":
            raise RecursionError
        return sound(job)

    monkeypatch.setattr(transitions, "recover", recover)
    running = samples.JOBS["running"]
    assert running is not None

    async def live(bench: executor_bench.Bench) -> None:
        if broken == "occupy":
            occupy = bench.scheduler.occupy

            def fail(key: jobs.LedgerKey, job: jobs.Job, owner: Any) -> None:
                if job.id == "bad":
                    raise RecursionError
                occupy(key, job, owner)

            monkeypatch.setattr(bench.scheduler, "occupy", fail)
        names = ("a", "bad", "b")
        restored = [msgspec.structs.replace(running, id=name) for name in names]
        await bench.executor.resume(resting_jobs.RestingJobs({job.ledger_key: job for job in restored}))
        assert {"a", "b"} <= bench.mrs.watched
        assert [type(fact) for fact in await bench.reported()] == [facts.InternalFailure]

    executor_bench.run(live, mrs=_Broken() if broken == "follow" else executor_bench.Mrs())


def test_many_jobs_are_loaded_and_resumed_with_pauses_for_other_work() -> None:
    """A partition may have 100,000, and the others of the process have work to do."""
    running = samples.JOBS["running"]
    assert running is not None
    several = [msgspec.structs.replace(running, id=f"r-{number}") for number in range(4 * tasks.AT_ONCE)]
    restored = {bytes(job.ledger_key): job_records.encode(job) for job in several}

    async def live(bench: executor_bench.Bench) -> None:
        async with turns.counted() as others:
            loaded = await partition_jobs.load(fakes.lease(restored=restored))
            assert others.count >= 3
            others.count = 0
            await bench.executor.resume(loaded)
            assert others.count >= 3
        assert bench.mrs.watched >= {job.id for job in several}

    executor_bench.run(live)


def test_rejections_are_forgotten_in_time_by_one_timer() -> None:
    """One timer for all, set to the oldest; those that are due at once are reported within seconds."""

    async def live(bench: executor_bench.Bench) -> None:
        rejected = {
            jobs.ledger_key("/billing", f"bad-{number}"): until_ms
            for number, until_ms in enumerate([0, 0, samples.NOW_MS + 60_000, samples.NOW_MS + 120_000])
        }
        await bench.executor.resume(resting_jobs.RestingJobs(), rejected)
        assert len(bench.executor._timers) == 1

        async def forgotten() -> int:
            facts_ = await bench.reported()
            assert all(isinstance(fact, facts.Expired) for fact in facts_)
            for key in list(rejected)[: len(facts_)]:
                del rejected[key]
            return len(facts_)

        await asyncio.sleep(1.5)
        assert await forgotten() == 2
        await asyncio.sleep(57)
        assert await forgotten() == 0
        await asyncio.sleep(3)
        assert await forgotten() == 1
        rejected[jobs.ledger_key("/billing", "bad-9")] = samples.NOW_MS + 180_000
        await asyncio.sleep(60)
        assert await forgotten() == 1
        await asyncio.sleep(60)
        assert await forgotten() == 1
        await asyncio.sleep(2)
        assert len(bench.executor._timers) == 0
        rejected[jobs.ledger_key("/billing", "bad-10")] = samples.NOW_MS + 240_000
        bench.perform(_C.RELEASE, "rejected", id="bad-10")
        await asyncio.sleep(60)
        assert await forgotten() == 1

    executor_bench.run(live)
