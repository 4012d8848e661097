"""Note which jobs of a partition wait for something of their own, and until when; for people who ask why."""

from __future__ import annotations

from dataclasses import dataclass, field

from mrs_relay.engine import resting_jobs
from mrs_relay.engine.model import jobs


@dataclass(slots=True)
class HeldJobs:
    """
    The jobs of one partition that are in no queue, and all of them; the executor keeps it up to date.

    Attributes:
        not_before: job -> the moment of its next attempt to enter the queue, epoch milliseconds.
        in_doubt: job -> the moment at which its look-up gives up, unless MRS does not answer.
        choosing: jobs for which a cluster is being chosen.
        in_memory: all jobs of the partition that are in memory, a live view.
    """

    not_before: dict[jobs.LedgerKey, int] = field(default_factory=dict)
    in_doubt: dict[jobs.LedgerKey, int] = field(default_factory=dict)
    choosing: set[jobs.LedgerKey] = field(default_factory=set)
    in_memory: resting_jobs.RestingJobs = field(default_factory=resting_jobs.RestingJobs)
