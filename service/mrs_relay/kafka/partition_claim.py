"""
Claim a partition: confirm the membership, open the ledger, find the first offset, and make a lease of it.

It keeps what outlives a lease: how large commits may be, the committed offset, and whether another process has claimed
the partition since the last claim.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.kafka import budget as budgets
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import older_records, progress, records, start_offset, worker_context

T = TypeVar("T")

log = structlog.get_logger(__name__)


class PartitionClaim(Generic[T]):
    """
    Claims one partition for one lease after the other.

    Attributes:
        committed_offset: the input offset known to be committed when the last lease ended; None before that.
        topic_id: of the input topic that the last lease reads.

    Args:
        position: the input partition.
        common: dependencies that all workers share.
    """

    def __init__(self, position: records.Position, common: worker_context.WorkerContext[T]) -> None:
        self.committed_offset: int | None = None
        self.topic_id: str | None = None
        self._position = position
        self._common = common
        self._budget = budgets.CommitBudget(common.kafka.commit_bytes, common.kafka.commit_timeout_s / 4, common.counts)
        self._last_claim: int | None = None
        self._last_lease: leases.Lease[T] | None = None
        self._reads_whole = False
        self._foreign_in_a_row = 0
        self._log = log.bind(topic=position.topic, partition=position.partition)

    def forget(self) -> None:
        """Forget the last claim after a rebalance: others may have claimed the partition by right."""
        self._last_claim = None

    async def confirm_membership(self) -> None:
        """
        Make sure, after a failure, that we are still a member of the group before we fence the owner of the partition.

        The group accepts an offset from members of the present generation only. A member that was put out without
        noticing finds out here, instead of competing with its successor. Before our first own offset, the group's is
        committed once more.
        """
        consumer = self._common.consumer
        offset = self.committed_offset
        if offset is not None:
            await consumer.commit({self._position: offset})
        elif (offset := await consumer.committed(self._position)) is not None:
            # Keep the mark of its writer: our mark would make a first start look like a lost ledger.
            await consumer.commit({self._position: offset}, mirror=await consumer.is_mirror(self._position))

    async def open_lease(self, ledger: ledgers.Ledger, *, confirm: bool) -> leases.Lease[T]:
        """
        Claim the partition, restore its ledger, and find the offset at which the input continues.

        Args:
            ledger: of the partition, not yet open.
            confirm: whether to confirm the membership before the owner is fenced, as after a failure.
        """
        common = self._common
        where = start_offset.StartOffset(self._position, common.kafka, common.consumer, common.first_partitions)
        await where.keep_if_new()
        mirrored = await where.mirrored()

        # Reading comes before fencing and may take long, so the membership is confirmed between the two.
        last, self._last_lease = self._last_lease, None  # its index is as large as the one that is read now
        if last is not None and isinstance(last.death, older_records.OlderDiffers):
            self._reads_whole = True
        elif last is not None and last.tail is not None and last.tail.noted:
            self._reads_whole = False  # it has noted a tail of its own since the whole was read
        del last
        ledger.reads_whole = self._reads_whole
        try:
            restored = await ledger.open(self._last_claim, self.confirm_membership if confirm else None)
        except older_records.OlderDiffers:
            self._reads_whole = True
            raise
        self._count_foreign(restored)
        next_offset = restored.next_offset
        where.require_not_behind(next_offset, mirrored)

        # The topic's id is noted at the first start, after an accepted recreation, and for ledgers without one.
        place = await (where.first() if next_offset is None else where.within(next_offset, restored.topic_id))
        if next_offset is None or place.topic_id != restored.topic_id:
            ledger.topic_id = place.topic_id
            await ledger.commit([], [], place.offset)
        if next_offset is None:
            self._log.warning("first_start", next_offset=place.offset)
        next_offset, self.topic_id = place

        inbox: inboxes.Inbox[T] = inboxes.Inbox(
            capacity=common.kafka.feed_records,
            capacity_bytes=common.kafka.feed_bytes,
            next_offset=next_offset,
            on_room=common.on_room,
        )
        reading = progress.Progress(self._position, common.consumer)
        start = leases.Start(
            restored.state, next_offset, restored.claimed_at_s, self._budget, reading, ledger.cold, ledger.tail
        )
        stale_after_s = common.kafka.session_timeout_ms / 1000
        lease = leases.Lease(self._position, start, inbox, ledger, clock=common.clock, stale_after_s=stale_after_s)
        self._last_lease = lease
        return lease

    def _count_foreign(self, restored: ledgers.Restored) -> None:
        if self._last_claim is None or not restored.foreign_claims:
            self._foreign_in_a_row = 0
        else:
            self._foreign_in_a_row += 1
            self._log.warning(
                "ledger_claimed_elsewhere", times=restored.foreign_claims, in_a_row=self._foreign_in_a_row
            )
        self._last_claim = restored.claim_offset

        if self._foreign_in_a_row >= self._common.kafka.fenced_limit:
            kafka = self._common.kafka
            self._common.on_fatal(
                errors.SettingsError(
                    f"another process keeps claiming {self._position}, which is assigned to us: two deployments share "
                    f"kafka.app_id={kafka.app_id}, kafka.group_id={kafka.group_id} and the topic, but not the group"
                )
            )
