"""
Find the offset at which a partition continues, and check it against the group's offset and the bounds of the input.

If they contradict each other, records were lost, and going on would forget jobs or start them twice. So the partition
stops until a person has decided (`StateUnreadable`), unless that loss is accepted already (`kafka.accept_loss`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import structlog

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, settings

log = structlog.get_logger(__name__)


class StartPoint(NamedTuple):
    """
    Where to continue reading.

    Attributes:
        offset: of the next record.
        topic_id: of the topic that has it; None where the broker does not report ids.
    """

    offset: int
    topic_id: str | None


@dataclass(frozen=True, slots=True)
class StartOffset:
    """
    Finds the offset at which one lease begins.

    Attributes:
        position: the input partition.
        kafka: the settings.
        consumer: answers the questions; the partition must be assigned to it.
        first_partitions: number of the topic's partitions when the process began.
    """

    position: records.Position
    kafka: settings.KafkaSettings
    consumer: brokers.GroupConsumer
    first_partitions: int

    async def keep_if_new(self) -> None:
        """
        Commit the first offset of a partition that the topic got while we run, so that it is read from its beginning.

        Its ledger partition may come only later, and a process that was restarted by then cannot know that it is new.
        """
        if not self._is_new or self.kafka.first_start == "earliest":
            return
        if await self.consumer.committed(self.position) is None:
            bounds = await self.consumer.bounds(self.position)
            await self.consumer.commit({self.position: bounds.first}, mirror=False)

    @property
    def _is_new(self) -> bool:
        """Whether the topic got the partition while we run: all its records were sent to us, unlike older ones."""
        return self.position.partition >= self.first_partitions

    async def first(self) -> StartPoint:
        """Return the start of a partition that has no state: the group's offset, if it is stable, or as configured."""
        bounds = await self.consumer.bounds(self.position)
        committed = await self.consumer.committed(self.position)
        stable = committed is not None and committed == await self.consumer.committed(self.position)
        if committed is not None and stable and bounds.first <= committed:
            return StartPoint(committed, bounds.topic_id)
        earliest = self._is_new or self.kafka.first_start == "earliest"
        return StartPoint(bounds.first if earliest else bounds.end, bounds.topic_id)

    async def mirrored(self) -> int | None:
        """
        Return the offset that the ledger had for certain: the group's, if this service wrote it; else None.

        To be called before our claim: an offset mirrored by then was committed below our claim, while a later owner may
        mirror offsets that we shall never read.
        """
        is_ours = await self.consumer.is_mirror(self.position)
        return await self.consumer.committed(self.position) if is_ours else None

    def require_not_behind(self, next_offset: int | None, mirrored: int | None) -> None:
        """
        Compare the ledger's offset with its mirror, which is ahead only if the ledger has lost records.

        The mirror is never used as a start: it only proves that a ledger existed, and how far it went.

        Raises:
            StateUnreadable: the ledger has lost its end, or all its records.
        """
        if mirrored is None or self.kafka.accept_loss:
            return
        if next_offset is None or next_offset < mirrored:
            now = "is empty" if next_offset is None else f"continues at offset {next_offset}"
            raise errors.StateUnreadable(
                f"the ledger of {self.position} {now}, but it has been at offset {mirrored}: it was deleted or "
                "has lost its end, jobs are forgotten; bring it back, or kafka.accept_loss=true continues without them"
            )

    async def within(self, next_offset: int, topic_id: str | None) -> StartPoint:
        """
        Return the point at which to continue: `next_offset`, if the input has it.

        Args:
            next_offset: that of the ledger.
            topic_id: of the topic to which that offset belongs; None where the ledger does not say.

        Raises:
            StateUnreadable: requests were deleted before they were read, or the input is another topic than before.
        """
        bounds = await self.consumer.bounds(self.position)
        if None not in {topic_id, bounds.topic_id} and topic_id != bounds.topic_id:
            return await self._recreated(next_offset, topic_id, bounds)

        if next_offset < bounds.first:
            if self.kafka.accept_loss:
                log.error("requests_lost", position=str(self.position), first=next_offset, before=bounds.first)
                return StartPoint(bounds.first, bounds.topic_id or topic_id)
            raise errors.StateUnreadable(
                f"the ledger of {self.position} continues at offset {next_offset}, the topic begins at {bounds.first}: "
                "requests in between are lost; give it a longer retention, and kafka.accept_loss=true continues"
            )

        # Brokers without transactions are known to report a wrong end.
        if self.kafka.transactional and next_offset > bounds.end:
            raise errors.StateUnreadable(
                f"the ledger of {self.position} continues at offset {next_offset}, the topic ends at {bounds.end}: "
                "was the topic created again? It needs a new ledger topic, and its own group (kafka.group_id) then"
            )
        return StartPoint(next_offset, bounds.topic_id or topic_id)

    async def _recreated(self, next_offset: int, topic_id: str | None, bounds: brokers.Bounds) -> StartPoint:
        """Refuse a topic that took the place of the one we read, or begin at its beginning if that was accepted."""
        if not self.kafka.accept_loss:
            raise errors.StateUnreadable(recreated(self.position, next_offset, topic_id, bounds.topic_id))
        log.error("requests_topic_accepted", position=str(self.position), before=topic_id, now=bounds.topic_id)
        await self.consumer.commit({self.position: bounds.first})  # the mirror would be ahead of the ledger
        return StartPoint(bounds.first, bounds.topic_id)


def recreated(position: records.Position, next_offset: int | None, before: str | None, now: str | None) -> str:
    """Return the message that the input topic was created again, and what to do."""
    at = "" if next_offset is None else f" at offset {next_offset}"
    return (
        f"the topic {position.topic} was deleted and created again: the ledger of {position} continues{at} in the "
        f"topic with the id {before}, found was {now}. Requests that were not read are gone with "
        "the old topic, and the offset means nothing in the new one. kafka.accept_loss=true for one start begins at "
        "the new topic's beginning; requests whose ids the ledger knows do not run again"
    )
