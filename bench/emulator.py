"""
The emulator's speed: submissions a second over HTTP, memory for 100,000 jobs in one cluster, and pages of its lists.

The server runs as a process of its own, with quotas off; the client is bare sockets, which cost little beside it.
Pages are timed one after the other on one connection, the median and the slowest are shown. After the submissions all
jobs run; half of the page timings are taken then, the other half when they have ended.

    python bench/emulator.py [--jobs 100000]     a table
    python bench/emulator.py --json              one line of JSON
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from mrs_emulator.core import settings
from mrs_emulator.http import server
from mrs_relay.common import logs

CHOSEN = settings.EmulatorSettings()
JOBS = f"/v2/{CHOSEN.project_id}/clusters/{CHOSEN.clusters[0].cluster_id}/job-executions"
CONNECTIONS = 32
ROUNDS = 15
SUBMISSIONS_TARGET, PAGE_MS_TARGET, MEMORY_MB_TARGET = 3000, 10.0, 300.0


def options(state_file: str, run_s: float) -> settings.EmulatorSettings:
    """Return settings of the measured server."""
    return settings.EmulatorSettings(
        port=0,
        auth=False,
        clusters=(settings.Cluster(slots=0),),
        limits=settings.Limits(on=False),
        pace=settings.Pace(run_s=run_s),
        state_file=pathlib.Path(state_file) if state_file else None,
    )


async def serve(chosen: settings.EmulatorSettings) -> None:
    """Be the server until the parent closes our input; print the port first."""
    async with server.running(chosen) as live:
        print(live.port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def a_server(run_s: float, state_file: str = "") -> Iterator[tuple[int, int]]:
    """Run a server for the time of the block; yields its port and process id."""
    command = [sys.executable, __file__, "--serve", str(run_s), "--state", state_file]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


class Line:
    """One connection that speaks just enough HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int) -> Line:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    async def ask(self, verb: str, target: str, body: bytes = b"") -> bytes:
        """Return the body of the reply, which must be a success."""
        head = (
            f"{verb} {target} HTTP/1.1",
            "Host: e",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        )
        self._writer.write("\r\n".join((*head, "", "")).encode() + body)
        reported = await self._reader.readuntil(b"\r\n\r\n")
        assert reported.startswith(b"HTTP/1.1 20"), reported
        length = int(reported.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return await self._reader.readexactly(length)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()


async def submitted(port: int, jobs: int) -> float:
    """Return the submissions a second."""
    numbers = iter(range(jobs))
    arguments = ["--class", "com.example.Agg", "obs://demo-bucket/jars/agg.jar", "2026-11-22"]

    async def work() -> None:
        line = await Line.to(port)
        for number in numbers:
            body = {"job_name": f"bench-{number:08d}", "job_type": "SparkSubmit", "arguments": arguments}
            await line.ask("POST", JOBS, json.dumps(body).encode())
        await line.close()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(work())
    return jobs / (time.perf_counter() - begin)


async def pages(port: int, queries: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Return the milliseconds of each list page: median and slowest; the first call, which settles, does not count."""
    line = await Line.to(port)
    found = {}
    for name, query in queries.items():
        taken = []
        for _ in range(ROUNDS + 1):
            begin = time.perf_counter()
            await line.ask("GET", f"{JOBS}?{query}")
            taken.append((time.perf_counter() - begin) * 1000)
        found[name] = (round(statistics.median(taken[1:]), 2), round(max(taken[1:]), 2))
    await line.close()
    return found


def memory_mb(process_id: int) -> float:
    """Return the resident memory of a process."""
    status = pathlib.Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    line = next(one for one in status.splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def queries(jobs: int) -> dict[str, str]:
    """Return the lists that are timed."""
    return {
        "first page": "limit=10",
        "last page, 100 jobs": f"limit=100&offset={max(jobs // 100, 1)}",
        "job_state=RUNNING": "job_state=RUNNING&limit=10",
        "job_state=RUNNING, deep": f"job_state=RUNNING&limit=10&offset={max(jobs // 20, 1)}",
        "job_result=UNDEFINED": "job_result=UNDEFINED&limit=100",
        "job_result=SUCCEEDED": "job_result=SUCCEEDED&limit=10",
        "submitted_time_begin": "submitted_time_begin=1000&limit=10",
        "submitted_time_begin and RUNNING": "submitted_time_begin=1000&job_state=RUNNING&limit=10",
        "job_name": "job_name=bench-00000042",
    }


async def measured(jobs: int) -> dict[str, object]:
    """Measure all figures."""
    found: dict[str, object] = {"jobs": jobs}
    with a_server(run_s=86_400) as (port, process_id):
        empty_mb = memory_mb(process_id)
        found["submissions_per_s"] = round(await submitted(port, jobs))
        await asyncio.sleep(1.2)
        found["pages_ms_running"] = await pages(port, queries(jobs))
        found["memory_mb"] = round(memory_mb(process_id), 1)
        found["bytes_per_job"] = round((memory_mb(process_id) - empty_mb) * 2**20 / jobs)

    few = max(jobs // 5, 1)
    with a_server(run_s=0.1) as (port, _):
        await submitted(port, jobs)
        await asyncio.sleep(1.5)
        found["pages_ms_ended"] = await pages(port, queries(jobs))

    with tempfile.TemporaryDirectory() as folder:
        state_file = f"{folder}/state"
        with a_server(86_400, state_file) as (port, _):
            found["submissions_per_s_with_state_file"] = round(await submitted(port, few))
        begin = time.perf_counter()
        with a_server(86_400, state_file) as (port, _):
            found["restore_s"] = round(time.perf_counter() - begin, 2)
            found["restored_jobs"] = few
            line = await Line.to(port)
            assert json.loads(await line.ask("GET", f"{JOBS}?limit=1"))["total_record"] == few
            await line.close()

    return found


def shown(found: dict[str, object]) -> None:
    """Print the table."""
    jobs = found["jobs"]
    print(f"{'what':<58}{'measured':>16}  target")
    print(f"{'submissions/s over HTTP, quotas off':<58}{found['submissions_per_s']:>16}  ≥ {SUBMISSIONS_TARGET}")
    name = "the same with a state file"
    print(f"{name:<58}{found['submissions_per_s_with_state_file']:>16}")
    name = f"restart with {found['restored_jobs']} jobs in the state file, s"
    print(f"{name:<58}{found['restore_s']:>16}")
    name = f"resident memory with {jobs} jobs under way, MB"
    print(f"{name:<58}{found['memory_mb']:>16}  ≤ {MEMORY_MB_TARGET:.0f}")

    for state in ("running", "ended"):
        timed = found[f"pages_ms_{state}"]
        assert isinstance(timed, dict)
        for query, (median, slowest) in timed.items():
            name = f"page, {jobs} jobs {state}: {query}, ms"
            print(f"{name:<58}{f'{median} ({slowest})':>16}  ≤ {PAGE_MS_TARGET:.0f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--state", default="", help=argparse.SUPPRESS)

    given = parser.parse_args()
    if given.serve is not None:
        logs.setup(level="WARNING")
        uvloop.run(serve(options(given.state, given.serve)))
        return

    found = uvloop.run(measured(given.jobs))
    if given.json:
        print(json.dumps(found))
    else:
        shown(found)


if __name__ == "__main__":
    main()
