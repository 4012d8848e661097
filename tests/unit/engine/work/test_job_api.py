"""V1.1's calls for a job: what is sent, what its replies mean, and when a job is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.unit.engine import mrs_fakes, samples, scheduling_fakes

from mrs_relay import errors
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs, verdict
from mrs_relay.engine.work import adapter, batch_v11, kinds, observations
from mrs_relay.messages import events
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.models import jobs_v11 as v11_models

_V = verdict.Verdict
_PROGRAM = jobs.Batch("MapReduce", ("sessionize", "30"), {"jar_path": "s3a://demo/s.jar", "output": "/out"})
_JOB = samples.request(_PROGRAM, api="v1.1", attempt=1)

_SETTLED = {
    v11_models.FinalStatus.UNFINISHED: _V.UNSETTLED,
    v11_models.FinalStatus.FAILED: _V.FAILED,
    v11_models.FinalStatus.SUCCEEDED: _V.SUCCEEDED,
    v11_models.FinalStatus.CANCELLED: _V.KILLED,
    None: _V.SUCCEEDED,
}
_BROKEN = {
    **_SETTLED,
    v11_models.FinalStatus.UNFINISHED: _V.FAILED,
    v11_models.FinalStatus.SUCCEEDED: _V.UNSETTLED,
    None: _V.FAILED,
}
_STOPPED = {**_SETTLED, v11_models.FinalStatus.UNFINISHED: _V.KILLED, None: _V.KILLED}
_VERDICTS: dict[v11_models.StateV11, dict[v11_models.FinalStatus | None, verdict.Verdict]] = {
    v11_models.StateV11.STARTING: dict.fromkeys(_SETTLED, _V.WAITING),
    v11_models.StateV11.RUNNING: dict.fromkeys(_SETTLED, _V.RUNNING),
    v11_models.StateV11.COMPLETED: _SETTLED,
    v11_models.StateV11.ABNORMAL: _BROKEN,
    v11_models.StateV11.ERROR: _BROKEN,
    v11_models.StateV11.TERMINATED: _STOPPED,
}


def _shown(**fields: Any) -> v11_models.JobV11:
    return v11_models.JobV11.model_validate({"id": "j-1", "job_name": _JOB.mrs_name, "job_state": 2, **fields})


def _reply(answer: Any) -> Any:
    """Return a page of jobs for a tuple, one job for anything else."""
    if isinstance(answer, tuple):
        return SimpleNamespace(job_executions=answer)
    return SimpleNamespace(job_execution=answer, request_id="q-1")


def _mrs(**answers: Any) -> mrs_fakes.Mrs:
    return mrs_fakes.Mrs(answers, _reply)


def _calls(mrs: mrs_fakes.Mrs, **settings: Any) -> batch_v11.Calls:
    return batch_v11.Calls(mrs.client, engine_settings.EngineSettings(**settings))


def _run(work: Any) -> Any:
    found: list[Any] = []

    async def noted() -> None:
        found.append(await work)

    scheduling_fakes.run_virtually(noted())
    return found[0]


@pytest.mark.parametrize("status", [*v11_models.FinalStatus, None])
@pytest.mark.parametrize("state", v11_models.StateV11)
def test_every_pair_of_numbers_has_its_verdict(
    state: v11_models.StateV11, status: v11_models.FinalStatus | None
) -> None:
    """job_state says whether it ended, job_final_status how; pairs that contradict each other settle nothing."""
    seen = observations.of_v11_job(_shown(job_state=state.value, job_final_status=status))
    assert verdict.of_job(seen.job_state, seen.job_result) is _VERDICTS[state][status]


def test_numbers_that_have_no_name_are_no_end() -> None:
    """Clients of others take an unknown state for Starting; an unknown status of an ended job settles nothing."""
    seen = observations.of_v11_job(_shown(job_state=6, job_final_status=2))
    assert (seen.job_state, verdict.of_job(seen.job_state, seen.job_result)) == ("6", _V.WAITING)
    seen = observations.of_v11_job(_shown(job_state=3, job_final_status=9))
    assert (seen.job_result, verdict.of_job(seen.job_state, seen.job_result)) == ("9", _V.UNSETTLED)


@pytest.mark.parametrize(
    ("progress", "per_cent"), [("42%", 42.0), ("first progress", 0.0), ("", 0.0), (None, 0.0), ("999%", 100.0)]
)
def test_progress_counts_only_if_it_is_a_percentage(progress: str | None, per_cent: float) -> None:
    """It is free text, and its format is not documented."""
    assert observations.of_v11_job(_shown(progress=progress)).progress == per_cent


def test_a_single_read_that_repeats_the_id_names_no_application() -> None:
    """`job_id` is the YARN application in lists, the job's own id in single reads."""
    assert observations.of_v11_job(_shown(job_id="application_1")).app_id == "application_1"
    assert observations.of_v11_job(_shown(job_id="j-1")).app_id == ""


