"""
Limit how many lines of one event name are written, so that a storm of one event leaves the others readable.

Nothing is left out in silence: the first line that is left out is announced, and the number of all of them is written
when their minute is over, or at the end of the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

WINDOW_S: Final = 60.0

_MOST_NAMES: Final = 1000
"""Names that are counted at once; names of events are constants, those of libraries' loggers nearly so."""


@dataclass(slots=True)
class _Window:
    """
    The lines of one name since a moment.

    Attributes:
        begun_s: that moment, on the monotonic clock.
        written: lines that were written.
        left_out: lines that were not.
        level: the highest of those that were not.
    """

    begun_s: float
    written: int = 0
    left_out: int = 0
    level: int = 0


class LeftOut(NamedTuple):
    """
    What to say of lines that were left out.

    Attributes:
        name: of their event.
        number: how many they were; 0: the first of them is being left out.
        level: the highest of theirs.
    """

    name: str
    number: int
    level: int


class Rates:
    """
    Count lines by name; may be used by several threads.

    Args:
        most: lines of one name within a minute; 0: no limit.
        now_s: the monotonic clock.
        tell: writes what there is to say of lines that were left out; called outside of the lock.
    """

    def __init__(self, most: int, now_s: Callable[[], float], tell: Callable[[LeftOut], None]) -> None:
        self._most = most
        self._now_s = now_s
        self._tell = tell
        self._windows: dict[str, _Window] = {}
        self._next_s = 0.0
        self._lock = threading.Lock()

    def may_write(self, name: str, level: int) -> bool:
        """Return whether to write a line; if not, it has been counted."""
        if not self._most:
            return True

        now_s = self._now_s()
        with self._lock:
            over = list(self._over(now_s)) if now_s >= self._next_s else []
            window = self._windows.setdefault(name, _Window(now_s))
            self._next_s = min(self._next_s, window.begun_s + WINDOW_S)
            if is_written := window.written < self._most:
                window.written += 1
            else:
                window.left_out += 1
                window.level = max(window.level, level)
                if window.left_out == 1:
                    over.append(LeftOut(name, 0, level))

        for one in over:
            self._tell(one)
        return is_written

    def close(self) -> None:
        """Say what was left out and has not been said."""
        with self._lock:
            over = list(self._over(float("inf")))
        for one in over:
            self._tell(one)

    def _over(self, now_s: float) -> Iterator[LeftOut]:
        """End the windows that are over, and yield what to say of them."""
        ended = [name for name, one in self._windows.items() if now_s - one.begun_s >= WINDOW_S]
        if len(self._windows) > _MOST_NAMES:
            ended = list(self._windows)
        for name in ended:
            window = self._windows.pop(name)
            if window.left_out:
                yield LeftOut(name, window.left_out, window.level)
        begun_s = [one.begun_s for one in self._windows.values()]
        self._next_s = min(begun_s, default=now_s) + WINDOW_S
