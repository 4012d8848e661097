"""
Remove the folders that rows were written to, when their time after the end of their requests has passed.

What MRS has not ended by then may write once more, so they are removed a second time, see `decide.tracking`. The job of
such a request stays in memory, and in the ledger's tail, until then: so a replica that takes the partition over
continues. A removal may be repeated, by this replica or the next; it needs no ownership.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.common import tasks
from mrs_relay.engine import alarms, timers
from mrs_relay.engine import context as contexts
from mrs_relay.engine.model import facts, jobs

_log = structlog.get_logger(__name__)

_AGAIN_MS: Final = 600_000
"""Wait after a failed removal."""

_GIVE_UP_MS: Final = 7 * 86_400_000
"""A removal that fails for so long is given up, so that memory does not fill with requests."""


class RowRemoval:
    """
    Remove folders of one partition's jobs, one job after the other.

    Args:
        context: dependencies; makes the calls to OBS.
        alarm: the partition's timers.
        task_supervisor: runs the removal; ends with the lease.
        report: called with the key of a job and the fact that its folders are gone.
    """

    def __init__(
        self,
        context: contexts.TenantContext,
        alarm: timers.Timers,
        task_supervisor: tasks.TaskSupervisor,
        report: Callable[[jobs.LedgerKey, facts.Fact], None],
    ) -> None:
        self._calls = context.submitter
        self._counts = context.counts
        self._time = context.time
        self._alarm = alarm
        self._task_supervisor = task_supervisor
        self._report = report
        self._due: dict[jobs.LedgerKey, jobs.Job] = {}

    def remove_in_time(self, key: jobs.LedgerKey, job: jobs.Job, in_memory: Mapping[jobs.LedgerKey, jobs.Job]) -> None:
        """Set the timer for a job that has ended; `in_memory` is a live view, read again when it is due."""
        self._remove_at(job.rows_until_ms, key, in_memory)

    def _remove_at(self, when_ms: int, key: jobs.LedgerKey, in_memory: Mapping[jobs.LedgerKey, jobs.Job]) -> None:
        def due() -> None:
            job = in_memory.get(key)
            if job is None or not 0 < job.rows_until_ms <= self._time.now_ms():
                return  # gone already, or its end was settled again since
            if not self._due:
                self._task_supervisor.start(self._remove_due(in_memory), name="remove folders of rows")
            self._due[key] = job

        self._alarm.at(when_ms, due)

    async def _remove_due(self, in_memory: Mapping[jobs.LedgerKey, jobs.Job]) -> None:
        while self._due:
            key, job = next(iter(self._due.items()))
            try:
                removed = await self._calls.remove_rows(job)
                _log.info("rows_removed", request=job.id, objects=removed, again=job.rows_removed)
                is_over = True
            except Exception as error:  # noqa: BLE001 - a bug that one job triggers must not stop its partition
                is_over = self._time.now_ms() >= job.rows_until_ms + _GIVE_UP_MS
                if isinstance(error, errors.ObsError):
                    _log.warning("rows_not_removed", request=job.id, error=str(error), given_up=is_over)
                else:
                    alarms.note(self._counts, "remove_rows", error, request=job.id)

            del self._due[key]
            if is_over:
                self._report(key, facts.RowsRemoved())
            else:
                self._remove_at(self._time.now_ms() + _AGAIN_MS, key, in_memory)
