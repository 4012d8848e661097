"""Kafka away and a consumer that hangs are distinguished, and neither is seen where it is not."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.kafka import consumer_health, records
from mrs_relay.kafka.memory import memory_broker

pytestmark = pytest.mark.looptime

_PLACE = records.Position(runtimes.IN, 0)
_PATIENCE_S = 75 + 15  # 45 s and the rebalance timeout, and a while until Kafka has been asked


class _Watched:
    """A watch over an in-memory broker, looked after every second as the runtime does."""

    def __init__(self) -> None:
        self.broker: memory_broker.MemoryBroker = runtimes.cluster(runtimes.kafka_settings())
        self.changes: list[bool] = []
        self.health = consumer_health.ConsumerHealth(
            self.broker.kafka, self.broker, lambda: self.changes.append(self.health.connected)
        )
        self.answer = 0

    async def go_on(
        self, seconds: int, *, answers: bool = True, polls: bool | errors.StreamDown = True, expected: bool = True
    ) -> None:
        for _ in range(seconds):
            await asyncio.sleep(1)
            self.answer += answers
            self.health.answered(_PLACE, self.answer, expected=expected)
            if isinstance(polls, errors.StreamDown):
                self.health.failed(polls)
            elif polls:
                self.health.polled()
            await self.health.check()
            self.health.hanging()


async def test_answers_mean_connected_and_healthy() -> None:
    """As long as the consumer receives records nothing is wrong, and Kafka is not asked."""
    watched = _Watched()
    await watched.go_on(1000)
    assert (watched.health.connected, watched.health.hanging(), watched.changes) == (True, None, [True])


async def test_kafka_away_is_said_once_and_is_no_hanging() -> None:
    """Silence because Kafka is away is no reason for a new process, however long it lasts."""
    watched = _Watched()
    await watched.go_on(10)
    watched.broker.go_down()
    await watched.go_on(3600, answers=False)
    assert (watched.health.connected, watched.health.hanging(), watched.changes) == (False, None, [True, False])
    assert "kafka.bootstrap_servers" in (watched.health.error or "")
    watched.broker.come_up()
    await watched.go_on(30)
    assert (watched.health.connected, watched.health.error, watched.health.hanging()) == (True, None, None)


async def test_consumer_that_receives_nothing_although_kafka_answers_hangs() -> None:
    """The partition is named; a consumer that has nothing to read is not suspected."""
    watched = _Watched()
    await watched.go_on(10)
    await watched.go_on(_PATIENCE_S - 30, answers=False)
    assert watched.health.hanging() is None
    await watched.go_on(60, answers=False)
    found = watched.health.hanging()
    assert isinstance(found, errors.ConsumerStuck)
    assert "in-0" in str(found)


async def test_partition_that_is_not_read_may_be_silent() -> None:
    """Full feeds and parked partitions get no answers, rightly."""
    watched = _Watched()
    await watched.go_on(1000, answers=False, expected=False)
    assert (watched.health.connected, watched.health.hanging()) == (True, None)


async def test_poll_that_never_comes_round_hangs() -> None:
    """The library is stuck, whatever it waits for."""
    watched = _Watched()
    await watched.go_on(10)
    await watched.go_on(2 * _PATIENCE_S, answers=False, polls=False, expected=False)
    assert "come round" in str(watched.health.hanging())


async def test_rebalance_that_lasts_for_minutes_is_no_hanging() -> None:
    """A poll is held as long as the group has no coordinator; a rebalance that never ends is noticed all the same."""
    watched = _Watched()
    await watched.go_on(10)
    await watched.go_on(2 * _PATIENCE_S, answers=False, polls=False, expected=False)
    assert watched.health.hanging(rebalancing=True) is None
    await watched.go_on(_PATIENCE_S + 60, answers=False, polls=False, expected=False)
    assert "come round" in str(watched.health.hanging(rebalancing=True))


async def test_polls_that_continue_failing_although_kafka_answers_hang() -> None:
    """They are shown at once; as Kafka is there, they are the consumer's own trouble in the end."""
    watched = _Watched()
    await watched.go_on(10)
    await watched.go_on(3, answers=False, polls=errors.StreamDown("no coordination"), expected=False)
    assert (watched.health.connected, watched.health.error, watched.health.hanging()) == (
        False,
        "no coordination",
        None,
    )
    await watched.go_on(2 * _PATIENCE_S, answers=False, polls=errors.StreamDown("no coordination"), expected=False)
    assert isinstance(watched.health.hanging(), errors.ConsumerStuck)


async def test_patience_begins_again_after_kafka_was_away() -> None:
    """A consumer has its full time to recover after an outage."""
    watched = _Watched()
    await watched.go_on(10)
    watched.broker.go_down()
    await watched.go_on(600, answers=False)
    watched.broker.come_up()
    await watched.go_on(60, answers=False)
    assert watched.health.connected
    assert watched.health.hanging() is None


async def test_lost_partition_is_forgotten() -> None:
    """What is no longer ours cannot be missed."""
    watched = _Watched()
    await watched.go_on(10)
    watched.health.forget(_PLACE)
    for _ in range(200):
        await asyncio.sleep(1)
        watched.health.polled()
        await watched.health.check()
    assert watched.health.hanging() is None


async def test_process_that_stood_still_is_not_taken_for_a_consumer_that_hangs() -> None:
    """After a freeze nothing has come round for long, and that says nothing: the consumer gets its full time first."""
    watched = _Watched()
    await watched.go_on(10)
    await asyncio.sleep(2 * _PATIENCE_S)  # no check runs: the whole process is frozen
    assert watched.health.hanging() is None
    await watched.go_on(_PATIENCE_S - 30, answers=False, polls=False)
    assert watched.health.hanging() is None
    await watched.go_on(60, answers=False, polls=False)
    assert "come round" in str(watched.health.hanging())


async def test_freeze_before_the_first_look_counts_as_one() -> None:
    """The time begins with the first answer, not with the first look."""
    watched = _Watched()
    watched.health.heard()
    watched.health.polled()
    await asyncio.sleep(2 * _PATIENCE_S)
    assert watched.health.hanging() is None


async def test_consumer_whose_questions_find_no_answer_hangs() -> None:
    """A partition that is being restored is not read; that its owner asks in vain is seen all the same."""
    watched = _Watched()
    await watched.go_on(10)
    silent_since_s = asyncio.get_running_loop().time()
    await watched.go_on(_PATIENCE_S - 30, answers=False, expected=False)
    assert watched.health.hanging(silent_since_s) is None
    await watched.go_on(60, answers=False, expected=False)
    assert watched.health.hanging() is None
    assert "no answer" in str(watched.health.hanging(silent_since_s))
    assert watched.health.hanging(silent_since_s, is_answered=True) is None
    await watched.go_on(240, answers=False, expected=False)
    assert "no answer for 300 s" in str(watched.health.hanging(silent_since_s, is_answered=True))


async def test_silence_about_a_partition_without_leader_is_excused() -> None:
    """Requests about it get no answer while it has no leader; afterwards the consumer has its full time."""
    watched = _Watched()
    await watched.go_on(10)
    silent_since_s = asyncio.get_running_loop().time()
    await watched.go_on(2 * _PATIENCE_S, answers=False, expected=False)
    watched.health.excuse()
    await watched.go_on(_PATIENCE_S - 30, answers=False, expected=False)
    assert watched.health.hanging(silent_since_s) is None
    await watched.go_on(60, answers=False, expected=False)
    assert watched.health.hanging() is None
    assert "no answer" in str(watched.health.hanging(silent_since_s))
