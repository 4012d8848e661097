"""Decode records of the events topic; records that are no event of this service are skipped."""

from __future__ import annotations

from collections.abc import Iterable

from mrs_relay.kafka import records
from mrs_relay.messages import event_reader


def events_of(found: Iterable[records.Record]) -> list[event_reader.ReadEvent]:
    """Return the events among `found`, in their order."""
    read: list[event_reader.ReadEvent] = []
    for record in found:
        if record.value is None:
            continue
        try:
            read.append(event_reader.read(record.value, record.headers))
        except ValueError:
            continue
    return read
