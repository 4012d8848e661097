"""The whole service in virtual time: how long a submission in doubt stays in doubt."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import history, service, service_harness

pytestmark = pytest.mark.looptime


async def test_a_job_that_is_there_is_adopted_at_once() -> None:
    """Only the reply was lost: the first look finds the token, and there is no wait for requests on their way."""
    async with service_harness.start() as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], here.chosen.engine.settle_s)
        assert here.states("r-1")[-1] == "succeeded"
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_takeovers_in_quick_succession_do_not_keep_a_job_in_doubt() -> None:
    """Each owner stays for a shorter time than a request may be on its way: what can be found is found all the same."""
    async with service_harness.start() as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        here.put(service.job("r-1"))
        async with asyncio.timeout(300):
            while "submitted" not in here.states("r-1"):
                await asyncio.sleep(here.chosen.engine.settle_s / 3)
                await here.replicas[-1].kill()
                await here.start_replica()
        await here.until_ended(["r-1"], 600)
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_a_look_up_that_fails_beyond_its_window_never_leads_to_a_second_job() -> None:
    """A read that failed has not looked: the window ends with the first answer after it, however late that is."""
    async with service_harness.start() as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        here.trouble(action="status", operation="ShowJobExeListNew", status=503, count=40)
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 3600)
        assert asyncio.get_running_loop().time() > 45 + 60 + 100
        assert len(here.created()) == 1
        assert history.faults(["r-1"], here.events(), here.created()) == []
