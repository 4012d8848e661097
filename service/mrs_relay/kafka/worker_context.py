"""Dependencies that all partition workers of a runtime share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mrs_relay import errors
from mrs_relay.common import clock as clocks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import leaders as leading
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import settings

T = TypeVar("T")

Handler = Callable[[leases.Lease[T]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WorkerContext(Generic[T]):
    """
    What all actors of a runtime share.

    Attributes:
        kafka: the settings.
        broker: where producers and readers come from.
        consumer: the group member that reads the input.
        options: of the ledgers.
        handler: run once for each lease.
        clock: tells how long Kafka has been silent.
        first_partitions: how many partitions the topic had when the process began.
        leaders: which partitions have none.
        on_room: called when a full feed has room again.
        on_change: called when an actor's state has changed.
        on_fatal: called when the process must not go on.
    """

    kafka: settings.KafkaSettings
    broker: brokers.Broker
    consumer: brokers.GroupConsumer
    options: ledgers.Options
    handler: Handler[T]
    clock: clocks.Clock
    first_partitions: int
    leaders: leading.Leaders
    on_room: Callable[[], None]
    on_change: Callable[[], None]
    on_fatal: Callable[[errors.RelayError], None]
