"""What all partitions of one tenant share in a process: settings, time, MRS, the scheduler and the pollers."""

from __future__ import annotations

from dataclasses import dataclass

from mrs_relay.engine import choosing, clusters, decide, facts, jobs, submitter, tracker, views
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.scheduling import lanes, quota, scheduler
from mrs_relay.kit import clock
from mrs_relay.messages import events

Mode = events.Mode


@dataclass(frozen=True, slots=True)
class Topics:
    """
    Names of the topics, and how events are written.

    Attributes:
        source: the `source` attribute of events.
        mode: their CloudEvents mode.
        latest: compacted topic of the latest states; None: none is written.
    """

    requests: str
    events: str
    dead_letters: str
    source: str
    mode: Mode = "binary"
    latest: str | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """
    The shared tools of the partitions' handlers.

    Attributes:
        commit_interval_s: seconds between the starts of two commits of a partition under load.
        gate: admits queued jobs.
        sending: bounds the calls in flight.
        account: the tenant's rules, and what it has under way.
    """

    settings: engine_settings.EngineSettings
    commit_interval_s: float
    rules: decide.Rules
    topics: Topics
    time: clock.Clock
    gate: scheduler.SubmissionScheduler
    tracker: tracker.Tracker
    clusters: clusters.Watcher
    chooser: choosing.Chooser
    submitter: submitter.Submitter
    sending: lanes.Lanes
    counts: views.Counts
    account: quota.TenantQuota


@dataclass(frozen=True, slots=True)
class Happened:
    """A notice for a partition's inbox: what happened to which job."""

    key: jobs.LedgerKey
    fact: facts.Fact


@dataclass(frozen=True, slots=True)
class Broke:
    """A notice for a partition's inbox: one of its tasks failed by a bug; the partition must be restarted."""

    task: str
    error: BaseException


Notice = Happened | Broke
