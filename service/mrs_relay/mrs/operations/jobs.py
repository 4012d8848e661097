"""
The V2 job operations.

Source: v2 reference (CreateExecuteJob, ShowSingleJobExe, ShowJobExeListNew, StopJob, BatchDeleteJobs,
ShowSqlResultWithJob); limits: "Selecting an API Type".
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base, jobs

_JOBS: Final = "/v2/{project_id}/clusters/{cluster_id}/job-executions"
_JOB: Final = _JOBS + "/{job_execution_id}"

CREATE_EXECUTE_JOB: Final[operation.Operation[jobs.JobExecution, jobs.SubmitReply]] = operation.Operation(
    name="CreateExecuteJob",
    verb="POST",
    path=_JOBS,
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=60,
    body=jobs.JobExecution,
    reply=jobs.SubmitReply,
    accepted=frozenset({200, 201, 202}),
    source="mrs_02_0085, CreateExecuteJob.html",
)
"""Submit a job to a running cluster and start it. There is no idempotency key: look up a lost reply by `job_name`."""

SHOW_SINGLE_JOB_EXE: Final[operation.Operation[None, jobs.JobReply]] = operation.Operation(
    name="ShowSingleJobExe",
    verb="GET",
    path=_JOB,
    safety=operation.Safety.READ,
    per_minute=1000,
    reply=jobs.JobReply,
    source="mrs_02_0086, ShowSingleJobExe.html",
)
"""Read one job. An unknown one is refused with 0176, never with 404."""

SHOW_JOB_EXE_LIST_NEW: Final[operation.Operation[None, jobs.JobListReply]] = operation.Operation(
    name="ShowJobExeListNew",
    verb="GET",
    path=_JOBS,
    safety=operation.Safety.READ,
    per_minute=1000,
    query=jobs.JobQuery,
    reply=jobs.JobListReply,
    source="mrs_02_0087, ShowJobExeListNew.html",
)
"""List jobs of one cluster by page. Jobs submitted meanwhile shift between the pages: drop repeats by job_id."""

STOP_JOB: Final[operation.Operation[None, base.Empty]] = operation.Operation(
    name="StopJob",
    verb="POST",
    path=_JOB + "/kill",
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=60,
    reply=base.Empty,
    source="mrs_02_0088, StopJob.html",
)
"""Ask the cluster to kill one job. Accepted is not done: read the job until it has ended."""

BATCH_DELETE_JOBS: Final[operation.Operation[jobs.JobsToDelete, base.Empty]] = operation.Operation(
    name="BatchDeleteJobs",
    verb="POST",
    path=_JOBS + "/batch-delete",
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=60,
    body=jobs.JobsToDelete,
    reply=base.Empty,
    source="mrs_02_0089, BatchDeleteJobs.html",
)
"""Delete job records for good. On a repeat, 0176 and 0201 mean that it was done."""

SHOW_SQL_RESULT_WITH_JOB: Final[operation.Operation[None, jobs.StatementResultsReply]] = operation.Operation(
    name="ShowSqlResultWithJob",
    verb="GET",
    path=_JOB + "/sql-result",
    safety=operation.Safety.READ,
    per_minute=1000,
    reply=jobs.StatementResultsReply,
    source="mrs_02_0090, ShowSqlResultWithJob.html",
)
"""Rows of the statements of an ended SparkSql or SparkScript job; 0181: there are none, 0179: another job type."""
