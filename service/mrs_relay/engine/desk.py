"""What all partitions of one process share: settings, time, MRS, the gate and the pollers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from mrs_relay.engine import choosing, clusters, decide, facts, gate, jobs, submitter, tracker, views
from mrs_relay.engine import settings as engine_settings
from mrs_relay.kit import clock
from mrs_relay.messages import events

Mode = events.Mode


@dataclass(slots=True)
class Share:
    """
    How much of the work is this process's; changed only when the group's assignment changes.

    Attributes:
        owned: partitions that this process has.
        total: partitions of the input topic; 0 until it is known.
    """

    owned: int = 0
    total: int = 0


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
        sending: held by each submission in flight.
    """

    settings: engine_settings.EngineSettings
    commit_interval_s: float
    rules: decide.Rules
    topics: Topics
    time: clock.Clock
    gate: gate.Gate
    tracker: tracker.Tracker
    clusters: clusters.Watcher
    chooser: choosing.Chooser
    submitter: submitter.Submitter
    sending: asyncio.Semaphore
    counts: views.Counts
    share: Share


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
