"""
Count a tenant's jobs by state, and find those that wait longest or are overdue, for metrics.

A partition may have 100,000 jobs, so they are counted in slices between which the event loop does its other work. Jobs
that rest are not read for it. The next count begins after a pause that is long beside the last one: all counting takes
less than half a per cent of a processor. The numbers are as old as that pause.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mrs_relay.common import clock
from mrs_relay.engine import held_jobs, overdue, resting_jobs
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import jobs

_SLICE: Final = 1_000
"""Jobs that are counted at once: about a millisecond."""

_PAUSE_S: Final = 5.0
_PAUSE_FACTOR: Final = 200.0
"""A pause is at least so many times as long as the counting before it."""

_TIMED_IDS: Final = frozenset(map(id, (jobs.State.SUBMITTING, jobs.State.IN_DOUBT, jobs.State.CANCELLING)))
"""States whose jobs do not say since when they are in it: the census notes when it first saw them there."""

_WAITING_IDS: Final = frozenset(map(id, (jobs.State.QUEUED, jobs.State.CHOOSING)))
_FOLLOWED_IDS: Final = frozenset(map(id, (jobs.State.SUBMITTED, jobs.State.RUNNING, jobs.State.COLLECTING)))

_Timed = tuple[int, jobs.LedgerKey, jobs.State]
"""A job in a state that is timed: its partition, its key, the state."""


@dataclass(slots=True)
class Census:
    """
    The jobs of one tenant in this process.

    Attributes:
        states: jobs in memory by state.
        overdue: those that should have left their state, see `overdue`.
        oldest_waiting_ms: cluster -> since when the request that has waited longest might have been submitted, epoch
            milliseconds: its arrival, its `not_before`, or the moment of its next attempt.
    """

    states: Counter[jobs.State] = field(default_factory=Counter)
    overdue: Counter[jobs.State] = field(default_factory=Counter)
    oldest_waiting_ms: dict[str, int] = field(default_factory=dict)


class JobCensus:
    """
    Count the jobs of one tenant again and again.

    Args:
        held: partition -> its jobs, a live view.
        settings: how long look-ups and stops take.
        time: the clock.

    Attributes:
        last: the last complete count.
    """

    def __init__(
        self, held: Mapping[int, held_jobs.HeldJobs], settings: engine_settings.EngineSettings, time: clock.Clock
    ) -> None:
        self.last = Census()
        self._held = held
        self._settings = settings
        self._time = time
        self._since_ms: dict[_Timed, int] = {}

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            took_s = await self.count()
            await asyncio.sleep(max(_PAUSE_S, _PAUSE_FACTOR * took_s))

    async def count(self) -> float:
        """Count all jobs once; returns the seconds that it took, without those between the slices."""
        counting = _Counting(self._settings, self._time.now_ms(), self._since_ms)
        took_s = 0.0
        for partition, held in list(self._held.items()):
            keys = list(held.in_memory)
            for first in range(0, len(keys), _SLICE):
                begun_s = self._time.monotonic_s()
                counting.add(partition, held.in_memory, keys[first : first + _SLICE])
                took_s += self._time.monotonic_s() - begun_s
                await asyncio.sleep(0)

        self.last, self._since_ms = counting.census, counting.since_ms
        return took_s


class _Counting:
    """
    One count under way; `known_ms` is the `since_ms` of the count before.

    States are distinguished by their identity: looking an enum up by its hash would be most of the work.
    """

    def __init__(self, settings: engine_settings.EngineSettings, now_ms: int, known_ms: Mapping[_Timed, int]) -> None:
        self.since_ms: dict[_Timed, int] = {}
        self._census = Census()
        self._counts = dict.fromkeys(map(id, jobs.State), 0)
        self._settings = settings
        self._now_ms = now_ms
        self._known_ms = known_ms

    @property
    def census(self) -> Census:
        """What has been counted."""
        self._census.states = Counter(
            {state: self._counts[id(state)] for state in jobs.State if self._counts[id(state)]}
        )
        return self._census

    def add(self, partition: int, held: resting_jobs.RestingJobs, keys: Sequence[jobs.LedgerKey]) -> None:
        """Count some jobs of a partition; those that were forgotten meanwhile are left out."""
        counts = self._counts
        for key in keys:
            job = held.glance(key)
            if job is None:
                continue
            state = id(job.state)
            counts[state] += 1

            if isinstance(job, resting_jobs.Resting):
                self._look_at_resting(partition, key, job, held)
            elif state in _TIMED_IDS:
                self._look_at_timed(partition, key, job)
            elif state in _WAITING_IDS:
                self._look_at_waiting(job)
            elif state in _FOLLOWED_IDS and (job.run_deadline_ms or job.missing or job.unsettled):
                self._note_if_overdue(job, self._now_ms)

    def _look_at_resting(
        self, partition: int, key: jobs.LedgerKey, resting: resting_jobs.Resting, held: resting_jobs.RestingJobs
    ) -> None:
        if id(resting.state) in _TIMED_IDS:
            self._look_at_timed(partition, key, held[key])  # jobs that are being stopped are few
        elif overdue.is_late(resting.due_ms, self._now_ms):
            self._census.overdue[resting.state] += 1

    def _look_at_timed(self, partition: int, key: jobs.LedgerKey, job: jobs.Job) -> None:
        timed = (partition, key, job.state)
        since_ms = self.since_ms[timed] = self._known_ms.get(timed, self._now_ms)
        self._note_if_overdue(job, since_ms)

    def _look_at_waiting(self, job: jobs.Job) -> None:
        if job.not_before_ms <= self._now_ms:
            oldest_ms = self._census.oldest_waiting_ms
            since_ms = max(job.arrived_ms, job.not_before_ms)
            if since_ms < oldest_ms.get(job.cluster, self._now_ms + 1):
                oldest_ms[job.cluster] = since_ms
        if job.queue_deadline_ms:
            self._note_if_overdue(job, self._now_ms)

    def _note_if_overdue(self, job: jobs.Job, since_ms: int) -> None:
        if overdue.is_overdue(job, self._now_ms, since_ms, self._settings):
            self._census.overdue[job.state] += 1
