"""
OpenStack's Sahara client, unmodified, against the emulator: data sources, job binaries, stored jobs and their runs.

V1.1 of MRS inherits these calls from Sahara, and the vendor's own SDK lacks them. It logs in with a password and is
synchronous, so it runs in threads. Each test names the operations that it plays; they count only if the emulator has
answered each with success.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from keystoneauth1 import session
from keystoneauth1.identity import v3
from saharaclient.api import base
from saharaclient.api import client as sahara

from mrs_emulator.core import settings, wire
from mrs_emulator.http import server

_PACE = {"new_s": 0, "submitted_s": 0, "accepted_s": 0, "run_s": 0.1, "kill_s": 0}
_USER = settings.Iam().users[0]
_PROJECT = settings.EmulatorSettings().project_id
_CLUSTER = settings.Cluster().cluster_id


async def _ask(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(call, *arguments, **named)


@asynccontextmanager
async def _client(*plays: str, **changes: Any) -> AsyncIterator[sahara.Client]:
    """Yield the client, logged in at an emulator of its own that in the end has seen all of `plays` succeed."""
    chosen = settings.EmulatorSettings.model_validate({"port": 0, "pace": _PACE, **changes})
    async with server.running(chosen) as live:
        login = v3.Password(
            auth_url=f"{live.url}/v3",
            username=_USER.name,
            password=_USER.password.get_secret_value(),
            user_domain_name=_USER.domain,
            project_id=_PROJECT,
        )
        opened = session.Session(auth=login)
        try:
            yield sahara.Client(session=opened, sahara_url=f"{live.url}/v1.1/{_PROJECT}")
            assert set(plays) <= await _succeeded(live)
        finally:
            opened.session.close()


async def _succeeded(live: server.Running) -> set[str]:
    reply = await live.emulator.handle(wire.Request.of("GET", "/emulator/overview", {}, b""))
    return {one["operation"] for one in reply.json()["requests"] if one["status"] in range(200, 300)}


async def _refused(call: Callable[..., Any], *arguments: Any) -> str:
    """Return the code of a refusal, as the client reads it."""
    with pytest.raises(base.APIException) as caught:
        await _ask(call, *arguments)
    return str(caught.value.error_code)


async def _library(sdk: sahara.Client) -> Any:
    return await _ask(sdk.job_binaries.create, "etl", "/libs/etl.jar", "first", is_public=False, is_protected=False)


async def test_data_source_is_created_changed_listed_read_and_deleted() -> None:
    """What it sends and reads is what MRS's pages show, the type in an update included."""
    async with _client(
        "CreateDataSource", "UpdateDataSource", "ListDataSources", "ShowDataSource", "DeleteDataSource"
    ) as sdk:
        made = await _ask(sdk.data_sources.create, "in", "raw events", "hdfs", "/data/in")
        assert (made.name, made.type, made.url) == ("in", "hdfs", "/data/in")
        await _ask(sdk.data_sources.update, made.id, {"name": "raw", "type": "hdfs", "url": "/data/raw"})
        assert [one.name for one in await _ask(sdk.data_sources.list)] == ["raw"]
        assert (await _ask(sdk.data_sources.get, made.id)).url == "/data/raw"
        await _ask(sdk.data_sources.delete, made.id)
        assert await _ask(sdk.data_sources.list) == []
        assert await _refused(sdk.data_sources.get, made.id) == "12000002"


async def test_job_binary_is_created_changed_listed_read_and_deleted() -> None:
    """What it sends and reads is what MRS's pages show."""
    async with _client(
        "CreateJobBinary", "UpdateJobBinary", "ListJobBinaries", "ShowJobBinary", "DeleteJobBinary"
    ) as sdk:
        made = await _library(sdk)
        assert (made.name, made.url) == ("etl", "/libs/etl.jar")
        await _ask(sdk.job_binaries.update, made.id, {"description": "second"})
        assert [one.description for one in await _ask(sdk.job_binaries.list)] == ["second"]
        assert (await _ask(sdk.job_binaries.get, made.id)).id == made.id
        await _ask(sdk.job_binaries.delete, made.id)
        assert await _refused(sdk.job_binaries.get, made.id) == "12000002"


async def test_stored_job_is_created_changed_listed_read_and_deleted() -> None:
    """It changes by PATCH as MRS wants, and reads what comes back."""
    async with _client("CreateJob", "UpdateJob", "ListJobs", "ShowJob", "DeleteJob") as sdk:
        library = await _library(sdk)
        made = await _ask(sdk.jobs.create, "nightly", "MapReduce", libs=[library.id], mains=[], description="sums")
        assert (made.name, made.type) == ("nightly", "MapReduce")
        await _ask(sdk.jobs.update, made.id, name="hourly")
        assert [one.name for one in await _ask(sdk.jobs.list)] == ["hourly"]
        assert (await _ask(sdk.jobs.get, made.id)).description == "sums"
        await _ask(sdk.jobs.delete, made.id)
        assert await _ask(sdk.jobs.list) == []


async def test_stored_job_is_executed_followed_to_its_end_and_its_run_deleted() -> None:
    """Its polling for the end of a run works; cancelling one it has no method for."""
    async with _client("ExecuteJob", "ListJobExecutions", "ShowJobExecution", "DeleteJobExecution") as sdk:
        library = await _library(sdk)
        job = await _ask(sdk.jobs.create, "nightly", "MapReduce", libs=[library.id], mains=[], description="")
        ends = [await _ask(sdk.data_sources.create, name, "", "hdfs", f"/data/{name}") for name in ("in", "out")]

        run = await _ask(
            sdk.job_executions.create,
            job.id,
            _CLUSTER,
            *(end.id for end in ends),
            configs={"configs": {}, "args": ["sum"]},
            is_public=False,
            is_protected=False,
        )

        assert (run.job_id, run.cluster_id) == (job.id, _CLUSTER)
        assert run.id in [one.id for one in await _ask(sdk.job_executions.list)]
        assert (await _ask(sdk.job_executions.get, run.id)).job_id == job.id

        async with asyncio.timeout(60):
            while not (found := await _ask(sdk.job_executions.get, run.id)).end_time:
                await asyncio.sleep(0.05)

        assert found.job_id == job.id

        await _ask(sdk.job_executions.delete, run.id)
        assert await _refused(sdk.job_executions.get, run.id) == "0176"
