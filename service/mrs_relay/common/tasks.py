"""
A supervisor of background tasks that fit no TaskGroup: they start and end at any time during a part's life.

A supervisor keeps a strong reference to every task, names it, reports each unexpected error to its owner, and cancels
all of its tasks when it closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

AT_ONCE: Final = 500
"""Items of `in_slices` and `slices` between two pauses: of what takes 20 µs each that is ten milliseconds."""


class TaskSupervisor:
    """
    A set of named tasks with one owner.

    Args:
        on_error: called once per task that raised something other than cancellation; it must not raise.
    """

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_error = on_error

    def __len__(self) -> int:
        """Return the number of tasks that have not ended."""
        return sum(not task.done() for task in self._tasks)

    def start(
        self, work: Coroutine[Any, Any, Any], *, name: str, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        """Run `work` as a task of this supervisor, in a copy of the present context or in one of its own."""
        task = asyncio.get_running_loop().create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(task.get_name(), error)

    async def close(self) -> None:
        """Cancel all running tasks, also those started meanwhile, and wait until they have ended."""
        while self._tasks:
            ending = set(self._tasks)
            for task in ending:
                task.cancel()
            await asyncio.wait(ending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def sleep_until(event: asyncio.Event, most_s: float) -> None:
    """Sleep until an event is set, for `most_s` seconds at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await event.wait()


async def slices(items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """Yield the items in parts of `AT_ONCE`; after each of them the event loop does its other work."""
    for first in range(0, len(items), AT_ONCE):
        yield items[first : first + AT_ONCE]
        await asyncio.sleep(0)


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield each item; after every `AT_ONCE` of them the event loop does its other work."""
    for number, item in enumerate(items, 1):
        yield item
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
