"""
One simulated world, played to its end and judged: requests come, everything goes wrong, then it heals.

Everything is drawn from the seed: guarantee, settings, requests, troubles, extras. After about two minutes of virtual
time the troubles end, and everything must come to its end. `history` judges what was sent, reported, kept and created.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support import (
    malformed,
    service,
    service_harness,
    simulation_draws,
    simulation_extras,
    simulation_fleet,
    simulation_holds,
    simulation_logs,
    simulation_loop,
    simulation_machine,
    simulation_objects,
    simulation_rows,
    simulation_stage,
    simulation_troubles,
    simulation_verdict,
)

from mrs_emulator.core import core, faults
from mrs_relay import settings as all_settings
from mrs_relay.common import clock
from mrs_relay.engine.execution import chunk_sink
from mrs_relay.kafka import live_tail
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.obs import client as obs_client

PATIENCE_S = 3600.0
"""Virtual seconds after the last trouble within which every request must have ended."""

LIVELY_S = 1200.0
"""
The same for those that wait for no dead cluster. Most worlds need less than 400 s; a flood of a hundred jobs for a
cluster of three slots needs 950 s, which is what their runs take one after the other.
"""

_QUIET_S = 30.0
_BURST_S = 20.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of a seed.

    Attributes:
        faults: what breaks the promise; empty if it was kept.
        digest: hash of all that happened.
        events: how many events there were.
        jobs: how many jobs MRS has created.
        troubles: how often what went wrong.
        lively_s: virtual seconds from the last trouble to the end of all that waits for no dead cluster.
    """

    seed: int
    faults: tuple[str, ...]
    digest: str
    events: int
    jobs: int
    troubles: Counter[str]
    lively_s: float


_CHUNK_BYTES = 1_024
_PART_BYTES = 700
"""Rows of a simulated world are few; in such parts they have several chunks all the same."""

_TAILS = {name: getattr(live_tail, name) for name in ("FEW", "LEAST", "BY_KEY", "AGE_S", "LOOK_BACK")}


def _set_tails(seed: int) -> bool:
    """Set tails: ledgers have some of some dozen records in half of the worlds; the others are too small."""
    chance = random.Random(f"tails {seed}")
    is_short = chance.random() < 0.5
    short = {"FEW": 10, "LEAST": 30, "BY_KEY": 2, "AGE_S": chance.choice((5.0, 70.0)), "LOOK_BACK": 20}
    for name, value in (short if is_short else _TAILS).items():
        setattr(live_tail, name, value)
    return is_short


@dataclass(eq=False)
class Deployment:
    """A Kafka, its replicas, and the tenants on it."""

    chosen: all_settings.Settings
    hub: memory_broker.MemoryBroker
    fleet: simulation_fleet.Fleet
    stages: list[simulation_stage.Stage]


