"""
A large deployment in virtual time: 100 tenants, 1,000 clusters, 200,000 jobs under way in 4 replicas.

All replicas run in one process on the in-memory broker. The ledgers hold the jobs to begin with, and MRS lists them as
running. The replicas take them over; then each tenant sends more than the quota of writes allows. Counted are the part
of the quota that is used, the submissions that MRS refuses, how long each callback of the event loop takes (CPU time),
and by how much the process grows for each job. Status and metrics are described as in production.

    PYTHONPATH=. python bench/fleet.py [--tenants 100] [--clusters 1000] [--jobs 200000] [--projects 1] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import hashlib
import pathlib
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import test_utils
from bench import listed_mrs, memory, stage, stopwatch, virtual

from mrs_relay import app, measuring, tenants, wiring
from mrs_relay import settings as all_settings
from mrs_relay.common import clock, http_server, logs, tasks
from mrs_relay.engine import probe
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import records
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import settings as mrs_settings
from mrs_relay.web import metrics

PER_MINUTE: Final = 60
"""Writes a minute and project. Source: API reference mrs_02_0006."""

REST_S: Final = 180.0
"""Seconds after the takeover until the jobs rest, and the budgets are shared."""

_SETTLE_S: Final = 60.0
_SCRAPE_S: Final = 15.0
_TRIM_S: Final = 10.0
_COMMIT: Final = 500
_OWN: Final = "bench"
"""Name of the task whose callbacks are those of the benchmark."""


@dataclass(frozen=True, slots=True)
class Size:
    """
    How large the deployment is.

    Attributes:
        tenants: with a topic each.
        clusters: of all tenants together; each belongs to one.
        jobs: under way, of all clusters together.
        projects: connections to MRS; each has a quota.
        replicas: of the relay.
        partitions: of each tenant's topic.
    """

    tenants: int = 100
    clusters: int = 1_000
    jobs: int = 200_000
    projects: int = 1
    replicas: int = 4
    partitions: int = 4

    def tenant_of(self, cluster: int) -> int:
        """Return the tenant that uses a cluster."""
        return cluster % self.tenants

    def partition_of(self, cluster: int) -> int:
        """Return the partition to which requests for a cluster are sent: its id is their key."""
        return cluster // self.tenants % self.partitions


def cluster_id(number: int) -> str:
    """Return the id of one of the clusters."""
    return f"6b2f1c34-7f0e-4a52-9c11-{number:012x}"


def topic(tenant: int) -> str:
    """Return the topic of a tenant's requests, with a name of usual length."""
    return f"team-{tenant:03}.analytics.mrs.requests"


def settings(
    size: Size, mrs: Mapping[str, Any] | None = None, engine: Mapping[str, Any] | None = None
) -> all_settings.Settings:
    """Return settings as in production, but for what `mrs` says of all projects and `engine` of the engine."""
    keys = {"access_key": "BENCH", "secret_key": "bench", **(mrs or {})}
    projects = {
        f"p{number}": {"endpoint": f"http://p{number}.test", "project_id": f"{number:032x}", **keys}
        for number in range(size.projects)
    }

    several = {
        f"t{number}": {
            "requests": topic(number),
            "events": f"t{number}.events",
            "connection": f"p{number % size.projects}",
        }
        for number in range(size.tenants)
    }

    given = {"connections": projects, "tenants": several, "engine": {"slots_per_cluster": 0, **(engine or {})}}
    return all_settings.Settings(**given)  # type: ignore[arg-type]  # pydantic makes the groups


