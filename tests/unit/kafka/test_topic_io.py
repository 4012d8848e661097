"""When a tap has reached the end of a partition: behind the last offset, or when nothing more comes below it."""

from __future__ import annotations

import pytest

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, settings, topic_io
from mrs_relay.kafka.memory import memory_broker, memory_topic_io


def _after(goal: topic_io._Goal, *reads: tuple[int, int]) -> list[bool]:
    """Return, for each read (position, answer), whether the goal is still open."""
    still: list[bool] = []
    current: topic_io._Goal | None = goal
    for position, answer in reads:
        current = None if current is None else current.after(position, answer)
        still.append(current is not None)
    return still


def test_the_end_is_reached_at_its_offset() -> None:
    """Position equal to the end is the end."""
    assert _after(topic_io._Goal(10), (5, 1), (10, 2)) == [True, False]


def test_an_answer_without_records_is_waited_for_once_more() -> None:
    """Two answers at the same position mean that compaction took the rest."""
    assert _after(topic_io._Goal(10), (5, 1), (5, 2), (5, 3)) == [True, True, False]


def test_silence_of_the_broker_is_not_the_end() -> None:
    """As long as the broker does not answer, nothing is known."""
    assert _after(topic_io._Goal(10), (5, 1), *[(5, 1)] * 20) == [True] * 21


def test_progress_begins_the_count_again() -> None:
    """Only answers in a row without records count."""
    assert _after(topic_io._Goal(10), (5, 1), (5, 2), (6, 3), (6, 4), (6, 5)) == [True, True, True, True, False]


async def test_a_topic_that_kafka_does_not_describe_has_no_bounds() -> None:
    """Bounds without the topic's id would be those of another topic."""
    broker = memory_broker.MemoryBroker(settings.KafkaSettings())
    broker.create_topic("mrs.events", 1)
    broker.describe = lambda: brokers.Cluster(brokers=1, topics={})  # type: ignore[method-assign]
    with pytest.raises(errors.StreamDown, match=r"does not describe topic mrs\.events"):
        await topic_io.bounds_of(memory_topic_io.MemoryTopicClient(broker), "mrs.events")


async def test_records_are_read_at_their_places_and_no_others() -> None:
    """What has left the topic, has not come yet, or is in a partition that is not there is left out."""
    broker = memory_broker.MemoryBroker(settings.KafkaSettings())
    broker.create_topic("mrs.requests", 2)
    for number in range(10):
        broker.put("mrs.requests", number % 2, b"k", b"%d" % number)
    broker.log(records.Position("mrs.requests", 0)).cut(2)
    places = {0: {0, 2, 3, 99}, 1: {1}, 7: {0}}
    read = topic_io.read_at(memory_topic_io.MemoryTopicClient(broker), "mrs.requests", places)
    assert [(one.partition, one.offset, one.value) async for one in read] == [(0, 2, b"4"), (0, 3, b"6"), (1, 1, b"3")]
    nothing = topic_io.read_at(memory_topic_io.MemoryTopicClient(broker), "mrs.requests", {0: {0, 1}})
    assert [one async for one in nothing] == []
