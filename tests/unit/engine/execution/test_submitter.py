"""Submits once, and only what is still ours; looks for names exactly, and as patiently as MRS asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.unit.engine import mrs_fakes, samples, scheduling_fakes, submitting

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.execution import submitter
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import batch_v2, kinds
from mrs_relay.mrs import permission
from mrs_relay.mrs.models import jobs as job_models

Sight = tuple[str, str, str, int]
"""Job id, name, job_state and time of submission."""


def _reply(answer: Any) -> Any:
    """Return the reply to a submission for a job's id, a page of the job list for sights."""
    if isinstance(answer, str):
        return SimpleNamespace(job_id=answer)
    shown = [
        job_models.JobDetail.model_validate(
            {"job_id": job_id, "job_name": name, "job_state": state, "submitted_time": submitted_ms}
        )
        for job_id, name, state, submitted_ms in answer
    ]
    return SimpleNamespace(job_list=shown, total_record=len(shown))


def _mrs(*script: Sequence[Sight] | errors.MrsError | str) -> mrs_fakes.Mrs:
    return mrs_fakes.Mrs({"": [*script]}, _reply)


_DOUBTFUL = submitting.job("doubtful")
_NAME = _DOUBTFUL.mrs_name


def test_what_is_no_longer_ours_is_not_sent() -> None:
    """The last question before the call: a replica that may not act any more does not call MRS."""
    mrs = _mrs("j-1")
    one = submitting.made(mrs)
    assert submitting.run(one.submit(submitting.job("submitting"), lambda: False)) == facts.SubmissionNotApplied()
    assert mrs.asked == []
    assert submitting.run(one.submit(submitting.job("submitting"), lambda: True)) == facts.SubmissionAccepted("j-1")
    assert [one.name for one in mrs.asked] == ["CreateExecuteJob"]


class _Connecting(mrs_fakes.Mrs):
    """Asks before it writes, as the transport does."""

    async def call(self, *asked: Any, **more: Any) -> Any:
        if not permission.is_granted():
            raise errors.MrsUnreachable("the permission to send it has ended")
        return await super().call(*asked, **more)


def test_what_is_no_longer_ours_when_it_has_its_connection_is_not_written() -> None:
    """The question is asked again before the write, and its answer is no evidence against MRS."""
    answers = [True, False]
    mrs = _Connecting({"": ["j-1"]}, _reply)

    async def play() -> facts.Fact:
        scheduler = scheduling_fakes.open_scheduler()
        one = submitter.Submitter(mrs.client, scheduler.pauses, engine_settings.EngineSettings(), clock.LoopClock())
        fact = await one.submit(submitting.job("submitting"), lambda: answers.pop(0))
        assert not scheduler.pauses.is_unreachable
        scheduler.close()
        return fact

    assert submitting.run(play()) == facts.SubmissionNotApplied()
    assert (mrs.asked, answers) == ([], [])


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (errors.MrsAmbiguous("no reply"), facts.SubmissionInDoubt),
        (errors.MrsUntouched("no connection"), facts.SubmissionNotApplied),
        (errors.MrsBusy("full", code="0177"), facts.SubmissionNotApplied),
        (errors.MrsThrottled("429", retry_after_s=1.0), facts.SubmissionNotApplied),
        (errors.MrsRefused("no", code="0167"), facts.SubmissionRefused),
    ],
)
def test_a_submission_is_sent_once_whatever_comes_back(error: errors.MrsError, outcome: type[facts.Fact]) -> None:
    """No answer leads to a second call from here; what is certain is said as a fact."""
    mrs = _mrs(error, "j-1")
    assert isinstance(submitting.run(submitting.made(mrs).submit(submitting.job("submitting"), lambda: True)), outcome)
    assert len(mrs.asked) == 1


