"""
What this part needs of a broker, as small protocols; the rest of the part is written against these alone.

`client.KafkaBroker` is the real one, `memory_broker.MemoryBroker` keeps the same contract in memory, and
`tests/contract/test_broker_contract.py` runs against both. Errors that leave a broker are `errors.StreamDown`
(Kafka cannot be reached or does not do what was asked), `errors.Fenced` (the outcome of a write is unknown, or
somebody else has taken over), `OffsetGone` and `BatchUnreadable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from mrs_relay import errors
from mrs_relay.kafka import records


class OffsetGone(errors.StreamError):
    """
    The broker no longer has the records at which we read.

    Attributes:
        positions: the partitions concerned; they are parked.
    """

    def __init__(self, positions: frozenset[records.Position]) -> None:
        super().__init__(f"the broker has no records at our offset of {', '.join(sorted(map(str, positions)))}")
        self.positions = positions


class BatchUnreadable(errors.StateUnreadable):
    """
    A batch of records cannot be read: an unknown compression, damage, or more than it may unpack to.

    Attributes:
        position: its partition, which is parked; everything before the batch has been handed out.
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
    Where a partition begins and ends.

    Attributes:
        first: offset of the oldest record that is still there.
        end: offset that the next record will get, as far as committed records go.
        topic_id: of the topic that has these bounds; see `Topic`.
    """

    first: int
    end: int
    topic_id: str | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """
    Where one partition is kept at this moment.

    Attributes:
        has_leader: somebody takes writes to it and answers reads.
        replicas: how many brokers shall keep it.
        in_sync: how many of them have all of it.
    """

    has_leader: bool = True
    replicas: int = 1
    in_sync: int = 1


@dataclass(frozen=True, slots=True)
class Topic:
    """
    One topic as the brokers describe it.

    Attributes:
        partitions: by number.
        topic_id: Kafka's own identity of the topic: another one after it was deleted and created again under the same
            name. None where the broker does not tell (before Kafka 2.8).
        allowed: what we may do with it, by Kafka's names (READ, WRITE …); None where the broker does not tell.
    """

    partitions: tuple[Partition, ...]
    topic_id: str | None = None
    allowed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """
    The brokers and topics that we may see.

    Attributes:
        brokers: how many there are, those included that are away and keep a replica of a described topic.
        topics: by name.
    """

    brokers: int
    topics: Mapping[str, Topic]

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
    A topic to be made.

    Attributes:
        name: of the topic.
        partitions: how many.
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
    Which producers the broker knows.

    Attributes:
        transactions: transactional ones, as exactly-once needs them.
        idempotence: those whose retries leave no duplicates.
    """

    transactions: bool
    idempotence: bool


@dataclass(frozen=True, slots=True)
class Mirrored:
    """
    What a group has committed for one partition.

    Attributes:
        offset: the next to be read.
        is_mirror: written by this service, in any process.
        text: for other members to read; "" without one.
    """

    offset: int
    is_mirror: bool
    text: str = ""


NO_NOTES: Final[Mapping[records.Position, str]] = MappingProxyType({})


class Listener(Protocol):
    """Told about every change of the group's assignment; must return soon and take no locks."""

    async def revoked(self, positions: frozenset[records.Position]) -> None:
        """All our partitions are about to go, or are already lost; the group waits for the return."""

    async def assigned(self, positions: frozenset[records.Position]) -> None:
        """These partitions are ours now, all of them parked; no heartbeat is sent until the return."""


