"""
The broker as small protocols; the other modules of this package use these alone.

`adapter.client.KafkaBroker` is the real one, `memory_broker.MemoryBroker` keeps the same contract in memory, and
`tests/contract/test_broker_contract.py` runs against both. A broker raises `errors.StreamDown` (Kafka is away, or does
not carry out a request), `errors.Fenced` (another owner, or an unknown outcome), `OffsetGone` and `BatchUnreadable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from mrs_relay import errors
from mrs_relay.kafka import records
from mrs_relay.kafka.topics import acl_plan


class OffsetGone(errors.StreamError):
    """
    The broker no longer has the records at our offset.

    Attributes:
        positions: the partitions concerned, which are parked.
    """

    def __init__(self, positions: frozenset[records.Position]) -> None:
        super().__init__(f"the broker has no records at our offset of {', '.join(sorted(map(str, positions)))}")
        self.positions = positions


class BatchUnreadable(errors.StateUnreadable):
    """
    A batch of records cannot be read: an unknown compression, damage, or more than it may unpack to.

    Attributes:
        position: its partition, which is parked; all records before the batch have been returned.
        first: its first offset.
        next_offset: the first offset behind it.
        reason: for people; begins with "it" or "its".
    """

    def __init__(self, position: records.Position, first: int, next_offset: int, reason: str) -> None:
        which = f"offset {first}" if next_offset <= first + 1 else f"offsets {first} to {next_offset - 1}"
        super().__init__(f"the batch at {which} of {position} cannot be read: {reason}")
        self.position = position
        self.first = first
        self.next_offset = next_offset
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    The offsets at which a partition begins and ends.

    Attributes:
        first: offset of the oldest record that is still there.
        end: offset up to which committed records can be read.
        topic_id: of the topic that has these bounds; see `Topic`.
    """

    first: int
    end: int
    topic_id: str | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """
    Leader and replicas of one partition at this moment.

    Attributes:
        has_leader: a broker takes writes to it and answers reads.
        replicas: number of brokers that are to keep it.
        in_sync: number of those that have all its records.
    """

    has_leader: bool = True
    replicas: int = 1
    in_sync: int = 1


@dataclass(frozen=True, slots=True)
class Topic:
    """
    A topic as described by its brokers.

    Attributes:
        partitions: by number.
        topic_id: Kafka's own identity of the topic, another one after it was created again; None before Kafka 2.8.
        allowed: operations allowed to us, by Kafka's names (READ, WRITE …); None where the broker does not report it.
    """

    partitions: tuple[Partition, ...]
    topic_id: str | None = None
    allowed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """
    The brokers and topics that we may see.

    Attributes:
        brokers: their number, with those that are down and keep a replica of a described topic.
        topics: by name.
        refused: topics asked for by name of which Kafka says that we may not see them; they may be there.
        asker: who has asked, for texts about rights that are missing.
    """

    brokers: int
    topics: Mapping[str, Topic]
    refused: frozenset[str] = frozenset()
    asker: acl_plan.Asker = acl_plan.UNKNOWN

    @property
    def leaderless(self) -> frozenset[records.Position]:
        """All partitions that have no leader."""
        return frozenset(
            records.Position(name, number)
            for name, topic in self.topics.items()
            for number, partition in enumerate(topic.partitions)
            if not partition.has_leader
        )


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """
    A topic to be created.

    Attributes:
        name: of the topic.
        partitions: their number.
        replication_factor: -1 is the broker's default.
        configs: Kafka's names to values.
    """

    name: str
    partitions: int
    replication_factor: int = -1
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Abilities:
    """
    The kinds of producers that the broker supports.

    Attributes:
        transactions: transactional ones, as exactly-once needs them.
        idempotence: those whose retries leave no duplicates.
    """

    transactions: bool
    idempotence: bool


@dataclass(frozen=True, slots=True)
class Mirrored:
    """
    The offset that a group has committed for one partition, that of its next record, with its note.

    It is a mirror if this service has written it, in any process; the text is for other members, "" without one.
    """

    offset: int
    is_mirror: bool
    text: str = ""


