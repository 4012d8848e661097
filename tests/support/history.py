"""
An independent checker of the promise: from what was sent, what was reported, what is kept and what MRS created.

    faults      what breaks the promise, one line each
    once        the same events with the repeats left out that at-least-once allows
    Ledger      reads a partition of the ledger, as `ARCHITECTURE.md` describes it

It shares no code with the service: events and ledger are plain headers and JSON, as any other reader would read them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mrs_relay.engine.model import job_records

LAST = frozenset({"rejected", "succeeded", "failed", "cancelled", "unknown"})
MAY_FOLLOW = {
    None: {"accepted", "rejected"},
    "accepted": {"submitted", "succeeded", "failed", "cancelled", "unknown", "retrying"},
    "submitted": {"running", "retrying", "succeeded", "failed", "cancelled", "unknown"},
    "running": {"progress", "retrying", "succeeded", "failed", "cancelled", "unknown"},
    "progress": {"progress", "retrying", "succeeded", "failed", "cancelled", "unknown"},
    "retrying": {"submitted", "failed", "cancelled", "unknown", "retrying"},
    "unknown": {"succeeded", "failed", "cancelled"},
    "rejected": {"accepted", "rejected"},  # the same id may come again, mended or not
}
_ENDS = {"SUCCEEDED": {"succeeded"}, "FAILED": {"failed", "retrying"}, "KILLED": {"cancelled"}}


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as read, in the order of its partition."""

    request_id: str
    state: str
    sequence: int
    event_id: str
    data: Mapping[str, Any]

    @property
    def job_name(self) -> str | None:
        """The job on MRS that it speaks of."""
        return (self.data.get("mrs") or {}).get("job_name")


@dataclass(frozen=True, slots=True)
class Kept:
    """What the ledger says of one request."""

    request_id: str
    state: str
    sequence: int


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


@dataclass(eq=False)
class Ledger:
    """
    One partition of the ledger, read from its beginning; `add` takes its committed records in order.

    Attributes:
        jobs: ledger key -> what it says, as of the last whole commit.
        next_offset: of the input, by topic, as of the same commit.
    """

    jobs: dict[bytes, Kept] = field(default_factory=dict)
    next_offset: dict[str, int] = field(default_factory=dict)
    _claim: int = -1
    _open: dict[bytes, bytes | None] = field(default_factory=dict)

    def add(
        self, offset: int, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()
    ) -> None:
        """Take the next record; one that an owner wrote who was already replaced does not count."""
        token = dict(headers).get("t")
        if key is None or (token is not None and int(token) < self._claim):
            return
        if key == b"\0claim":
            self._claim = offset
            self._open.clear()
        elif key == b"\0offsets":
            self._close(json.loads(value or b"{}"))
        elif key[:1] != b"\0":
            self._open[key] = value

    def _close(self, next_offset: dict[str, int]) -> None:
        self.next_offset = next_offset
        for key, value in self._open.items():
            self.jobs.pop(key, None)
            if value is not None:
                job = job_records.decode(value)
                self.jobs[key] = Kept(job.id, job.state.value, job.sequence)
        self._open.clear()


def once(events: Sequence[Seen]) -> tuple[list[Seen], list[str]]:
    """
    Leave out what at-least-once may tell again: the same event, word for word, under the same id.

    Returns the events and the faults: ids that stand for two different events.
    """
    first: dict[str, Seen] = {}
    for event in events:
        first.setdefault(event.event_id, event)
    other = {event.event_id for event in events if first[event.event_id] != event}
    return list(first.values()), [f"event id {event_id} stands for two different events" for event_id in sorted(other)]


def faults(
    sent: Sequence[str],
    events: Sequence[Seen],
    created: Sequence[str],
    *,
    kept: Iterable[Kept] | None = None,
    results: Mapping[str, str] | None = None,
) -> list[str]:
    """
    Return everything that breaks the promise, one line each; an empty list means it was kept.

    Args:
        sent: ids of all requests that should have become exactly one job each.
        events: what was read with read_committed, in the order of each partition.
        created: names of all jobs that really exist on MRS.
        kept: what the ledger says of each request; None: do not look.
        results: name -> job_result of each job on MRS; None: do not look.
    """
    found: list[str] = []
    stories: dict[str, list[Seen]] = defaultdict(list)
    for event in events:
        stories[event.request_id].append(event)
    known = set(sent)
    found += [f"{request_id}: no event at all" for request_id in sent if request_id not in stories]
    found += [
        f"{request_id}: events of a request that was not sent" for request_id in stories if request_id not in known
    ]
    for request_id, story in stories.items():
        found += [f"{request_id}: {fault}" for fault in _story_faults(story)]
    found += [f"event id {event_id} came {count} times" for event_id, count in _ids(events).items() if count > 1]
    found += _effect_faults(stories, created)
    if results is not None:
        found += _verdict_faults(stories, results)
    if kept is not None:
        found += _ledger_faults(stories, kept)

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
    reported: dict[str, str] = {}
    for request_id, story in stories.items():
        for event in story:
            if event.job_name:  # each attempt of a retry has a name of its own
                reported[event.job_name] = request_id
    for name, request_id in reported.items():
        if count[name] != 1:
            yield f"{request_id}: {count[name]} jobs named {name} on MRS"
    strangers = sorted(set(created) - reported.keys())
    yield from (f"job {name} on MRS that no event tells of" for name in strangers)


def _verdict_faults(stories: Mapping[str, Sequence[Seen]], results: Mapping[str, str]) -> Iterable[str]:
    """Check that the last report of a job is what MRS says of it; an end that cannot be known is `unknown`."""
    reported = {
        event.job_name: (request_id, event.state)
        for request_id, story in stories.items()
        for event in story
        if event.job_name and not event.data.get("repeated")
    }
    for name, (request_id, state) in reported.items():
        if name in results and state != "unknown" and state not in _ENDS.get(results[name], set()):
            yield f"{request_id}: {state} was reported of {name}, MRS says {results[name]}"


def _ledger_faults(stories: Mapping[str, Sequence[Seen]], kept: Iterable[Kept]) -> Iterable[str]:
    places: dict[str, list[Kept]] = defaultdict(list)
    for job in kept:
        places[job.request_id].append(job)
    for request_id, story in stories.items():
        found = places.pop(request_id, [])
        if len(found) != 1:
            yield f"{request_id}: {len(found)} records in the ledger"
            continue
        reported = [event.state for event in story if not event.data.get("repeated")]
        if found[0].sequence != story[-1].sequence:
            yield f"{request_id}: the ledger is at sequence {found[0].sequence}, the events at {story[-1].sequence}"
        if reported and found[0].state != reported[-1]:
            yield f"{request_id}: the ledger says {found[0].state}, the last event {reported[-1]}"
    yield from (f"{request_id}: in the ledger, and no event tells of it" for request_id in places)
