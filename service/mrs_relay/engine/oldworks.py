"""
What V1.1's job API takes of a request, and what V2's does not. Pure, beside `works`.

Each rule names the field that breaks it, so that a request that MRS could never take is rejected at once.

Source: CreateAndExecuteJob (mrs_02_0040): types 4 and 7 (HiveSQL, Spark SQL) are not supported.
"""

from __future__ import annotations

from typing import Final

import pydantic

from mrs_relay import errors
from mrs_relay.engine import jobs
from mrs_relay.messages import requests
from mrs_relay.mrs.models import oldjobs

TYPES: Final = {
    "MapReduce": oldjobs.ProgramType.MAP_REDUCE,
    "SparkSubmit": oldjobs.ProgramType.SPARK,
    "HiveScript": oldjobs.ProgramType.HIVE_SCRIPT,
    "DistCp": oldjobs.ProgramType.DIST_CP,
    "SparkScript": oldjobs.ProgramType.SPARK_SCRIPT,
}
"""Job types of requests that V1.1 runs, with its numbers for them."""

_FIELDS: Final = ("jar_path", "hive_script_path", "input", "output", "job_log", "file_action")
_JAR: Final = frozenset({"MapReduce", "SparkSubmit"})
_SCRIPT: Final = frozenset({"HiveScript", "SparkScript"})
_INSTEAD: Final = {"HiveSql": "HiveScript", "SparkSql": "SparkScript"}
_FORBIDDEN: Final = frozenset(";|&><'$")
"""Characters of `arguments` that all pages forbid."""


def batch(job: requests.BatchJob) -> jobs.Batch:
    """
    Make the work of a job that V1.1 is to run.

    Raises:
        BadMessage: V1.1 does not take it; names the field.
    """
    _check(job)
    named = {name: value for name in _FIELDS if (value := getattr(job, name)) is not None}
    try:
        oldjobs.JobProgram.model_validate({"job_type": TYPES[job.job_type], "job_name": job.job_name, **named})
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(["data", "job", *map(str, fault["loc"])])
        raise errors.BadMessage("bad_value", f"`{field}`: {fault['msg']}", field=field) from error
    return jobs.Batch(job.job_type, tuple(job.arguments), named)


def check_v2(job: requests.BatchJob) -> None:
    """
    See that a job for V2 has none of V1.1's fields.

    Raises:
        BadMessage: it has one, which V2 would not be sent.
    """
    for name in _FIELDS:
        if getattr(job, name) is not None:
            raise _bad(name, 'is a field of V1.1; add `data.api`: "v1.1", or put it into `arguments` as V2 wants it')


def names_places(work: jobs.Work | None) -> bool:
    """Whether the job has places that MRS can name again when it has ended: what it wrote, and its log."""
    return isinstance(work, jobs.Batch) and not work.properties.keys().isdisjoint({"output", "job_log"})


def _check(job: requests.BatchJob) -> None:
    if job.job_type not in TYPES:
        hint = f"; put the SQL into a file and use {_INSTEAD[job.job_type]}" if job.job_type in _INSTEAD else ""
        raise _bad("job_type", f"V1.1 does not run {job.job_type} jobs, it runs {', '.join(TYPES)}{hint}")
    if job.properties:
        raise _bad("properties", "V1.1 takes none; leave them out")
    for argument in job.arguments:
        if not argument or any(map(str.isspace, argument)):
            raise _bad("arguments", "V1.1 takes one text and splits it at blanks: no argument may be empty or hold one")
        if not _FORBIDDEN.isdisjoint(argument):
            raise _bad("arguments", "must not contain ; | & > < ' or $ with V1.1")
    _check_program(job)
    if job.job_type == "DistCp":
        _check_copy(job)
    elif job.file_action is not None:
        raise _bad("file_action", "is for DistCp only")


def _check_program(job: requests.BatchJob) -> None:
    if job.job_type in _JAR:
        _needed(job, "jar_path", ".jar")
    if job.job_type in _SCRIPT:
        _needed(job, "hive_script_path", ".sql")
    elif job.hive_script_path is not None:
        raise _bad("hive_script_path", f"is for {' and '.join(sorted(_SCRIPT))} only")


def _needed(job: requests.BatchJob, name: str, ending: str) -> None:
    value = getattr(job, name)
    if value is None:
        raise _bad(name, f"is needed for {job.job_type} with V1.1", code="missing_field")
    if not value.lower().endswith(ending):
        raise _bad(name, f"must end with {ending} for {job.job_type}")


def _check_copy(job: requests.BatchJob) -> None:
    for name in ("file_action", "input", "output"):
        if getattr(job, name) is None:
            raise _bad(name, "is needed for DistCp with V1.1", code="missing_field")
    on_hdfs = "output" if job.file_action == "import" else "input"
    for name in ("input", "output"):
        if str(getattr(job, name)).startswith("/") is not (name == on_hdfs):
            kind = "a path of HDFS (/…)" if name == on_hdfs else "a path of OBS (s3a://…)"
            raise _bad(name, f"must be {kind} for file_action {job.file_action}")


def _bad(name: str, text: str, *, code: str = "bad_value") -> errors.BadMessage:
    field = f"data.job.{name}"
    return errors.BadMessage(code, f"`{field}`: {text}", field=field)
