"""The in-memory broker's producers, readers and admin clients; its consumers are in `memory_group`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, settings
from mrs_relay.kafka.memory import memory_log

READ_RECORDS = 1_000
FEW_RECORDS = 10


class Cluster(Protocol):
    """The part of the broker that the clients use."""

    @property
    def kafka(self) -> settings.KafkaSettings:
        """The settings of the broker."""

    @property
    def coordinator(self) -> memory_log.Coordinator:
        """The coordinator of transactions."""

    @property
    def topics(self) -> Mapping[str, brokers.TopicSpec]:
        """All topics as they were made."""

    async def reach(self) -> None:
        """Take the time of a request. Raises StreamDown."""

    async def reach_leader(self, position: records.Position) -> None:
        """Wait until a partition has a leader."""

    async def changed(self, timeout_s: float) -> None:
        """Wait for the next write, at most for the given time."""

    def has_leader(self, position: records.Position) -> bool:
        """Return whether a partition has a leader."""

    def log(self, position: records.Position) -> memory_log.Log:
        """Return the log of a partition."""

    def place(self, record: records.Outgoing) -> records.Position:
        """Return the partition of a record."""

    def fault(self, outgoing: Sequence[records.Outgoing]) -> bool | None:
        """Return whether a failing write is applied; None if it does not fail."""

    def store(
        self, outgoing: Sequence[records.Outgoing], transaction: memory_log.Transaction | None
    ) -> Sequence[records.Block]:
        """Append records."""

    def announce(self) -> None:
        """Wake all readers that wait for records."""

    def describe(self) -> brokers.Cluster:
        """Describe the broker and its topics."""

    def create_topic(self, name: str, partitions: int, configs: Mapping[str, str] | None = None) -> None:
        """Create a topic."""

    def abilities(self) -> brokers.Abilities:
        """Return the kinds of producers that the broker supports."""


class Producer:
    """See `broker.Producer`."""

    def __init__(self, broker: Cluster, transactional_id: str | None) -> None:
        self._broker = broker
        self._id = transactional_id
        self._epoch = -1
        self._alive = False

    @property
    def tainted(self) -> bool:
        """Always False: a request fails as a whole here."""
        return False

    async def start(self) -> None:
        """Connect, and fence older producers of the id."""
        await self._broker.reach()
        if self._id is not None:
            self._epoch = self._broker.coordinator.register(self._id)
        self._alive = True

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        """Write all records; a transactional producer in one transaction. After an error it is dead."""
        if not self._alive:
            raise errors.Fenced("this producer has been given up")
        try:
            async with asyncio.timeout(self._broker.kafka.commit_timeout_s):
                for position in {self._broker.place(record) for record in outgoing}:
                    if not self._broker.has_leader(position):
                        await self._broker.reach_leader(position)
                return await (self._write_plainly(outgoing) if self._id is None else self._transact(self._id, outgoing))
        except TimeoutError as error:
            self._alive = False
            raise errors.Fenced("no reply in time, the outcome is unknown") from error
        except BaseException:
            self._alive = False
            raise

    async def kill(self) -> None:
        """Stop all sending; an open transaction stays open until it is fenced or its time is over."""
        self._alive = False

    async def _write_plainly(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        await self._broker.reach()
        self._check_alive()
        applied = self._broker.fault(outgoing)
        if applied is False:
            raise errors.StreamDown("the write was lost")
        blocks = self._broker.store(outgoing, None)
        self._broker.announce()
        if applied:
            raise errors.StreamDown("the reply to a write was lost")
        return blocks

    async def _transact(self, transactional_id: str, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        broker, coordinator = self._broker, self._broker.coordinator
        await broker.reach()
        self._check_alive()
        transaction = coordinator.begin(transactional_id, self._epoch)
        limit_s = broker.kafka.transaction_timeout_ms / 1000
        expiry = asyncio.get_running_loop().call_later(limit_s, coordinator.expire, transactional_id, transaction)
        blocks = broker.store(outgoing, transaction)

        await broker.reach()
        self._check_alive()
        applied = broker.fault(outgoing)
        if applied is False:
            raise errors.StreamDown("the commit was lost")
        coordinator.end(transactional_id, self._epoch, memory_log.Outcome.COMMITTED)
        expiry.cancel()
        broker.announce()

        if applied:
            raise errors.StreamDown("the reply to a commit was lost")
        await broker.reach()
        return blocks

    def _check_alive(self) -> None:
        if not self._alive:
            raise errors.Fenced("this producer was killed")


class Reader:
    """See `broker.LogReader`."""

    def __init__(self, broker: Cluster, position: records.Position, offset: int, limit: int) -> None:
        self._broker = broker
        self._position = position
        self._offset = offset
        self._limit = limit
        self.beginning = offset
        self.end = broker.log(position).stable_end

    @property
    def caught_up(self) -> bool:
        """Whether all records that were readable at the start have been returned."""
        return self._offset >= self.end

    @property
    def part(self) -> float:
        """Part of the offsets readable at the start that have been passed."""
        length = self.end - self.beginning
        return min(1.0, (self._offset - self.beginning) / length) if length > 0 else 1.0

    async def read(self, timeout_s: float) -> Sequence[records.Record]:
        """Return the next records, or none after `timeout_s` seconds."""
        await self._broker.reach()
        read, self._offset = self._broker.log(self._position).read(self._offset, self._limit)
        if not read:
            await self._broker.changed(timeout_s)
            read, self._offset = self._broker.log(self._position).read(self._offset, self._limit)
        return read

    async def read_stored(self, timeout_s: float) -> Sequence[records.Stored]:
        """Return the next records, as `read` does."""
        return await self.read(timeout_s)

    def seek(self, offset: int) -> None:
        """Read on from an offset, or from the first record behind it."""
        self._offset = offset


class Admin:
    """See `broker.Admin`."""

    def __init__(self, broker: Cluster) -> None:
        self._broker = broker

    async def partition_counts(self) -> Mapping[str, int]:
        """Return all topics with their numbers of partitions."""
        await self._broker.reach()
        return {name: spec.partitions for name, spec in self._broker.topics.items()}

    async def cluster(self, asked: Sequence[str] = ()) -> brokers.Cluster:
        """Describe the broker and its topics; it refuses none."""
        del asked
        await self._broker.reach()
        return self._broker.describe()

    async def configs(self, topics: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Return the configuration of existing topics, as it was given."""
        await self._broker.reach()
        return {name: dict(self._broker.topics[name].configs) for name in topics if name in self._broker.topics}

    async def create(self, specs: Sequence[brokers.TopicSpec]) -> Mapping[str, str]:
        """Create the missing topics."""
        await self._broker.reach()
        for spec in specs:
            if spec.name not in self._broker.topics:
                self._broker.create_topic(spec.name, spec.partitions, spec.configs)
        return {}

    async def abilities(self, transactional_id: str) -> brokers.Abilities:  # noqa: ARG002 - the protocol's
        """Return the kinds of producers that this broker supports."""
        await self._broker.reach()
        return self._broker.abilities()
