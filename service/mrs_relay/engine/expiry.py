"""
Forget expired jobs and cancels, but only after the messages that were sent in time have been read.

After an outage, or behind a backlog, the topic may hold unread messages: the request of a waiting cancel, or the
repetition of a request that is about to be forgotten. So an expired entry waits until its partition has been read up to
the end that it had at that moment. A cancel that was passed on waits for the other partitions, too.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.common import clock, tasks
from mrs_relay.engine import context as contexts
from mrs_relay.engine import timers
from mrs_relay.engine.model import jobs
from mrs_relay.kafka import cold_records
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import progress as progresses

_log = structlog.get_logger(__name__)

_LOOK_AGAIN_S: Final = 0.5
"""Seconds between two checks of this partition's progress; a check costs nothing."""

_ASK_AGAIN_S: Final = 2.0
"""Seconds between two queries to Kafka; the next query covers all entries that expire in between."""

_REJECTIONS_AGAIN_MS: Final = 1000
_REJECTIONS_AT_ONCE: Final = 5000
"""Most rejections to forget within a second; each is a write to the ledger."""

_COLD_AGAIN_MS: Final = 2000
_COLD_AT_ONCE: Final = 1000
"""Most cold jobs to forget within two seconds; each is read from the ledger before, and is a write to it."""

NO_REJECTIONS: Final[Mapping[jobs.LedgerKey, int]] = MappingProxyType({})

T = TypeVar("T")


class Kind(enum.Enum):
    """Kind of an entry that expires."""

    JOB = "a request that is remembered"
    CANCEL = "a cancel that waits for its request"
    PASSED_CANCEL = "a cancel that was passed on to all other partitions, too"


