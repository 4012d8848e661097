"""When a thread sends the heartbeats of a member, and which form its requests have."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.protocol import commit
from tests.support import clocks, runtimes

from mrs_relay.kafka.adapter import group_requests, stand_in


def _made(time: clocks.HandClock, **changes: object) -> stand_in.StandIn:
    kafka = runtimes.kafka_settings(session_timeout_ms=9_000, heartbeat_interval_ms=1_000, **changes)
    return stand_in.StandIn(kafka, time)


@pytest.fixture
def time() -> clocks.HandClock:
    """A clock that the test moves."""
    return clocks.HandClock()


def test_heartbeats_of_a_busy_loop_are_due_for_a_while(time: clocks.HandClock) -> None:
    """From a third of the session on, and not beyond the time in which a hanging loop keeps its partitions."""
    made = _made(time)
    try:
        made.stand_in_for(7, "member")
        due = {}
        for late_s in (0, 2.9, 3.1, 29.9, 30.1):
            made.beaten()
            time.pass_s(late_s)
            due[late_s] = made.due()
        member = stand_in.Member(7, "member")
        assert due == {0: None, 2.9: None, 3.1: member, 29.9: member, 30.1: None}
    finally:
        made.close()


def test_member_that_joins_or_is_unknown_gets_none(time: clocks.HandClock) -> None:
    """The group waits for a member that joins; an unknown one learns of it by its own heartbeat."""
    made = _made(time)
    try:
        made.stand_in_for(7, "member")
        time.pass_s(5)
        known = made.due()

        assert known is not None

        made.stand_in_for(8, "member")
        time.pass_s(5)
        made.unknown(known)  # of a generation that is over
        newer = made.due()

        assert newer is not None

        made.unknown(newer)
        assert made.due() is None

        made.stand_in_for(9, "member")
        time.pass_s(5)
        made.rest()

        assert made.due() is None
    finally:
        made.close()


def test_thread_can_be_left_out(time: clocks.HandClock) -> None:
    """A stall timeout of 0 leaves the heartbeats to the loop."""
    made = _made(time, stall_timeout_ms=0)
    made.stand_in_for(7, "member")
    time.pass_s(5)
    assert made.due() is None


def test_thread_goes_on_after_any_failure(time: clocks.HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing starts it again, and the next stall needs it."""
    made = stand_in.StandIn(runtimes.kafka_settings(heartbeat_interval_ms=100), time)
    begun, again = [], threading.Event()

    async def _fails() -> None:
        begun.append(1)
        if len(begun) > 1:
            again.set()
        raise ValueError

    monkeypatch.setattr(made, "_stand_in", _fails)
    try:
        made.stand_in_for(7, "member")
        time.pass_s(5)
        assert again.wait(20)
    finally:
        made.close()


@pytest.mark.parametrize(("code", "known"), [(0, True), (27, True), (25, False), (15, None), (16, None)])
async def test_coordinator_that_has_moved_is_looked_up_again(code: int, *, known: bool | None) -> None:
    """Its former broker answers all the same, and counts no heartbeat."""

    async def _ready(_node: int) -> bool:
        return True

    async def _send(_node: int, _request: object) -> SimpleNamespace:
        return SimpleNamespace(error_code=code)

    client: Any = SimpleNamespace(ready=_ready, send=_send)
    sending = stand_in._sent(client, 1, group_requests.Heartbeat("group", 7, "member", None))
    if known is None:
        with pytest.raises(kafka_errors.KafkaError):
            await sending
    else:
        assert await sending is known


def test_old_broker_gets_requests_without_instance_id() -> None:
    """Before Kafka 2.3 there is none: the same requests go out in the older form."""
    usual = commit.OffsetCommitRequest("group", 7, "member", -1, [("t", [(0, 5, "note")])])
    made: list[Any] = [
        group_requests.Heartbeat("group", 7, "member", "one"),
        group_requests.OffsetCommit(usual, "one"),
        group_requests.LeaveGroup("group", "member", "one"),
    ]
    old = [request.prepare({12: (0, 1), 8: (0, 3), 13: (0, 1)}) for request in made]
    new = [request.prepare({12: (0, 4), 8: (2, 9), 13: (0, 5)}) for request in made]
    assert [one.API_VERSION for one in old] == [1, 3, 1]
    assert [one.API_VERSION for one in new] == [3, 7, 3]
    assert [b"one" in one.encode() for one in (*old, *new)] == [False] * 3 + [True] * 3
