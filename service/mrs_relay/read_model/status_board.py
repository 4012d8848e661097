"""
Keep what the relays publish about themselves: the last record of each key, and whether it is stale. Pure.

It is small and kept in memory, not in the database: every process that reads the compacted topic has the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mrs_relay.kafka import records
from mrs_relay.messages import status

C = TypeVar("C", bound=status.Content)

_LEFT_MS: Final = 3_600_000
"""What a replica left behind is shown for so long; a partition is always shown."""


@dataclass(frozen=True, slots=True)
class Seen(Generic[C]):
    """
    A content with its origin.

    Attributes:
        replica: name of the replica that wrote it.
        at_ms: when, epoch milliseconds.
        stale: it may no longer be true: the replica is silent, or has left, or no longer has the partition.
        content: what it wrote.
    """

    replica: str
    at_ms: int
    stale: bool
    content: C


class StatusBoard:
    """The last record of each key."""

    def __init__(self) -> None:
        self._records: dict[bytes, status.Record] = {}
        self._newest_ms = 0
        self._swept_ms = 0

    def apply(self, record: records.Record) -> None:
        """Take a record of the topic; one that this version cannot read is passed over."""
        key = record.key or b""
        if record.value is None:
            self._records.pop(key, None)
        elif (found := status.decode(record.value)) is not None:
            self._records[key] = found
            self._newest_ms = max(self._newest_ms, found.at_ms)
            if self._newest_ms - self._swept_ms >= _LEFT_MS:
                self._sweep()

    def _sweep(self) -> None:
        """Forget what is no longer shown: replicas have other names after each start."""
        self._swept_ms = self._newest_ms
        self._records = {
            key: one
            for key, one in self._records.items()
            if isinstance(one.content, status.Partition) or self._newest_ms - one.at_ms < _LEFT_MS
        }

    def replicas(self, now_ms: int) -> list[Seen[status.Replica]]:
        """Return all replicas, by name."""
        return sorted(self._of(status.Replica, now_ms), key=lambda one: one.replica)

    def partitions(self, now_ms: int) -> list[Seen[status.Partition]]:
        """Return all partitions of all topics, in order."""
        found = self._of(status.Partition, now_ms)
        return sorted(found, key=lambda one: (one.content.topic, one.content.partition))

    def clusters(self, now_ms: int) -> list[Seen[status.Cluster]]:
        """Return the clusters of all connections, each once for each replica that uses it."""
        found = self._of(status.Cluster, now_ms)
        return sorted(found, key=lambda one: (one.content.connection, one.content.cluster, one.replica))

    def _of(self, kind: type[C], now_ms: int) -> Iterator[Seen[C]]:
        owners = self._owners(now_ms)
        for record in self._records.values():
            if isinstance(record.content, kind):
                stale = self._is_stale(record, owners, now_ms)
                if kind is status.Partition or not stale or now_ms - record.at_ms < _LEFT_MS:
                    yield Seen(record.replica, record.at_ms, stale, record.content)

    def _owners(self, now_ms: int) -> dict[str, tuple[int, set[tuple[str, int]]]]:
        """Return the epoch and the partitions of each replica that is not silent."""
        return {
            one.replica: (
                one.epoch_ms,
                {(tenant.topic, number) for tenant in one.content.tenants for number in tenant.partitions},
            )
            for one in self._records.values()
            if isinstance(one.content, status.Replica) and now_ms - one.at_ms <= status.STALE_MS
        }

    def _is_stale(
        self, record: status.Record, owners: dict[str, tuple[int, set[tuple[str, int]]]], now_ms: int
    ) -> bool:
        if now_ms - record.at_ms > status.STALE_MS or record.replica not in owners:
            return True
        epoch_ms, owned = owners[record.replica]
        if record.epoch_ms < epoch_ms:
            return True
        content = record.content
        return isinstance(content, status.Partition) and (content.topic, content.partition) not in owned
