"""
From a checked job for V1.1's API to the work that it becomes. Pure, beside `works`; `messages/old_jobs` has the rules.

Source: CreateAndExecuteJob (mrs_02_0040).
"""

from __future__ import annotations

from typing import Final

import pydantic

from mrs_relay import errors
from mrs_relay.engine import jobs
from mrs_relay.messages import old_jobs, requests
from mrs_relay.mrs.models import oldjobs

TYPES: Final = {
    "MapReduce": oldjobs.ProgramType.MAP_REDUCE,
    "SparkSubmit": oldjobs.ProgramType.SPARK,
    "HiveScript": oldjobs.ProgramType.HIVE_SCRIPT,
    "DistCp": oldjobs.ProgramType.DIST_CP,
    "SparkScript": oldjobs.ProgramType.SPARK_SCRIPT,
}
"""Job types that V1.1 runs, with its numbers for them."""


def batch(job: requests.BatchJob) -> jobs.Batch:
    """
    Make the work of a job that V1.1 is to run.

    Raises:
        BadMessage: MRS's operation does not take it; names the field.
    """
    named = {name: value for name in old_jobs.FIELDS if (value := getattr(job, name)) is not None}
    try:
        oldjobs.JobProgram.model_validate({"job_type": TYPES[job.job_type], "job_name": job.job_name, **named})
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(["data", "job", *map(str, fault["loc"])])
        raise errors.BadMessage("bad_value", f"`{field}`: {fault['msg']}", field=field) from error
    return jobs.Batch(job.job_type, tuple(job.arguments), named)


def names_places(work: jobs.Work | None) -> bool:
    """Whether the job has places that MRS can name again when it has ended: what it wrote, and its log."""
    return isinstance(work, jobs.Batch) and not work.properties.keys().isdisjoint({"output", "job_log"})
