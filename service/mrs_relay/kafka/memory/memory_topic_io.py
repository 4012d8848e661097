"""
Read and write whole topics of the broker in memory.

`memory_broker.MemoryBroker` with readers of whole topics; see `topic_io.TopicClient`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from mrs_relay.kafka import broker, records, topic_io
from mrs_relay.kafka.memory import memory_broker

_READ_RECORDS: Final = 1_000


class MemoryTopicReader:
    """See `topic_io.TopicReader`."""

    def __init__(self, cluster: memory_broker.MemoryBroker, topic: str, partitions: int) -> None:
        self._cluster = cluster
        self._places = {records.Position(topic, number): 0 for number in range(partitions)}
        self._topic = topic
        self._answers = 0

    async def bounds(self) -> Mapping[int, broker.Bounds]:
        """Return begin and end of each partition."""
        await self._cluster.reach()
        logs = {position.partition: self._cluster.log(position) for position in self._places}
        return {number: broker.Bounds(log.first, log.stable_end) for number, log in logs.items()}

    async def offsets_since(self, timestamp_ms: int) -> Mapping[int, int]:
        """Return for each partition that has one the offset of its first record that is not older."""
        await self._cluster.reach()
        found: dict[int, int] = {}
        for record in self._cluster.committed(self._topic):
            if record.timestamp_ms >= timestamp_ms:
                found.setdefault(record.partition, record.offset)
        return found

    def go_to(self, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets."""
        self._places = {position: offsets[position.partition] for position in self._places}

    async def read(self, timeout_s: float) -> Sequence[records.Record]:
        """Return the next records, or none after `timeout_s` seconds."""
        await self._cluster.reach()
        if not (found := self._fetch()):
            await self._cluster.changed(timeout_s)
            await self._cluster.reach()
            found = self._fetch()
        return found

    async def position(self, partition: int) -> int:
        """Return the offset of the next record."""
        return self._places[records.Position(self._topic, partition)]

    def last_answer(self, partition: int) -> int | None:  # noqa: ARG002 - the protocol's
        """Return the number of the broker's answers."""
        return self._answers

    def end(self, partition: int) -> int | None:
        """Return the offset behind the last committed record."""
        return self._cluster.log(records.Position(self._topic, partition)).stable_end

    @property
    def grown(self) -> bool:
        """Whether the topic has more partitions by now."""
        return self._cluster.partitions(self._topic) > len(self._places)

    def _fetch(self) -> list[records.Record]:
        self._answers += 1
        found: list[records.Record] = []
        for position, offset in self._places.items():
            try:
                some, self._places[position] = self._cluster.log(position).read(offset, _READ_RECORDS)
            except broker.BatchUnreadable:
                if not found:  # else the next call raises it, and the records of the others are kept
                    raise
            else:
                found += some
        return found


class MemoryTopicClient:
    """
    A client of whole topics; see `topic_io.TopicClient`.

    Args:
        cluster: the broker in memory.
    """

    def __init__(self, cluster: memory_broker.MemoryBroker) -> None:
        self._cluster = cluster

    def topic(self, name: str, partitions: int) -> AbstractAsyncContextManager[topic_io.TopicReader]:
        """Return a reader of a topic that exists."""
        return self._reading(name, partitions)

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> broker.Producer:
        """Return a producer, not yet started."""
        return self._cluster.producer(transactional_id, idempotent=idempotent)

    def admin(self) -> AbstractAsyncContextManager[broker.Admin]:
        """Return an admin client."""
        return self._cluster.admin()

    @asynccontextmanager
    async def _reading(self, name: str, partitions: int) -> AsyncIterator[topic_io.TopicReader]:
        await self._cluster.reach()
        yield MemoryTopicReader(self._cluster, name, partitions)
