"""
Write the chunks of results to the results topic of one tenant, outside of any transaction.

Each chunk has a fixed identity, so one that is written again, by this replica or another, is known to readers by it.
The event that names the result is committed only after all of its chunks are stored.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.common import clock, tasks
from mrs_relay.engine.work import csv_chunks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, settings
from mrs_relay.messages import chunks, events

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_CHUNK_BYTES: Final = 512 * 1024
_AT_ONCE: Final = 4
"""Chunks of one write; while it is on its way the next ones are read."""

_LARGE_BYTES: Final = 64 * 1024
"""A piece of this length or less is cut and hashed at once: with all that waits for it that takes two milliseconds."""


class Cutter(Protocol):
    """
    Makes the values of chunks of a text that comes in pieces; used by one thread at a time.

    Attributes:
        lines: rows so far.
    """

    lines: int

    def add(self, piece: bytes) -> Iterator[bytes]:
        """Take the next piece; yields the chunks that are whole."""

    def end(self) -> Iterator[bytes]:
        """Yield the last chunks, when all pieces have been taken."""


MakeCutter = Callable[[int], Cutter]
"""Makes one for chunks of so many bytes at most."""


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
        self,
        origin: chunks.Origin,
        content: AsyncIterator[bytes],
        *,
        has_header: bool,
        cutter: MakeCutter = csv_chunks.CsvChunks,
    ) -> events.ChunkedRows:
        """
        Store a result, and return what names it in an event.

        Args:
            origin: whose result it is.
            content: its text, piece by piece.
            has_header: its first row holds the names of the columns.
            cutter: makes what makes the values of chunks of the text, by their greatest length in bytes.

        Raises:
            ObsError: of the content. ObsDown: Kafka has not taken a chunk.
        """
        cut = _Cut(origin, self._topic, cutter(self._most_bytes), self._time)
        places: list[records.Block] = []
        waiting: list[records.Outgoing] = []
        on_its_way: asyncio.Task[list[records.Block]] | None = None
        cost_bytes = 0 if origin.format == "csv" else self._most_bytes  # any piece may be the one that ends a chunk

        async for piece in content:
            waiting += await _done(functools.partial(cut.add, piece), cost_bytes or len(piece))
            if len(waiting) >= _AT_ONCE:
                if on_its_way is not None:
                    places += await on_its_way
                on_its_way = self._writes.start(self._write(waiting), name=f"write rows of {origin.id}")
                waiting = []
        if on_its_way is not None:
            places += await on_its_way
        places += await self._write(waiting + await _done(cut.end, cost_bytes))
        return cut.named(places, has_header=has_header)

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


class _Cut:
    """
    The chunks of one result as records; used by one thread at a time.

    Args:
        origin: whose result it is.
        topic: the results topic.
        cutter: makes the values of the chunks.
        time: the clock.
    """

    def __init__(self, origin: chunks.Origin, topic: str, cutter: Cutter, time: clock.Clock) -> None:
        self._origin = origin
        self._topic = topic
        self._time = time
        self._cutter = cutter
        self._digests = chunks.Digests()
        self._size_bytes = 0

    def add(self, piece: bytes) -> list[records.Outgoing]:
        """Take the next piece of the text; return the chunks that are whole."""
        return [self._record(value) for value in self._cutter.add(piece)]

    def end(self) -> list[records.Outgoing]:
        """Return the last chunk, when all pieces have been taken."""
        return [self._record(value) for value in self._cutter.end()]

    def named(self, places: Sequence[records.Block], *, has_header: bool) -> events.ChunkedRows:
        """Return what names the chunks in an event, when they are where `places` says."""
        return events.ChunkedRows(
            topic=self._topic,
            **_span(places),
            count=self._digests.count,
            row_count=max(0, self._cutter.lines - has_header),
            size_bytes=self._size_bytes,
            digest=self._digests.named(),
            header=has_header,
            format=self._origin.format,
        )

    def _record(self, value: bytes) -> records.Outgoing:
        digest = chunks.digest(value)
        self._digests.add(digest)
        self._size_bytes += len(value)
        headers = chunks.headers(self._origin, self._digests.count, digest, self._time.now_ms())
        return records.Outgoing(self._topic, self._origin.key, value, headers)


def of_topic(
    kafka: settings.KafkaSettings, event_source: str, broker: brokers.Broker, time: clock.Clock
) -> ChunkSink | None:
    """Return what takes a tenant's rows in chunks; None: it has no topic for them."""
    # A record that is written twice, as a repeated request of the producer may do, has the same id.
    topic, make = kafka.topics.results, functools.partial(broker.producer, None, idempotent=False)
    return None if topic is None else ChunkSink(make, topic, event_source, kafka.record_bytes, time)


def _span(places: Sequence[records.Block]) -> dict[str, int]:
    """Return where the chunks are, as far as the broker has said it and they are in one partition."""
    if not places or min(block.first_offset for block in places) < 0 or len({one.position for one in places}) > 1:
        return {}
    last = max(places, key=lambda one: one.first_offset)
    return {
        "partition": places[0].position.partition,
        "first_offset": min(one.first_offset for one in places),
        "end_offset": last.first_offset + last.count,
    }


async def _done(work: Callable[[], T], size_bytes: int) -> T:
    """Do what takes a few milliseconds for each MiB; of a large piece in a thread, while the next one is read."""
    return await asyncio.to_thread(work) if size_bytes > _LARGE_BYTES else work()


def _noted(name: str, error: BaseException) -> None:
    _log.warning("rows_not_written", task=name, error=str(error))
