"""
An independent checker of causes: whether what events say of a failed job is what its log shows, and retries follow it.

It knows of each request what its jobs were ordered to fail of, and shares no code with the service.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support import history

NAMES = {
    "memory": "out_of_memory",
    "class": "class_not_found",
    "table": "table_not_found",
    "permission": "permission",
    "preempted": "preempted",
    "quota": "quota",
    "disk": "disk",
}
"""Word of the emulator -> name in an event."""

_ON_MRS = frozenset({"job_failed", "job_killed"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What a request for a job asks for.

    Attributes:
        cause: of which its jobs fail, as an event names it; None: of none that is known.
        attempts: at most.
        on: classes and causes after which a further attempt follows.
    """

    cause: str | None
    attempts: int
    on: frozenset[str]


@dataclass(frozen=True, slots=True)
class End:
    """
    The end of a job as it was reported.

    Attributes:
        at_s: when.
        reason: in the event.
        cause: of which the job was ordered to fail; None: of none that is known.
    """

    at_s: float
    reason: Mapping[str, Any]
    cause: str | None


def wanted(body: bytes) -> Wanted:
    """Return what the message of a request asks for."""
    data = json.loads(body).get("data") or {}
    properties = (data.get("job") or {}).get("properties") or {}
    retry = data.get("retry") or {}
    cause = NAMES.get(properties.get("emulator.cause", ""))
    return Wanted(cause, retry.get("attempts", 1), frozenset(retry.get("on", ["job_failed"] if retry else [])))


def faults(events: Iterable[history.Seen], requests: Mapping[str, Wanted], cancelled: Collection[str]) -> Iterator[str]:
    """
    Yield everything that is wrong with reasons and retries, a line each.

    Args:
        events: in the order of each partition.
        requests: for jobs whose logs are read.
        cancelled: those for which a cancel was sent; no log is read and nothing is tried again once it is known.
    """
    for event in events:
        asked, reason = requests.get(event.request_id), event.data.get("reason") or {}
        if asked is None or event.data.get("repeated") or reason.get("class") not in _ON_MRS:
            continue
        of_it = [*_of_cause(asked, reason, is_sure=event.request_id not in cancelled)]
        of_it += _of_retry(event, asked, reason, is_sure=event.request_id not in cancelled)
        yield from (f"{event.request_id}: {fault}" for fault in of_it)


def _of_cause(asked: Wanted, reason: Mapping[str, Any], *, is_sure: bool) -> Iterator[str]:
    cause, log = reason.get("cause"), reason.get("log_location")
    if cause is not None and log is None:
        yield f"the cause is said to be {cause}, and no log was read"
    if is_sure and log is None and "detail_unavailable" not in reason:
        yield "its event names no log, and does not say why"
    was_read = log is not None and log.endswith("/stderr") and "detail_unavailable" not in reason
    if is_sure and was_read and cause != asked.cause:
        yield f"its log shows {asked.cause}, and its event says {cause}"


def _of_retry(event: history.Seen, asked: Wanted, reason: Mapping[str, Any], *, is_sure: bool) -> Iterator[str]:
    attempt = event.data["attempt"]
    is_wanted = bool({reason["class"], reason.get("cause")} & asked.on)
    if event.state == "retrying" and not is_wanted:
        yield f"attempt {attempt} is followed by another one after {reason['class']} ({reason.get('cause')})"
    if event.state == "retrying" and attempt >= asked.attempts:
        yield f"attempt {attempt} of {asked.attempts} is followed by another one"
    if event.state == "failed" and is_sure and is_wanted and attempt < asked.attempts:
        yield f"attempt {attempt} of {asked.attempts} is followed by none after {reason.get('cause')}"
