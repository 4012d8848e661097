"""
The kill loop's troubles of relays and of MRS; those of Kafka and of the network are in `chaos_kafka`, `chaos_network`.

    relays    killed, ended or frozen, at random or at a named point, joined and left
    MRS       replies lost or garbled, refusals, 429 storms, slowness
    OBS       replies lost, refusals, objects missing, slowness

A trouble counts only if it has bitten: the process died at the point, the calls were hit. One that has not is done
again.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.support import chaos_fleet, chaos_relay, service

SESSION_S = 3.0
SETTLE_S = 3.0
_FREEZE_S = (SESSION_S + 0.3, SESSION_S + 2.0)
"""
Longer than the session, so that others take over; shorter than session and wait for late requests together: a process
that is frozen for longer between its last look and its write to the socket is the one case that cannot be excluded.
"""

_FAULT_S = 8.0
_READ = {"operation": "OBS.GetObject"}

Trouble = Callable[[], Awaitable[bool]]


@dataclass(eq=False)
class RelayTroubles:
    """
    All that can be done to the relays of a fleet; each method says whether it has bitten.

    Args:
        point_s: longest wait until a relay passes the point where it is to die.
    """

    fleet: chaos_fleet.Fleet
    chance: random.Random
    point_s: float

    def kinds(self) -> dict[str, tuple[Trouble, int]]:
        """Name -> the trouble and its weight."""
        at_work = {f"relay dies {point}": (partial(self._die, point), 2) for point in chaos_relay.AT_WORK}
        at_start = {f"relay dies {point}": (partial(self._die_at_start, point), 1) for point in chaos_relay.AT_START}
        frozen = {f"relay freezes {point}": (partial(self._freeze, point), 1) for point in chaos_relay.AT_WORK}
        return {
            "relay SIGKILL": (self._kill, 5),
            **at_work,
            **at_start,
            "relay SIGSTOP": (self._stand_still, 3),
            **frozen,
            "relay SIGTERM": (self._terminate, 2),
            "relay joins, another leaves": (self._join, 3),
        }

    def killing(self) -> dict[str, tuple[Trouble, int]]:
        """Name -> the trouble and its weight, where each takeover takes long: mostly kills."""
        few = ("relay SIGSTOP", "relay SIGTERM", "relay joins, another leaves")
        kinds = self.kinds()
        at_points = {name: kind for name, kind in kinds.items() if name.startswith("relay dies")}
        return {"relay SIGKILL": (self._kill, 5), **at_points, **{name: (kinds[name][0], 1) for name in few}}

    async def _kill(self) -> bool:
        relay = await self.fleet.take()
        await asyncio.to_thread(relay.process.kill)
        await self.fleet.give(relay)
        return True

    async def _die(self, point: str) -> bool:
        relay = await self.fleet.take()
        relay.order(point, self.chance.randint(1, 6), signal.SIGKILL)
        await chaos_fleet.until(lambda: not relay.process.alive, self.point_s)
        reached = relay.reached
        await self.fleet.give(relay)
        return reached

    async def _die_at_start(self, point: str) -> bool:
        """Let a relay die, and so its successor, while it takes over."""
        order = (point, self.chance.randint(1, 3), signal.SIGKILL)
        victim = await self.fleet.take()
        doomed = await self.fleet.start(order, taken=True)
        await asyncio.to_thread(victim.process.kill)
        await self.fleet.give(victim)
        await chaos_fleet.until(lambda: not doomed.process.alive, self.point_s)
        reached = doomed.reached
        await self.fleet.give(doomed)
        return reached

    async def _stand_still(self) -> bool:
        relay = await self.fleet.take()
        relay.process.send(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(*_FREEZE_S))
        relay.process.send(signal.SIGCONT)
        await self.fleet.give(relay)
        return True

    async def _freeze(self, point: str) -> bool:
        relay = await self.fleet.take()
        relay.order(point, self.chance.randint(1, 6), signal.SIGSTOP)
        reached = await chaos_fleet.until(lambda: relay.reached, self.point_s)
        if reached:
            await asyncio.sleep(self.chance.uniform(*_FREEZE_S))
        relay.forget()
        relay.process.send(signal.SIGCONT)
        await self.fleet.give(relay)
        return reached

    async def _terminate(self) -> bool:
        await self._end(await self.fleet.take())
        return True

    async def _join(self) -> bool:
        newcomer = await self.fleet.start(taken=True)
        at_work = await chaos_fleet.until(lambda: newcomer.commits > 0, self.point_s)
        newcomer.taken = False
        await self._end(await self.fleet.take())
        return at_work

    async def _end(self, relay: chaos_fleet.Relay) -> None:
        await self.fleet.end(relay)
        await self.fleet.give(relay)


@dataclass(eq=False)
class MrsTroubles:
    """All that can be done to MRS and OBS; each method says whether it has bitten."""

    mrs: service.Emulator
    chance: random.Random
    count: Counter[str]

    def kinds(self) -> dict[str, tuple[Trouble, int]]:
        """Name -> the trouble and its weight."""
        submission = {"operation": "CreateExecuteJob"}
        return {
            "MRS: request lost": (partial(self._fault, 5, action="drop_before", **submission), 3),
            "MRS: reply lost": (partial(self._fault, 5, action="drop_after", **submission), 5),
            "MRS: reply cut off": (partial(self._fault, 3, action="half_body", **submission), 2),
            "MRS: any reply lost": (partial(self._fault, 8, action="drop_after"), 2),
            "MRS: 429 storm": (
                partial(self._fault, 20, action="status", status=429, headers={"Retry-After": "1"}),
                3,
            ),
            "MRS: cluster full": (partial(self._fault, 10, action="busy", **submission), 2),
            "MRS: 502 and done": (partial(self._fault, 5, action="status_after", status=502, **submission), 3),
            "MRS: 503": (partial(self._fault, 10, action="status", status=503), 2),
            "MRS: slow": (self._slow, 3),
            "OBS: reply lost": (partial(self._fault, 5, action="drop_after", **_READ), 2),
            "OBS: object missing": (partial(self._fault, 5, action="status", status=404, **_READ), 2),
            "OBS: 503": (partial(self._fault, 5, action="status", status=503, **_READ), 2),
            "OBS: slow": (self._slow_objects, 2),
        }

    async def _slow(self) -> bool:
        return await self._fault(10, action="latency", seconds=self.chance.uniform(0.1, 2.5))

    async def _slow_objects(self) -> bool:
        return await self._fault(5, action="latency", seconds=self.chance.uniform(0.5, 7.0), **_READ)

    async def _fault(self, most: int, **order: Any) -> bool:
        """Have some calls hit, and wait until they were; late ones are let off."""
        count = self.chance.randint(1, most)
        await asyncio.to_thread(self.mrs.fault, count=count, **order)
        until_s = time.monotonic() + _FAULT_S
        hits = 0
        while hits < count and time.monotonic() < until_s:
            await asyncio.sleep(0.2)
            hits = min(count, await asyncio.to_thread(self.mrs.hits))
        await asyncio.to_thread(self.mrs.lift)
        self.count["calls of MRS hit"] += hits
        return hits > 0


def plan(kinds: Mapping[str, tuple[Trouble, int]], count: int, chance: random.Random) -> Sequence[str]:
    """Draw `count` names: first each once, then by weight."""
    names = list(kinds)
    chance.shuffle(names)
    weights = [kinds[name][1] for name in names]
    return [*names, *chance.choices(names, weights, k=max(0, count - len(names)))][:count]
