"""The smaller values that a job holds: what it may run on, why it ended, when to retry it, what is in doubt. Pure."""

from __future__ import annotations

import msgspec

from mrs_relay.messages import reasons


class Record(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a ledger record consists of: a field that this version does not know is never dropped without notice."""


class Choice(Record, frozen=True, gc=False):
    """
    Which clusters a job may run on, while none has been chosen; all that is said must hold.

    Attributes:
        name: the cluster's whole name; "" for any.
        tags: tags that it must have, with these values.
        id: the cluster's id, where only its name or tags can tell whether it is allowed; "" for any.
    """

    name: str = ""
    tags: dict[str, str] = {}
    id: str = ""


class Reason(Record, frozen=True, gc=False):
    """A `messages.reasons.Reason` in the ledger's form."""

    kind: reasons.ReasonClass
    code: str
    message: str
    field: str | None = None
    mrs_request_id: str | None = None
    retryable: bool = False


class Retry(Record, frozen=True, gc=False):
    """
    What the request wants after a bad end.

    Attributes:
        attempts: submissions in all, the first included.
        backoff_s: wait before the second attempt, in seconds; doubles for each further one.
        on: classes of reasons after which to try again.
    """

    attempts: int
    backoff_s: float
    on: tuple[str, ...]


class Doubt(Record, frozen=True, gc=False):
    """
    Submissions of a job whose reply was lost.

    Attributes:
        sent: how many of the present attempt.
        is_open: one of them, or of an earlier attempt, may have had an effect that no look-up has ruled out.
        message: why there was no reply, of the last one.
    """

    sent: int = 0
    is_open: bool = False
    message: str = ""


class Span(Record, frozen=True, gc=False):
    """
    How long something has been the case, as far as it is written down; epoch milliseconds.

    Attributes:
        since_ms: its beginning, later by the time that does not count.
        looked_ms: the last look that was noted.
    """

    since_ms: int
    looked_ms: int
