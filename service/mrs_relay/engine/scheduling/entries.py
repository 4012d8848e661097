"""The queue entry of a job that waits for its submission, with its rank."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import kinds

Owner = object
"""A partition, which holds entries and slots and may lose them all at once. Hashable, equal only to itself."""

Holder = tuple[Owner, jobs.LedgerKey]

Place = tuple[str, str]
"""A cluster, and the MRS operation that entries wait for. Only batch jobs take slots, by either API."""

_numbers = itertools.count()


class QueueEntry(NamedTuple):
    """
    A job that waits for its turn; entries compare by their rank, which is unique.

    Attributes:
        rank: lower is first; never changes.
        key: the job's ledger key.
        place: the cluster and operation that it waits for.
        owner: its partition.
        admit: called when the job gets its turn.
        reject: called when a control rejects the job while it is held.
        job: as it was queued; controls go by it.
    """

    rank: tuple[int, int, int]
    key: jobs.LedgerKey
    place: Place
    owner: Owner
    admit: Callable[[jobs.LedgerKey], None]
    reject: Callable[[jobs.LedgerKey], None]
    job: jobs.Job

    @property
    def since_ms(self) -> int:
        """Since when the job waits, epoch milliseconds."""
        return _since_ms(self.job)

    @property
    def holder(self) -> Holder:
        """The job, by its partition and key."""
        return self.owner, self.key

    def again(self) -> QueueEntry:
        """Return the same entry for one more place in a queue: a withdrawn one may still be there."""
        return self._replace(rank=(*self.rank[:2], next(_numbers)))


def queue_entry(
    key: jobs.LedgerKey,
    job: jobs.Job,
    owner: Owner,
    admit: Callable[[jobs.LedgerKey], None],
    reject: Callable[[jobs.LedgerKey], None],
    aging_s: float,
) -> QueueEntry:
    """
    Build the entry of a queued job.

    A wait of `aging_s` seconds is worth one step of priority. The gain is the same for all waiting entries, so the
    order of two entries never changes, and the rank is fixed here. A job of priority 0 is admitted before every job of
    priority 9 that arrives more than nine times `aging_s` later. The time before its `not_before` does not count.
    """
    since_ms = _since_ms(job)
    rank = (since_ms - job.priority * round(aging_s * 1000), job.order, next(_numbers))
    return QueueEntry(rank, key, kinds.place(job), owner, admit, reject, job)


def _since_ms(job: jobs.Job) -> int:
    return max(job.arrived_ms, job.not_before_ms)
