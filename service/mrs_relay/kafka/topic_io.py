"""
Follow a topic, read it to its end, and send records, outside the runtime; for the command line and the client.

Without group, ledger and ownership: any number of readers leave the relay undisturbed. Written against the small
protocols here, which `adapter.client.KafkaBroker` implements; works on brokers without transactions too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

from mrs_relay import errors
from mrs_relay.kafka import broker, records
from mrs_relay.kafka.topics import acl_plan

_POLL_S: Final = 0.5
_SEND_RECORDS: Final = 500


class TopicReader(Protocol):
    """Reads all partitions of one topic, committed records only, outside any group. All raise StreamDown."""

    async def bounds(self) -> Mapping[int, broker.Bounds]:
        """Begin and end of each partition, asked just now; may move the reader, so `go_to` follows."""

    async def offsets_since(self, timestamp_ms: int) -> Mapping[int, int]:
        """Return, for each partition that has one, the offset of its first record that is not older."""

    def go_to(self, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets, one for each partition."""

    async def read(self, timeout_s: float) -> Sequence[records.Record]:
        """Return the next records, in order per partition, or none after `timeout_s` seconds."""

    async def position(self, partition: int) -> int:
        """Return the offset of the next record; beyond records that are not returned, such as transaction markers."""

    def last_answer(self, partition: int) -> int | None:
        """Return a value that changes whenever the broker has answered a fetch for the partition."""

    def end(self, partition: int) -> int | None:
        """Return the offset up to which committed records could be read at the last answer; None before the first."""

    @property
    def grown(self) -> bool:
        """Whether the topic has more partitions by now than are read, as far as is known."""


class TopicWriter(Protocol):
    """The part of a broker by which records are written."""

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> broker.Producer:
        """Return a producer, not yet started."""

    def admin(self) -> AbstractAsyncContextManager[broker.Admin]:
        """Return an admin client; entering it raises StreamDown."""


class TopicClient(TopicWriter, Protocol):
    """The part of a broker that this module uses."""

    def topic(self, name: str, partitions: int) -> AbstractAsyncContextManager[TopicReader]:
        """Return a reader of a topic that exists; entering it raises StreamDown."""


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """
    Where to begin: at the end, at the beginning, at a time, or at given offsets.

    Attributes:
        since_ms: first moment of interest, epoch milliseconds; 0: all records that are there; None: only new ones.
        at: offsets by partition, instead of `since_ms`; a partition that is missing begins at its oldest record.
    """

    since_ms: int | None = None
    at: Mapping[int, int] | None = None


NOW: Final = Start()
BEGINNING: Final = Start(0)


class Tail:
    """Follows a topic, from `places` on: an offset for each partition."""

    def __init__(self, reader: TopicReader, places: Mapping[int, int]) -> None:
        self._reader = reader
        self._start_offsets = dict(places)

    @property
    def places(self) -> Mapping[int, int]:
        """Offset of the next record of each partition."""
        return self._start_offsets

    @property
    def grown(self) -> bool:
        """Whether the topic has more partitions by now than are followed, as far as is known."""
        return self._reader.grown

    def answers(self) -> Mapping[int, int | None]:
        """Return for each partition a value that changes whenever its broker has answered."""
        return {partition: self._reader.last_answer(partition) for partition in self._start_offsets}

    async def behind(self) -> int | None:
        """Count the offsets between our places and the ends that the broker has reported; None: one is not known."""
        count = 0
        for partition, position in (await self.positions()).items():
            if (end := self._reader.end(partition)) is None:
                return None
            count += max(0, end - position)
        return count

    async def positions(self) -> Mapping[int, int]:
        """Return `places`, moved beyond what is not returned, such as transaction markers."""
        return {partition: await self._reader.position(partition) for partition in self._start_offsets}

    async def take(self, timeout_s: float) -> Sequence[records.Record]:
        """
        Return the next records, in order per partition, or none after `timeout_s` seconds.

        While the broker is down there are none; once it is back, reading continues where it stopped.
        """
        found = await self._reader.read(timeout_s)
        for record in found:
            self._start_offsets[record.partition] = record.offset + 1
        return found

    async def __aiter__(self) -> AsyncIterator[records.Record]:
        while True:
            for record in await self.take(_POLL_S):
                yield record


@asynccontextmanager
async def tail(kafka: TopicClient, topic: str, start: Start) -> AsyncIterator[Tail]:
    """
    Follow all partitions of `topic` from `start` on, committed records only.

    The start is fixed when the context is entered: records sent afterwards are read.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    async with reading(kafka, topic) as (reader, bounds):
        places = await _start_offsets(reader, bounds, start)
        reader.go_to(places)
        yield Tail(reader, places)


async def _start_offsets(reader: TopicReader, bounds: Mapping[int, broker.Bounds], start: Start) -> dict[int, int]:
    if start.at is not None:
        return {partition: start.at.get(partition, bound.first) for partition, bound in bounds.items()}
    if start.since_ms == 0:
        return {partition: bound.first for partition, bound in bounds.items()}
    offsets = {partition: bound.end for partition, bound in bounds.items()}
    return offsets if start.since_ms is None else {**offsets, **await reader.offsets_since(start.since_ms)}


async def bounds_of(kafka: TopicClient, topic: str) -> Mapping[int, broker.Bounds]:
    """
    Return begin and end of each partition of `topic`, with the topic's id where the broker reports one.

    Raises:
        StreamDown: Kafka cannot be reached, or does not describe the topic. SettingsError: there is no such topic.
    """
    async with reading(kafka, topic) as (_, bounds), kafka.admin() as admin:
        described = (await admin.cluster()).topics.get(topic)
        if described is None:  # without its id it would seem to be another topic
            raise errors.StreamDown(f"Kafka does not describe topic {topic} at present")
        return {
            partition: dataclasses.replace(bound, topic_id=described.topic_id) for partition, bound in bounds.items()
        }


async def read_all(kafka: TopicClient, topic: str, start: Start = BEGINNING) -> AsyncIterator[records.Record]:
    """
    Read all partitions of `topic` from `start` to their present ends, committed records only.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    async with reading(kafka, topic) as (reader, bounds):
        places = await _start_offsets(reader, bounds, start)
        async for record in read_span(reader, places, {partition: bound.end for partition, bound in bounds.items()}):
            yield record