def test_one_call_submits_with_the_token_and_returns_the_id() -> None:
    """CreateAndExecuteJob stores and starts at once; arguments are one text."""
    mrs = _mrs(CreateAndExecuteJob=_shown())
    assert _run(_calls(mrs).submit(_JOB)) == facts.SubmissionAccepted("j-1")
    ((name, _, body),) = mrs.asked
    assert name == "CreateAndExecuteJob"
    assert body.model_dump(exclude_none=True) == {
        "job_type": 1,
        "job_name": _JOB.mrs_name,
        "cluster_id": _JOB.cluster,
        "arguments": "sessionize 30",
        "jar_path": "s3a://demo/s.jar",
        "output": "/out",
    }


def test_a_reply_that_names_no_job_leaves_the_submission_in_doubt() -> None:
    """There may be a job: it is looked up, never sent again."""
    with pytest.raises(errors.MrsAmbiguous):
        _run(_calls(_mrs(CreateAndExecuteJob=_shown(id=""))).submit(_JOB))


def test_all_pages_are_searched_and_only_the_very_name_counts() -> None:
    """No order is documented and the filter may match in part: the oldest comes first, each job once."""
    page = [_shown(id=f"x-{number}", job_name=f"{_JOB.mrs_name}x") for number in range(9)]
    younger, older = _shown(id="j-2", start_time=2000), _shown(id="j-1", start_time=1000)
    mrs = _mrs(ListExecuteJob=[(*page, younger), (younger, older)])
    found = _run(_calls(mrs, list_page=10).find_submitted(_JOB))
    assert [seen.job_id for seen in found] == ["j-1", "j-2"]
    assert [(query.current_page, query.job_name, query.state) for _, _, query in mrs.asked] == [
        (1, _JOB.mrs_name, None),
        (2, _JOB.mrs_name, None),
    ]


def test_a_job_of_an_earlier_request_with_the_same_id_is_not_taken_for_this_one() -> None:
    """An id may be used again once it is forgotten; tokens are the same then, and V1.1's list knows no times."""
    now_ms = 30 * 86_400_000
    job = msgspec.structs.replace(_JOB, intent_ms=now_ms)
    week_old, fresh = _shown(id="j-1", start_time=now_ms - 7 * 86_400_000), _shown(id="j-2", start_time=now_ms + 1000)
    timeless = _shown(id="j-3")
    found = _run(_calls(_mrs(ListExecuteJob=(week_old, fresh, timeless))).find_submitted(job))
    assert {seen.job_id for seen in found} == {"j-2", "j-3"}


def test_pages_never_ask_for_more_than_v11_gives() -> None:
    """page_size is at most 100, whatever suits V2."""
    mrs = _mrs(ListExecuteJob=())
    assert _run(_calls(mrs, list_page=1000).page("c", 3, 0, unfinished=True)) == adapter.Page((), 0, last=True)
    ((_, _, query),) = mrs.asked
    assert (query.page_size, query.current_page, query.state) == (100, 3, v11_models.StateV11.RUNNING)


_GONE = errors.MrsRefused("no such thing", status=400, code="12345")


