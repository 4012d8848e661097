"""
Say what holds the requests of one queue, and which place one of them has in it. Pure; `why` calls it.

The scheduler itself names the causes, see `engine.scheduling.waits`; here they become texts with numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from mrs_relay.common import clock
from mrs_relay.messages import status
from mrs_relay.read_model import holds, status_board

_MINUTE_MS: Final = 60_000


def of_queue(
    seen: status_board.Seen[status.Cluster], queue: status.Queue, board: status_board.StatusBoard, now_ms: int
) -> list[holds.Hold]:
    """Return what holds the first request of a queue."""
    spot = _spot(seen, queue, board, now_ms)
    found = [holds.of(seen, spot.hold(cause)) for cause in queue.causes]
    # A moment that has passed since the relay reported says nothing any more.
    return [one if one.earliest_ms > now_ms else replace(one, earliest_ms=0) for one in found]


def in_queue(
    asked: holds.Asked,
    seen: status_board.Seen[status.Cluster],
    queue: status.Queue,
    board: status_board.StatusBoard,
    now_ms: int,
) -> Iterator[holds.Hold]:
    """Yield what holds its queue, and its place in it."""
    causes = of_queue(seen, queue, board, now_ms)
    earliest_ms = max((one.earliest_ms for one in causes), default=0)
    line = _line(asked, _spot(seen, queue, board, now_ms), now_ms, earliest_ms)
    if line is None or [one.code for one in causes] != ["turn"]:  # its place says more
        yield from causes
    if line is not None:
        yield holds.of(seen, line)


def _spot(
    seen: status_board.Seen[status.Cluster], queue: status.Queue, board: status_board.StatusBoard, now_ms: int
) -> _Spot:
    replica = next((one.content for one in board.replicas(now_ms) if one.replica == seen.replica), None)
    rivals = sum(
        one.waiting
        for other in board.clusters(now_ms)
        if (other.replica, other.content.connection) == (seen.replica, seen.content.connection)
        for one in other.content.queues
        if one.operation == queue.operation
    )
    return _Spot(seen.content, queue, replica, rivals)


@dataclass(frozen=True, slots=True)
class _Spot:
    """
    A queue with its cluster and its replica.

    Attributes:
        rivals: requests that wait for the same operation, on all clusters of the connection in this replica.
    """

    cluster: status.Cluster
    queue: status.Queue
    replica: status.Replica | None
    rivals: int

    @property
    def tenant(self) -> status.Tenant | None:
        """The queue's tenant in this replica."""
        named = () if self.replica is None else self.replica.tenants
        return next((one for one in named if one.name == self.queue.tenant), None)

    @property
    def connection(self) -> status.Connection | None:
        """The cluster's connection in this replica."""
        named = () if self.replica is None else self.replica.connections
        return next((one for one in named if one.name == self.cluster.connection), None)

    @property
    def budget(self) -> status.Budget | None:
        """The budget of the queue's operation in this replica."""
        budgets = () if self.connection is None else self.connection.budgets
        return next((one for one in budgets if one.operation == self.queue.operation), None)

    def hold(self, cause: status.Cause) -> holds.Hold:
        """Say what a cause means here."""
        make = _CAUSES.get(cause.cause)
        if make is None:  # of a later version
            return holds.Hold(cause.cause, f"it waits for {cause.cause}", "not known to this version", cause.until_ms)
        made = make(self)
        return replace(made, code=cause.cause, earliest_ms=cause.until_ms)


def _mrs_paused(spot: _Spot) -> holds.Hold:
    seen = spot.connection
    if seen is not None and seen.paused_for == "unreachable":
        return holds.Hold("", "MRS cannot be reached, so nothing is submitted", "a call that reaches MRS")
    return holds.Hold("", "MRS throttles (429), so nothing is submitted", "the end of the time that MRS has named")


_SAYS: Final = {
    "full": "has no room, says MRS",
    "refusing": "takes no jobs in its state, says MRS",
    "failing": "has not answered as it should",
}


def _cluster_paused(spot: _Spot) -> holds.Hold:
    name, operation = spot.cluster.cluster, spot.queue.operation
    seen = next((one for one in spot.cluster.pauses if one.operation == operation), None)
    clears = "the next call that MRS takes; a slot that one of our jobs gives back ends the pause of a full cluster"
    if seen is None or seen.state not in _SAYS:
        return holds.Hold("", f"cluster {name} is left alone for a while ({operation})", clears)
    answer = f", last answer {seen.code} ({seen.text})" if seen.code else ""
    since = f" since {clock.shown(seen.since_ms)}" if seen.since_ms else ""
    text = f"circuit open: cluster {name} {_SAYS[seen.state]} ({operation}){since}{answer}"
    return holds.Hold("", text, clears)


