"""Cancels between partitions: they find their request, are answered, and are bounded in number whatever is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import fakes, samples

from mrs_relay.engine import partition_jobs, unit_of_work
from mrs_relay.engine.intake import cancel_routing, reader
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import records

_REQUESTS = fakes.TOPICS.requests
_KEY = jobs.ledger_key("/billing", "order-1")


class _Topic:
    """The partitions of the input topic, each with its jobs; messages are taken until none is left."""

    def __init__(self, partitions: int) -> None:
        self.context = fakes.context(partitions)
        self.jobs = [partition_jobs.Jobs() for _ in range(partitions)]
        self.lines: list[list[records.Record]] = [[] for _ in range(partitions)]
        self.offset = 100
        self.passed: list[records.Outgoing] = []
        self.reported: list[dict[str, Any]] = []

    def put(self, partition: int, value: object, headers: Any = (), key: bytes | None = b"k") -> None:
        self.offset += 1
        record = samples.record(value, headers=headers, partition=partition, offset=self.offset, key=key)
        self.lines[partition].append(record)

    def take(self, partition: int, *happened: facts.Fact) -> None:
        taken, self.lines[partition] = self.lines[partition], []
        unit = unit_of_work.UnitOfWork(self.jobs[partition], self.context, fakes.lease(), lambda _key, _job: False)
        for key, fact in (*unit.read(inboxes.Batch(taken, [])), *((_KEY, fact) for fact in happened)):
            unit.decide(key, fact)
        sent = unit.outgoing()
        list(unit.apply())
        self.deliver([one for one in sent if one.topic == _REQUESTS])
        self.reported += [json.loads(one.value or b"") for one in sent if one.topic == fakes.TOPICS.events]

    def deliver(self, passed: Sequence[records.Outgoing]) -> None:
        for one in passed:
            assert one.partition is not None
            self.passed.append(one)
            self.put(one.partition, one.value, one.headers, one.key)

    def settle(self, choose: Any = max) -> None:
        """Take until nothing is under way; `choose` says which partition goes first."""
        for _ in range(10_000):
            waiting = [number for number, line in enumerate(self.lines) if line]
            if not waiting:
                return
            self.take(choose(waiting))
        pytest.fail("messages circle")

    def states(self, request_id: str) -> list[str]:
        return [event["state"] for event in self.reported if event["request"]["id"] == request_id]


def _cancel(message_id: str = "c-1", request_id: str = "order-1", **more: Any) -> dict[str, Any]:
    return samples.message({"request": {"id": request_id}, **more}, "mrs.job.cancel", id=message_id)


@pytest.mark.parametrize("first", ["request", "cancel"])
@pytest.mark.parametrize(("home", "sent_to"), [(0, 0), (0, 2), (3, 1)])
def test_cancel_finds_its_request_on_any_partition(first: str, home: int, sent_to: int) -> None:
    """Whichever came first and wherever: the request is cancelled, and no event says that it never came."""
    topic = _Topic(4)
    put = [(home, samples.message()), (sent_to, _cancel())]
    for partition, value in put if first == "request" else reversed(put):
        topic.put(partition, value)
        topic.settle()
    assert topic.states("order-1") == ["accepted", "cancelled"]
    for partition in range(4):
        topic.take(partition, facts.Expired())
    assert topic.states("c-1") == []
    assert len(topic.passed) <= 4


def test_second_cancel_on_the_wrong_partition_is_matched_too() -> None:
    """The job that it means is stopped already: its partition gets a reply, and rejects no cancel."""
    topic = _Topic(3)
    topic.put(0, samples.message())
    topic.put(0, _cancel("c-1"))
    topic.settle()
    topic.put(2, _cancel("c-2"))
    topic.settle()
    assert _KEY not in topic.jobs[2]
    assert topic.states("order-1") == ["accepted", "cancelled", "cancelled"]


def test_invalid_request_answers_the_cancel_that_waits_for_it() -> None:
    """A request that came and was rejected has come: the partition that waits with a cancel gets a reply."""
    topic = _Topic(3)
    topic.put(2, _cancel())
    topic.settle()
    topic.put(0, samples.message({}))
    topic.settle()
    assert topic.states("order-1") == ["rejected"]
    assert _KEY not in topic.jobs[2]


@pytest.mark.parametrize("came_from", [b"0", b"1"])
def test_forged_copy_does_not_keep_a_real_cancel_from_being_passed(came_from: bytes) -> None:
    """The header that stops copies from circling was forged: a real cancel after it still goes everywhere."""
    topic = _Topic(3)
    topic.put(1, samples.message())
    topic.put(2, _cancel("forged"), ((reader.BROADCAST_HEADER, came_from),))
    topic.settle()
    topic.put(2, _cancel("c-1"))
    topic.settle()
    assert topic.states("order-1") == ["accepted", "cancelled"]


@pytest.mark.parametrize("came_from", [b"3", b"999999999", b"999999999999", b"-1", b"-7", b"\xff", b"", b"x", b"1.0"])
@pytest.mark.parametrize("first", ["request", "cancel"])
def test_word_never_goes_to_a_partition_that_does_not_exist(came_from: bytes, first: str) -> None:
    """A header that any sender can write must not stop a partition with a record that cannot be sent."""
    topic = _Topic(3)
    value = samples.message()
    for step in (first, "cancel" if first == "request" else "request"):
        if step == "request":
            topic.put(1, value)
        else:
            topic.put(1, _cancel(), ((reader.BROADCAST_HEADER, came_from),))
        topic.settle()
    assert topic.states("order-1") == ["accepted", "cancelled"]
    assert all(0 <= (one.partition or 0) < 3 for one in topic.passed)


def test_forged_match_only_ends_a_waiting_cancel() -> None:
    """A sender that may write to the topic can make a waiting cancel be forgotten, but touches no job with it."""
    topic = _Topic(2)
    topic.put(0, samples.message())
    topic.settle()
    before = dict(topic.jobs[0])
    topic.put(0, _cancel(), ((reader.MATCHED_HEADER, b"1"),))
    topic.settle()
    assert topic.jobs[0] == before
    topic.put(1, _cancel("c-1", "order-2"), ())
    topic.settle()
    topic.put(1, _cancel("c-2", "order-2"), ((reader.MATCHED_HEADER, b"1"),))
    topic.settle()
    assert topic.jobs[1] == {}


def test_copy_carries_what_a_cancel_says_and_no_more() -> None:
    """Headers and further members of any size stay behind, so that the copies fit wherever the message did."""
    topic = _Topic(2)
    value = _cancel(note="n") | {"correlationid": "run-7", "junk": "x" * 50_000, "specversion": "1.0"}
    topic.put(0, value, tuple((f"h{number}", b"y" * 9000) for number in range(20)))
    topic.take(0)
    (copy,) = topic.passed
    assert copy.partition == 1
    assert copy.headers == ((reader.BROADCAST_HEADER, b"0"),)
    assert json.loads(copy.value or b"") == {
        "id": "c-1",
        "source": "/billing",
        "type": "mrs.job.cancel",
        "data": {"request": {"id": "order-1", "source": "/billing"}, "note": "n"},
        "correlationid": "run-7",
    }


def test_word_back_is_readable_for_the_longest_ids() -> None:
    """Ids and sources at their longest: the word back is a valid message, not one that is rejected as the request."""
    widest = "\U0001f642" * 256
    topic = _Topic(2)
    topic.put(0, samples.message(id=widest, source=widest))
    topic.put(1, _cancel("c-1", widest) | {"source": widest})
    topic.settle()
    assert topic.states(widest) == ["accepted", "cancelled"]
    assert topic.jobs[1] == {}


def test_word_back_names_the_request_of_its_key() -> None:
    """A source holds no space; an id may."""
    one = cancel_routing.reply(_REQUESTS, 1, jobs.ledger_key("/s", "a b"))
    meaning = reader.read(samples.record(one.value, headers=one.headers), samples.RESULT_TYPES, 9999)
    assert meaning == (jobs.ledger_key("/s", "a b"), facts.CancelMatched())


_JUNK = st.sampled_from([b"0", b"1", b"2", b"7", b"999999999", b"-1", b"", b"x", b"\xff"]) | st.binary(max_size=12)
_HEADERS = st.lists(
    st.tuples(
        st.sampled_from([reader.BROADCAST_HEADER, reader.MATCHED_HEADER, reader.BROADCAST_HEADER.upper(), "h"]), _JUNK
    ),
    max_size=3,
).map(tuple)


@given(st.data(), st.integers(1, 5), st.integers(1, 8))
def test_number_of_messages_is_bounded_whatever_is_sent(data: st.DataObject, partitions: int, sent: int) -> None:
    """
    One message brings at most a copy for each other partition and one word back from each: nothing circles.

    In any order of reading, with any headers, before and after the request.
    """
    topic = _Topic(partitions)
    for number in range(sent):
        partition = data.draw(st.integers(0, partitions - 1))
        if data.draw(st.booleans()):
            topic.put(partition, _cancel(f"c-{number}"), data.draw(_HEADERS))
        else:
            topic.put(partition, samples.message())
        if data.draw(st.booleans()):
            topic.settle(lambda waiting: data.draw(st.sampled_from(waiting)))
    topic.settle(lambda waiting: data.draw(st.sampled_from(waiting)))
    assert len(topic.passed) <= sent * (2 * (partitions - 1) + 1)
