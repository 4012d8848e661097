"""A job that waits for its submission, and its rank in the queue."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import kinds

Owner = object
"""What holds entries and slots and may lose them all at once: a partition. Hashable, equal only to itself."""

Holder = tuple[Owner, jobs.LedgerKey]

Place = tuple[str, str]
"""A cluster, and the MRS operation that entries wait for. Only batch jobs take slots, by either API."""

_numbers = itertools.count()


class QueueEntry(NamedTuple):
    """
    A job that waits for its turn; entries compare by their rank, no two have the same.

    Attributes:
        rank: lower goes first; never changes.
        key: the job.
        place: where it wants to go.
        owner: its partition.
        admit: called when it is the job's turn.
    """

    rank: tuple[int, int, int]
    key: jobs.LedgerKey
    place: Place
    owner: Owner
    admit: Callable[[jobs.LedgerKey], None]


def queue_entry(
    key: jobs.LedgerKey, job: jobs.Job, owner: Owner, admit: Callable[[jobs.LedgerKey], None], aging_s: float
) -> QueueEntry:
    """
    Make the entry of a queued job.

    Waiting for `aging_s` seconds is worth one step of priority. The gain is the same for all that wait, so the order of
    two entries never changes, and the rank can be fixed here: a job of priority 0 goes before every job of priority 9
    that arrives more than nine times `aging_s` later. The time before its `not_before` is no waiting.
    """
    since_ms = max(job.arrived_ms, job.not_before_ms)
    rank = (since_ms - job.priority * round(aging_s * 1000), job.order, next(_numbers))
    return QueueEntry(rank, key, kinds.place(job), owner, admit)
