"""
The vendor's own SDK, unmodified, against the emulator: jobs of V1.1 and V2, SQL, and finding the project by itself.

It signs with AK/SK and is synchronous, so it runs in threads. What it cannot parse, no client of it could use.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkmrs import v1, v2
from huaweicloudsdkmrs.v2.region.mrs_region import MrsRegion
from tests.support import vendor_sdk

from mrs_emulator.core import faults, settings
from mrs_emulator.http import server

PACE = {"new_s": 0, "submitted_s": 0, "accepted_s": 0, "run_s": 0.1, "kill_s": 0}
KEY = vendor_sdk.KEY
SECRET = KEY.secret_key.get_secret_value()
PROJECT = vendor_sdk.PROJECT
CLUSTER = settings.Cluster().cluster_id
REGION = settings.Iam().region
EMPTY_JOB = "ffffffff-ffff-4fff-8fff-ffffffffffff"


class Vendor(vendor_sdk.Vendor):
    """The vendor's clients, with what these tests do again and again."""

    async def submitted(self, name: str = "etl", job_type: str = "SparkSubmit", **body: object) -> str:
        """Return id of a job submitted by V2."""
        job = v2.JobExecution(job_name=name, job_type=job_type, **body)
        reply = await self.ask(self.v2.create_execute_job, v2.CreateExecuteJobRequest(cluster_id=CLUSTER, body=job))
        assert (reply.status_code, reply.job_submit_result.state) == (202, "COMPLETE")
        return str(reply.job_submit_result.job_id)

    async def job(self, job_id: str) -> Any:
        """Return details of a job by V2."""
        request = v2.ShowSingleJobExeRequest(job_execution_id=job_id, cluster_id=CLUSTER)
        return (await self.ask(self.v2.show_single_job_exe, request)).job_detail

    async def ended(self, job_id: str) -> Any:
        """Return details of a job once it has ended."""
        async with asyncio.timeout(60):
            while (found := await self.job(job_id)).job_result == "UNDEFINED":
                await asyncio.sleep(0.02)
        return found

    async def statement(self, sql_id: str) -> Any:
        """Return a Presto statement once it has ended."""
        request = v2.ShowSqlResultRequest(cluster_id=CLUSTER, sql_id=sql_id)
        async with asyncio.timeout(60):
            while (found := await self.ask(self.v2.show_sql_result, request)).status not in {"FINISHED", "FAILED"}:
                await asyncio.sleep(0.02)
        return found

    async def executed(self, text: str, **body: object) -> Any:
        """Return the reply to ExecuteSql."""
        wanted = v2.SqlExecutionReq(sql_type="presto", sql_content=text, database="default", **body)
        return await self.ask(self.v2.execute_sql, v2.ExecuteSqlRequest(cluster_id=CLUSTER, body=wanted))


@asynccontextmanager
async def vendor(**changes: object) -> AsyncIterator[tuple[Vendor, server.Running]]:
    """Yield the vendor's clients at an emulator of their own."""
    chosen = settings.EmulatorSettings.model_validate({"port": 0, "pace": PACE, **changes})
    async with server.running(chosen) as live:
        yield Vendor(live.url), live


def old_job(**changes: object) -> v1.CreateAndExecuteJobRequest:
    """Return a submit-job request of V1.1."""
    fields = {"job_type": 1, "job_name": "old", "cluster_id": CLUSTER, "jar_path": "s3a://bucket/x.jar"} | changes
    return v1.CreateAndExecuteJobRequest(body=v1.SubmitJobReqV11(**fields))


