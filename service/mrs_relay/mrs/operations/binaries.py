"""
The V1.1 job binaries.

Source: v1.1 reference (job binaries). Limits and the codes of missing or used ones are not documented.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base, binaries, sources

_BINARIES: Final = "/v1.1/{project_id}/job-binaries"
_BINARY: Final = _BINARIES + "/{job_binary_id}"

CREATE_JOB_BINARY: Final[operation.Operation[binaries.BinaryToCreate, binaries.BinaryReply]] = operation.Operation(
    name="CreateJobBinary",
    verb="POST",
    path=_BINARIES,
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=None,
    body=binaries.BinaryToCreate,
    reply=binaries.BinaryReply,
    accepted=frozenset({200, 201, 202}),
    source="mrs_02_0034",
)
"""Name a program or script. Whether names are unique is not documented: look a lost reply up in the list."""


UPDATE_JOB_BINARY: Final[operation.Operation[binaries.BinaryChange, binaries.BinaryReply]] = operation.Operation(
    name="UpdateJobBinary",
    verb="PUT",
    path=_BINARY,
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    body=binaries.BinaryChange,
    reply=binaries.BinaryReply,
    accepted=frozenset({200, 201, 202}),
    source="mrs_02_0035",
)
"""Change a job binary."""


LIST_JOB_BINARIES: Final[operation.Operation[None, binaries.BinaryListReply]] = operation.Operation(
    name="ListJobBinaries",
    verb="GET",
    path=_BINARIES,
    safety=operation.Safety.READ,
    per_minute=None,
    query=sources.MarkerQuery,
    reply=binaries.BinaryListReply,
    accepted=frozenset({200}),
    source="mrs_02_0036",
)
"""List the job binaries by page; the next page starts after the marker."""


SHOW_JOB_BINARY: Final[operation.Operation[None, binaries.BinaryReply]] = operation.Operation(
    name="ShowJobBinary",
    verb="GET",
    path=_BINARY,
    safety=operation.Safety.READ,
    per_minute=None,
    reply=binaries.BinaryReply,
    accepted=frozenset({200}),
    source="mrs_02_0037",
)
"""Read a job binary."""


DELETE_JOB_BINARY: Final[operation.Operation[None, base.Empty]] = operation.Operation(
    name="DeleteJobBinary",
    verb="DELETE",
    path=_BINARY,
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    reply=base.Empty,
    accepted=frozenset({200, 202, 204}),
    source="mrs_02_0038",
)
"""Delete a job binary; the file stays where it is."""