class Fleet:
    """
    The deployment.

    Args:
        size: how large it is.

    Attributes:
        mrs: address of each project -> its MRS.
        replicas: the tenants that each replica serves.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.time = clock.LoopClock()
        self.chosen = settings(size)
        self.broker = memory_broker.MemoryBroker(self.chosen.kafka, transactions=True)
        for one in self.chosen.tenancies:
            self.broker.create_topics(size.partitions, one.kafka.topics)
        self.mrs = {
            one.base_url: listed_mrs.ListedMrs(self.time, PER_MINUTE) for one in self.chosen.connections.values()
        }
        self.replicas: list[tuple[wiring.TenantService, ...]] = []
        self._sent = 0

    @property
    def followed(self) -> int:
        """Jobs that are followed by all replicas."""
        connections = {id(one.connection): one.connection for served in self.replicas for one in served}
        return sum(one.tracker.followed for one in connections.values())

    @property
    def taken_s(self) -> list[float]:
        """When each submission was accepted."""
        return [at_s for mrs in self.mrs.values() for at_s in mrs.taken_s]

    def _project(self, cluster: int) -> listed_mrs.ListedMrs:
        connection = self.chosen.tenancies[self.size.tenant_of(cluster)].connection
        return self.mrs[self.chosen.connection(connection).base_url]

    async def fill(self) -> None:
        """Write the jobs under way into the ledgers, and have MRS run them."""
        size = self.size
        sample = job_records.decode(memory.ledger_record(0)[1])
        lives: dict[tuple[int, int], list[jobs.Job]] = {}
        for cluster in range(size.clusters):
            numbers = range(cluster, size.jobs, size.clusters)
            several = [_running(sample, cluster, number, self.time.now_ms()) for number in numbers]
            lives.setdefault((size.tenant_of(cluster), size.partition_of(cluster)), []).extend(several)
            for job in several:
                assert job.seen is not None
                shown = {"app_id": job.seen.app_id, "tracking_url": job.seen.tracking_url}
                self._project(cluster).run(cluster_id(cluster), job.seen.job_id, **shown)

        for (tenant, partition), several in lives.items():
            await self._write(self.chosen.tenancies[tenant], partition, several)

    async def _write(self, tenant: tenants.ResolvedTenant, partition: int, several: list[jobs.Job]) -> None:
        """Write jobs by the ledger's own commits."""
        options = ledgers.Options(
            topic=tenant.kafka.topics.ledger,
            idempotent=True,
            limits_bytes={},
            default_limit_bytes=tenant.kafka.record_bytes,
            restore_timeout_s=tenant.kafka.restore_timeout_s,
        )

        place = records.Position(tenant.kafka.topics.requests, partition)
        broker = self.broker.for_group(tenant.kafka)
        ledger = ledgers.Ledger(place, options, broker, tenant.kafka.transactional_id(partition))
        await ledger.open()

        for first in range(0, len(several), _COMMIT):
            changes = [
                records.Change(job.ledger_key, job_records.encode(job)) for job in several[first : first + _COMMIT]
            ]
            await ledger.commit(changes, [], 0)

        await ledger.kill()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the replicas for the length of the context."""
        async with contextlib.AsyncExitStack() as stack:
            running = []
            for number in range(self.size.replicas):
                opened = wiring.opened(self.chosen, self._connect, self.broker.for_group, self.time)
                served = await stack.enter_async_context(opened)
                self.replicas.append(served)
                watching = await stack.enter_async_context(tasks.TaskSupervisor(_failed))
                meter = measuring.Meter(served, self.chosen, self.time)
                meter.start(watching)
                watching.start(_scrape(served, meter), name="metrics")
                watching.start(self._trim(), name=f"{_OWN} trim")
                running.append(asyncio.create_task(wiring.run(served), name=f"replica {number}"))

            try:
                yield
            finally:
                for served in self.replicas:
                    wiring.stop(served)
                await asyncio.wait(running)

    async def _trim(self) -> None:
        """Drop old records of the status, which would be most of what the cycle collector looks at."""
        place = records.Position(self.chosen.kafka.topics.status or "", 0)
        while True:
            await asyncio.sleep(_TRIM_S)
            self.broker.cut(*place, self.broker.log(place).end)

    def _connect(self, mrs: mrs_settings.MrsSettings) -> contextlib.AbstractAsyncContextManager[clients.Client]:
        return contextlib.nullcontext(clients.Client(mrs, self.mrs[mrs.base_url], self.time))

    def send(self, count: int) -> None:
        """Send requests, as many of each tenant, for all of its clusters in turn."""
        for number in range(self._sent, self._sent + count):
            cluster = number % self.size.clusters
            place = topic(self.size.tenant_of(cluster)), self.size.partition_of(cluster)
            self.broker.put(*place, cluster_id(cluster).encode(), stage.request(number, cluster_id(cluster)))
        self._sent += count


def _failed(task: str, error: BaseException) -> None:
    raise AssertionError(f"{task} has ended") from error


def _running(sample: jobs.Job, cluster: int, number: int, now_ms: int) -> jobs.Job:
    """Return a job that runs, as the service writes it, with ids that look like chance."""
    chance = hashlib.sha256(b"%d" % number).hexdigest()
    assert sample.seen is not None

    seen = msgspec.structs.replace(
        sample.seen,
        job_id=f"{chance[:8]}-{chance[8:12]}-{chance[12:16]}-{chance[16:20]}-{number:012x}",
        app_id=f"application_1795420800000_{number:06d}",
        submitted_ms=now_ms,
        started_ms=now_ms,
        tracking_url=f"https://node-master1.example.com:8088/proxy/application_1795420800000_{number:06d}/",
    )

    return msgspec.structs.replace(
        sample,
        id=f"order-2026-11-24-{number:08d}",
        order=number,
        key=cluster_id(cluster).encode(),
        cluster=cluster_id(cluster),
        labels={"team": "billing", "run": f"nightly-{number:08d}"},
        correlation_id=f"run-{number:08d}",
        traceparent=f"00-{chance[:32]}-{chance[32:48]}-01",
        arrived_ms=now_ms,
        intent_ms=now_ms,
        seen=seen,
    )


async def _scrape(served: tuple[wiring.TenantService, ...], meter: measuring.Meter) -> None:
    """Take the metrics as Prometheus does."""
    probes = {one.connection.name: probe.Probe(one.connection.client, "") for one in served}
    registry = metrics.collect_from(lambda: measuring.snapshot(served, probes, meter), lambda: True)
    request = test_utils.make_mocked_request("GET", "/metrics")
    while True:
        await asyncio.sleep(_SCRAPE_S)
        await http_server.metrics(request, registry)


def _resident_bytes() -> int:
    gc.collect()
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@dataclass
class Figures:
    """What was measured; `phases` has the longest callbacks of each phase in milliseconds, by name."""

    takeover_cpu_s: float = 0.0
    bytes_per_job: int = 0
    used: float = 0.0
    throttled: int = 0
    reads_per_minute: int = 0
    blocked_ms: float = 0.0
    blocked_by: str = ""
    collected_ms: float = 0.0
    phases: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextlib.contextmanager
    def phase(self, name: str, watch: stopwatch.Stopwatch) -> Iterator[None]:
        """Note the callbacks of a phase."""
        watch.reset()
        yield
        worst_s, whose = watch.worst
        if worst_s * 1000 > self.blocked_ms:
            self.blocked_ms, self.blocked_by = round(worst_s * 1000, 1), f"{whose}, {name}"
        self.collected_ms = max(self.collected_ms, round(watch.collected_s * 1000, 1))
        longest = sorted(watch.longest_s.items(), key=lambda item: -item[1])[:8]
        self.phases[name] = {whose: round(took_s * 1000, 1) for whose, took_s in longest}
        print(f"  {name}: {self.phases[name]}; cycle collector {watch.collected_s * 1000:.0f} ms", file=sys.stderr)


async def play(size: Size, minutes: int, rest_s: float) -> Figures:
    """Take over, wait until the jobs rest, and submit for so many minutes."""
    found, watch, fleet = Figures(), stopwatch.Stopwatch(ignored=(_OWN,)), Fleet(size)
    asyncio.current_task().set_name(_OWN)  # type: ignore[union-attr]  # there is one
    await fleet.fill()
    before, loop = _resident_bytes(), asyncio.get_running_loop()
    gc.freeze()
    begun_s = time.process_time()
    with watch.running():
        async with fleet.running():
            with found.phase("takeover", watch):
                async with asyncio.timeout(600):
                    while fleet.followed < size.jobs:  # noqa: ASYNC110 - in virtual time
                        await asyncio.sleep(0.1)
                found.takeover_cpu_s = round(time.process_time() - begun_s, 1)
            with found.phase("rest", watch):
                await asyncio.sleep(rest_s)
            found.bytes_per_job = (_resident_bytes() - before) // size.jobs

            with found.phase("backlog", watch):
                fleet.send((minutes + 3) * PER_MINUTE * size.projects)
                await asyncio.sleep(_SETTLE_S)
                begin_s, reads = loop.time(), sum(mrs.reads for mrs in fleet.mrs.values())
                await asyncio.sleep(minutes * 60)
            taken = sum(begin_s <= at_s < loop.time() for at_s in fleet.taken_s)
            found.used = round(taken / (minutes * PER_MINUTE * size.projects), 4)
            found.throttled = sum(mrs.throttled for mrs in fleet.mrs.values())
            found.reads_per_minute = round((sum(mrs.reads for mrs in fleet.mrs.values()) - reads) / minutes)
    return found


def measure(size: Size, minutes: int, rest_s: float = REST_S) -> dict[str, Any]:
    """Play it; all figures."""
    usual = gc.get_threshold()
    gc.set_threshold(app._GC_ALLOCATIONS, 20, 20)  # noqa: SLF001 - as the service does at its start
    try:
        found = virtual.run(play(size, minutes, rest_s))
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)
    return {**{name: getattr(size, name) for name in size.__slots__}, "minutes": minutes, **vars(found)}


def main() -> None:
    """Read the command line, play, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in Size.__slots__:
        parser.add_argument(f"--{name}", type=int, default=getattr(Size(), name))
    parser.add_argument("--minutes", type=int, default=5, help="of virtual time under the backlog")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    logs.setup(level="ERROR")
    size = Size(**{name: getattr(given, name) for name in Size.__slots__})
    stage.show(measure(size, given.minutes), as_json=given.json)


if __name__ == "__main__":
    main()
