"""The whole service in virtual time, on a machine whose wall clock is wrong or jumps."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support import history, service, service_harness

from mrs_relay.common import clock

pytestmark = pytest.mark.looptime

_HOUR_MS = 3_600_000
_QUARTER_MS = 14 * 60_000  # as far off as a signature may be, nearly


class Jumping(clock.LoopClock):
    """A wall clock that can be set; the monotonic side continues as ever."""

    off_ms = 0

    def now_ms(self) -> int:
        """Return what the clock on the wall shows."""
        return super().now_ms() + self.off_ms


async def _start(here: service_harness.ServiceHarness, off_ms: int = 0) -> Jumping:
    """Return a replica with a clock of its own; MRS keeps the right one."""
    wall = Jumping()
    wall.off_ms = off_ms
    here.time = wall
    await here.start_replica()
    return wall


@pytest.mark.parametrize("off_ms", [-_QUARTER_MS, _QUARTER_MS])
async def test_a_lost_reply_is_looked_up_also_when_our_clock_is_off(off_ms: int) -> None:
    """MRS is asked for jobs since the intent by MRS's time, which may differ: the job must be found all the same."""
    async with service_harness.start(replicas=0) as here:
        await _start(here, off_ms)
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 600)
        assert here.states("r-1")[-1] == "succeeded"
        assert history.faults(["r-1"], here.events(), here.created()) == []


@pytest.mark.parametrize("off_ms", [-_QUARTER_MS, _QUARTER_MS])
async def test_jobs_are_followed_by_lists_also_when_our_clock_is_off(off_ms: int) -> None:
    """Lists are asked for from a moment on, by MRS's time: no job may look as if it had vanished."""
    async with service_harness.start(replicas=0) as here:
        await _start(here, off_ms)
        ids = [f"r-{number}" for number in range(12)]
        for one in ids:
            here.put(service.job(one))
        await here.until_ended(ids, 900)
        assert {here.states(one)[-1] for one in ids} == {"succeeded"}
        assert history.faults(ids, here.events(), here.created()) == []


@pytest.mark.parametrize("jump_ms", [-_QUARTER_MS, _QUARTER_MS])
async def test_a_clock_that_is_set_while_jobs_run_changes_nothing(jump_ms: int) -> None:
    """Polling, slots, budgets and settling go by the monotonic clock."""
    async with service_harness.start(replicas=0) as here:
        wall = await _start(here)
        ids = [f"r-{number}" for number in range(12)]
        for one in ids:
            here.put(service.job(one))
        await asyncio.sleep(3)
        wall.off_ms = jump_ms
        await here.until_ended(ids, 900)
        assert {here.states(one)[-1] for one in ids} == {"succeeded"}
        assert history.faults(ids, here.events(), here.created()) == []


@pytest.mark.parametrize("jump_ms", [-_HOUR_MS, _HOUR_MS])
async def test_a_clock_an_hour_off_is_reported_by_mrs_and_loses_no_job(jump_ms: int) -> None:
    """Signatures with such a date are refused unexecuted: jobs continue, and events follow when the clock is right."""
    async with service_harness.start(replicas=0) as here:
        wall = await _start(here)
        here.put(service.job("r-1"))
        while "submitted" not in here.states("r-1"):
            await asyncio.sleep(0.5)
        wall.off_ms = jump_ms
        here.put(service.job("r-2"))
        await asyncio.sleep(600)
        before = {one: here.states(one)[-1] for one in ("r-1", "r-2")}
        wall.off_ms = 0
        await here.until_ended(["r-1", "r-2"], 600)

        assert before["r-1"] in {"submitted", "running"}
        assert here.states("r-1")[-1] == "succeeded"
        assert len(here.created()) == (1 if here.states("r-2")[-1] == "failed" else 2)

        if here.states("r-2")[-1] == "failed":
            reason = [event for event in here.events() if event.request_id == "r-2"][-1].data["reason"]
            assert (reason["code"], "set this machine's clock" in reason["message"]) == ("APIGW.0303", True)


def _later(here: service_harness.ServiceHarness, one: str, wait_s: float, **more: Any) -> bytes:
    moment = clock.rfc3339(here.time.now_ms() + round(wait_s * 1000))
    return service.job(one, not_before=moment, **more)


async def test_not_before_follows_the_wall_clock() -> None:
    """A moment is a moment on the wall: set forward, it comes within a minute; set back, when it is shown again."""
    async with service_harness.start(replicas=0) as here:
        wall = await _start(here)
        here.put(_later(here, "r-1", 2400))
        here.put(_later(here, "r-2", 4800))
        await asyncio.sleep(5)

        assert here.created() == []

        wall.off_ms = 3_000_000  # which no signature allows; so it is set right after the ring
        await asyncio.sleep(65)
        wall.off_ms = 0
        await here.until_ended(["r-1"], 600)

        assert here.states("r-2") == ["accepted"]

        wall.off_ms = -_QUARTER_MS
        await asyncio.sleep(4800)
        assert here.states("r-2") == ["accepted"]
        await here.until_ended(["r-2"], 1200)


async def test_a_deadline_follows_the_wall_clock() -> None:
    """A clock that is set forward ends what is over by then, within a minute; nothing is left running unseen."""
    async with service_harness.start(replicas=0, emulated={"pace": {"run_s": 7200.0}}) as here:
        wall = await _start(here)
        here.put(service.job("r-1", run_deadline_s=1800))
        while here.states("r-1")[-1:] != ["running"]:
            await asyncio.sleep(1)
        wall.off_ms = _QUARTER_MS
        await here.until_ended(["r-1"], 1800 - _QUARTER_MS / 1000 + 120)
        last = [event for event in here.events() if event.request_id == "r-1"][-1]
        assert last.state in {"cancelled", "failed"}, json.dumps(last.data)
