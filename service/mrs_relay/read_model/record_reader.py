"""
Read records of the topics as rows of the tables. Pure; `projector` calls it and `store` writes the rows.

Events are read leniently: of a field that this version does not know nothing is lost, because the event itself is kept.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from mrs_relay.common import clock
from mrs_relay.kafka import records
from mrs_relay.messages import audit, dead_letters, envelope, events

_NO_CHANGE: Final = ("conflict",)
_UNKNOWN_REQUEST: Final = "unknown_request"
_WORDS: Final = 1_000

_Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
"""A number that fits the tables' columns."""


_MOST_NAME: Final = envelope.MAX_ID
_MOST_WORD: Final = 64

_Name = Annotated[str, msgspec.Meta(max_length=_MOST_NAME)]
_Word = Annotated[str, msgspec.Meta(max_length=_MOST_WORD)]
"""Texts of columns with an index: PostgreSQL's takes 2,704 bytes of all that it has of a row."""


class _Ref(msgspec.Struct, frozen=True):
    id: _Name
    source: _Name


class _Mrs(msgspec.Struct, frozen=True):
    job_id: str | None = None
    job_name: str | None = None
    progress: float | None = None
    app_id: str | None = None
    tracking_url: str | None = None


class _Reason(msgspec.Struct, frozen=True):
    kind: _Word = msgspec.field(name="class", default="")
    code: str = ""
    message: str = ""


class _Data(msgspec.Struct, frozen=True):
    """The part of `events.EventData` that the tables have columns for."""

    request: _Ref
    state: _Word
    sequence: _Int32
    attempt: _Int32 = 0
    cluster: _Name | None = None
    mrs: _Mrs | None = None
    reason: _Reason | None = None
    labels: dict[_Name, _Name] | None = None
    repeated: bool = False


class Event(msgspec.Struct, frozen=True, gc=False):
    """
    One event as it is stored, and what it says about its request.

    Attributes:
        offset: of its record.
        key: of the request's rows.
        time_ms: when the relay decided it.
        text: CloudEvents JSON.
        size_bytes: of the text.
        tenant: name of the tenant.
        kind: of the request: job, sql, cluster or call.
        kafka_key: of the request's records.
        data: the part that has columns, as it came.
        changes: whether it brings a new state; a repeated one does not.
    """

    offset: int
    key: bytes
    time_ms: int
    text: str
    size_bytes: int
    tenant: str
    kind: str
    kafka_key: bytes
    data: _Data
    changes: bool

    @property
    def sequence(self) -> int:
        """Number of the event within its request."""
        return self.data.sequence

    @property
    def reason_class(self) -> str:
        """Class of its reason; "" if it has none."""
        return "" if self.data.reason is None else self.data.reason.kind

    @property
    def ended(self) -> bool:
        """Whether its state is a last one."""
        return self.data.state in events.LAST

    @property
    def concerns_state(self) -> bool:
        """Whether it says in which state the request is; the refusal of another message does not."""
        reason = self.data.reason
        return reason is None or not (reason.kind in _NO_CHANGE or reason.code == _UNKNOWN_REQUEST)


_data_decoder = msgspec.json.Decoder(_Data)
_structured_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text_decoder = msgspec.json.Decoder(str)
_any_decoder = msgspec.json.Decoder(msgspec.Raw)
_encoder = msgspec.json.Encoder()
_STRUCTURED: Final = envelope.STRUCTURED.encode()
_CONTENT_TYPE: Final = "application/json"
_MOST_NESTED: Final = 300


def event(record: records.Record, tenants: Mapping[str, str]) -> Event | None:
    """
    Read a record of an events topic; None: it is no event of this service.

    Args:
        record: the record.
        tenants: name of each tenant by the CloudEvents `source` of its events; an unknown source stands for itself.
    """
    try:
        attributes, raw = _parts(record)
        if raw.count(b"[") + raw.count(b"{") > _MOST_NESTED:
            _require_shallow(raw)
        data = _data_decoder.decode(raw)
        time_ms = _milliseconds(attributes["time"])
        encoded = _encoder.encode({**attributes, "data": msgspec.Raw(raw)})
        text = encoded.decode()
    except (ValueError, KeyError, RecursionError):  # msgspec's and Unicode's errors are ValueErrors
        return None

    event_type = attributes.get("type", "")
    if event_type.partition(".")[0] != "mrs":
        return None
    event_source = attributes.get("source", "")
    tenant, kind = tenants.get(event_source, event_source), kind_of(event_type)
    if len(tenant) > _MOST_NAME or len(kind) > _MOST_WORD:
        return None
    key = request_key(tenant, data.request.source, data.request.id)
    return Event(
        record.offset,
        key,
        time_ms,
        text,
        len(encoded),
        tenant,
        kind,
        record.key or b"",
        data,
        changes=not data.repeated,
    )


def _require_shallow(raw: bytes) -> None:
    """
    Refuse JSON whose nesting a reader with less room than we have could not take.

    Raises:
        RecursionError: it is nested too deeply.
    """
    _any_decoder.decode(b"[" * _MOST_NESTED + raw + b"]" * _MOST_NESTED)


