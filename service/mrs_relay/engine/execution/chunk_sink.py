"""
Write the chunks of results to the results topic of one tenant, outside of any transaction.

Each chunk has a fixed identity, so one that is written again, by this replica or another, is known to readers by it.
The event that names the result is committed only after all of its chunks are stored.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.common import clock, tasks
from mrs_relay.engine.work import csv_chunks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, settings
from mrs_relay.messages import chunks, events

_log = structlog.get_logger(__name__)

_CHUNK_BYTES: Final = 512 * 1024
_AT_ONCE: Final = 4
"""Chunks of one write; while it is on its way the next ones are read."""

_LARGE_BYTES: Final = 64 * 1024


class ChunkSink:
    """
    Stores results as chunks; opens its producer with the first one.

    Args:
        make: returns a new producer.
        topic: the results topic.
        event_source: CloudEvents source of the tenant's events.
        record_bytes: largest record that the topic takes.
        time: the clock.
    """

    def __init__(
        self,
        make: Callable[[], brokers.Producer],
        topic: str,
        event_source: str,
        record_bytes: int,
        time: clock.Clock,
    ) -> None:
        self._make = make
        self._topic = topic
        self.event_source = event_source
        self._most_bytes = max(1024, min(_CHUNK_BYTES, record_bytes - chunks.HEADERS_BYTES))
        self._time = time
        self._producer: brokers.Producer | None = None
        self._one_write = asyncio.Lock()
        self._writes = tasks.TaskSupervisor(_noted)

    async def close(self) -> None:
        """End what is on its way, and the producer."""
        await self._writes.close()
        if self._producer is not None:
            await self._producer.kill()

    async def store(
        self, origin: chunks.Origin, content: AsyncIterator[bytes], *, has_header: bool
    ) -> events.ChunkedRows:
        """
        Store a result, and return what names it in an event.

        Args:
            origin: whose result it is.
            content: its text, piece by piece.
            has_header: its first row holds the names of the columns.

        Raises:
            ObsError: of the content. ObsDown: Kafka has not taken a chunk.
        """
        cutter, whole = csv_chunks.CsvChunks(self._most_bytes), hashlib.sha256()
        size = count = 0
        places: list[records.Block] = []
        waiting: list[records.Outgoing] = []
        cut: tuple[bytes, asyncio.Future[str]] | None = None
        on_its_way: asyncio.Task[list[records.Block]] | None = None

        async def send() -> asyncio.Task[list[records.Block]]:
            nonlocal waiting
            if on_its_way is not None:
                places.extend(await on_its_way)
            taken, waiting = waiting, []
            return self._writes.start(self._write(taken), name=f"write rows of {origin.id}")

        def hashed(value: bytes) -> str:
            whole.update(value)
            return chunks.digest(value)

        async def number() -> None:
            nonlocal count, size, cut
            if cut is not None:
                (value, digest), cut = cut, None
                count, size = count + 1, size + len(value)
                headers = chunks.headers(origin, count, await digest, self._time.now_ms())
                waiting.append(records.Outgoing(self._topic, origin.key, value, headers))

        async for piece in content:
            for value in cutter.add(piece):
                await number()
                cut = value, _started(hashed, value)
                if len(waiting) >= _AT_ONCE:
                    on_its_way = await send()
        for value in cutter.end():
            await number()
            cut = value, _started(hashed, value)
        await number()
        on_its_way = await send()
        places.extend(await on_its_way)
        return events.ChunkedRows(
            topic=self._topic,
            **_span(places),
            count=count,
            row_count=max(0, cutter.lines - has_header),
            size_bytes=size,
            digest=chunks.named(whole),
            header=has_header,
        )

    async def _write(self, outgoing: list[records.Outgoing]) -> list[records.Block]:
        if not outgoing:
            return []
        try:
            async with self._one_write:
                producer = await self._open()
                try:
                    return list(await producer.write(outgoing))
                except BaseException:
                    self._producer = None  # it is dead after an error
                    raise
        except errors.StreamError as error:
            raise errors.ObsDown(f"topic {self._topic} did not take the rows: {error}") from error

    async def _open(self) -> brokers.Producer:
        if self._producer is None or self._producer.tainted:
            if self._producer is not None:
                await self._producer.kill()
            self._producer = None
            made = self._make()
            await made.start()
            self._producer = made
        return self._producer


def of_topic(
    kafka: settings.KafkaSettings, event_source: str, broker: brokers.Broker, time: clock.Clock
) -> ChunkSink | None:
    """Return what takes a tenant's rows in chunks; None: it has no topic for them."""
    # A record that is written twice, as a repeated request of the producer may do, has the same id.
    topic, make = kafka.topics.results, functools.partial(broker.producer, None, idempotent=False)
    return None if topic is None else ChunkSink(make, topic, event_source, kafka.record_bytes, time)


def _span(places: list[records.Block]) -> dict[str, int]:
    """Return where the chunks are, as far as the broker has said it and they are in one partition."""
    if not places or min(block.first_offset for block in places) < 0 or len({one.position for one in places}) > 1:
        return {}
    last = max(places, key=lambda one: one.first_offset)
    return {
        "partition": places[0].position.partition,
        "first_offset": min(one.first_offset for one in places),
        "end_offset": last.first_offset + last.count,
    }


def _started(hashed: Callable[[bytes], str], value: bytes) -> asyncio.Future[str]:
    """Begin to hash a value; a large one in a thread, without the interpreter, while the next one is cut."""
    loop = asyncio.get_running_loop()
    if len(value) > _LARGE_BYTES:
        return loop.run_in_executor(None, hashed, value)
    done: asyncio.Future[str] = loop.create_future()
    done.set_result(hashed(value))
    return done


def _noted(name: str, error: BaseException) -> None:
    _log.warning("rows_not_written", task=name, error=str(error))
