"""
Measure each callback of the event loop: how much CPU time it takes, and which one takes longest.

Nothing else of the process runs while a callback does, so the longest one is how long the loop is blocked. CPU time is
counted, because the machine may do other work meanwhile. Runs of the cycle collector are counted by themselves: they
look at all objects of the process, the benchmark's own included.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_LONG_S: Final = 0.01


class Stopwatch:
    """
    Time of the callbacks within `running`.

    Args:
        ignored: begin of the names of those that are not measured.

    Attributes:
        longest_s: name of a callback -> its longest time, for those of ten milliseconds and more.
        long: name -> number of such times.
        collected_s: the longest run of the cycle collector.
    """

    def __init__(self, ignored: tuple[str, ...] = ()) -> None:
        self._ignored = ignored
        self._collecting_s = self._all_collected_s = 0.0
        self.longest_s: dict[str, float] = {}
        self.long: Counter[str] = Counter()
        self.collected_s = 0.0

    def reset(self) -> None:
        """Forget what was measured so far."""
        self.longest_s.clear()
        self.long.clear()
        self.collected_s = 0.0

    @property
    def worst(self) -> tuple[float, str]:
        """The longest time and whose it was."""
        return max(((took_s, name) for name, took_s in self.longest_s.items()), default=(0.0, ""))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure for the length of the context."""
        run = asyncio.Handle._run  # noqa: SLF001 - the one place that all callbacks pass

        def timed(handle: asyncio.Handle) -> None:
            begun_s, collected_s = time.thread_time(), self._all_collected_s
            try:
                run(handle)
            finally:
                took_s = time.thread_time() - begun_s - (self._all_collected_s - collected_s)
                if took_s >= _LONG_S:
                    self._note(_name(handle), took_s)

        asyncio.Handle._run = timed  # type: ignore[method-assign,assignment,unused-ignore]  # noqa: SLF001
        gc.callbacks.append(self._collected)
        try:
            yield
        finally:
            gc.callbacks.remove(self._collected)
            asyncio.Handle._run = run  # type: ignore[method-assign,assignment,unused-ignore]  # noqa: SLF001

    def _note(self, name: str, took_s: float) -> None:
        if not name.startswith(self._ignored):
            self.longest_s[name] = max(took_s, self.longest_s.get(name, 0.0))
            self.long[name] += 1

    def _collected(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_s = time.thread_time()
        else:
            took_s = time.thread_time() - self._collecting_s
            self._all_collected_s += took_s
            self.collected_s = max(self.collected_s, took_s)


class CallTimes:
    """
    CPU time of calls of functions, in all threads; a call within another one that is timed here counts as part of it.

    Attributes:
        spent_s: of each call.
    """

    def __init__(self) -> None:
        self.spent_s: list[float] = []
        self._thread = threading.local()

    def watch(self, owner: Any, name: str) -> None:  # noqa: ANN401 - a module or a class
        """Have each call of a function timed."""
        original = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as the function has it
            if getattr(self._thread, "is_timed", False):
                return original(*given, **named)
            self._thread.is_timed, started_s = True, time.thread_time()
            try:
                return original(*given, **named)
            finally:
                self.spent_s.append(time.thread_time() - started_s)
                self._thread.is_timed = False

        setattr(owner, name, timed)


def _name(handle: asyncio.Handle) -> str:
    callback: Any = handle._callback  # type: ignore[attr-defined]  # noqa: SLF001
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return owner.get_name()
    return getattr(callback, "__qualname__", None) or repr(callback)
