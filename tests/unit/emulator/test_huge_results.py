"""A huge result neither blocks the loop nor fills memory, and can be cancelled in the middle."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.emulator.conftest import Opener

TEXT = "'some text that makes the row long' AS t"
HUGE = f"SELECT n, {TEXT} FROM UNNEST(sequence(1, 2000)) AS a(n), UNNEST(sequence(1, 500)) AS b(m)"
HUGE_JOB = f"SELECT n, {TEXT} FROM (SELECT explode(sequence(1, 1000000)) AS n) a"
ENDLESS = "SELECT n FROM UNNEST(sequence(1, 1000000)) AS a(n), UNNEST(sequence(1, 1000000)) AS b(m)"
ENDLESS_JOB = (
    "SELECT a.n FROM (SELECT explode(sequence(1, 1000000)) AS n) a, (SELECT explode(sequence(1, 1000000)) AS n) b"
)


def peak_bytes() -> int:
    """Return most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def watched(most_s: float) -> Iterator[None]:
    """Fail when the loop stood still for longer than `most_s` while the block ran."""
    loop = asyncio.get_running_loop()
    gaps, last = [0.0], [time.perf_counter()]
    handle: list[asyncio.TimerHandle] = []

    def beat() -> None:
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now
        handle[:] = [loop.call_later(0.01, beat)]

    beat()
    try:
        yield
    finally:
        handle[0].cancel()
    assert len(gaps) > 5, "the work was over before the loop could be watched"
    assert max(gaps) < most_s


async def test_million_rows_go_to_obs_in_pieces(open_client: Opener, tmp_path: Path) -> None:
    """40 MB of CSV are written; the loop continues, and memory does not grow by the size of the result."""
    async with open_client() as client:
        await client.statement_ended((await client.execute("SELECT 1 AS warm")).json()["id"])
        before = peak_bytes()
        with watched(most_s=1.0):
            sql_id = (await client.execute(HUGE, archive_path="obs://bucket/out")).json()["id"]
            found = await client.statement_ended(sql_id)
        assert found["status"] == "FINISHED"
        file = tmp_path / "obs" / found["result_location"].removeprefix("obs://")
        assert file.stat().st_size > 35_000_000
        assert peak_bytes() - before < 100_000_000


async def test_million_rows_of_a_job_are_not_kept(open_client: Opener) -> None:
    """A job keeps so many rows and says that there were more."""
    async with open_client(sql={"rows_kept": 1000}) as client:
        before = peak_bytes()
        job_id = await client.submitted("huge", "SparkSql", arguments=[HUGE_JOB])
        assert await client.ended(job_id) == ("FINISHED", "SUCCEEDED")
        reply = await client.results(job_id)
        assert reply.json()["error_code"] == "0182"
        assert peak_bytes() - before < 100_000_000


@pytest.mark.parametrize("engine", ["presto", "spark"])
async def test_cancelled_work_frees_its_thread(open_client: Opener, engine: str, tmp_path: Path) -> None:
    """With one thread only, the next statement runs as soon as the endless one is cancelled."""
    async with open_client(sql={"threads": 1}) as client:
        if engine == "presto":
            sql_id = (await client.execute(ENDLESS)).json()["id"]
            await client.statement_until(sql_id, "RUNNING")
            await client.ask("POST", f"{client.base}/sql-execution/{sql_id}/cancel")
        else:
            job_id = await client.submitted("endless", "SparkSql", arguments=[f"CREATE TABLE t AS {ENDLESS_JOB}"])
            client.clock.pass_s(1)
            await asyncio.sleep(0.05)
            await client.kill(job_id)

        async with asyncio.timeout(60):
            following = (await client.execute("SELECT 7 AS n")).json()["id"]
            assert (await client.statement_ended(following))["status"] == "FINISHED"

        files = list((tmp_path / "obs").rglob("*.csv"))
        if engine == "presto":
            sizes = [file.stat().st_size for file in files]
            await asyncio.sleep(0.1)
            assert [file.stat().st_size for file in files] == sizes
