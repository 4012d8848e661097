"""Find asyncio tasks that a test leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import looptime

_GRACE_S = 2.0
"""For tasks that have been cancelled or are at their last step, which takes a busy machine a while."""
_VIRTUAL_GRACE_S = 0.1


async def end_left_behind(before: Collection[asyncio.Task[Any]]) -> list[str]:
    """
    Name the tasks of this loop that are neither in `before` nor about to end, and cancel them.

    Args:
        before: the tasks that ran when the test began.
    """
    extra = asyncio.all_tasks() - set(before) - {asyncio.current_task()}
    if not extra:
        return []
    is_virtual = isinstance(asyncio.get_running_loop(), looptime.LoopTimeEventLoop)
    _, left = await asyncio.wait(extra, timeout=_VIRTUAL_GRACE_S if is_virtual else _GRACE_S)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=1.0)
    return sorted(f"{task.get_name()}: {task.get_coro()}" for task in left)