def kind_of(event_type: str) -> str:
    """Return the kind of request in a type such as mrs.sql.accepted; "" in a foreign one."""
    return event_type.partition(".")[2].partition(".")[0]


def event_row(found: Event) -> dict[str, Any]:
    """Return an event as a row without its log."""
    return {
        "offset": found.offset,
        "key": found.key,
        "sequence": found.sequence,
        "time_ms": found.time_ms,
        "size_bytes": found.size_bytes,
        "event": found.text,
    }


def request_row(found: Event, started_ms: int) -> dict[str, Any]:
    """
    Return the state that an event reports as a row of its request, without the log.

    Args:
        found: the event.
        started_ms: time of the request's first event.
    """
    data = found.data
    mrs, reason = data.mrs or _Mrs(), data.reason or _Reason()
    searched = (data.request.id, data.request.source, data.cluster, mrs.job_name, mrs.job_id, mrs.app_id, reason.code)

    row = {
        "key": found.key,
        "tenant": found.tenant,
        "source": data.request.source,
        "id": data.request.id,
        "kind": found.kind,
        "state": data.state,
        "ended": found.ended,
        "sequence": data.sequence,
        "attempt": data.attempt,
        "started_ms": started_ms,
        "updated_ms": found.time_ms,
        "cluster": data.cluster,
        "labels": _encoder.encode(data.labels).decode() if data.labels else None,
        "reason_class": reason.kind or None,
        "reason_code": reason.code or None,
        "reason_message": reason.message or None,
        "job_id": mrs.job_id,
        "job_name": mrs.job_name,
        "app_id": mrs.app_id,
        "progress": mrs.progress,
        "tracking_url": mrs.tracking_url,
        "words": "\n".join(filter(None, searched)).lower()[:_WORDS],
        "kafka_key": found.kafka_key,
        "offset": found.offset,
    }

    # The event's text is JSON, which writes the character that PostgreSQL refuses in one way only.
    return storable(row) if "\\u0000" in found.text else row


def labels(found: Event) -> list[str]:
    """Return each label of an event's request as `name=value`."""
    return [_without_nul(f"{name}={value}") for name, value in (found.data.labels or {}).items()]


def request_key(tenant: str, source: str, request_id: str) -> bytes:
    """Return the key of a request's rows: two tenants may use the same source and id."""
    return hashlib.blake2b(f"{tenant}\0{source}\0{request_id}".encode(), digest_size=16).digest()


def dead_letter(record: records.Record, tenants: Mapping[str, str]) -> dict[str, Any] | None:
    """
    Read a record of a dead letters topic as a row without its log; None: it is no dead letter of this service.

    Args:
        record: the record.
        tenants: name of each tenant by its requests topic.
    """
    try:
        letter = dead_letters.read(record.key, record.value, record.headers)
    except ValueError:
        return None
    if abs(letter.timestamp_ms) >= 2**63:
        return None

    row = {
        "offset": record.offset,
        "tenant": tenants.get(letter.topic, letter.topic),
        "position": letter.position,
        "written_ms": record.timestamp_ms,
        "sent_ms": letter.timestamp_ms,
        "code": letter.code,
        "message": letter.message,
        "size_bytes": len(letter.value or b""),
    }

    return storable(row)


def decision(record: records.Record) -> dict[str, Any] | None:
    """Read a record of the audit topic as a row without its log; None: it is no record of a decision."""
    try:
        made = audit.read(record.value)
        text = (record.value or b"").decode()
    except ValueError:
        return None

    row = {
        "offset": record.offset,
        "time_ms": made.time_ms,
        "tenant": made.data.tenant,
        "action": made.data.action,
        "by": None if made.sender is None else made.sender.authid,
        "subject": made.subject,
        "event": text,
    }

    return storable(row)


def _parts(record: records.Record) -> tuple[dict[str, str], bytes]:
    """
    Return the CloudEvents attributes and the data of an event in either mode.

    Raises:
        ValueError, KeyError: it is no CloudEvent.
    """
    value, content_type, attributes = record.value or b"", b"", {}
    for name, raw in record.headers:
        if name.startswith("ce_"):
            attributes[name[3:]] = raw.decode()
        elif name.lower() == "content-type":
            content_type = raw

    if content_type.lower().startswith(_STRUCTURED):
        members = _structured_decoder.decode(value)
        data = bytes(members.pop("data"))
        return {name: _text_decoder.decode(raw) for name, raw in members.items()}, data
    attributes["datacontenttype"] = _CONTENT_TYPE
    return attributes, value


def storable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose texts, which come from others, are without the one character that PostgreSQL refuses."""
    return {name: _without_nul(value) if isinstance(value, str) else value for name, value in row.items()}


def _without_nul(text: str) -> str:
    return text.replace("\0", "") if "\0" in text else text


_milliseconds = functools.lru_cache(maxsize=1024)(clock.epoch_ms)
