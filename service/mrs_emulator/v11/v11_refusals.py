"""
Refusals of V1.1 jobs and data.

No page of these operations lists its codes, so they are matched by the message texts of the shared tables. Not
documented and chosen here: unknown data sources, binaries and job objects are 12000002, unknown runs 0176; what is in
use is 12000054.

Source: error code tables of the API reference (2021 to 2025, Open Telekom Cloud); V1.1 contract, missing objects.
"""

from __future__ import annotations

from collections.abc import Mapping

from mrs_emulator.core import refusals

_TEXTS: Mapping[str, tuple[int, str]] = {
    "12000054": (400, "The operation is not supported: {why}."),
    "12000060": (500, "The number of jobs running in each cluster cannot exceed {slots}."),
    "12000061": (400, "Failed to submit the job (cluster ID: {cluster}, job name: {name}, job ID: {job})."),
    "12000062": (400, "Jobs cannot be submitted because the cluster is in the {state} state."),
    "12000063": (400, "Spark jobs cannot be submitted."),
    "12000064": (400, "A security cluster cannot be used for submitting or querying jobs through this API."),
    "12000068": (500, "mains cannot be empty if the job type is Hive or SparkScript."),
    "12000069": (500, "libs cannot be empty if the job type is MapReduce or Spark."),
    "12000081": (400, "jar_path cannot be empty if the job type is MapReduce or Spark."),
    "12000085": (400, "This API does not support the cluster version. Use the V2 API job-executions."),
    "12000086": (400, "Paths starting with s3a, s3n or s3 are not supported by this cluster version. Use obs."),
    "12000113": (400, "jar_path cannot be empty if the job type is MapReduce or Spark."),
    "12000114": (400, "hive_script_path cannot be empty if the job type is Hive or SparkScript."),
}


def coded(code: str, **facts: object) -> refusals.Refusal:
    """Return the refusal with one of the codes that V1.1 jobs know."""
    status, text = _TEXTS[code]
    return refusals.Refusal(status, {"error_code": code, "error_msg": text.format(**facts)})


def unknown(what: str, status: int) -> refusals.Refusal:
    """Report that there is no such data source, binary or job object; the status is a matter of settings."""
    return refusals.Refusal(status, {"error_code": "12000002", "error_msg": f"The {what} does not exist."})


def unknown_run(status: int) -> refusals.Refusal:
    """Report that there is no such run of a job."""
    return refusals.Refusal(status, {"error_code": "0176", "error_msg": "The job does not exist."})
