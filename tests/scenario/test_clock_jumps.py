"""The whole service in virtual time, on a machine whose wall clock is wrong."""

from __future__ import annotations

import pytest
from tests.support import history, service, world

from mrs_relay.kit import clock

pytestmark = pytest.mark.looptime

_QUARTER_MS = 14 * 60_000  # as far off as a signature may be, nearly


class Jumping(clock.LoopClock):
    """A wall clock that can be set; the monotonic side goes on as ever."""

    off_ms = 0

    def now_ms(self) -> int:
        """What the clock on the wall shows."""
        return super().now_ms() + self.off_ms


async def _start(here: world.World, off_ms: int = 0) -> Jumping:
    """A replica with a clock of its own; MRS keeps the right one."""
    wall = Jumping()
    wall.off_ms = off_ms
    here.time = wall
    await here.start_replica()
    return wall


@pytest.mark.parametrize("off_ms", [-_QUARTER_MS, _QUARTER_MS])
async def test_a_lost_reply_is_looked_up_also_when_our_clock_is_off(off_ms: int) -> None:
    """MRS is asked for jobs since the intent by MRS's time, which may differ: the job must be found all the same."""
    async with world.world(replicas=0) as here:
        await _start(here, off_ms)
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 600)
        assert here.states("r-1")[-1] == "succeeded"
        assert history.faults(["r-1"], here.events(), here.created()) == []


@pytest.mark.parametrize("off_ms", [-_QUARTER_MS, _QUARTER_MS])
async def test_jobs_are_followed_by_lists_also_when_our_clock_is_off(off_ms: int) -> None:
    """Lists are asked for from a moment on, by MRS's time: no job may look as if it had vanished."""
    async with world.world(replicas=0) as here:
        await _start(here, off_ms)
        ids = [f"r-{number}" for number in range(12)]
        for one in ids:
            here.put(service.job(one))
        await here.until_ended(ids, 900)
        assert {here.states(one)[-1] for one in ids} == {"succeeded"}
        assert history.faults(ids, here.events(), here.created()) == []
