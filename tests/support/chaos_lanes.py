"""
Lanes of the kill loop: troubles of one sort, one after the other; all lanes run side by side, so that troubles meet.

No lane runs far ahead of the slowest one. Otherwise the quick ones would be through when the slow ones have begun.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.support import chaos_delays, chaos_troubles

_TRIES = 20
_AHEAD = 0.1


@dataclass(eq=False)
class Lane:
    """
    Troubles of one sort.

    Args:
        sort: its name.
        kinds: name -> the trouble and its weight.
        names: which of them, in order.
        width: how many at once.
        suffix: behind their names in the table.

    Attributes:
        busy_s: how long its troubles have lasted together, each with those attempts that did not bite.
    """

    sort: str
    kinds: Mapping[str, tuple[chaos_troubles.Trouble, int]]
    names: Sequence[str]
    width: int = 1
    suffix: str = ""
    begun: int = 0
    ended: int = 0
    busy_s: float = 0.0

    @property
    def part(self) -> float:
        """How much of it is done, from 0 to 1."""
        return self.ended / len(self.names) if self.names else 1.0


@dataclass(eq=False)
class Schedule:
    """
    All lanes.

    Args:
        pause_s: shortest and longest pause of a lane between two troubles.
        look_s: how often a lane that waits for others looks at them.

    Attributes:
        done: how many troubles of each name have bitten.
        intervals: when each of them lasted.
        idle: how many attempts did not bite.
    """

    lanes: Sequence[Lane]
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    intervals: list[chaos_delays.Interval] = field(default_factory=list)
    idle: int = 0
    pause_s: tuple[float, float] = (0.1, 1.0)
    look_s: float = 0.2

    @property
    def total(self) -> int:
        """How many troubles there are to be."""
        return sum(len(lane.names) for lane in self.lanes)

    async def run(self) -> None:
        """Do all of them."""
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes:
                for _ in range(lane.width):
                    group.create_task(self._follow(lane))

    async def _follow(self, lane: Lane) -> None:
        while lane.begun < len(lane.names):
            if lane.part > min(other.part for other in self.lanes) + _AHEAD:
                await asyncio.sleep(self.look_s)
                continue
            name = lane.names[lane.begun]
            lane.begun += 1
            began_s = time.monotonic()
            await self._until_bitten(name, lane)
            lane.busy_s += time.monotonic() - began_s
            lane.ended += 1
            await asyncio.sleep(self.chance.uniform(*self.pause_s))

    async def _until_bitten(self, name: str, lane: Lane) -> None:
        for _ in range(_TRIES):
            began_s = time.monotonic()
            if await lane.kinds[name][0]():
                self.done[f"{name}{lane.suffix}"] += 1
                self.intervals.append(chaos_delays.Interval(name, began_s, time.monotonic()))
                return
            self.idle += 1
