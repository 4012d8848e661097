"""What goes on outside for one job at a time: its submission on its way, its timers, the tasks that work for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from mrs_relay.engine import timers
from mrs_relay.engine.model import jobs


@dataclass(slots=True)
class Activity:
    """
    What a partition does for one job under way.

    Attributes:
        sent: the job as committed before the submission whose outcome is awaited.
        stopping: asks MRS again and again to stop the job.
        choosing: chooses the job's cluster.
        entry: the timer of its next attempt to enter the queue.
        deadline_ms: the deadline that it has now, epoch milliseconds; 0: none.
        deadline: the timer of that.
    """

    sent: jobs.Job | None = None
    stopping: asyncio.Task[None] | None = None
    choosing: asyncio.Task[None] | None = None
    entry: timers.Number | None = None
    deadline_ms: int = 0
    deadline: timers.Number | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing goes on any more."""
        return (
            self.sent is None
            and self.stopping is None
            and self.choosing is None
            and self.entry is None
            and self.deadline is None
        )


class Activities(dict[jobs.LedgerKey, Activity]):
    """The activities of a partition's jobs; jobs for which nothing goes on have none."""

    def of(self, key: jobs.LedgerKey) -> Activity:
        """Return the activity of a job, made when it is asked for."""
        activity = self.get(key)
        if activity is None:
            activity = self[key] = Activity()
        return activity

    def drop_if_over(self, key: jobs.LedgerKey) -> None:
        """Forget a job for which nothing goes on any more."""
        activity = self.get(key)
        if activity is not None and activity.is_over:
            del self[key]

    def stop_stopping(self, key: jobs.LedgerKey) -> None:
        """Ask MRS no more to stop a job."""
        activity = self.get(key)
        if activity is not None and activity.stopping is not None:
            activity.stopping.cancel()
            activity.stopping = None
            self.drop_if_over(key)

    def stop_choosing(self, key: jobs.LedgerKey) -> None:
        """Choose no cluster for a job any more."""
        activity = self.get(key)
        if activity is not None and activity.choosing is not None:
            activity.choosing.cancel()
            activity.choosing = None
            self.drop_if_over(key)

    def awaits_reply(self, key: jobs.LedgerKey, job: jobs.Job) -> bool:
        """Whether the outcome of this very submission is awaited."""
        activity = self.get(key)
        return activity is not None and activity.sent is job

    def await_no_reply(self, key: jobs.LedgerKey) -> None:
        """Note that no outcome of a submission is awaited any more."""
        activity = self.get(key)
        if activity is not None:
            activity.sent = None
            self.drop_if_over(key)
