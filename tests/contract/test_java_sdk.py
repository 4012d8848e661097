"""
The vendor's former Java SDK (openstack4j 1.0.26), unmodified, against the emulator: the rows and runs of V1.1.

The present SDKs lack these calls. It logs in with a password: with a key pair it signs in an older form, with a scope,
that no page of MRS describes and that the emulator does not know.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from tests.support import java_sdk

from mrs_emulator.core import settings, wire
from mrs_emulator.http import server

_PACE = {"new_s": 0, "submitted_s": 0, "accepted_s": 0, "run_s": 60, "kill_s": 0}
_USER = settings.Iam().users[0]
_LOGIN = {
    "USER_NAME": _USER.name,
    "PASSWORD": _USER.password.get_secret_value(),
    "ACCOUNT": _USER.domain or settings.Iam().domain,
    "PROJECT": settings.EmulatorSettings().project_id,
    "CLUSTER": settings.Cluster().cluster_id,
}
_PLAYED = {
    *("CreateDataSource", "UpdateDataSource", "ListDataSources", "ShowDataSource", "DeleteDataSource"),
    *("CreateJobBinary", "UpdateJobBinary", "ListJobBinaries", "ShowJobBinary", "DeleteJobBinary"),
    *("CreateJob", "UpdateJob", "ListJobs", "ShowJob", "DeleteJob"),
    *("ExecuteJob", "ListJobExecutions", "ShowJobExecution", "CancelJobExecution", "DeleteJobExecution"),
}


async def _reported(url: str) -> dict[str, Any]:
    """Return what the client saw, in a process of its own."""
    home, libs = java_sdk.require()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(java_sdk.PROGRAM), str(libs), url),
        env={**os.environ, **_LOGIN, "JAVA_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    try:
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert process.returncode == 0, errors.decode()

    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


async def test_rows_and_runs_live_their_whole_life() -> None:
    """What the SDK makes it reads back, changes, runs, cancels and deletes, and the emulator has seen each succeed."""
    chosen = settings.EmulatorSettings.model_validate({"port": 0, "pace": _PACE})
    async with server.running(chosen) as live:
        reported = await _reported(live.url)
        seen = await live.emulator.handle(wire.Request.of("GET", "/emulator/overview", {}, b""))
    assert reported["sources"] == {"changed": "raw", "listed": ["out", "raw"], "read": ["raw", "/data/in"]}
    assert reported["binaries"] == {"changed": "second", "listed": ["etl"], "read": "/libs/etl.jar"}
    assert reported["jobs"] == {"changed": "hourly", "listed": ["hourly"], "read": "sums"}
    assert reported["runs"] == {"of": True, "listed": True, "before": True, "ended": True}
    assert reported["deleted"] == [True] * 4
    assert reported["gone"]
    succeeded = {one["operation"] for one in seen.json()["requests"] if one["status"] in range(200, 300)}
    assert succeeded >= _PLAYED