@dataclass(eq=False)
class Simulation:
    """One world; `verbose` keeps a line for everything that MRS and the broker saw."""

    seed: int
    verbose: bool = False
    troubles: Counter[str] = field(default_factory=Counter)
    deployments: list[Deployment] = field(default_factory=list)
    time: clock.LoopClock = field(default_factory=clock.LoopClock)
    lively_s: float = 0.0
    ordered: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.extras = simulation_extras.draw(self.seed)
        self.exactly_once = self.chance.random() < 0.75
        self.hidden_s = simulation_draws.late_listing_s(self.chance)
        self.chosen = simulation_draws.settings(
            self.chance, self.extras, exactly_once=self.exactly_once, hidden_s=self.hidden_s
        )
        self.trace = simulation_machine.Trace()
        if self.verbose:
            self.trace.lines = []

    @property
    def stages(self) -> list[simulation_stage.Stage]:
        """The tenants of all deployments."""
        return [stage for deployment in self.deployments for stage in deployment.stages]

    def run(self) -> Outcome:
        """Play it to the end."""
        random.seed(self.seed)
        self.troubles["with short_tails"] += _set_tails(self.seed)
        setattr(chunk_sink, "_CHUNK_BYTES", _CHUNK_BYTES)  # noqa: B010 - a size that no setting changes
        setattr(obs_client, "_PART_BYTES", _PART_BYTES)  # noqa: B010 - the same
        # Replicas name themselves by chance where they share the quota; here the names follow from the seed, too.
        setattr(secrets, "token_hex", _names(self.seed))  # noqa: B010 - a name is all that is asked for
        with asyncio.Runner(loop_factory=lambda: simulation_loop.Loop(random.Random(self.seed))) as runner:
            return runner.run(self._play())

    async def _play(self) -> Outcome:
        chance = self.chance
        weather = simulation_machine.Weather()
        self.nature = nature = simulation_machine.Nature(chance, self.trace, weather, simulation_draws.CALL_TIMEOUT_S)
        self._build_mrs()
        for number in range(self.extras.deployments):
            self.deployments.append(self._deployment(number))

        made = [
            simulation_troubles.Troubles(
                one.fleet, one.hub, weather, self.trace, chance, self.troubles, self.extras.hanging
            )
            for one in self.deployments
        ]

        self.troubles.update(self.extras.names)
        for one in self.deployments:
            for _ in range(chance.choice((1, 2, 2, 3))):
                one.fleet.start()

        sending = [nature.start(self._send(stage), "sender") for stage in self.stages]
        for_s = chance.uniform(20, 120)
        making = [nature.start(trouble.go_on(), "troubles") for trouble in made]

        if self.extras.holds:
            others = random.Random(f"holds {self.seed}")
            making += [
                nature.start(simulation_holds.play(one.hub, others, self.troubles), "controls")
                for one in self.deployments
            ]

        if self.extras.late_repeats:
            making += [nature.start(self._repeat(stage), "repeats") for stage in self.stages]
        await asyncio.sleep(for_s)
        for task in making:
            task.cancel()
        await asyncio.wait(making)
        for trouble in made:
            trouble.heal()
        self._lift("statements")
        calm_s = asyncio.get_running_loop().time() + _QUIET_S
        await asyncio.wait(sending)
        for stage in self.stages:
            stage.send_late(3)
        ended = await self._until_ended()
        outcome = await self._judge(calm_s, ended=ended)
        await self._end(nature)

        return outcome

    # the world

    def _build_mrs(self) -> None:
        extras, nature = self.extras, self.nature
        hosts = (service_harness.HOST, *((simulation_extras.LAKE_HOST,) if extras.lake else ()))
        for number, host in enumerate(hosts, start=1):
            emulated = simulation_draws.emulated(self.chance, extras, hidden_s=self.hidden_s, number=number)
            nature.projects[host] = core.Emulator(emulated, self.time)
        self.ordered = simulation_extras.orders(extras)
        self._order()
        if extras.logs:
            nature.start(self._write_logs(), "logs")
        for name, for_s in (("list", extras.list_fails_for_s), ("dead", extras.dead_for_s)):
            if name in self.ordered and for_s is not None:
                nature.start(self._lift_after(name, for_s), f"{name} ends")

    async def _write_logs(self) -> None:
        """Have jobs that have ended leave their logs, up to a second later."""
        while True:
            await asyncio.sleep(1.0)
            for mrs in self.nature.projects.values():
                await mrs.settle_objects()

    def _order(self) -> None:
        """Put the troubles in force that the extras have ordered and that have not been lifted."""
        standing = [faults.Fault.model_validate(one) for orders in self.ordered.values() for one in orders]
        for mrs in self.nature.projects.values():
            mrs.clear_faults()
            mrs.add_faults(*standing)

    def _lift(self, name: str) -> None:
        self.ordered.pop(name, None)
        self._order()

    async def _lift_after(self, name: str, for_s: float) -> None:
        await asyncio.sleep(for_s)
        self._lift(name)

    def _deployment(self, number: int) -> Deployment:
        chosen = self.chosen
        if number:
            kafka = chosen.kafka.model_copy(update={"app_id": f"{chosen.kafka.app_id}-{number + 1}"})
            chosen = chosen.model_copy(update={"kafka": kafka})

        hub = memory_broker.MemoryBroker(chosen.kafka, transactions=chosen.kafka.transactional)
        for one in chosen.tenancies:
            hub.create_topics(simulation_stage.PARTITIONS, one.kafka.topics)
        letter = "" if self.extras.deployments == 1 else "xy"[number]
        fleet = simulation_fleet.Fleet(chosen, hub, self.nature, self.chance, self.troubles, letter, self.time)
        fleet.mixes_formats = self.extras.formats
        luck = random.Random(f"objects {self.seed} {number}")
        projects, away_s = self.nature.projects.values(), self.extras.rows_away_s or 0.0
        logs = simulation_logs.Logs(self.seed, self.troubles)
        fleet.objects = simulation_objects.Objects(projects, luck, away_s, self.troubles, logs)
        stages = [
            simulation_stage.Stage(f"{letter}{one.name}", hub, one.kafka.topics, self.chance, self.extras)
            for one in chosen.tenancies
        ]

        return Deployment(chosen, hub, fleet, stages)

    # requests

    async def _send(self, stage: simulation_stage.Stage) -> None:
        chance, extras = self.chance, self.extras
        if extras.flood or extras.bad:
            self.nature.start(self._flood(stage), "flood")

        for number in range(chance.randint(5, 25)):
            request_id = f"r-{number}"
            if extras.odd_cancels and chance.random() < 0.1:
                stage.cancel(chance.randrange(simulation_stage.PARTITIONS), f"c-{number}-early", request_id)
                await asyncio.sleep(chance.expovariate(1 / 3))

            partition, body = stage.send(request_id)
            if chance.random() < 0.15 and b"data" in body:
                await asyncio.sleep(chance.expovariate(1 / 3))
                again = simulation_extras.respelled(chance, body) if extras.respelled else body
                stage.put(partition, again)  # the same request once more

            if chance.random() < (0.3 if extras.odd_cancels else 0.1):
                await asyncio.sleep(chance.expovariate(1 / 3))
                where = chance.randrange(simulation_stage.PARTITIONS) if extras.odd_cancels else partition
                for twice in range(2 if extras.odd_cancels and chance.random() < 0.3 else 1):
                    stage.cancel(where, f"c-{number}{'-again' * twice}", request_id)

            await asyncio.sleep(chance.expovariate(1 / 2))

    async def _repeat(self, stage: simulation_stage.Stage) -> None:
        """Repeat and cancel requests that have ended, until the world heals."""
        chance = random.Random(f"repeats {self.seed} {stage.name}")
        for number in itertools.count():
            await asyncio.sleep(chance.expovariate(1 / 5))
            stage.read_on()
            if ended := sorted(stage.ended & stage.bodies.keys()):
                request_id = chance.choice(ended)
                partition, body = stage.bodies[request_id]
                is_cancel = chance.random() < 0.3
                stage.put(partition, service.cancel(f"c-late-{number}", request_id) if is_cancel else body)

    async def _flood(self, stage: simulation_stage.Stage) -> None:
        """Send many messages at once, good and malformed ones mixed."""
        extras = self.extras
        await asyncio.sleep(self.chance.uniform(0, _BURST_S))
        for number in range(extras.flood):
            stage.send(f"r-flood-{number}")
        for message in malformed.harmless(self.seed, extras.bad):
            partition = self.chance.randrange(simulation_stage.PARTITIONS)
            stage.put(partition, message.value, message.key, message.headers)

    # the end

    async def _until_ended(self) -> bool:
        """Wait for the end of every request; notes when those had ended that wait for no dead cluster."""
        loop = asyncio.get_running_loop()
        healed_s = loop.time()
        while loop.time() < healed_s + PATIENCE_S:
            for stage in self.stages:
                stage.read_on()
            if not any(stage.left(tied=True) for stage in self.stages):
                await asyncio.sleep(_QUIET_S)  # what would come twice has time to come
                if not any(self._folders()):
                    return True
            if any(stage.left(tied=False) for stage in self.stages):
                self.lively_s = loop.time() - healed_s
            for one in self.deployments:
                if not any(not replica.machine.dead for replica in one.fleet.replicas):
                    one.fleet.start()
            await asyncio.sleep(2)

        return False

    def _folders(self) -> Iterator[str]:
        """Yield objects of folders of rows that are to be removed in time."""
        for one in self.deployments:
            yield from one.fleet.objects.left() if one.fleet.objects is not None else ()

    async def _end(self, nature: simulation_machine.Nature) -> None:
        for one in self.deployments:
            for replica in list(one.fleet.replicas):
                one.fleet.kill(replica)
        for task in list(nature.flying):
            task.cancel()
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)

    async def _judge(self, calm_s: float, *, ended: bool) -> Outcome:
        seen = await simulation_verdict.done(self.nature.projects.values(), self.nature.tags)
        found = [] if ended else [f"not every request has ended {PATIENCE_S:g} s after the last trouble"]
        found += [f"object {key} is left in its folder" for key in self._folders()]
        if self.lively_s > LIVELY_S:
            found.append(f"what waits for no dead cluster took {self.lively_s:.0f} s after the last trouble")
        found += simulation_verdict.faults(self.stages, seen, exactly_once=self.exactly_once)

        for one in self.deployments:
            found += one.fleet.crashes
            if one.fleet.objects is not None and self.extras.logs:
                ends = {job_id: end for stage in one.stages for job_id, end in stage.ends().items()}
                found += one.fleet.objects.logs.faults(calm_s, self.chosen.causes.within_s or 0.0, ends)

        for stage in self.stages:
            found += [fault async for fault in simulation_rows.faults(stage, self.troubles)]
        stored = [one.chunk_id for stage in self.stages for one in stage.chunks()]
        self.troubles["chunks stored"] += len(stored)
        self.troubles["chunks stored again"] += len(stored) - len(set(stored))
        published = [(stage.name, event) for stage in self.stages for event in stage.story()]

        if self.trace.lines is not None:
            self.trace.lines += [
                f"event {name} {event.request_id} {event.sequence} {event.state} {event.event_id} "
                f"{event.data.get('reason')}"
                for name, event in published
            ]
            self.trace.lines += [f"created {name}" for name in sorted(seen.created)]

        count = len(seen.created)
        return Outcome(self.seed, tuple(found), self.trace.digest, len(published), count, self.troubles, self.lively_s)


def run(seed: int) -> Outcome:
    """Play one seed."""
    return Simulation(seed).run()


def _names(seed: int) -> Callable[[int], str]:
    chance = random.Random(seed)
    return lambda size: chance.randbytes(size).hex()
