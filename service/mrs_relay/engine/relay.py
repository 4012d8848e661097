"""
Run the loop of one partition: take, read, decide, commit, act. Start reading here.

    Kafka → kafka/inbox → engine/intake → engine/decide → kafka/ledger → engine/executor → mrs/client → MRS
            take          read            decide (pure)   commit          act, after the commit
                               ↑                                               │
                               └─── facts: replies, poll results, timers ──────┘

The runtime runs `relay` once for every partition that this process owns, after the restore. It is the only task that
touches the partition's jobs. It ends when the process stops or the partition is lost. Uncommitted changes are dropped.
"""

from __future__ import annotations

from mrs_relay.engine import context as contexts
from mrs_relay.engine import executor as executors
from mrs_relay.engine import partition_jobs, unit_of_work
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases


async def relay(lease: leases.Lease[contexts.Notice], context: contexts.TenantContext) -> None:
    """
    Carry requests through to their last event, as long as this process owns the partition.

    Raises:
        StreamError: the partition was lost or a commit's outcome is unknown; the runtime restores and starts again.
    """
    jobs = await partition_jobs.load(lease, context.config, context.settings.max_rejected)
    async with executors.CommandExecutor(lease, context) as executor:
        context.quota.queue(lease, jobs.queued)
        await executor.resume(jobs, jobs.rejected)
        executor.rest(jobs)

        while (batch := await executor.take()) is not None:  # 1 take: messages, and facts from outside
            rest: inboxes.Batch[contexts.Notice] | None = batch
            while rest is not None:  # split into commits that keep within their budget of bytes
                unit = unit_of_work.UnitOfWork(jobs, context, lease, executor.admit)
                for key, fact in unit.read(rest):  # 2 read: turn each into a fact for a job
                    unit.decide(key, fact)  # 3 decide: pure
                if unit.has_progress(rest):
                    await unit.add_lineage()
                    epoch = await lease.commit(
                        unit.changes(), unit.outgoing(), unit.next_offset
                    )  # 4 commit: all or none
                    for key, job, command in unit.apply():
                        executor.execute(key, job, command, epoch)  # 5 act: only what is committed
                if unit.cold:
                    await jobs.recall(unit.cold)  # ended jobs that the rest needs, from the ledger
                rest = unit.rest
            jobs.put_back()
