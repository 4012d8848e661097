"""
The relay, made to die or freeze at a named point: `python -m tests.support.chaos_relay serve`.

CHAOS_PLACE is the beginning of three paths of its own. `….order` tells what to do, `POINT NTH SIGNAL`, and may come at
any time; `….reached` says afterwards that it was done; `….commits` grows by a byte with each commit. The product knows
nothing of this: the functions are wrapped from outside.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mrs_relay.cli import main
from mrs_relay.engine.execution import chunk_sink
from mrs_relay.kafka import ledger
from mrs_relay.kafka.adapter import producer
from mrs_relay.mrs import transport

AT_WORK = (
    "before the commit",
    "between records and commit",
    "after the commit",
    "before the POST",
    "after the POST",
    "between chunks",
)
"""Points that a relay passes all the time. Without transactions the second is between the ledger and the events."""

AT_START = (
    "before the claim",
    "after the claim",
    "in the restore",
    "after the restore",
)
"""Points that it passes for each partition that it is given."""


CHUNK_BYTES = 2_048
"""So small that rows of some kilobytes have many chunks."""


class Countdown:
    """
    Counts the passings of the ordered point.

    Args:
        place: beginning of the paths.
    """

    def __init__(self, place: str) -> None:
        self._order = Path(f"{place}.order")
        self._reached = Path(f"{place}.reached")
        self._passed = 0

    def pass_(self, point: str) -> None:
        """Do what was ordered if this is the point and the passing."""
        try:
            ordered, nth, number = self._order.read_text().rsplit(" ", 2)
        except FileNotFoundError:
            self._passed = 0
            return
        if point != ordered:
            return
        self._passed += 1
        if self._passed == int(nth):
            self._passed = 0
            self._order.unlink()
            self._reached.write_text(point)
            os.kill(os.getpid(), signal.Signals(int(number)))


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


def arm(place: str) -> None:
    """Wrap the functions at whose edges something may happen."""
    countdown = Countdown(place)
    commits = os.open(f"{place}.commits", os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

    def at(name: str) -> Callable[..., None]:
        return lambda *_args: countdown.pass_(name)

    def posting(name: str) -> Callable[..., None]:
        return lambda _door, request, *_more: countdown.pass_(name) if request.verb == "POST" else None

    def committed(*_args: object) -> None:
        os.write(commits, b".")
        countdown.pass_("after the commit")

    def nothing(*_args: object) -> None:
        pass

    wrap(ledger.Ledger, "commit", at("before the commit"), committed)
    wrap(ledger.Ledger, "_claim", at("before the claim"), at("after the claim"))
    wrap(ledger.Ledger, "_catch_up", at("in the restore"), nothing)
    wrap(ledger.Ledger, "_read", at("in the restore"), nothing)
    wrap(ledger.Ledger, "open", nothing, at("after the restore"))
    wrap(producer.KafkaProducer, "_deliver", nothing, at("between records and commit"))
    wrap(chunk_sink.ChunkSink, "_write", nothing, at("between chunks"))
    setattr(chunk_sink, "_CHUNK_BYTES", CHUNK_BYTES)  # noqa: B010 - a size that no setting changes
    wrap(transport.AiohttpTransport, "send", posting("before the POST"), posting("after the POST"))


def wrap(owner: type, name: str, before: Callable[..., None], after: Callable[..., None]) -> None:
    """Have `before` and `after` called around a method."""
    setattr(owner, name, _around(getattr(owner, name), before, after))


if __name__ == "__main__":
    arm(os.environ["CHAOS_PLACE"])
    main.main()
