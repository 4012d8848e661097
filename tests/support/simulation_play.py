"""
One simulated world, played to its end and judged: requests come, everything goes wrong, then it heals.

Everything is drawn from the seed: guarantee, settings, requests, troubles. After about two minutes of virtual time the
troubles end, and everything must come to its end. `history` judges what was sent, told, kept and created.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support import (
    history,
    service,
    simulation_draws,
    simulation_fleet,
    simulation_loop,
    simulation_machine,
    simulation_troubles,
)

from mrs_relay.emulator import core, state
from mrs_relay.stream import memory, records

PARTITIONS = 3
PATIENCE_S = 3600.0
"""Virtual seconds after the last trouble within which every request must have ended."""

_QUIET_S = 30.0


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
    """

    seed: int
    faults: tuple[str, ...]
    digest: str
    events: int
    jobs: int
    troubles: Counter[str]


@dataclass(eq=False)
class Simulation:
    """One world; `verbose` keeps a line for everything that MRS and the broker saw."""

    seed: int
    verbose: bool = False
    bodies: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    troubles: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.exactly_once = self.chance.random() < 0.75
        self.hidden_s = simulation_draws.late_listing_s(self.chance)
        self.chosen = simulation_draws.settings(self.chance, exactly_once=self.exactly_once, hidden_s=self.hidden_s)
        self.trace = simulation_machine.Trace()
        if self.verbose:
            self.trace.lines = []

    def run(self) -> Outcome:
        """Play it to the end."""
        random.seed(self.seed)
        with asyncio.Runner(loop_factory=lambda: simulation_loop.Loop(random.Random(self.seed))) as runner:
            return runner.run(self._play())

    async def _play(self) -> Outcome:
        chance, chosen = self.chance, self.chosen
        self.hub = memory.MemoryBroker(chosen.kafka, transactions=chosen.kafka.transactional)
        self.hub.create_topics(PARTITIONS)
        weather = simulation_machine.Weather()
        emulated = simulation_draws.emulated(chance, hidden_s=self.hidden_s)
        nature = simulation_machine.Nature(chance, self.trace, weather, simulation_draws.CALL_TIMEOUT_S)
        self.fleet = simulation_fleet.Fleet(chosen, self.hub, nature, chance, self.troubles)
        nature.mrs = mrs = core.Emulator(emulated, self.fleet.time)
        troubles = simulation_troubles.Troubles(self.fleet, self.hub, weather, self.trace, chance, self.troubles)
        for _ in range(chance.choice((1, 2, 2, 3))):
            self.fleet.start()
        sending = nature.start(self._send(), "sender")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(20, 120)):
                await troubles.go_on()
        troubles.heal()
        await sending
        ended = await self._until_ended()
        outcome = self._judge(mrs, ended=ended)
        await self._end(nature)
        return outcome

    # requests

    async def _send(self) -> None:
        chance = self.chance
        for number in range(chance.randint(5, 25)):
            request_id = f"r-{number}"
            partition = chance.randrange(PARTITIONS)
            body = simulation_draws.request(chance, request_id)
            self.bodies[request_id] = (partition, body)
            self._put(partition, body)
            if chance.random() < 0.15 and b"data" in body:
                await asyncio.sleep(chance.expovariate(1 / 3))
                self._put(partition, body)  # the same request once more
            if chance.random() < 0.1:
                await asyncio.sleep(chance.expovariate(1 / 3))
                self._put(partition, service.cancel(f"c-{number}", request_id))
            await asyncio.sleep(chance.expovariate(1 / 2))

    def _put(self, partition: int, body: bytes) -> None:
        self.hub.put(self.chosen.kafka.topics.requests, partition, b"k-%d" % partition, body)

    # the end

    async def _until_ended(self) -> bool:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + PATIENCE_S
        ended: set[str] = set()
        read = dict.fromkeys(range(PARTITIONS), 0)
        while loop.time() < until_s:
            for partition in read:
                log = self.hub.log(records.Position(self.chosen.kafka.topics.events, partition))
                found, read[partition] = log.read(read[partition], 1 << 30)
                seen = [history.seen(record.headers, record.value or b"") for record in found]
                ended.update(event.request_id for event in seen if event.state in history.LAST)
            if ended >= self.bodies.keys():
                await asyncio.sleep(_QUIET_S)  # what would come twice has time to come
                return True
            if not any(not replica.machine.dead for replica in self.fleet.replicas):
                self.fleet.start()
            await asyncio.sleep(2)
        return False

    async def _end(self, nature: simulation_machine.Nature) -> None:
        for replica in list(self.fleet.replicas):
            self.fleet.kill(replica)
        for task in list(nature.flying):
            task.cancel()
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)

    def _judge(self, mrs: core.Emulator, *, ended: bool) -> Outcome:
        topic = self.chosen.kafka.topics.events
        told = [history.seen(record.headers, record.value or b"") for record in self.hub.committed(topic)]
        effects = mrs.effects()
        created = [effect.name for effect in effects if effect.kind == "job"]
        faults = [] if ended else [f"not every request has ended {PATIENCE_S:g} s after the last trouble"]
        events = [event for event in told if not event.request_id.startswith("c-")]
        if not self.exactly_once:
            events, doubles = history.once(events)
            faults += doubles
        faults += history.faults(list(self.bodies), events, created, kept=self._kept())
        faults += [f"more statements than asked for: {name}" for name in _repeated_writes(effects)]
        faults += self.fleet.crashes
        if self.trace.lines is not None:
            self.trace.lines += [
                f"event {seen.request_id} {seen.sequence} {seen.state} {seen.event_id} {seen.data.get('reason')}"
                for seen in told
            ]
            self.trace.lines += [f"created {name}" for name in sorted(created)]
        return Outcome(self.seed, tuple(faults), self.trace.digest, len(told), len(created), self.troubles)

    def _kept(self) -> list[history.Kept]:
        found: list[history.Kept] = []
        for partition in range(PARTITIONS):
            log = self.hub.log(records.Position(self.chosen.kafka.topics.ledger, partition))
            ledger = history.Ledger()
            for record in log.read(0, 1 << 30)[0]:
                ledger.add(record.offset, record.key, record.value, record.headers)
            found += [job for job in ledger.jobs.values() if not job.request_id.startswith("c-")]
        return found


def _repeated_writes(effects: Sequence[state.Effect]) -> list[str]:
    count = Counter(effect.name for effect in effects if effect.kind != "job" and effect.name.startswith("insert"))
    return [name for name, times in count.items() if times > 1]


def run(seed: int) -> Outcome:
    """Play one seed."""
    return Simulation(seed).run()
