"""Keep the running activities of each job: its submission in flight, its timers and its tasks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from mrs_relay.engine import timers
from mrs_relay.engine.model import jobs


@dataclass(slots=True)
class Activity:
    """
    The running activities of one job.

    Attributes:
        sent: the job as committed before the submission whose outcome is awaited.
        stopping: task that repeats the call to stop the job.
        choosing: task that selects the job's cluster.
        entry: timer of its next attempt to enter the queue.
        deadline_ms: its present deadline, epoch milliseconds; 0: none.
        deadline: timer of that deadline.
    """

    sent: jobs.Job | None = None
    stopping: asyncio.Task[None] | None = None
    choosing: asyncio.Task[None] | None = None
    entry: timers.Number | None = None
    deadline_ms: int = 0
    deadline: timers.Number | None = None

    @property
    def is_over(self) -> bool:
        """Whether the job has no activity left."""
        return (
            self.sent is None
            and self.stopping is None
            and self.choosing is None
            and self.entry is None
            and self.deadline is None
        )


class Activities(dict[jobs.LedgerKey, Activity]):
    """The activities of a partition's jobs; a job without a running activity has no entry."""

    def of(self, key: jobs.LedgerKey) -> Activity:
        """Return the activity of a job; creates it if there is none."""
        activity = self.get(key)
        if activity is None:
            activity = self[key] = Activity()
        return activity

    def drop_if_over(self, key: jobs.LedgerKey) -> None:
        """Drop the entry of a job without a running activity."""
        activity = self.get(key)
        if activity is not None and activity.is_over:
            del self[key]

    def stop_stopping(self, key: jobs.LedgerKey) -> None:
        """Cancel the task that repeats the call to stop a job."""
        activity = self.get(key)
        if activity is not None and activity.stopping is not None:
            activity.stopping.cancel()
            activity.stopping = None
            self.drop_if_over(key)

    def stop_choosing(self, key: jobs.LedgerKey) -> None:
        """Cancel the task that selects a job's cluster."""
        activity = self.get(key)
        if activity is not None and activity.choosing is not None:
            activity.choosing.cancel()
            activity.choosing = None
            self.drop_if_over(key)

    def awaits_reply(self, key: jobs.LedgerKey, job: jobs.Job) -> bool:
        """Return whether the outcome of this very submission is awaited."""
        activity = self.get(key)
        return activity is not None and activity.sent is job

    def await_no_reply(self, key: jobs.LedgerKey) -> None:
        """Stop waiting for the outcome of a submission."""
        activity = self.get(key)
        if activity is not None:
            activity.sent = None
            self.drop_if_over(key)
