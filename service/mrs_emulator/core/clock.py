"""Where time comes from: anything with two readings will do, so that simulations can bend it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of one clock."""

    def now_ms(self) -> int:
        """Return wall time in milliseconds since the epoch, UTC."""

    def monotonic_s(self) -> float:
        """Return seconds on a clock that never goes back; only differences mean something."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return wall time in milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return seconds on the event loop's clock (needs a running loop)."""
        return asyncio.get_running_loop().time()
