"""Dependencies that all partitions of one tenant share in a process: settings, time, MRS, scheduler and trackers."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from mrs_relay.common import clock
from mrs_relay.engine import held_jobs, tracing, views
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.execution import chunk_sink, cluster_selector, submitter
from mrs_relay.engine.lineage import recorder
from mrs_relay.engine.model import decisions, facts, jobs
from mrs_relay.engine.scheduling import controls, lanes, quota, scheduler
from mrs_relay.engine.trackers import cluster_tracker, job_tracker
from mrs_relay.kafka import ledger_format as formats
from mrs_relay.messages import events

Mode = events.Mode


@dataclass(frozen=True, slots=True)
class Topics:
    """
    Names of the topics, and the format of events.

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
class TenantContext:
    """
    Dependencies of the partitions of one tenant.

    Attributes:
        commit_interval_s: seconds between the starts of two commits of a partition under load.
        scheduler: admits queued jobs.
        lanes: bounds the calls in flight.
        quota: the tenant's policy, and its usage against the limits.
        controls: those in effect in this process.
        held: partition -> its jobs that wait for something of their own, for people who ask why.
        lineage: where run events are written; None: none are.
        ledger_format: of the jobs that are written.
        traces: observe commits.
        chunks: takes rows in chunks; None: there is no topic for them.
    """

    settings: engine_settings.EngineSettings
    commit_interval_s: float
    config: decisions.DecisionConfig
    topics: Topics
    time: clock.Clock
    scheduler: scheduler.SubmissionScheduler
    tracker: job_tracker.JobTracker
    cluster_tracker: cluster_tracker.ClusterTracker
    cluster_selector: cluster_selector.ClusterSelector
    submitter: submitter.Submitter
    lanes: lanes.Lanes
    counts: views.Counts
    quota: quota.TenantQuota
    controls: controls.Controls = field(default_factory=controls.Controls)
    held: dict[int, held_jobs.HeldJobs] = field(default_factory=dict)
    lineage: recorder.Target | None = None
    ledger_format: int = formats.FORMAT
    traces: tracing.Traces = tracing.OFF
    chunks: chunk_sink.ChunkSink | None = None


class FactNotice(msgspec.Struct, frozen=True, gc=False):
    """A notice for a partition's inbox: a fact about a job."""

    key: jobs.LedgerKey
    fact: facts.Fact


class TaskCrashed(msgspec.Struct, frozen=True):
    """A notice for a partition's inbox: one of its tasks failed by a bug; the partition must be restarted."""

    task: str
    error: BaseException


Notice = FactNotice | TaskCrashed
