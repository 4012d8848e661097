"""
Find the message of a request in its topic, to send it again under another id.

Nothing keeps where a request stood, so the topic is searched around the time of its first event: first the partition of
its Kafka key, shortly before; then longer before; then all partitions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from mrs_relay import errors
from mrs_relay.kafka import broker, partitioning, records, topic_io
from mrs_relay.messages import envelope

_AFTER_MS: Final = 60_000
"""So far the clock of a sender is usually ahead of the relay's, at most."""

_BEFORE_MS: Final = (60_000, 3_600_000, 86_400_000, None)
"""So long a request may have waited for the relay; None: for as long as the topic goes back."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    Which message.

    Attributes:
        topic: of requests.
        id: of the request.
        source: of the request.
        kafka_key: of the request.
        accepted_ms: time of its first event, epoch milliseconds.
    """

    topic: str
    id: str
    source: str
    kafka_key: bytes
    accepted_ms: int


async def find(kafka: topic_io.TopicClient, wanted: Wanted) -> envelope.Envelope | None:
    """
    Return the message of a request; None: it has left the topic. Reads a topic for as long as it takes.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    async with kafka.admin() as admin:
        counts = await admin.partition_counts()
    if wanted.topic not in counts:
        raise errors.SettingsError(f"Kafka has no topic {wanted.topic}")

    async with kafka.topic(wanted.topic, counts[wanted.topic]) as reader:
        bounds = await reader.bounds()
        usual = partitioning.murmur2(wanted.kafka_key) % len(bounds)
        for partitions in ([usual], [number for number in bounds if number != usual]):
            async for starts, ends in _spans(reader, bounds, partitions, wanted.accepted_ms):
                async for record in topic_io.read_span(reader, starts, ends):
                    if record.partition in ends and (found := _matching(record, wanted)) is not None:
                        return found
    return None


async def _spans(
    reader: topic_io.TopicReader, bounds: Mapping[int, broker.Bounds], partitions: Collection[int], accepted_ms: int
) -> AsyncIterator[tuple[Mapping[int, int], Mapping[int, int]]]:
    """Yield stretches of partitions: each before the one before it, and what came long after at the very end."""
    ends = late = await _offsets(reader, bounds, accepted_ms + _AFTER_MS)
    for before_ms in _BEFORE_MS:
        starts = (
            {partition: bound.first for partition, bound in bounds.items()}
            if before_ms is None
            else await _offsets(reader, bounds, accepted_ms - before_ms)
        )
        yield _of(partitions, starts, ends, bounds)
        ends = starts
    yield _of(partitions, late, {partition: bound.end for partition, bound in bounds.items()}, bounds)


def _of(
    partitions: Collection[int],
    starts: Mapping[int, int],
    ends: Mapping[int, int],
    bounds: Mapping[int, broker.Bounds],
) -> tuple[Mapping[int, int], Mapping[int, int]]:
    """Return a stretch of some partitions; others are left at their ends, where nothing is to be read."""
    whole = {number: starts[number] if number in partitions else bound.end for number, bound in bounds.items()}
    return whole, {number: ends[number] for number in partitions}


async def _offsets(
    reader: topic_io.TopicReader, bounds: Mapping[int, broker.Bounds], since_ms: int
) -> Mapping[int, int]:
    found = await reader.offsets_since(max(0, since_ms))
    return {partition: found.get(partition, bound.end) for partition, bound in bounds.items()}


def _matching(record: records.Record, wanted: Wanted) -> envelope.Envelope | None:
    """Return the message of a record if it is the one."""
    try:
        message = envelope.read(record.topic, record.value, record.headers)
    except errors.BadMessage:
        return None
    is_request = not message.type.startswith(("mrs.job.cancel", "mrs.job.resolve"))
    return message if is_request and (message.id, message.source) == (wanted.id, wanted.source) else None
