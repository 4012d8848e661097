"""
The signals that end a program in order: SIGTERM, SIGINT (Ctrl-C) and SIGHUP (its terminal was closed).

To a program without a terminal, such as a service or a container, SIGHUP can only mean that it is to read its settings
again; `has_terminal` distinguishes the two.

A signal that was ignored when the process started stays ignored: `nohup` ignores SIGHUP, and a script's shell ignores
SIGINT for its background commands.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Final


def _known(*names: str) -> tuple[signal.Signals, ...]:
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


ENDING: Final = _known("SIGTERM", "SIGINT", "SIGHUP")
"""The ending signals that the platform has; Windows has no SIGHUP."""

FROM_OUTSIDE: Final = _known("SIGTERM", "SIGHUP")
"""The ending signals that asyncio does not handle itself; it handles Ctrl-C."""


def has_terminal() -> bool:
    """Return whether this process has a controlling terminal, whose end would send it SIGHUP."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def handle(
    handler: Callable[[signal.Signals], object], numbers: Sequence[signal.Signals] = ENDING
) -> list[signal.Signals]:
    """
    Register the handler with the running loop for each signal that is not ignored; returns the handled signals.

    Where a loop cannot handle signals, as on Windows or outside the main thread, they keep their present handlers.
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
