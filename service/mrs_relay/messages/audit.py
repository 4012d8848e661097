"""
Records of decisions: CloudEvents of the topic `kafka.topics.audit`, in structured mode. Pure.

One record says who decided what, from where and why, and what changed. It holds no content of requests and no secret.
What became of a decision that is a message is told by the events that the message causes: `data.message` is its id.
"""

from __future__ import annotations

import json
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
        action: cancel, resolve, retry, replay, kill, hold …
        via: http or cli.
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


_decoder = msgspec.json.Decoder(Data)


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
    members = msgspec.json.decode(value or b"", type=dict[str, msgspec.Raw])
    texts = {name: json.loads(bytes(raw)) for name, raw in members.items() if name != "data"}
    try:
        if not texts["type"].startswith(PREFIX):
            raise ValueError(f"expected a type {PREFIX}…")
        return Record(
            id=texts["id"],
            source=texts["source"],
            time_ms=clock.epoch_ms(texts["time"]),
            subject=texts.get("subject", ""),
            sender=envelope.Sender(texts["authid"], texts.get("authtype")) if texts.get("authid") else None,
            data=_decoder.decode(bytes(members["data"])),
        )
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"no record of a decision: {error!r}") from None
