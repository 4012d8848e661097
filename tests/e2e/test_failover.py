"""Three real brokers of which some hang or are gone: events go on within seconds, and no relay ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from tests.support import brokers as nodes
from tests.support import runtime_process, waiting

from mrs_relay import errors
from mrs_relay.common import clock, tasks
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import records, runtime, settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import topic_setup

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

_PARTITIONS = 6
_EVERY_S = 0.5
_HUNG_S = 40.0
_STALL_S = 36.0
"""A stall that would have ended sooner than the hung broker woke up, also on a busy machine; idle it is below ten."""

_GONE_S = 150.0
"""Longest time until a replica names what is wrong; idle it takes some 30 s, which is the time a write may take."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.KafkaCluster]:
    """Three brokers for the tests of this file, all of them running at the end of each test."""
    made = nodes.KafkaCluster(tmp_path_factory.mktemp("failover"), jvm=nodes.QUICK_JVM)
    try:
        made.start(240)
        yield made
    finally:
        made.close()


async def _number_and_tick(lease: leases.Lease[None]) -> None:
    """Number the records of a partition, and write its count again every half second, as jobs under way are."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            lease.inbox.put(None)

    ticking = asyncio.create_task(tick())
    try:
        await runtime_process.number(lease)
    finally:
        ticking.cancel()


@dataclass(eq=False)
class _Stage:
    """
    Two replicas with default settings at work, a sender, and a reader of the events.

    Attributes:
        kafka: the settings.
        acknowledged: partition and offset of each record, and when Kafka had it.
        accepted: the same of each event, by its record.
        repeated: records that came in two events.
        ended: what ended a replica.
        works: the replicas.
    """

    kafka: settings.KafkaSettings
    acknowledged: dict[tuple[int, int], float] = field(default_factory=dict)
    accepted: dict[tuple[int, int], float] = field(default_factory=dict)
    repeated: list[tuple[int, int]] = field(default_factory=list)
    ended: list[BaseException] = field(default_factory=list)
    works: list[runtime.Runtime[None]] = field(default_factory=list)

    async def replica(self) -> None:
        """Work until stopped."""
        work = runtime.Runtime(self.kafka, client.KafkaBroker(self.kafka), _number_and_tick, clock.SystemClock())
        self.works.append(work)
        try:
            await work.run()
        except errors.RelayError as error:
            self.ended.append(error)

    async def send(self, partition: int) -> None:
        """Send a record every half second to a partition; what is not acknowledged is sent again."""
        broker, name = client.KafkaBroker(self.kafka), self.kafka.topics.requests
        while True:
            sender = broker.producer(None, idempotent=True)
            try:
                await sender.start()
                while True:
                    (block,) = await sender.write([records.Outgoing(name, b"k", b"v", (), partition)])
                    self.acknowledged[partition, block.first_offset] = clock.SystemClock().monotonic_s()
                    await asyncio.sleep(_EVERY_S)
            except errors.StreamError:
                await asyncio.sleep(_EVERY_S)
            finally:
                await sender.kill()

    async def read(self) -> None:
        """Read the committed events as they come."""
        broker = client.KafkaBroker(self.kafka)
        places = dict.fromkeys(range(_PARTITIONS), 0)
        while True:
            with contextlib.suppress(errors.StreamDown):
                async with broker.topic(self.kafka.topics.events, _PARTITIONS) as reader:
                    reader.go_to(places)
                    while True:
                        for event in await reader.read(0.2):
                            places[event.partition] = event.offset + 1
                            place = event.partition, int((event.value or b"").split()[0])
                            self.repeated += [place] if place in self.accepted else []
                            self.accepted.setdefault(place, clock.SystemClock().monotonic_s())

    async def until(self, sure: Callable[[], bool]) -> None:
        """Wait until something is so."""
        await waiting.until(sure, self._found)

    def _found(self) -> str:
        missing = sorted(self.acknowledged.keys() - self.accepted.keys())
        return f"missing {missing[:9]}; ended {self.ended}; {[work.status() for work in self.works]}"

    async def until_all_accepted(self) -> None:
        """Wait until there is an event for all that is acknowledged by now."""
        wanted = set(self.acknowledged)
        await self.until(lambda: wanted <= self.accepted.keys())

    @property
    def shared(self) -> bool:
        """Whether each replica works on its half of the partitions."""
        return all(work.status().ready and len(work.status().partitions) == _PARTITIONS / 2 for work in self.works)

    def longest_wait_s(self, since_s: float) -> float:
        """Return the longest time from an acknowledgement of Kafka, since then, to the event, where there is one."""
        reported = [place for place in self.accepted if self.acknowledged.get(place, 0.0) >= since_s]
        return max(self.accepted[place] - self.acknowledged[place] for place in reported)


@contextlib.asynccontextmanager
async def _at_work(cluster: nodes.KafkaCluster) -> AsyncIterator[_Stage]:
    name = f"failover-{uuid.uuid4().hex[:8]}"
    kafka = settings.KafkaSettings(
        bootstrap_servers=cluster.bootstrap,
        topics=settings.Topics(requests=name, events=f"{name}.ev", dead_letters=f"{name}.dl", status=None),
        app_id=name,
        group_id=name,
        partitions=_PARTITIONS,
    )

    async with client.KafkaBroker(kafka).admin() as admin:
        await topic_setup.create(admin, kafka)

    stage, failed = _Stage(kafka), list[str]()
    async with tasks.TaskSupervisor(lambda task, error: failed.append(f"{task}: {error!r}")) as task_supervisor:
        replicas = [task_supervisor.start(stage.replica(), name=f"replica {number}") for number in range(2)]
        for partition in range(_PARTITIONS):
            task_supervisor.start(stage.send(partition), name=f"sender {partition}")
        task_supervisor.start(stage.read(), name="reader")
        await stage.until(lambda: stage.shared and {place[0] for place in stage.accepted} == set(range(_PARTITIONS)))
        yield stage
        for work in stage.works:
            work.stop()
        _, late = await asyncio.wait(replicas, timeout=60)
        assert not late

    assert failed == []


async def _coordinator_of(stage: _Stage) -> int:
    """Number of the broker that coordinates the group, beginning with 1."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.kafka.bootstrap_servers)
    await admin.start()
    try:
        return int(await admin.find_coordinator(stage.kafka.group_id))
    finally:
        await admin.close()