async def test_v2_job_is_submitted_listed_read_and_deleted() -> None:
    """CreateExecuteJob, ShowJobExeListNew, ShowSingleJobExe, BatchDeleteJobs."""
    async with vendor() as (sdk, _):
        job_id = await sdk.submitted(arguments=["obs://bucket/x.jar"], properties={"a": "b"})
        found = await sdk.ended(job_id)
        assert (found.job_state, found.job_result, found.job_progress) == ("FINISHED", "SUCCEEDED", 100)
        assert (found.arguments, found.properties) == ("[obs://bucket/x.jar]", "{a=b}")
        request = v2.ShowJobExeListNewRequest(cluster_id=CLUSTER, job_name="etl", limit="5", offset="1", sort_by="desc")
        page = await sdk.ask(sdk.v2.show_job_exe_list_new, request)
        assert (page.total_record, [one.job_id for one in page.job_list]) == (1, [job_id])
        delete = v2.BatchDeleteJobsRequest(cluster_id=CLUSTER, body=v2.JobBatchDelete(job_id_list=[job_id]))
        assert (await sdk.ask(sdk.v2.batch_delete_jobs, delete)).status_code == 202
        gone = v2.ShowSingleJobExeRequest(job_execution_id=job_id, cluster_id=CLUSTER)
        assert await sdk.refused(sdk.v2.show_single_job_exe, gone) == (400, "0176")
        assert await sdk.refused(sdk.v2.batch_delete_jobs, delete) == (400, "0176")


async def test_v2_job_is_stopped() -> None:
    """StopJob has no body in its reply."""
    async with vendor() as (sdk, _):
        job_id = await sdk.submitted("stuck")
        stop = v2.StopJobRequest(job_execution_id=job_id, cluster_id=CLUSTER)
        assert (await sdk.ask(sdk.v2.stop_job, stop)).status_code == 202
        assert (await sdk.ended(job_id)).job_result == "KILLED"
        missing = v2.StopJobRequest(job_execution_id=EMPTY_JOB, cluster_id=CLUSTER)
        assert await sdk.refused(sdk.v2.stop_job, missing) == (400, "0176")


async def test_v2_refusals_keep_their_codes() -> None:
    """Unknown cluster in camelCase, invalid field, full cluster; a limit on a GET loses its code in the SDK."""
    limits = {"per_minute": {"StopJob": 1, "ShowSingleJobExe": 1}}
    async with vendor(clusters=[{"slots": 1}], limits=limits) as (sdk, _):
        job = v2.JobExecution(job_name="a", job_type="Flink")
        other = v2.CreateExecuteJobRequest(cluster_id="nothing", body=job)
        assert await sdk.refused(sdk.v2.create_execute_job, other) == (400, "12000003")

        named = v2.CreateExecuteJobRequest(CLUSTER, v2.JobExecution(job_name="a b", job_type="Flink"))
        assert await sdk.refused(sdk.v2.create_execute_job, named) == (400, "12000002")

        job_id = await sdk.submitted("stuck")
        full = v2.CreateExecuteJobRequest(CLUSTER, job)
        assert await sdk.refused(sdk.v2.create_execute_job, full) == (400, "0177")

        stop = v2.StopJobRequest(job_execution_id=job_id, cluster_id=CLUSTER)
        await sdk.ask(sdk.v2.stop_job, stop)
        assert await sdk.refused(sdk.v2.stop_job, stop) == (429, "APIGW.0308")

        await sdk.job(job_id)
        show = v2.ShowSingleJobExeRequest(job_execution_id=job_id, cluster_id=CLUSTER)
        assert await sdk.refused(sdk.v2.show_single_job_exe, show) == (429, "429")


async def test_spark_sql_rows_are_read() -> None:
    """ShowSqlResultWithJob."""
    async with vendor() as (sdk, _):
        job_id = await sdk.submitted("rows", "SparkSql", arguments=["CREATE TABLE t AS SELECT 7 AS n; SELECT n FROM t"])
        await sdk.ended(job_id)
        request = v2.ShowSqlResultWithJobRequest(cluster_id=CLUSTER, job_execution_id=job_id)
        found = await sdk.ask(sdk.v2.show_sql_result_with_job, request)
        assert found.status_code == 202
        assert found.sql_results == {"0": [{"result": "succeed"}], "1": [{"n": 7}]}
        other = await sdk.submitted("rows", "Flink")
        wrong = v2.ShowSqlResultWithJobRequest(cluster_id=CLUSTER, job_execution_id=other)
        assert await sdk.refused(sdk.v2.show_sql_result_with_job, wrong) == (400, "0179")


