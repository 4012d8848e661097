"""What MRS's words mean; every pair of documented words, and words it may learn."""

from __future__ import annotations

import pytest

from mrs_relay.engine.model import verdict
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.models import sql as sql_models

_V = verdict.Verdict
_RUNNING = dict.fromkeys(job_models.JobResult, _V.RUNNING)
_WAITING = dict.fromkeys(job_models.JobResult, _V.WAITING)
_ENDED = {
    job_models.JobResult.UNDEFINED: _V.UNSETTLED,
    job_models.JobResult.SUCCEEDED: _V.SUCCEEDED,
    job_models.JobResult.FAILED: _V.FAILED,
    job_models.JobResult.KILLED: _V.KILLED,
}
_JOBS = {
    job_models.JobState.NEW: _WAITING,
    job_models.JobState.NEW_SAVING: _WAITING,
    job_models.JobState.SUBMITTED: _WAITING,
    job_models.JobState.ACCEPTED: _WAITING,
    job_models.JobState.RUNNING: _RUNNING,
    job_models.JobState.FINISHED: _ENDED,
    job_models.JobState.FAILED: _ENDED,
    job_models.JobState.KILLED: _ENDED,
}
_STATEMENTS = {
    sql_models.SqlStatus.QUEUED: _V.WAITING,
    sql_models.SqlStatus.WAITING_FOR_RESOURCES: _V.WAITING,
    sql_models.SqlStatus.PLANNING: _V.WAITING,
    sql_models.SqlStatus.STARTING: _V.WAITING,
    sql_models.SqlStatus.RUNNING: _V.RUNNING,
    sql_models.SqlStatus.FINISHING: _V.RUNNING,
    sql_models.SqlStatus.FINISHED: _V.SUCCEEDED,
    sql_models.SqlStatus.FAILED: _V.FAILED,
}


@pytest.mark.parametrize("state", job_models.JobState)
@pytest.mark.parametrize("result", job_models.JobResult)
def test_state_says_whether_and_result_how(state: job_models.JobState, result: job_models.JobResult) -> None:
    """Only an ended job has an outcome, and the outcome is the result's: FINISHED may have failed."""
    assert verdict.of_job(state.value, result.value) is _JOBS[state][result]


@pytest.mark.parametrize("word", ["", "PAUSED", "finished", "FINISHED "])
def test_unknown_state_is_no_end(word: str) -> None:
    """A state that MRS has learnt since never ends a job."""
    assert verdict.of_job(word, "SUCCEEDED") is _V.WAITING
    assert verdict.of_statement(word) is _V.WAITING


@pytest.mark.parametrize("word", ["", "PARTIAL"])
def test_unknown_result_settles_nothing(word: str) -> None:
    """An ended job with an unknown result stays unsettled."""
    assert verdict.of_job("FINISHED", word) is _V.UNSETTLED


@pytest.mark.parametrize("status", sql_models.SqlStatus)
def test_statement_is_judged_by_its_status(status: sql_models.SqlStatus) -> None:
    """A statement's status alone says whether and how it ended."""
    assert verdict.of_statement(status.value) is _STATEMENTS[status]
