"""Views of the engine for metrics: counts since the start and a snapshot of now. Committed facts only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mrs_relay.common import histograms
from mrs_relay.engine import job_census, log_counts, pause_times
from mrs_relay.engine.scheduling import overview, waits
from mrs_relay.kafka import counts as runtime_counts
from mrs_relay.kafka import status as kafka_status
from mrs_relay.messages import controls as control_records
from mrs_relay.messages import events as published
from mrs_relay.messages import status as status_records
from mrs_relay.mrs import counts as call_counts


@dataclass(slots=True)
class Counts:
    """
    Counts since the process started; raised after the commit, except those of internal errors.

    Attributes:
        events: published events by subject and the last word of their type, which is a state or that of a notice.
        dead_letters: by reason code.
        commits: commits of all partitions.
        internal_errors: failures of the relay itself on one message or job, by step and class of error; raised at once.
        waits: from a request's acceptance to its first submission, by subject.
        runs: from a request's last submission to its end, by subject and last state.
    """

    events: Counter[tuple[published.Subject, str]] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    internal_errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    waits: dict[published.Subject, histograms.Histogram] = field(default_factory=dict)
    runs: dict[tuple[published.Subject, published.State], histograms.Histogram] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tenant:
    """
    The work under way of one tenant.

    Attributes:
        name: of the tenant; "" where there are no tenants.
        counts: since the start.
        waiting: requests that wait for their submission.
        running: requests submitted and not ended; 0 where there are no tenants.
        ready: this process works on all its partitions of the tenant.
        kafka: the runtime of its input topic; None: it is not known.
        runtime: what happened to its partitions.
        jobs: counts of its jobs, some seconds old.
    """

    name: str
    counts: Counts
    waiting: int
    running: int
    ready: bool
    kafka: kafka_status.Status | None = None
    runtime: runtime_counts.RuntimeCounts = field(default_factory=runtime_counts.RuntimeCounts)
    jobs: job_census.Census = field(default_factory=job_census.Census)


@dataclass(frozen=True, slots=True)
class Connection:
    """
    The work under way on one connection to MRS.

    Attributes:
        name: of the connection.
        in_flight: submissions whose reply is awaited.
        tracked: jobs followed on MRS.
        detection_lag: seconds between the end of a job on MRS and the poll that saw it.
        waiting: requests that wait for their submission, by cause.
        paused: clusters that take no calls now.
        clusters: slots and queues of the clusters in use.
        calls: made on it.
        budgets: calls a minute by operation: used and granted.
        pauses: seconds that the connection and its clusters were paused.
        logs: of failed jobs, read for their cause.
    """

    name: str
    in_flight: int
    tracked: int
    detection_lag: histograms.Histogram
    waiting: Mapping[waits.Cause, int] = field(default_factory=dict)
    paused: Sequence[waits.Paused] = ()
    clusters: Sequence[overview.Cluster] = ()
    calls: call_counts.CallCounts = field(default_factory=call_counts.CallCounts)
    budgets: Sequence[status_records.Budget] = ()
    pauses: pause_times.PauseTimes = field(default_factory=pause_times.PauseTimes)
    logs: log_counts.LogCounts = field(default_factory=log_counts.LogCounts)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    The work under way in this process.

    Attributes:
        controls: those in effect.
        controls_rejected: records of the control topic that are no controls, since the start.
        draining: jobs under way by the scope of each drain.
        loop_delay: how late the event loop ran what was due.
        certificates: setting that names a file of TLS -> when the file expires, see `certificates.expiries`.
        at_ms: the moment, epoch milliseconds.
    """

    tenants: tuple[Tenant, ...]
    connections: tuple[Connection, ...]
    controls: tuple[control_records.Control, ...] = ()
    controls_rejected: int = 0
    draining: Mapping[control_records.Scope, int] = field(default_factory=dict)
    loop_delay: histograms.Histogram = field(default_factory=lambda: histograms.Histogram(histograms.DELAYS_S))
    certificates: Mapping[str, float] = field(default_factory=dict)
    at_ms: int = 0
