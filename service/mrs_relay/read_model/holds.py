"""What is asked about a request, and what holds it: the values of `why`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from mrs_relay.common import clock
from mrs_relay.messages import controls, status
from mrs_relay.read_model import status_board

C = TypeVar("C", bound=status.Content)


@dataclass(frozen=True, slots=True)
class Asked:
    """
    The request, as its last event or its ledger record has it.

    Attributes:
        state: of its last event.
        ended: whether that is a last one.
        updated_ms: time of that event, epoch milliseconds.
        cluster: id on MRS; "" where there is none, or none yet.
        kafka_key: of its records; b"": it has none, or it is not known.
        reason: of its last event, for people.
        job_id: its job on MRS.
        progress: of that job, per cent.
        kind: job, sql, cluster or call.
        not_before_ms: the moment before which it is not submitted, epoch milliseconds; 0: none, or it is not known.
    """

    tenant: str
    source: str
    id: str
    state: str
    ended: bool = False
    updated_ms: int = 0
    cluster: str = ""
    kafka_key: bytes = b""
    reason: str = ""
    job_id: str = ""
    progress: float | None = None
    not_before_ms: int = 0
    kind: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def is_it(self, one: status.Ref | status.Timed | status.InLine) -> bool:
        """Return whether an item of a list is this request; tenants are distinguished by its record."""
        return one.id == self.id and one.source == self.source


@dataclass(frozen=True, slots=True)
class Hold:
    """
    One thing that holds a request.

    Attributes:
        code: for programs; never renamed.
        text: what holds it.
        clears: what ends that.
        earliest_ms: not before this moment, as far as is known now, epoch milliseconds; 0: it is not known.
        jobs: the requests that it waits for, as far as they are known.
        replica: the relay that says so; "": none.
        at_ms: when it said so.
        stale: that relay is silent or has left, so this may no longer be true.
    """

    code: str
    text: str
    clears: str
    earliest_ms: int = 0
    jobs: tuple[status.Ref, ...] = ()
    replica: str = ""
    at_ms: int = 0
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """
    What is known beside the request.

    Attributes:
        board: the status of the relays.
        problems: why the answer may be out of date; for people.
        controls: those in effect, which people have set.
    """

    board: status_board.StatusBoard
    problems: Sequence[str] = ()
    controls: Sequence[controls.Control] = ()


def members(hold: Hold) -> dict[str, Any]:
    """Return the members of a hold for programs, without those that are not known."""
    found = {
        "code": hold.code,
        "text": hold.text,
        "clears": hold.clears,
        "earliest_at": clock.shown(hold.earliest_ms) if hold.earliest_ms else None,
        "requests": [{"source": job.source, "id": job.id} for job in hold.jobs] or None,
        "relay": hold.replica or None,
        "reported_at": clock.shown(hold.at_ms) if hold.at_ms else None,
        "stale": hold.stale,
    }
    return {name: value for name, value in found.items() if value is not None}


def of(seen: status_board.Seen[C], hold: Hold) -> Hold:
    """Return a hold with its origin."""
    return replace(hold, replica=seen.replica, at_ms=seen.at_ms, stale=seen.stale)