async def test_hung_coordinator_and_leader_holds_events_up_for_seconds(cluster: nodes.KafkaCluster) -> None:
    """Kafka moves what it led, and we follow at once; nothing is lost or repeated, also when it wakes up again."""
    async with _at_work(cluster) as stage:
        node = cluster.nodes[await _coordinator_of(stage) - 1]
        began_s = clock.SystemClock().monotonic_s()
        node.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(_HUNG_S)
        finally:
            node.send(signal.SIGCONT)
        await stage.until_all_accepted()
        assert stage.longest_wait_s(began_s - _EVERY_S) < _STALL_S
        await asyncio.sleep(5)
        await stage.until_all_accepted()
    assert (stage.ended, stage.repeated) == ([], [])


async def test_two_brokers_gone_are_waited_for_and_named_as_what_they_are(cluster: nodes.KafkaCluster) -> None:
    """Kafka answers and takes nothing: the address is not doubted, replicas are; when they are back all goes on."""
    async with _at_work(cluster) as stage:
        for node in cluster.nodes[1:]:
            await asyncio.to_thread(node.kill)
        named: set[str] = set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GONE_S):
                while not any("in-sync replicas" in error for error in named):
                    await asyncio.sleep(1)
                    named |= {one.error or "" for work in stage.works for one in work.status().partitions}
        await asyncio.to_thread(cluster.start, 240)
        await stage.until_all_accepted()
    assert any("in-sync replicas" in error for error in named), named
    assert not any("is the address right" in error for error in named), named
    assert (stage.ended, stage.repeated) == ([], [])
