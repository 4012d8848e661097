"""
Permission to send, asked when a connection is there, immediately before a request is written.

Opening a connection takes the network's time, and a process may be frozen in it. What allowed a submission before may
be gone then: another process owns its partition, and has looked for the job.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Final

_ASKED: Final = contextvars.ContextVar[Callable[[], bool] | None]("may_send", default=None)


class asking:  # noqa: N801 - used as a function
    """
    Have every request of this task in the context ask before it is written; False: it raises NotSent.

    Args:
        may_send: is asked.
    """

    __slots__ = ("_may_send", "_token")

    def __init__(self, may_send: Callable[[], bool]) -> None:
        self._may_send = may_send

    def __enter__(self) -> None:
        self._token = _ASKED.set(self._may_send)

    def __exit__(self, *error: object) -> None:
        _ASKED.reset(self._token)


def is_granted() -> bool:
    """Return whether the request may be written now."""
    may_send = _ASKED.get()
    return may_send is None or may_send()
