"""
Poll the group's consumer and deliver the records to the inboxes of the partitions.

Only partitions whose inbox accepts records are polled. Errors of one partition stop that partition alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.common import tasks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import consumer_health, partition_worker, records

T = TypeVar("T")

_POLL_S = 0.2
_POLL_RECORDS = 1_000

log = structlog.get_logger(__name__)


class RecordPoller(Generic[T]):
    """
    The poll loop of one runtime.

    Args:
        workers: those of the assigned partitions; the runtime changes the mapping.
        health: notes polls that came back and polls that failed.
        stopping: set when the loop must end.
        retry_s: seconds to wait after a failed poll.
        on_stuck: called when the consumer can do no more; the loop ends.
    """

    def __init__(
        self,
        workers: Mapping[records.Position, partition_worker.PartitionWorker[T]],
        health: consumer_health.ConsumerHealth,
        stopping: asyncio.Event,
        retry_s: float,
        on_stuck: Callable[[errors.RelayError], None],
    ) -> None:
        self._workers = workers
        self._health = health
        self._stopping = stopping
        self._retry_s = retry_s
        self._on_stuck = on_stuck
        self._epoch = 0
        self._room = asyncio.Event()

    def wake(self) -> None:
        """Poll again at once: an inbox has room, or a partition's state has changed."""
        self._room.set()

    def rebalanced(self) -> None:
        """Drop what the present poll returns: the assignment has changed under it."""
        self._epoch += 1

    async def run(self, consumer: brokers.GroupConsumer) -> None:
        """
        Move records into the inboxes, until `stopping` is set.

        Records polled across a rebalance are ambiguous: they are dropped, and read again where the partition is ours.
        """
        while not self._stopping.is_set():
            epoch = self._epoch
            self._room.clear()
            wanted = frozenset(position for position, worker in self._workers.items() if worker.accepts_records)

            try:
                arrived = await consumer.poll(wanted, limit=_POLL_RECORDS, timeout_s=_POLL_S)
            except brokers.OffsetGone as error:
                for position in error.positions & self._workers.keys():
                    self._workers[position].unreadable(error)
                continue
            except brokers.BatchUnreadable as error:
                if (worker := self._workers.get(error.position)) is not None:
                    worker.stop_reading(error)
                continue
            except (errors.ConsumerStuck, errors.InstanceReplaced) as error:
                self._on_stuck(error)
                return
            except errors.StreamDown as error:
                self._health.failed(error)
                log.warning("records_not_polled", error=str(error))
                await asyncio.sleep(self._retry_s)
                continue

            self._health.polled()
            self._deliver(arrived, consumer if epoch == self._epoch else None)

            # All inboxes are full or no partition runs: wait for a change.
            if not wanted:
                await tasks.sleep_until(self._room, _POLL_S)

    def _deliver(
        self,
        arrived: Mapping[records.Position, Sequence[records.Record]],
        consumer: brokers.GroupConsumer | None,
    ) -> None:
        """
        Deliver the records of a poll; nothing may be awaited between the poll and the delivery.

        Args:
            arrived: the records.
            consumer: knows the offset that it has read to, also past markers and aborted records; None after a
            rebalance.
        """
        for position, worker in self._workers.items():
            if consumer is None:
                if position in arrived:
                    worker.rewind()
                continue
            worker.deliver(arrived.get(position, ()))
            if (read_to := consumer.read_to(position)) is not None:
                worker.passed(read_to)