class GroupConsumer(Protocol):
    """A member of a consumer group, reading its share of one topic."""

    @property
    def silent_since_s(self) -> float | None:
        """Since when our questions have found no answer in time, on the event loop's clock; None while they do."""

    @property
    def hears(self) -> bool:
        """Whether brokers have told us anything lately, if only that they cannot do what we ask."""

    async def start(self, listener: Listener) -> None:
        """Connect and join; assignments come to the listener. Raises StreamDown."""

    async def poll(
        self, wanted: frozenset[records.Position], *, limit: int, timeout_s: float
    ) -> Mapping[records.Position, Sequence[records.Record]]:
        """
        Wait up to `timeout_s` seconds for records of the wanted partitions, `limit` at most.

        May take as long as a rebalance lasts. To be called all the time, also with nothing wanted.

        Raises:
            StreamDown: try again later. ConsumerStuck: make another consumer. OffsetGone: a partition's records are no
            longer there. BatchUnreadable: a partition's next records cannot be read.
        """

    def flow(self, position: records.Position, offset: int) -> None:
        """Let an assigned, parked partition be read, from `offset` on. Raises StreamDown if it is not assigned."""

    def park(self, position: records.Position) -> None:
        """Stop reading a partition; nothing happens if it is not assigned."""

    def decline(self, positions: frozenset[records.Position]) -> None:
        """
        Have the group give partitions to another member, for as long as this one lives.

        The group is joined again only where that is news. One that all members have declined, or whose group is led by
        a version that knows nothing of it, is assigned to us all the same. Raises StreamDown once closed.
        """

    async def committed(self, position: records.Position) -> int | None:
        """Offset that the group has committed, or None. Raises StreamDown."""

    async def is_mirror(self, position: records.Position) -> bool:
        """
        Whether what the group has committed was written by this service, in any process.

        False where the broker keeps no notes beside offsets. Raises StreamDown.
        """

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
            offsets: the next to be read.
            mirror: they are what the ledger holds; False leaves them without our note.
            notes: texts for other members to read, beside some of the offsets; they need `mirror`.
        """

    @property
    def generation(self) -> int:
        """Number of the group's present assignment, the same for all its members; -1 outside of one."""

    async def notes(self, positions: Sequence[records.Position]) -> Mapping[records.Position, Mirrored]:
        """What the group has committed, with the texts beside it; others are missing. Raises StreamDown."""

    async def cluster(self, topics: Sequence[str]) -> Cluster:
        """Describe these topics as far as they exist, over the connections that are there. Raises StreamDown."""

    async def bounds(self, position: records.Position) -> Bounds:
        """Begin and end of a partition, asked just now. Raises StreamDown."""

    def last_answer(self, position: records.Position) -> int | None:
        """A value that changes whenever the broker has answered a fetch for the partition; None before the first."""

    def end_offset(self, position: records.Position) -> int | None:
        """End of what can be read of the partition now, as the last fetch told it; None when unknown."""

    def read_to(self, position: records.Position) -> int | None:
        """
        Offset up to which `poll` has handed out all records; None where the partition is not read.

        Past records that nobody is shown, such as transaction markers and aborted records.
        """

    async def close(self) -> None:
        """Leave the group. Bounded in time, never raises."""


class LogReader(Protocol):
    """Reads one partition from a given offset, committed records only, outside any group."""

    @property
    def beginning(self) -> int:
        """Offset at which the reading began. Compaction alone never moves the beginning of a log away from 0."""

    @property
    def caught_up(self) -> bool:
        """
        Whether `read` has handed out all that could be read when the reading began.

        Of some logs it is never said, where compaction has removed the last records: a `read` without records tells.
        """

    async def read(self, timeout_s: float) -> Sequence[records.Record]:
        """Return the next records, or none after `timeout_s` seconds. Raises StreamDown, BatchUnreadable."""


class Producer(Protocol):
    """Writes records; after any error it is dead and the outcome unknown."""

    @property
    def tainted(self) -> bool:
        """Something went wrong on the way, though the write succeeded: replace it before the next write."""

    async def start(self) -> None:
        """Connect; a transactional one ends what an older producer of its id has open, and fences it."""

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        """
        Write all records, in order per partition; a transactional producer in one transaction.

        Returns:
            Where they were stored.

        Raises:
            Fenced, StreamDown: the outcome is unknown and the producer is dead.
        """

    async def kill(self) -> None:
        """Let nothing leave any more and close. Never aborts, never raises, may be called twice."""


class Admin(Protocol):
    """Looks at topics and makes them. All methods raise StreamDown."""

    async def partition_counts(self) -> Mapping[str, int]:
        """All topics and how many partitions they have; makes none by asking."""

    async def cluster(self) -> Cluster:
        """Describe all brokers and topics; makes none by asking."""

    async def configs(self, topics: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Configuration of existing topics; what the broker does not tell is missing."""

    async def create(self, specs: Sequence[TopicSpec]) -> Mapping[str, str]:
        """Make topics; returns the reason for each that could not be made. An existing topic is left as it is."""

    async def abilities(self, transactional_id: str) -> Abilities:
        """Try which producers the broker knows; `transactional_id` is used for the trial."""


class Broker(Protocol):
    """Makes clients that are all connected alike."""

    def consumer(self) -> GroupConsumer:
        """Return a member of the group, not yet started."""

    def reader(self, position: records.Position, offset: int | None) -> AbstractAsyncContextManager[LogReader]:
        """Return a reader from `offset`, or from the beginning; entering it raises StreamDown."""

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> Producer:
        """Return a producer, not yet started; `idempotent` matters only without a transactional id."""

    def admin(self) -> AbstractAsyncContextManager[Admin]:
        """Return an admin client; entering it raises StreamDown."""
