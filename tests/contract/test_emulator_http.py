"""The emulator over real sockets, spoken to with a bare HTTP client: headers, lost replies, start and stop."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from mrs_emulator.core import failures, faults, settings
from mrs_emulator.http import server

CLUSTER = settings.Cluster().cluster_id
PROJECT = settings.EmulatorSettings().project_id
JOBS = f"/v2/{PROJECT}/clusters/{CLUSTER}/job-executions"


@asynccontextmanager
async def running(**changes: object) -> AsyncIterator[tuple[server.Running, aiohttp.ClientSession]]:
    """Yield a server on a free port and a client for it."""
    chosen = settings.EmulatorSettings.model_validate({"port": 0, "auth": False, **changes})
    async with server.running(chosen) as live, aiohttp.ClientSession(live.url) as session:
        yield live, session


def signed(verb: str, host: str, path: str, query: str, body: bytes) -> dict[str, str]:
    """Return headers of a signed request, worked out here by the steps of the signing guide."""
    key = settings.Credential()
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    block = f"content-type:application/json\nhost:{host}\nx-sdk-date:{date}\n"
    names = "content-type;host;x-sdk-date"
    canonical = f"{verb}\n{path}/\n{query}\n{block}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = key.secret_key.get_secret_value().encode()
    mark = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Sdk-Date": date,
        "Authorization": f"SDK-HMAC-SHA256 Access={key.access_key}, SignedHeaders={names}, Signature={mark}",
    }


async def test_signed_request_passes_over_a_real_socket() -> None:
    """What the HTTP library adds to a request does not break its signature; a wrong one is a 401."""
    async with running(auth=True) as (live, session):
        host = f"{live.host}:{live.port}"
        body = b'{"job_name": "over-the-wire", "job_type": "SparkSubmit"}'
        headers = signed("POST", host, JOBS, "", body)
        async with session.post(JOBS, data=body, headers=headers) as reply:
            assert reply.status == 202
            assert reply.content_type == "application/json"
            assert len(reply.headers["X-Request-Id"]) == 32
        async with session.get(f"{JOBS}?limit=5", headers=signed("GET", host, JOBS, "limit=5", b"")) as reply:
            assert (reply.status, (await reply.json())["total_record"]) == (202, 1)
        async with session.post(JOBS, data=body + b" ", headers=headers) as reply:
            assert (reply.status, (await reply.json())["error_code"]) == (401, "APIGW.0301")


async def test_lost_request_and_lost_reply_look_alike_to_the_client() -> None:
    """The connection just ends; only the effects tell whether the job exists."""
    async with running() as (live, session):
        for action, jobs in ((faults.Action.DROP_BEFORE, 0), (faults.Action.DROP_AFTER, 1)):
            live.emulator.add_faults(faults.Fault(action=action, operation="CreateExecuteJob"))
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await session.post(JOBS, json={"job_name": "a", "job_type": "Flink"})
            assert len(live.emulator.effects()) == jobs
        async with session.post(JOBS, json={"job_name": "b", "job_type": "Flink"}) as reply:
            assert reply.status == 202


async def test_body_over_12_mb_is_413_and_the_server_lives_on() -> None:
    """The gateway refuses before MRS sees it."""
    async with running() as (_, session):
        async with session.post(JOBS, data=io.BytesIO(b"x" * (12 * 1024 * 1024 + 1))) as reply:
            assert (reply.status, (await reply.json())["error_code"]) == (413, "APIGW.0201")
        async with session.get("/emulator/health") as reply:
            assert reply.status == 200


async def test_empty_replies_have_no_body() -> None:
    """A kill answers 202 with nothing in it."""
    async with running(pace={"new_s": 0}) as (_, session):
        async with session.post(JOBS, json={"job_name": "a", "job_type": "Flink"}) as reply:
            job_id = (await reply.json())["job_submit_result"]["job_id"]
        async with session.post(f"{JOBS}/{job_id}/kill") as reply:
            assert (reply.status, await reply.read()) == (202, b"")


async def test_port_that_is_taken_is_named() -> None:
    """The start fails with the address in the message."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(failures.CannotStart, match=f"127.0.0.1:{port}"):
            async with running(port=port):
                pass


async def _matched(session: aiohttp.ClientSession, url: str) -> bool:
    """Return whether a call has met the fault in force."""
    async with session.get(f"{url}/emulator/faults") as reply:
        return bool((await reply.json())["faults"][0]["matched"])


async def test_serve_says_when_it_is_ready_and_stops_gracefully() -> None:
    """A request under way when the stop comes still gets its reply; then the port is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    chosen = settings.EmulatorSettings(port=port, auth=False)
    ready, stop = asyncio.Event(), asyncio.Event()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group, aiohttp.ClientSession() as session:
        group.create_task(server.serve(chosen, ready=ready, stop=stop))
        await ready.wait()
        url = f"http://127.0.0.1:{port}"
        order = {"operation": "ShowJobExeListNew", "action": "latency", "seconds": 0.5}
        assert (await session.post(f"{url}/emulator/faults", json=order)).status == 201
        slow = group.create_task(session.get(url + JOBS))
        while not await _matched(session, url):
            await asyncio.sleep(0.01)
        stop.set()
        assert (await slow).status == 202

    async with running(port=port):
        pass


async def test_sql_over_http_writes_rows_where_the_reply_says(tmp_path: Path) -> None:
    """From statement to file, over the wire."""
    (tmp_path / "fruit.csv").write_text("id,name\n1,apple\n", encoding="utf-8")
    async with running(data=tmp_path) as (_, session):
        url = f"/v2/{PROJECT}/clusters/{CLUSTER}/sql-execution"
        body = {"sql_type": "presto", "sql_content": "select name from fruit", "archive_path": "obs://b/out"}
        async with session.post(url, json=body) as reply:
            found = await reply.json()
        async with asyncio.timeout(60):
            while found["status"] not in {"FINISHED", "FAILED"}:
                await asyncio.sleep(0.01)
                async with session.get(f"{url}/{found['id']}") as reply:
                    found = await reply.json()
    location = tmp_path / "obs" / found["result_location"].removeprefix("obs://")
    assert location.read_text(encoding="utf-8") == "name\napple\n"


async def test_half_a_body_is_announced_whole_and_cut() -> None:
    """The client is promised more than it gets, so it can tell; the next call works."""
    async with running() as (live, session):
        live.emulator.add_faults(faults.Fault(action=faults.Action.HALF_BODY, operation="CreateExecuteJob"))
        async with session.post(JOBS, json={"job_name": "a", "job_type": "Flink"}) as reply:
            assert reply.status == 202
            with pytest.raises(aiohttp.ClientPayloadError):
                await reply.read()
        assert len(live.emulator.effects()) == 1
        async with session.post(JOBS, json={"job_name": "b", "job_type": "Flink"}) as reply:
            assert (await reply.json())["job_submit_result"]["state"] == "COMPLETE"