class Expiry:
    """
    Hold the expired entries of one partition until the messages sent before have been read.

    Args:
        lease: of the partition.
        context: dependencies; holds the number of partitions and the bound of waiting cancels.
        task_supervisor: runs the waiting tasks; ends with the lease.
        on_expired: called with the key of each job that may be forgotten.

    Attributes:
        has_caught_up: all messages that the partition held when the lease began have been read.
    """

    def __init__(
        self,
        lease: leases.Lease[contexts.Notice],
        context: contexts.TenantContext,
        task_supervisor: tasks.TaskSupervisor,
        on_expired: Callable[[jobs.LedgerKey], None],
    ) -> None:
        self._lease = lease
        self._context = context
        self._task_supervisor = task_supervisor
        self._on_expired = on_expired
        self._waiting: dict[Kind, dict[jobs.LedgerKey, None]] = {kind: {} for kind in Kind}
        self._asked_s = dict.fromkeys(Kind, float("-inf"))
        self.has_caught_up = lease.progress is None

    def start(self) -> None:
        """Begin to observe this partition's progress up to its present end."""
        if self._lease.progress is not None:
            self._task_supervisor.start(self._catch_up(self._lease.progress), name="catch up")

    def due(self, key: jobs.LedgerKey, kind: Kind) -> None:
        """Forget a job or cancel once all messages sent before now have been read."""
        progress = self._lease.progress
        if progress is None:
            self._on_expired(key)
            return

        waiting = self._waiting[kind]
        if not waiting:
            self._task_supervisor.start(self._settle(progress, kind), name=f"expire {kind.name}")
        waiting[key] = None
        if kind is not Kind.JOB and len(waiting) > max(1, self._context.settings.max_waiting_cancels):
            self._forget(kind, next(iter(waiting)))  # the bound of cancels holds even while messages are unread

    def waiting(self, kind: Kind) -> int:
        """Return the number of entries that are due and wait for messages to be read."""
        return len(self._waiting[kind])

    async def _catch_up(self, progress: progresses.Progress) -> None:
        await self._until_read_here(progress)
        self.has_caught_up = True

    async def _settle(self, progress: progresses.Progress, kind: Kind) -> None:
        """Query for all waiting entries together, at most once in `_ASK_AGAIN_S` seconds."""
        while self._waiting[kind]:
            await asyncio.sleep(self._asked_s[kind] + _ASK_AGAIN_S - self._context.time.monotonic_s())
            self._asked_s[kind] = self._context.time.monotonic_s()
            keys = list(self._waiting[kind])  # later ones need the partition's end of a later moment

            if kind is Kind.PASSED_CANCEL:
                await self._until_read_elsewhere(progress)
            await self._until_read_here(progress)

            for key in keys:
                self._forget(kind, key)

    def _forget(self, kind: Kind, key: jobs.LedgerKey) -> None:
        if key in self._waiting[kind]:
            del self._waiting[kind][key]
            self._on_expired(key)

    async def _until_read_elsewhere(self, progress: progresses.Progress) -> None:
        ends = await self._answer(lambda: progress.ends_of_others(self._context.quota.share.total))
        while True:
            if await self._answer(lambda: progress.are_read(ends)):
                return
            await asyncio.sleep(_ASK_AGAIN_S)

    async def _until_read_here(self, progress: progresses.Progress) -> None:
        """Wait for this partition, after the others: a partition that has the request sends its reply to this one."""
        end = await self._answer(progress.end)
        while True:
            if self._lease.done_to >= end:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Query Kafka until it answers."""
        while True:
            try:
                return await ask()
            except errors.StreamDown as error:
                _log.info("expiry_delayed", partition=self._lease.partition, error=str(error))
            await asyncio.sleep(_ASK_AGAIN_S)


class Rejections:
    """
    Forget remembered rejections in time, with one timer for all of them.

    Args:
        expiry: knows whether the partition has been read up to its end of the lease's beginning.
        alarm: the partition's timers.
        time: wall time.
        forget: called with the key of each rejection that may be forgotten.
    """

    def __init__(
        self, expiry: Expiry, alarm: timers.Timers, time: clock.Clock, forget: Callable[[jobs.LedgerKey], None]
    ) -> None:
        self._expiry = expiry
        self._alarm = alarm
        self._time = time
        self._forget = forget
        self._rejected = NO_REJECTIONS
        self._is_set = False
        self._last_forgotten = jobs.LedgerKey(b"")

    def start(self, rejected: Mapping[jobs.LedgerKey, int]) -> None:
        """Begin with a live view of the rejections: key -> when due, the oldest first."""
        self._rejected = rejected
        self.forget_in_time()

    def forget_in_time(self) -> None:
        """Set the timer for the oldest rejection, unless it is set."""
        if not self._is_set and (first_ms := next(iter(self._rejected.values()), None)) is not None:
            self._is_set = True
            soonest_ms = self._time.now_ms() + _REJECTIONS_AGAIN_MS
            self._alarm.at(max(first_ms, soonest_ms), self._forget_due)

    def _forget_due(self) -> None:
        """Forget the due rejections, unless earlier reports of some still wait for their decision."""
        self._is_set = False
        now_ms = self._time.now_ms()
        if self._expiry.has_caught_up and self._rejected.get(self._last_forgotten, now_ms + 1) > now_ms:
            for key, until_ms in itertools.islice(self._rejected.items(), _REJECTIONS_AT_ONCE):
                if until_ms > now_ms:
                    break
                self._last_forgotten = key
                self._forget(key)
        self.forget_in_time()


class ColdExpiry:
    """
    Forget jobs in time whose records are cold, with one timer for all of them.

    Their keys are in the ledger alone, so those that are due are read from there, some at a time.

    Args:
        cold: the cold records of the partition; None: there are none.
        expiry: waits for the messages that were sent before.
        alarm: the partition's timers.
        task_supervisor: runs the reading; ends with the lease.
        time: wall time.
    """

    def __init__(
        self,
        cold: cold_records.ColdRecords | None,
        expiry: Expiry,
        alarm: timers.Timers,
        task_supervisor: tasks.TaskSupervisor,
        time: clock.Clock,
    ) -> None:
        self._cold = cold
        self._expiry = expiry
        self._alarm = alarm
        self._task_supervisor = task_supervisor
        self._time = time
        self._is_set = False

    def look_in_time(self) -> None:
        """Set the timer for the cold jobs that are due first, unless it is set, or not all of them are known yet."""
        if self._cold is None or self._is_set or not self._cold.is_complete:
            return
        if (first_ms := self._cold.next_due_ms) is not None:
            self._is_set = True
            self._alarm.at(max(first_ms, self._time.now_ms() + _COLD_AGAIN_MS), self._look)

    def _look(self) -> None:
        if self._cold is not None:
            self._task_supervisor.start(self._read_due(self._cold), name="expire cold jobs")

    async def _read_due(self, cold: cold_records.ColdRecords) -> None:
        try:
            # While the partition is behind, those that wait already are enough.
            if self._expiry.waiting(Kind.JOB) < _COLD_AT_ONCE:
                for key in await cold.due(self._time.now_ms(), _COLD_AT_ONCE):
                    self._expiry.due(jobs.LedgerKey(key), Kind.JOB)
        except errors.StreamError as error:
            _log.warning("cold_jobs_not_expired", error=str(error))
        self._is_set = False
        self.look_in_time()
