"""Background tasks have an owner: named, reported when they fail, ended when it ends."""

from __future__ import annotations

import asyncio
import gc

import pytest
from tests.support import turns

from mrs_relay.common import tasks


class _Owner:
    def __init__(self) -> None:
        self.errors: list[tuple[str, BaseException]] = []
        self.task_supervisor = tasks.TaskSupervisor(lambda name, error: self.errors.append((name, error)))


async def _fail() -> None:
    raise ValueError("a bug")


async def test_task_runs_under_its_name_and_its_result_can_be_had() -> None:
    """A crew's task is an ordinary task with a name."""
    owner = _Owner()

    async def work() -> int:
        task = asyncio.current_task()
        assert task is not None
        assert task.get_name() == "count"
        return 7

    assert await owner.task_supervisor.start(work(), name="count") == 7
    assert (len(owner.task_supervisor), owner.errors) == (0, [])


async def test_crew_counts_what_runs() -> None:
    """The length is the number of tasks that have not ended, also right after one ended."""
    owner = _Owner()
    go = asyncio.Event()
    first = owner.task_supervisor.start(go.wait(), name="first")
    owner.task_supervisor.start(asyncio.sleep(60), name="second")
    assert len(owner.task_supervisor) == 2
    go.set()
    await first
    assert len(owner.task_supervisor) == 1
    await owner.task_supervisor.close()
    assert len(owner.task_supervisor) == 0


async def test_error_is_reported_to_the_owner_once() -> None:
    """What a task raises reaches the owner with the task's name; nothing is left for the garbage collector to say."""
    owner = _Owner()
    owner.task_supervisor.start(_fail(), name="broken")
    await asyncio.sleep(0.001)
    ((name, error),) = owner.errors
    assert (name, str(error)) == ("broken", "a bug")
    await owner.task_supervisor.close()
    gc.collect()
    assert len(owner.errors) == 1


async def test_cancelled_task_is_no_error() -> None:
    """A task that was cancelled has done nothing wrong."""
    owner = _Owner()
    task = owner.task_supervisor.start(asyncio.sleep(60), name="sleeper")
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert (owner.errors, len(owner.task_supervisor)) == ([], 0)


async def test_tasks_are_kept_alive() -> None:
    """A task without another reference is not collected while it waits."""
    owner = _Owner()
    ended = asyncio.Event()

    async def work() -> None:
        await asyncio.get_running_loop().run_in_executor(None, gc.collect)
        ended.set()

    owner.task_supervisor.start(work(), name="kept")
    gc.collect()
    async with asyncio.timeout(60):
        await ended.wait()
    await owner.task_supervisor.close()


async def test_closing_waits_for_the_cleanup() -> None:
    """`close` returns after every task has run its cleanup; an error there still reaches the owner."""
    owner = _Owner()
    cleaned: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.001)
            cleaned.append(name)
            if name == "b":
                raise ValueError("while cleaning")

    async with owner.task_supervisor as task_supervisor:
        for name in "abc":
            task_supervisor.start(work(name), name=name)
        await asyncio.sleep(0)
    assert sorted(cleaned) == ["a", "b", "c"]
    assert [name for name, _ in owner.errors] == ["b"]


async def test_task_started_while_closing_is_ended_too() -> None:
    """A `finally` that starts work is ended in a second round."""
    owner = _Owner()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            owner.task_supervisor.start(asyncio.sleep(60), name="late")

    owner.task_supervisor.start(work(), name="early")
    await asyncio.sleep(0)
    await owner.task_supervisor.close()
    assert len(owner.task_supervisor) == 0


async def test_closing_a_crew_without_tasks_is_nothing() -> None:
    """An empty crew closes at once, as often as one likes."""
    owner = _Owner()
    await owner.task_supervisor.close()
    await owner.task_supervisor.close()


async def test_error_in_the_body_of_the_crew_ends_its_tasks() -> None:
    """No task outlives the `async with`, and the error is the body's."""
    owner = _Owner()

    async def body() -> None:
        async with owner.task_supervisor as task_supervisor:
            task_supervisor.start(asyncio.sleep(60), name="sleeper")
            raise ValueError("body")

    with pytest.raises(ValueError, match="body"):
        await body()
    assert (len(owner.task_supervisor), owner.errors) == (0, [])


@pytest.mark.looptime
async def test_a_sleep_ends_with_its_event_or_with_its_time(looptime: float) -> None:
    """Whichever comes first."""
    event = asyncio.Event()
    await tasks.sleep_until(event, 5)
    assert looptime == 5
    asyncio.get_running_loop().call_later(2, event.set)
    await tasks.sleep_until(event, 5)
    assert looptime == 7


async def test_items_in_slices_leave_the_loop_to_others_now_and_then() -> None:
    """All items come, in order."""
    items = range(4 * tasks.AT_ONCE)
    async with turns.counted() as others:
        assert [item async for item in tasks.in_slices(items)] == list(items)
        found = others.count
    assert 3 <= found <= 5
