"""The followed requests, and the assignment of records to them: `relay.RelayClient` keeps one register."""

from __future__ import annotations

from collections.abc import Container, Iterator

from mrs_relay import errors
from mrs_relay.client import handle
from mrs_relay.kafka import records
from mrs_relay.messages import event_reader, events


class Register:
    """Handles by the id and the source of their request."""

    def __init__(self) -> None:
        self._by_id: dict[str, dict[str, handle.Handle]] = {}

    def __iter__(self) -> Iterator[handle.Handle]:
        for same_id in self._by_id.values():
            yield from same_id.values()

    def __len__(self) -> int:
        return sum(map(len, self._by_id.values()))

    def __contains__(self, one: handle.Handle) -> bool:
        return self._by_id.get(one.id, {}).get(one.source) is one

    def add(self, one: handle.Handle) -> None:
        """
        Follow a request from now on.

        Raises:
            BadMessage: it is followed already.
        """
        same_id = self._by_id.setdefault(one.id, {})
        if one.source in same_id:
            raise errors.BadMessage("bad_id", f"request {one.id!r} is followed already: use the handle it has")
        same_id[one.source] = one

    def drop(self, one: handle.Handle) -> None:
        """Forget a request; nothing happens when it is not followed."""
        if one in self:
            del self._by_id[one.id][one.source]
            if not self._by_id[one.id]:
                del self._by_id[one.id]

    def clear(self) -> None:
        """Forget all."""
        self._by_id.clear()

    def take(self, record: records.Record) -> None:
        """Pass a record of the events topic to the handle that it concerns, if any; drop one that awaits no more."""
        if not self._by_id or not _may_concern(self._by_id, record) or (data := _read(record)) is None:
            return
        one = self._by_id.get(data.request.id, {}).get(data.request.source)
        if one is not None:
            one.take(data)
            if not one.is_followed:
                self.drop(one)


def event_of(one: handle.Handle, record: records.Record) -> events.EventData | None:
    """Return the event data that a record of the events topic holds for this request; None if there are none."""
    if not _may_concern((one.id,), record) or (data := _read(record)) is None:
        return None
    return data if (data.request.id, data.request.source) == (one.id, one.source) else None


def _may_concern(ids: Container[str], record: records.Record) -> bool:
    """
    Return whether the record is worth decoding: events in binary mode name their request in a header.

    The topic carries the events of all services, so most records concern other clients.
    """
    subject = next((raw for name, raw in record.headers if name == "ce_subject"), None)
    return subject is None or subject.decode(errors="replace") in ids


def _read(record: records.Record) -> events.EventData | None:
    """Decode the data of an event; None for a record that is no event."""
    if record.value is None:
        return None
    try:
        return event_reader.read(record.value, record.headers).data
    except ValueError:
        return None
