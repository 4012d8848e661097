"""The replicas of a simulated world, each on a machine that may die, freeze and thaw."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field

from tests.support import simulation_draws, simulation_loop, simulation_machine

from mrs_relay import errors, serving
from mrs_relay import settings as all_settings
from mrs_relay.engine import desk
from mrs_relay.kit import clock
from mrs_relay.mrs import client as clients
from mrs_relay.stream import memory, memory_group, supervisor

NOBODY = simulation_machine.NOBODY


@dataclass(eq=False)
class Replica:
    """One process and its machine."""

    machine: simulation_loop.Machine
    line: simulation_machine.Line
    kafka: supervisor.Supervisor[desk.Notice] | None = None
    task: asyncio.Task[None] | None = None


@dataclass(eq=False)
class Fleet:
    """
    All replicas, dead ones included.

    Attributes:
        troubles: counts those that gave up by themselves.
        crashes: ends that are faults.
    """

    chosen: all_settings.Settings
    hub: memory.MemoryBroker
    nature: simulation_machine.Nature
    chance: random.Random
    troubles: Counter[str]
    time: clock.LoopClock = field(default_factory=clock.LoopClock)
    replicas: list[Replica] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    @property
    def running(self) -> list[Replica]:
        """Those that neither died nor stand still."""
        return [replica for replica in self.replicas if not replica.machine.dead and not replica.machine.frozen]

    def start(self) -> None:
        """Start one more."""
        machine = simulation_loop.Machine(f"m{len(self.replicas) + 1}")
        replica = Replica(machine, simulation_machine.Line(self.hub, machine, self.nature))
        context = NOBODY.copy()
        context.run(simulation_loop.OWNER.set, machine)
        loop = asyncio.get_running_loop()
        replica.task = loop.create_task(self._live(replica), name=machine.name, context=context)
        self.replicas.append(replica)
        self.nature.trace.add(f"{machine.name} starts")

    def kill(self, replica: Replica) -> None:
        """End it: nothing leaves it any more, and its session runs out."""
        machine = replica.machine
        if machine.dead:
            return
        self.nature.trace.add(f"{machine.name} dies")
        machine.dead = True
        members = self._members(machine)
        if replica.task is not None:
            replica.task.cancel()
        if machine.frozen:
            machine.thaw()
        for member in members:
            self.nature.start(self._session_ends(member), "session")

    def freeze(self, replica: Replica, for_s: float) -> None:
        """Let it stand still; longer than the session, and the group goes on without it."""
        self.nature.start(self._zombie(replica.machine, for_s), "zombie")

    def set_trap(self, for_s: float) -> None:
        """Let the machine whose commit is answered next stand still a few steps later, with its intents in hand."""
        loop = asyncio.get_running_loop()

        def spring(machine: simulation_loop.Machine) -> None:
            self.nature.trap = None
            step(machine, self.chance.randrange(8))

        def step(machine: simulation_loop.Machine, left: int) -> None:
            if left:
                loop.call_soon(step, machine, left - 1, context=NOBODY.copy())
            elif not machine.frozen and not machine.dead:
                self.nature.start(self._zombie(machine, for_s), "zombie")

        self.nature.trap = spring

    async def _live(self, replica: Replica) -> None:
        machine = replica.machine
        try:
            client = clients.Client(self.chosen.mrs, simulation_machine.Wire(machine, self.nature), self.time)
            opened = serving.opened(
                self.chosen, lambda _mrs: contextlib.nullcontext(client), lambda _kafka: replica.line, self.time
            )
            async with opened as (served,):
                replica.kafka = served.kafka
                await replica.kafka.run()
        except asyncio.CancelledError:
            raise
        except errors.StreamDown as error:  # "only a new process helps", which whoever runs the service starts
            self.nature.trace.add(f"{machine.name} gives up: {error}")
            self.troubles["gave_up"] += 1
            if not machine.dead:
                NOBODY.copy().run(self.start)
        except Exception as error:  # noqa: BLE001 - reported as a fault of the run
            if not machine.dead:
                self.crashes.append(f"replica {machine.name} ended with {error!r}")
        finally:
            machine.dead = True

    async def _zombie(self, machine: simulation_loop.Machine, for_s: float) -> None:
        """What the group decides while it stands still it learns after the thaw."""
        group = self.hub.group
        members = self._members(machine)
        machine.freeze()
        if for_s > simulation_draws.SESSION_S:
            await asyncio.sleep(simulation_draws.SESSION_S)
            for member in members:
                group.remove(member, notices=False)
            for_s -= simulation_draws.SESSION_S
        await asyncio.sleep(for_s)
        if not machine.frozen:
            return
        for member in members:
            if member not in group.members and not machine.dead:
                context = NOBODY.copy()
                context.run(simulation_loop.OWNER.set, machine)
                context.run(member.notice, self.chance.uniform(0, 0.5))
        machine.thaw()

    async def _session_ends(self, member: memory_group.MemoryGroupConsumer) -> None:
        await asyncio.sleep(simulation_draws.SESSION_S)
        self.hub.group.remove(member, notices=False)

    def _members(self, machine: simulation_loop.Machine) -> list[memory_group.MemoryGroupConsumer]:
        return [
            member
            for member in self.hub.group.members
            if isinstance(member, simulation_machine.Member) and member.machine is machine
        ]
