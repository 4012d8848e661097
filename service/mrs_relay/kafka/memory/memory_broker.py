"""
A broker in memory with the contract of the real one, for tests and simulations in virtual time.

It has Kafka's semantics where this package depends on them: offsets with control markers, transactions fenced by id,
readers of committed records that wait behind undecided ones, eager rebalances by generation. It has no threads, no
sockets and no randomness. Faults are injected by calls: `go_down`, `fail_writes`, `evict`, `rebalance`, `cut`,
`compact`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import partitioning, records, settings
from mrs_relay.kafka.memory import memory_clients, memory_group, memory_log


@dataclass(frozen=True, slots=True)
class _Fault:
    applied: bool
    concerns: Callable[[Sequence[records.Outgoing]], bool]


class MemoryBroker:
    """
    A cluster of one broker; see `broker.Broker`. All clients made by one instance share it.

    Args:
        kafka: names, timeouts and the group's id.
        latency_s: duration of each request, in seconds of the event loop's clock.
        transactions: False makes a broker without transactional and idempotent producers.
    """

    def __init__(self, kafka: settings.KafkaSettings, *, latency_s: float = 0.001, transactions: bool = True) -> None:
        self._kafka = kafka
        self._latency_s = latency_s
        self._transactions = transactions
        self._up = True
        self._logs: dict[records.Position, memory_log.Log] = {}
        self._topics: dict[str, brokers.TopicSpec] = {}
        self._ids: dict[str, str] = {}
        self._made = 0
        self._leaderless: set[records.Position] = set()
        self._coordinator = memory_log.Coordinator()
        self._faults: deque[_Fault] = deque()
        self._waiting: set[asyncio.Future[None]] = set()
        self._partitioner = partitioning.Partitioner()
        self.group = memory_group.Group(self, kafka)
        self._groups: dict[str, memory_group.Group] = {kafka.group_id: self.group}

    # broker.Broker

    def consumer(self) -> brokers.GroupConsumer:
        """Return a member of the group, not yet started."""
        return memory_group.MemoryGroupConsumer(self.group)

    def reader(
        self, position: records.Position, offset: int | None, *, few: bool = False
    ) -> AbstractAsyncContextManager[brokers.LogReader]:
        """Return a reader from `offset`, or from the beginning."""
        return self._reading(position, offset, memory_clients.FEW_RECORDS if few else memory_clients.READ_RECORDS)

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> brokers.Producer:
        """Return a producer, not yet started."""
        if (transactional_id is not None or idempotent) and not self._transactions:
            raise errors.StreamDown("this broker knows neither transactional nor idempotent producers")
        return memory_clients.Producer(self, transactional_id)

    def admin(self) -> AbstractAsyncContextManager[brokers.Admin]:
        """Return an admin client."""
        return self._administering()

    def for_group(self, kafka: settings.KafkaSettings) -> brokers.Broker:
        """Return the same broker for readers of another topic in another group."""
        return _Door(self, self._groups.setdefault(kafka.group_id, memory_group.Group(self, kafka)))

    # For tests: content

    def create_topic(self, name: str, partitions: int, configs: Mapping[str, str] | None = None) -> None:
        """Create a topic at once; an existing one of that name is replaced."""
        self._made += 1
        self._ids[name] = f"{name}#{self._made}"
        self._topics[name] = brokers.TopicSpec(name, partitions, configs=configs or {})
        for number in range(partitions):
            position = records.Position(name, number)
            self._logs[position] = memory_log.Log(position)

    def grow(self, name: str, partitions: int) -> None:
        """Give a topic more partitions, and rebalance the group, as consumers do when they notice it."""
        spec = self._topics[name]
        self._topics[name] = brokers.TopicSpec(name, partitions, configs=spec.configs)
        for number in range(spec.partitions, partitions):
            position = records.Position(name, number)
            self._logs[position] = memory_log.Log(position)
        self.group.rebalance()

    def create_topics(self, partitions: int, topics: settings.Topics | None = None) -> None:
        """Create the missing topics of the settings."""
        topics = topics or self._kafka.topics
        compacted = {topics.ledger, topics.latest, topics.control}
        if topics.status is not None and topics.status not in self._topics:
            self.create_topic(topics.status, 1, {"cleanup.policy": "compact,delete"})
        single = {topics.control, topics.audit}
        several = topics.requests, topics.ledger, topics.events, topics.dead_letters, topics.latest, topics.lineage
        for name in (*several, topics.results, topics.control, topics.audit):
            if name is not None and name not in self._topics:
                count = 1 if name in single else partitions
                self.create_topic(name, count, {"cleanup.policy": "compact"} if name in compacted else {})

    def put(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: records.Headers = ()
    ) -> int:
        """Store a record at once, as another producer would, and return its offset."""
        item = records.Outgoing(topic, key, value, headers, partition)
        offset = self.log(records.Position(topic, partition)).append([item], self._now_ms()).first_offset
        self.announce()
        return offset

    def committed(self, topic: str, partition: int | None = None) -> list[records.Record]:
        """Return all committed records of a partition, or of all partitions one after the other."""
        wanted = range(self.partitions(topic)) if partition is None else [partition]
        return [record for number in wanted for record in self.log(records.Position(topic, number)).read(0, 1 << 62)[0]]

    def drop_topic(self, name: str) -> None:
        """Delete a topic with all its records."""
        for number in range(self._topics.pop(name).partitions):
            del self._logs[records.Position(name, number)]

    def configure(self, topic: str, **configs: str) -> None:
        """Change a topic's configuration; an underscore stands for a dot."""
        changed = {name.replace("_", "."): value for name, value in configs.items()}
        spec = self._topics[topic]
        self._topics[topic] = replace(spec, configs={**spec.configs, **changed})

    def cut(self, topic: str, partition: int, before: int) -> None:
        """Remove the records below an offset, as retention does."""
        self.log(records.Position(topic, partition)).cut(before)

    def truncate(self, topic: str, partition: int, end: int) -> None:
        """Lose the records from an offset on, as an unclean election of a leader does."""
        self.log(records.Position(topic, partition)).truncate(end)

    def lose_leader(self, topic: str, partition: int) -> None:
        """Take the leader of a partition away: it takes no writes and answers no reads."""
        self._leaderless.add(records.Position(topic, partition))

    def regain_leaders(self) -> None:
        """Give all partitions a leader again."""
        self._leaderless.clear()
        self.announce()

    def compact(self, topic: str) -> None:
        """Keep the last record of each key only, in all partitions."""
        for number in range(self.partitions(topic)):
            self.log(records.Position(topic, number)).compact()

    # For tests: faults

    def go_down(self) -> None:
        """Answer nothing from now on."""
        self._up = False

    def come_up(self) -> None:
        """Answer again."""
        self._up = True
        self.announce()

    def fail_writes(
        self,
        count: int = 1,
        *,
        applied: bool,
        concerns: Callable[[Sequence[records.Outgoing]], bool] | None = None,
    ) -> None:
        """
        Make the next writes fail.

        Args:
            count: number of writes.
            applied: True loses only the reply: the records are stored and committed. False stores them without
            committing, or, from a producer without transactions, not at all.
            concerns: only writes for which this returns True count; None: all but those of the relay's status.
        """
        self._faults.extend([_Fault(applied, concerns or self._is_no_status)] * count)

    def _is_no_status(self, outgoing: Sequence[records.Outgoing]) -> bool:
        return any(record.topic != self._kafka.topics.status for record in outgoing)

    def evict(self, member: int = 0) -> None:
        """End the session of the group's n-th member; it notices only after its session timeout."""
        self.group.members[member].evict()

    def rebalance(self) -> None:
        """Make the whole group join again."""
        self.group.rebalance()

    # For the clients

    @property
    def up(self) -> bool:
        """Whether the broker answers."""
        return self._up

    async def reach(self) -> None:
        """Take the time of a request. Raises StreamDown while the broker is down."""
        await asyncio.sleep(self._latency_s)
        if not self._up:
            await asyncio.sleep(self._kafka.request_timeout_ms / 1000)
            raise errors.StreamDown("the in-memory broker is down (setting kafka.bootstrap_servers)")

    async def reach_leader(self, position: records.Position) -> None:
        """Take the time of a request to the partition's leader. Raises StreamDown if there is none."""
        await self.reach()
        if position in self._leaderless:
            await asyncio.sleep(self._kafka.request_timeout_ms / 1000)
            raise errors.StreamDown(f"the partition {position} has no leader")

    def has_leader(self, position: records.Position) -> bool:
        """Return whether a partition answers."""
        return position not in self._leaderless

    def describe(self) -> brokers.Cluster:
        """Describe the broker and its topics."""
        described = {
            name: brokers.Topic(
                tuple(
                    brokers.Partition(has_leader=records.Position(name, number) not in self._leaderless)
                    for number in range(spec.partitions)
                ),
                self._ids[name],
            )
            for name, spec in self._topics.items()
        }
        return brokers.Cluster(1, described)

    def log(self, position: records.Position) -> memory_log.Log:
        """Return the log of a partition. Raises StreamDown if there is none."""
        if position not in self._logs:
            raise errors.StreamDown(f"there is no partition {position}")
        return self._logs[position]

    def partitions(self, topic: str) -> int:
        """Return the number of a topic's partitions. Raises StreamDown if there is no such topic."""
        if topic not in self._topics:
            raise errors.StreamDown(f"there is no topic {topic}")
        return self._topics[topic].partitions

    async def changed(self, timeout_s: float) -> None:
        """Wait for the next write, at most for the given time."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout_s)
        finally:
            self._waiting.discard(waiter)

    def announce(self) -> None:
        """Wake all readers that wait for records."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def store(
        self, outgoing: Sequence[records.Outgoing], transaction: memory_log.Transaction | None
    ) -> list[records.Block]:
        """Append to the logs."""
        groups: dict[records.Position, list[records.Outgoing]] = {}
        for record in outgoing:
            groups.setdefault(self.place(record), []).append(record)
        now_ms = self._now_ms()
        return [
            self.log(position).append(batch, now_ms, transaction)
            for position, group in groups.items()
            for batch in records.in_parts(group, self._kafka.batch_bytes)
        ]

    def place(self, record: records.Outgoing) -> records.Position:
        """Return the partition of a record."""
        partition = record.partition
        if partition is None:
            partition = self._partitioner.choose(record.key, self.partitions(record.topic))
        return records.Position(record.topic, partition)

    def fault(self, outgoing: Sequence[records.Outgoing]) -> bool | None:
        """Take the next fault for these records: whether the write is applied, or None for no fault."""
        for fault in self._faults:
            if fault.concerns(outgoing):
                self._faults.remove(fault)
                return fault.applied
        return None

    @property
    def coordinator(self) -> memory_log.Coordinator:
        """The coordinator of transactions."""
        return self._coordinator

    @property
    def kafka(self) -> settings.KafkaSettings:
        """The settings that the broker was made with."""
        return self._kafka

    def _now_ms(self) -> int:
        try:
            return round(asyncio.get_running_loop().time() * 1000)
        except RuntimeError:
            return 0

    @asynccontextmanager
    async def _reading(
        self, position: records.Position, offset: int | None, limit: int
    ) -> AsyncIterator[brokers.LogReader]:
        await self.reach_leader(position)
        first = self.log(position).first if offset is None else offset
        yield memory_clients.Reader(self, position, first, limit)

    @asynccontextmanager
    async def _administering(self) -> AsyncIterator[brokers.Admin]:
        await self.reach()
        yield memory_clients.Admin(self)

    def abilities(self) -> brokers.Abilities:
        """Return the kinds of producers that this broker supports."""
        return brokers.Abilities(self._transactions, self._transactions)

    @property
    def topics(self) -> Mapping[str, brokers.TopicSpec]:
        """All topics as they were made."""
        return self._topics


class _Door:
    """See `MemoryBroker.for_group`."""

    def __init__(self, broker: MemoryBroker, group: memory_group.Group) -> None:
        self._group = group
        self.reader = broker.reader
        self.producer = broker.producer
        self.admin = broker.admin

    def consumer(self) -> brokers.GroupConsumer:
        """Return a member of the group, not yet started."""
        return memory_group.MemoryGroupConsumer(self._group)
