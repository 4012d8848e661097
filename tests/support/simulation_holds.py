"""Controls in a simulated world: scopes are held, drained and released while everything else goes wrong."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Final

from tests.support import service

from mrs_relay.kafka.memory import memory_broker

_TOPIC: Final = "mrs.control"
_SCOPES: Final = ("all", "type/job", "type/sql", f"cluster/{service.CLUSTER}", "tenant/a", "tenant/")
"""The last one is none: it is passed over."""


async def play(hub: memory_broker.MemoryBroker, chance: random.Random, troubles: Counter[str]) -> None:
    """Set and lift controls until cancelled; then lift all."""
    try:
        while True:
            await asyncio.sleep(chance.uniform(1, 10))
            scope = chance.choice(_SCOPES)
            mode = chance.choice(("hold", "drain", "quarantine"))
            hub.put(_TOPIC, 0, scope.encode(), b'{"mode": "%s", "reason": "why"}' % mode.encode())
            troubles["controls"] += 1
            await asyncio.sleep(chance.uniform(0.5, 8))
            if chance.random() < 0.7:
                hub.put(_TOPIC, 0, scope.encode(), None)
    finally:
        for scope in _SCOPES:
            hub.put(_TOPIC, 0, scope.encode(), None)
