"""
Count the jobs under way that drains wait for, and log once when the last one of this process has ended.

Each replica counts its own partitions; `mrs-relay drain --wait` reads the ledgers of all.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.messages import controls

_EVERY_S: Final = 1.0

log = structlog.get_logger(__name__)


class Drains:
    """
    Watch the drains in effect.

    Args:
        found: the controls; its `draining` is kept up to date.
    """

    def __init__(self, found: standing.Controls) -> None:
        self._controls = found
        self._changed = asyncio.Event()
        self._ended: set[controls.Control] = set()
        found.on_change(self._changed.set)

    async def run(self) -> None:
        """Count each second while there is a drain, until cancelled."""
        while True:
            if not await self._count():
                self._changed.clear()
                await self._changed.wait()
            await asyncio.sleep(_EVERY_S)

    async def _count(self) -> bool:
        """Count once; returns whether there is a drain."""
        drains = [one for one in self._controls if one.mode == "drain"]
        self._controls.draining = await self._controls.under_way([one.scope for one in drains])
        self._ended &= set(drains)
        for one in drains:
            if not self._controls.draining[one.scope] and one not in self._ended:
                self._ended.add(one)
                log.info("drain_ended", scope=str(one.scope), by=one.by)
        return bool(drains)
