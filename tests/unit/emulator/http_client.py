"""A client of the emulator for tests, without sockets: it speaks HTTP values, and its clock is moved by hand."""

from __future__ import annotations

import asyncio
import urllib.parse
from typing import Any

import msgspec
from tests.support import clocks

from mrs_emulator.core import core, settings, wire

START_MS = clocks.START_MS
PROJECT = settings.EmulatorSettings().project_id
CLUSTER = settings.Cluster().cluster_id


def options(**changes: Any) -> settings.EmulatorSettings:
    """Return settings for a test: unsigned, without limits, repeatable ids."""
    return settings.EmulatorSettings(**{"auth": False, "limits": {"on": False}, "seed": 7, **changes})


class Client:
    """Talks to one emulator about one cluster."""

    def __init__(self, emulator: core.Emulator, clock: clocks.HandClock, cluster: str = CLUSTER) -> None:
        self.emulator = emulator
        self.clock = clock
        self.cluster = cluster

    @property
    def base(self) -> str:
        return f"/v2/{PROJECT}/clusters/{self.cluster}"

    async def ask(self, verb: str, url: str, body: object = None) -> wire.Reply:
        data = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.emulator.handle(wire.Request.of(verb, url, {"Content-Type": "application/json"}, data))

    async def submit(self, name: str = "job", job_type: str = "SparkSubmit", **body: object) -> wire.Reply:
        return await self.ask("POST", f"{self.base}/job-executions", {"job_name": name, "job_type": job_type, **body})

    async def submitted(self, name: str = "job", job_type: str = "SparkSubmit", **body: object) -> str:
        """Submit, expect success, give the job's id."""
        reply = await self.submit(name, job_type, **body)
        assert reply.status == 202, reply.body
        job_id = reply.json()["job_submit_result"]["job_id"]
        assert isinstance(job_id, str)
        return job_id

    async def job(self, job_id: str) -> dict[str, Any]:
        reply = await self.ask("GET", f"{self.base}/job-executions/{job_id}")
        assert reply.status == 202, reply.body
        detail = reply.json()["job_detail"]
        assert isinstance(detail, dict)
        return detail

    async def seen(self, job_id: str) -> tuple[str, str]:
        """State and result of a job."""
        detail = await self.job(job_id)
        return detail["job_state"], detail["job_result"]

    async def listed(self, **query: object) -> tuple[Any, list[str]]:
        """Return the total and the names of a list page."""
        reply = await self.ask("GET", f"{self.base}/job-executions?{urllib.parse.urlencode(query)}")
        assert reply.status == 202, reply.body
        return reply.json()["total_record"], [one["job_name"] for one in reply.json()["job_list"]]

    async def kill(self, job_id: str) -> wire.Reply:
        return await self.ask("POST", f"{self.base}/job-executions/{job_id}/kill")

    async def results(self, job_id: str) -> wire.Reply:
        return await self.ask("GET", f"{self.base}/job-executions/{job_id}/sql-result")

    async def until(self, job_id: str, *states: str) -> tuple[str, str]:
        """State and result of a SQL job once it is in one of the states, in real time."""
        async with asyncio.timeout(20):
            while (await self.seen(job_id))[0] not in states:
                await asyncio.sleep(0.005)
        return await self.seen(job_id)

    async def ended(self, job_id: str) -> tuple[str, str]:
        """State and result of a SQL job once it has ended in real time."""
        return await self.until(job_id, "FINISHED", "FAILED", "KILLED")

    async def execute(self, statement: str, **body: object) -> wire.Reply:
        return await self.ask(
            "POST", f"{self.base}/sql-execution", {"sql_type": "presto", "sql_content": statement, **body}
        )

    async def statement_ended(self, sql_id: str) -> dict[str, Any]:
        """Return the SqlResult of a statement once it has ended in real time."""
        return await self.statement_until(sql_id, "FINISHED", "FAILED")

    async def statement_until(self, sql_id: str, *statuses: str) -> dict[str, Any]:
        """Return the SqlResult of a statement once it has one of the statuses, in real time."""
        async with asyncio.timeout(20):
            while True:
                reply = await self.ask("GET", f"{self.base}/sql-execution/{sql_id}")
                found = reply.json()
                assert isinstance(found, dict)
                if found["status"] in statuses:
                    return found
                await asyncio.sleep(0.005)

    async def effects(self, **query: object) -> dict[str, Any]:
        found = (await self.ask("GET", f"/emulator/effects?{urllib.parse.urlencode(query)}")).json()
        assert isinstance(found, dict)
        return found


def create(**changes: Any) -> Client:
    """Return a desk at a fresh emulator for scripted jobs."""
    clock = clocks.HandClock()
    return Client(core.Emulator(options(**changes), clock), clock)


def code(reply: wire.Reply) -> str:
    """Return the error code of a reply, however it is spelled."""
    body = reply.json()
    return str(body.get("error_code") or body.get("errorCode"))
