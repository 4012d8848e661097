"""
What flows while the kill loop does its troubles: requests in, and everything out as a stranger reads it.

`Sender` writes a few requests a second in all of Kafka's codecs, some twice, also after their end, some cancelled, some
that fail and are retried, and malformed messages among them. `Reader` reads the events from where it left off, over any
trouble of the broker, and in the end the ledger and the ends of the input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import aiokafka
from aiokafka import errors as kafka_errors
from tests.support import cause_history, chunk_history, history, malformed, service

CLUSTERS = tuple(f"6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e0{number}" for number in range(1, 7))
LOGS = "obs://lake/logs"
_ROWS = 60
_KEYS_PER_CLUSTER = 4
_CODECS: tuple[Any, ...] = (None, "gzip", "snappy", "lz4", "zstd")
_MALFORMED = 500
_READ_S = 20.0
_READ_TRIES = 4
_READ_PAUSE_S = 3.0


@dataclass(eq=False)
class Sender:
    """
    Sends requests until `stop` is set.

    Args:
        rate: requests a second, on average.
        partitions: of the topic; may grow meanwhile. What belongs to one request goes to one partition.

    Attributes:
        sent: id -> when it was sent, on the monotonic clock.
        acknowledged: id -> when all replicas in sync had it, on the monotonic clock.
        chunked: id -> the rows that it wants in chunks.
        jobs: id of a request for a job -> what it asks for.
        cancelled: ids for which a cancel was sent.
    """

    here: service.Deployment
    chance: random.Random
    count: Counter[str]
    rate: float
    partitions: int
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    sent: dict[str, float] = field(default_factory=dict)
    acknowledged: dict[str, float] = field(default_factory=dict)
    chunked: dict[str, list[str]] = field(default_factory=dict)
    jobs: dict[str, cause_history.Wanted] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    _producers: dict[Any, aiokafka.AIOKafkaProducer] = field(default_factory=dict)
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Send; then wait for what was still to follow."""
        malformed_ones = iter(malformed.harmless(self.chance.randrange(1 << 30), _MALFORMED))
        async with asyncio.TaskGroup() as group:
            while not self.stop.is_set():
                group.create_task(self._one(f"r-{self.here.name}-{len(self.sent)}"))
                if self.chance.random() < 0.1 and (bad := next(malformed_ones, None)) is not None:
                    self.count["malformed messages"] += 1
                    group.create_task(self._send(bad.key, bad.value, headers=list(bad.headers)))
                await asyncio.sleep(self.chance.expovariate(self.rate))
        for codec in _CODECS:
            await self._close(codec)

    async def _one(self, request_id: str) -> None:
        """Send a request, and what follows it now and then."""
        self.sent[request_id] = time.monotonic()
        cluster = self.chance.choice(CLUSTERS)
        key = f"{cluster} {self.chance.randrange(_KEYS_PER_CLUSTER)}".encode()
        partition = zlib.crc32(key) % self.partitions
        body = self._request(request_id, cluster)
        if b"mrs.job.submit" in body:
            self.jobs[request_id] = cause_history.wanted(body)
        what = self.chance.random()
        await self._send(key, body, partition)
        self.acknowledged[request_id] = time.monotonic()

        if what < 0.05:
            self.count["requests sent twice"] += 1
            await asyncio.sleep(self.chance.expovariate(1))
            await self._send(key, body, partition)
        elif what < 0.1:
            self.count["requests cancelled"] += 1
            self.cancelled.add(request_id)
            await asyncio.sleep(self.chance.expovariate(1))
            await self._send(key, service.cancel(f"c-{request_id}", request_id), partition)
        elif what < 0.15:
            self.count["requests sent again late"] += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.chance.expovariate(1 / 20)):
                    await self.stop.wait()
            await self._send(key, body, partition)

    def _request(self, request_id: str, cluster: str) -> bytes:
        if self.chance.random() < 0.05:
            self.count["requests with retries"] += 1
            return service.job(request_id, name="will-fail", cluster=cluster, retry={"attempts": 2, "backoff_s": 0.5})

        if self.chance.random() < 0.1:
            self.count["requests for rows"] += 1
            engine = self.chance.choice(("hive", "spark"))
            form = self._format()
            return service.sql(request_id, engine, f"select '{request_id}' as id", cluster=cluster, result=form)

        if self.chance.random() < 0.1:
            self.count["requests for rows in chunks"] += 1
            engine = self.chance.choice(("presto", "hive", "spark"))
            rows = self.chunked[request_id] = [f"{request_id}-{number}-{'x' * 200}" for number in range(_ROWS)]
            statement = " union all ".join(f"select '{row}' as id" for row in rows)
            result = {"deliver": "chunks", **self._format()}
            return service.sql(request_id, engine, statement, cluster=cluster, result=result)

        if self.chance.random() < 0.1:
            self.count["requests that fail for a cause"] += 1
            return self._failing(request_id, cluster)
        return service.job(request_id, cluster=cluster, priority=self.chance.randint(0, 9))

    def _format(self) -> dict[str, str]:
        if self.chance.random() < 0.5:
            return {}
        self.count["requests for rows as Arrow"] += 1
        return {"format": "arrow"}

    def _failing(self, request_id: str, cluster: str) -> bytes:
        """Draw a job that fails for a cause, at first or always, and is tried again if it was preempted."""
        cause = self.chance.choice((*cause_history.NAMES, "preempted", "preempted"))
        properties = {"emulator.cause": cause}
        if self.chance.random() < 0.5:
            properties["emulator.cause_times"] = "1"
        job = {"job_type": "SparkSubmit", "job_name": "etl", "arguments": [request_id], "properties": properties}
        retry = {"attempts": 3, "backoff_s": 0.5, "on": ["preempted"]}
        return service.job(request_id, cluster=cluster, job=job, retry=retry)

    async def _send(
        self, key: bytes | None, body: bytes | None, partition: int | None = None, headers: Any = None
    ) -> None:
        """Send until it is acknowledged, with a new producer after a failure, as a careful sender does."""
        codec = self.chance.choice(_CODECS)
        while True:
            try:
                producer = await self._connected(codec)
                if partition is not None and partition not in await producer.partitions_for(self.here.requests):
                    raise kafka_errors.UnknownTopicOrPartitionError  # added a moment ago: a new producer knows it
                await producer.send_and_wait(self.here.requests, body, key=key, partition=partition, headers=headers)
            except (kafka_errors.KafkaError, OSError):
                self.count["requests sent again"] += 1
                await self._close(codec)
                await asyncio.sleep(0.3)
            else:
                return

    async def _connected(self, codec: Any) -> aiokafka.AIOKafkaProducer:
        async with self._connecting:
            if codec in self._producers:
                return self._producers[codec]

            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=self.here.bootstrap,
                enable_idempotence=True,
                request_timeout_ms=5_000,
                compression_type=codec,
            )

            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise

            self._producers[codec] = producer
            return producer

    async def _close(self, codec: Any) -> None:
        producer = self._producers.pop(codec, None)
        if producer is None:
            return
        try:
            async with asyncio.timeout(5):
                await producer.stop()
        except (kafka_errors.KafkaError, TimeoutError):
            # The library's own tasks go on if its stop is cut short, as it is where a broker hangs.
            producer._sender.sender_task.cancel()
            with contextlib.suppress(kafka_errors.KafkaError, TimeoutError):
                async with asyncio.timeout(5):
                    await producer.client.close()


