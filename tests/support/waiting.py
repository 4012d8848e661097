"""Waits on conditions. Their limit is for a test that hangs: a slow machine is no failure."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

import pytest

LIMIT_S = 120.0
_EVERY_S = 0.1


async def until(fulfilled: Callable[[], bool | Awaitable[bool]], found: Callable[[], object] | None = None) -> None:
    """
    Ask again and again until a condition is fulfilled, and fail the test when it is not in `LIMIT_S`.

    Args:
        fulfilled: whether it is, or a coroutine that says so.
        found: what there is instead, for the failure.
    """
    ends_s = time.monotonic() + LIMIT_S
    while True:
        answer = fulfilled()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        if time.monotonic() > ends_s:
            pytest.fail(f"not within {LIMIT_S:g} s{'' if found is None else f': {found()}'}")
        await asyncio.sleep(_EVERY_S)
