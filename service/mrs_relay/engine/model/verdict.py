"""
Interpret MRS's states and results. Pure.

The verdict on a job depends on two fields: `job_state` says whether it has ended, `job_result` how. FINISHED alone says
nothing about success. Source: state_models of the API contract (ShowSingleJobExe, ShowJobExeListNew, SqlResult).

V1.1 has the same two fields as numbers; `observations` translates each number to its name in the documents. Their
combinations are not documented, and examples contradict each other, so `_OLD` gives the verdict of each pair.
"""

from __future__ import annotations

import enum
from typing import Final


class Verdict(enum.Enum):
    """The outcome of a job, as far as it is known."""

    WAITING = "not started"
    RUNNING = "runs"
    UNSETTLED = "has ended, MRS does not yet say how"
    SUCCEEDED = "ended well"
    FAILED = "ended badly"
    KILLED = "was killed"


_BEFORE: Final = frozenset({"", "NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "STARTING"})
"""States of jobs that have not started, of both APIs; "" where MRS has reported none yet."""

_ENDED: Final = frozenset({"FINISHED", "FAILED", "KILLED"})
_OUTCOMES: Final = {"SUCCEEDED": Verdict.SUCCEEDED, "FAILED": Verdict.FAILED, "KILLED": Verdict.KILLED}
_OLD: Final = {
    "COMPLETED": {
        "SUCCEEDED": Verdict.SUCCEEDED,
        "FAILED": Verdict.FAILED,
        "CANCELLED": Verdict.KILLED,
        "": Verdict.SUCCEEDED,
    },
    "TERMINATED": {
        "SUCCEEDED": Verdict.SUCCEEDED,
        "FAILED": Verdict.FAILED,
        "CANCELLED": Verdict.KILLED,
        "UNFINISHED": Verdict.KILLED,
        "": Verdict.KILLED,
    },
    "ABNORMAL": {
        "FAILED": Verdict.FAILED,
        "CANCELLED": Verdict.KILLED,
        "UNFINISHED": Verdict.FAILED,
        "": Verdict.FAILED,
    },
    "ERROR": {"FAILED": Verdict.FAILED, "CANCELLED": Verdict.KILLED, "UNFINISHED": Verdict.FAILED, "": Verdict.FAILED},
}
"""
Verdicts of V1.1 jobs by their last state and `job_final_status` ("" if there is none); any other pair is unsettled.

A job that is "completed" and "unfinished" may still get its outcome; one that failed and "succeeded" contradicts
itself. Source: ShowJobExes (job_state -1, 3, 4, 5; job_final_status 0 to 3); user guide: Completed went
well, a stopped job becomes Terminated, Abnormal is an error; Terraform providers: Error is a failure.
"""

_STATEMENT_BEFORE: Final = frozenset({"QUEUED", "WAITING_FOR_RESOURCES", "PLANNING", "STARTING"})
_STATEMENT: Final = {
    "RUNNING": Verdict.RUNNING,
    "FINISHING": Verdict.RUNNING,
    "FINISHED": Verdict.SUCCEEDED,
    "FAILED": Verdict.FAILED,
}


def of_job(job_state: str, job_result: str) -> Verdict:
    """Return the verdict on a job by both fields (in capitals). An ended job without a result is unsettled: poll on."""
    if job_state in _OLD:
        return _OLD[job_state].get(job_result, Verdict.UNSETTLED)
    if job_state in _ENDED:
        return _OUTCOMES.get(job_result, Verdict.UNSETTLED)
    return Verdict.RUNNING if job_state == "RUNNING" else Verdict.WAITING


def is_documented(job_state: str) -> bool:
    """Return whether MRS's documents contain a job's state; a job in any other state counts as not ended."""
    return job_state in _BEFORE or job_state == "RUNNING" or job_state in _ENDED or job_state in _OLD


def is_documented_status(status: str) -> bool:
    """Return whether MRS's documents contain a statement's status."""
    return status in _STATEMENT or status in _STATEMENT_BEFORE


def of_statement(status: str) -> Verdict:
    """Return the verdict on a Presto statement (status in capitals); an undocumented status counts as waiting."""
    return _STATEMENT.get(status, Verdict.WAITING)
