"""
Find the messages of requests in their topic, to send them again under other ids.

Nothing keeps where a request stood, so the topic is searched: first the partitions of the Kafka keys, then all others,
once for all requests that are wanted. A partition is read whole, because a rejected message may have been corrected
under the same id.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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


async def find(
    kafka: topic_io.TopicClient, topic: str, wanted: Collection[Wanted]
) -> dict[Wanted, Sequence[envelope.Envelope]]:
    """
    Return all messages of each request; none: they have left the topic. Reads the topic for as long as it takes.

    There are several if the message was repeated, or if a rejected one was corrected under the same id.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    found: dict[Wanted, list[envelope.Envelope]] = {one: [] for one in wanted}
    async with topic_io.reading(kafka, topic) as (reader, bounds):
        usual = {partitioning.murmur2(one.kafka_key) % len(bounds) for one in wanted}
        for partitions in (usual, bounds.keys() - usual):
            missing = {(one.id, one.source): one for one, messages in found.items() if not messages}
            if not missing:
                break
            # Other partitions are left at their ends, where nothing is to be read.
            starts = {number: bound.first if number in partitions else bound.end for number, bound in bounds.items()}
            ends = {number: bounds[number].end for number in partitions}
            async for record in topic_io.read_span(reader, starts, ends):
                if record.partition in ends and (message := _message(record)) is not None:
                    one = missing.get((message.id, message.source))
                    if one is not None:
                        found[one].append(message)

    return dict(found)


def _message(record: records.Record) -> envelope.Envelope | None:
    """Return the request of a record; None: it is none."""
    try:
        message = envelope.read(record.topic, record.value, record.headers)
    except errors.BadMessage:
        return None
    return None if message.type.startswith(("mrs.job.cancel", "mrs.job.resolve")) else message
