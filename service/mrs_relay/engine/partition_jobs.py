"""
Hold the committed jobs of one partition, and load them from its ledger.

A job that has ended leaves memory with the commit of its end: its ledger record is cold, and the index in
`kafka.cold_records` has its offset. A fact that needs it again waits until its record has been read, see `recall`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from mrs_relay.common import tasks
from mrs_relay.engine import context as contexts
from mrs_relay.engine import event_builder, resting_jobs
from mrs_relay.engine.model import cold_jobs, decisions, job_records, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.kafka import cold_records
from mrs_relay.kafka import lease as leases

WAITING: Final = frozenset({jobs.State.QUEUED, jobs.State.CHOOSING})
"""States of a request that waits for its submission."""


class Jobs(resting_jobs.RestingJobs):
    """
    A partition's jobs as committed, without those whose records are cold; most of those that run rest.

    Args:
        committed: the jobs to begin with.
        cold: the other records of the partition's ledger; None: all jobs stay in memory.

    Attributes:
        awaited: number of cancels that wait for their request.
        queued: number of jobs that wait for their submission.
        late: number of jobs whose rows come late.
        rejected: key of each remembered rejection -> when it is due to be forgotten, the oldest first.
    """

    def __init__(
        self,
        committed: Mapping[jobs.LedgerKey, jobs.Job] | None = None,
        cold: cold_records.ColdRecords | None = None,
    ) -> None:
        super().__init__(committed)
        self._cold = cold
        self._recalled: dict[jobs.LedgerKey, int] = {}
        self._without_record: set[jobs.LedgerKey] = set()
        self.awaited = 0
        self.queued = 0
        self.late = 0
        self.rejected = {key: job.expires_ms for key, job in self.items() if _is_rejected(job)}

    def clear(self) -> None:
        """Forget all jobs."""
        super().clear()
        self.rejected.clear()

    def commit(self, key: jobs.LedgerKey, job: jobs.Job | None) -> None:
        """Take a job's new state from the last commit; None: it was forgotten. A job that has ended leaves memory."""
        self._recalled.pop(key, None)
        self._without_record.discard(key)
        if job is None:
            self.discard(key)
            if self._cold is not None:
                self._cold.deleted(key)
        elif self._cold is not None and cold_jobs.is_cold(job):
            self.discard(key)
            self._cold.put(key, self._cold.offset_of(key), job.expires_ms)
        else:
            self[key] = job
        self.note_rejected(key, job)

    def is_cold(self, key: jobs.LedgerKey) -> bool:
        """Return whether a job that is not in memory may have the key: recall it before a fact of it is decided."""
        return self._cold is not None and key not in self and key in self._cold and key not in self._without_record

    async def recall(self, keys: Collection[jobs.LedgerKey]) -> None:
        """
        Read the jobs of cold keys into memory, until `put_back`.

        Raises:
            StreamDown: Kafka does not answer, or a record is gone: the partition must be restored.
            StateUnreadable: a record is not a job of a format this version knows.
        """
        if self._cold is None or not keys:
            return
        found = await self._cold.take(keys)
        for key in keys:
            record = found.get(key)
            if record is None:
                self._without_record.add(key)  # another key has the same fingerprint
            else:
                self[key] = _read(record.value or b"")
                self._recalled[key] = record.offset

    def is_recalled(self, key: jobs.LedgerKey) -> bool:
        """Return whether a job is in memory only until `put_back`."""
        return key in self._recalled

    def put_back(self) -> None:
        """Let the recalled jobs leave memory again that no commit has changed."""
        self._without_record.clear()
        while self._recalled and self._cold is not None:
            key, offset = self._recalled.popitem()
            self._cold.put(key, offset, self.pop(key).expires_ms)

    def note_rejected(self, key: jobs.LedgerKey, job: jobs.Job | None) -> None:
        """Update `rejected` for a job's new state."""
        if job is not None and job.state is jobs.State.REJECTED:
            self.rejected.pop(key, None)  # the newest is the last
            self.rejected[key] = job.expires_ms
        elif self.rejected:
            self.rejected.pop(key, None)


async def load(
    lease: leases.Lease[contexts.Notice],
    config: decisions.DecisionConfig = decisions.DecisionConfig(),  # noqa: B008 - frozen
    most_rejected: int = 10_000,
) -> Jobs:
    """
    Load the partition's jobs from its ledger, with pauses for other work; empties `lease.restored` on the way.

    Rejections beyond the present settings, by age or by number, are due to be forgotten at once.

    Args:
        lease: of the partition.
        config: says how long a rejection is remembered.
        most_rejected: most rejections to remember.

    Raises:
        StateUnreadable: a record is not a job of a format this version knows.
    """
    restored = lease.restored
    loaded = Jobs(cold=lease.cold)
    read: list[tuple[jobs.LedgerKey, jobs.Job]] = []
    rejected: list[tuple[int, int, jobs.LedgerKey]] = []
    async for keys in tasks.slices(list(restored)):
        for key in map(jobs.LedgerKey, keys):
            value = restored.pop(key)
            job = _read(value)
            if job.state is jobs.State.REJECTED:
                until_ms = min(job.expires_ms, job.arrived_ms + config.remember_rejected_ms)
                loaded[key] = msgspec.structs.replace(event_builder.rejected(job, 0, config), expires_ms=until_ms)
                rejected.append((until_ms, job.order, key))
                continue
            loaded.restore(key, job, value)
            read.append((key, job))
            loaded.awaited += job.state is jobs.State.PENDING_CANCEL
            loaded.queued += job.state in WAITING
            loaded.late += is_late(job)

    # Only the newest rejections are kept; the others are due now.
    rejected.sort()
    for _, _, key in rejected[: max(0, len(rejected) - most_rejected)]:
        loaded[key] = msgspec.structs.replace(loaded[key], expires_ms=0)
    for _, _, key in rejected:
        loaded.note_rejected(key, loaded[key])
        read.append((key, loaded[key]))
    loaded.keep_read(read)
    return loaded


def is_late(job: jobs.Job | None) -> bool:
    """Return whether the rows of a job come late."""
    return job is not None and job.late_until_ms > 0


def _read(value: bytes) -> jobs.Job:
    job = job_records.read(value)
    if job.kind:
        kinds.of(job)  # refuses a kind that only a later version knows
    return job


def _is_rejected(job: jobs.Job | None) -> bool:
    return job is not None and job.state is jobs.State.REJECTED
