"""Batch jobs: run one, delete the records of some."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import pydantic

from mrs_relay.messages.requests import base

JobType = Literal[
    "MapReduce", "SparkSubmit", "SparkPython", "HiveScript", "HiveSql", "DistCp", "SparkScript", "SparkSql", "Flink"
]

MAX_ARGUMENTS: Final = 150_000
"""Characters of all arguments together. Source: CreateExecuteJob, API reference page of 2025."""

MAX_PROPERTIES: Final = 2_048
"""Characters of all property names and values together. Source: CreateExecuteJob, the same page."""

_OldPath = Annotated[str, pydantic.Field(max_length=1023, pattern=r"^(/|s3a://|obs://)[^;|&><'$]*$")]


class BatchJob(base.Model):
    """The program that MRS runs: the body of CreateExecuteJob, or with `api` v1.1 that of CreateAndExecuteJob."""

    job_type: Annotated[
        JobType, pydantic.Field(description="With `api` v1.1: MapReduce, SparkSubmit, HiveScript, DistCp, SparkScript.")
    ]
    job_name: base.JobName = "job"
    arguments: Annotated[
        list[str],
        pydantic.Field(description="As MRS wants them for the job type. They come back in MRS queries: no secrets."),
    ] = pydantic.Field(default_factory=list)
    properties: Annotated[dict[str, str], pydantic.Field(description="MRS system parameters; `api` v2 only.")] = (
        pydantic.Field(default_factory=dict)
    )
    jar_path: Annotated[
        _OldPath | None,
        pydantic.Field(description="`api` v1.1: the program of MapReduce and SparkSubmit, ends with .jar."),
    ] = None
    hive_script_path: Annotated[
        _OldPath | None,
        pydantic.Field(description="`api` v1.1: the script of HiveScript and SparkScript, ends with .sql."),
    ] = None
    input: Annotated[_OldPath | None, pydantic.Field(description="`api` v1.1: where the job reads.")] = None
    output: Annotated[_OldPath | None, pydantic.Field(description="`api` v1.1: where the job writes.")] = None
    job_log: Annotated[_OldPath | None, pydantic.Field(description="`api` v1.1: folder for the job's log.")] = None
    file_action: Annotated[
        Literal["import", "export"] | None,
        pydantic.Field(description="`api` v1.1, DistCp: import from OBS to HDFS, or export from HDFS to OBS."),
    ] = None

    @pydantic.field_validator("arguments")
    @classmethod
    def _arguments_fit(cls, arguments: list[str]) -> list[str]:
        length = sum(map(len, arguments))
        if length > MAX_ARGUMENTS:
            raise ValueError(f"{length} characters in all; MRS takes {MAX_ARGUMENTS}")
        return arguments

    @pydantic.field_validator("properties")
    @classmethod
    def _properties_fit(cls, properties: dict[str, str]) -> dict[str, str]:
        length = sum(map(len, properties)) + sum(map(len, properties.values()))
        if length > MAX_PROPERTIES:
            raise ValueError(f"{length} characters in all; MRS takes {MAX_PROPERTIES}")
        return properties


class JobSubmit(base.Submission):
    """
    Run one batch job on a cluster.

    Answered by `mrs.job.*` events.
    """

    api: Annotated[
        base.Api,
        pydantic.Field(
            description="The job API of MRS that runs it: v1.1 is for clusters that are too old for v2, and takes "
            "other fields of `job`."
        ),
    ] = "v2"
    job: BatchJob


class JobDelete(base.Queued):
    """
    Delete the records of jobs from a cluster's job list on MRS.

    Answered by `mrs.job.*` events; deleting what is gone does no harm. V1.1 deletes one at a time, and stops a job that
    still runs.
    """

    cluster: base.ClusterId
    api: Annotated[base.Api, pydantic.Field(description="The job API that ran them; v1.1 takes one id.")] = "v2"
    job_ids: Annotated[
        list[Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]],
        pydantic.Field(min_length=1, max_length=100, description="MRS's ids of the jobs."),
    ]

    @pydantic.field_validator("job_ids")
    @classmethod
    def _one_for_v11(cls, job_ids: list[str], given: pydantic.ValidationInfo) -> list[str]:
        if given.data.get("api") == "v1.1" and len(job_ids) > 1:
            raise ValueError("V1.1 deletes one job at a time; send one request for each")
        return job_ids
