"""
Check messages as the relay would, without sending them.

The text holds one JSON message, a list of them, or one a line; each as it would be written to Kafka in structured mode,
or as plain JSON. The `type` of a message makes it a request or an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pydantic

from mrs_relay import errors
from mrs_relay.messages import codec, envelope, events, registry, requests

_HEADERS: Final = (("content-type", envelope.STRUCTURED.encode()),)
_NO_TOPIC: Final = "requests"
_EVENT_ATTRIBUTES: Final = ("specversion", "id", "source", "type", "time", "subject", "sequence")


@dataclass(frozen=True, slots=True)
class Checked:
    """
    One message and its fault, if it has one.

    Attributes:
        where: the message's place, such as `line 3`; "" when there is only one.
        kind: its type, or "" when it names none.
        problem: the fault, for people, or None.
        code: one of `reasons.CODES`, or None.
        field: dotted path of the wrong field, or None.
    """

    where: str
    kind: str
    problem: str | None = None
    code: str | None = None
    field: str | None = None


def check(text: bytes) -> list[Checked]:
    """Check every message in `text`; an empty list means that it holds none."""
    if not text.strip():
        return []
    try:
        whole = codec.decode(text)
    except errors.BadMessage:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        if len(lines) > 1 and _is_json(lines[0][1]):
            return [_one(f"line {number}", line) for number, line in lines]
        return [_one("", text)]
    if isinstance(whole, list):
        return [_one(f"message {number}", codec.encode(each)) for number, each in enumerate(whole, start=1)]
    return [_one("", text)]


def _is_json(raw: bytes) -> bool:
    try:
        codec.decode(raw)
    except errors.BadMessage:
        return False
    return True


def _one(where: str, raw: bytes) -> Checked:
    kind = ""
    try:
        members = codec.decode(raw)
        if isinstance(members, dict):
            named = members.get("type")
            kind = named if isinstance(named, str) else ""
        if kind in registry.EVENTS:
            _check_event(members)
        else:
            requests.parse(envelope.read(_NO_TOPIC, raw, _HEADERS))
    except errors.BadMessage as error:
        return Checked(where, kind, error.message, error.code, error.field)
    return Checked(where, kind)


def _check_event(members: dict[str, Any]) -> None:
    for name in _EVENT_ATTRIBUTES:
        if not isinstance(members.get(name), str) or not members[name]:
            raise errors.BadMessage("missing_field", f"`{name}` is required in an event, as text", field=name)
    try:
        data = events.EventData.model_validate(members.get("data"))
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(["data", *map(str, fault["loc"])])
        raise errors.BadMessage("bad_value", f"`{field}`: {fault['msg']}", field=field) from error
    if data.state != registry.state_of(members["type"]):
        raise errors.BadMessage(
            "bad_value", f"`data.state` is {data.state!r}, which is not what the type says", field="data.state"
        )
