"""
What MRS's words mean. Pure.

The verdict on a job comes from two fields: `job_state` says whether it has ended, `job_result` how. FINISHED alone says
nothing about success. Source: state_models of the API contract (ShowSingleJobExe, ShowJobExeListNew, SqlResult).
"""

from __future__ import annotations

import enum
from typing import Final


class Verdict(enum.Enum):
    """What is known of a job's outcome."""

    WAITING = "not started"
    RUNNING = "runs"
    UNSETTLED = "has ended, MRS does not yet say how"
    SUCCEEDED = "ended well"
    FAILED = "ended badly"
    KILLED = "was killed"


_ENDED: Final = frozenset({"FINISHED", "FAILED", "KILLED"})
_OUTCOMES: Final = {"SUCCEEDED": Verdict.SUCCEEDED, "FAILED": Verdict.FAILED, "KILLED": Verdict.KILLED}
_STATEMENT: Final = {
    "RUNNING": Verdict.RUNNING,
    "FINISHING": Verdict.RUNNING,
    "FINISHED": Verdict.SUCCEEDED,
    "FAILED": Verdict.FAILED,
}


def of_job(job_state: str, job_result: str) -> Verdict:
    """Judge a job by both fields (in capitals). An ended job without a result is unsettled: keep polling."""
    if job_state in _ENDED:
        return _OUTCOMES.get(job_result, Verdict.UNSETTLED)
    return Verdict.RUNNING if job_state == "RUNNING" else Verdict.WAITING


def of_statement(status: str) -> Verdict:
    """Judge a Presto statement by its status (in capitals); a status not in the documents counts as waiting."""
    return _STATEMENT.get(status, Verdict.WAITING)
