"""
The one place that starts an event loop, and the exit codes that every command uses.

A command returns normally (0), raises `typer.Exit` with a code of its own, or raises an error of `errors`, which
`code_of` turns into an exit code and one line on standard error.
"""

from __future__ import annotations

import asyncio
import enum
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from mrs_relay import errors
from mrs_relay.common import signals

T = TypeVar("T")


class Code(enum.IntEnum):
    """The meaning of an exit code, the same for every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


CODES: Final = (
    "Exit codes: 0 done; 1 a job failed, was rejected or is unknown, or a check found problems; "
    "2 wrong usage, settings or request, nothing was sent; 3 Kafka, MRS or OBS cannot be reached."
)


def epilog(*examples: str) -> str:
    """Make the end of a command's help: examples, a line each, and the exit codes."""
    head = f"{'Examples' if len(examples) > 1 else 'Example'}:"
    return "\n".join([head, *(f"  {line}" for line in examples), "", CODES]) if examples else CODES


def loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a new event loop; Ctrl-C, SIGTERM and SIGHUP cancel it and raise KeyboardInterrupt."""
    interrupted = False

    async def main() -> T:
        task = asyncio.current_task()

        def interrupt(_number: signal.Signals) -> None:
            nonlocal interrupted
            interrupted = True
            if task is not None:
                task.cancel()

        signals.handle(interrupt, signals.FROM_OUTSIDE)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise


def code_of(error: errors.RelayError) -> Code:
    """Return the exit code for the kind of `error`."""
    match error:
        case errors.SettingsError() | errors.BadMessage() | errors.BadFile():
            return Code.USAGE
        case errors.StreamDown() | errors.MrsUntouched() | errors.MrsAmbiguous() | errors.MrsThrottled():
            return Code.UNREACHABLE
        case errors.ObsDown():
            return Code.UNREACHABLE
        case _:
            return Code.FAILED


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM, SIGHUP and Ctrl-C set; needs a running loop."""
    stop = asyncio.Event()
    signals.handle(lambda _number: stop.set())
    return stop
