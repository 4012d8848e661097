"""
The state of requests according to their events: one row per request, the newest change first.

Pure: `see` accepts repeated events, which change nothing. `watch`, `submit --wait` and `demo` draw it.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from typing import Final

from mrs_relay.common import clock
from mrs_relay.messages import event_reader, events

RequestKey = tuple[str, str]
"""(source, id): the identity of a request."""

MOST_ROWS: Final = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """
    The state of a request after its latest event.

    Attributes:
        key: (source, id).
        subject: "job" or "sql".
        state: of the latest event; `progress` counts as `running`.
        sequence: of the latest event.
        cluster: MRS cluster id, or "".
        job_id: MRS's id of the job or statement, or "".
        job_name: MRS's name of the job, or "".
        progress: per cent, or None when MRS gives none.
        seen_ms: time of the first event that was seen, epoch milliseconds.
        changed_ms: time of the latest event, epoch milliseconds.
        reason: the reason of a bad end, as one line, or "".
        result: its result, or None.
        detail: the end of the job's log, of several lines, or "".
    """

    key: RequestKey
    subject: str
    state: events.State
    sequence: int
    cluster: str
    job_id: str
    job_name: str
    progress: float | None
    seen_ms: int
    changed_ms: int
    reason: str
    result: events.Result | None
    detail: str = ""

    @property
    def ended(self) -> bool:
        """Whether no further event follows."""
        return self.state in events.LAST


class RequestTable:
    """
    Rows by request.

    Args:
        most: rows kept; beyond it the row with the oldest change is dropped.
    """

    def __init__(self, most: int = MOST_ROWS) -> None:
        self._most = most
        self._rows: dict[RequestKey, Row] = {}

    def see(self, event: event_reader.ReadEvent) -> Row | None:
        """Record one event; returns the changed row, or None for a repeated event."""
        key = (event.data.request.source, event.data.request.id)
        before = self._rows.get(key)
        if before is not None and event.data.sequence <= before.sequence:
            return None
        row = _row(key, event, before)
        self._rows.pop(key, None)  # reinserted below: the dict keeps the order of the changes
        self._rows[key] = row
        if len(self._rows) > self._most:
            self._rows.pop(next(iter(self._rows)))
        return row

    def get(self, key: RequestKey) -> Row | None:
        """Return the row of one request, or None if it has no event yet."""
        return self._rows.get(key)

    def rows(self) -> list[Row]:
        """Return all rows, the latest change first."""
        return list(reversed(self._rows.values()))

    def counts(self) -> collections.Counter[str]:
        """Count the requests in each state."""
        return collections.Counter(row.state for row in self._rows.values())


def _row(key: RequestKey, event: event_reader.ReadEvent, before: Row | None) -> Row:
    data = event.data
    said = data.mrs or events.MrsView()
    at_ms = time_ms(event)

    # A value that this event leaves out stays as an earlier event reported it.
    return Row(
        key=key,
        subject=kind_of(event),
        state="running" if data.state == "progress" else data.state,
        sequence=data.sequence,
        cluster=data.cluster or (before.cluster if before else ""),
        job_id=said.job_id or (before.job_id if before else ""),
        job_name=said.job_name or (before.job_name if before else ""),
        progress=said.progress if said.progress is not None else (before.progress if before else None),
        seen_ms=before.seen_ms if before else at_ms,
        changed_ms=at_ms,
        reason=reason_line(data) or "",
        result=data.result,
        detail=(data.reason.detail if data.reason else None) or "",
    )


def kind_of(event: event_reader.ReadEvent) -> str:
    """Return the kind of the event's request, such as sql; the whole type where it has another form."""
    return event.type.split(".")[1] if event.type.count(".") > 1 else event.type


def reason_line(data: events.EventData) -> str | None:
    """Format the reason as one line, the code and the cause in front; None without a reason."""
    if data.reason is None:
        return None
    request_id = data.reason.mrs_request_id
    support = f" (MRS request id {request_id})" if request_id and request_id not in data.reason.message else ""
    cause = f" ({data.reason.cause})" if data.reason.cause else ""
    return f"{data.reason.code}{cause}: {' '.join(data.reason.message.split())}{support}"


def time_ms(event: event_reader.ReadEvent) -> int:
    """Return the time of the event, epoch milliseconds; 0 if it has none."""
    try:
        moment = clock.without_leap_second(event.attributes.get("time", ""))
        return round(dt.datetime.fromisoformat(moment).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
