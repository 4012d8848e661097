"""Replicas that share one budget, in virtual time: real exchanges and budgets on a simulated group and network."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from mrs_relay import errors
from mrs_relay.common import tasks
from mrs_relay.engine.quota_sharing import exchange
from mrs_relay.kafka import status
from mrs_relay.mrs import limits
from mrs_relay.mrs.operations import jobs

OPERATION: Final = jobs.CREATE_EXECUTE_JOB
LIMIT: Final = 60
TOPIC: Final = "requests"


@dataclass(eq=False)
class Group:
    """The consumer group: who owns what, and the notes."""

    partitions: int
    chance: random.Random
    lost: float = 0.0
    slowest_s: float = 0.05
    keeps_notes: bool = True
    generation: int = 0
    owners: dict[int, Replica] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)


class Clock:
    """A clock that is as fast as the others but for a little, and shows another time."""

    def __init__(self, rate: float, offset_s: float) -> None:
        self._rate, self._offset_s = rate, offset_s

    def monotonic_s(self) -> float:
        """Return seconds."""
        return asyncio.get_running_loop().time() * self._rate + self._offset_s

    def boottime_s(self) -> float:
        """Return seconds."""
        return self.monotonic_s()

    def now_ms(self) -> int:
        """Return nothing of use."""
        return 0


class Replica:
    """One replica: it makes a call whenever it may, as long as work waits."""

    topic = TOPIC

    def __init__(self, group: Group, fleet: Fleet) -> None:
        chance = group.chance
        self.group = group
        self.fleet = fleet
        self.clock = Clock(chance.uniform(0.99, 1.01), chance.uniform(-1e6, 1e6))
        self.budget = limits.Limits(self.clock)
        self.quota = exchange.QuotaExchange(self.budget, self.clock, lambda: None)
        self.quota.boards.append(self)
        self.membership: status.Membership | None = None
        self.rate = 0.0
        self.calls: list[float] = []
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.task_supervisor = tasks.TaskSupervisor(self.fleet.failed)
        self.task_supervisor.start(self.quota.run(), name="exchange")
        self.task_supervisor.start(self._work(), name="work")

    @property
    def frozen(self) -> bool:
        """Stands still."""
        return not self.thawed.is_set()

    async def read_notes(self) -> Mapping[int, str]:
        """Return all notes, after a while."""
        await self._reach()
        found = {number: self.group.notes.get(number, "") for number in range(self.group.partitions)}
        await self._reach()
        return found

    async def write_note(self, partition: int, note: str) -> bool:
        """Refuse those who are not in the present generation."""
        generation = self.membership.generation if self.membership is not None else -1
        await self._reach()
        if generation != self.group.generation:
            raise errors.StreamDown("the group has moved on")
        if self.group.keeps_notes:
            self.group.notes[partition] = note
        await self._reach()
        return True

    async def _reach(self) -> None:
        await self.thawed.wait()
        await asyncio.sleep(self.group.chance.uniform(0.0, self.group.slowest_s))
        await self.thawed.wait()
        if self.group.chance.random() < self.group.lost / 2:
            await asyncio.sleep(1.0)
            raise errors.StreamDown("lost")

    async def _work(self) -> None:
        """Work comes by chance at `rate` calls a second; without end where it is infinite."""
        loop = asyncio.get_running_loop()
        waiting = 0.0
        last_s = loop.time()

        while True:
            await self.thawed.wait()
            now_s = loop.time()
            waiting = min(1e6, waiting + self.rate * (now_s - last_s))
            last_s = now_s
            wait_s = 0.25
            while waiting >= 1.0 and self.membership is not None and self.membership.owned:
                wait_s = self.budget.try_acquire(OPERATION)
                if wait_s > 0.0:
                    break
                waiting -= 1.0
                self.calls.append(now_s)
            await asyncio.sleep(min(max(wait_s, 0.001), 0.25))


class Fleet:
    """All replicas of one deployment, those included that have gone."""

    def __init__(self, partitions: int, seed: int, *, lost: float = 0.0, slowest_s: float = 0.05) -> None:
        self.group = Group(partitions, random.Random(seed), lost, slowest_s)  # noqa: S311 - troubles, no secrets
        self.replicas: list[Replica] = []
        self.members: list[Replica] = []
        self.faults: list[str] = []

    def failed(self, task: str, error: BaseException) -> None:
        """Fail, since a task must not end."""
        self.faults.append(f"{task}: {error!r}")

    def add(self) -> Replica:
        """Add one more replica, which is given partitions at the next rebalance."""
        replica = Replica(self.group, self)
        self.replicas.append(replica)
        self.members.append(replica)
        return replica

    async def rebalance(self) -> None:
        """Let members stop, join and get their partitions; who stands still is put out and does not know it."""
        for one in self.members:
            if not one.frozen:
                one.membership = None
        await asyncio.sleep(self.group.chance.uniform(0.1, 2.0))
        self.members = [one for one in self.members if not one.frozen]
        self.group.generation += 1
        owners = {number: self.members[number % len(self.members)] for number in range(self.group.partitions)}
        for one in self.members:
            owned = frozenset(number for number, owner in owners.items() if owner is one)
            one.membership = status.Membership(self.group.generation, owned, self.group.partitions)
            one.quota.look_again()

    async def kill(self, replica: Replica) -> None:
        """Kill it at once; the group learns of it at the next rebalance."""
        await replica.task_supervisor.close()
        replica.thawed.clear()

    def thaw(self, replica: Replica) -> None:
        """Let it continue; one that has been put out learns it now."""
        if replica not in self.members:
            replica.membership = None
        replica.thawed.set()

    async def trouble(self) -> None:
        """Let something happen to a replica."""
        chance = self.group.chance
        going = [one for one in self.members if not one.frozen]
        victim = chance.choice(going)

        match chance.choice(["move", "add", "kill", "freeze", "nothing"]):
            case "move":
                chance.shuffle(self.members)
                await self.rebalance()
            case "add" if len(going) < 8:
                self.add()
                await self.rebalance()
            case "kill" if len(going) > 1:
                await self.kill(victim)
                await asyncio.sleep(chance.choice([0.5, 10, 45]))
                await self.rebalance()
            case "freeze" if len(going) > 1:
                victim.thawed.clear()
                await asyncio.sleep(chance.choice([2, 10, 45]))
                if chance.random() < 0.6:
                    await self.rebalance()
                await asyncio.sleep(chance.choice([0, 5, 60]))
                self.thaw(victim)

        back = [one for one in self.replicas if not one.frozen and one not in self.members]
        if back and chance.random() < 0.8:
            self.members += back
            await self.rebalance()

    @property
    def calls(self) -> list[float]:
        """When calls were made, by all."""
        return sorted(moment for one in self.replicas for moment in one.calls)

    def used(self, since_s: float, until_s: float) -> float:
        """Return the part of the limit that was used."""
        return sum(since_s <= moment < until_s for moment in self.calls) / ((until_s - since_s) / 60 * LIMIT)

    def most_in_a_minute(self) -> int:
        """Return most calls in any 60 seconds."""
        calls = self.calls
        most = first = 0
        for number, moment in enumerate(calls):
            while calls[first] <= moment - 60.0:
                first += 1
            most = max(most, number - first + 1)
        return most

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            for replica in self.replicas:
                await replica.task_supervisor.close()
