"""
Permission to send, asked when a connection is there, immediately before a request is written.

Opening a connection takes the network's time, and a process may be frozen in it. What allowed a submission before may
be gone then: another process owns its partition, and has looked for the job.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Final

_ASKED: Final = contextvars.ContextVar[Callable[[], bool] | None]("may_send", default=None)


@contextlib.contextmanager
def asking(may_send: Callable[[], bool]) -> Iterator[None]:
    """Have every request of this task in the context ask before it is written; False: it raises NotSent."""
    token = _ASKED.set(may_send)
    try:
        yield
    finally:
        _ASKED.reset(token)


def is_granted() -> bool:
    """Return whether the request may be written now."""
    may_send = _ASKED.get()
    return may_send is None or may_send()
