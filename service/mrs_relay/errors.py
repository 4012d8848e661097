"""
Every error of the service; the class of an error determines how the caller may react.

    RelayError
    ├─ BadMessage        never valid: publish a rejection or a dead letter, move on
    ├─ MrsError          carries method, path, status, MRS code and request id; never headers or bodies
    │   ├─ MrsRefused    MRS said no: final                 (bad request, not found, no rights …)
    │   ├─ MrsBusy       not now: repeat later, unchanged   (10 jobs run already, cluster state, stock)
    │   ├─ MrsThrottled  wait: carries retry_after_s        (429)
    │   ├─ MrsUntouched  surely nothing changed: try again  (a read, or the request never left us)
    │   │   └─ MrsUnreachable  nothing can be sent on this connection   (no way to MRS, no credentials)
    │   └─ MrsAmbiguous  may have happened: reconcile, never repeat blindly   (lost reply, 5xx on a write)
    ├─ ObsError          OBS, or the way to it, failed; all that is asked of it may be asked again
    │   ├─ ObsRefused    final                              (no rights, an object that is too large)
    │   ├─ ObsMissing    there is no such object, or not yet
    │   └─ ObsDown       no answer, or an object that ends early: try again
    ├─ BadFile           a file of this machine cannot be uploaded; OBS does not have it
    ├─ StreamError
    │   ├─ Fenced        another owner, or a commit of unknown outcome: stop this partition, commit nothing more
    │   ├─ StreamDown    Kafka cannot be reached or does not answer: try again later
    │   │   └─ ConsumerStuck   Kafka answers, but our consumer receives nothing: replace it
    │   ├─ TooLarge (kafka/records.py)    a record exceeds its topic; nothing was written, shrink it
    │   ├─ OffsetGone (kafka/broker.py)   the broker no longer has the records; the partition is parked
    │   └─ StateUnreadable   stop; a person must decide
    │      └─ BatchUnreadable (kafka/broker.py)   a batch of records cannot be read; its partition is parked
    └─ SettingsError     refuse to start; say which setting
        └─ InstanceReplaced   another process uses our instance id: end the process

`MrsBusy` is no `MrsRefused` because the reaction differs: the job returns to the queue and no attempt is
counted. Library errors are mapped at the boundary (`mrs/transport.py`, `kafka/adapter/client.py`,
`obs/obstore_transport.py`) and chained with `from`.
"""

from __future__ import annotations


class RelayError(Exception):
    """The base of all errors that this package raises on purpose."""


class BadMessage(RelayError):  # noqa: N818 - named for what arrived, as in the tree above
    """
    A message that no repetition makes valid.

    Attributes:
        code: machine-readable reason, one of the closed list in `messages/reasons.py`.
        field: dotted path of the offending field, or None.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class MrsError(RelayError):
    """
    MRS, or the way to it, answered a call with something other than success.

    Attributes:
        message: what happened, for people; never contains a header or a body.
        method: HTTP verb of the call, or "".
        path: path of the call without its query, or "".
        status: HTTP status, or None when no reply arrived.
        code: MRS or gateway error code such as "0177" or "APIGW.0308", or None.
        request_id: X-Request-Id of the reply, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.method = method
        self.path = path
        self.status = status
        self.code = code
        self.request_id = request_id

    def __str__(self) -> str:
        where = f"{self.method} {self.path}".strip()
        parts = [f"HTTP {self.status}" if self.status is not None else "", f"code {self.code}" if self.code else ""]
        parts.append(f"request id {self.request_id}" if self.request_id else "")
        facts = ", ".join(part for part in parts if part)
        return f"{self.message}{f' ({where}: {facts})' if facts else f' ({where})' if where else ''}"


class MrsRefused(MrsError):  # noqa: N818
    """MRS said no: final, do not repeat unchanged."""


class MrsBusy(MrsError):  # noqa: N818
    """MRS cannot do it now (class L of the error table): repeat later, unchanged; nothing was done."""


class MrsThrottled(MrsError):  # noqa: N818
    """
    The quota is used up; the request was not executed.

    Attributes:
        retry_after_s: seconds to wait before the next call on this connection.
    """

    def __init__(self, message: str, *, retry_after_s: float, **facts: str | int | None) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]  # same keywords as MrsError
        self.retry_after_s = retry_after_s


class MrsUntouched(MrsError):  # noqa: N818
    """Surely nothing changed at MRS: a read failed, or the request never left us. Safe to repeat."""


class MrsUnreachable(MrsUntouched):
    """No call of this connection can be sent now: MRS cannot be reached, or there are no credentials."""


class MrsAmbiguous(MrsError):  # noqa: N818
    """A write may or may not have happened: look it up, never repeat blindly."""


class ObsError(RelayError):
    """OBS, or the way to it, failed; all that is asked of it may be asked again."""


class ObsRefused(ObsError):  # noqa: N818
    """OBS does not give the object out or take it, or it is larger than is read: final."""


class ObsMissing(ObsError):  # noqa: N818
    """There is no such object, or not yet."""


class ObsDown(ObsError):  # noqa: N818
    """OBS did not answer, or not in time, or the object ended early: try again."""


class BadFile(RelayError):  # noqa: N818 - named for what was given
    """A file of this machine cannot be uploaded, or has changed meanwhile; OBS does not have it."""


class StreamError(RelayError):
    """Kafka failed, or our membership of the consumer group did."""


class Fenced(StreamError):  # noqa: N818
    """Another owner may exist or a commit's outcome is unknown: stop this partition and commit nothing more."""


class StreamDown(StreamError):  # noqa: N818
    """Kafka cannot be reached or does not answer; names the address and the setting to check."""


class NotAllowed(StreamDown):
    """Kafka refuses what it was asked for; names the right that is missing, to whom, and the command that gives it."""


class ConsumerStuck(StreamDown):
    """Kafka answers but our consumer receives nothing, or its background task has died: only a new consumer helps."""


class StateUnreadable(StreamError):  # noqa: N818
    """A ledger is missing, truncated or of a newer format, or records are unreadable; a person must decide."""


class SettingsError(RelayError):
    """A setting is missing or wrong; the message names it."""


class InstanceReplaced(SettingsError):  # noqa: N818
    """Another process has joined the group with our instance id; only the end of one of them helps."""
