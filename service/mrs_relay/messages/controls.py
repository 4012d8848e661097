"""
Controls: what the relay is to hold back, set aside or pass over, as records of the topic `kafka.topics.control`.

The key of a record is a scope, its value says what to do with the requests of the scope. The last record of a key
counts; a tombstone lifts the control.
"""

from __future__ import annotations

import codecs
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final, Literal, NamedTuple, get_args

import msgspec
import pydantic

from mrs_relay.common import clock

Mode = Literal["hold", "drain", "quarantine", "reject", "skip", "release"]

MODES: Final[dict[Mode, str]] = {
    "hold": "nothing new that matches is submitted; intake, tracking and cancels go on",
    "drain": "as hold, and the relay reports when the last one that runs has ended",
    "quarantine": "requests that match are set aside until they are released or rejected",
    "reject": "as quarantine, and what was set aside before the control was set ends with the event cancelled",
    "skip": "one input message is passed over and kept as a dead letter; only for offset/…",
    "release": "lifts the control of the scope; under request/… it also lets the request out of wider quarantines",
}

HOLDING: Final[frozenset[Mode]] = frozenset({"hold", "drain", "quarantine", "reject"})
"""Modes under which nothing new is submitted."""

SET_ASIDE: Final[frozenset[Mode]] = frozenset({"quarantine", "reject"})

Kind = Literal["all", "tenant", "cluster", "label", "type", "request", "offset"]

SUBJECTS: Final = ("job", "sql", "cluster", "call")
"""What `type/` may name: the kinds of requests, as they stand in the types of events."""

MAX_SCOPE: Final = 600
ONE_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
"""Pattern of text without control characters, as JSON Schema writes it."""

_MAX_TEXT: Final = 500
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f]+")
_OFFSET: Final = re.compile(r"([a-zA-Z0-9._-]{1,249})/(\d{1,9})/(\d{1,18})")


class Scope(NamedTuple):
    """
    The requests that a control concerns.

    Attributes:
        kind: the property of requests that the scope names.
        name: the tenant, cluster, label as `key=value`, type or request id; `<topic>/<partition>/<offset>`; "" for all.
    """

    kind: Kind
    name: str = ""

    @property
    def tenant(self) -> str | None:
        """The one tenant that the scope names; None: it names something else."""
        return self.name if self.kind == "tenant" else None

    def __str__(self) -> str:
        """Format the scope as the key of its record."""
        return f"{self.kind}/{self.name}" if self.name else self.kind


def scope(text: str) -> Scope:
    """
    Read a scope.

    Raises:
        ValueError: it is none; the text says what was expected.
    """
    if len(text) > MAX_SCOPE or not _PLAIN.fullmatch(text):
        raise ValueError(f"a scope has 1 to {MAX_SCOPE} characters and no control characters")
    if text == "all":
        return Scope("all")

    kind, _, name = text.partition("/")
    found = next((one for one in get_args(Kind) if one == kind), None)
    if found in {None, "all"} or not name:
        raise ValueError(
            f"unknown scope {text!r}: expected all, tenant/NAME, cluster/ID, label/KEY=VALUE, "
            "type/(job, sql, cluster or call), request/ID, or offset/TOPIC/PARTITION/OFFSET"
        )
    if found == "label" and name.find("=") < 1:
        raise ValueError(f"unknown scope {text!r}: expected label/KEY=VALUE")
    if found == "type" and name not in SUBJECTS:
        raise ValueError(f"unknown type {name!r} in scope {text!r}: expected {', '.join(SUBJECTS)}")
    if found == "offset":
        return Scope(found, offset_name(*_place(name)))
    return Scope(found, name)


def offset_name(topic: str, partition: int, offset: int) -> str:
    """Return the name of one input message in a scope."""
    return f"{topic}/{partition}/{offset}"


def _place(name: str) -> tuple[str, int, int]:
    found = _OFFSET.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no input message: expected TOPIC/PARTITION/OFFSET")
    return found[1], int(found[2]), int(found[3])


