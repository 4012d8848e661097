"""The benchmarks' backend, through the client: it must answer what the client and the relay ask of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from bench import instant_backend
from tests.unit.mrs import support

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.mrs import client
from mrs_relay.mrs.models import jobs as bodies
from mrs_relay.mrs.operations import clusters, jobs, sql


@contextlib.asynccontextmanager
async def _client(life_s: float) -> AsyncIterator[client.Client]:
    seen: dict[str, instant_backend.Jobs] = {}
    server = await asyncio.get_running_loop().create_server(
        lambda: instant_backend.Backend(seen, life_s), "127.0.0.1", 0
    )
    group = support.group(endpoint=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, client.connected(group, clock.SystemClock()) as mrs:
        yield mrs


async def test_what_is_submitted_is_listed_by_page() -> None:
    """Every submission gets its own id and can be found again by page, name and state."""
    async with _client(life_s=3600.0) as mrs:
        ids = [
            (
                await mrs.call(
                    jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body={**support.BODY, "job_name": f"j{n}"}
                )
            )
            for n in range(25)
        ]

        assert len({reply.job_id for reply in ids}) == 25

        query = bodies.JobQuery(job_result=bodies.JobResult.UNDEFINED, limit=20, offset=2, sort_by="asc")
        page = await mrs.call(jobs.SHOW_JOB_EXE_LIST_NEW, path=support.AT_CLUSTER, query=query)
        assert page.total_record == 25
        assert [detail.job_name for detail in page.jobs] == ["j20", "j21", "j22", "j23", "j24"]

        found = await mrs.call(jobs.SHOW_JOB_EXE_LIST_NEW, path=support.AT_CLUSTER, query={"job_name": "j7"})
        assert [detail.job_id for detail in found.jobs] == [ids[7].job_id]

        one = await mrs.call(jobs.SHOW_SINGLE_JOB_EXE, path={**support.AT_CLUSTER, "job_execution_id": ids[3].job_id})
        assert (one.job_detail.job_name, one.job_detail.ended) == ("j3", False)


async def test_a_job_has_succeeded_after_its_life() -> None:
    """With a life of no time every job is over when it is first read."""
    async with _client(life_s=0.0) as mrs:
        reply = await mrs.call(jobs.CREATE_EXECUTE_JOB, path=support.AT_CLUSTER, body=support.BODY)
        path = {**support.AT_CLUSTER, "job_execution_id": reply.job_id}
        detail = (await mrs.call(jobs.SHOW_SINGLE_JOB_EXE, path=path)).job_detail
        assert (detail.job_state, detail.job_result) == ("FINISHED", "SUCCEEDED")


async def test_the_other_operations_are_answered_sensibly() -> None:
    """Kill, cancel, statements and clusters work; an unknown job is refused as MRS does."""
    async with _client(life_s=1.0) as mrs:
        await mrs.call(jobs.STOP_JOB, path=support.AT_JOB)
        assert (await mrs.call(sql.CANCEL_SQL, path=support.AT_STATEMENT)).done
        result = await mrs.call(sql.EXECUTE_SQL, path=support.AT_CLUSTER, body={"sql_content": "select 1"})
        assert result.ended
        cluster = await mrs.call(clusters.SHOW_CLUSTER_DETAILS, path=support.AT_CLUSTER)
        assert cluster.cluster.cluster_state == "running"
        with pytest.raises(errors.MrsRefused) as caught:
            await mrs.call(jobs.SHOW_SINGLE_JOB_EXE, path=support.AT_JOB)
        assert caught.value.code == "0176"
