"""Jobs and duplicates are asked to stop until MRS shows that they have ended."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.unit.engine import executor_bench, samples, scheduling_fakes

from mrs_relay.engine.model import commands, facts


def test_job_is_watched_and_asked_to_stop_again_and_again() -> None:
    """MRS may lose or ignore a kill: it is asked at once and then every `kill_again_s` until the job has ended."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.KILL, "cancelling")
        await asyncio.sleep(95)
        assert bench.times() == [0, 30, 60, 90]
        assert bench.mrs.watched == {"order-1"}

    executor_bench.run(live)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (commands.Command.RELEASE, "cancelled by a message"),
        (commands.Command.RELEASE, "unknown"),
        (commands.Command.COLLECT, "collecting"),
    ],
)
def test_killing_ends_when_the_job_has_ended(command: commands.Command, name: str) -> None:
    """Once the end is known MRS is not asked again, and no task follows the job."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.KILL, "cancelling")
        await asyncio.sleep(45)
        bench.perform(command, name)
        await asyncio.sleep(300)
        assert bench.times() == [0, 30]
        assert bench.mrs.watched == set()

    executor_bench.run(live)


def test_killing_pauses_while_the_partition_may_have_another_owner() -> None:
    """Nothing is asked of MRS while acting is forbidden; it continues when the partition comes back."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.lease.park()
        bench.perform(commands.Command.KILL, "cancelling")
        await asyncio.sleep(70)
        assert bench.times() == []
        bench.lease.resume()
        await asyncio.sleep(25)
        assert bench.times() == [90]

    executor_bench.run(live)


def test_killing_twice_is_killing_once() -> None:
    """A second order replaces the first: no second task asks for the same job."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.KILL, "cancelling")
        await asyncio.sleep(10)
        bench.perform(commands.Command.KILL, "cancelling")
        await asyncio.sleep(45)
        assert bench.times() == [0, 10, 40]
        bench.perform(commands.Command.RELEASE, "cancelled")
        await asyncio.sleep(100)
        assert bench.times() == [0, 10, 40]

    executor_bench.run(live)


def test_kills_of_different_jobs_do_not_touch_each_other() -> None:
    """Each has a timer of its own: a job that ends takes its own along."""

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.KILL, "cancelling")
        bench.perform(commands.Command.KILL, "cancelling", id="order-2")
        bench.perform(commands.Command.RELEASE, "cancelled")
        await asyncio.sleep(35)
        assert [name for name, _ in bench.mrs.stopped].count("order-2") == 2

    executor_bench.run(live)


def test_each_duplicate_is_stopped_until_mrs_agrees_and_the_job_continues() -> None:
    """Asked again and again, each on its own, once at a time; the job that is kept keeps its slot and its watch."""
    mrs = executor_bench.Doubtful()

    async def live(bench: executor_bench.Bench) -> None:
        bench.perform(commands.Command.TRACK, "submitted, with a duplicate")
        await asyncio.sleep(1)
        bench.perform(commands.Command.STOP_DUPLICATES, "submitted, with a duplicate", duplicates=("j-2", "j-3"))
        await asyncio.sleep(100)
        assert sorted(mrs.asked) == ["j-2", "j-2", "j-3", "j-3"]
        assert sorted(await bench.reported(), key=repr) == [
            facts.DuplicatesStopped(("j-2",)),
            facts.DuplicatesStopped(("j-3",)),
        ]
        assert bench.mrs.watched == {"order-1"}

    executor_bench.run(live, mrs=mrs)


def test_stopping_duplicates_takes_nothing_from_a_job_that_waits_for_its_turn() -> None:
    """The job may have just been let through: its slot is not given back."""

    async def live(bench: executor_bench.Bench) -> None:
        job = samples.JOBS["queued"]
        assert job is not None
        bench.scheduler.occupy(job.ledger_key, job, bench.executor)
        bench.perform(commands.Command.STOP_DUPLICATES, "queued", duplicates=("j-2",))
        assert not bench.scheduler.enter_at_once(
            scheduling_fakes.entry(msgspec.structs.replace(job, source="/b", id="2"), bench.executor)
        )

    executor_bench.run(live, mrs=executor_bench.Doubtful(), slots=1)
