"""Scenarios of the operations of V1.1: data sources, job binaries and jobs; see `scenarios`."""

from __future__ import annotations

from typing import Final

import pytest
from tests.support import emulated, scenarios

from mrs_relay import errors
from mrs_relay.mrs.models import jobs_v11

OLD_JOB: Final = {
    "job_type": 1,
    "job_name": "sessionize",
    "cluster_id": emulated.CLUSTER,
    "jar_path": "s3a://demo/sessionize.jar",
    "arguments": "sessionize",
}

# --- V1.1 data sources and job binaries ---


async def _source(mrs: emulated.Pair, name: str = "clicks") -> str:
    reply = await mrs.call("CreateDataSource", body={"name": name, "url": f"/data/{name}", "type": "hdfs"})
    found = reply.data_source.id
    assert isinstance(found, str)
    return found


async def _binary(mrs: emulated.Pair, name: str = "sessionize") -> str:
    body = {"name": name, "url": f"s3a://demo/{name}.jar", "description": "builds sessions"}
    found = (await mrs.call("CreateJobBinary", body=body)).job_binary.id
    assert isinstance(found, str)
    return found


@scenarios.scenario("CreateDataSource")
async def _create_source(mrs: emulated.Pair) -> None:
    assert await _source(mrs)


@scenarios.scenario("UpdateDataSource")
async def _update_source(mrs: emulated.Pair) -> None:
    at = {"data_source_id": await _source(mrs)}
    body = {"type": "hdfs", "name": "clicks-2", "url": "/data/2"}
    changed = (await mrs.call("UpdateDataSource", at, body=body)).data_source
    assert (changed.name, changed.url) == ("clicks-2", "/data/2")
    assert changed.updated_at


@scenarios.scenario("ListDataSources")
async def _list_sources(mrs: emulated.Pair) -> None:
    ids = [await _source(mrs, name) for name in ("a", "b", "c")]
    page = await mrs.call("ListDataSources", query={"limit": 2, "sort_by": "name"})
    assert [one.id for one in page.data_sources] == ids[:2]
    rest = await mrs.call("ListDataSources", query={"limit": 2, "sort_by": "name", "marker": ids[1]})
    assert [one.id for one in rest.data_sources] == ids[2:]


@scenarios.scenario("ShowDataSource")
async def _show_source(mrs: emulated.Pair) -> None:
    shown = await mrs.call("ShowDataSource", {"data_source_id": await _source(mrs)})
    assert (shown.data_source.name, shown.data_source.type) == ("clicks", "hdfs")


@scenarios.scenario("DeleteDataSource")
async def _delete_source(mrs: emulated.Pair) -> None:
    at = {"data_source_id": await _source(mrs)}
    await mrs.call("DeleteDataSource", at)
    with pytest.raises(errors.MrsRefused):
        await mrs.call("ShowDataSource", at)


@scenarios.scenario("CreateJobBinary")
async def _create_binary(mrs: emulated.Pair) -> None:
    assert await _binary(mrs)


@scenarios.scenario("UpdateJobBinary")
async def _update_binary(mrs: emulated.Pair) -> None:
    at = {"job_binary_id": await _binary(mrs)}
    changed = (await mrs.call("UpdateJobBinary", at, body={"description": "with UTC"})).job_binary
    assert (changed.name, changed.description) == ("sessionize", "with UTC")


@scenarios.scenario("ListJobBinaries")
async def _list_binaries(mrs: emulated.Pair) -> None:
    ids = [await _binary(mrs, name) for name in ("a", "b")]
    page = await mrs.call("ListJobBinaries", query={"sort_by": "-name"})
    assert [one.id for one in page.binaries] == ids[::-1]


@scenarios.scenario("ShowJobBinary")
async def _show_binary(mrs: emulated.Pair) -> None:
    shown = await mrs.call("ShowJobBinary", {"job_binary_id": await _binary(mrs)})
    assert shown.job_binary.url == "s3a://demo/sessionize.jar"


@scenarios.scenario("DeleteJobBinary")
async def _delete_binary(mrs: emulated.Pair) -> None:
    at = {"job_binary_id": await _binary(mrs)}
    await mrs.call("DeleteJobBinary", at)
    with pytest.raises(errors.MrsRefused):
        await mrs.call("ShowJobBinary", at)


# --- V1.1 jobs ---


async def _old_job(mrs: emulated.Pair) -> jobs_v11.JobV11:
    reply: jobs_v11.JobReplyV11 = await mrs.call("CreateAndExecuteJob", body=OLD_JOB)
    return reply.job_execution