def _slots_taken(spot: _Spot) -> holds.Hold:
    seen = spot.cluster
    text = f"cluster {seen.cluster} has {seen.slots_used} of {seen.slots_limit} slots taken (engine.slots_per_cluster)"
    return holds.Hold("", text, "the end of one of these jobs", jobs=tuple(seen.holders))


def _cluster_probed(spot: _Spot) -> holds.Hold:
    text = (
        f"after trouble, one request at a time is tried on cluster {spot.cluster.cluster}, and another one goes first"
    )
    return holds.Hold("", text, "the outcome of that one call")


def _limit_running(spot: _Spot) -> holds.Hold:
    seen = spot.tenant
    count = "" if seen is None else f", {seen.running} of {seen.most_running}"
    text = f"its tenant has as many requests running as it may (limits.running{count})"
    return holds.Hold("", text, "the end of one of the tenant's requests")


def _limit_per_minute(spot: _Spot) -> holds.Hold:
    seen = spot.tenant
    count = "" if seen is None else f", {seen.most_per_minute}"
    text = f"its tenant has started as many requests in a minute as it may (limits.per_minute{count})"
    return holds.Hold("", text, "time")


def _in_flight(spot: _Spot) -> holds.Hold:
    count = "" if spot.connection is None else f", {spot.connection.in_flight} now"
    text = f"as many calls to MRS are under way at once as may be (engine.max_in_flight, engine.max_intents{count})"
    return holds.Hold("", text, "the reply to one of them")


def _quota(spot: _Spot) -> holds.Hold:
    seen = spot.budget
    count = "" if seen is None else f": {seen.used} of {seen.granted} calls used, of {seen.per_minute} for all relays"
    text = f"this minute's quota of {spot.queue.operation}, for which {spot.rivals} wait here, is used up{count}"
    return holds.Hold("", text, "time: calls are spread evenly over the minute")


def _turn(_spot: _Spot) -> holds.Hold:
    return holds.Hold(
        "", "others have their turn first: tenants and clusters take turns", "its turn, which comes by itself"
    )


_CAUSES: Final = {
    "mrs_paused": _mrs_paused,
    "cluster_paused": _cluster_paused,
    "slots_taken": _slots_taken,
    "cluster_probed": _cluster_probed,
    "limit_running": _limit_running,
    "limit_per_minute": _limit_per_minute,
    "in_flight": _in_flight,
    "quota": _quota,
    "turn": _turn,
}


def _line(asked: holds.Asked, spot: _Spot, now_ms: int, earliest_ms: int) -> holds.Hold | None:
    """Say which place it has in its queue; None: it is the first."""
    line = spot.queue.line
    place = next((number for number, one in enumerate(line) if asked.is_it(one)), None)
    before = len(line) if place is None else place
    if not before:
        return None

    jobs = tuple(status.Ref(one.source, one.id) for one in line[:before])
    clears = "they are submitted, cancelled, or end; a request of higher priority may still pass it"
    earliest_ms = max(earliest_ms, _after_quota_ms(spot, before, now_ms))
    if place is None:
        text = (
            f"perhaps, as it is not among the first {before} of the {spot.queue.waiting} that wait in its queue: "
            "else it is being submitted"
        )
        return holds.Hold("in_line", text, clears, earliest_ms, jobs)
    text = (
        f"{before} {'request goes' if before == 1 else 'requests go'} before it, of {spot.queue.waiting} that wait "
        f"in its queue; its priority is {line[place].priority}"
    )
    return holds.Hold("in_line", text, clears, earliest_ms, jobs)


def _after_quota_ms(spot: _Spot, before: int, now_ms: int) -> int:
    """Return the moment at which the quota is enough for those before it; 0: there is none, or it is not known."""
    seen = spot.budget
    if seen is None or not seen.granted or not (spot.connection is not None and spot.connection.budgeted):
        return 0
    beyond = before - max(0, seen.granted - seen.used)
    return now_ms + round(beyond / seen.granted * _MINUTE_MS) if beyond > 0 else 0
