"""
An independent checker of the promise: from what was sent, what came back and what MRS created, it finds the faults.

It shares no code with the service: events are plain headers and JSON, as any subscriber sees them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LAST = frozenset({"rejected", "succeeded", "failed", "cancelled", "unknown"})
MAY_FOLLOW = {
    None: {"accepted", "rejected"},
    "accepted": {"submitted", "failed", "cancelled", "unknown", "retrying"},
    "submitted": {"running", "retrying", "succeeded", "failed", "cancelled", "unknown"},
    "running": {"progress", "retrying", "succeeded", "failed", "cancelled", "unknown"},
    "progress": {"progress", "retrying", "succeeded", "failed", "cancelled", "unknown"},
    "retrying": {"submitted", "failed", "cancelled", "unknown", "retrying"},
    "unknown": {"succeeded", "failed", "cancelled"},
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as read, in the order of its partition."""

    request_id: str
    state: str
    sequence: int
    event_id: str
    data: Mapping[str, Any]


def seen(headers: Iterable[tuple[str, bytes]], value: bytes) -> Seen:
    """Read an event record the way a subscriber in another language would."""
    attributes = {name: raw.decode() for name, raw in headers}
    data = json.loads(value)
    assert attributes["ce_specversion"] == "1.0"
    assert int(attributes["ce_sequence"]) == data["sequence"]
    return Seen(
        request_id=attributes["ce_subject"],
        state=attributes["ce_type"].rsplit(".", 1)[1],
        sequence=int(attributes["ce_sequence"]),
        event_id=attributes["ce_id"],
        data=data,
    )


def faults(sent: Sequence[str], events: Sequence[Seen], created: Sequence[str]) -> list[str]:
    """
    Everything that breaks the promise, one line each; an empty list means it was kept.

    Args:
        sent: ids of all requests that should have become exactly one job each.
        events: what was read with read_committed, in the order of each partition.
        created: names of all jobs that really exist on MRS.
    """
    found: list[str] = []
    stories: dict[str, list[Seen]] = defaultdict(list)
    for event in events:
        stories[event.request_id].append(event)
    found += [f"{request_id}: no event at all" for request_id in sent if request_id not in stories]
    found += [f"{request_id}: events of a request that nobody sent" for request_id in stories if request_id not in sent]
    for request_id, story in stories.items():
        found += [f"{request_id}: {fault}" for fault in _story_faults(story)]
    found += [f"event id {event_id} came {count} times" for event_id, count in _ids(events).items() if count > 1]
    found += _effect_faults(stories, created)
    return found


def _ids(events: Sequence[Seen]) -> Counter[str]:
    return Counter(event.event_id for event in events)


def _story_faults(story: Sequence[Seen]) -> Iterable[str]:
    numbers = [event.sequence for event in story]
    if numbers != list(range(1, len(story) + 1)):
        yield f"sequence numbers are {numbers}"
    before: str | None = None
    for event in story:
        if event.data.get("repeated"):
            continue
        if event.state not in MAY_FOLLOW.get(before, set()):
            yield f"{event.state} follows {before}"
        before = event.state
    if before not in LAST:
        yield f"ends with {before}"


def _effect_faults(stories: Mapping[str, Sequence[Seen]], created: Sequence[str]) -> Iterable[str]:
    count = Counter(created)
    told: dict[str, str] = {}
    for request_id, story in stories.items():
        for event in story:
            name = (event.data.get("mrs") or {}).get("job_name")
            if name:  # each attempt of a retry has a name of its own
                told[name] = request_id
    for name, request_id in told.items():
        if count[name] != 1:
            yield f"{request_id}: {count[name]} jobs named {name} on MRS"
    strangers = sorted(set(created) - told.keys())
    yield from (f"job {name} on MRS that no event tells of" for name in strangers)
