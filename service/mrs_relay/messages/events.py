"""
Define the events, one per status change, and write them as records.

Event types are `mrs.<job|sql|cluster|call>.<state>`. `sequence` counts from 1 per request without gaps; `id` is made
from the request's key and the sequence, so the same event always has the same id. Arguments, SQL text and properties
never appear.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Annotated, Final, Literal

import msgspec
import pydantic

from mrs_relay.common import clock
from mrs_relay.messages import codec, envelope, reasons, results

Subject = Literal["job", "sql", "cluster", "call"]
State = Literal[
    "accepted",
    "rejected",
    "submitted",
    "running",
    "progress",
    "retrying",
    "succeeded",
    "failed",
    "cancelled",
    "unknown",
]

STATES: Final[dict[State, str]] = {
    "accepted": "the request is valid and waits for its turn",
    "rejected": "the request will not be carried out; see the reason. Last event.",
    "submitted": "MRS took the job and gave it an id",
    "running": "the job runs",
    "progress": "the job still runs; progress or application id changed",
    "retrying": "the attempt ended badly; the request wants another one, which waits for its turn",
    "succeeded": "the job ended well; the result is in the event or named by it. Last event.",
    "failed": "MRS refused the submission, or the job ended badly; see the reason. Last event.",
    "cancelled": "the job was stopped on MRS or before it was submitted, or MRS shows nothing of it. Last event.",
    "unknown": "the outcome of the job cannot be determined; see the reason. Last event until a person settles it.",
}

_SUBMITTED_ONCE: Final[frozenset[State]] = frozenset({"submitted", "running", "progress", "retrying"})

SUBJECTS: Final[dict[Subject, tuple[State, ...]]] = {
    "job": tuple(STATES),
    "sql": tuple(STATES),
    "cluster": tuple(state for state in STATES if state != "retrying"),
    "call": tuple(state for state in STATES if state not in _SUBMITTED_ONCE),
}
"""The states of the events of each kind of request."""

LATE_ROWS: Final = "mrs.sql.result"
"""Type of the event with the rows of a statement that succeeded before they could be read; its state is `succeeded`."""

NOTICES: Final[dict[str, tuple[State, str]]] = {
    LATE_ROWS: (
        "succeeded",
        "rows without which `succeeded` had to come, or why there are none for good; once, if it has `late_until`",
    )
}
"""Types that report no new state, with the state in their data and what they say."""

LAST: Final[frozenset[str]] = frozenset({"rejected", "succeeded", "failed", "cancelled", "unknown"})
"""States after which no event of the same request follows (except the answer to a repeated request)."""


class RequestRef(results.Model):
    """Which request this is about."""

    id: str
    source: str


class MrsView(results.Model):
    """The last status of the job on MRS; times are RFC 3339 in UTC."""

    job_id: Annotated[str | None, pydantic.Field(description="MRS job id, or id of the SQL statement.")] = None
    job_name: Annotated[str | None, pydantic.Field(description="Name on MRS, token included.")] = None
    job_state: Annotated[str | None, pydantic.Field(description="MRS's state, such as RUNNING or FINISHED.")] = None
    job_result: Annotated[str | None, pydantic.Field(description="MRS's outcome; UNDEFINED while it runs.")] = None
    progress: Annotated[float | None, pydantic.Field(ge=0, le=100, description="Per cent.")] = None
    app_id: Annotated[str | None, pydantic.Field(description="YARN application id.")] = None
    tracking_url: str | None = None
    submitted_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


Column = results.Column
StatementResult = results.StatementResult
ChunkedRows = results.ChunkedRows
Result = results.Result


class EventData(results.Model):
    """The data of every event."""

    request: RequestRef
    state: State
    previous_state: State | None = None
    sequence: Annotated[int, pydantic.Field(ge=1)]
    attempt: Annotated[
        int,
        pydantic.Field(
            ge=0,
            description="Submissions of this request so far; 0 before the first. One that is repeated because its "
            "reply was lost counts once.",
        ),
    ]
    cluster: str | None = None
    operation: Annotated[str | None, pydantic.Field(description="The MRS operation, while a call is under way.")] = None
    mrs: MrsView | None = None
    result: Result | None = None
    reason: reasons.Reason | None = None
    labels: dict[str, str] | None = None
    repeated: Annotated[
        bool,
        pydantic.Field(
            description="The state has not changed: the answer to a message, rows that came late, or a notice whose "
            "reason says what is new."
        ),
    ] = False


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A part of an event's data as the relay writes it: the fields of the readers' model, in the same order."""


class BodyRequest(_Part, frozen=True, kw_only=True, gc=False):
    """See `RequestRef`."""

    id: str
    source: str


class BodyMrs(_Part, frozen=True, kw_only=True, gc=False):
    """See `MrsView`."""

    job_id: str | None = None
    job_name: str | None = None
    job_state: str | None = None
    job_result: str | None = None
    progress: float | None = None
    app_id: str | None = None
    tracking_url: str | None = None
    submitted_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


class EventBody(_Part, frozen=True, kw_only=True, gc=False):
    """
    The data of an event that the relay makes: `EventData`, unchecked and written in a fifth of the time.

    `tests/unit/messages/test_events.py` checks that both are written as the same bytes.
    """

    request: BodyRequest
    state: State
    previous_state: State | None = None
    sequence: int
    attempt: int
    cluster: str | None = None
    operation: str | None = None
    mrs: BodyMrs | None = None
    result: Result | None = None
    reason: reasons.Reason | None = None
    labels: dict[str, str] | None = None
    repeated: bool = False


