"""How long MRS must not show a job before it is given up; an outage, a refusal and a wrong list are no verdict."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.unit.engine import mrs_fakes, samples, scheduling_fakes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.trackers import job_tracker, tracked_jobs
from mrs_relay.mrs.models import sql as sql_models

_AWAY = errors.MrsUntouched("HTTP 500", status=500)
_NO_JOB = errors.MrsRefused("no such job", status=400, code="0176")
_NO_CLUSTER = errors.MrsRefused("no such cluster", status=400, code="12000003")
_NOT_RUNNING = errors.MrsBusy("the cluster is not running", status=400, code="12000012")
_NO_RIGHTS = errors.MrsRefused("token expired", status=401, code="APIGW.0301")


def _cluster(state: str) -> Any:
    return SimpleNamespace(cluster=SimpleNamespace(cluster_state=state))


def _mrs() -> mrs_fakes.Mrs:
    """Make an MRS that shows no job; its list, and all else, can be set to fail."""
    return mrs_fakes.Mrs(
        {
            "ShowJobExeListNew": SimpleNamespace(job_list=[], total_record=0),
            "ShowSingleJobExe": _NO_JOB,
            "ShowClusterDetails": _cluster("running"),
        }
    )


def _lost(owner: mrs_fakes.Owner) -> list[tuple[float, facts.JobLost]]:
    """Return the first job that was reported as lost, with the time; none otherwise."""
    return [(at_s, fact) for at_s, _, fact in owner.reports if isinstance(fact, facts.JobLost)][:1]


class _Followed:
    """Some jobs, or one statement, that are followed in virtual time."""

    def __init__(self, count: int = 1, *, statement: bool = False) -> None:
        self.mrs, self.owner = _mrs(), mrs_fakes.Owner()
        settings = engine_settings.EngineSettings(vanish_after_s=300, outcome_within_s=600)
        self.tracker = job_tracker.JobTracker(self.mrs.client, settings, clock.LoopClock())
        job = samples.JOBS["submitted, a statement" if statement else "submitted"]
        assert job is not None
        for number in range(count):
            one = msgspec.structs.replace(job, id=f"r-{number}", seen=jobs.MrsStatus(f"j-{number}"))
            self.tracker.follow(one, one.ledger_key, self.owner)

    async def until(self, moment_s: float) -> None:
        await asyncio.sleep(moment_s - asyncio.get_running_loop().time())


@pytest.mark.parametrize("count", [1, 5])
def test_a_job_is_missing_as_long_as_the_list_answers_without_it(count: int) -> None:
    """Five minutes of answers, and it is reported as lost."""

    async def live() -> None:
        followed = _Followed(count)
        await followed.until(400)
        (moment_s, fact) = _lost(followed.owner)[0]
        assert 300 <= moment_s <= 320
        assert fact.code == "job_vanished"
        await followed.tracker.close()

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("trouble", [_AWAY, _NO_RIGHTS, errors.MrsThrottled("429", retry_after_s=30.0)])
def test_an_outage_of_the_list_is_no_time_in_which_a_job_is_missing(count: int, trouble: errors.MrsError) -> None:
    """Missing for two minutes, an hour without the list, and the whole five minutes of answers are still to come."""

    async def live() -> None:
        followed = _Followed(count)
        await followed.until(120)
        answer, followed.mrs.answers["ShowJobExeListNew"] = followed.mrs.answers["ShowJobExeListNew"], trouble
        await followed.until(3720)
        followed.mrs.answers["ShowJobExeListNew"] = answer
        await followed.until(3870)
        assert not _lost(followed.owner)
        await followed.until(4200)
        assert len(_lost(followed.owner)) == 1
        await followed.tracker.close()

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("refusal", [_NO_CLUSTER, _NOT_RUNNING])
@pytest.mark.parametrize(("shown", "lost"), [("running", False), ("terminating", False), ("terminated", True)])
def test_a_list_that_knows_no_cluster_is_a_verdict_only_if_the_cluster_is_gone(
    count: int, refusal: errors.MrsError, shown: str, lost: bool
) -> None:
    """What the cluster itself shows decides; how the jobs of a deleted one ended is unknown."""

    async def live() -> None:
        followed = _Followed(count)
        followed.mrs.answers |= {"ShowJobExeListNew": refusal, "ShowSingleJobExe": refusal}
        followed.mrs.answers["ShowClusterDetails"] = _cluster(shown)
        await followed.until(3600)
        assert [fact.code for _, fact in _lost(followed.owner)] == ["cluster_gone"] * lost
        await followed.tracker.close()

    scheduling_fakes.run_virtually(live())


def test_a_cluster_that_cannot_be_read_is_not_gone() -> None:
    """A list that knows no cluster, and a cluster that is not shown for another reason: wait."""

    async def live() -> None:
        followed = _Followed(3)
        followed.mrs.answers |= {"ShowJobExeListNew": _NO_CLUSTER, "ShowClusterDetails": _AWAY}
        await followed.until(3600)
        assert not _lost(followed.owner)
        followed.mrs.answers["ShowClusterDetails"] = _NO_CLUSTER
        await followed.until(3800)
        assert not _lost(followed.owner)
        await followed.until(4200)
        assert [fact.code for _, fact in _lost(followed.owner)] == ["cluster_gone"]
        await followed.tracker.close()

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize(("answer", "lost"), [(_NO_JOB, True), (_NO_RIGHTS, False), (_AWAY, False)])
def test_a_statement_is_missing_only_if_mrs_says_so(answer: errors.MrsError, lost: bool) -> None:
    """How MRS refuses a statement that it does not know is not documented; refused credentials are no such answer."""

    async def live() -> None:
        followed = _Followed(statement=True)
        followed.mrs.answers["ShowSqlResult"] = answer
        await followed.until(1200)
        assert bool(_lost(followed.owner)) is lost
        await followed.tracker.close()

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize(("status", "lost"), [("QUEUED", False), ("RUNNING", False), ("SUSPENDED", True)])
def test_a_statement_in_a_status_that_no_document_knows_is_not_read_for_ever(status: str, lost: bool) -> None:
    """Like a job: after `outcome_within_s` its outcome is unknown."""

    async def live() -> None:
        followed = _Followed(statement=True)
        reply = sql_models.SqlResult.model_validate({"id": "j-0", "status": status})
        followed.mrs.answers["ShowSqlResult"] = reply
        await followed.until(1200)
        assert [(fact.code, "SUSPENDED" in fact.message) for _, fact in _lost(followed.owner)] == (
            [("no_outcome", True)] * lost
        )
        await followed.tracker.close()

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize(
    ("counted_s", "gap_s", "failing", "left_s"),
    [
        (200, 30, False, 70),  # a takeover
        (200, 3600, False, 100),  # no poll for an hour
        (200, -900, False, 100),  # the other owner's clock is fast
        (200, 30, True, 100),  # MRS did not answer at the takeover, and perhaps not before
        (290, 120, False, 0),  # the first look decides
        (-50, 0, False, 300),
    ],
)
def test_what_an_earlier_owner_counted_continues(counted_s: int, gap_s: int, failing: bool, left_s: int) -> None:
    """The ledger says since when and until when MRS was polled; the gap counts if it is no longer than a takeover."""

    async def live() -> None:
        mrs, owner, time = _mrs(), mrs_fakes.Owner(), clock.LoopClock()
        settings = engine_settings.EngineSettings(vanish_after_s=300)
        pollers = job_tracker.JobTracker(mrs.client, settings, time)
        looked_ms = time.now_ms() - gap_s * 1000
        span = jobs.Span(looked_ms - counted_s * 1000, looked_ms)
        job = samples.JOBS["submitted"]

        assert job is not None
        for number in range(5):
            one = msgspec.structs.replace(job, id=f"r-{number}", seen=jobs.MrsStatus(f"j-{number}"), missing=span)
            pollers.follow(one, one.ledger_key, owner)

        if failing:
            answer, mrs.answers["ShowJobExeListNew"] = mrs.answers["ShowJobExeListNew"], _AWAY
            await asyncio.sleep(20)
            mrs.answers["ShowJobExeListNew"] = answer

        await asyncio.sleep(400)
        ((moment_s, fact),) = _lost(owner)
        assert left_s <= moment_s - 20 * failing <= left_s + (40 if failing else 15)
        assert fact.code == "job_vanished"
        await pollers.close()

    scheduling_fakes.run_virtually(live())


def test_one_look_stands_for_a_part_of_the_wait_only() -> None:
    """A process that stood still for an hour did not look; MRS's own pauses are left out as a whole."""

    async def live() -> None:
        wait, time = tracked_jobs.Wait(), clock.LoopClock()
        assert wait.look(time, 300) == 0
        await asyncio.sleep(10)
        assert wait.look(time, 300) == pytest.approx(10)
        await asyncio.sleep(3600)
        assert wait.look(time, 300) == pytest.approx(190)
        await asyncio.sleep(3600)
        wait.pass_over(3590)
        assert wait.look(time, 300) == pytest.approx(200)

    scheduling_fakes.run_virtually(live())
