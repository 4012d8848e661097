"""The replicas of a simulated world, each on a machine that may die, freeze and thaw."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field

from tests.support import simulation_draws, simulation_loop, simulation_machine, simulation_objects

from mrs_relay import errors, wiring
from mrs_relay import settings as all_settings
from mrs_relay.common import clock
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import settings as mrs_settings

NO_MACHINE = simulation_machine.NO_MACHINE


@dataclass(eq=False)
class Replica:
    """One process and its machine."""

    machine: simulation_loop.Machine
    line: simulation_machine.Line
    served: tuple[wiring.TenantService, ...] = ()
    task: asyncio.Task[None] | None = None


@dataclass(eq=False)
class Fleet:
    """
    All replicas of a deployment, dead ones included.

    Attributes:
        name: begins the names of its machines.
        troubles: counts those that gave up by themselves.
        objects: the way to OBS.
        mixes_formats: every second one writes the former format of the ledger.
        crashes: ends that are faults.
    """

    chosen: all_settings.Settings
    hub: memory_broker.MemoryBroker
    nature: simulation_machine.Nature
    chance: random.Random
    troubles: Counter[str]
    name: str = ""
    time: clock.LoopClock = field(default_factory=clock.LoopClock)
    objects: simulation_objects.Objects | None = None
    mixes_formats: bool = False
    replicas: list[Replica] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    @property
    def running(self) -> list[Replica]:
        """Those that neither died nor stand still."""
        return [replica for replica in self.replicas if not replica.machine.dead and not replica.machine.frozen]

    def start(self) -> None:
        """Start one more."""
        machine = simulation_loop.Machine(f"{self.name}m{len(self.replicas) + 1}")
        replica = Replica(machine, simulation_machine.Line(self.hub, machine, self.nature))
        context = NO_MACHINE.copy()
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
        """Let it stand still; longer than the session, and the group continues without it."""
        self.nature.start(self._zombie(replica.machine, for_s), "zombie")

    def set_trap(self, for_s: float) -> None:
        """Let the machine whose commit is answered next stand still a few steps later, with its intents in hand."""
        loop = asyncio.get_running_loop()

        def spring(machine: simulation_loop.Machine) -> None:
            self.nature.trap = None
            step(machine, self.chance.randrange(8))

        def step(machine: simulation_loop.Machine, left: int) -> None:
            if left:
                loop.call_soon(step, machine, left - 1, context=NO_MACHINE.copy())
            elif not machine.frozen and not machine.dead:
                self.nature.start(self._zombie(machine, for_s), "zombie")

        self.nature.trap = spring

    def _settings(self, number: int) -> all_settings.Settings:
        if not self.mixes_formats:
            return self.chosen
        kafka = self.chosen.kafka.model_copy(update={"ledger_format": 1 + number % 2})
        return self.chosen.model_copy(update={"kafka": kafka})

    async def _live(self, replica: Replica) -> None:
        machine = replica.machine
        try:
            opened = wiring.opened(
                self._settings(self.replicas.index(replica)),
                lambda mrs: self._connect(machine, mrs),
                replica.line.for_group,
                self.time,
                *(() if self.objects is None else (self.objects.connect,)),
            )
            async with opened as served:
                replica.served = served
                await wiring.run(served)
        except asyncio.CancelledError:
            raise
        except errors.StreamDown as error:  # "only a new process helps", which the operator starts
            self.nature.trace.add(f"{machine.name} gives up: {error}")
            self.troubles["gave_up"] += 1
            if not machine.dead:
                NO_MACHINE.copy().run(self.start)
        except Exception as error:  # noqa: BLE001 - reported as a fault of the run
            if not machine.dead:
                self.crashes.append(f"replica {machine.name} ended with {error!r}")
        finally:
            machine.dead = True

    def _connect(
        self, machine: simulation_loop.Machine, mrs: mrs_settings.MrsSettings
    ) -> contextlib.AbstractAsyncContextManager[clients.Client]:
        door = simulation_machine.Wire(machine, self.nature, mrs.base_url.removeprefix("http://"))
        return contextlib.nullcontext(clients.Client(mrs, door, self.time))

    async def _zombie(self, machine: simulation_loop.Machine, for_s: float) -> None:
        """Stand still; what the group decides meanwhile it learns after the thaw."""
        members = self._members(machine)
        machine.freeze()

        if for_s > simulation_draws.SESSION_S:
            await asyncio.sleep(simulation_draws.SESSION_S)
            for member in members:
                member.group.remove(member, notices=False)
            for_s -= simulation_draws.SESSION_S

        await asyncio.sleep(for_s)
        if not machine.frozen:
            return

        for member in members:
            if member not in member.group.members and not machine.dead:
                context = NO_MACHINE.copy()
                context.run(simulation_loop.OWNER.set, machine)
                context.run(member.notice, self.chance.uniform(0, 0.5))

        machine.thaw()

    async def _session_ends(self, member: simulation_machine.Member) -> None:
        await asyncio.sleep(simulation_draws.SESSION_S)
        member.group.remove(member, notices=False)

    def _members(self, machine: simulation_loop.Machine) -> list[simulation_machine.Member]:
        return [
            member
            for group in self.hub._groups.values()
            for member in group.members
            if isinstance(member, simulation_machine.Member) and member.machine is machine
        ]
