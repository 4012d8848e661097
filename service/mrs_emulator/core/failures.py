"""
What can go wrong inside the emulator; a class says what the caller may do.

    EmulatorError
    ├─ CannotStart      refuse to start; the message says what to change
    │   └─ SqlMissing   DuckDB or sqlglot is not installed; the message says how to install them
    ├─ BadObsPath       an obs:// path is malformed or leads out of its folder: refuse the request
    ├─ SqlRefused       the statement is wrong or not played: the message is for the user
    └─ SqlQueueFull     too many statements wait: answer as a cluster that cannot take more

A refusal as MRS words it is no error of the emulator; see `refusals.py`.
"""

from __future__ import annotations


class EmulatorError(Exception):
    """Anything the emulator raises on purpose, apart from refusals that are meant for its clients."""


class CannotStart(EmulatorError):  # noqa: N818 - named for what happened, as in the tree above
    """The emulator cannot start; the message says what to change."""


class SqlMissing(CannotStart):
    """SQL was asked for, and DuckDB or sqlglot is not installed."""


class BadObsPath(EmulatorError):  # noqa: N818
    """An obs:// path that is malformed, or that leads out of the folder which plays OBS."""


class SqlRefused(EmulatorError):  # noqa: N818
    """
    A statement that does not parse or that the emulator does not play.

    Attributes:
        line: line of the offending text, from 1, or None.
        column: column of the offending text, from 1, or None.
    """

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


class SqlQueueFull(EmulatorError):  # noqa: N818
    """More statements wait than the settings allow."""
