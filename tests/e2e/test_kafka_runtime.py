"""The Kafka part on a real broker: processes killed and frozen, a broker killed, replies lost; all counts once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka import errors as kafka_errors
from tests.support import brokers as nodes
from tests.support import child, runtime_process, waiting

from mrs_relay.common import clock
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import ledger, ledger_format, records, runtime, settings, topic_io
from mrs_relay.kafka.adapter import client, connection, producer
from mrs_relay.kafka.topics import topic_setup

_ROOT = Path(__file__).resolve().parents[2]
_WORKER = _ROOT / "tests" / "support" / "runtime_process.py"
_PARTITIONS = 4
_UNDECIDED_S = 30.0
"""Kafka itself would leave the transaction undecided for longer."""


Events = dict[int, list[tuple[int, int]]]  # by partition: (offset of the record, its number)


class Stage:
    """Topics of its own on a broker, with workers, a sender and a reader."""

    def __init__(self, bootstrap: str, workdir: Path, guarantee: str) -> None:
        self.name = f"stage-{uuid.uuid4().hex[:8]}"
        self.kafka = runtime_process.worker_settings(bootstrap, self.name, guarantee)
        self.broker = client.KafkaBroker(self.kafka)
        self.sent = 0
        self._workdir = workdir
        self._workers: list[child.Child] = []

    def worker(self, session_ms: int = 3_000) -> child.Child:
        """Start one more worker process."""
        arguments = [self.kafka.bootstrap_servers, self.name, self.kafka.guarantee, str(session_ms)]
        log = self._workdir / f"{self.name}-{len(self._workers)}.log"
        started = child.Child([sys.executable, str(_WORKER), *arguments], log=log, cwd=_ROOT)
        self._workers.append(started)
        return started

    def end(self) -> None:
        """Kill whatever still runs."""
        for worker in self._workers:
            worker.kill()

    async def send(self, count: int) -> None:
        """Send records to all partitions in turn."""
        wanted = self.sent + count
        async with self.sending(lambda: self.sent >= wanted, 0.02) as sending:
            await sending

    @contextlib.asynccontextmanager
    async def sending(
        self, enough: Callable[[], bool] = lambda: False, every_s: float = 0.1
    ) -> AsyncIterator[asyncio.Task[None]]:
        """Send records to all partitions in turn, until there are enough or the context ends."""
        sender = self.broker.producer(None, idempotent=self.kafka.transactional)
        is_over = asyncio.Event()

        async def send() -> None:
            while not is_over.is_set() and not enough():
                numbers = range(self.sent, self.sent + 10 * _PARTITIONS)
                await sender.write([records.Outgoing(self.name, b"%d" % n, b"v", (), n % _PARTITIONS) for n in numbers])
                self.sent += len(numbers)
                await asyncio.sleep(every_s)

        await sender.start()
        try:
            async with asyncio.TaskGroup() as group:
                yield group.create_task(send())
                is_over.set()
        finally:
            await sender.kill()

    async def events(self) -> Events:
        """Return all committed events so far."""
        found: Events = {number: [] for number in range(_PARTITIONS)}
        async for record in topic_io.read_all(self.broker, self.kafka.topics.events):
            offset, count = (record.value or b"").split()
            found[record.partition].append((int(offset), int(count)))
        return found

    async def working(self, least: int = 1) -> None:
        """Wait until each partition has so many events."""

        async def enough() -> bool:
            return min(len(seen) for seen in (await self.events()).values()) >= least

        await waiting.until(enough)

    async def done(self) -> Events:
        """Return all events, once every record has been dealt with."""
        found: Events = {}

        async def all_told() -> bool:
            found.update(await self.events())
            return all(len({offset for offset, _ in seen}) == self.sent // _PARTITIONS for seen in found.values())

        await waiting.until(all_told)
        return found


@contextlib.asynccontextmanager
async def _stage(bootstrap: str, workdir: Path, guarantee: str = "exactly-once") -> AsyncIterator[Stage]:
    stage = Stage(bootstrap, workdir, guarantee)
    async with stage.broker.admin() as admin:
        await topic_setup.create(admin, stage.kafka)
    try:
        yield stage
    finally:
        await asyncio.to_thread(stage.end)


async def _until_at_work(worker: child.Child) -> None:
    await waiting.until(lambda: "partition_owned" in worker.log.read_text())


def _exactly_once(found: Events) -> bool:
    """Return every record in order, without gap or repeat, and counted right."""
    return all(seen == [(number, number + 1) for number in range(len(seen))] for seen in found.values())


async def test_killed_workers_lose_and_repeat_nothing(kafka: nodes.KafkaNode, tmp_path: Path) -> None:
    """Two processes share four partitions; one is killed in the middle and replaced, twice."""
    async with _stage(kafka.bootstrap, tmp_path) as stage:
        stage.worker()
        victim = stage.worker()
        async with stage.sending():
            await stage.working()
            for _ in range(2):
                await _until_at_work(victim)
                await asyncio.to_thread(victim.kill)
                victim = stage.worker()
        found = await stage.done()
        assert _exactly_once(found)


async def test_frozen_worker_is_a_zombie_and_harms_nobody(kafka: nodes.KafkaNode, tmp_path: Path) -> None:
    """A process that stands still past its session wakes up, tries to go on, and is fenced."""
    async with _stage(kafka.bootstrap, tmp_path) as stage:
        zombie = stage.worker()
        async with stage.sending():
            await stage.working()
            zombie.send(signal.SIGSTOP)
            before = max(len(seen) for seen in (await stage.events()).values())
            stage.worker()
            await stage.working(before + 200)
            zombie.send(signal.SIGCONT)
        found = await stage.done()
        assert _exactly_once(found)
        assert await asyncio.to_thread(zombie.stop) == 0


async def test_killed_broker_is_waited_for(tmp_path: Path) -> None:
    """The broker crashes twice in the middle of commits; workers stay up and go on, exactly once."""
    with nodes.start_kafka(tmp_path, nodes.QUICK_JVM) as node:
        async with _stage(node.bootstrap, tmp_path) as stage:
            worker = stage.worker()
            await stage.send(2000)
            for _ in range(2):
                await asyncio.to_thread(node.kill)
                await asyncio.sleep(1)
                await asyncio.to_thread(node.start)
                await stage.send(400)
            found = await stage.done()
            assert worker.alive
            assert _exactly_once(found)
            assert await asyncio.to_thread(worker.stop) == 0


async def test_terminated_worker_hands_over_in_order(kafka: nodes.KafkaNode, tmp_path: Path) -> None:
    """SIGTERM ends a process within seconds; its successor needs no session timeout."""
    async with _stage(kafka.bootstrap, tmp_path) as stage:
        first = stage.worker(session_ms=4 * int(waiting.LIMIT_S) * 1000)
        await stage.send(1000)
        await stage.working()
        assert await asyncio.to_thread(first.stop) == 0
        second = stage.worker()
        await stage.send(1000)
        assert _exactly_once(await stage.done())
        assert await asyncio.to_thread(second.stop) == 0


async def test_embedded_broker_loses_nothing(embedded: nodes.TansuNode, tmp_path: Path) -> None:
    """Without transactions a kill may repeat events, but none is lost and counts agree with the state."""
    async with _stage(embedded.bootstrap, tmp_path, "at-least-once") as stage:
        victim = stage.worker()
        async with stage.sending():
            await stage.working()
            await asyncio.to_thread(victim.kill)
            stage.worker()
        for seen in (await stage.done()).values():
            assert {offset for offset, _ in seen} == set(range(len({offset for offset, _ in seen})))
            assert all(count == offset + 1 for offset, count in seen)


class _Flaky(producer.KafkaProducer):
    """Loses the reply to the next request of a kind, after it has been carried out."""

    lose = ""

    def _guard(self, send: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def losing(node_id: object, request: object, **options: object) -> object:
            reply = await send(node_id, request, **options)
            if type(request).__name__ == _Flaky.lose:
                _Flaky.lose = ""
                raise kafka_errors.RequestTimedOutError
            return reply

        return super()._guard(losing)


class _FlakyBroker(client.KafkaBroker):
    def __init__(self, kafka: settings.KafkaSettings) -> None:
        super().__init__(kafka)
        self._own = connection.connect(kafka)

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> brokers.Producer:
        return _Flaky(self._own, transactional_id, idempotent=idempotent)


@contextlib.asynccontextmanager
async def _one_lease(stage: Stage) -> AsyncIterator[list[leases.Lease[None]]]:
    """Yield a runtime in this process whose producers lose replies on request; all its leases in order."""
    held: list[leases.Lease[None]] = []

    async def handler(lease: leases.Lease[None]) -> None:
        held.append(lease)
        await runtime_process.number(lease)

    work = runtime.Runtime(stage.kafka, _FlakyBroker(stage.kafka), handler, clock.SystemClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        await work.ready()
        yield held
        work.stop()
        await task


async def test_lost_reply_to_a_commit_is_found_out(kafka: nodes.KafkaNode, tmp_path: Path) -> None:
    """The commit was made, its reply was lost: the partition is restored and finds it, nothing is done twice."""
    async with _stage(kafka.bootstrap, tmp_path) as stage, _one_lease(stage) as held:
        await stage.send(400)
        _Flaky.lose = "EndTxnRequest"
        await stage.send(400)
        found = await stage.done()
        assert _Flaky.lose == ""
    assert _exactly_once(found)
    assert len(held) == _PARTITIONS + 1


@pytest.mark.parametrize("request_kind", ["ProduceRequest", "AddPartitionsToTxnRequest"])
async def test_lost_reply_within_a_transaction_costs_no_restore(
    kafka: nodes.KafkaNode, tmp_path: Path, request_kind: str
) -> None:
    """The library repeats such requests safely; the producer is replaced afterwards, the lease goes on."""
    async with _stage(kafka.bootstrap, tmp_path) as stage, _one_lease(stage) as held:
        await stage.send(400)
        _Flaky.lose = request_kind
        await stage.send(400)
        found = await stage.done()
        assert _Flaky.lose == ""
    assert _exactly_once(found)
    assert len(held) == _PARTITIONS


async def test_open_transaction_of_a_dead_owner_is_no_obstacle(kafka: nodes.KafkaNode, tmp_path: Path) -> None:
    """A crashed owner's commit that lacks its end alone is aborted by the next claim; the restore never sees it."""
    async with _stage(kafka.bootstrap, tmp_path) as stage:
        options = ledger.Options(stage.kafka.topics.ledger, True, {}, 1_000_000, 60.0)
        position = records.Position(stage.name, 0)
        transactional_id = stage.kafka.transactional_id(0)
        dead = ledger.Ledger(position, options, stage.broker, transactional_id)
        await dead.open()
        await dead.commit([records.Change(b"a", b"1")], [], 5)
        writer = producer.KafkaProducer(connection.connect(stage.kafka), transactional_id, idempotent=True)
        await writer.start()
        open_client = writer._client

        assert open_client is not None

        await open_client.begin_transaction()
        await (await open_client.send(stage.kafka.topics.ledger, b"open", key=b"a", partition=0))
        key, value, headers = ledger_format.offsets(stage.name, 9, outbox=0, end=0)
        await (await open_client.send(stage.kafka.topics.ledger, value, key=key, headers=list(headers), partition=0))
        successor = ledger.Ledger(position, options, stage.broker, transactional_id)
        async with asyncio.timeout(_UNDECIDED_S):
            restored = await successor.open()

        assert (restored.state, restored.next_offset) == ({b"a": b"1"}, 5)

        for ended in (successor, writer, dead):
            await ended.kill()
