"""Many timeouts on one timer, in virtual time: each behaves like `asyncio.timeout`."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from mrs_relay.mrs import deadlines

pytestmark = pytest.mark.looptime


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_a_block_that_takes_too_long_ends_with_a_timeout() -> None:
    """The await is cancelled at the deadline and the task continues uncancelled."""
    watch = deadlines.Deadlines()
    with pytest.raises(TimeoutError), watch.within(5.0):
        await asyncio.sleep(60.0)
    assert _now_s() == pytest.approx(5.0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    """Nothing happens to a task whose block is over, not even when the timer rings."""
    watch = deadlines.Deadlines()
    with watch.within(5.0):
        await asyncio.sleep(1.0)
    await asyncio.sleep(60.0)
    assert _now_s() == pytest.approx(61.0)


async def test_each_of_many_ends_at_its_own_time() -> None:
    """Later, earlier and equal deadlines, added in any order, each ring when due."""
    watch = deadlines.Deadlines()
    ended: list[tuple[float, float]] = []

    async def wait(start_s: float, timeout_s: float) -> None:
        await asyncio.sleep(start_s)
        with contextlib.suppress(TimeoutError), watch.within(timeout_s):
            await asyncio.sleep(1000.0)
        ended.append((start_s + timeout_s, _now_s()))

    plan = [(0.0, 30.0), (1.0, 2.0), (1.0, 2.0), (2.0, 500.0), (3.5, 0.5), (40.0, 1.0)]
    async with asyncio.TaskGroup() as group:
        for start_s, timeout_s in plan:
            group.create_task(wait(start_s, timeout_s))
    assert len(ended) == len(plan)
    for due_s, at_s in ended:
        assert at_s == pytest.approx(due_s)


async def test_a_cancellation_from_outside_passes_through() -> None:
    """Cancelled before its deadline, the block is cancelled and not timed out."""
    watch = deadlines.Deadlines()

    async def wait() -> None:
        with watch.within(5.0):
            await asyncio.sleep(60.0)

    task = asyncio.create_task(wait())
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_together_with_the_deadline_is_a_cancellation() -> None:
    """Who wants the task to end is obeyed, even if the deadline rings in the same moment."""
    watch = deadlines.Deadlines()

    async def wait() -> None:
        with watch.within(5.0):
            await asyncio.sleep(60.0)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(_now_s() + 5.0, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_block_is_its_own() -> None:
    """Anything the block raises comes out as it is."""
    watch = deadlines.Deadlines()
    with pytest.raises(KeyError), watch.within(5.0):
        raise KeyError


async def test_an_inner_deadline_does_not_end_the_outer_block() -> None:
    """Nested blocks time out one by one, from the inside."""
    watch = deadlines.Deadlines()

    async def nested() -> None:
        with watch.within(10.0):
            with contextlib.suppress(TimeoutError), watch.within(1.0):
                await asyncio.sleep(60.0)
            assert _now_s() == pytest.approx(1.0)
            await asyncio.sleep(60.0)

    with pytest.raises(TimeoutError):
        await nested()
    assert _now_s() == pytest.approx(10.0)


async def test_a_deadline_in_the_past_ends_the_first_await() -> None:
    """Without time left, the block gets no further than its first pause."""
    watch = deadlines.Deadlines()
    with pytest.raises(TimeoutError), watch.within(-1.0):
        await asyncio.sleep(60.0)
    assert _now_s() == pytest.approx(0.0, abs=0.01)


async def test_closed_deadlines_leave_no_timer() -> None:
    """After the end nothing rings any more, and deadlines may start again."""
    watch = deadlines.Deadlines()
    with watch.within(5.0):
        pass
    watch.close()
    assert watch._timer is None
    with pytest.raises(TimeoutError), watch.within(1.0):
        await asyncio.sleep(60.0)
