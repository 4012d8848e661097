"""Find asyncio tasks that a test leaves behind, and wait for the end of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from tests.support import waiting

_GRACE_S = 2.0
"""For tasks that have been cancelled or are at their last step, which takes a busy machine a while."""


async def end_left_behind(before: Collection[asyncio.Task[Any]]) -> list[str]:
    """
    Name the tasks of this loop that are neither in `before` nor about to end, and cancel them.

    Args:
        before: the tasks that ran when the test began.
    """
    extra = asyncio.all_tasks() - set(before) - {asyncio.current_task()}
    if not extra:
        return []
    _, left = await asyncio.wait(extra, timeout=_GRACE_S)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=1.0)
    return sorted(f"{task.get_name()}: {task.get_coro()}" for task in left)


async def until_disconnected() -> None:
    """Wait until this loop has no connection left: TLS takes its leave of the other side, which may be busy."""
    loop: Any = asyncio.get_running_loop()
    await waiting.until(lambda: len(loop._selector.get_map()) <= 1)  # its own pipe
    await asyncio.sleep(0.05)  # for the last step of each
