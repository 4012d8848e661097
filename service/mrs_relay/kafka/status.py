"""Frozen snapshots of the runtime, for health pages, metrics and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from mrs_relay.kafka import broker, partition_worker

T = TypeVar("T")

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
        waiting: records and notices in the inbox.
        failures: in a row; 0 after some time without one.
        crashes: number of failures of the handler by a bug.
        error: the last failure; None once it works again.
        restored: part of the ledger that has been read, from 0 to 1; None while it is not being restored.
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
    restored: float | None = None


def describe(worker: partition_worker.PartitionWorker[T], consumer: broker.GroupConsumer | None) -> Partition:
    """Describe a worker's partition; the consumer, if there is one, knows the end of its readable records."""
    lease, done_to = worker.lease, worker.lag_offset
    end = consumer.end_offset(worker.position) if consumer is not None else None
    return Partition(
        topic=worker.position.topic,
        partition=worker.position.partition,
        state=worker.shown_state,
        next_offset=lease.next_offset if lease is not None else None,
        lag=max(0, end - done_to) if done_to is not None and end is not None else None,
        waiting=lease.inbox.waiting if lease is not None else 0,
        failures=worker.failures,
        crashes=worker.crashes,
        error=worker.missing_leader or worker.error,
        restored=worker.restored,
    )


@dataclass(frozen=True, slots=True)
class Membership:
    """
    The partitions of one topic that its consumer group has assigned to this process.

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
        joined: the group has assigned us our partitions, perhaps none.
        stopping: shutting down.
        partitions: ours, by number.
        error: the last reason why Kafka could not be used; None once it can.
        silent_s: seconds since the partition that has been silent longest was heard of; if Kafka is away, since it was.
    """

    connected: bool
    joined: bool
    stopping: bool
    partitions: tuple[Partition, ...]
    error: str | None
    silent_s: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether all our partitions are worked on, except those that wait for a person or for a leader."""
        return (
            self.connected
            and self.joined
            and not self.stopping
            and all(partition.state in _WORKING for partition in self.partitions)
        )
