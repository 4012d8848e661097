"""
The whole service under a seeded scheduler: replicas die, freeze and come back, Kafka and MRS are in trouble.

`run(seed)` plays one world to its end and lets `history` judge. All is drawn from the seed, so a seed that fails fails
again: `python -m tests.support.simulation 4711` (add `--verbose` for everything that happened). From a seed follow the
guarantee, the settings, the requests and the troubles; after about two minutes of virtual time the troubles end, and
everything must come to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import MutableMapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import structlog
from tests.support import history, service, simulation_loop, simulation_machine, world

from mrs_relay import app, errors
from mrs_relay import settings as all_settings
from mrs_relay.emulator import core
from mrs_relay.emulator import settings as emulator_settings
from mrs_relay.kit import clock
from mrs_relay.mrs import client as clients
from mrs_relay.stream import memory, memory_group, records

NOBODY = simulation_machine.NOBODY
PARTITIONS = 3
PATIENCE_S = 3600.0
"""Virtual seconds after the last trouble within which every request must have ended."""

_CALL_TIMEOUT_S = 3.0
_SESSION_S = 6.0


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
    troubles: dict[str, int]


@dataclass(eq=False)
class _Replica:
    machine: simulation_loop.Machine
    line: simulation_machine.Line
    kafka: object = None
    task: asyncio.Task[None] | None = None


@dataclass(eq=False)
class Simulation:
    """One world."""

    seed: int
    verbose: bool = False
    chance: random.Random = field(init=False)
    replicas: list[_Replica] = field(default_factory=list)
    bodies: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    troubles: dict[str, int] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        chance = self.chance
        self.exactly_once = chance.random() < 0.75
        self.chosen = _settings(chance, exactly_once=self.exactly_once)
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
        self.time = clock.LoopClock()
        emulated = emulator_settings.EmulatorSettings(
            seed=1,
            clusters=({"slots": chance.choice((0, 3, 10))},),
            limits={"on": chance.random() < 0.3},
            quirks={"late_listing_s": chance.choice((0.0, 1.0, 4.0))},
            pace={"run_s": chance.choice((0.5, 5.0, 20.0))},
        )
        mrs = core.Emulator(emulated, self.time)
        self.weather = simulation_machine.Weather()
        self.nature = simulation_machine.Nature(chance, mrs, self.trace, self.weather, _CALL_TIMEOUT_S)
        self.hub = memory.MemoryBroker(chosen.kafka, transactions=chosen.kafka.transactional)
        self.hub.create_topics(PARTITIONS)
        for _ in range(chance.choice((1, 2, 2, 3))):
            self._start_replica()
        sending = self.nature.start(self._send(), "sender")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(20, 120)):
                await self._trouble()
        await self._heal()
        await sending
        ended = await self._until_ended()
        events = self._events()
        created = [effect.name for effect in mrs.effects() if effect.kind == "job"]
        faults = [] if ended else [f"not every request has ended {PATIENCE_S:g} s after the last trouble"]
        faults += history.faults(list(self.bodies), self._as_promised(events), created)
        faults += [f"more statements than asked for: {name}" for name in self._repeated_writes(mrs)]
        faults += self.crashes
        if self.trace.lines is not None:
            self.trace.lines += [
                f"event {seen.request_id} {seen.sequence} {seen.state} {seen.event_id} {seen.data.get('reason')}"
                for seen in events
            ]
            self.trace.lines += [f"created {name}" for name in sorted(created)]
        for replica in list(self.replicas):
            self._kill(replica)
        for task in list(self.nature.flying):
            task.cancel()
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)
        return Outcome(self.seed, tuple(faults), self.trace.digest, len(events), len(created), self.troubles)

    # requests

    async def _send(self) -> None:
        chance = self.chance
        for number in range(chance.randint(5, 25)):
            request_id = f"r-{number}"
            partition = chance.randrange(PARTITIONS)
            body = self._request(request_id)
            self.bodies[request_id] = (partition, body)
            self._put(partition, body)
            if chance.random() < 0.15 and b"data" in body:
                await asyncio.sleep(chance.expovariate(1 / 3))
                self._put(partition, body)  # the same request once more
            if chance.random() < 0.1:
                await asyncio.sleep(chance.expovariate(1 / 3))
                self._put(partition, service.cancel(f"c-{number}", request_id))
            await asyncio.sleep(chance.expovariate(1 / 2))

    def _request(self, request_id: str) -> bytes:  # noqa: PLR0911 - one return per kind of request
        chance = self.chance
        kind = chance.random()
        if kind < 0.1:
            return service.sql(request_id, "presto", f"select {request_id[2:]} as one")
        if kind < 0.2:
            return service.sql(request_id, "presto", f"insert into t values ({request_id[2:]})")
        if kind < 0.25:
            return b'{"id": "%s", "source": "/test", "type": "mrs.job.submit"}' % request_id.encode()
        if kind < 0.3:
            return service.job(request_id, queue_deadline_s=chance.uniform(1, 60))
        if kind < 0.35:
            return service.job(request_id, run_deadline_s=chance.uniform(1, 60))
        if kind < 0.45:
            return service.job(request_id, name="will-fail", retry={"attempts": 3, "backoff_s": 2})
        return service.job(request_id, priority=chance.randint(0, 9))

    def _put(self, partition: int, body: bytes) -> None:
        self.hub.put(self.chosen.kafka.topics.requests, partition, b"k-%d" % partition, body)

    # troubles

    async def _trouble(self) -> None:
        chance = self.chance
        while True:
            await asyncio.sleep(chance.expovariate(1 / 4))
            work = chance.choice(
                (
                    self._crash,
                    self._crash,
                    self._stand_still,
                    self._stand_still,
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
            )
            name = work.__name__.strip("_")
            self.troubles[name] = self.troubles.get(name, 0) + 1
            self.trace.add(name)
            await work()

    def _running(self) -> list[_Replica]:
        return [replica for replica in self.replicas if not replica.machine.dead and not replica.machine.frozen]

    async def _crash(self) -> None:
        if running := self._running():
            self._kill(self.chance.choice(running))
        if self.chance.random() < 0.7:
            await asyncio.sleep(self.chance.uniform(0, 5))
            self._start_replica()

    async def _stop_in_order(self) -> None:
        if running := self._running():
            replica = self.chance.choice(running)
            replica.kafka.stop()  # type: ignore[attr-defined]
            self._start_replica()

    async def _join(self) -> None:
        if len(self._running()) < 4:
            self._start_replica()

    async def _stand_still(self) -> None:
        if running := self._running():
            replica = self.chance.choice(running)
            self.nature.start(self._zombie(replica, self.chance.choice((0.5, 3.0, 8.0, 15.0, 30.0))), "zombie")

    async def _zombie(self, replica: _Replica, for_s: float) -> None:
        """Stand still; longer than the session and the group goes on without it, which it learns after the thaw."""
        chance, machine, group = self.chance, replica.machine, self.hub.group
        members = [member for member in group.members if _machine_of(member) is machine]
        machine.freeze()
        if for_s > _SESSION_S:
            await asyncio.sleep(_SESSION_S)
            for member in members:
                group.remove(member, notices=False)
            for_s -= _SESSION_S
        await asyncio.sleep(for_s)
        if not machine.frozen:
            return
        for member in members:
            if member not in group.members and not machine.dead:
                context = NOBODY.copy()
                context.run(simulation_loop.OWNER.set, machine)
                context.run(member.notice, chance.uniform(0, 0.5))
        machine.thaw()

    async def _rebalance(self) -> None:
        self.hub.rebalance()

    async def _evict(self) -> None:
        if self.hub.group.members:
            self.hub.evict(self.chance.randrange(len(self.hub.group.members)))

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

    async def _heal(self) -> None:
        self.trace.add("healed")
        self.hub.come_up()
        self.hub._faults.clear()
        for name in self.weather.__slots__:
            setattr(self.weather, name, 0.0)
        for replica in self.replicas:
            if replica.machine.frozen and not replica.machine.dead:
                replica.machine.thaw()
        if not self._running():
            self._start_replica()

    # replicas

    def _start_replica(self) -> None:
        machine = simulation_loop.Machine(f"m{len(self.replicas) + 1}")
        line = simulation_machine.Line(self.hub, machine, self.nature)
        replica = _Replica(machine, line)
        context = NOBODY.copy()
        context.run(simulation_loop.OWNER.set, machine)
        loop = asyncio.get_running_loop()
        replica.task = loop.create_task(self._live(replica), name=machine.name, context=context)
        self.replicas.append(replica)
        self.trace.add(f"{machine.name} starts")

    async def _live(self, replica: _Replica) -> None:
        try:
            client = clients.Client(self.chosen.mrs, simulation_machine.Wire(replica.machine, self.nature), self.time)
            async with app.desk_for(self.chosen, client, self.time) as tools:
                replica.kafka = runtime = app.runtime_for(self.chosen, replica.line, client, tools, self.time)
                await runtime.run()
        except asyncio.CancelledError:
            raise
        except errors.StreamDown:  # "only a new process helps", which whoever runs the service starts
            self.trace.add(f"{replica.machine.name} gives up")
            self.troubles["gave_up"] = self.troubles.get("gave_up", 0) + 1
            if not replica.machine.dead:
                NOBODY.copy().run(self._start_replica)
        except Exception as error:  # noqa: BLE001 - reported as a fault of the run
            if not replica.machine.dead:
                self.crashes.append(f"replica {replica.machine.name} ended with {error!r}")
        finally:
            replica.machine.dead = True

    def _kill(self, replica: _Replica) -> None:
        """End it: nothing leaves it any more, and its session runs out."""
        machine = replica.machine
        if machine.dead:
            return
        self.trace.add(f"{machine.name} dies")
        machine.dead = True
        members = [member for member in self.hub.group.members if _machine_of(member) is machine]
        if replica.task is not None:
            replica.task.cancel()
        if machine.frozen:
            machine.thaw()
        for member in members:
            self.nature.start(self._session_ends(member), "session")

    async def _session_ends(self, member: memory_group.MemoryGroupConsumer) -> None:
        await asyncio.sleep(_SESSION_S)
        self.hub.group.remove(member, notices=False)

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
                await asyncio.sleep(60)  # what would come twice has time to come
                return True
            if not any(not replica.machine.dead for replica in self.replicas):
                self._start_replica()
            await asyncio.sleep(2)
        return False

    def _events(self) -> list[history.Seen]:
        topic = self.chosen.kafka.topics.events
        return [history.seen(record.headers, record.value or b"") for record in self.hub.committed(topic)]

    def _as_promised(self, events: Sequence[history.Seen]) -> list[history.Seen]:
        """At-least-once may tell an event again, word for word, under the same id; that is left out."""
        events = [event for event in events if not event.request_id.startswith("c-")]
        if self.exactly_once:
            return events
        first: dict[str, history.Seen] = {}
        for event in events:
            first.setdefault(event.event_id, event)
            if first[event.event_id] != event:
                self.crashes.append(f"event id {event.event_id} stands for two different events")
        return list(first.values())

    def _repeated_writes(self, mrs: core.Emulator) -> list[str]:
        seen: set[str] = set()
        twice = []
        for effect in mrs.effects():
            if effect.kind != "job" and effect.name.startswith("insert"):
                twice += [effect.name] if effect.name in seen else []
                seen.add(effect.name)
        return twice


def _machine_of(member: object) -> simulation_loop.Machine | None:
    return member._line.machine if isinstance(member, simulation_machine.Member) else None


def _settings(chance: random.Random, *, exactly_once: bool) -> all_settings.Settings:
    kafka = {
        "guarantee": "exactly-once" if exactly_once else "at-least-once",
        "session_timeout_ms": round(_SESSION_S * 1000),
        "heartbeat_interval_ms": 500,
        "rebalance_timeout_ms": 6_000,
        "join_request_timeout_ms": 8_000,
        "request_timeout_ms": 2_000,
        "commit_timeout_s": 4.0,
        "transaction_timeout_ms": 6_000,
        "commit_interval_s": chance.choice((0.0, 0.05, 0.5)),
        "retry_most_s": 4.0,
        "feed_records": chance.choice((2, 100)),
        "shutdown_s": 5.0,
        "fenced_limit": 1_000,
    }
    mrs = {"budgets": chance.random() < 0.3, "call_timeout_s": _CALL_TIMEOUT_S}
    engine = {
        "slots_per_cluster": chance.choice((0, 2, 10)),
        "send_within_s": 2.0,
        "settle_s": 5.5,
        "visibility_s": 5.0,
        "look_up_interval_s": 1.0,
        "busy_wait_s": 2.0,
        "poll_interval_s": chance.choice((1.0, 3.0)),
        "kill_again_s": 5.0,
        "cancel_wait_s": 30.0,
        "single_reads": chance.choice((0, 3)),
        "collect_within_s": 60.0,
    }
    return world.settings(kafka=kafka, mrs=mrs, engine=engine)


def run(seed: int, *, verbose: bool = False) -> Outcome:
    """Play one seed."""
    return Simulation(seed, verbose=verbose).run()


def command(seed: int) -> str:
    """How to see a seed again."""
    return f"PYTHONPATH=. python -m tests.support.simulation {seed} --verbose"


def _quiet() -> None:
    structlog.configure(processors=[_drop])


def _drop(*_: object) -> dict[str, object]:
    raise structlog.DropEvent


def _main(words: list[str]) -> int:
    """`FIRST` plays one seed, `FIRST COUNT` that many from there on, on all processors."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.support.simulation", *words],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    verbose = "--verbose" in words
    numbers = [int(word) for word in words if not word.startswith("-")]
    first, count = numbers[0], numbers[1] if len(numbers) > 1 else 1
    if count == 1:
        if verbose:
            structlog.configure(processors=[_stamp, structlog.dev.ConsoleRenderer(colors=False)])
        else:
            _quiet()
        one = Simulation(first, verbose=verbose)
        outcome = one.run()
        for line in one.trace.lines or ():
            print(line[:300])
        print(_told(outcome))
        return 1 if outcome.faults else 0
    began_s = time.monotonic()
    failed = 0
    troubles: dict[str, int] = {}
    events = jobs = 0
    with ProcessPoolExecutor(initializer=_quiet) as pool:
        for outcome in pool.map(run, range(first, first + count), chunksize=5):
            jobs += outcome.jobs
            events += outcome.events
            for name, times in outcome.troubles.items():
                troubles[name] = troubles.get(name, 0) + times
            if outcome.faults:
                failed += 1
                print(_told(outcome), flush=True)
    took_s = time.monotonic() - began_s
    print(
        f"{count} seeds in {took_s:.1f} s ({count / took_s:.1f} a second): "
        f"{failed} failed; {jobs} jobs, {events} events"
    )
    print("troubles: " + ", ".join(f"{name} {times}" for name, times in sorted(troubles.items())))
    return 1 if failed else 0


def _stamp(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    with contextlib.suppress(RuntimeError):
        machine = simulation_loop.OWNER.get()
        at_s = asyncio.get_running_loop().time()
        fields["event"] = f"{at_s:.3f} {machine.name if machine else '-'} {fields['event']}"
    return fields


def _told(outcome: Outcome) -> str:
    kind = "exactly-once" if Simulation(outcome.seed).exactly_once else "at-least-once"
    lines = [f"seed {outcome.seed} ({kind}): {'; '.join(outcome.faults) or 'kept'} (trace {outcome.digest})"]
    if outcome.faults:
        lines.append(f"  again: {command(outcome.seed)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
