"""
Check a job against its job API, V1.1 or V2: rules between fields, each reported at its field. Pure.

Source: CreateAndExecuteJob (mrs_02_0040): types 4 and 7 (HiveSQL, Spark SQL) are not supported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mrs_relay import errors

if TYPE_CHECKING:
    from mrs_relay.messages.requests import jobs

TYPES: Final = ("MapReduce", "SparkSubmit", "HiveScript", "DistCp", "SparkScript")
"""Job types that V1.1 runs."""

FIELDS: Final = ("jar_path", "hive_script_path", "input", "output", "job_log", "file_action")
"""Fields of a job that V1.1 has and V2 has not."""

_JAR: Final = frozenset({"MapReduce", "SparkSubmit"})
_SCRIPT: Final = frozenset({"HiveScript", "SparkScript"})
_INSTEAD: Final = {"HiveSql": "HiveScript", "SparkSql": "SparkScript"}
_FORBIDDEN: Final = frozenset(";|&><'$")
"""Characters of `arguments` that all pages forbid."""


def check(request: jobs.JobSubmit) -> None:
    """
    Check that a job has only fields and values that its API accepts.

    Raises:
        BadMessage: names the first field that does not fit.
    """
    if request.api == "v1.1":
        _check_v11(request.job)
        return
    for name in request.job.model_fields_set.intersection(FIELDS):
        if getattr(request.job, name) is not None:
            raise _bad(name, 'is a field of V1.1; add `data.api`: "v1.1", or put it into `arguments` as V2 wants it')


def _check_v11(job: jobs.BatchJob) -> None:
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


def _check_program(job: jobs.BatchJob) -> None:
    if job.job_type in _JAR:
        _needed(job, "jar_path", ".jar")
    if job.job_type in _SCRIPT:
        _needed(job, "hive_script_path", ".sql")
    elif job.hive_script_path is not None:
        raise _bad("hive_script_path", f"is for {' and '.join(sorted(_SCRIPT))} only")


def _needed(job: jobs.BatchJob, name: str, ending: str) -> None:
    value = getattr(job, name)
    if value is None:
        raise _bad(name, f"is needed for {job.job_type} with V1.1", code="missing_field")
    if not value.lower().endswith(ending):
        raise _bad(name, f"must end with {ending} for {job.job_type}")


def _check_copy(job: jobs.BatchJob) -> None:
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
