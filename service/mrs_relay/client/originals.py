"""
Find the message of a request in its topic, to send it again under another id.

Nothing keeps where a request stood, so the topic is searched: first the partition of its Kafka key, then all others. A
partition is read whole, because a rejected message may have been corrected under the same id.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def _matching(record: records.Record, wanted: Wanted) -> envelope.Envelope | None:
    """Return the message of a record if it is the one."""
    try:
        message = envelope.read(record.topic, record.value, record.headers)
    except errors.BadMessage:
        return None
    is_request = not message.type.startswith(("mrs.job.cancel", "mrs.job.resolve"))
    return message if is_request and (message.id, message.source) == (wanted.id, wanted.source) else None
