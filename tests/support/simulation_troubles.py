"""What goes wrong in a simulated world, drawn from its seed, until it is healed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

from tests.support import simulation_fleet, simulation_machine

from mrs_relay import wiring
from mrs_relay.kafka.memory import memory_broker


@dataclass(eq=False)
class Troubles:
    """
    Makes one trouble after the other.

    Attributes:
        count: how often what went wrong.
        hanging: the chance of a late answer from MRS while there is one.
    """

    fleet: simulation_fleet.Fleet
    hub: memory_broker.MemoryBroker
    weather: simulation_machine.Weather
    trace: simulation_machine.Trace
    chance: random.Random
    count: Counter[str]
    hanging: float = 0.0

    async def go_on(self) -> None:
        """Make trouble until cancelled."""
        chance = self.chance
        kinds = (
            self._crash,
            self._crash,
            self._stand_still,
            self._stand_still,
            self._stand_still_after_commit,
            self._stop_in_order,
            self._join,
            self._rebalance,
            self._evict,
            self._lose_commit,
            self._lose_commit,
            self._broker_down,
            self._turn_weather,
            self._turn_weather,
            self._turn_weather,
        )

        while True:
            await asyncio.sleep(chance.expovariate(1 / 4))
            work = chance.choice(kinds)
            name = work.__name__.strip("_")
            self.count[name] += 1
            self.trace.add(name)
            await work()

    def heal(self) -> None:
        """End all trouble."""
        self.trace.add("healed")
        self.hub.come_up()
        self.hub._faults.clear()
        self.fleet.nature.trap = None
        for name in self.weather.__slots__:
            setattr(self.weather, name, 0.0)
        for replica in self.fleet.replicas:
            if replica.machine.frozen and not replica.machine.dead:
                replica.machine.thaw()
        if not self.fleet.running:
            self.fleet.start()

    async def _crash(self) -> None:
        if running := self.fleet.running:
            self.fleet.kill(self.chance.choice(running))
        if self.chance.random() < 0.7:
            await asyncio.sleep(self.chance.uniform(0, 5))
            self.fleet.start()

    async def _stop_in_order(self) -> None:
        if running := self.fleet.running:
            wiring.stop(self.chance.choice(running).served)
            self.fleet.start()

    async def _join(self) -> None:
        if len(self.fleet.running) < 4:
            self.fleet.start()

    async def _stand_still(self) -> None:
        if running := self.fleet.running:
            self.fleet.freeze(self.chance.choice(running), self.chance.choice((0.5, 3.0, 8.0, 15.0, 30.0)))

    async def _stand_still_after_commit(self) -> None:
        self.fleet.set_trap(self.chance.choice((8.0, 15.0, 30.0)))

    async def _rebalance(self) -> None:
        self.chance.choice(list(self.hub._groups.values())).rebalance()

    async def _evict(self) -> None:
        if members := [member for group in self.hub._groups.values() for member in group.members]:
            self.chance.choice(members).evict()

    async def _lose_commit(self) -> None:
        self.hub.fail_writes(self.chance.choice((1, 1, 3)), applied=self.chance.random() < 0.5)

    async def _broker_down(self) -> None:
        self.hub.go_down()
        await asyncio.sleep(self.chance.choice((0.5, 4.0, 20.0)))
        self.hub.come_up()

    async def _turn_weather(self) -> None:
        chance, weather = self.chance, self.weather
        weather.drop = chance.choice((0.0, 0.1, 0.5))
        weather.refuse = chance.choice((0.0, 0.1, 0.5))
        weather.slow = chance.choice((0.0, 0.1, 0.5))
        weather.unreached = chance.choice((0.0, 0.0, 0.02, 0.2))
        weather.slow_broker = chance.choice((0.0, 0.1, 0.5))
        weather.tainted = chance.choice((0.0, 0.0, 0.2))
        weather.hanging = chance.choice((0.0, self.hanging))
