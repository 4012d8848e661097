"""Dependencies that all partition workers of a runtime share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mrs_relay import errors
from mrs_relay.common import clock as clocks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import counts as runtime_counts
from mrs_relay.kafka import leaders as leading
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import settings

T = TypeVar("T")

Handler = Callable[[leases.Lease[T]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WorkerContext(Generic[T]):
    """
    The dependencies of all workers of a runtime.

    Attributes:
        kafka: the settings.
        broker: makes producers and readers.
        consumer: the group member that reads the input.
        options: those of the ledgers.
        handler: run once for each lease.
        clock: measures the silence of Kafka.
        first_partitions: number of the topic's partitions when the process began.
        leaders: knows the partitions that have no leader.
        counts: for metrics.
        settled: set while the group does not share its partitions again.
        on_room: called when a full inbox has room again.
        on_change: called when a worker's state has changed.
        on_fatal: called when the process must not continue.
    """

    kafka: settings.KafkaSettings
    broker: brokers.Broker
    consumer: brokers.GroupConsumer
    options: ledgers.Options
    handler: Handler[T]
    clock: clocks.Clock
    first_partitions: int
    leaders: leading.Leaders
    counts: runtime_counts.RuntimeCounts
    settled: asyncio.Event
    on_room: Callable[[], None]
    on_change: Callable[[], None]
    on_fatal: Callable[[errors.RelayError], None]
