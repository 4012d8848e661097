"""
The relay, made to die at a named point: `python -m tests.support.chaos_relay serve`.

CHAOS_POINT is one of POINTS, CHAOS_NTH the passing at which the process ends as by SIGKILL. The product knows nothing
of this: the functions are wrapped from outside.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from mrs_relay.cli import main
from mrs_relay.mrs import transport
from mrs_relay.stream import ledger

POINTS = (
    "before commit",
    "after commit",
    "before POST",
    "after POST",
    "in restore",
    "after claim",
)


class _Countdown:
    def __init__(self, point: str, nth: int) -> None:
        self._point = point
        self._left = nth

    def pass_(self, point: str) -> None:
        """Die if this is the one."""
        if point == self._point:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _around(
    call: Callable[..., Awaitable[Any]], before: Callable[..., None], after: Callable[..., None]
) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(call)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        before(*args)
        result = await call(*args, **kwargs)
        after(*args)
        return result

    return wrapped


def arm(point: str, nth: int) -> None:
    """Wrap the functions at whose edges the process may die."""
    countdown = _Countdown(point, nth)

    def always(name: str) -> Callable[..., None]:
        return lambda *_args: countdown.pass_(name)

    def posting(name: str) -> Callable[..., None]:
        return lambda _door, request, *_more: countdown.pass_(name) if request.verb == "POST" else None

    setattr(ledger.Ledger, "commit", _around(ledger.Ledger.commit, always("before commit"), always("after commit")))  # noqa: B010 - a method from outside
    setattr(ledger.Ledger, "_claim", _around(ledger.Ledger._claim, always("-"), always("after claim")))  # noqa: B010 - the same
    read = ledger.Ledger._read
    setattr(ledger.Ledger, "_read", _around(read, always("in restore"), always("-")))  # noqa: B010 - the same
    send = transport.AiohttpTransport.send
    setattr(transport.AiohttpTransport, "send", _around(send, posting("before POST"), posting("after POST")))  # noqa: B010 - the same


if __name__ == "__main__":
    if os.environ.get("CHAOS_POINT"):
        arm(os.environ["CHAOS_POINT"], int(os.environ.get("CHAOS_NTH", "1")))
    main.main()
