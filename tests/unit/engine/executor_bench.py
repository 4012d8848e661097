"""An executor with a real scheduler and lease, and an MRS that the test sets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.unit.engine import fakes, samples, scheduling_fakes

from mrs_relay.engine import context as contexts
from mrs_relay.engine import executor
from mrs_relay.engine.model import commands, facts, jobs
from mrs_relay.engine.scheduling import lanes
from mrs_relay.kafka import lease as leases

KILL_AGAIN_S = 30.0


class Clock:
    """All clocks show the virtual loop's time."""

    def now_ms(self) -> int:
        return samples.NOW_MS + round(asyncio.get_running_loop().time() * 1000)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    def boottime_s(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class Mrs:
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

    async def collect(self, _job: jobs.Job, _chunks: object) -> facts.Fact:
        await asyncio.sleep(1)
        return facts.ResultCollected(samples.ROWS)

    def follow(self, job: jobs.Job, _key: jobs.LedgerKey, _owner: object) -> None:
        self.watched.add(job.id)

    def unfollow(self, job: jobs.Job) -> None:
        self.watched.discard(job.id)

    def drop_owner(self, _owner: object) -> None:
        self.watched.clear()


class Bench:
    """A performer with a real scheduler and lease, and a pretended MRS."""

    def __init__(self, *, slots: int = 10, in_flight: int = 9, mrs: Mrs | None = None) -> None:
        self.mrs = mrs or Mrs()
        pretended: Any = self.mrs
        self.scheduler = scheduling_fakes.open_scheduler(slots=slots)
        context = fakes.context(kill_again_s=KILL_AGAIN_S)

        self.context = dataclasses.replace(
            context,
            time=Clock(),
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

    async def reported(self) -> list[facts.Fact]:
        if not self.lease.inbox.waiting:
            return []
        batch = await self.lease.inbox.take(100)
        return [notice.fact for notice in batch.notices if isinstance(notice, contexts.FactNotice)]

    def times(self) -> list[float]:
        return [round(when_s) for _, when_s in self.mrs.stopped]


def run(live: Callable[[Bench], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def with_bench() -> None:
        bench = Bench(**options)
        broken: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: broken.append(context))
        async with bench.executor:
            await live(bench)
        bench.scheduler.close()
        assert broken == []  # what a timer called has worked
        assert len(asyncio.all_tasks()) == 1  # nothing continues after the lease

    scheduling_fakes.run_virtually(with_bench())


class Doubtful(Mrs):
    """Finds the job at once, a second one later; agrees to stop each on the second request."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def look_up(self, _job: jobs.Job) -> facts.Fact:
        return facts.SubmissionFound(jobs.MrsStatus(samples.JOB_ID))

    async def look_again(self, job: jobs.Job, look: jobs.SecondLook) -> facts.DuplicatesChecked:  # noqa: ARG002 - it has one
        await asyncio.sleep(max(0, look.due_ms - samples.NOW_MS) / 1000)
        return facts.DuplicatesChecked(look.attempt, (samples.JOB_ID, "j-3"))

    async def stop_duplicate(self, _job: jobs.Job, job_id: str) -> bool:
        self.asked.append(job_id)
        return self.asked.count(job_id) > 1
