"""
The troubles of the kill loop, in three lanes that run side by side, so that one trouble meets another.

    relays    killed, ended or frozen, at random or at a named point, joined and left
    MRS       replies lost or garbled, refusals, 429 storms, slowness
    broker    killed, restarted in order, frozen

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
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.support import brokers, chaos_fleet, chaos_relay, service

SESSION_S = 3.0
SETTLE_S = 3.0
_FREEZE_S = (SESSION_S + 0.3, SESSION_S + 2.0)
"""
Longer than the session, so that others take over; shorter than session and wait for late requests together: a process
that is frozen for longer between its last look and its write to the socket is the one thing that nobody can exclude.
"""

_POINT_S = 20.0
_FAULT_S = 8.0

Trouble = Callable[[], Awaitable[bool]]


@dataclass(eq=False)
class Troubles:
    """All that can be done; each method says whether it has bitten."""

    fleet: chaos_fleet.Fleet
    mrs: service.Emulator
    kafka: brokers.KafkaNode
    chance: random.Random
    count: Counter[str]
    faults: list[str] = field(default_factory=list)
    slowest_recovery_s: float = 0.0

    # relays

    def of_relays(self) -> dict[str, tuple[Trouble, int]]:
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

    async def _kill(self) -> bool:
        relay = await self.fleet.take()
        await asyncio.to_thread(relay.process.kill)
        await self.fleet.give(relay)
        return True

    async def _die(self, point: str) -> bool:
        relay = await self.fleet.take()
        relay.order(point, self.chance.randint(1, 6), signal.SIGKILL)
        await chaos_fleet.until(lambda: not relay.process.alive, _POINT_S)
        reached = relay.reached
        await self.fleet.give(relay)
        return reached

    async def _die_at_start(self, point: str) -> bool:
        """A relay dies, and so does its successor, while it takes over."""
        order = (point, self.chance.randint(1, 3), signal.SIGKILL)
        victim = await self.fleet.take()
        doomed = await self.fleet.start(order, taken=True)
        await asyncio.to_thread(victim.process.kill)
        await self.fleet.give(victim)
        await chaos_fleet.until(lambda: not doomed.process.alive, _POINT_S)
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
        reached = await chaos_fleet.until(lambda: relay.reached, _POINT_S)
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
        at_work = await chaos_fleet.until(lambda: newcomer.commits > 0, _POINT_S)
        newcomer.taken = False
        await self._end(await self.fleet.take())
        return at_work

    async def _end(self, relay: chaos_fleet.Relay) -> None:
        code = await asyncio.to_thread(relay.process.stop, 30.0)
        if code:
            self.faults.append(f"{relay.place.stem} answered SIGTERM with {code}")
        await self.fleet.give(relay)

    # MRS

    def of_mrs(self) -> dict[str, tuple[Trouble, int]]:
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
        }

    async def _slow(self) -> bool:
        return await self._fault(10, action="latency", seconds=self.chance.uniform(0.1, 2.5))

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

    # broker

    def of_broker(self) -> dict[str, tuple[Trouble, int]]:
        """Name -> the trouble and its weight."""
        return {
            "broker SIGKILL": (self._broker_dies, 2),
            "broker SIGTERM": (self._broker_restarts, 1),
            "broker SIGSTOP": (self._broker_hangs, 1),
        }

    async def _broker_dies(self) -> bool:
        await asyncio.to_thread(self.kafka.kill)
        await asyncio.sleep(self.chance.uniform(0.0, 2.0))
        await asyncio.to_thread(self.kafka.start)
        return await self._recovered()

    async def _broker_restarts(self) -> bool:
        await asyncio.to_thread(self.kafka.restart)
        return await self._recovered()

    async def _broker_hangs(self) -> bool:
        self.kafka.send(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(1.0, 2 * SESSION_S))
        self.kafka.send(signal.SIGCONT)
        return await self._recovered()

    async def _recovered(self) -> bool:
        """Wait until some relay commits again."""
        began_s = time.monotonic()
        before = {relay: relay.commits for relay in self.fleet.relays}
        await chaos_fleet.until(lambda: any(relay.commits > before.get(relay, 0) for relay in self.fleet.relays), 60.0)
        self.slowest_recovery_s = max(self.slowest_recovery_s, time.monotonic() - began_s)
        return True


def plan(kinds: Mapping[str, tuple[Trouble, int]], count: int, chance: random.Random) -> Sequence[str]:
    """Draw `count` names: first each once, then by weight."""
    names = list(kinds)
    chance.shuffle(names)
    weights = [kinds[name][1] for name in names]
    return [*names, *chance.choices(names, weights, k=max(0, count - len(names)))][:count]
