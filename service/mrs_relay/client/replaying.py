"""Read dead letters where they stand, and make the records that send their messages once more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import dead_letters

Place = tuple[int, int]
"""Partition and offset."""

_GAP: Final = 100
"""Records between two that are wanted which are rather read than passed over by another call."""

_NO_LIMIT: Final = 1 << 64


async def at(
    kafka: topic_io.TopicClient, topic: str, places: Collection[Place]
) -> Mapping[Place, dead_letters.DeadLetter]:
    """
    Return the dead letters at some places of a topic; what is gone, or is no dead letter, is missing.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    found: dict[Place, dead_letters.DeadLetter] = {}
    async with topic_io.reading(kafka, topic) as (reader, bounds):
        there = [(number, offset) for number, offset in places if number in bounds]
        kept = [one for one in there if bounds[one[0]].first <= one[1] < bounds[one[0]].end]
        for number, first, last in _runs(kept):
            starts = {other: bound.end for other, bound in bounds.items()} | {number: first}
            async for record in topic_io.read_span(reader, starts, {number: last + 1}):
                place = record.partition, record.offset
                if place in places and place not in found:
                    try:
                        found[place] = dead_letters.read(record.key, record.value, record.headers)
                    except ValueError:
                        continue
    return found


def _runs(places: Collection[Place]) -> Iterator[tuple[int, int, int]]:
    """Yield partition, first and last offset of what is read in one go."""
    number = first = last = -1
    for partition, offset in sorted(places):
        if partition == number and offset - last <= _GAP:
            last = offset
            continue
        if number >= 0:
            yield number, first, last
        number, first, last = partition, offset, offset
    if number >= 0:
        yield number, first, last


def outgoing(
    letter: dead_letters.DeadLetter, partitions: Mapping[str, int], limits_bytes: Mapping[str, int]
) -> records.Outgoing:
    """
    Make the record that replays a message, for its original partition: there its id is looked up.

    Args:
        letter: the message.
        partitions: number of partitions of each existing topic.
        limits_bytes: largest record that each topic accepts, where it is known.

    Raises:
        ValueError: it cannot be replayed; names the reason.
    """
    key, value, headers = letter.replay()
    count = partitions.get(letter.topic)
    if count is None or letter.partition >= count:
        raise ValueError(f"the topic {letter.topic} is gone, or has fewer partitions than it had")
    size_bytes = records.size_bytes(key, value, headers)
    limit_bytes = limits_bytes.get(letter.topic, _NO_LIMIT)
    if size_bytes > limit_bytes:
        raise ValueError(f"with its new header it takes {size_bytes} bytes, the topic takes {limit_bytes}")
    return records.Outgoing(letter.topic, key, value, headers, letter.partition)