def _paused_s(error: errors.MrsError, bursts: int = 1) -> tuple[float, float]:
    """Return how long the place, and the connection, are left alone after bursts of 64 that failed a second apart."""
    found: list[float] = []

    async def play() -> None:
        scheduler = scheduling_fakes.open_scheduler()
        one = submitter.Submitter(
            _mrs(error).client, scheduler.pauses, engine_settings.EngineSettings(), clock.LoopClock()
        )
        for number in range(bursts):
            await asyncio.sleep(number)
            await asyncio.gather(*(one.submit(submitting.job("submitting"), lambda: True) for _ in range(64)))
        now_s = asyncio.get_running_loop().time()
        job = submitting.job("submitting")
        place = scheduler._admission.cluster(kinds.place(job))
        found.extend((place.breaker.until_s - now_s, scheduler.pauses.paused_until_s - now_s))
        scheduler.close()

    scheduling_fakes.run_virtually(play())
    return max(0.0, found[0]), max(0.0, found[1])


def test_a_burst_that_fails_together_is_one_failure() -> None:
    """An outage of a moment pauses everybody for half a second, however many were on their way, not for minutes."""
    unreachable = errors.MrsUnreachable("no connection")
    assert 0.25 <= _paused_s(unreachable)[1] <= 0.5
    assert 0.5 <= _paused_s(unreachable, 2)[1] <= 1.0
    assert _paused_s(errors.MrsBusy("state", code="12000062"))[0] == 15.0


@pytest.mark.parametrize(
    ("error", "place_s", "all_s"),
    [
        (errors.MrsUntouched("bad gateway", status=502), 0.5, 0.0),
        (errors.MrsUntouched("no reply in time"), 0.5, 0.0),
        (errors.MrsBusy("full", code="0177"), 15.0, 0.0),
        (errors.MrsBusy("state", code="0056"), 15.0, 0.0),
        (errors.MrsThrottled("429", status=429, retry_after_s=7.0), 0.0, 7.0),
        (errors.MrsThrottled("its own budget; nothing was sent", retry_after_s=7.0), 7.0, 0.0),
        (errors.MrsAmbiguous("no reply"), 0.5, 0.0),
        (errors.MrsRefused("no", code="0167"), 0.0, 0.0),
    ],
)
def test_an_answer_pauses_what_it_is_evidence_against(error: errors.MrsError, place_s: float, all_s: float) -> None:
    """The operation on that cluster; all only when MRS throttles the connection or cannot be reached."""
    assert _paused_s(error) == (place_s, all_s)


def test_only_the_very_name_counts() -> None:
    """How MRS matches names is not documented: what only looks like ours is another job."""
    others = [("j-7", f"{_NAME}x", "RUNNING", 1), ("j-8", f"x{_NAME}", "RUNNING", 2), ("j-9", "nightly", "RUNNING", 3)]
    found = submitting.run(submitting.made(_mrs([*others, ("j-1", _NAME, "RUNNING", 4)])).look_up(_DOUBTFUL))
    assert isinstance(found, facts.SubmissionFound)
    assert (found.seen.job_id, found.duplicates) == ("j-1", ())
    assert submitting.run(submitting.made(_mrs(others)).look_up(_DOUBTFUL)) == facts.SubmissionNotFound()


@pytest.mark.parametrize(
    ("states", "kept"),
    [
        (("RUNNING", "RUNNING"), "older"),
        (("ACCEPTED", "RUNNING"), "younger"),
        (("RUNNING", "ACCEPTED"), "older"),
        (("KILLED", "ACCEPTED"), "younger"),
        (("FAILED", "FAILED"), "older"),
    ],
)
def test_of_two_the_one_that_got_furthest_is_kept(states: tuple[str, str], kept: str) -> None:
    """Of equals the older one, whatever the order of the list; the other one is named as a duplicate."""
    sights = [("younger", _NAME, states[1], 2000), ("older", _NAME, states[0], 1000)]
    found = submitting.run(submitting.made(_mrs(sights)).look_up(_DOUBTFUL))
    other = "older" if kept == "younger" else "younger"
    assert (found.seen.job_id, found.duplicates) == (kept, (other,))


