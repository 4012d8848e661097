"""The whole relay in memory, as other people's tests use it: real time, virtual time, SQL, trouble."""

from __future__ import annotations

import asyncio

import pytest

from mrs_emulator.core import settings as emulator_settings
from mrs_relay import client as relay_client
from mrs_relay.testing import rehearsal

BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


@BOTH
async def test_sql_really_runs_and_its_rows_come_back(guarantee: str) -> None:
    """Engine, ledger, MRS and SQL are the real ones, in a second of real time."""
    async with rehearsal.Relay(guarantee=guarantee) as relay, relay.client() as client:
        handle = await client.submit(relay_client.sql(relay.cluster, "spark", "SELECT 40 + 2 AS n"))
        data = await handle.result(30)
        assert data.result is not None
        assert data.result.statements[0].rows == [{"n": 42}]
        assert len(relay.effects()) == 1


@pytest.mark.looptime
async def test_a_slow_job_is_cancelled_in_virtual_time() -> None:
    """A cancel goes through to MRS, however slow the job is."""
    slow = emulator_settings.EmulatorSettings(pace=emulator_settings.Pace(run_s=36_000))
    async with rehearsal.Relay(slow) as relay, relay.client() as client:
        handle = await client.submit(relay_client.job(relay.cluster, "SparkSubmit", arguments=["obs://b/a.py"]))
        await asyncio.sleep(60)
        assert not handle.ended
        await handle.cancel()
        with pytest.raises(relay_client.RequestCancelled):
            await handle.result(60)


@pytest.mark.looptime
async def test_a_reply_that_mrs_lost_is_no_matter_for_the_service() -> None:
    """The relay looks the job up: one job, one success, though the reply to its submission never came."""
    async with rehearsal.Relay() as relay, relay.client() as client:
        relay.trouble(action="drop_after", operation="CreateExecuteJob")
        handle = await client.submit(relay_client.job(relay.cluster, "SparkSubmit", arguments=["obs://b/a.py"]))
        assert (await handle.result(600)).state == "succeeded"
        assert len(relay.effects()) == 1
