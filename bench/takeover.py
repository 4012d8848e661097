"""
How long partitions stand still: in a rolling restart, when a replica is killed, and when nothing happens.

Real Kafka with default settings of the relay, four replicas as processes, twelve partitions, each of which gets ten
messages a second. The stop of a partition is the longest time from a message to its `submitted`; what that is while
nothing happens is measured, too. Replicas are restarted one after the other by SIGTERM: once as they come, and once
with instance ids and `kafka.restart_hold_ms`, where the group keeps a replica's partitions until it is back. Then one
is killed by SIGKILL, round by round; the clock runs to the first `submitted` of a partition that was its own.

    PYTHONPATH=. python bench/takeover.py [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiokafka
from bench import stage
from tests.support import brokers, ports

REPLICAS: Final = 4
PARTITIONS: Final = 12
PER_S: Final = 10
"""Messages a second to each partition."""

CALM_S: Final = 15.0
_SETTLE_S: Final = 3.0
_LONGEST_S: Final = 150.0
_NUMBER: Final = re.compile(rb"bench-(\d{8})")

Owners = Mapping[int, int]
"""Partition → number of the replica that works on it."""


@dataclass
class Traffic:
    """
    Messages to all partitions in turn, and when each was sent and submitted, in epoch seconds.

    Attributes:
        sent_s: by number of the message; its partition is the number modulo all.
        submitted_s: by number of the message.
        news: set when another one was submitted.
    """

    bootstrap: str
    prefix: str
    sent_s: list[float] = field(default_factory=list)
    submitted_s: dict[int, float] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Send and read for the length of the context."""
        tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._read())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _send(self) -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks=1)
        await producer.start()
        try:
            begun_s = time.monotonic()
            while True:
                number = len(self.sent_s)
                await asyncio.sleep(max(0.0, begun_s + number / (PER_S * PARTITIONS) - time.monotonic()))
                self.sent_s.append(time.time())
                message = stage.request(number)
                await producer.send(f"{self.prefix}.requests", message, partition=number % PARTITIONS)
        finally:
            await producer.stop()

    async def _read(self) -> None:
        consumer = aiokafka.AIOKafkaConsumer(
            f"{self.prefix}.events",
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        try:
            async for record in consumer:
                if b'"submitted"' in record.value and (found := _NUMBER.search(record.value)):
                    self.submitted_s.setdefault(int(found[1]), record.timestamp / 1000)
                    self.news.set()
        finally:
            await consumer.stop()

    async def all_submitted(self) -> None:
        """Wait until what was sent so far is submitted."""
        count = len(self.sent_s)
        async with asyncio.timeout(_LONGEST_S):
            while any(number not in self.submitted_s for number in range(count)):
                self.news.clear()
                await self.news.wait()

    def longest_s(self, first: int, end: int, partitions: frozenset[int]) -> float:
        """Return the longest wait of the messages `first` to `end` of some partitions; 0 without any."""
        numbers = (number for number in range(first, end) if number % PARTITIONS in partitions)
        return max((self.submitted_s[number] - self.sent_s[number] for number in numbers), default=0.0)

    async def first_after_s(self, moment_s: float, partitions: frozenset[int]) -> list[float]:
        """Return for each partition: seconds from a moment to its first `submitted` after it; waits for all of them."""
        async with asyncio.timeout(_LONGEST_S):
            while True:
                self.news.clear()
                later = [(number % PARTITIONS, at_s) for number, at_s in self.submitted_s.items() if at_s > moment_s]
                if partitions <= {one for one, _ in later}:
                    return [min(at_s for other, at_s in later if other == one) - moment_s for one in partitions]
                await self.news.wait()


class Replica:
    """One relay that is ended and started again; its number is its instance id, where it has one."""

    def __init__(self, bootstrap: str, prefix: str, address: str, number: int, more: Mapping[str, str]) -> None:
        self.number = number
        self.port = ports.free_port()
        own = {name: value.format(number=number) for name, value in more.items()}
        self._started = functools.partial(stage.relay, bootstrap, prefix, address, web_port=self.port, more=own)
        self._running = contextlib.ExitStack()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        self.process = self._running.enter_context(self._started())

    def end(self, number: signal.Signals) -> None:
        """End it by a signal; waits for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(60)
        self._running.close()

    def works_on(self) -> frozenset[int]:
        """Return partitions on which it works."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5) as reply:
                status = json.loads(reply.read())
        except (urllib.error.URLError, OSError, json.JSONDecodeError):
            return frozenset()
        return frozenset(one["partition"] for one in status["partitions"] if one["state"] == "running")


async def owners(replicas: Sequence[Replica]) -> Owners:
    """Wait until some replicas work on all partitions in equal parts."""
    async with asyncio.timeout(_LONGEST_S):
        while True:
            shares = await asyncio.gather(*(asyncio.to_thread(one.works_on) for one in replicas))
            if all(len(share) == PARTITIONS // len(replicas) for share in shares):
                found = {one: replicas[at].number for at, share in enumerate(shares) for one in share}
                if len(found) == PARTITIONS:
                    return found
            await asyncio.sleep(0.1)


@dataclass
class Stops:
    """Stops of partitions in seconds: of those that moved or whose replica was restarted, and of all others."""

    moved: list[float] = field(default_factory=list)
    stayed: list[float] = field(default_factory=list)


async def rolling(traffic: Traffic, replicas: Sequence[Replica], *, held: bool) -> Stops:
    """Restart all replicas, one after the other."""
    stops = Stops()
    for one in replicas:
        before, first = await owners(replicas), len(traffic.sent_s)
        await asyncio.to_thread(one.end, signal.SIGTERM)
        others = [other for other in replicas if other is not one]
        between = before if held else await owners(others)
        one.start()
        after = await owners(replicas)
        await asyncio.sleep(_SETTLE_S)
        end = len(traffic.sent_s)
        await traffic.all_submitted()

        touched = {own for own in before if before[own] == one.number}
        touched |= {own for own in before if len({before[own], between[own], after[own]}) > 1}
        stops.moved.append(traffic.longest_s(first, end, frozenset(touched)))
        stops.stayed.append(traffic.longest_s(first, end, frozenset(before) - touched))
        shown = f"moved {stops.moved[-1]:.2f} s, stayed {stops.stayed[-1]:.2f} s"
        print(f"  replica {one.number}, {len(touched)} partitions touched: {shown}", file=sys.stderr, flush=True)
    return stops


async def killed(traffic: Traffic, replicas: Sequence[Replica], rounds: int) -> list[float]:
    """Kill a replica, round by round: seconds to the first act on each of its partitions."""
    found: list[float] = []
    for number in range(rounds):
        one = replicas[number % len(replicas)]
        before, at_s = await owners(replicas), time.time()
        await asyncio.to_thread(one.end, signal.SIGKILL)
        await owners([other for other in replicas if other is not one])
        await asyncio.sleep(_SETTLE_S)
        taken = await traffic.first_after_s(at_s + 0.1, frozenset(own for own in before if before[own] == one.number))
        found += taken
        shown = ", ".join(f"{each:.1f}" for each in sorted(taken))
        print(f"  killed: first acts after {shown} s", file=sys.stderr, flush=True)
        one.start()
        await owners(replicas)
        await traffic.all_submitted()

    return found


async def played(bootstrap: str, address: str, rounds: int) -> dict[str, float]:
    """Measure all of it; figures in seconds."""
    found: dict[str, float] = {"replicas": REPLICAS, "partitions": PARTITIONS, "rounds": rounds}
    held = {"KAFKA__INSTANCE_ID": "replica-{number}", "KAFKA__RESTART_HOLD_MS": "60000"}
    for name, more in (("handed_over", {}), ("held", held)):
        await stage.make_topics(bootstrap, name, PARTITIONS)
        traffic = Traffic(bootstrap, name)
        replicas = [Replica(bootstrap, name, address, number, more) for number in range(REPLICAS)]
        for one in replicas:
            one.start()

        try:
            await owners(replicas)
            async with traffic.flowing():
                await asyncio.sleep(_SETTLE_S)
                first = len(traffic.sent_s)
                await asyncio.sleep(CALM_S)
                end = len(traffic.sent_s)
                await traffic.all_submitted()
                found[f"{name}_calm_s"] = round(traffic.longest_s(first, end, frozenset(range(PARTITIONS))), 2)
                stops = await rolling(traffic, replicas, held=bool(more))
                found[f"{name}_moved_s"] = round(max(stops.moved), 2)
                found[f"{name}_stayed_s"] = round(max(stops.stayed), 2)
                found[f"{name}_stopped_s"] = round(max(0.0, max(stops.stayed) - found[f"{name}_calm_s"]), 2)
                if not more:
                    acts = await killed(traffic, replicas, rounds)
                    found |= {"killed_s": round(max(acts), 1), "killed_median_s": round(statistics.median(acts), 1)}
        finally:
            for one in replicas:
                await asyncio.to_thread(one.end, signal.SIGKILL)

    return found


def measure(rounds: int) -> dict[str, float]:
    """Start everything, and measure."""
    with (
        tempfile.TemporaryDirectory() as folder,
        brokers.start_kafka(pathlib.Path(folder)) as kafka,
        stage.backend() as address,
    ):
        return asyncio.run(played(kafka.bootstrap, address, rounds))


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="kills")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    stage.quiet()
    stage.show({**measure(given.rounds)}, as_json=given.json)


if __name__ == "__main__":
    main()