async def read_span(
    reader: TopicReader, starts: Mapping[int, int], ends: Mapping[int, int]
) -> AsyncIterator[records.Record]:
    """
    Read from some offsets to others, and perhaps a few records more.

    Args:
        reader: of the topic.
        starts: where to begin, for each partition.
        ends: where to end; a partition that is missing need not be read.

    Raises:
        StreamDown: Kafka cannot be reached.
    """
    reader.go_to(starts)
    left = {partition: _Goal(end) for partition, end in ends.items() if end > starts[partition]}
    while left:
        for record in await reader.read(_POLL_S):
            yield record

        left = {
            partition: goal
            for partition, old in left.items()
            if (goal := old.after(await reader.position(partition), reader.last_answer(partition))) is not None
        }


async def read_at(
    kafka: TopicClient, topic: str, places: Mapping[int, Collection[int]]
) -> AsyncIterator[records.Record]:
    """
    Read the records at some offsets of some partitions; those that are no longer there are left out.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    async with reading(kafka, topic) as (reader, bounds):
        here = {number: offsets for number, offsets in places.items() if offsets and number in bounds}
        # Other partitions are left at their ends, where nothing is to be read.
        starts = {
            number: min(max(bound.first, min(here[number])), bound.end) if number in here else bound.end
            for number, bound in bounds.items()
        }
        ends = {number: min(max(offsets) + 1, bounds[number].end) for number, offsets in here.items()}
        async for record in read_span(reader, starts, ends):
            if record.offset in here.get(record.partition, ()):
                yield record


@dataclasses.dataclass(frozen=True, slots=True)
class _Goal:
    """
    The end of a partition, and the position of the reader.

    Compaction may remove the last records below the end, so two answers of the broker without a record end the reading,
    too.
    """

    end: int
    position: int = -1
    answer: int | None = None
    empty_answers: int = 0

    def after(self, position: int, answer: int | None) -> _Goal | None:
        """Return the goal after one more read; None when it is reached."""
        if position >= self.end:
            return None
        if position != self.position:
            return _Goal(self.end, position, answer)
        empty_answers = self.empty_answers + (answer != self.answer)
        return None if empty_answers > 1 else _Goal(self.end, position, answer, empty_answers)


async def send(kafka: TopicWriter, outgoing: Sequence[records.Outgoing]) -> None:
    """
    Write records and wait until all replicas have them.

    A lost reply may leave a record twice: readers know the copies by the ids inside.

    Raises:
        StreamDown, Fenced: some records are perhaps not written. SettingsError: a topic does not exist.
    """
    await _existing(kafka, {record.topic for record in outgoing}, "Write")
    producer = kafka.producer(None, idempotent=False)
    await producer.start()
    try:
        for first in range(0, len(outgoing), _SEND_RECORDS):
            await producer.write(outgoing[first : first + _SEND_RECORDS])
    finally:
        await producer.kill()


@asynccontextmanager
async def reading(kafka: TopicClient, topic: str) -> AsyncIterator[tuple[TopicReader, Mapping[int, broker.Bounds]]]:
    """
    Yield a reader of `topic`, and begin and end of each partition.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    counts = await _existing(kafka, {topic}, "Read")
    async with kafka.topic(topic, counts[topic]) as reader:
        yield reader, await reader.bounds()


async def _existing(kafka: TopicWriter, topics: set[str], operation: str) -> Mapping[str, int]:
    """Return partition counts by topic; the question creates no topic. Raises SettingsError: see `absence`."""
    async with kafka.admin() as admin:
        counts = await admin.partition_counts()
        missing = sorted(topics - counts.keys())
        if missing:
            raise errors.SettingsError(absence(missing, await admin.cluster(missing), operation))
    return counts


def absence(missing: Sequence[str], found: broker.Cluster, operation: str) -> str:
    """Say why Kafka shows no such topics: some are not there, and others it hides without a right to them."""
    hidden = [name for name in missing if name in found.refused]
    texts = [acl_plan.lacking(acl_plan.Acl("topic", name, (operation,), ""), found.asker) for name in hidden]
    if absent := [name for name in missing if name not in found.refused]:
        names = ", ".join(absent)
        texts.append(f"Kafka has no topic {names} (settings kafka.topics.*); `mrs-relay topics create` makes them")
    return "; ".join(texts)
