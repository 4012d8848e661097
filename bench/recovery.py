"""
Recovery: how fast a partition's ledger comes back, over a bare aiokafka read of the same topic.

One partition's ledger is filled with jobs that run, through the service's own commits: three records for each, as the
service writes them, and none compacted away yet. A recovery is all that a new owner does before it takes the first
message: fence and claim, read the ledger up to the claim, decode the jobs, put each in its slot and under its poller.
The bare read is a consumer that reads to the end and keeps nothing. A second ledger has the newest records alone, as
after a perfect compaction: the same jobs to decode, a third to read; that one is reported, not judged.

    PYTHONPATH=. python bench/recovery.py [--jobs 50000] [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import aiokafka
import uvloop
from bench import memory, stage
from tests.support import brokers

from mrs_relay import app, wiring
from mrs_relay import settings as all_settings
from mrs_relay.common import clock, logs
from mrs_relay.engine import context as contexts
from mrs_relay.engine import executor as executors
from mrs_relay.engine import partition_jobs
from mrs_relay.kafka import cold_records, records
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import transport

_BATCH: Final = 500


class Unreachable:
    """The way to an MRS that is never asked: the pollers' first look is an hour away."""

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        """Refuse."""
        raise AssertionError(f"{request.verb} {request.target} within {timeout_s} s: no call is expected here")


@dataclass(frozen=True, slots=True)
class Place:
    """
    A ledger to be measured.

    Attributes:
        bootstrap: Kafka's address.
        prefix: begins its topics.
        jobs: how many it holds.
        compacted: whether it has the newest record of each alone.
    """

    bootstrap: str
    prefix: str
    jobs: int
    compacted: bool

    @property
    def input(self) -> records.Position:
        """The input partition."""
        return records.Position(f"{self.prefix}.requests", 0)

    @property
    def ledger(self) -> records.Position:
        """The ledger partition."""
        return records.Position(f"{self.prefix}.requests.ledger", 0)

    def settings(self) -> all_settings.Settings:
        """Return settings as in production, but for the address and the pollers."""
        keys = {"access_key": "BENCH", "secret_key": "bench"}
        return all_settings.Settings(
            kafka={
                "bootstrap_servers": self.bootstrap,
                "app_id": self.prefix,
                "topics": {"requests": self.input.topic},
            },
            mrs={"endpoint": "http://mrs.invalid", "project_id": stage.PROJECT, **keys},
            engine={"poll_interval_s": 3600.0},
        )

    def owner(self, cold: cold_records.ColdRule | None = None) -> ledgers.Ledger:
        """Return the partition's ledger, for one more owner."""
        kafka = self.settings().kafka
        options = ledgers.Options(
            topic=self.ledger.topic,
            idempotent=True,
            limits_bytes={},
            default_limit_bytes=kafka.record_bytes,
            restore_timeout_s=kafka.restore_timeout_s,
            cold=cold,
        )
        broker = kafka_client.KafkaBroker(kafka)
        return ledgers.Ledger(self.input, options, broker, kafka.transactional_id(self.input.partition))


async def fill(place: Place) -> None:
    """Write the ledger as the service does: a transaction for each group of jobs and each step of their lives."""
    await stage.make_topics(place.bootstrap, place.prefix, 1)
    ledger = place.owner()
    await ledger.open()
    for first in range(0, place.jobs, _BATCH):
        numbers = range(first, min(first + _BATCH, place.jobs))
        lives = [memory.ledger_records(number) for number in numbers]
        for step in range(-1 if place.compacted else -len(lives[0][1]), 0):
            await ledger.commit([records.Change(key, values[step]) for key, values in lives], [], numbers.stop)
    await ledger.kill()


@dataclass(frozen=True, slots=True)
class Taken:
    """A partition whose jobs are followed: its ledger and lease, and the seconds that this took."""

    ledger: ledgers.Ledger
    lease: leases.Lease[contexts.Notice]
    followed_s: float


