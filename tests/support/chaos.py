"""
The kill loop: a real Kafka, real relays and an emulator, killed over and over while requests keep flowing.

`python -m tests.support.chaos 50` does 50 troubles, waits until everything has come to its end, lets `history` judge
and prints a table; exit code 1 if the promise was broken, and the folder with all logs and events is kept then. Add a
seed as a second number to repeat the order of the troubles (not their timing, which is the machines').
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiokafka
from aiokafka import errors as kafka_errors
from tests.support import brokers, chaos_relay, child, history, service

PARTITIONS = 4
RELAYS = 2
_ROOT = Path(__file__).resolve().parents[2]
_DRAIN_S = 300.0


@dataclass(eq=False)
class KillLoop:
    """One run."""

    kafka: brokers.KafkaNode
    mrs: service.Emulator
    here: service.Deployment
    chance: random.Random
    relays: list[child.Child] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    sent: list[str] = field(default_factory=list)
    started: int = 0

    async def run(self, count: int) -> tuple[list[str], list[history.Seen], list[str]]:
        """Do `count` troubles; returns the faults found, all events and the names of all jobs."""
        await asyncio.to_thread(self.here.create_topics, PARTITIONS)
        for _ in range(RELAYS):
            await self._start()
        stop = asyncio.Event()
        sending = asyncio.create_task(self._send(stop))
        try:
            for number in range(count):
                await self._trouble(number)
                await self._restore_number()
        finally:
            stop.set()
            await sending
            for relay in self.relays:
                if relay.alive:
                    relay.send(signal.SIGCONT)
        self.mrs._call("DELETE", "/emulator/faults")
        await self._restore_number()
        events = await self.here.until_ended(self.sent, _DRAIN_S)
        codes = [await asyncio.to_thread(relay.stop) for relay in self.relays if relay.alive]
        created = [effect["name"] for effect in self.mrs.effects()]
        faults = history.faults(self.sent, events, created)
        faults += [f"a relay ended with {code}" for code in codes if code]
        return faults, events, created

    async def _start(self, **more: str) -> None:
        self.started += 1
        environment = {**self.here.environment(), **more}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), environment.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "tests.support.chaos_relay", "serve"]
        log = self.here.workdir / f"relay-{self.started}.log"
        self.relays.append(await asyncio.to_thread(child.Child, command, log=log, env=environment))

    async def _restore_number(self) -> None:
        self.relays = [relay for relay in self.relays if relay.alive]
        while len(self.relays) < RELAYS:
            await self._start()

    async def _send(self, stop: asyncio.Event) -> None:
        """A few requests a second; one whose acknowledgement was lost is sent again, as a careful sender does."""
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.here.bootstrap, enable_idempotence=True, request_timeout_ms=5_000
        )
        await producer.start()
        try:
            while not stop.is_set():
                request_id = f"r-{len(self.sent)}"
                self.sent.append(request_id)
                key = b"key-%d" % (len(self.sent) % 32)
                while not await self._is_sent(producer, key, service.job(request_id)):
                    await asyncio.sleep(0.2)
                await asyncio.sleep(self.chance.expovariate(4))
        finally:
            await producer.stop()

    async def _is_sent(self, producer: aiokafka.AIOKafkaProducer, key: bytes, value: bytes) -> bool:
        try:
            await producer.send_and_wait(self.here.requests, value, key=key)
        except kafka_errors.KafkaError:
            self.done["  request sent again"] += 1
            return False
        return True

    async def _trouble(self, number: int) -> None:
        kinds = {
            "SIGKILL": (self._kill, 5),
            "kill point": (self._kill_point, 6),
            "SIGSTOP": (self._zombie, 2),
            "broker SIGKILL": (self._broker, 1),
            "lost replies": (self._lost_replies, 4),
            "MRS refuses": (self._refusals, 3),
            "latency": (self._latency, 2),
            "join and leave": (self._join, 3),
        }
        names = list(kinds)
        first = names[number] if number < len(names) else None  # a short run meets each kind once
        name = first or self.chance.choices(names, [weight for _, weight in kinds.values()])[0]
        self.done[name] += 1
        await kinds[name][0]()
        await asyncio.sleep(self.chance.uniform(0.5, 2.5))

    async def _kill(self) -> None:
        await asyncio.to_thread(self.chance.choice(self.relays).kill)

    async def _kill_point(self) -> None:
        """A relay of its own that dies at a named point; after 15 seconds it dies anyway."""
        point = self.chance.choice(chaos_relay.POINTS)
        self.done[f"  {point}"] += 1
        await asyncio.to_thread(self.chance.choice(self.relays).kill)
        await self._start(CHAOS_POINT=point, CHAOS_NTH=str(self.chance.randint(1, 6)))
        doomed = self.relays[-1]
        if await asyncio.to_thread(doomed.wait, 15.0) is None:
            self.done["  (not reached)"] += 1
            await asyncio.to_thread(doomed.kill)

    async def _zombie(self) -> None:
        relay = self.chance.choice(self.relays)
        relay.send(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(7.0, 10.0))  # the session timeout is 6 s
        relay.send(signal.SIGCONT)

    async def _broker(self) -> None:
        await asyncio.to_thread(self.kafka.kill)
        await asyncio.sleep(self.chance.uniform(0.1, 3.0))
        await asyncio.to_thread(self.kafka.start)

    async def _lost_replies(self) -> None:
        action = self.chance.choice(("drop_before", "drop_after"))
        operation = self.chance.choice(("CreateExecuteJob", "CreateExecuteJob", "*"))
        self.mrs.fault(action=action, operation=operation, count=self.chance.randint(1, 5))

    async def _refusals(self) -> None:
        count = self.chance.randint(1, 10)
        kind = self.chance.choice(("429", "0177", "502"))
        if kind == "0177":
            self.mrs.fault(action="busy", operation="CreateExecuteJob", count=count)
        elif kind == "429":
            self.mrs.fault(action="status", status=429, count=count, headers={"Retry-After": "1"})
        else:
            self.mrs.fault(action="status_after", status=502, operation="CreateExecuteJob", count=count)

    async def _latency(self) -> None:
        self.mrs.fault(action="latency", seconds=self.chance.uniform(0.1, 3.5), count=self.chance.randint(1, 10))

    async def _join(self) -> None:
        await self._start()
        await asyncio.sleep(self.chance.uniform(1.0, 4.0))
        leaving = self.chance.choice(self.relays)
        with contextlib.suppress(child.ChildFailed):  # a zombie of before may be too late
            await asyncio.to_thread(leaving.stop)


async def play(count: int, workdir: Path, seed: int) -> tuple[list[str], str]:
    """Run the loop in `workdir`; returns the faults and the table. Everything that was seen is written there."""
    began_s = time.monotonic()
    with brokers.start_kafka(workdir) as kafka, service.emulator(workdir, "--slots", "0", "--run-s", "1") as mrs:
        more = {"ENGINE__SLOTS_PER_CLUSTER": "0", "KAFKA__REBALANCE_TIMEOUT_MS": "8000", "KAFKA__RETRY_MOST_S": "2"}
        here = service.Deployment(kafka.bootstrap, "chaos", mrs.url, workdir, more=more)
        loop = KillLoop(kafka, mrs, here, random.Random(seed))
        faults, events, created = await loop.run(count)
    lines = [json.dumps([seen.request_id, seen.sequence, seen.state, seen.event_id, seen.data]) for seen in events]
    (workdir / "events.jsonl").write_text("\n".join(lines))
    (workdir / "jobs.txt").write_text("\n".join(created))
    (workdir / "faults.txt").write_text("\n".join(faults))
    rows = {
        **loop.done,
        "seconds": round(time.monotonic() - began_s),
        "requests": len(loop.sent),
        "jobs": len(created),
        "events": len(events),
        **counts(loop.sent, events, created),
        "faults": len(faults),
    }
    return faults, "\n".join(f"{name:<20} {value:>8}" for name, value in rows.items())


def counts(sent: list[str], events: list[history.Seen], created: list[str]) -> dict[str, int]:
    """The numbers of the table that must be 0."""
    numbers: dict[str, list[int]] = {request_id: [] for request_id in sent}
    for seen in events:
        numbers.setdefault(seen.request_id, []).append(seen.sequence)
    ended = {seen.request_id for seen in events if seen.state in history.LAST}
    return {
        "lost": sum(request_id not in ended for request_id in sent),
        "doubled": sum(times - 1 for times in Counter(created).values()),
        "gaps": sum(max(found, default=0) - len(set(found)) for found in numbers.values()),
        "repeats": sum(len(found) - len(set(found)) for found in numbers.values()),
    }


def _main(words: list[str]) -> int:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker is away on purpose
    count = int(words[0]) if words else 50
    seed = int(words[1]) if len(words) > 1 else random.randrange(1 << 32)
    workdir = Path(tempfile.mkdtemp(prefix="mrs-relay-chaos-"))
    print(f"{count} troubles with seed {seed} in {workdir}", flush=True)
    faults, table = asyncio.run(play(count, workdir, seed))
    print(table)
    if not faults:
        shutil.rmtree(workdir, ignore_errors=True)
        return 0
    print("\n".join(faults[:50]))
    print(f"the promise was broken; logs and history are in {workdir}")
    return 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
