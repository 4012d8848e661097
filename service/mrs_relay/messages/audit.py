"""
Records of decisions: CloudEvents of the topic `kafka.topics.audit`, in structured mode. Pure.

One record says who decided what, from where and why, and what changed. It holds no content of requests and no secret.
The events that a decision's message causes say what became of it: `data.message` is the id of that message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mrs_relay.common import clock
from mrs_relay.messages import codec, envelope

PREFIX: Final = "mrs.audit."
"""How the types of these events begin; the action follows."""

HEADERS: Final = (("content-type", f"{envelope.STRUCTURED}; charset=UTF-8".encode()),)


class Data(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """
    What was decided.

    Attributes:
        action: cancel, resolve, retry, replay, orphan.kill, hold, settings.reload …
        via: http or cli; signal or file for settings that a relay read again.
        place: from where: an address, or a host.
        why: the reason that the deciding one gave.
        tenant: whose requests it concerns; "" without tenants, None: not those of one tenant.
        what: what it concerns, such as the request's id and source.
        before: what was, such as the state of a request.
        after: what is wanted.
        message: id of the message that carries the decision out; None: none does.
    """

    action: str
    via: str
    place: str | None = None
    why: str = ""
    tenant: str | None = None
    what: Mapping[str, Any] = {}
    before: Mapping[str, Any] = {}
    after: Mapping[str, Any] = {}
    message: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """
    A decision with its envelope.

    Attributes:
        id: unique.
        source: CloudEvents `source` of who writes the record.
        time_ms: when it was decided, epoch milliseconds.
        subject: what it concerns, for people, such as the id of a request.
        sender: who decided; None: not known.
        data: what.
    """

    id: str
    source: str
    time_ms: int
    subject: str
    sender: envelope.Sender | None
    data: Data


_DEPTH: Final = 50
"""Nesting of a foreign record that every reader and writer of JSON still takes."""


class _Members(msgspec.Struct, frozen=True):
    """A record as it is read; decoding checks the types."""

    id: str
    source: str
    type: str
    time: str
    data: Data
    subject: str = ""
    authid: str | None = None
    authtype: str | None = None


_reader = msgspec.json.Decoder(_Members)


def write(record: Record) -> bytes:
    """Write a record as CloudEvents JSON."""
    sender = record.sender
    members: dict[str, Any] = {
        "specversion": "1.0",
        "id": record.id,
        "source": record.source,
        "type": PREFIX + record.data.action,
        "time": clock.rfc3339(record.time_ms),
        "subject": record.subject,
        "datacontenttype": "application/json",
        **({} if sender is None else {"authid": sender.authid}),
        **({} if sender is None or sender.authtype is None else {"authtype": sender.authtype}),
    }
    return codec.encode({**members, "data": record.data})


def read(value: bytes | None) -> Record:
    """
    Read the value of a record.

    Raises:
        ValueError: it is no record of a decision.
    """
    try:
        found = _reader.decode(value or b"")
        is_shallow = all(_fits(one, _DEPTH) for one in (found.data.what, found.data.before, found.data.after))
    except RecursionError:
        is_shallow = False

    if not is_shallow:
        raise ValueError("no record of a decision: the JSON is nested too deeply")
    if not found.type.startswith(PREFIX):
        raise ValueError(f"no record of a decision: expected a type {PREFIX}…")

    return Record(
        id=found.id,
        source=found.source,
        time_ms=clock.epoch_ms(found.time),
        subject=found.subject,
        sender=envelope.Sender(found.authid, found.authtype) if found.authid else None,
        data=found.data,
    )


def _fits(value: object, depth: int) -> bool:
    """Return whether a JSON value is nested no deeper than this."""
    if not isinstance(value, Mapping | list):
        return True
    return depth > 0 and all(_fits(one, depth - 1) for one in (value.values() if isinstance(value, Mapping) else value))