NO_NOTES: Final[Mapping[records.Position, str]] = MappingProxyType({})


class Listener(Protocol):
    """
    Called at every change of the group's assignment; must return soon and take no locks.

    A change begins with `rejoining`, `revoked` or both in this order, and ends with `assigned`.
    """

    async def rejoining(self) -> None:
        """Handle that the group is about to share its partitions again; ours stay ours, and are read, until then."""

    async def revoked(self, positions: frozenset[records.Position]) -> None:
        """Handle that all our partitions are being revoked or are already lost; the group waits for the return."""

    async def assigned(self, positions: frozenset[records.Position]) -> None:
        """
        Handle the assignment of these partitions; no heartbeat is sent until the return.

        All of them are parked, except, after `rejoining` alone, those that were ours before: they are as they were. Of
        those that are gone then, what is under way may be finished first, until `GroupConsumer.release`.
        """


class GroupConsumer(Protocol):
    """A member of a consumer group, reading its share of one topic."""

    @property
    def silent_since_s(self) -> float | None:
        """Time of our first request that got no answer in time, on the event loop's clock; None while all get one."""

    @property
    def is_answered(self) -> bool:
        """Whether any broker has answered lately, even by refusing a request."""

    async def start(self, listener: Listener) -> None:
        """Connect and join; assignments come to the listener. Raises StreamDown."""

    async def poll(
        self, wanted: frozenset[records.Position], *, limit: int, timeout_s: float
    ) -> Mapping[records.Position, Sequence[records.Record]]:
        """
        Wait up to `timeout_s` seconds for records of the wanted partitions, `limit` at most.

        May take as long as a rebalance lasts. To be called all the time, also without wanted partitions.

        Raises:
            StreamDown: try again later. ConsumerStuck: start another consumer. InstanceReplaced: end the process.
            OffsetGone: a partition's records are no longer there. BatchUnreadable: its next records cannot be read.
        """

    def flow(self, position: records.Position, offset: int) -> None:
        """Let an assigned, parked partition be read, from `offset` on. Raises StreamDown if it is not assigned."""

    def park(self, position: records.Position) -> None:
        """Stop reading a partition; does nothing if it is not assigned."""

    def decline(self, positions: frozenset[records.Position]) -> None:
        """
        Ask the group to assign partitions to another member, for the life of this one.

        The group is joined again only for partitions not declined before. A partition is assigned to us all the same if
        all members have declined it, or if an earlier version leads the group.
        """

    def release(self, positions: frozenset[records.Position]) -> None:
        """
        Let the group give partitions to others that an assignment has taken from us after `rejoining`.

        Until then no member has them, so what we still write is not fenced. To be called once for all of them.
        """

    async def committed(self, position: records.Position) -> int | None:
        """Return the offset that the group has committed, or None. Raises StreamDown."""

    async def is_mirror(self, position: records.Position) -> bool:
        """Return whether this service, in any process, wrote the group's offset, False without notes; or StreamDown."""

    async def commit(
        self,
        offsets: Mapping[records.Position, int],
        *,
        mirror: bool = True,
        notes: Mapping[records.Position, str] = NO_NOTES,
    ) -> None:
        """
        Commit offsets for the group; partitions that are not assigned are left out. Raises StreamDown.

        Args:
            offsets: those of the next records to be read.
            mirror: they mirror a ledger; False writes them without our note.
            notes: texts for other members to read, beside some of the offsets; they need `mirror`.
        """

    @property
    def generation(self) -> int:
        """Number of the group's present assignment, the same for all its members; -1 outside of one."""

    async def notes(self, positions: Sequence[records.Position]) -> Mapping[records.Position, Mirrored]:
        """Return committed offsets with their texts; partitions without one are missing. Raises StreamDown."""

    async def cluster(self, topics: Sequence[str]) -> Cluster:
        """Describe those of the topics that exist, over the present connections. Raises StreamDown."""

    async def bounds(self, position: records.Position) -> Bounds:
        """Return the present begin and end of a partition. Raises StreamDown."""

    def last_answer(self, position: records.Position) -> int | None:
        """Return a value that changes with each answer to a fetch for the partition; None before the first."""

    def end_offset(self, position: records.Position) -> int | None:
        """Return the end of the partition's readable records by the last fetch; None when unknown."""

    def read_to(self, position: records.Position) -> int | None:
        """
        Return the offset up to which `poll` has returned all records; None if the partition is not read.

        It is also beyond records that are never returned, such as transaction markers and aborted records.
        """

    async def close(self) -> None:
        """Leave the group. Bounded in time, never raises."""


