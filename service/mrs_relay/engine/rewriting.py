"""
Write jobs again to which nothing happens, so that all jobs in memory have a record near the end of the ledger.

`kafka.live_tail` says which; what is written is the job as committed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import structlog

from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import records

_log = structlog.get_logger(__name__)

_ADVICE: Final = "raise max.message.bytes of the ledger's topic; until the job ends, a restart reads more of the ledger"

_MOST: Final = 64
"""
Most jobs that a commit writes again; half as many as it writes anyway, if that is more. So the tail grows little while
this lasts.
"""


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
    most = max(_MOST, len(changed) // 2)
    while len(again) < most and (key := tail.next_behind()) is not None:
        name = jobs.LedgerKey(key)
        job = base.get(name)
        if job is None or base.is_recalled(name):
            continue  # remembered or deleted: memory needs no record of it

        value = job_records.encode(job, ledger)
        size_bytes = records.size_bytes(key, value)
        if size_bytes > (limit_bytes := lease.limit_bytes(None)):
            most -= 1  # it took as long as one that is written
            if tail.keep_in_place(key):
                sizes = {"size_bytes": size_bytes, "limit_bytes": limit_bytes}
                _log.warning("job_too_large", request=job.id, partition=lease.partition, **sizes, advice=_ADVICE)
            continue
        if again and size_bytes > bytes_left:
            tail.leave(key)
            break
        bytes_left -= size_bytes
        again.append(records.Change(key, value))
    return again
