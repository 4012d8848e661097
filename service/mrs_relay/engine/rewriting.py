"""
Write jobs again to which nothing happens, so that all jobs in memory have a record near the end of the ledger.

`kafka.live_tail` says which; what is written is the job as committed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import records

_MOST: Final = 64
"""Most jobs that a commit writes again."""


def changes(
    lease: leases.Lease[contexts.Notice],
    base: partition_jobs.Jobs,
    changed: Collection[jobs.LedgerKey],
    bytes_left: int,
    now_s: float,
    ledger: int,
) -> list[records.Change]:
    """
    Return the jobs that the next commit should write again.

    Args:
        lease: of the partition.
        base: the partition's jobs as committed.
        changed: keys that the commit writes anyway.
        bytes_left: most bytes to write; one job may always be written.
        now_s: a monotonic clock, in seconds.
        ledger: the format to write.
    """
    again: list[records.Change] = []
    tail = lease.tail
    if tail is None:
        return again

    tail.plan(base.keys(), changed, now_s)
    while len(again) < _MOST and (key := tail.next_behind()) is not None:
        name = jobs.LedgerKey(key)
        job = base.get(name)
        if job is None or base.is_recalled(name):
            continue  # remembered or deleted: memory needs no record of it

        value = job_records.encode(job, ledger)
        size_bytes = records.size_bytes(key, value)
        fits = size_bytes <= lease.limit_bytes(None)
        if not fits or (again and size_bytes > bytes_left):
            tail.leave(key)  # what does not fit at all keeps the tail where it is
            break
        bytes_left -= size_bytes
        again.append(records.Change(key, value))
    return again