async def _stored(mrs: emulated.Pair) -> dict[str, str]:
    body = {"name": "daily", "type": "MapReduce", "libs": [await _binary(mrs)]}
    return {"job_id": (await mrs.call("CreateJob", body=body)).job.id}


async def _executed(mrs: emulated.Pair) -> dict[str, str]:
    at = await _stored(mrs)
    body = {
        "cluster_id": emulated.CLUSTER,
        "input_id": await _source(mrs, "in"),
        "output_id": await _source(mrs, "out"),
        "job_configs": {"args": ["sessionize"]},
    }
    return {"job_execution_id": (await mrs.call("ExecuteJob", at, body=body)).job_execution.id}


@scenarios.scenario("CreateAndExecuteJob")
async def _submit_old(mrs: emulated.Pair) -> None:
    job = await _old_job(mrs)
    assert (job.job_name, job.ended, job.job_final_status) == ("sessionize", False, jobs_v11.FinalStatus.UNFINISHED)


@scenarios.scenario("ShowJobExes")
async def _show_old(mrs: emulated.Pair) -> None:
    job = await _old_job(mrs)
    mrs.clock.pass_s(60)
    shown = (await mrs.call("ShowJobExes", {"job_exe_id": job.id})).job_execution
    assert (shown.job_state, shown.job_final_status) == (jobs_v11.StateV11.COMPLETED, jobs_v11.FinalStatus.SUCCEEDED)


@scenarios.scenario("ListExecuteJob")
async def _list_old(mrs: emulated.Pair) -> None:
    job = await _old_job(mrs)
    page = await mrs.call("ListExecuteJob", query={"cluster_id": emulated.CLUSTER, "page_size": 10})
    assert (page.total_record, [one.id for one in page.job_executions]) == (1, [job.id])


@scenarios.scenario("CreateJob")
async def _store(mrs: emulated.Pair) -> None:
    at = await _stored(mrs)
    assert (await mrs.call("ShowJob", at)).job.libs[0].name == "sessionize"


@scenarios.scenario("UpdateJob")
async def _update_job(mrs: emulated.Pair) -> None:
    changed = (await mrs.call("UpdateJob", await _stored(mrs), body={"name": "daily-2"})).job
    assert changed.name == "daily-2"


@scenarios.scenario("ListJobs")
async def _list_stored(mrs: emulated.Pair) -> None:
    at = await _stored(mrs)
    assert [one.id for one in (await mrs.call("ListJobs", query={"limit": 10})).jobs] == [at["job_id"]]


@scenarios.scenario("ShowJob")
async def _show_stored(mrs: emulated.Pair) -> None:
    assert (await mrs.call("ShowJob", await _stored(mrs))).job.type == "MapReduce"


@scenarios.scenario("DeleteJob")
async def _delete_stored(mrs: emulated.Pair) -> None:
    at = await _stored(mrs)
    await mrs.call("DeleteJob", at)
    with pytest.raises(errors.MrsRefused):
        await mrs.call("ShowJob", at)


@scenarios.scenario("ExecuteJob")
async def _execute(mrs: emulated.Pair) -> None:
    at = await _executed(mrs)
    mrs.clock.pass_s(60)
    assert (await mrs.call("ShowJobExecution", at)).job_execution.ended


@scenarios.scenario("ListJobExecutions")
async def _list_executions(mrs: emulated.Pair) -> None:
    at = await _executed(mrs)
    page = await mrs.call("ListJobExecutions", query={"limit": 5, "sort_by": "id"})
    assert [one.id for one in page.job_executions] == [at["job_execution_id"]]


@scenarios.scenario("ShowJobExecution")
async def _show_execution(mrs: emulated.Pair) -> None:
    assert not (await mrs.call("ShowJobExecution", await _executed(mrs))).job_execution.ended


@scenarios.scenario("CancelJobExecution")
async def _cancel_execution(mrs: emulated.Pair) -> None:
    at = await _executed(mrs)
    mrs.clock.pass_s(2)
    await mrs.call("CancelJobExecution", at)
    mrs.clock.pass_s(2)
    assert (await mrs.call("ShowJobExecution", at)).job_execution.ended


@scenarios.scenario("DeleteJobExecution")
async def _delete_execution(mrs: emulated.Pair) -> None:
    job = await _old_job(mrs)
    mrs.clock.pass_s(60)
    await mrs.call("DeleteJobExecution", {"job_execution_id": job.id})
    with pytest.raises(errors.MrsRefused):
        await mrs.call("ShowJobExes", {"job_exe_id": job.id})


ALL: Final = scenarios.SCENARIOS
"""The scenarios of all operations: an import of this module adds those of V1.1."""
