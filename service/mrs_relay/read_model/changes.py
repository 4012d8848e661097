"""Tell waiting readers of this process that the read model has changed."""

from __future__ import annotations

import asyncio


class Changes:
    """
    A signal without memory: take `next` first, then read the database, then wait.

    Attributes:
        next: is set by the next change.
        closed: no reader is to wait any longer.

    A change between the reading and the waiting is not missed, because it sets the event that was taken before.
    """

    def __init__(self) -> None:
        self.next = asyncio.Event()
        self.closed = False

    def announce(self) -> None:
        """Wake all who wait."""
        self.next, current = asyncio.Event(), self.next
        current.set()

    def close(self) -> None:
        """Wake all who wait, for the last time."""
        self.closed = True
        self.announce()


async def within(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for an event; False: it was not set in time."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
