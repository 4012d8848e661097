"""Turns that other work of the event loop gets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Turns:
    """
    Counts the turns of a task that is always ready.

    Attributes:
        count: so far; may be set to 0.
    """

    def __init__(self) -> None:
        self.count = 0

    async def take(self) -> None:
        """Take a turn whenever there is one."""
        while True:
            self.count += 1
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def counted() -> AsyncIterator[Turns]:
    """Count the turns within the context."""
    turns = Turns()
    task = asyncio.create_task(turns.take(), name="turns")
    try:
        yield turns
    finally:
        task.cancel()
        await asyncio.wait([task])
