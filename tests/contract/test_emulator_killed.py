"""A killed emulator: what it has acknowledged is there again, and so is the page that a job's tracking link names."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from huaweicloudsdkmrs import v2
from tests.support import child, ports, vendor_sdk

from mrs_emulator.core import settings

CLUSTER = settings.Cluster().cluster_id


def started(folder: Path, port: int) -> child.Child:
    """Return an emulator as a process, with a state file; it answers."""
    flags = ["--port", str(port), "--state", str(folder / "state"), "--slots", "0", "--no-limits", "--run-s", "0"]
    command = [sys.executable, "-m", "mrs_emulator", *flags]
    process = child.Child(command, log=folder / "emulator.log")

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return bool(page(f"http://127.0.0.1:{port}/emulator/health"))
        return False

    process.wait_ready(answers, timeout_s=120)
    return process


def page(url: str) -> str:
    """Return the page at an address."""
    with urllib.request.urlopen(url, timeout=60) as reply:
        return str(reply.read().decode())


async def submitted(sdk: vendor_sdk.Vendor, name: str) -> str:
    """Return id of a job whose submission was acknowledged."""
    job = v2.JobExecution(job_name=name, job_type="SparkSubmit", arguments=["obs://secret/a.jar"])
    reply = await sdk.ask(sdk.v2.create_execute_job, v2.CreateExecuteJobRequest(cluster_id=CLUSTER, body=job))
    return str(reply.job_submit_result.job_id)


async def test_acknowledged_jobs_and_their_pages_survive_sigkill(tmp_path: Path) -> None:
    """Killed in the middle of submissions; each that was answered is there, in its state, on its page, after it."""
    port = ports.free_port()
    url = f"http://127.0.0.1:{port}"
    sdk = vendor_sdk.Vendor(url)
    known: list[str] = []

    async def submit_on(number: int) -> None:
        while True:
            known.append(await submitted(sdk, f"job-{number}-fail"))

    first = await asyncio.to_thread(started, tmp_path, port)
    tasks = [asyncio.create_task(submit_on(number)) for number in range(4)]
    async with asyncio.timeout(60):
        while len(known) < 40:
            await asyncio.sleep(0.005)
    first.kill()
    await asyncio.wait(tasks)
    assert all(task.exception() is not None for task in tasks)

    second = await asyncio.to_thread(started, tmp_path, port)
    for job_id in known:
        request = v2.ShowSingleJobExeRequest(job_execution_id=job_id, cluster_id=CLUSTER)
        async with asyncio.timeout(60):
            while (found := (await sdk.ask(sdk.v2.show_single_job_exe, request)).job_detail).job_result == "UNDEFINED":
                await asyncio.sleep(0.02)
        assert found.tracking_url == f"{url}/emulator/jobs/{CLUSTER}/{job_id}"
        shown = page(found.tracking_url)
        assert (job_id in shown, "FINISHED" in shown, "FAILED" in shown) == (True, True, True)
        assert "secret" not in shown
    with pytest.raises(urllib.error.HTTPError, match="404"):
        page(f"{url}/emulator/jobs/{CLUSTER}/never")
    second.stop()
