"""
Take slots, pauses and queues at one moment, for people; nothing is decided by it.

What it costs grows with the clusters in use, and not with the jobs that wait.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from mrs_relay.engine.scheduling import admission as admissions
from mrs_relay.engine.scheduling import breaker, entries, fair_queue, queues, waits


@dataclass(frozen=True, slots=True)
class Line:
    """
    One tenant's queue at a place.

    Attributes:
        tenant: name of the tenant.
        operation: of the place.
        count: waiting jobs.
        causes: see `Admission.causes`; the seconds are those from now on.
        first: the first entries.
    """

    tenant: str
    operation: str
    count: int
    causes: list[tuple[waits.Cause, float]]
    first: list[entries.QueueEntry]


@dataclass(frozen=True, slots=True)
class Paused:
    """
    A place that is paused, or tried by one call at a time.

    Attributes:
        operation: of the place.
        state: by the last answers.
        answer: the last bad one.
        since_ms: when the state began, epoch milliseconds.
        left_s: seconds that the pause still lasts; 0.0: it is over.
    """

    operation: str
    state: breaker.State
    answer: breaker.Answer
    since_ms: int
    left_s: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """
    One cluster.

    Attributes:
        cluster: its id.
        taken: jobs that hold a slot.
        holders: some of them.
        paused: its paused places.
        lines: its queues.
    """

    cluster: str
    taken: int
    holders: list[entries.Holder]
    paused: list[Paused]
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Overview:
    """
    A connection at one moment.

    Attributes:
        slots: of a cluster; 0: no bound.
        paused_s: seconds for which nothing is submitted; 0.0: it is.
        is_unreachable: whether that is so because MRS cannot be reached.
        count: clusters in use.
        clusters: some of them.
    """

    slots: int
    paused_s: float
    is_unreachable: bool
    count: int
    clusters: list[Cluster]


def of(admission: admissions.Admission, queue: fair_queue.FairQueue, most_clusters: int, most_jobs: int) -> Overview:
    """Return the overview of a connection; see `SubmissionScheduler.overview`."""
    now_s = admission.now_s
    places: dict[str, list[queues.ClusterQueue]] = {cluster: [] for cluster in admission.slots.clusters}
    for place in admission.clusters.values():
        if place.tenants or not place.breaker.is_closed or place.breaker.until_s > now_s:
            places.setdefault(place.place[0], []).append(place)

    clusters = [
        Cluster(
            cluster,
            admission.slots.taken(cluster),
            list(itertools.islice(admission.slots.holders(cluster), most_jobs)),
            list(_paused(several, now_s)),
            list(_lines(admission, queue, several, most_jobs)),
        )
        for cluster, several in itertools.islice(places.items(), most_clusters)
    ]
    paused_s = max(0.0, admission.pauses.paused_until_s - now_s)
    return Overview(admission.slots.most, paused_s, admission.pauses.is_unreachable, len(places), clusters)


def _paused(places: list[queues.ClusterQueue], now_s: float) -> Iterator[Paused]:
    for place in places:
        seen = place.breaker
        left_s = max(0.0, seen.until_s - now_s)
        if left_s or not seen.is_closed:
            yield Paused(place.place[1], seen.state, seen.answer, 0 if seen.is_closed else seen.since_ms, left_s)


def _lines(
    admission: admissions.Admission,
    queue: fair_queue.FairQueue,
    places: list[queues.ClusterQueue],
    most_jobs: int,
) -> Iterator[Line]:
    for place in places:
        for one in place.tenants.values():
            if one.count:
                name = one.tenant.policy.tenant
                yield Line(name, place.place[1], one.count, admission.causes(one), queue.line(one, most_jobs))
