"""
Mirror the committed offsets to the consumer group, for lag tools, with a note beside each.

A lease takes its offset from the ledger, never from the group. All replicas can read the notes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Generic, TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import partition_worker, records

T = TypeVar("T")

_NOTES_READ_S = 2.0  # after an assignment, for all replicas to read the notes

log = structlog.get_logger(__name__)


class OffsetMirror(Generic[T]):
    """
    Writes the offsets of one runtime's partitions to its group.

    Args:
        workers: those of the assigned partitions; the runtime changes the mapping.
        interval_s: seconds between two writes.
    """

    def __init__(
        self, workers: Mapping[records.Position, partition_worker.PartitionWorker[T]], interval_s: float
    ) -> None:
        self._workers = workers
        self._interval_s = interval_s
        self._notes: dict[records.Position, str] = {}
        self._assigned_s = 0.0
        self._joined = False

    def revoked(self) -> None:
        """Write nothing until the next assignment."""
        self._joined = False

    def assigned(self) -> None:
        """Write again, without the notes of the last assignment."""
        self._joined = True
        self._notes.clear()
        self._assigned_s = asyncio.get_running_loop().time()

    async def write_note(self, consumer: brokers.GroupConsumer, position: records.Position, text: str) -> bool:
        """Keep a text beside our offset of one partition; see `Runtime.write_note`."""
        worker = self._workers.get(position)
        offset = worker.committed_offset if worker is not None else None
        if offset is None:
            committed = (await consumer.notes([position])).get(position)
            if worker is None or committed is None or not committed.is_mirror:
                return False
            offset = committed.offset

        self._notes[position] = text
        await consumer.commit({position: offset}, notes={position: text})
        return True

    async def run(self, consumer: brokers.GroupConsumer) -> None:
        """Write the offsets at each interval, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)

            for worker in list(self._workers.values()):
                await worker.catch_up()

            # A write replaces the notes of the former owners: leave the replicas time to read them.
            if asyncio.get_running_loop().time() >= self._assigned_s + _NOTES_READ_S:
                await self.write(consumer)

    async def write(self, consumer: brokers.GroupConsumer) -> None:
        """Commit our offsets and notes to the group; a failure is logged, since no owner depends on them."""
        offsets = {
            position: worker.committed_offset
            for position, worker in self._workers.items()
            if worker.committed_offset is not None
        }
        if offsets and self._joined:
            try:
                await consumer.commit(offsets, notes=self._notes)
            except errors.StreamDown as error:
                log.debug("mirror_failed", error=str(error))
