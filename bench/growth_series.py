"""The series of `bench/growth.py`: each measures one thing at several sizes, and returns a point for each of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import pathlib
import resource
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from typing import Any, Final

from bench import fleet as fleets
from bench import memory, stage, status, virtual
from prometheus_client import parser
from tests.support import brokers, ports

from mrs_relay import wiring
from mrs_relay.common import clock
from mrs_relay.engine.model import cold_jobs, job_records, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.kafka import cold_records, records
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import settings as mrs_settings

Point = dict[str, float]

_REMEMBERED: Final = (10_000, 100_000, 500_000, 1_000_000, 2_000_000)
_CLUSTERS: Final = (1, 10, 100, 1_000)
_TENANTS: Final = (1, 10, 100)
_PARTITIONS: Final = (1, 4, 16, 64, 128)
_JOBS: Final = (100, 1_000, 10_000, 100_000)

_REQUESTS: Final = 6_000
_ROUNDS: Final = 3
_COMMIT: Final = 5_000
_PER_S: Final = 50
_LOAD_S: Final = 15.0
_LONGEST_S: Final = 120.0


def _say(what: str, point: Point) -> None:
    print(f"  {what}: {point}", file=sys.stderr, flush=True)


# Requests that have ended


def remembered(*, quick: bool) -> list[Point]:
    """Return memory of requests that have ended, and the CPU time in which a new owner indexes their ledger."""
    found = []
    for count in _REMEMBERED[:2] if quick else _REMEMBERED:
        size = memory.remembered(count) * count
        restore_s = asyncio.run(_restore_s(count))
        found.append({"count": count, "mb": round(size / 1e6, 2), "restore_s": round(restore_s, 2)})
        _say("remembered", found[-1])
    return found


async def _restore_s(count: int) -> float:
    """Return CPU time of the restore of a ledger with so many requests that have ended."""
    chosen = status.settings(None)
    broker = memory_broker.MemoryBroker(chosen.kafka, transactions=True, latency_s=0)
    broker.create_topics(1)
    now_ms = clock.SystemClock().now_ms()
    ledger = _ledger(broker, chosen.kafka.topics.ledger, now_ms)
    await ledger.open()
    value = _ended(now_ms)
    gc.disable()  # the broker's records are none of a relay's objects
    for first in range(0, count, _COMMIT):
        numbers = range(first, min(first + _COMMIT, count))
        await ledger.commit(
            [records.Change(jobs.LedgerKey(b"/billing/nightly order-2026-11-24-%08d" % one), value) for one in numbers],
            [],
            numbers.stop,
        )
    await ledger.kill()

    gc.freeze()
    gc.enable()
    fresh = _ledger(broker, chosen.kafka.topics.ledger, now_ms)
    begun_s = time.process_time()
    await fresh.open()
    await fresh.index_older()
    took_s = time.process_time() - begun_s
    assert fresh.cold is not None
    assert len(fresh.cold) == count
    await fresh.kill()
    gc.unfreeze()
    return took_s


def _ledger(broker: memory_broker.MemoryBroker, topic: str, now_ms: int) -> ledgers.Ledger:
    def due_ms(values: Iterable[bytes | None]) -> list[int | None]:
        return cold_jobs.due_ms(values, now_ms, 60_000, kinds.is_known)

    options = ledgers.Options(
        topic=topic,
        idempotent=True,
        limits_bytes={},
        default_limit_bytes=1_000_000,
        restore_timeout_s=60.0,
        cold=cold_records.ColdRule(due_ms, memory.WEEK_MS // 512),
    )
    return ledgers.Ledger(records.Position("mrs.requests", 0), options, broker, "growth")


def _ended(now_ms: int) -> bytes:
    """Return the record of a job that has succeeded; all of them are alike but for their keys."""
    job = jobs.Job(
        source="/billing/nightly",
        id="order-2026-11-24-00000000",
        subject="job",
        digest="2:f6a93517c21c9da86f82f42c19cffb84",
        state=jobs.State.SUCCEEDED,
        sequence=4,
        arrived_ms=now_ms - 3_600_000,
        intent_ms=now_ms - 3_600_000,
        expires_ms=now_ms + memory.WEEK_MS,
    )
    return job_records.encode(job)


# CPU time of a request


def clusters(*, quick: bool) -> list[Point]:
    """Return CPU time of a request, from its message to its submission, by the clusters for which requests come."""
    return _requests("clusters", _CLUSTERS, quick=quick)


def tenants(*, quick: bool) -> list[Point]:
    """Return the same by tenants with a topic of four partitions each, all on one connection."""
    return _requests("tenants", _TENANTS, quick=quick)


def _requests(what: str, counts: Sequence[int], *, quick: bool) -> list[Point]:
    requests = _REQUESTS // 3 if quick else _REQUESTS
    asyncio.run(_request_us(1, 1, requests // 2))  # the first run imports and warms up
    costs: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(1 if quick else _ROUNDS):
        for count, several in costs.items():
            several.append(asyncio.run(_request_us(*((count, 1) if what == "clusters" else (100, count)), requests)))
    found: list[Point] = []
    for count, several in costs.items():
        found.append({"count": count, "request_us": round(statistics.median(several))})
        _say(what, found[-1])
    return found


async def _request_us(clusters: int, tenants: int, requests: int) -> float:
    """Return CPU time in microseconds of a request, of a relay that is there and has shared its partitions."""
    chosen = fleets.settings(fleets.Size(tenants=tenants), {"budgets": False}, {"poll_interval_s": 3600})
    broker = memory_broker.MemoryBroker(chosen.kafka, transactions=True, latency_s=0)
    for one in chosen.tenancies:
        broker.create_topics(status.PARTITIONS, one.kafka.topics)
    mrs = status.InstantMrs(requests)

    def connect(given: mrs_settings.MrsSettings) -> contextlib.AbstractAsyncContextManager[clients.Client]:
        return contextlib.nullcontext(clients.Client(given, mrs, clock.SystemClock()))

    async with wiring.opened(chosen, connect, broker.for_group, clock.SystemClock()) as served:
        running = asyncio.create_task(wiring.run(served), name="relay")
        while not all(one.kafka.status().ready for one in served):  # noqa: ASYNC110 - it says nothing of itself
            await asyncio.sleep(0.05)
        for number in range(requests):
            place = fleets.topic(number % tenants), number // tenants % status.PARTITIONS
            broker.put(*place, b"key-%d" % (number % 64), stage.request(number, fleets.cluster_id(number % clusters)))
        gc.collect()
        begun_s = time.process_time()
        await mrs.done.wait()
        took_s = time.process_time() - begun_s
        wiring.stop(served)
        await asyncio.wait([running])
    return took_s / requests * 1e6


# Commits


def partitions(*, quick: bool) -> list[Point]:
    """
    Time of a commit on a real Kafka of one broker, at 50 requests a second, by the partitions of one replica.

    The memory is that of the relay's whole process.
    """
    found: list[Point] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        brokers.start_kafka(pathlib.Path(folder)) as kafka,
        stage.backend() as address,
    ):
        for count in _PARTITIONS[:2] if quick else _PARTITIONS:
            found.append({"count": count, **_commits(kafka.bootstrap, address, count)})
            _say("partitions", found[-1])
    return found


def _commits(bootstrap: str, address: str, count: int) -> Point:
    prefix, port = f"of{count}", ports.free_port()
    asyncio.run(stage.make_topics(bootstrap, prefix, count))

    with stage.relay(bootstrap, prefix, address, web_port=port) as relay:
        _until_running(port, count)
        asyncio.run(_send(bootstrap, prefix, count, seconds=3.0))  # the first commits of each partition do not count
        before = _commit_seconds(port)
        asyncio.run(_send(bootstrap, prefix, count, seconds=_LOAD_S))
        after = _commit_seconds(port)
        pages = int(pathlib.Path(f"/proc/{relay.pid}/statm").read_text().split()[1])

    made = {bound: after[bound] - before.get(bound, 0.0) for bound in after}
    number = made["count"]

    return {
        "mean_ms": round(made["sum"] / number * 1000, 1),
        "p99_ms": round(_quantile_s(made, 0.99 * number) * 1000, 1),
        "per_s": round(number / _LOAD_S, 1),
        "rss_mb": round(pages * resource.getpagesize() / 1e6, 1),
    }


async def _send(bootstrap: str, prefix: str, count: int, seconds: float) -> None:
    """Send requests at an even pace to all partitions in turn."""
    import aiokafka  # noqa: PLC0415 - only this series needs it

    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1)
    await producer.start()
    begun_s = time.monotonic()
    for number in range(round(seconds * _PER_S)):
        await asyncio.sleep(max(0.0, begun_s + number / _PER_S - time.monotonic()))
        unlike = round(begun_s * 1000) * 100_000 + number  # ids that no earlier call has used
        await producer.send(f"{prefix}.requests", stage.request(unlike), partition=number % count)
    await producer.stop()


def _page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
        text: str = reply.read().decode()
        return text


def _until_running(port: int, count: int) -> None:
    deadline_s = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            shown: dict[str, Any] = json.loads(_page(port, "/ready"))
            if [one["state"] for one in shown["partitions"]] == ["running"] * count:
                return
        time.sleep(0.3)
    raise TimeoutError(f"{count} partitions are not running after {_LONGEST_S:g} s")


def _commit_seconds(port: int) -> dict[str, float]:
    """Return the histogram of commits: cumulated counts by bound, and "sum" and "count"."""
    found = {}
    for family in parser.text_string_to_metric_families(_page(port, "/metrics")):
        if family.name == "mrs_relay_commit_seconds":
            for one in family.samples:
                found[one.labels.get("le", one.name.rpartition("_")[2])] = one.value
    return found


def _quantile_s(made: dict[str, float], rank: float) -> float:
    """Return the duration of a rank, between the bounds of its bucket by proportion."""
    low_s = below = 0.0
    for bound, total in made.items():
        if bound in {"sum", "count", "+Inf"}:
            continue
        if total >= rank:
            return low_s + (float(bound) - low_s) * (rank - below) / (total - below)
        low_s, below = float(bound), total
    return low_s


# Reads of MRS


def reads(*, quick: bool) -> list[Point]:
    """
    Return reads of MRS a minute while jobs run, 100 on each cluster, and the time between two looks at a cluster.

    The CPU time of a read is that of all that the process does meanwhile, divided by the reads.
    """
    found: list[Point] = []
    for count in _JOBS[:3] if quick else _JOBS:
        size = fleets.Size(tenants=1, clusters=max(1, count // 100), jobs=count, replicas=1)
        per_minute, look_s, read_us = virtual.run(_looks(size, 3))
        point = {"per_minute": round(per_minute), "look_s": round(look_s, 1), "read_us": round(read_us)}
        found.append({"count": count, **point})
        _say("reads", found[-1])
    return found


async def _looks(size: fleets.Size, minutes: int) -> tuple[float, float, float]:
    """Return the reads a minute, the seconds between two looks at a cluster, and the CPU time by reads, in µs."""
    here = fleets.Fleet(size)
    await here.fill()
    async with here.running():
        await asyncio.sleep(180)  # the jobs rest by then
        (mrs,) = here.mrs.values()
        reads_before, looks_before, begun_s = mrs.reads, mrs.looks, time.process_time()
        await asyncio.sleep(60 * minutes)
        took_s = time.process_time() - begun_s
    reads, looks = mrs.reads - reads_before, mrs.looks - looks_before
    return reads / minutes, 60 * minutes * size.clusters / looks, took_s / reads * 1e6


# All of it


def fleet(*, quick: bool) -> dict[str, Any]:
    """See `bench/fleet.py`."""
    size = fleets.Size(tenants=20, clusters=200, jobs=20_000) if quick else fleets.Size()
    return fleets.measure(size, 2 if quick else 5)
