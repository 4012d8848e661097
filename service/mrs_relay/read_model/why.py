"""
Say what holds a request, and what clears each of these holds, in the order in which they end its wait. Pure.

    request and status of the relays → explain → holds

A hold is reported only where a relay has published it. Where the published lists are too short to name the request, its
holds are those of its queue, and the text says so. A moment is one before which a hold does not end, never a promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from mrs_relay.common import clock
from mrs_relay.kafka import partitioning
from mrs_relay.messages import controls, status
from mrs_relay.read_model import holds, queue_holds, status_board

_ON_MRS: Final = frozenset({"submitted", "running", "progress"})
_Queued = tuple[status_board.Seen[status.Cluster], status.Queue]


def explain(asked: holds.Asked, known: holds.Known, now_ms: int) -> list[holds.Hold]:
    """Return what holds a request, in order; never empty."""
    found = [holds.Hold("answer_behind", text, "wait until it has caught up, and ask again") for text in known.problems]
    if asked.ended:
        return [*found, _ended(asked)]
    if asked.state in _ON_MRS:
        return [*found, _on_mrs(asked)]

    ordered = _controls(asked, known.controls, now_ms)
    found += ordered
    waits = [*_own_waits(asked, known.board, now_ms)]
    if not waits and asked.not_before_ms > now_ms:
        waits = [holds.Hold("not_before", *_OWN["not_before"], asked.not_before_ms)]
    for one in _queued(asked, known.board, now_ms, may_be_behind=not (ordered or waits)):
        waits += queue_holds.in_queue(asked, *one, known.board, now_ms)
    if not waits:
        waits += _submitting(asked, known.board, now_ms)
    # What no living relay reports may be in a partition without an owner: that has to end first.
    if all(one.stale for one in waits):
        perhaps = () if ordered else _perhaps(asked, known.board, now_ms)
        waits = [*_not_served(asked, known.board, now_ms), *(waits or perhaps)]
    return [*found, *waits] if ordered or waits else [*found, _not_seen(asked)]


def _controls(asked: holds.Asked, present: Iterable[controls.Control], now_ms: int) -> list[holds.Hold]:
    """Return the holds that people have ordered: what they concern takes part in no queue meanwhile."""
    by_scope = {one.scope: one for one in present}
    concerned = controls.scopes(
        tenant=asked.tenant, cluster=asked.cluster, subject=asked.kind, labels=asked.labels, request_id=asked.id
    )
    found = [by_scope[scope] for scope in concerned if scope in by_scope]
    return [
        holds.Hold("control", str(one), f"`mrs-relay release {one.scope}`, or its end", one.until_ms)
        for one in controls.holding(found, now_ms)
    ]


# Requests that do not wait


def _ended(asked: holds.Asked) -> holds.Hold:
    when = clock.shown(asked.updated_ms)
    why = f": {asked.reason}" if asked.reason else ""
    if asked.state == "unknown":
        clears = "a person who has looked at MRS settles it: `mrs-relay resolve`"
        return holds.Hold("unknown", f"how it ended is unknown since {when}{why}", clears)
    return holds.Hold("ended", f"it has ended: {asked.state} at {when}{why}", "nothing: it does not wait")


def _on_mrs(asked: holds.Asked) -> holds.Hold:
    job = f" as job {asked.job_id}" if asked.job_id else ""
    if asked.state == "submitted":
        text = f"MRS has it{job} since {clock.shown(asked.updated_ms)} and has not begun it yet"
    else:
        done = f", {asked.progress:.0f} % done" if asked.progress is not None else ""
        text = f"MRS runs it{job}{done}; last change {clock.shown(asked.updated_ms)}"
    return holds.Hold("on_mrs", text, "the job's end on MRS, or `mrs-relay cancel`")


# Waits of its own


_OWN: Final = {
    "not_before": (
        "its own time has not come: its not_before, or the backoff before it is sent again",
        "that moment",
    ),
    "choosing": (
        "no cluster has been chosen for it: those that it may run on are not there, do not run, or MRS does not answer",
        "a cluster that fits its name or tags and runs; see engine.choose_within_s",
    ),
    "in_doubt": (
        "the reply to its submission was lost, and it is being looked up: MRS may have its job or not",
        "its job shows up on MRS, or the look-up has waited long enough to know that there is none",
    ),
}
_CODES: Final = {"not_before": "not_before", "choosing": "cluster_choice", "in_doubt": "in_doubt"}


def _own_waits(asked: holds.Asked, board: status_board.StatusBoard, now_ms: int) -> Iterator[holds.Hold]:
    """Yield the waits that a partition reports of this very request."""
    for seen in _partitions(asked, board, now_ms):
        for name, (text, clears) in _OWN.items():
            waiting: status.Waiting = getattr(seen.content, name)
            mine = next((one for one in waiting.first if asked.is_it(one)), None)
            if mine is not None:
                yield holds.of(seen, holds.Hold(_CODES[name], text, clears, max(0, mine.until_ms)))


def _perhaps(asked: holds.Asked, board: status_board.StatusBoard, now_ms: int) -> Iterator[holds.Hold]:
    """Yield waits that may be those of the request: a partition has more such requests than it names."""
    for seen in _partitions(asked, board, now_ms):
        for name, (text, clears) in _OWN.items():
            waiting: status.Waiting = getattr(seen.content, name)
            if waiting.count > len(waiting.first):
                place = f"{seen.content.topic}-{seen.content.partition}"
                many = f"perhaps, as of {waiting.count} requests of {place} that wait for it not all are named: {text}"
                yield holds.of(seen, holds.Hold(_CODES[name], many, clears))


# Its queue


def _queued(asked: holds.Asked, board: status_board.StatusBoard, now_ms: int, *, may_be_behind: bool) -> list[_Queued]:
    """Return the queue that names the request, or else all in which it may be behind those that are named."""
    there: list[_Queued] = [
        (seen, queue)
        for seen in board.clusters(now_ms)
        if seen.content.cluster == asked.cluster
        for queue in seen.content.queues
        if queue.tenant == asked.tenant
    ]
    named = [(seen, queue) for seen, queue in there if any(map(asked.is_it, queue.line))]
    if named:
        return sorted(named, key=lambda one: one[0].stale)[:1]  # of two replicas the one that lives
    has_turn = any(asked.is_it(one) for seen in board.clusters(now_ms) for one in seen.content.holders)
    if has_turn or not may_be_behind:
        return []
    return [(seen, queue) for seen, queue in there if queue.waiting > len(queue.line)]


def _submitting(asked: holds.Asked, board: status_board.StatusBoard, now_ms: int) -> Iterator[holds.Hold]:
    """Say that it has had its turn, if it holds a slot."""
    for seen in board.clusters(now_ms):
        if seen.content.cluster == asked.cluster and any(map(asked.is_it, seen.content.holders)):
            text = "it has had its turn and holds a slot: it is being submitted, or MRS has it and the event follows"
            yield holds.of(seen, holds.Hold("submitting", text, "MRS's reply, within seconds"))


# Its partition


def _partitions(
    asked: holds.Asked, board: status_board.StatusBoard, now_ms: int
) -> list[status_board.Seen[status.Partition]]:
    return [seen for seen in board.partitions(now_ms) if seen.content.tenant == asked.tenant]


def _not_served(asked: holds.Asked, board: status_board.StatusBoard, now_ms: int) -> Iterator[holds.Hold]:
    """Yield the partitions that no relay works on, if the request may be in them."""
    total = max(
        (one.total for seen in board.replicas(now_ms) for one in seen.content.tenants if one.name == asked.tenant),
        default=0,
    )
    usual = partitioning.murmur2(asked.kafka_key) % total if asked.kafka_key and total else None
    for seen in _partitions(asked, board, now_ms):
        one = seen.content
        if (one.state == "running" and not seen.stale) or usual not in {None, one.partition}:
            continue
        yield holds.of(seen, _partition_hold(seen, "if it is there" if usual is None else "where its key belongs"))


_CLEARS: Final = {
    "parked": "the end of the rebalance that is under way",
    "unreadable": "a person who repairs it",
    "leaderless": "the broker that holds it",
    "ended": "a relay that takes it over",
}


def _partition_hold(seen: status_board.Seen[status.Partition], where: str) -> holds.Hold:
    one = seen.content
    place = f"partition {one.topic}-{one.partition}, {where},"
    if seen.stale:
        text = f"{place} has had no owner that reports since {clock.shown(seen.at_ms)}"
        return holds.Hold("partition_not_served", text, "a relay that takes it over; see the relays' readiness")
    if one.state == "restoring":
        part = f", {one.restored:.0%} of its ledger read" if one.restored is not None else ""
        ahead = "" if one.next_offset is None else "; its jobs under way are followed, messages wait for the rest"
        return holds.Hold("partition_restoring", f"{place} is being restored{part}{ahead}", "the end of the restore")
    at = f" at offset {one.next_offset}" if one.next_offset is not None else ""
    why = f": {one.error}" if one.error else ""
    clears = _CLEARS.get(one.state, "it is tried again by itself")
    return holds.Hold("partition_not_served", f"{place} is {one.state}{at}{why}", clears)


def _not_seen(asked: holds.Asked) -> holds.Hold:
    text = f"no relay reports it as waiting: it is {asked.state} since {clock.shown(asked.updated_ms)}"
    return holds.Hold(
        "not_seen", text, "its next event, if it is on its way; else look at the relays and their topic of status"
    )
