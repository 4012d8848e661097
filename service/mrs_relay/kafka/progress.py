"""
The progress of reading the input topic: of the owner of one partition, and of the group as a whole.

It serves decisions that an unread message could change: a handler notes the ends at some moment, and decides once all
messages before them have been read. The group's offsets are a mirror of the ledgers, never ahead of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records


@dataclass(frozen=True, slots=True)
class Progress:
    """
    Answers the questions of one partition's owner; every method raises StreamDown.

    Attributes:
        position: the owned partition.
        consumer: asks Kafka.
    """

    position: records.Position
    consumer: brokers.GroupConsumer

    async def end(self) -> int:
        """Return the present end of the owned partition."""
        return (await self.consumer.bounds(self.position)).end

    async def ends_of_others(self, partitions: int) -> Mapping[records.Position, int]:
        """Return the present ends of the topic's other partitions; the topic has `partitions` in all."""
        ends: dict[records.Position, int] = {}
        for number in range(partitions):
            other = records.Position(self.position.topic, number)
            bounds = await self.consumer.bounds(other)
            if other != self.position and bounds.end > bounds.first:
                ends[other] = bounds.end
        return ends

    async def are_read(self, ends: Mapping[records.Position, int]) -> bool:
        """Return whether the group has read all partitions up to these ends."""
        if not ends:
            return True
        found = await self.consumer.notes(list(ends))
        return all(position in found and found[position].offset >= end for position, end in ends.items())
