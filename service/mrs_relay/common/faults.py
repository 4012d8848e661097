"""
Describe an unexpected error without its text: its class and where it was raised.

The text of such an error is left out, because libraries quote the value that they failed on, such as a request's SQL
or a password.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mrs_relay import errors

_MOST_FRAMES: Final = 24
_PACKAGE: Final = "mrs_relay"


def name(error: BaseException) -> str:
    """Return the error's class, after the classes of the errors that it came from: `KeyError -> ValueError`."""
    return " -> ".join(type(one).__name__ for one in reversed(_chain(error)))


def stack(error: BaseException) -> str:
    """Return the stack of the first cause, outermost frame first, without texts and values."""
    frames = [
        f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(_chain(error)[-1].__traceback__)
    ]
    half = _MOST_FRAMES // 2
    if len(frames) > _MOST_FRAMES:
        frames = [*frames[:half], f"({len(frames) - 2 * half} more)", *frames[-half:]]
    return " > ".join(frames)


def trace(error: BaseException) -> str:
    """
    Return what Python prints of an unexpected error and its causes, without the texts of errors that are not our own.

    Of a failure of the system its usual text is shown, such as "No such file or directory".
    """
    return "\n".join(_traced(error))


def _traced(error: BaseException) -> Iterator[str]:
    for number, one in enumerate(reversed(_chain(error))):
        if number:
            yield "\nThe error above led to this one:\n"
        yield "Traceback (most recent call last):"
        yield from (line.rstrip() for line in traceback.format_tb(one.__traceback__))
        yield f"{type(one).__name__}{_own_text(one)}"
        if isinstance(one, BaseExceptionGroup):
            for inner in one.exceptions:
                yield from (f"  | {line}" for part in _traced(inner) for line in part.splitlines())


def _own_text(error: BaseException) -> str:
    if isinstance(error, errors.RelayError):
        return f": {error}"
    strerror = error.strerror if isinstance(error, OSError) else None
    return f": {strerror}" if isinstance(strerror, str) else ""


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error and the chain of its causes, the first cause last."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _short(file: str) -> str:
    parts = Path(file).parts
    return "/".join(parts[parts.index(_PACKAGE) :] if _PACKAGE in parts else parts[-2:])
