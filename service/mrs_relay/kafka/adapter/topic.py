"""Read all partitions of a topic with aiokafka's consumer, without a group; for people and tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from mrs_relay.kafka import broker, records
from mrs_relay.kafka.adapter import connection as connections
from mrs_relay.kafka.adapter import fetches, unpacking

_ASK_S = 10.0
_STOP_S = 2.0
_FETCH_MS = 200
"""A broker without new records answers after this time. It delays the first answer; more time costs fewer requests."""

_READ_RECORDS = 1_000
"""Records returned at once; more of them are unpacked in one step and take memory that is never released."""

log = structlog.get_logger(__name__)


class KafkaTopicReader:
    """See `topic_io.TopicReader`."""

    def __init__(
        self, connection: connections.Connection, client: AIOKafkaConsumer, topic: str, partitions: int
    ) -> None:
        self._connection = connection
        self._client = client
        self._unpacker = unpacking.Unpacker(client, connection.kafka.unpacked_bytes)
        self._all = [TopicPartition(topic, number) for number in range(partitions)]
        client.assign(self._all)

    async def bounds(self) -> Mapping[int, broker.Bounds]:
        """Return the present begin and end of each partition; to be followed by `go_to`."""
        async with self._connection.asking("look up the topic's offsets", _ASK_S):
            first = await self._client.beginning_offsets(self._all)
            end = await self._client.end_offsets(self._all)
            fetched = await self._ends_by_fetch(end)
        return {tp.partition: broker.Bounds(first[tp], max(end[tp], fetched[tp])) for tp in self._all}

    async def _ends_by_fetch(self, listed: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """
        Return the ends that fetches report; moves the reader.

        NB: the embedded broker lists as latest offset the one behind the *first* record of the last batch.
        """
        for tp in self._all:
            self._client.seek(tp, listed[tp])
        while any(self._client.last_stable_offset(tp) is None for tp in self._all):
            await self._client.getmany(*self._all, timeout_ms=_FETCH_MS)
        return {tp: self._client.last_stable_offset(tp) for tp in self._all}

    async def offsets_since(self, timestamp_ms: int) -> Mapping[int, int]:
        """Return for each partition that has one the offset of its first record that is not older."""
        async with self._connection.asking("look up offsets by time", _ASK_S):
            found = await self._client.offsets_for_times(dict.fromkeys(self._all, timestamp_ms))
        return {tp.partition: place.offset for tp, place in found.items() if place is not None}

    def go_to(self, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets."""
        for tp in self._all:
            self._client.seek(tp, offsets[tp.partition])
        self._client.resume(*self._all)  # a partition at an unreadable batch was paused

    async def read(self, timeout_s: float) -> Sequence[records.Record]:
        """Return the next records, or none after `timeout_s` seconds."""
        if (bad := self._unpacker.take_bad()) is not None:
            raise bad
        async with self._connection.asking("read the topic", timeout_s + _ASK_S):
            fetched = await self._client.getmany(
                *self._all, timeout_ms=int(timeout_s * 1000), max_records=_READ_RECORDS
            )
        return [fetches.record(fact, fact) for facts in fetched.values() for fact in facts]

    async def position(self, partition: int) -> int:
        """Return the offset of the next record; beyond records that are not returned, such as transaction markers."""
        return int(await self._client.position(TopicPartition(self._all[0].topic, partition)))

    def last_answer(self, partition: int) -> int | None:
        """Return a value that changes with each answer to a fetch for the partition."""
        answered_ms: int | None = self._client.last_poll_timestamp(TopicPartition(self._all[0].topic, partition))
        return answered_ms

    def end(self, partition: int) -> int | None:
        """Return the last stable offset of the last answer."""
        end: int | None = self._client.last_stable_offset(TopicPartition(self._all[0].topic, partition))
        return end

    @property
    def grown(self) -> bool:
        """Whether the topic has more partitions by now; the library checks every five minutes."""
        return len(self._client.partitions_for_topic(self._all[0].topic) or ()) > len(self._all)


@asynccontextmanager
async def whole(connection: connections.Connection, topic: str, partitions: int) -> AsyncIterator[KafkaTopicReader]:
    """Read the committed records of a topic that exists; begins at the oldest."""
    client = AIOKafkaConsumer(
        **connection.options("tap"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # behind the topic's retention, continue at the oldest record
        isolation_level="read_committed",
        request_timeout_ms=connection.kafka.request_timeout_ms,
        fetch_max_wait_ms=_FETCH_MS,
        max_partition_fetch_bytes=connection.kafka.max_partition_fetch_bytes,
        **unpacking.OPTIONS,
    )
    attended = connection.attend(client._client)  # noqa: SLF001 - the library's connections

    try:
        async with connection.asking("connect", _ASK_S):
            await client.start()
        yield KafkaTopicReader(connection, client, topic, partitions)
    finally:
        if (error := await connections.stopped(attended, connections.stop_consumer(client), _STOP_S)) is not None:
            log.debug("topic_reader_stop_failed", error=repr(error))