@pytest.mark.parametrize(
    "refusal", [_GONE, errors.MrsUntouched("broken", status=500, code="12000004"), errors.MrsRefused("?", status=404)]
)
def test_a_job_is_gone_only_if_the_list_does_not_show_it_either(refusal: errors.MrsError) -> None:
    """How an unknown job is refused is not documented; an empty list for its id is an answer."""
    mrs = _mrs(ShowJobExes=refusal, ListExecuteJob=())
    assert isinstance(_run(_calls(mrs).show("c", "j-1")), adapter.NoSuchJob)
    assert [one.name for one in mrs.asked] == ["ShowJobExes", "ListExecuteJob"]
    mrs = _mrs(ShowJobExes=refusal, ListExecuteJob=(_shown(),))
    assert _run(_calls(mrs).show("c", "j-1")) == facts.JobObserved(observations.of_v11_job(_shown()))


@pytest.mark.parametrize(
    "error",
    [
        errors.MrsRefused("who are you", status=401, code="APIGW.0301"),
        errors.MrsRefused("not you", status=403),
        errors.MrsUntouched("no connection"),
        errors.MrsUntouched("bad gateway", status=502),
        errors.MrsThrottled("429", retry_after_s=1.0, status=429),
        errors.MrsRefused("no such cluster", status=400, code="12000003"),
    ],
)
def test_any_other_failure_of_a_read_says_nothing_of_the_job(error: errors.MrsError) -> None:
    """A failed poll never changes a job."""
    mrs = _mrs(ShowJobExes=error)
    with pytest.raises(type(error)):
        _run(_calls(mrs).show("c", "j-1"))


def test_a_list_that_fails_or_ignores_the_id_says_nothing_either() -> None:
    """Only a whole answer without the job counts."""
    mrs = _mrs(ShowJobExes=_GONE, ListExecuteJob=errors.MrsUntouched("broken", status=500))
    with pytest.raises(errors.MrsUntouched):
        _run(_calls(mrs).show("c", "j-1"))
    others = tuple(_shown(id=f"x-{number}") for number in range(10))
    with pytest.raises(errors.MrsRefused, match="no such thing"):
        _run(_calls(_mrs(ShowJobExes=_GONE, ListExecuteJob=others), list_page=10).show("c", "j-1"))


def test_the_result_is_where_the_job_wrote_and_its_log() -> None:
    """What MRS names, and nothing if it names nothing."""
    followed = samples.request(_PROGRAM, api="v1.1", seen=jobs.MrsStatus("j-1"))
    mrs = _mrs(ShowJobExes=[_shown(output="/out", job_log="/log"), _shown(output="", job_log=None)])
    calls = _calls(mrs)

    async def both() -> None:
        assert await calls.collect(followed) == events.Result(location="/out", log_location="/log")
        assert await calls.collect(followed) == events.Result()

    scheduling_fakes.run_virtually(both())


def test_each_kind_that_is_polled_is_paced_by_the_budget_of_its_own_operation() -> None:
    """V2's list begins at a moment, V1.1's cannot; a statement has no list, and calls are not polled."""
    every = kinds.connect(_mrs().client, engine_settings.EngineSettings(list_page=50))
    polled = {name: (one.listing.name, one.page_size, one.by_moment) for name, one in every.items() if one.listing}
    assert polled == {
        "batch_v2": ("ShowJobExeListNew", 50, True),
        "batch_v11": ("ListExecuteJob", 50, False),
        "statement": ("ShowSqlResult", 0, False),
    }


def test_a_cluster_that_takes_no_such_jobs_has_none() -> None:
    """A security cluster refuses V1.1's reads as it refused the submission: nothing can be there."""
    assert _calls(_mrs()).nowhere == {"12000003", "12000064", "12000085"}


@pytest.mark.parametrize("expected", [1_795_420_800_000_000, 2**63, 10**30, -1, 0, None])
def test_a_time_of_mrs_that_is_none_counts_as_missing(expected: int | None) -> None:
    """Lists are asked from a job's submission on: a time in another unit would hide the job until it is given up."""
    seen = observations.of_job(
        job_models.JobDetail(job_id="j", job_state="RUNNING", job_result="UNDEFINED", submitted_ms=expected)
    )
    assert (seen.submitted_ms, seen.finished_ms) == (0, 0)
