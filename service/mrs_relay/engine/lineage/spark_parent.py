"""
Add the run of an attempt to the arguments of a Spark program, so that what Spark reports is linked to it. Pure.

Spark's OpenLineage listener reads the run from its configuration, which `spark-submit` takes as `--conf` before the
program. It is part of the intent in the ledger: what is sent can be read there.

Source: OpenLineage, Spark integration, `spark.openlineage.parentRunId`, `parentJobName`, `parentJobNamespace`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine.lineage import run_names
from mrs_relay.engine.model import jobs
from mrs_relay.messages.requests import jobs as requests

_PROGRAMS: Final = frozenset({"SparkSubmit", "SparkPython"})
_OPTION: Final = "spark.openlineage.parent"
_LENGTH: Final = 6
"""Number of the arguments that are added: three options of two words each."""


def added(job: jobs.Job, namespace: str) -> jobs.Job:
    """
    Return the job with its present attempt as the parent run of its Spark program.

    Other work is left alone, and so is a program that names a parent of its own or has no room for one.
    """
    work = job.work
    if job.api != "v2" or not isinstance(work, jobs.Batch) or work.job_type not in _PROGRAMS:
        return job

    own = work.arguments
    # An earlier attempt, or the same one before a repetition, has added its own.
    attempts = (msgspec.structs.replace(job, attempt=number) for number in range(1, job.attempt + 1))
    if any(own[:_LENGTH] == _options(one, namespace) for one in attempts):
        own = own[_LENGTH:]
    if any(_OPTION in one for one in own):
        return job

    arguments = (*_options(job, namespace), *own)
    if sum(map(len, arguments)) > requests.MAX_ARGUMENTS:
        return job
    return msgspec.structs.replace(job, work=msgspec.structs.replace(work, arguments=arguments))


def _options(job: jobs.Job, namespace: str) -> tuple[str, ...]:
    values = {"RunId": run_names.run_id(job), "JobNamespace": namespace, "JobName": run_names.job_name(job)}
    return tuple(word for name, value in values.items() for word in ("--conf", f"{_OPTION}{name}={value}"))
