"""
The signals that end a program in order: SIGTERM, SIGINT (Ctrl-C) and SIGHUP (its terminal was closed).

One that the process was started to ignore stays ignored: `nohup` does that with SIGHUP, a script's shell with SIGINT
for what it starts in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Final


def _known(*names: str) -> tuple[signal.Signals, ...]:
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


ENDING: Final = _known("SIGTERM", "SIGINT", "SIGHUP")
"""Those that the platform has; Windows knows no SIGHUP."""

FROM_OUTSIDE: Final = _known("SIGTERM", "SIGHUP")
"""Those that asyncio does not handle by itself, as it does with Ctrl-C."""


def handle(
    handler: Callable[[signal.Signals], object], numbers: Sequence[signal.Signals] = ENDING
) -> list[signal.Signals]:
    """
    Have the running loop call the handler for each of the signals, but for ignored ones; returns the handled ones.

    Where a loop cannot handle signals, as on Windows or outside the main thread, they keep the meaning that they have.
    """
    if threading.current_thread() is not threading.main_thread():
        return []
    loop = asyncio.get_running_loop()
    handled = []
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, handler, number)
                handled.append(number)
    return handled
