"""Name the OpenLineage run and job of an attempt. Pure."""

from __future__ import annotations

import uuid
from typing import Final

from mrs_relay.engine.model import jobs

JOB: Final = "job"
"""Label of a request that names its OpenLineage job."""

_RUNS: Final = uuid.UUID("5a5f1c26-8f2c-5c0e-9a3c-0d0f3c1b7e55")
"""Namespace of all run ids. Never change it: the ids of known runs would change."""


def run_id(job: jobs.Job) -> str:
    """Return the run id of the job's present attempt: always the same for the same owner, request and attempt."""
    return str(uuid.uuid5(_RUNS, f"{job.tenant}\n{job.source} {job.id}\n{job.attempt}"))


def job_name(job: jobs.Job) -> str:
    """
    Return the name of the OpenLineage job: the sender, and what the request calls its work.

    That is its label `job`, or else the requested name on MRS. A statement has no name there: without the label all
    statements of a sender are one job.
    """
    label = (job.labels or {}).get(JOB)
    return f"{job.source.strip('/')}.{label or job.name or 'presto'}"
