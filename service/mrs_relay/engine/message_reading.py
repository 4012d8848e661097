"""Read the messages of a batch, some of them ahead of the decisions on them, for one unit of work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mrs_relay.engine import alarms
from mrs_relay.engine import context as contexts
from mrs_relay.engine.intake import reader
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import records

_AHEAD: Final = 64
"""Most messages that are read before the first of them is decided; see `reader.read_all`."""

_AHEAD_BYTES: Final = 262_144
"""Bytes of their values at most; a larger message is read alone."""


class MessageReading:
    """
    Turn messages into facts by the settings and the policy of a tenant.

    Args:
        context: only its settings, quota, controls and counts are used.
        lease: of the partition.
        most_bytes: the largest size of a message's value that the ledger takes.
    """

    def __init__(self, context: contexts.TenantContext, lease: leases.Lease[contexts.Notice], most_bytes: int) -> None:
        self._context = context
        self._partition = lease.partition
        self._most_bytes = min(context.settings.max_request_bytes, most_bytes)

    def meanings(self, incoming: Sequence[records.Record]) -> Iterator[tuple[records.Record, reader.Meaning]]:
        """Yield each record with its meaning; one that a control passes over is not read."""
        skipping = self._context.controls.skipping
        for part in records.slices(incoming, _AHEAD, _AHEAD_BYTES):
            skips = [skipping(record.topic, record.partition, record.offset) for record in part]
            wanted = [record for record, skip in zip(part, skips, strict=True) if skip is None]
            meanings = iter(self._read(wanted, self._alarm))
            for record, skip in zip(part, skips, strict=True):
                yield record, next(meanings) if skip is None else reader.skipped(record, str(skip))

    def meaning(self, record: records.Record) -> reader.Meaning:
        """Return the meaning of a record that a later unit decides, which also raises the alarm about an error."""
        return self._read([record], lambda _error, _record: None)[0]

    def _read(self, incoming: Sequence[records.Record], alarm: reader.Alarm) -> list[reader.Meaning]:
        types, policy = self._context.settings.result_job_types, self._context.quota.policy
        return reader.read_all(incoming, types, self._most_bytes, policy, alarm)

    def _alarm(self, error: Exception, record: records.Record) -> None:
        alarms.note(self._context.counts, "read", error, partition=self._partition, offset=record.offset)
