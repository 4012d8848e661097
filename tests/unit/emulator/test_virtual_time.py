"""Simulations: hours of MRS in milliseconds, in-process, without threads; time is the event loop's."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.support import clocks
from tests.unit.emulator import http_client

from mrs_emulator.core import core, faults
from mrs_relay.common import clock


def simulated(**changes: object) -> http_client.Client:
    """Return a desk whose time is the loop's."""
    emulator = core.Emulator(http_client.options(**changes), clock.LoopClock(http_client.START_MS))
    return http_client.Client(emulator, clocks.HandClock())


@pytest.mark.looptime
async def test_a_night_of_jobs_passes_in_virtual_time() -> None:
    """A queue of 200 half-hour jobs on ten slots takes ten hours, and a poller sees every end."""
    client = simulated(pace={"run_s": 1798.0}, limits={"on": True})
    threads = threading.active_count()
    waiting = [f"job-{number}" for number in range(200)]
    throttled = 0

    while waiting:
        reply = await client.submit(waiting[-1])
        if reply.status == 202:
            waiting.pop()
            continue
        throttled += reply.status == 429
        assert reply.status == 429 or http_client.code(reply) == "0177"
        await asyncio.sleep(20)

    while (await client.listed(job_result="UNDEFINED", limit=1))[0]:
        await asyncio.sleep(60)
    assert (await client.listed(job_result="SUCCEEDED", limit=1))[0] == 200
    assert 10 <= asyncio.get_running_loop().time() / 3600 < 10.5
    assert (throttled, threading.active_count()) == (0, threads)


@pytest.mark.looptime
async def test_latency_passes_in_virtual_time_and_the_job_is_created_late() -> None:
    """A slow request reaches MRS when the delay is over; what it creates bears that time."""
    client = simulated()
    client.emulator.add_faults(faults.Fault(action=faults.Action.LATENCY, seconds=90))
    job_id = await client.submitted()
    assert (await client.job(job_id))["submitted_time"] == http_client.START_MS + 90_000


@pytest.mark.looptime
async def test_caller_that_gives_up_during_latency_leaves_no_job() -> None:
    """A request that was cut off before MRS saw it has no effect."""
    client = simulated()
    client.emulator.add_faults(faults.Fault(action=faults.Action.LATENCY, seconds=90))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await client.submit()
    assert client.emulator.effects() == []


async def test_a_hundred_thousand_jobs_need_no_timers() -> None:
    """Scripted jobs add nothing to the event loop; each is computed when asked."""
    client = http_client.create(clusters=[{"slots": 0}])
    before = len(asyncio.all_tasks())
    for number in range(2_000):
        await client.submitted(f"j-{number}")
    assert len(asyncio.all_tasks()) == before
    client.clock.pass_s(3600)
    assert (await client.listed(job_result="SUCCEEDED", limit=1))[0] == 2_000
