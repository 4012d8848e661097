"""What health pages, metrics and the command line see of the runtime: frozen snapshots."""

from __future__ import annotations

from dataclasses import dataclass

from mrs_relay.kafka import partition_worker

_WORKING = frozenset(
    {
        partition_worker.State.RUNNING,
        partition_worker.State.PARKED,
        partition_worker.State.UNREADABLE,
        partition_worker.State.LEADERLESS,
    }
)


@dataclass(frozen=True, slots=True)
class Partition:
    """
    One assigned partition.

    Attributes:
        topic: the input topic.
        partition: its number.
        state: see `partition_worker.State`.
        next_offset: first input record that is not committed; None while there is no lease.
        lag: records behind the end of the partition that are not committed; None when unknown.
        waiting: records and notices in the feed.
        failures: in a row; 0 after a while of peace.
        crashes: how often the handler failed by a bug.
        error: what went wrong last, None once it works again.
    """

    topic: str
    partition: int
    state: partition_worker.State
    next_offset: int | None
    lag: int | None
    waiting: int
    failures: int
    crashes: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Membership:
    """
    What the consumer group of one topic has given this process.

    Attributes:
        generation: counts the group's assignments.
        owned: our partitions.
        total: partitions of the topic; 0 until it is known.
    """

    generation: int
    owned: frozenset[int]
    total: int


@dataclass(frozen=True, slots=True)
class Status:
    """
    The runtime at one moment.

    Attributes:
        connected: Kafka answers.
        joined: the group has given us our share, which may be empty.
        stopping: shutting down.
        partitions: our share, by number.
        error: why Kafka could not be used last; None once it can.
    """

    connected: bool
    joined: bool
    stopping: bool
    partitions: tuple[Partition, ...]
    error: str | None

    @property
    def ready(self) -> bool:
        """All of our share is being worked on, but for what waits for a person or for a partition's leader."""
        return (
            self.connected
            and self.joined
            and not self.stopping
            and all(partition.state in _WORKING for partition in self.partitions)
        )