class ControlData(pydantic.BaseModel):
    """The value of a control's record: what to do with the requests of its scope, why, and until when."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    mode: Annotated[Mode, pydantic.Field(description="; ".join(f"{mode}: {text}" for mode, text in MODES.items()))]
    reason: Annotated[
        str, pydantic.Field(max_length=_MAX_TEXT, description="For people; required in all modes but release.")
    ] = ""
    by: Annotated[str, pydantic.Field(max_length=200, description="Who set it.")] = ""
    at: Annotated[
        dt.datetime | None, pydantic.Field(description="When it was set; the record's timestamp unless it is given.")
    ] = None
    until: Annotated[
        dt.datetime | None, pydantic.Field(description="When it ends by itself; without it, when it is lifted.")
    ] = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, members: object) -> object:
        """Drop null, which many JSON writers write for what is not set; a required member is then missing."""
        return {name: one for name, one in members.items() if one is not None} if isinstance(members, dict) else members

    @pydantic.field_validator("reason", "by")
    @classmethod
    def _on_one_line(cls, value: str) -> str:
        """Replace control characters: to refuse them would lift a hold that somebody meant."""
        return _CONTROL_CHARACTERS.sub(" ", value)

    @pydantic.field_validator("at", "until", mode="before")
    @classmethod
    def _only_text(cls, value: object) -> object:
        if value is not None and not (isinstance(value, str) and value[4:5] == "-"):
            raise ValueError("use RFC 3339 with offset, such as 2026-11-24T06:00:00Z")
        return clock.without_leap_second(value) if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _complete(self) -> ControlData:
        if self.mode != "release" and not self.reason.strip():
            raise ValueError("give a reason")
        if any(moment is not None and moment.tzinfo is None for moment in (self.at, self.until)):
            raise ValueError("times need an offset, such as 2026-11-24T06:00:00Z")
        return self


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """
    A control as it stands.

    Attributes:
        scope: the requests that it concerns.
        mode: what happens to them.
        reason: for people.
        by: who set it.
        at_ms: when it was set, epoch milliseconds.
        until_ms: when it ends by itself, epoch milliseconds; 0: it does not.
    """

    scope: Scope
    mode: Mode
    reason: str = ""
    by: str = ""
    at_ms: int
    until_ms: int = 0

    @property
    def is_holding(self) -> bool:
        """Whether nothing new is submitted under it."""
        return self.mode in HOLDING

    def is_over(self, now_ms: int) -> bool:
        """Return whether it has ended by itself."""
        return 0 < self.until_ms <= now_ms

    def __str__(self) -> str:
        """Format the control as a part of a sentence."""
        by = f" by {self.by}" if self.by else ""
        until = f" until {clock.shown(self.until_ms)}" if self.until_ms else ""
        return f"{self.mode} of {self.scope}{by}{until}: {self.reason}"


def scopes(*, tenant: str, cluster: str, subject: str, labels: Mapping[str, str], request_id: str) -> list[Scope]:
    """Return the scopes that concern a request, the widest first."""
    return [
        Scope("all"),
        Scope("tenant", tenant),
        Scope("cluster", cluster),
        Scope("type", subject),
        *(Scope("label", f"{name}={value}") for name, value in labels.items()),
        Scope("request", request_id),
    ]


def put(present: dict[Scope, Control], scope: Scope, control: Control | None) -> None:
    """Set the control of a scope among those present, which are in the order in which they were set; None lifts it."""
    present.pop(scope, None)
    if control is not None:
        present[scope] = control


def holding(found: Iterable[Control], now_ms: int) -> Iterator[Control]:
    """Yield those of a request's controls that keep it from being submitted, in their order."""
    in_effect = [one for one in found if not one.is_over(now_ms)]
    is_released = any(one.mode == "release" for one in in_effect)
    for one in in_effect:
        if one.is_holding and not (is_released and one.mode in SET_ASIDE):
            yield one


def read(key: bytes | None, value: bytes | None, timestamp_ms: int) -> tuple[Scope, Control | None]:
    """
    Read a record of the control topic; None: the scope has no control any more.

    Raises:
        ValueError: the record is no control; the text says why, without the record's content but the scope.
    """
    if not key:
        raise ValueError("a control's record has its scope as its key, and this one has none")
    try:
        found = scope(key.decode())
    except UnicodeDecodeError as error:
        raise ValueError("the key of a control's record is no UTF-8 text") from error
    if value is None:
        return found, None

    try:
        data = ControlData.model_validate_json(value.removeprefix(codecs.BOM_UTF8))
    except pydantic.ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ValueError(f"{found}: {where + ': ' if where else ''}{fault['msg']}") from None
    return found, control(found, data, timestamp_ms)


def control(found: Scope, data: ControlData, timestamp_ms: int) -> Control | None:
    """
    Return the control that a value sets for a scope; None: it lifts the one that stands.

    Raises:
        ValueError: the mode does not fit the scope.
    """
    if (data.mode == "skip") != (found.kind == "offset") and data.mode != "release":
        raise ValueError(
            f"{found}: mode {data.mode} does not fit the scope: expected skip for offset/…, and only there"
        )
    if data.mode == "release" and found.kind != "request":
        return None
    return Control(
        scope=found,
        mode=data.mode,
        reason=data.reason,
        by=data.by,
        at_ms=_ms(data.at) or timestamp_ms,
        until_ms=_ms(data.until),
    )


def write(found: Control) -> tuple[bytes, bytes]:
    """Make key and value of the record that sets a control."""
    value: dict[str, str] = {
        "mode": found.mode,
        "reason": found.reason,
        "by": found.by,
        "at": clock.rfc3339(found.at_ms),
    }
    if found.until_ms:
        value["until"] = clock.rfc3339(found.until_ms)
    return str(found.scope).encode(), msgspec.json.encode(value)


def shown(found: Control) -> dict[str, str]:
    """Return the members of a control for people and programs; a control that does not end by itself has no `until`."""
    members = {
        "scope": str(found.scope),
        "mode": found.mode,
        "reason": found.reason,
        "by": found.by,
        "at": clock.shown(found.at_ms),
    }
    return {**members, "until": clock.shown(found.until_ms)} if found.until_ms else members


def changes(found: Control) -> dict[str, str]:
    """Return what a control makes different, as the record of its decision has it."""
    return {"mode": found.mode, **({"until": clock.rfc3339(found.until_ms)} if found.until_ms else {})}


def _ms(moment: dt.datetime | None) -> int:
    return 0 if moment is None else max(1, round(moment.timestamp() * 1000))