def body(data: EventData) -> EventBody:
    """Convert data of the readers' model to the body that is written as the same bytes."""
    others = {name: getattr(data, name) for name in EventData.model_fields if name not in {"request", "mrs"}}
    return EventBody(
        request=BodyRequest(id=data.request.id, source=data.request.source),
        mrs=None if data.mrs is None else BodyMrs(**data.mrs.model_dump()),
        **others,
    )


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    An event before it is written as a record.

    Attributes:
        subject: the kind of its request.
        key: the Kafka key of the request; events of one key stay in order.
        time_ms: time of the decision, epoch milliseconds.
        data: its content.
        event_id: deterministic id.
        correlation_id: the request's `correlationid`, or its id.
        causation_id: id of the message that caused it; None means the request itself.
        traceparent: W3C trace context of the request, passed on.
        tracestate: the same.
        sender: who sent the message that caused it; None: it does not say so.
        late_rows: it has the type `LATE_ROWS`.
    """

    subject: Subject
    key: bytes
    time_ms: int
    data: EventBody
    event_id: str
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    sender: envelope.Sender | None = None
    late_rows: bool = False

    @property
    def word(self) -> str:
        """The last word of its type: its state, or the word of a notice."""
        return LATE_ROWS.rpartition(".")[2] if self.late_rows else self.data.state

    @property
    def changes_state(self) -> bool:
        """
        Whether it reports a new state of a request.

        An answer to a message that changed nothing does not, nor does one about a request that never existed.
        """
        reason = self.data.reason
        idle = reason is not None and (reason.kind == "conflict" or reason.code == "unknown_request")
        return not (self.data.repeated or idle)


@functools.lru_cache(maxsize=4096)
def identity(source: str, request_id: str) -> str:
    """Return a request's identity in 32 hexadecimal digits: 128 bits of SHA-256 over its idempotency key."""
    return hashlib.sha256(f"{source} {request_id}".encode()).hexdigest()[:32]


Headers = tuple[tuple[str, bytes], ...]

Mode = Literal["binary", "structured"]
"""The layout of an event in a record: attributes in headers, or the whole event in the value."""

_CONTENT: Final = ("content-type", b"application/json")
_STRUCTURED: Final = (("content-type", f"{envelope.STRUCTURED}; charset=UTF-8".encode()),)
_VERSION: Final = ("ce_specversion", b"1.0")


def _of_model(model: object) -> msgspec.Raw:
    if not isinstance(model, pydantic.BaseModel):
        raise TypeError(f"expected a model of `messages` in an event, got {type(model).__name__}")
    return msgspec.Raw(model.__pydantic_serializer__.to_json(model, exclude_defaults=True, by_alias=True))


_encoder = msgspec.json.Encoder(enc_hook=_of_model)


@functools.cache
def _type_header(subject: Subject, word: str) -> tuple[str, bytes]:
    return ("ce_type", f"mrs.{subject}.{word}".encode())


@functools.lru_cache(maxsize=64)
def _source_header(event_source: str) -> tuple[str, bytes]:
    return ("ce_source", event_source.encode())


@functools.lru_cache(maxsize=64)
def _time_header(time_ms: int) -> tuple[str, bytes]:
    """Return the header of the time; it is cached, since all events of a batch have one time."""
    return ("ce_time", clock.rfc3339(time_ms).encode())


def write(event: Event, event_source: str, mode: Mode = "binary") -> tuple[bytes, bytes, Headers]:
    """
    Write an event as key, value and headers of a Kafka record.

    The attribute `sequence` has ten digits, because that extension requires text that sorts. The trace context is also
    written in plain Kafka headers, where tracing libraries read it.

    Source: CloudEvents Kafka protocol binding 1.0.2, sections 3.2 and 3.3; extensions `sequence`, `correlationid`,
    `causationid` and distributed tracing of the CloudEvents documented extensions.
    """
    value = _encoder.encode(event.data)
    trace = _trace(event)
    if mode == "structured":
        members = _attributes(event, event_source)
        return event.key, _structured(members, value), (*_STRUCTURED, *trace)
    return event.key, value, (*_binary(event, event_source), *trace)


def _binary(event: Event, event_source: str) -> list[tuple[str, bytes]]:
    data = event.data
    request_id = data.request.id.encode()
    headers = [
        _CONTENT,
        _VERSION,
        ("ce_id", event.event_id.encode()),
        _source_header(event_source),
        _type_header(event.subject, event.word),
        ("ce_subject", request_id),
        _time_header(event.time_ms),
        ("ce_sequence", b"%010d" % data.sequence),
        ("ce_correlationid", event.correlation_id.encode()),
        ("ce_causationid", event.causation_id.encode() if event.causation_id else request_id),
    ]

    if event.traceparent:
        headers.append(("ce_traceparent", event.traceparent.encode()))
    if event.tracestate:
        headers.append(("ce_tracestate", event.tracestate.encode()))
    if event.sender is not None:
        headers.extend(_sender_headers(event.sender))
    return headers


@functools.lru_cache(maxsize=1024)
def _sender_headers(sender: envelope.Sender) -> Headers:
    pairs = (("ce_authid", sender.authid), ("ce_authtype", sender.authtype))
    return tuple((name, text.encode()) for name, text in pairs if text)


def _attributes(event: Event, event_source: str) -> dict[str, str]:
    attributes = {name.removeprefix("ce_"): raw.decode() for name, raw in _binary(event, event_source)}
    attributes["datacontenttype"] = attributes.pop("content-type")
    return attributes


def _structured(attributes: dict[str, str], data: bytes) -> bytes:
    return codec.encode({**attributes, "data": msgspec.Raw(data)})


def _trace(event: Event) -> Headers:
    if event.traceparent is None and event.tracestate is None:
        return ()
    trace = (("traceparent", event.traceparent), ("tracestate", event.tracestate))
    return tuple((name, text.encode()) for name, text in trace if text)