async def test_presto_statement_is_run_polled_and_cancelled(tmp_path: Path) -> None:
    """ExecuteSql, ShowSqlResult, CancelSql; the SDK has no code for MRS.0011 and gives the body instead."""
    async with vendor(obs_dir=tmp_path) as (sdk, _):
        made = await sdk.executed("CREATE TABLE t AS SELECT 7 AS n")
        assert (made.id, made.status) == ("", "FINISHED")

        shown = await sdk.executed("SHOW TABLES")
        assert shown.content == [["t"]]

        select = await sdk.executed("SELECT n FROM t", archive_path="obs://bucket/out")
        found = await sdk.statement(select.id)
        place = tmp_path / found.result_location.removeprefix("obs://")

        assert (found.status, place.read_text()) == ("FINISHED", "n\n7\n")

        broken = await sdk.statement((await sdk.executed("SELECT nope FROM t")).id)
        assert (broken.status, broken.message) == ("FAILED", "line 1:8: Column 'nope' cannot be resolved")

        cancel = v2.CancelSqlRequest(cluster_id=CLUSTER, sql_id=select.id)
        assert (await sdk.ask(sdk.v2.cancel_sql, cancel)).status == "SUCCEED"

        missing = v2.CancelSqlRequest(cluster_id=CLUSTER, sql_id="20261123_000000_00001_xxxxx")
        assert (await sdk.refused(sdk.v2.cancel_sql, missing))[0] == 400

        wanted = v2.SqlExecutionReq(sql_type="presto", sql_content="SELECT 1;", database="default")
        request = v2.ExecuteSqlRequest(cluster_id=CLUSTER, body=wanted)
        assert await sdk.refused(sdk.v2.execute_sql, request) == (400, "400")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_v11_job_is_submitted_listed_read_and_deleted() -> None:
    """The four operations of V1.1 that the SDK has; they are deprecated and work."""
    async with vendor(v11={"flat_submit_reply": True}) as (sdk, _):
        made = await sdk.ask(sdk.v1.create_and_execute_job, old_job())
        assert (made.status_code, made.job_name, made.job_final_status) == (200, "old", 0)
        await sdk.ended(made.id)
        shown = (await sdk.ask(sdk.v1.show_job_exes, v1.ShowJobExesRequest(job_exe_id=made.id))).job_execution
        assert (shown.job_state, shown.job_final_status, shown.job_type) == (3, 2, 1)
        request = v1.ListExecuteJobRequest(cluster_id=CLUSTER, page_size="10", current_page="1", state="3")
        page = await sdk.ask(sdk.v1.list_execute_job, request)
        assert (page.total_record, [one.id for one in page.job_executions]) == (1, [made.id])
        delete = v1.DeleteJobExecutionRequest(job_execution_id=made.id)
        assert (await sdk.ask(sdk.v1.delete_job_execution, delete)).status_code == 204
        gone = v1.ShowJobExesRequest(job_exe_id=made.id)
        assert await sdk.refused(sdk.v1.show_job_exes, gone) == (400, "0176")
        assert await sdk.refused(sdk.v1.create_and_execute_job, old_job(cluster_id="x")) == (400, "12000003")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_documented_envelope_leaves_the_sdk_object_empty() -> None:
    """The SDK's model of submit-job is flat, the documented body is not; the job exists all the same."""
    async with vendor() as (sdk, live):
        made = await sdk.ask(sdk.v1.create_and_execute_job, old_job())
        assert (made.status_code, made.id) == (200, None)
        assert [one.name for one in live.emulator.effects()] == ["old"]


async def test_sdk_finds_the_project_by_itself_at_the_iam_endpoint_it_is_given() -> None:
    """Credentials without a project, a region by name, and `with_iam_endpoint`: GET /v3/projects, signed."""
    async with vendor() as (sdk, _):
        pair = BasicCredentials(KEY.access_key, SECRET).with_iam_endpoint(sdk.url)
        builder = v2.MrsClient.new_builder().with_credentials(pair).with_region(Region(REGION, sdk.url))
        pair._CACHE.clear()  # the SDK keeps found projects for the whole process
        client = await asyncio.to_thread(builder.build)
        page = await sdk.ask(client.show_job_exe_list_new, v2.ShowJobExeListNewRequest(cluster_id=CLUSTER))
        assert page.total_record == 0


