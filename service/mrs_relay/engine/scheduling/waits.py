"""Why a queued job waits: a reason for people, metrics and events."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mrs_relay.common import clock
from mrs_relay.engine.scheduling import breaker, entries
from mrs_relay.messages import controls


class Cause(enum.StrEnum):
    """Cause of a wait, which must end before the job can go. The values are labels of a metric: never rename one."""

    CHOICE = "cluster_choice"
    NOT_BEFORE = "not_before"
    CONTROL = "control"
    CONNECTION = "mrs_paused"
    CLUSTER = "cluster_paused"
    PROBE = "cluster_probed"
    SLOTS = "slots_taken"
    RUNNING = "limit_running"
    PACE = "limit_per_minute"
    IN_FLIGHT = "in_flight"
    QUOTA = "quota"
    TURN = "turn"


_TEXTS = {
    Cause.CHOICE: "no cluster that it may run on has been chosen yet",
    Cause.NOT_BEFORE: "its not_before or the backoff of its retry has not come",
    Cause.CONTROL: "a control holds it",
    Cause.CONNECTION: "MRS throttles or cannot be reached",
    Cause.CLUSTER: "cluster {cluster} is left alone",
    Cause.PROBE: "another request is tried on cluster {cluster} first",
    Cause.SLOTS: "all slots of cluster {cluster} are taken (slots_per_cluster)",
    Cause.RUNNING: "its tenant has as many requests running as it may (limits.running)",
    Cause.PACE: "its tenant has started as many requests in a minute as it may (limits.per_minute)",
    Cause.IN_FLIGHT: "as many calls are under way as may be (max_intents)",
    Cause.QUOTA: "the quota of {operation} is used up for the moment",
    Cause.TURN: "others have their turn first",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    The reason why one job waits.

    Attributes:
        cause: of the wait.
        place: the cluster and the operation.
        wait_s: seconds until the cause may end, where time alone decides it; 0.0 else.
        state: the cluster's state by its last answers.
        since_ms: when that state began, epoch milliseconds; 0: no answer counts against the cluster.
        answer: the last bad answer.
        control: the control that holds the job.
    """

    cause: Cause
    place: entries.Place = ("", "")
    wait_s: float = 0.0
    state: breaker.State = breaker.State.CLOSED
    since_ms: int = 0
    answer: breaker.Answer = breaker.NO_ANSWER
    control: controls.Control | None = None

    def __str__(self) -> str:
        """Format the reason as a sentence with no names but the cluster, the operation, MRS's code and the control."""
        cluster, operation = self.place
        parts = [_TEXTS[self.cause].format(cluster=cluster, operation=operation)]
        if self.control is not None:
            parts.append(str(self.control))
        if self.since_ms:
            last = f", last answer {self.answer.code} ({self.answer.text})" if self.answer.code else ""
            since = clock.rfc3339(self.since_ms)
            parts.append(f"{operation} on cluster {cluster} {_SAYS[self.state]} since {since}{last}")
        if self.wait_s > 0:
            parts.append(f"next look in {self.wait_s:.0f} s")
        return "; ".join(parts)


_SAYS = {
    breaker.State.CLOSED: "has worked",
    breaker.State.FULL: "has found it full",
    breaker.State.REFUSING: "has been refused",
    breaker.State.FAILING: "has failed",
}


@dataclass(frozen=True, slots=True)
class Paused:
    """A place that takes no calls, for metrics: its state by its last answers, and the state's beginning."""

    place: entries.Place
    state: breaker.State
    code: str
    since_ms: int
