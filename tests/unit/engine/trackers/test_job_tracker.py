"""What the tracker follows, and what it lets go."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.unit.engine import mrs_fakes, samples, scheduling_fakes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.trackers import job_tracker
from mrs_relay.mrs import limits
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.models import sql as sql_models


class _Mrs:
    """Answers every read with one state; counts the reads."""

    def __init__(self, state: str, result: str) -> None:
        self.words = {"job_state": state, "job_result": result}
        self.reads = 0
        self.limits = SimpleNamespace(every_s=lambda _operation: 0.0)

    async def call(self, _operation: Any, *, path: dict[str, str], query: object = None) -> Any:
        if query is not None:
            return SimpleNamespace(job_list=[], total_record=0)
        self.reads += 1
        detail = {"job_id": path["job_execution_id"], "job_name": "n", "user": "u", "job_type": "SparkSubmit"}
        return SimpleNamespace(job_detail=job_models.JobDetail.model_validate({**detail, **self.words}))


@pytest.mark.parametrize("state", ["FINISHED", "SUSPENDED"])
def test_job_whose_outcome_mrs_never_tells_is_given_up(state: str) -> None:
    """Ended without an outcome, or in a state that no document knows, for an hour: it is not polled for ever."""

    async def live() -> None:
        mrs, owner = _Mrs(state, "UNDEFINED"), mrs_fakes.Owner()
        settings = engine_settings.EngineSettings(outcome_within_s=600)
        pollers = job_tracker.JobTracker(cast("Any", mrs), settings, clock.LoopClock())
        job = samples.JOBS["submitted"]
        assert job is not None
        pollers.follow(job, job.ledger_key, owner)
        await asyncio.sleep(590)
        assert not [fact for fact in owner.facts if isinstance(fact, facts.JobLost)]
        await asyncio.sleep(60)
        given_up = next(fact for fact in owner.facts if isinstance(fact, facts.JobLost))
        assert given_up.code == "no_outcome"
        assert f"{state} without an outcome (UNDEFINED)" in given_up.message
        await pollers.close()

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize(
    ("state", "result", "goes_on"),
    [
        ("RUNNING", "UNDEFINED", True),
        ("FINISHED", "UNDEFINED", True),
        ("FINISHED", "SUCCEEDED", False),
        ("FAILED", "FAILED", False),
        ("KILLED", "KILLED", False),
    ],
)
def test_job_whose_end_was_reported_is_let_go(state: str, result: str, goes_on: bool) -> None:
    """A further attempt of its request is another job; the ended one must neither cost reads nor be missed later."""

    async def live() -> None:
        mrs, owner = _Mrs(state, result), mrs_fakes.Owner()
        pollers = job_tracker.JobTracker(cast("Any", mrs), engine_settings.EngineSettings(), clock.LoopClock())
        job = samples.JOBS["submitted"]
        assert job is not None
        pollers.follow(job, job.ledger_key, owner)
        await asyncio.sleep(57)
        assert (mrs.reads > 1, pollers.followed) == (goes_on, int(goes_on))
        assert [type(fact) for fact in owner.facts if not isinstance(fact, facts.WaitsNoted)] == [facts.JobObserved]
        await pollers.close()

    scheduling_fakes.run_virtually(live())


def test_thousands_of_clusters_share_the_read_budget_fairly() -> None:
    """Each cluster is looked at equally often, all together spend no more than their part of the documented reads."""

    async def live() -> None:
        time = clock.LoopClock()
        budget = limits.Limits(time)
        looks: Counter[str] = Counter()

        async def call(wanted: Any, *, path: dict[str, str]) -> Any:
            await budget.acquire(wanted, 600)
            looks[path["cluster_id"]] += 1
            return await answers.call(wanted, path=path)

        answers, owner = _Mrs("RUNNING", "UNDEFINED"), mrs_fakes.Owner()
        mrs = SimpleNamespace(call=call, limits=budget)
        pollers = job_tracker.JobTracker(cast("Any", mrs), engine_settings.EngineSettings(), time)
        job = samples.JOBS["submitted"]
        assert job is not None
        for number in range(2000):
            one = msgspec.structs.replace(job, id=f"r-{number}", cluster=f"c-{number}")
            pollers.follow(one, one.ledger_key, owner)
        await asyncio.sleep(900)
        await pollers.close()
        assert len(looks) == 2000
        assert max(looks.values()) - min(looks.values()) <= 1
        assert 0.6 * 1000 * 15 <= looks.total() <= 1000 * 15

    scheduling_fakes.run_virtually(live())


def test_jobs_of_both_apis_on_one_cluster_are_let_go_each_by_itself() -> None:
    """A cluster may run jobs by both; an id says something only together with its API."""

    async def live() -> None:
        mrs, owner = _Mrs("RUNNING", "UNDEFINED"), mrs_fakes.Owner()
        pollers = job_tracker.JobTracker(cast("Any", mrs), engine_settings.EngineSettings(), clock.LoopClock())
        job = samples.JOBS["submitted"]
        assert job is not None
        old = msgspec.structs.replace(job, id="old", api="v1.1")
        for one in (job, old):
            pollers.follow(one, one.ledger_key, owner)
        assert pollers.followed == 2
        pollers.unfollow(old)
        assert pollers.followed == 1
        pollers.unfollow(job)
        assert pollers.followed == 0
        await pollers.close()

    scheduling_fakes.run_virtually(live())


class _Broken(_Mrs):
    """Fails to show some jobs, and shows all others as ended; every statement runs on."""

    def __init__(self, broken: frozenset[str], error: errors.MrsError) -> None:
        super().__init__("FINISHED", "SUCCEEDED")
        self.broken = broken
        self.error = error
        self.failed = 0

    async def call(self, operation: Any, *, path: dict[str, str], query: object = None) -> Any:
        if operation.name == "ShowSqlResult":
            return sql_models.SqlResult.model_validate({"id": path["sql_id"], "status": "FINISHED"})
        if path["job_execution_id"] in self.broken:
            self.failed += 1
            raise self.error
        return await super().call(operation, path=path, query=query)


@pytest.mark.parametrize(
    "error", [errors.MrsUntouched("HTTP 500", status=500), errors.MrsRefused("no rights", code="APIGW.0301")]
)
@pytest.mark.parametrize("broken", [1, 9])
def test_jobs_that_mrs_fails_to_show_keep_no_others_from_being_reported(error: errors.MrsError, broken: int) -> None:
    """Neither jobs nor statements that come after them, also if they are more than are read at once."""

    async def live() -> None:
        owner, odd = mrs_fakes.Owner(), frozenset(f"odd-{number}" for number in range(broken))
        settings = engine_settings.EngineSettings(single_reads=20)
        pollers = job_tracker.JobTracker(cast("Any", _Broken(odd, error)), settings, clock.LoopClock())
        job = samples.JOBS["submitted"]

        assert job is not None
        for job_id in [*sorted(odd), "sound", "statement"]:
            one = msgspec.structs.replace(
                job, id=job_id, seen=jobs.MrsStatus(job_id), statement=job_id == "statement", work=None
            )
            pollers.follow(one, one.ledger_key, owner)

        await asyncio.sleep(120)
        reported = {
            fact.seen.job_id for fact in owner.facts if isinstance(fact, facts.JobObserved | facts.StatementObserved)
        }

        assert reported == {"sound", "statement"}
        assert pollers.followed == broken
        await pollers.close()

    scheduling_fakes.run_virtually(live())


def test_a_job_that_mrs_fails_to_show_slows_down_no_others() -> None:
    """Only looks that show nothing at all are made less often: ends of other jobs are seen as soon as ever."""

    async def live() -> None:
        owner, mrs = mrs_fakes.Owner(), _Broken(frozenset({"odd"}), errors.MrsUntouched("HTTP 500", status=500))
        mrs.words = {"job_state": "RUNNING", "job_result": "UNDEFINED"}
        pollers = job_tracker.JobTracker(cast("Any", mrs), engine_settings.EngineSettings(), clock.LoopClock())
        job = samples.JOBS["submitted"]

        assert job is not None

        for job_id in ("odd", "sound"):
            pollers.follow(msgspec.structs.replace(job, seen=jobs.MrsStatus(job_id)), job.ledger_key, owner)
        await asyncio.sleep(601)
        mrs.words = {"job_state": "FINISHED", "job_result": "SUCCEEDED"}
        await asyncio.sleep(6)

        assert [fact.seen.job_state for fact in owner.facts if isinstance(fact, facts.JobObserved)] == [
            "RUNNING",
            "FINISHED",
        ]

        mrs.broken = frozenset({"odd", "sound"})
        reads = mrs.failed
        await asyncio.sleep(600)

        assert mrs.failed - reads < 40
        await pollers.close()

    scheduling_fakes.run_virtually(live())


def test_a_read_that_fails_takes_no_job_from_the_owner_who_has_come_to_follow_it() -> None:
    """The partition moves within the process while MRS is asked: the new owner is reported, not the one before."""

    async def live() -> None:
        class Slow(_Mrs):
            async def call(self, operation: object, *, path: dict[str, str], query: object = None) -> Any:
                shown = await super().call(operation, path=path, query=query)
                if self.reads == 1:
                    await asyncio.sleep(10)
                    raise errors.MrsUntouched("no reply in time")
                return shown

        mrs, before, after = Slow("FINISHED", "SUCCEEDED"), mrs_fakes.Owner(), mrs_fakes.Owner()
        pollers = job_tracker.JobTracker(cast("Any", mrs), engine_settings.EngineSettings(), clock.LoopClock())
        job = samples.JOBS["submitted"]
        assert job is not None
        pollers.follow(job, job.ledger_key, before)
        await asyncio.sleep(10)
        pollers.drop_owner(before)
        pollers.follow(job, job.ledger_key, after)
        await asyncio.sleep(60)
        assert (before.facts, len(after.facts)) == ([], 1)
        await pollers.close()

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize("state", ["FINISHED", "SUSPENDED"])
def test_a_job_that_waits_for_its_outcome_is_not_lost_when_mrs_does_not_show_it_once(state: str) -> None:
    """The time for which MRS has not shown a job begins whenever it does not show it, whatever it showed before."""

    async def live() -> None:
        class Blinking(_Mrs):
            async def call(self, operation: object, *, path: dict[str, str], query: object = None) -> Any:
                shown = await super().call(operation, path=path, query=query)
                now_s = asyncio.get_running_loop().time()
                if query is None and now_s % 40 < 20:
                    raise errors.MrsRefused("no such job", code="0201")
                return shown

        mrs, owner = Blinking(state, "UNDEFINED"), mrs_fakes.Owner()
        settings = engine_settings.EngineSettings(outcome_within_s=900, vanish_after_s=60)
        pollers = job_tracker.JobTracker(cast("Any", mrs), settings, clock.LoopClock())
        job = samples.JOBS["submitted"]
        assert job is not None
        pollers.follow(job, job.ledger_key, owner)
        await asyncio.sleep(890)
        assert not [fact for fact in owner.facts if isinstance(fact, facts.JobLost)]
        await asyncio.sleep(60)
        given_up = next(fact for fact in owner.facts if isinstance(fact, facts.JobLost))
        assert given_up.code == "no_outcome"
        await pollers.close()

    scheduling_fakes.run_virtually(live())