async def test_sdk_finds_endpoints_and_project_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """HUAWEICLOUD_SDK_IAM_ENDPOINT and HUAWEICLOUD_SDK_REGION_MRS_…: no line of a program changes."""
    async with vendor() as (sdk, _):
        monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", sdk.url)
        monkeypatch.setenv(f"HUAWEICLOUD_SDK_REGION_MRS_{REGION.replace('-', '_').upper()}", sdk.url)
        pair = BasicCredentials(KEY.access_key, SECRET)
        pair._CACHE.clear()
        region = MrsRegion.value_of(REGION)
        assert region.endpoints == [sdk.url]
        client = await asyncio.to_thread(v2.MrsClient.new_builder().with_credentials(pair).with_region(region).build)
        page = await sdk.ask(client.show_job_exe_list_new, v2.ShowJobExeListNewRequest(cluster_id=CLUSTER))
        assert page.total_record == 0


async def test_region_that_iam_does_not_know_is_named_by_the_sdk() -> None:
    """No project of that name: the SDK says what to do, and shows IAM's trace id."""
    async with vendor() as (sdk, _):
        pair = BasicCredentials(KEY.access_key, SECRET).with_iam_endpoint(sdk.url)
        builder = v2.MrsClient.new_builder().with_credentials(pair).with_region(Region("eu-west-101", sdk.url))
        with pytest.raises(exceptions.SdkException, match="X-IAM-Trace-Id=token_cn-north-4"):
            await asyncio.to_thread(builder.build)


async def test_temporary_key_of_iam_signs_sdk_calls() -> None:
    """Token by password, key by token, then the SDK with AK, SK and security token; a wrong one is refused."""
    user = settings.IamUser()
    who = {"name": user.name, "password": user.password.get_secret_value(), "domain": {"name": user.domain}}
    identity = {"methods": ["password"], "password": {"user": who}}
    scope = {"project": {"name": REGION}}

    async with vendor() as (sdk, _), aiohttp.ClientSession(sdk.url) as session:
        async with session.post("/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}}) as reply:
            headers = {"X-Auth-Token": reply.headers["X-Subject-Token"]}
        order = {"auth": {"identity": {"methods": ["token"], "token": {"duration_seconds": 900}}}}
        async with session.post("/v3.0/OS-CREDENTIAL/securitytokens", json=order, headers=headers) as reply:
            found = (await reply.json())["credential"]
        for text, status in ((found["securitytoken"], 202), ("wrong", 401)):
            pair = BasicCredentials(found["access"], found["secret"], PROJECT).with_security_token(text)
            client = Vendor(sdk.url, pair)
            request = v2.ShowJobExeListNewRequest(cluster_id=CLUSTER)
            if status == 401:
                assert await client.refused(client.v2.show_job_exe_list_new, request) == (401, "APIGW.0301")
            else:
                assert (await client.ask(client.v2.show_job_exe_list_new, request)).status_code == status


@pytest.mark.parametrize("action", [faults.Action.HALF_BODY, faults.Action.DROP_AFTER])
async def test_broken_reply_is_an_error_of_the_sdk_and_the_job_exists(action: faults.Action) -> None:
    """It never takes half an answer for one."""
    async with vendor() as (sdk, live):
        live.emulator.add_faults(faults.Fault(action=action, operation="CreateExecuteJob"))
        request = v2.CreateExecuteJobRequest(CLUSTER, v2.JobExecution(job_name="a", job_type="Flink"))
        with pytest.raises(Exception):  # noqa: B017, PT011 - the SDK has no one class for it
            await sdk.ask(sdk.v2.create_execute_job, request)
        assert len(live.emulator.effects()) == 1
