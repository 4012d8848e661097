"""A deployment in virtual time that reads rows from the emulator's OBS."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.support import objects, service_harness


@contextlib.asynccontextmanager
async def started(**groups: Any) -> AsyncIterator[tuple[service_harness.ServiceHarness, objects.ObjectDoor]]:
    """Yield one replica; `groups`: of settings, for those that are to differ."""
    chosen = service_harness.settings(**{"results": {"path": "obs://lake/results"}, **groups})
    async with service_harness.start(chosen, replicas=0) as here:
        here.objects = door = objects.ObjectDoor(here.mrs)
        await here.start_replica()
        yield here, door