def test_a_look_up_waits_as_long_as_mrs_asks_for() -> None:
    """Retry-After when it is longer than our own backoff, else the backoff."""
    mrs = _mrs(
        errors.MrsThrottled("429", retry_after_s=100.0),
        errors.MrsUntouched("no connection"),
        [("j-1", _NAME, "RUNNING", 1)],
    )
    found = submitting.run(submitting.made(mrs).look_up(_DOUBTFUL))
    assert isinstance(found, facts.SubmissionFound)
    assert mrs.times[:2] == [0, 100]
    assert 100 <= mrs.times[2] <= 102


def test_a_look_up_ends_only_after_settling_and_the_whole_window() -> None:
    """At once, when everything has arrived, and then until the window is over."""
    mrs = _mrs([])
    assert submitting.run(submitting.made(mrs).look_up(_DOUBTFUL)) == facts.SubmissionNotFound()
    assert mrs.times == [0, 45, 55, 65, 75, 85, 95, 105]


class _Hanging:
    """Answers nothing for a minute, but for one cluster."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    async def call(self, operation: Any, **given: Any) -> Any:  # noqa: ARG002 - as the client has it
        self.asked.append((given["path"]["cluster_id"], asyncio.get_running_loop().time()))
        if given["path"]["cluster_id"] == "hangs":
            await asyncio.sleep(60)
        return SimpleNamespace(job_list=[], total_record=0)


def test_look_ups_that_hang_are_bounded_and_keep_no_other_cluster_waiting() -> None:
    """A hundred jobs in doubt on a cluster that does not answer take no more connections than may be."""
    mrs = _Hanging()
    one = submitting.made(mrs)
    hanging, other = (msgspec.structs.replace(_DOUBTFUL, cluster=cluster) for cluster in ("hangs", "works"))

    async def look() -> None:
        tasks = [asyncio.create_task(one.look_up(hanging)) for _ in range(100)]
        await asyncio.sleep(1)
        tasks.append(asyncio.create_task(one.look_up(other)))
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    scheduling_fakes.run_virtually(look())
    assert [cluster for cluster, _ in mrs.asked].count("hangs") == 7
    assert ("works", 1.0) in mrs.asked


def test_looking_again_comes_later_and_names_all() -> None:
    """One look after settling and window have passed once more."""
    mrs = _mrs([("j-1", _NAME, "FINISHED", 1), ("j-2", _NAME, "RUNNING", 2), ("j-3", "other", "RUNNING", 3)])
    due = jobs.SecondLook(1, samples.NOW_MS + 105_000)
    looked = submitting.run(submitting.made(mrs).look_again(_DOUBTFUL, due))
    assert looked == facts.DuplicatesChecked(1, ("j-1", "j-2"))
    assert mrs.times == [105]


def test_looking_again_for_an_earlier_attempt_uses_its_name() -> None:
    """The job has gone on since; the name of each attempt has a token of its own."""
    mrs = _mrs([("j-1", _NAME, "RUNNING", 1)])
    later = msgspec.structs.replace(_DOUBTFUL, attempt=2)
    assert later.mrs_name != _NAME
    assert submitting.run(submitting.made(mrs).look_again(later, jobs.SecondLook(1, 0))) == facts.DuplicatesChecked(
        1, ("j-1",)
    )


def test_looking_again_names_those_that_ended_badly() -> None:
    """They are no effect that is still under way: who has retried after one of them knows of it."""
    ends = ("FAILED", "KILLED", "SUCCEEDED")
    several = [jobs.MrsStatus(f"j-{number}", "FINISHED", end) for number, end in enumerate(ends)]

    class _Listed(batch_v2.Calls):
        async def find_submitted(self, job: jobs.Job) -> list[jobs.MrsStatus]:  # noqa: ARG002 - all jobs have its name
            return several

    one = submitting.made(_mrs([]))
    one._calls = {"batch_v2": _Listed(cast("Any", None), engine_settings.EngineSettings())}
    looked = submitting.run(one.look_again(_DOUBTFUL, jobs.SecondLook(1, 0)))
    assert looked == facts.DuplicatesChecked(1, ("j-0", "j-1", "j-2"), ("j-0", "j-1"))


class _Duplicate:
    """A job that MRS shows as it is asked to, or not, and whose stopping it answers as it is asked to."""

    def __init__(self, shown: str | errors.MrsError, stopped: errors.MrsError | None) -> None:
        self.answers: dict[str, Any] = {"ShowSingleJobExe": shown, "StopJob": stopped, "ShowJobExeListNew": None}
        self.cluster = "running"
        self.asked: list[str] = []

    async def call(self, operation: Any, **_: object) -> Any:
        self.asked.append(operation.name)
        answer = self.answers.get(operation.name)
        if isinstance(answer, errors.MrsError):
            raise answer
        if operation.name == "ShowClusterDetails":
            return SimpleNamespace(cluster=SimpleNamespace(cluster_state=self.cluster))
        if operation.name == "ShowJobExeListNew":
            return SimpleNamespace(job_list=[], total_record=0)
        state, *_rest, result = str(answer).partition(" ")
        shown = {"job_id": "j-2", "job_name": _NAME, "job_state": state, "job_result": result}
        return SimpleNamespace(job_detail=job_models.JobDetail.model_validate(shown))


_UNKNOWN = errors.MrsRefused("no such job", code="0176")


@pytest.mark.parametrize(
    ("shown", "stopped", "is_over"),
    [
        ("RUNNING UNDEFINED", None, False),
        ("RUNNING UNDEFINED", errors.MrsRefused("killing failed", code="0175"), False),
        ("RUNNING UNDEFINED", errors.MrsRefused("no rights", code="APIGW.0301"), False),
        ("RUNNING UNDEFINED", errors.MrsAmbiguous("no reply"), False),
        ("RUNNING UNDEFINED", errors.MrsThrottled("429", retry_after_s=1.0), False),
        ("RUNNING UNDEFINED", _UNKNOWN, True),
        (errors.MrsUntouched("no connection"), None, False),
        (_UNKNOWN, None, False),
        (_UNKNOWN, errors.MrsRefused("says no more"), True),
    ],
)
def test_a_duplicate_is_asked_to_stop_until_mrs_shows_that_it_has_ended(
    shown: str | errors.MrsError, stopped: errors.MrsError | None, *, is_over: bool
) -> None:
    """A wish that MRS took, or refused for whatever reason, is no end."""
    assert (
        submitting.run(submitting.made(_Duplicate(shown, stopped)).stop_duplicate(submitting.job("running"), "j-2"))
        is is_over
    )


@pytest.mark.parametrize(
    ("refusal", "cluster", "is_over"),
    [
        (errors.MrsRefused("no such cluster", code="12000003"), "terminated", True),
        (errors.MrsRefused("no such cluster", code="12000003"), "running", False),
        (errors.MrsBusy("the cluster does not run", code="12000012"), "terminated", True),
        (errors.MrsBusy("the cluster does not run", code="12000012"), "running", False),
    ],
)
def test_a_duplicate_whose_cluster_refuses_is_over_only_if_the_cluster_is_gone(
    refusal: errors.MrsError, cluster: str, *, is_over: bool
) -> None:
    """As with look-ups: the cluster itself is asked, or a duplicate on a terminated one would be stopped for ever."""
    mrs = _Duplicate(refusal, None)
    mrs.cluster = cluster
    assert submitting.run(submitting.made(mrs).stop_duplicate(submitting.job("running"), "j-2")) is is_over
    assert mrs.asked == ["ShowSingleJobExe", "ShowClusterDetails"]


@pytest.mark.parametrize("shown", ["KILLED KILLED", "FINISHED SUCCEEDED", "FINISHED UNDEFINED"])
def test_a_duplicate_that_has_ended_is_left_alone(shown: str) -> None:
    """Nothing is written for it."""
    mrs = _Duplicate(shown, None)
    assert submitting.run(submitting.made(mrs).stop_duplicate(submitting.job("running"), "j-2")) is True
    assert mrs.asked == ["ShowSingleJobExe"]
