"""Define the smaller values of a job: the choice of a cluster, reasons, the rule of retries, doubts, spans. Pure."""

from __future__ import annotations

import sys
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from mrs_relay.messages import reasons

_MOST: Final = sys.float_info.max

Finite = Annotated[float, msgspec.Meta(ge=-_MOST, le=_MOST)]
"""A number that every format of the ledger can express: not infinite, and not NaN."""


class Record(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    Base of the values in a ledger record: a field that this version does not know is an error, never dropped.

    Ledger format 2 has a value's fields by their places: never move one, and append new ones. See `job_records`.
    """


class Choice(Record, frozen=True, gc=False):
    """
    The conditions for the choice of a job's cluster; all of them must hold.

    Attributes:
        name: the cluster's whole name; "" for any.
        tags: tags that it must have, with these values.
        id: the cluster's id, if the tenant's rules can allow the cluster only by its name or tags; "" for any.
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
    The request's rule for further attempts after a bad end.

    Attributes:
        attempts: submissions in all, the first included.
        backoff_s: wait before the second attempt, in seconds; doubles for each further one.
        on: classes of reasons and names of causes after which to try again.
    """

    attempts: int
    backoff_s: Finite
    on: tuple[str, ...]


class Delivery(Record, frozen=True, gc=False):
    """
    How the rows of a statement are delivered, with the limits of the tenant.

    Attributes:
        folder: obs:// path of the tenant's results, below which the rows must lie.
        inline: the rows come in the event.
        signed_s: seconds for which an address that needs no keys works; 0: there is none.
        format: of rows in the event.
        max_rows: in the event.
        max_bytes: of rows in the event.
        chunks: all rows are written to the results topic.
    """

    folder: str
    inline: bool = True
    signed_s: int = 0
    format: Literal["rows", "csv"] = "rows"
    max_rows: int = 0
    max_bytes: int = 0
    chunks: bool = False


class Ending(Record, frozen=True, gc=False):
    """
    The bad end of an attempt whose log is still being read.

    Attributes:
        attempt: its number; that of another attempt means nothing.
        state: "failed" or "cancelled", the job's state after the reading, unless a further attempt follows.
        reason: as far as MRS shows it.
        logs: obs:// paths of the log; the first that exists is read.
        until_ms: when the reading ends, epoch milliseconds.
    """

    attempt: int
    state: Literal["failed", "cancelled"]
    reason: Reason
    logs: tuple[str, ...]
    until_ms: int


class Cause(Record, frozen=True, gc=False):
    """
    What the log of a job shows, as its last event had it.

    Attributes:
        name: one of `reasons.Cause`; "" if the log shows none clearly.
        detail: the end of the log, redacted.
        log: path of the log that was read; "" for none.
        unavailable: why there is no detail.
    """

    name: str = ""
    detail: str = ""
    log: str = ""
    unavailable: str = ""


class Doubt(Record, frozen=True, gc=False):
    """
    Submissions of a job whose reply was lost.

    Attributes:
        sent: number of such submissions of the present attempt.
        is_open: one of them, or of an earlier attempt, may have had an effect that no look-up has ruled out.
        message: the reason why the last one has no reply.
    """

    sent: int = 0
    is_open: bool = False
    message: str = ""


class SecondLook(NamedTuple):
    """
    A later look for jobs of an attempt whose reply was lost; see `decide.duplicates`.

    Attributes:
        attempt: the attempt.
        due_ms: when it is due, epoch milliseconds.
    """

    attempt: int
    due_ms: int


class Span(Record, frozen=True, gc=False):
    """
    How long a condition has held, as far as it is recorded; epoch milliseconds.

    Attributes:
        since_ms: its beginning, moved later by the time that does not count.
        looked_ms: the last observation that was recorded.
    """

    since_ms: int
    looked_ms: int


class MrsStatus(Record, frozen=True, gc=False):
    """
    The job's last status from MRS. Times are epoch milliseconds; 0 means not yet.

    Attributes:
        job_id: MRS job id or SQL statement id; "" when a statement has none.
        job_state: in MRS's spelling, in capitals.
        job_result: in MRS's spelling, in capitals.
        progress: per cent.
    """

    job_id: str
    job_state: str = ""
    job_result: str = ""
    progress: Finite = 0.0
    app_id: str = ""
    tracking_url: str = ""
    submitted_ms: int = 0
    started_ms: int = 0
    finished_ms: int = 0
