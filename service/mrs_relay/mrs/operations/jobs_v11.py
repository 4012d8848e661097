"""
The V1.1 jobs: submitted at once (submit-job, job-exes), or stored and executed later.

Source: v1.1 reference (jobs). Newer clusters refuse them with 12000085, security clusters with 12000064: use V2.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base, jobs_v11, sources

_JOBS: Final = "/v1.1/{project_id}/jobs"
_JOB: Final = _JOBS + "/{job_id}"
_EXES: Final = "/v1.1/{project_id}/job-exes"

CREATE_AND_EXECUTE_JOB: Final[operation.Operation[jobs_v11.JobToSubmit, jobs_v11.JobReplyV11]] = operation.Operation(
    name="CreateAndExecuteJob",
    verb="POST",
    path=_JOBS + "/submit-job",
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=None,
    body=jobs_v11.JobToSubmit,
    reply=jobs_v11.JobReplyV11,
    accepted=frozenset({200, 201, 202}),
    source="mrs_02_0040, CreateAndExecuteJob.html",
)
"""Add a job to a cluster and start it. There is no idempotency key: look a lost reply up by `job_name`."""


CREATE_JOB: Final[operation.Operation[jobs_v11.JobToStore, jobs_v11.StoredJobReply]] = operation.Operation(
    name="CreateJob",
    verb="POST",
    path=_JOBS,
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=None,
    body=jobs_v11.JobToStore,
    reply=jobs_v11.StoredJobReply,
    accepted=frozenset({200, 201, 202}),
    source="mrs_02_0041",
)
"""Store a job without running it."""


UPDATE_JOB: Final[operation.Operation[jobs_v11.JobChange, jobs_v11.StoredJobReply]] = operation.Operation(
    name="UpdateJob",
    verb="PATCH",
    path=_JOB,
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    body=jobs_v11.JobChange,
    reply=jobs_v11.StoredJobReply,
    accepted=frozenset({200, 201, 202}),
    source="mrs_02_0042",
)
"""Change name, type or description of a stored job."""


EXECUTE_JOB: Final[operation.Operation[jobs_v11.JobToExecute, jobs_v11.ExecutionReply]] = operation.Operation(
    name="ExecuteJob",
    verb="POST",
    path=_JOB + "/execute",
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=None,
    body=jobs_v11.JobToExecute,
    reply=jobs_v11.ExecutionReply,
    accepted=frozenset({200, 201, 202}),
    source="mrs_02_0043",
)
"""Run a stored job; each call makes a new execution."""


LIST_JOBS: Final[operation.Operation[None, jobs_v11.StoredJobListReply]] = operation.Operation(
    name="ListJobs",
    verb="GET",
    path=_JOBS,
    safety=operation.Safety.READ,
    per_minute=None,
    query=sources.MarkerQuery,
    reply=jobs_v11.StoredJobListReply,
    accepted=frozenset({200}),
    source="mrs_02_0044",
)
"""List the stored jobs by page; the next page starts after the marker."""


SHOW_JOB: Final[operation.Operation[None, jobs_v11.StoredJobReply]] = operation.Operation(
    name="ShowJob",
    verb="GET",
    path=_JOB,
    safety=operation.Safety.READ,
    per_minute=None,
    reply=jobs_v11.StoredJobReply,
    accepted=frozenset({200}),
    source="mrs_02_0045",
)
"""Read a stored job."""


LIST_EXECUTE_JOB: Final[operation.Operation[None, jobs_v11.JobListReplyV11]] = operation.Operation(
    name="ListExecuteJob",
    verb="GET",
    path=_EXES,
    safety=operation.Safety.READ,
    per_minute=None,
    query=jobs_v11.JobQueryV11,
    reply=jobs_v11.JobListReplyV11,
    accepted=frozenset({200}),
    source="mrs_02_0046, ListExecuteJob.html",
)
"""List the jobs of one cluster by page, with their states."""


SHOW_JOB_EXES: Final[operation.Operation[None, jobs_v11.JobReplyV11]] = operation.Operation(
    name="ShowJobExes",
    verb="GET",
    path=_EXES + "/{job_exe_id}",
    safety=operation.Safety.READ,
    per_minute=None,
    reply=jobs_v11.JobReplyV11,
    accepted=frozenset({200}),
    source="mrs_02_0047, ShowJobExes.html",
)
"""Read one job with its state. An unknown one is refused with HTTP 400, in some regions with 500."""


DELETE_JOB: Final[operation.Operation[None, base.Empty]] = operation.Operation(
    name="DeleteJob",
    verb="DELETE",
    path=_JOB,
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    reply=base.Empty,
    accepted=frozenset({200, 202, 204}),
    source="mrs_02_0048",
)
"""Delete a stored job."""
