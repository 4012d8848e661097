"""
Count a tenant's jobs by state, and find those that wait longest or are overdue, for metrics.

A partition may have 100,000 jobs, so they are counted in slices between which the event loop does its other work. The
next count begins after a pause that is long beside the last one: all counting takes less than half a per cent of a
processor. The numbers are as old as that pause.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mrs_relay.common import clock
from mrs_relay.engine import held_jobs, overdue
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import jobs

_SLICE: Final = 2_000
"""Jobs that are counted at once: about a millisecond."""

_PAUSE_S: Final = 5.0
_PAUSE_FACTOR: Final = 200.0
"""A pause is at least so many times as long as the counting before it."""

_WAITING: Final = frozenset({jobs.State.QUEUED, jobs.State.CHOOSING})

_TIMED: Final = frozenset({jobs.State.SUBMITTING, jobs.State.IN_DOUBT, jobs.State.CANCELLING})
"""States whose jobs do not say since when they are in it: the census notes when it first saw them there."""


_Timed = tuple[int, jobs.LedgerKey, jobs.State]
"""A job in one of `_TIMED`: its partition, its key, the state."""


@dataclass(slots=True)
class Census:
    """
    The jobs of one tenant in this process.

    Attributes:
        states: jobs in memory by state.
        overdue: those that should have left their state, see `overdue`.
        oldest_waiting_ms: cluster -> arrival of the request that has waited longest and may go, epoch milliseconds.
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
    """One count under way; `known_ms` is the `since_ms` of the count before."""

    def __init__(self, settings: engine_settings.EngineSettings, now_ms: int, known_ms: Mapping[_Timed, int]) -> None:
        self.census = Census()
        self.since_ms: dict[_Timed, int] = {}
        self._settings = settings
        self._now_ms = now_ms
        self._known_ms = known_ms

    def add(self, partition: int, held: Mapping[jobs.LedgerKey, jobs.Job], keys: Sequence[jobs.LedgerKey]) -> None:
        """Count some jobs of a partition; those that were forgotten meanwhile are left out."""
        states = self.census.states
        for key in keys:
            job = held.get(key)
            if job is None:
                continue
            states[job.state] += 1
            if not jobs.TRAITS[job.state].last:
                self._look_at(partition, key, job)

    def _look_at(self, partition: int, key: jobs.LedgerKey, job: jobs.Job) -> None:
        """Note how long a job that has not ended waits, and whether it is overdue."""
        since_ms = self._now_ms
        if job.state in _TIMED:
            timed = (partition, key, job.state)
            since_ms = self.since_ms[timed] = self._known_ms.get(timed, self._now_ms)
        elif job.state in _WAITING and job.not_before_ms <= self._now_ms:
            oldest_ms = self.census.oldest_waiting_ms
            oldest_ms[job.cluster] = min(oldest_ms.get(job.cluster, job.arrived_ms), job.arrived_ms)
        if overdue.is_overdue(job, self._now_ms, since_ms, self._settings):
            self.census.overdue[job.state] += 1
