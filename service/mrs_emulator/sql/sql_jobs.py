"""
SQL jobs: SparkSql, HiveSql, SparkScript and HiveScript run on the warehouse while MRS shows them RUNNING.

A job's text is its last argument: SQL, or the path of a .sql object in OBS. Each job is one task that waits for the
job's RUNNING, queues the text, and writes the ending down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from mrs_emulator.core import checks, clock, failures, settings, tasks
from mrs_emulator.jobs import job_index, life, rules
from mrs_emulator.sql import obs, sql, statement, variables

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Run:
    """A SQL job under way: its task, and its place in the warehouse once it is there."""

    task: asyncio.Task[None]
    ticket: sql.Ticket | None = None


class SqlJobs:
    """
    The SQL jobs under way, and the results of those that ended.

    Args:
        warehouse: runs the SQL.
        task_supervisor: owns the tasks.
        folder: OBS, where scripts are.
        timer: the time.
        limits: how many results to remember.
    """

    def __init__(
        self,
        warehouse: sql.Warehouse,
        task_supervisor: tasks.TaskSupervisor,
        folder: obs.Obs,
        timer: clock.Clock,
        limits: settings.Sql,
    ) -> None:
        self._warehouse = warehouse
        self._task_supervisor = task_supervisor
        self._folder = folder
        self._clock = timer
        self._limits = limits
        self._runs: dict[str, _Run] = {}
        self._outcomes: dict[str, sql.Outcome] = {}
        self._stuck: set[str] = set()
        self._flipped: set[str] = set()

    def start(self, records: job_index.JobIndex, job: life.Job, wanted: checks.Submission) -> None:
        """Run a job that was just entered into the book; its ending is written there."""
        reader = _reader(wanted, self._folder)
        spoken: statement.Dialect = "hive" if wanted.job_type.startswith("Hive") else "spark"
        work = sql.Work(reader, spoken, variables=variables.from_arguments(wanted.arguments[:-1]), folder=self._folder)
        task = self._task_supervisor.start(self._play(records, job, work), name=f"sql-job-{job.job_id}")
        self._runs[job.job_id] = _Run(task)
        task.add_done_callback(lambda _: self._runs.pop(job.job_id, None))

    def stop(self, job_id: str) -> None:
        """End a job's SQL as soon as possible; the caller writes the ending into the book."""
        run = self._runs.get(job_id)
        if run is None:
            return
        if run.ticket is None:
            run.task.cancel()
        else:
            run.ticket.cancel()

    def stick(self, job_id: str) -> None:
        """Leave the ending of a job unwritten, whatever its SQL does."""
        self._stuck.add(job_id)

    def flip(self, job_id: str) -> None:
        """Write down the opposite result when the job ends."""
        self._flipped.add(job_id)

    def outcome(self, job_id: str) -> sql.Outcome | None:
        """Return what the statements of an ended job answered; None if it was killed or is no longer remembered."""
        return self._outcomes.get(job_id)

    def forget(self, job_id: str) -> None:
        """Drop the results of a deleted job."""
        self._outcomes.pop(job_id, None)
        self._stuck.discard(job_id)
        self._flipped.discard(job_id)

    async def _play(self, records: job_index.JobIndex, job: life.Job, work: sql.Work) -> None:
        await asyncio.sleep(max(0, job.timetable.running_ms - self._clock.now_ms()) / 1000)
        try:
            ticket, ending = self._warehouse.submit(work)
        except failures.SqlQueueFull as error:
            self._end(records, job.job_id, sql.Outcome((), str(error)))
            return
        self._runs[job.job_id].ticket = ticket
        try:
            outcome = await ending
        except asyncio.CancelledError:
            ticket.cancel()
            raise
        self._end(records, job.job_id, outcome)

    def _end(self, records: job_index.JobIndex, job_id: str, outcome: sql.Outcome) -> None:
        job = records.get(job_id)
        if job is None or job.ending is not None or job_id in self._stuck:  # deleted or killed in the meantime
            return
        at_ms = max(self._clock.now_ms(), job.timetable.running_ms)
        failed = outcome.error is not None
        ending = rules.failure(job.job_type, at_ms) if failed else life.Ending(at_ms, "FINISHED", "SUCCEEDED")
        if job_id in self._flipped:
            ending = life.flipped(ending)
        records.replace(replace(job, ending=ending, error=outcome.error))
        self._outcomes[job_id] = outcome
        while len(self._outcomes) > self._limits.results_kept:
            del self._outcomes[next(iter(self._outcomes))]
        _log.info("emulator.sql_job_ended", job_id=job_id, job_name=job.name, failed=failed)


def _reader(wanted: checks.Submission, folder: obs.Obs) -> Callable[[], str]:
    last = wanted.arguments[-1]
    if wanted.job_type in checks.SCRIPT_TYPES:
        return lambda: folder.read_text(last)
    return lambda: last