@contextlib.asynccontextmanager
async def taken(place: Place) -> AsyncIterator[Taken]:
    """Take a partition over from nothing, as the service does, up to where all of its jobs are followed."""
    chosen, system = place.settings(), clock.SystemClock()
    client = clients.Client(chosen.mrs, Unreachable(), system)

    opened = wiring.opened(chosen, lambda _mrs: contextlib.nullcontext(client), kafka_client.KafkaBroker, system)
    async with opened as (served,):
        context = served.context
        started_s = time.perf_counter()
        ledger = place.owner(wiring._cold_rule(context))  # noqa: SLF001 - as the service does
        found = await ledger.open()
        start = leases.Start(
            found.state, found.next_offset or 0, found.claimed_at_s, cold=ledger.cold, tail=ledger.tail
        )
        inbox: inboxes.Inbox[contexts.Notice] = inboxes.Inbox(capacity=1, next_offset=start.next_offset)
        lease = leases.Lease(place.input, start, inbox, ledger, clock=system, stale_after_s=45.0)
        held = await partition_jobs.load(lease)

        async with executors.CommandExecutor(lease, context) as executor:
            await executor.resume(held, held.rejected)
            executor.rest(held)
            followed_s = time.perf_counter() - started_s
            assert len(held) == context.tracker.followed == place.jobs
            yield Taken(ledger, lease, followed_s)

        await ledger.kill()


async def recover(place: Place) -> float:
    """Return the seconds from nothing to a partition whose next message can be taken."""
    async with taken(place) as found:
        return found.followed_s


async def bare_read(place: Place) -> float:
    """Return the seconds in which a bare consumer reads the same topic to its end, committed records only."""
    started_s = time.perf_counter()
    part = aiokafka.TopicPartition(*place.ledger)
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=place.bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign([part])
        await consumer.seek_to_beginning(part)
        end = (await consumer.end_offsets([part]))[part]
        while await consumer.position(part) < end:
            await consumer.getmany(part, timeout_ms=1000)
        return time.perf_counter() - started_s
    finally:
        await consumer.stop()


async def rounds_of(place: Place, rounds: int) -> list[tuple[float, float]]:
    """Return the seconds of a recovery and of a bare read, round by round; the first of each does not count."""
    await fill(place)
    found = []
    for number in range(rounds + 1):
        gc.collect()
        pair = await recover(place), await bare_read(place)
        if number:
            found.append(pair)
            reported = f"recovery {pair[0]:.2f} s, bare read {pair[1]:.2f} s"
            print(f"  {place.prefix}, round {number}: {reported}", file=sys.stderr, flush=True)
    return found


def measure(jobs: int, rounds: int) -> dict[str, object]:
    """Measure medians, and the medians of the ratios of each round, of both ledgers."""
    with tempfile.TemporaryDirectory() as folder, brokers.start_kafka(pathlib.Path(folder)) as kafka:
        found = uvloop.run(rounds_of(Place(kafka.bootstrap, "grown", jobs, compacted=False), rounds))
        short = uvloop.run(rounds_of(Place(kafka.bootstrap, "compacted", jobs, compacted=True), rounds))
    return {
        "jobs": jobs,
        "rounds": rounds,
        "restored_per_s": round(jobs / statistics.median(ours for ours, _ in found)),
        "bare_per_s": round(jobs / statistics.median(bare for _, bare in found)),
        "ratio": round(statistics.median(bare / ours for ours, bare in found), 3),
        "compacted_restored_per_s": round(jobs / statistics.median(ours for ours, _ in short)),
        "compacted_ratio": round(statistics.median(bare / ours for ours, bare in short), 3),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    stage.quiet()
    logs.setup(level="ERROR")
    gc.freeze()
    gc.set_threshold(app._GC_ALLOCATIONS, 20, 20)  # noqa: SLF001 - as the service does at its start
    figures = measure(given.jobs, given.rounds)
    print(json.dumps(figures) if given.json else figures)


if __name__ == "__main__":
    main()
