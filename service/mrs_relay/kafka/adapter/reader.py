"""Read one partition with aiokafka's consumer, without a group; for restores and for single records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from mrs_relay.kafka import broker, records
from mrs_relay.kafka.adapter import connection as connections
from mrs_relay.kafka.adapter import fetches, unpacking

_ASK_S = 10.0
_STOP_S = 2.0
_FETCH_BYTES = 2 * 1024 * 1024  # a restore of 50,000 jobs took a quarter longer with half of it
_FEW_BYTES = 64 * 1024  # a fetch has one whole batch at least, however large

log = structlog.get_logger(__name__)


class KafkaLogReader:
    """See `broker.LogReader`."""

    def __init__(
        self, connection: connections.Connection, client: AIOKafkaConsumer, position: records.Position
    ) -> None:
        self.beginning = 0
        self._connection = connection
        self._client = client
        self._unpacker = unpacking.Unpacker(client, connection.kafka.unpacked_bytes)
        self._tp = TopicPartition(*position)
        self.end = 0

    @property
    def caught_up(self) -> bool:
        """Whether all records that were readable at the start have been returned, markers included."""
        position = self._unpacker.position(self._tp)
        return position is not None and position >= self.end

    @property
    def part(self) -> float:
        """Part of the offsets readable at the start that have been passed."""
        length, position = self.end - self.beginning, self._unpacker.position(self._tp)
        if length <= 0:
            return 1.0
        return 0.0 if position is None else min(1.0, (position - self.beginning) / length)

    async def go_to(self, offset: int | None, *, few: bool) -> None:
        """Begin at an offset, or at the oldest record; for few records the end of the log is not asked for."""
        self._client.assign([self._tp])
        self._client.seek(self._tp, offset or 0)
        if offset is None:
            offset = (await self._client.beginning_offsets([self._tp]))[self._tp]
            self._client.seek(self._tp, offset)
        if not few:
            self.end = (await self._client.end_offsets([self._tp]))[self._tp]
        self.beginning = offset

    def seek(self, offset: int) -> None:
        """Read on from an offset, or from the first record behind it."""
        self._client.seek(self._tp, offset)

    def begin(self) -> None:
        """Have the started consumer parse whole fetches, and check their records only if that fails."""
        self._unpacker.parses = False
        self._client._fetcher._records = fetches.Fetches(self._unpacker.parse)  # noqa: SLF001 - see there

    async def read(self, timeout_s: float) -> Sequence[records.Record]:
        """Return the next records, or none after `timeout_s` seconds."""
        return [fetches.record(self._tp, fact) for fact in await self.read_stored(timeout_s)]

    async def read_stored(self, timeout_s: float) -> Sequence[records.Stored]:
        """Return the next records, as `read` does, with less work for each."""
        if (bad := self._unpacker.take_bad()) is not None:
            raise bad
        async with self._connection.asking(f"read {self._tp.topic}-{self._tp.partition}", timeout_s + _ASK_S):
            fetched = await self._client.getmany(self._tp, timeout_ms=int(timeout_s * 1000))
        found: Sequence[records.Stored] = fetched.get(self._tp, ())  # see `fetches.Fetches`
        return found


@asynccontextmanager
async def reading(
    connection: connections.Connection, position: records.Position, offset: int | None, *, few: bool = False
) -> AsyncIterator[broker.LogReader]:
    """Read committed records of a partition from `offset`, or from the oldest record; see `broker.Broker.reader`."""
    client = AIOKafkaConsumer(
        **connection.options("reader"),
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        request_timeout_ms=connection.kafka.request_timeout_ms,
        max_partition_fetch_bytes=_FEW_BYTES if few else _FETCH_BYTES,
        **unpacking.OPTIONS,
    )
    attended = connection.attend(client._client)  # noqa: SLF001 - the library's connections

    try:
        async with connection.asking(f"begin to read {position}", _ASK_S):
            await client.start()
            reader = KafkaLogReader(connection, client, position)
            reader.begin()
            await reader.go_to(offset, few=few)
        yield reader
    finally:
        if (error := await connections.stopped(attended, connections.stop_consumer(client), _STOP_S)) is not None:
            log.debug("reader_stop_failed", error=repr(error))
