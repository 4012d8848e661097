"""
Errors that a handle raises; all are `errors.RelayError`.

    ClientClosed          the client was closed, or its reader ended; the request itself continues
    EventsMissing         events of the request were not seen; the stream can be read on behind the gap
    NotAcknowledged       Kafka did not acknowledge the message; a StreamError
    RowsMissing           the result has no rows, or not all of them can be read
    RequestEnded          the request did not succeed; carries the last event's data
    ├─ RequestRejected    never carried out
    ├─ RequestFailed      refused by MRS, or ended badly
    ├─ RequestCancelled   stopped, by a message or a deadline
    └─ RequestUnknown     the outcome cannot be determined; check MRS before it is sent again
"""

from __future__ import annotations

from typing import Final

from mrs_relay import errors
from mrs_relay.messages import events


class ClientClosed(errors.RelayError):
    """The client no longer follows this request, which continues at the relay; `attach` follows it again."""


class EventsMissing(errors.RelayError):
    """
    Events between two sequence numbers were not seen.

    Attributes:
        before: the last sequence seen in order.
        found: the sequence that came instead of the next one.
    """

    def __init__(self, request_id: str, before: int, found: int) -> None:
        super().__init__(
            f"request {request_id!r}: after event {before} came event {found}; resume with events(after={found - 1}), "
            "or attach again from an earlier time"
        )
        self.before = before
        self.found = found


class RowsMissing(errors.RelayError):
    """The result has no rows, or not all of them can be read; the text says why."""


class NotAcknowledged(errors.StreamError):
    """
    Kafka did not acknowledge the message: it may have been written, or not.

    Attributes:
        request_id: of the request; sent again under this id it is not run twice.
    """

    def __init__(self, request_id: str, error: Exception, again: str) -> None:
        super().__init__(f"request {request_id!r}: it is not known whether Kafka has the message; {again} ({error})")
        self.request_id = request_id


class RequestEnded(errors.RelayError):
    """
    The request ended without success.

    Attributes:
        data: of its last event; `data.reason` says why, `data.reason.cause` and `.detail` what the job's log shows.
    """

    def __init__(self, data: events.EventData) -> None:
        reason = data.reason
        cause = f" ({reason.cause})" if reason and reason.cause else ""
        why = f"{reason.kind}/{reason.code}{cause}: {reason.message}" if reason else "no reason given"
        super().__init__(f"request {data.request.id!r} {data.state}: {why}")
        self.data = data


class RequestRejected(RequestEnded):
    """The request was never carried out: correct it, then send it again."""


class RequestFailed(RequestEnded):
    """MRS refused the submission, or the job ended badly."""


class RequestCancelled(RequestEnded):
    """The job was stopped, or never started, because of a message or a deadline."""


class RequestUnknown(RequestEnded):
    """The outcome of the request cannot be determined: check MRS before sending it under another id."""


BY_STATE: Final[dict[str, type[RequestEnded]]] = {
    "rejected": RequestRejected,
    "failed": RequestFailed,
    "cancelled": RequestCancelled,
    "unknown": RequestUnknown,
}
"""The error for each final state except `succeeded`."""
