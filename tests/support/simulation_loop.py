"""
An event loop for simulations: time jumps, tasks of different machines interleave by seed, machines can stand still.

Everything that decides an order is drawn from one seeded generator or counted, so the same seed runs the same way in
every process (started with the same PYTHONHASHSEED). What is reordered is only what asyncio leaves open: the step of a
task may come an iteration of the loop later, a timer may ring late.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import random
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from mrs_relay.kafka.memory import memory_group, memory_log

_LATE_STEP = 0.1
_LATE_TIMER_S = 0.000_2
_BROKERS_OWN = (memory_group.Group, memory_log.Coordinator)
"""Their timers belong to the broker, also when a machine's request has set them."""


class Stuck(RuntimeError):  # noqa: N818 - named for what happened
    """Nothing is left to happen: no task can run and no timer is set."""


class Machine:
    """What a replica runs on; while it stands still none of its tasks, timers and callbacks run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.frozen = False
        self.dead = False
        self.held: list[asyncio.Handle] = []

    def freeze(self) -> None:
        """Stand still, as after SIGSTOP."""
        self.frozen = True

    def thaw(self) -> None:
        """Go on with everything that should have run meanwhile, in its order."""
        self.frozen = False
        held, self.held = self.held, []
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        loop.append(held)


OWNER: contextvars.ContextVar[Machine | None] = contextvars.ContextVar("OWNER", default=None)
"""The machine that a task, timer or callback belongs to; None is the world around."""


class _Jump(selectors.SelectSelector):
    """Waits by moving the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: Loop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return at once; the clock shows the next timer's time then."""
        if self.loop is not None and (timeout is None or timeout > 0):
            self.loop.jump()
        return []


_numbers = itertools.count(1)


class _Task(asyncio.Task):  # type: ignore[type-arg]  # only its place in sets is ours
    """A task whose place in sets does not depend on its address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.number = next(_numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future):  # type: ignore[type-arg]  # the same
    """A future whose place in sets does not depend on its address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.number = next(_numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self.number


def _make_task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
    return _Task(work, loop=loop, **more)


class Loop(asyncio.SelectorEventLoop):
    """
    The loop.

    Args:
        chance: draws the orders that asyncio leaves open.
    """

    def __init__(self, chance: random.Random) -> None:
        global _numbers  # noqa: PLW0603 - counted again in every loop, so that a seed does not depend on those before
        _numbers = itertools.count(1)
        selector = _Jump()
        self._now_s = 0.0
        self._chance = chance
        super().__init__(selector)
        selector.loop = self
        self.set_task_factory(_make_task)  # type: ignore[arg-type]  # a subclass of Task

    def time(self) -> float:
        """Return virtual seconds."""
        return self._now_s

    def jump(self) -> None:
        """Move the clock to the next timer."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not scheduled:
            raise Stuck("no task can run and no timer is set")
        self._now_s = max(self._now_s, scheduled[0].when())

    def append(self, handles: list[asyncio.Handle]) -> None:
        """Run these next."""
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future with a number."""
        return _Future(loop=self)

    def run_in_executor(  # type: ignore[override]  # there are no threads here
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a function at once: another thread's pace would not follow from the seed."""
        del executor
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to the awaiting task
            done.set_exception(error)
        return done

    def call_soon(  # type: ignore[override]  # plain callables will do
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run a callback soon: not while its machine stands still, and the step of a task perhaps a little later."""
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None and owner.frozen:
            handle = asyncio.Handle(callback, args, self, context)
            owner.held.append(handle)
            return handle
        if self._chance.random() < _LATE_STEP and _is_step(callback):
            handle = asyncio.Handle(callback, args, self, context)
            super().call_soon(self._step, owner, handle)
            return handle
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]  # the same
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Call at a time, or a little later; after the thaw when the machine stands still."""
        when += self._chance.random() * _LATE_TIMER_S
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is None or isinstance(getattr(callback, "__self__", None), _BROKERS_OWN):
            return super().call_at(when, callback, *args, context=context)
        cell: list[asyncio.TimerHandle] = []
        handle = super().call_at(when, self._ring, owner, cell, callback, args, context=context)
        cell.append(handle)
        return handle

    def _step(self, owner: Machine | None, handle: asyncio.Handle) -> None:
        if owner is not None and owner.frozen:
            owner.held.append(handle)
        else:
            self.append([handle])

    def _ring(
        self, owner: Machine, cell: list[asyncio.TimerHandle], callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        if owner.frozen:
            owner.held.append(asyncio.Handle(_unless_cancelled, (cell, callback, args), self))
        else:
            callback(*args)


def _unless_cancelled(cell: list[asyncio.TimerHandle], callback: Callable[..., object], args: tuple[Any, ...]) -> None:
    if not cell[0].cancelled():
        callback(*args)


def _is_step(callback: Callable[..., object]) -> bool:
    return type(callback).__name__ == "TaskStepMethWrapper" or isinstance(
        getattr(callback, "__self__", None), asyncio.Task
    )
