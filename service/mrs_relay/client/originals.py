"""
Find the messages of requests in their topic, to send them again under other ids.

The read model does not keep where a request stood, so `find` searches the topic: first the partition of its Kafka key,
then all others. A partition is read whole, because a rejected message may have been corrected under the same id. The
ledger keeps the place, and `at` reads it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mrs_relay import errors
from mrs_relay.kafka import partitioning, records, topic_io
from mrs_relay.messages import envelope


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    Which message.

    Attributes:
        topic: of requests.
        id: of the request.
        source: of the request.
        kafka_key: of the request.
    """

    topic: str
    id: str
    source: str
    kafka_key: bytes


async def find(kafka: topic_io.TopicClient, wanted: Wanted) -> Sequence[envelope.Envelope]:
    """
    Return all messages of a request; none: they have left the topic. Reads a topic for as long as it takes.

    There are several if the message was repeated, or if a rejected one was corrected under the same id.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    async with topic_io.reading(kafka, wanted.topic) as (reader, bounds):
        usual = partitioning.murmur2(wanted.kafka_key) % len(bounds)
        for partitions in ([usual], [number for number in bounds if number != usual]):
            # Other partitions are left at their ends, where nothing is to be read.
            starts = {number: bound.first if number in partitions else bound.end for number, bound in bounds.items()}
            ends = {number: bounds[number].end for number in partitions}
            read = topic_io.read_span(reader, starts, ends)
            found = [_matching(record, wanted) async for record in read if record.partition in ends]
            if messages := [one for one in found if one is not None]:
                return messages
    return []


async def at(
    kafka: topic_io.TopicClient, topic: str, places: Mapping[int, Collection[int]]
) -> Mapping[tuple[int, int], envelope.Envelope]:
    """
    Return the messages at some offsets of some partitions; what is gone, or is no message, is missing.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    found: dict[tuple[int, int], envelope.Envelope] = {}
    async with topic_io.reading(kafka, topic) as (reader, bounds):
        here = {number: offsets for number, offsets in places.items() if offsets and number in bounds}
        starts = {
            number: min(max(bound.first, min(here[number])), bound.end) if number in here else bound.end
            for number, bound in bounds.items()
        }
        ends = {number: min(max(offsets) + 1, bounds[number].end) for number, offsets in here.items()}
        async for record in topic_io.read_span(reader, starts, ends):
            if record.offset in here.get(record.partition, ()):
                with contextlib.suppress(errors.BadMessage):
                    read = envelope.read(record.topic, record.value, record.headers)
                    found[record.partition, record.offset] = read
    return found


def _matching(record: records.Record, wanted: Wanted) -> envelope.Envelope | None:
    """Return the message of a record if it is the one."""
    try:
        message = envelope.read(record.topic, record.value, record.headers)
    except errors.BadMessage:
        return None
    is_request = not message.type.startswith(("mrs.job.cancel", "mrs.job.resolve"))
    return message if is_request and (message.id, message.source) == (wanted.id, wanted.source) else None
