"""
Read events as a subscriber does, in either layout, also those that a later version of the relay has written.

`events.py` defines and writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import pydantic

from mrs_relay import errors
from mrs_relay.messages import codec, envelope, events


class ReadEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a subscriber reads it: attributes by name and the checked data."""

    attributes: dict[str, str]
    data: events.EventData

    @property
    def type(self) -> str:
        """The CloudEvents type, such as `mrs.job.succeeded`."""
        return self.attributes.get("type", "")

    def as_json(self) -> bytes:
        """Return the event in CloudEvents' JSON format, on one line."""
        body = self.data.model_dump(mode="json", exclude_defaults=True, by_alias=True)
        return codec.encode({**self.attributes, "datacontenttype": "application/json", "data": body})


_STAND_INS: Final[dict[tuple[str, ...], str]] = {
    ("state",): "running",
    ("previous_state",): "running",
    ("reason", "class"): "invalid",
}
"""Fields in which later versions may use new values, with a value of this version for each."""


def data_of(value: bytes) -> events.EventData:
    """
    Read an event's data, and keep states and classes of reasons that this version does not know.

    Raises:
        ValueError: it is no event's data (pydantic's ValidationError is one).
    """
    try:
        return events.EventData.model_validate_json(value)
    except pydantic.ValidationError as error:
        return _with_new_words(_decoded(value), error)


def _data_in(members: Any) -> events.EventData:  # noqa: ANN401 - JSON
    """Do the same as `data_of` for decoded JSON."""
    try:
        return events.EventData.model_validate(members)
    except pydantic.ValidationError as error:
        return _with_new_words(members, error)


def _with_new_words(members: Any, error: pydantic.ValidationError) -> events.EventData:  # noqa: ANN401 - JSON
    """Return the data if unknown values are its only faults; else raise the error."""
    faults = error.errors(include_url=False, include_context=False)
    new: dict[tuple[int | str, ...], Any] = {fault["loc"]: fault["input"] for fault in faults}
    if not new.keys() <= _STAND_INS.keys() or not all(isinstance(word, str) and word for word in new.values()):
        raise error

    # Validate with known values in their place, then put the new ones back.
    known = {**members, **{loc[0]: _STAND_INS[loc] for loc in _STAND_INS if loc in new and len(loc) == 1}}
    is_new_class = ("reason", "class") in new
    if is_new_class:
        known["reason"] = {**members["reason"], "class": _STAND_INS["reason", "class"]}
    data = events.EventData.model_validate(known)

    update: dict[str, Any] = {str(loc[0]): word for loc, word in new.items() if len(loc) == 1}
    if is_new_class and data.reason is not None:
        update["reason"] = data.reason.model_copy(update={"kind": new["reason", "class"]})
    return data.model_copy(update=update)


def _decoded(value: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return codec.decode_plainly(value)  # a cell that is a float stays one
    except errors.BadMessage as error:
        raise ValueError(str(error)) from error


def read(value: bytes, headers: Iterable[tuple[str, bytes]]) -> ReadEvent:
    """
    Read an event record of this service, in either mode, also of a later version: see `data_of`.

    Raises:
        ValueError: the record is not such an event (pydantic's ValidationError is one).
    """
    named = {name.lower(): raw.decode() for name, raw in headers if name.lower().startswith(("ce_", "content-type"))}
    data: events.EventData | None = None
    if named.get("content-type", "").lower().startswith(envelope.STRUCTURED):
        attributes, data = _read_structured(value)
    else:
        attributes = {name.removeprefix("ce_"): text for name, text in named.items() if name.startswith("ce_")}
    if not attributes.get("type", "").startswith("mrs."):
        raise ValueError("not an event of mrs-relay: its CloudEvents type does not start with mrs.")
    return ReadEvent(attributes=attributes, data=data or data_of(value))


def _read_structured(value: bytes) -> tuple[dict[str, str], events.EventData]:
    members = _decoded(value)
    if not isinstance(members, dict):
        raise ValueError("not an event of mrs-relay: the value is no JSON object")  # noqa: TRY004 - as promised
    data = _data_in(members.pop("data", None))
    members.pop("datacontenttype", None)
    return {name: text for name, text in members.items() if isinstance(text, str)}, data
