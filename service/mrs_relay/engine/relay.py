"""
The loop of one partition: take, read, decide, commit, act. Start reading here.

    Kafka → stream/feed → engine/intake → engine/decide → stream/ledger → engine/perform → mrs/client → MRS
            take          read            decide (pure)   commit          act, after the commit
                               ↑                                               │
                               └─── facts: replies, poll results, timers ──────┘

The runtime runs `relay` once for every partition we own, after the restore. It is the only task that touches the
partition's jobs. It ends when the process stops or the partition is lost; what was not committed has not happened.
"""

from __future__ import annotations

from mrs_relay.engine import desk as desks
from mrs_relay.engine import partition_jobs, perform, plan
from mrs_relay.stream import feed as feeds
from mrs_relay.stream import lease as leases


async def relay(lease: leases.Lease[desks.Notice], desk: desks.Desk) -> None:
    """
    Carry requests through to their last event, as long as the partition is ours.

    Raises:
        StreamError: the partition was lost or a commit's outcome is unknown; the runtime restores and starts anew.
    """
    jobs = partition_jobs.load(lease, desk.rules, desk.settings.max_rejected)
    async with perform.Performer(lease, desk) as performer:
        desk.account.queue(lease, jobs.queued)
        performer.take_up(jobs, jobs.rejected)
        while (batch := await performer.take()) is not None:  # 1 take: messages, and facts from outside
            rest: feeds.Batch[desks.Notice] | None = batch
            while rest is not None:  # as many commits as it takes to keep each within its bytes
                draft = plan.Plan(jobs, desk, lease, performer.admit)
                for key, fact in draft.read(rest):  # 2 read: what each means for which job
                    draft.decide(key, fact)  # 3 decide: pure
                if rest.records or not draft.is_empty:
                    epoch = await lease.commit(
                        draft.changes(), draft.outgoing(), draft.next_offset
                    )  # 4 commit: all or none
                    for key, job, command in draft.settle():
                        performer.perform(key, job, command, epoch)  # 5 act: only what is committed
                rest = draft.rest