class LogReader(Protocol):
    """Reads one partition from a given offset, committed records only, outside any group."""

    @property
    def beginning(self) -> int:
        """Offset at which the reading began. Compaction alone never moves the beginning of a log away from 0."""

    @property
    def end(self) -> int:
        """Offset behind the last record that was readable at the start."""

    @property
    def caught_up(self) -> bool:
        """Whether `read` has passed `end`; stays False for some compacted logs, which a `read` without records ends."""

    @property
    def part(self) -> float:
        """Part of the offsets readable at the start that `read` has passed, from 0 to 1; for people."""

    async def read_stored(self, timeout_s: float) -> Sequence[records.Stored]:
        """Return the next records, or none after `timeout_s` seconds. Raises StreamDown, BatchUnreadable."""

    async def read(self, timeout_s: float) -> Sequence[records.Record]:
        """Do the same, with more of each record."""

    def seek(self, offset: int) -> None:
        """Read on from an offset, or from the first record behind it."""


class Producer(Protocol):
    """Writes records; after any error it is dead and the outcome unknown."""

    @property
    def tainted(self) -> bool:
        """Whether a request failed although the write succeeded: replace the producer before the next write."""

    async def start(self) -> None:
        """Connect; a transactional one fences older producers of its id and ends their open transaction."""

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        """
        Write all records, in order per partition; a transactional producer in one transaction.

        Returns:
            The blocks in which they were stored.

        Raises:
            Fenced, StreamDown: the outcome is unknown and the producer is dead.
        """

    async def kill(self) -> None:
        """Stop all sending and close. Never aborts, never raises, may be called twice."""


class Admin(Protocol):
    """Describes and creates topics. All methods raise StreamDown."""

    async def partition_counts(self) -> Mapping[str, int]:
        """Return all topics with their numbers of partitions; creates none by the question."""

    async def cluster(self, asked: Sequence[str] = ()) -> Cluster:
        """
        Describe all brokers and topics, and topics by name; creates none by the question.

        Kafka leaves a topic that we may not see out of all topics, and says so only where it is asked for by name.
        """

    async def configs(self, topics: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Return the configuration of existing topics, without the values that the broker does not report."""

    async def create(self, specs: Sequence[TopicSpec]) -> Mapping[str, str]:
        """Create topics; returns the reason for each that failed. An existing topic is left as it is."""

    async def abilities(self, transactional_id: str) -> Abilities:
        """Find out which producers the broker supports; `transactional_id` is used for the trial."""


class Broker(Protocol):
    """Makes clients with the same connection settings."""

    def consumer(self) -> GroupConsumer:
        """Return a member of the group, not yet started."""

    def reader(
        self, position: records.Position, offset: int | None, *, few: bool = False
    ) -> AbstractAsyncContextManager[LogReader]:
        """
        Return a reader from `offset`, or from the beginning; entering it raises StreamDown.

        Args:
            position: the partition.
            offset: of the first record; None: the oldest.
            few: single records are wanted, so little is fetched at once; `caught_up` and `part` say nothing then.
        """

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> Producer:
        """Return a producer, not yet started; `idempotent` matters only without a transactional id."""

    def admin(self) -> AbstractAsyncContextManager[Admin]:
        """Return an admin client; entering it raises StreamDown."""
