"""
The V1.1 executions of stored jobs.

Source: v1.1 reference (job executions). Jobs of submit-job seem to be listed here, too.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base, jobs_v11, sources

_EXECUTIONS: Final = "/v1.1/{project_id}/job-executions"
_EXECUTION: Final = _EXECUTIONS + "/{job_execution_id}"

LIST_JOB_EXECUTIONS: Final[operation.Operation[None, jobs_v11.ExecutionListReply]] = operation.Operation(
    name="ListJobExecutions",
    verb="GET",
    path=_EXECUTIONS,
    safety=operation.Safety.READ,
    per_minute=None,
    query=sources.MarkerQuery,
    reply=jobs_v11.ExecutionListReply,
    accepted=frozenset({200}),
    source="mrs_02_0050",
)
"""List the executions by page; the next page starts after the marker."""


SHOW_JOB_EXECUTION: Final[operation.Operation[None, jobs_v11.ExecutionReply]] = operation.Operation(
    name="ShowJobExecution",
    verb="GET",
    path=_EXECUTION,
    safety=operation.Safety.READ,
    per_minute=None,
    reply=jobs_v11.ExecutionReply,
    accepted=frozenset({200}),
    source="mrs_02_0051",
)
"""Read one execution."""


CANCEL_JOB_EXECUTION: Final[operation.Operation[None, jobs_v11.ExecutionReply]] = operation.Operation(
    name="CancelJobExecution",
    verb="GET",
    path=_EXECUTION + "/cancel",
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    reply=jobs_v11.ExecutionReply,
    accepted=frozenset({200, 202}),
    source="mrs_02_0052",
)
"""Cancel an execution: a GET that changes something. Its reply is not the final state."""


DELETE_JOB_EXECUTION: Final[operation.Operation[None, base.Empty]] = operation.Operation(
    name="DeleteJobExecution",
    verb="DELETE",
    path=_EXECUTION,
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    reply=base.Empty,
    accepted=frozenset({200, 202, 204}),
    source="mrs_02_0053, DeleteJobExecution.html",
)
"""Delete the record of an execution or a submitted job for good."""