@dataclass(eq=False)
class Reader:
    """
    Reads a deployment's topics with read_committed.

    Args:
        file: receives all events, whole; in memory only what the checker looks at is kept.

    Attributes:
        events: all events so far, in the order of each partition.
        ended: requests that have a last event.
        named: the chunks that events name.
    """

    here: service.Deployment
    file: Path
    events: list[history.Seen] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    named: list[chunk_history.Named] = field(default_factory=list)
    _next: dict[aiokafka.TopicPartition, int] = field(default_factory=dict)

    async def read_on(self) -> bool:
        """Read the events that have come since the last time; False if the broker stays away meanwhile."""
        for _ in range(_READ_TRIES):
            with contextlib.suppress(kafka_errors.KafkaError, TimeoutError, OSError):
                await self._read_once()
                return True
            await asyncio.sleep(_READ_PAUSE_S)
        return False

    async def _read_once(self) -> None:
        async with asyncio.timeout(_READ_S), self._consumer(self.here.events) as consumer:
            with self.file.open("a") as lines:
                async for record in _records(consumer, self._next):
                    self._take(record, lines)

    def _take(self, record: Any, lines: IO[str]) -> None:
        seen = history.seen(record.headers, record.value)
        where = f"{record.partition}:{record.offset} {record.timestamp}"
        lines.write(json.dumps([where, seen.request_id, seen.sequence, seen.state, seen.event_id, seen.data]) + "\n")

        slim = {
            "repeated": seen.data.get("repeated"),
            "mrs": {"job_name": seen.job_name},
            "crc": zlib.crc32(record.value),
            "rows": _rows(seen.data),
            "attempt": seen.data.get("attempt"),
            "reason": seen.data.get("reason"),
        }

        if (named := chunk_history.named(seen.request_id, record.timestamp, seen.data)) is not None:
            self.named.append(named)
        self.events.append(replace(seen, data=slim))
        if seen.state in history.LAST:
            self.ended.add(seen.request_id)

    async def ledger(self) -> tuple[list[history.Kept], list[str]]:
        """Return what every ledger partition keeps, and which are not at the end of their input."""
        places: dict[int, history.Ledger] = {}
        topic = f"{self.here.requests}.ledger"
        async with self._consumer(topic) as consumer:
            async for record in _records(consumer, {}):
                ledger = places.setdefault(record.partition, history.Ledger())
                ledger.add(record.offset, record.key, record.value, record.headers)
        async with self._consumer(self.here.requests) as consumer:
            ends = await consumer.end_offsets(sorted(consumer.assignment()))
        behind = []
        for part, end in ends.items():
            found = places.get(part.partition, history.Ledger()).next_offset.get(self.here.requests, 0)
            if found != end:
                behind.append(f"partition {part.partition} stands at {found} of {end} requests")
        return [job for ledger in places.values() for job in ledger.jobs.values()], behind

    async def chunks(self) -> list[chunk_history.Chunk]:
        """Return all chunks on the topic of results."""
        async with self._consumer(results_of(self.here.name)) as consumer:
            return [
                chunk_history.chunk((record.partition, record.offset), record.timestamp, record.headers, record.value)
                async for record in _records(consumer, {})
            ]

    @contextlib.asynccontextmanager
    async def _consumer(self, topic: str) -> AsyncIterator[aiokafka.AIOKafkaConsumer[bytes, bytes]]:
        consumer: aiokafka.AIOKafkaConsumer[bytes, bytes] = aiokafka.AIOKafkaConsumer(
            topic,
            bootstrap_servers=self.here.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()


async def _records(consumer: Any, begin: dict[Any, int]) -> AsyncIterator[Any]:
    """Yield all records from `begin` to the present ends; moves `begin` on."""
    parts = sorted(consumer.assignment())
    for part in parts:
        consumer.seek(part, begin.get(part, 0))
    ends = await consumer.end_offsets(parts)

    left = {part for part in parts if ends[part] > begin.get(part, 0)}
    while left:
        for part, batch in (await consumer.getmany(*left, timeout_ms=300)).items():
            for record in batch:
                begin[part] = record.offset + 1
                yield record
        for part in list(left):
            position = await consumer.position(part)
            if position >= ends[part]:
                begin[part] = max(begin.get(part, 0), position)
                left.discard(part)


def results_of(name: str) -> str:
    """Return the topic on which a deployment's rows come in chunks."""
    return f"{name}.results"


def _rows(data: Mapping[str, Any]) -> list[Any] | None:
    """Return the first column of an event's rows; None: it has none."""
    statements = (data.get("result") or {}).get("statements", ())
    return [row[0] for shown in statements for row in chunk_history.rows_of_statement(shown)] or None
