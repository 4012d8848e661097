"""
How far the input topic has been read: by the owner of one partition, and by the group as a whole.

For decisions that an unread message could change: a handler asks for the ends at some moment, and goes on once all that
was sent before has been read. The group's offsets are a mirror of the ledgers, never ahead of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records


@dataclass(frozen=True, slots=True)
class Progress:
    """
    The input topic, as the owner of one of its partitions sees it; every method raises StreamDown.

    Attributes:
        position: the owned partition.
        consumer: to ask.
    """

    position: records.Position
    consumer: brokers.GroupConsumer

    async def end(self) -> int:
        """Return the end of the owned partition now."""
        return (await self.consumer.bounds(self.position)).end

    async def ends_of_others(self, partitions: int) -> Mapping[records.Position, int]:
        """Return the present ends of the topic's other partitions, of which there are `partitions` in all."""
        ends: dict[records.Position, int] = {}
        for number in range(partitions):
            other = records.Position(self.position.topic, number)
            bounds = await self.consumer.bounds(other)
            if other != self.position and bounds.end > bounds.first:
                ends[other] = bounds.end
        return ends

    async def are_read(self, ends: Mapping[records.Position, int]) -> bool:
        """Say whether the group has read all partitions up to these ends."""
        if not ends:
            return True
        found = await self.consumer.notes(list(ends))
        return all(position in found and found[position].offset >= end for position, end in ends.items())
