"""Membership of the consumer group on real Kafka: instance ids, leaving, heartbeats of a busy event loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator

import pytest
from tests.contract import broker_places
from tests.support import brokers, runtime_process, waiting

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.kafka import records, runtime, supervisor
from mrs_relay.kafka.adapter import client

_SESSION_MS = 3_000


@pytest.fixture
async def place(kafka: brokers.KafkaNode) -> broker_places.Place:
    """Topics of its own, and a session that a test can outlast."""
    made = broker_places.place_on("kafka", kafka.bootstrap, _SESSION_MS)
    await made.create()
    return made


def _with(place: broker_places.Place, **settings: object) -> broker_places.Place:
    """Return the same topics and group, for a member with other settings."""
    kafka = place.kafka.model_copy(update=settings)
    return dataclasses.replace(place, kafka=kafka, broker=client.KafkaBroker(kafka))


@contextlib.asynccontextmanager
async def _polled(place: broker_places.Place) -> AsyncIterator[broker_places.Member]:
    """Yield a member that polls all the time, as the runtime does."""
    async with broker_places.joined(place) as member:
        polling = asyncio.create_task(member.until(lambda: False))
        try:
            yield member
        finally:
            polling.cancel()
            await asyncio.wait([polling])


def _shares(*members: broker_places.Member) -> list[int]:
    return [len(member.assignments[-1]) for member in members]


async def _until_shared(*members: broker_places.Member) -> None:
    await waiting.until(lambda: set(_shares(*members)) == {broker_places.PARTITIONS // len(members)})


def _block(seconds: float) -> None:
    """Keep the event loop busy."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        pass


@pytest.fixture
def blocked_s() -> float:
    """Twice a session."""
    return 2 * _SESSION_MS / 1000


async def test_busy_event_loop_keeps_its_partitions(place: broker_places.Place, blocked_s: float) -> None:
    """Nothing else moves while it decodes: a thread sends the heartbeats."""
    async with _polled(place) as member:
        await asyncio.sleep(1)
        before = member.consumer.generation
        _block(blocked_s)
        await asyncio.sleep(2)
        assert (member.consumer.generation, member.revocations) == (before, [frozenset()])


@pytest.mark.parametrize("stall_ms", [0, 2_000])
async def test_event_loop_that_hangs_for_too_long_loses_them(
    place: broker_places.Place, blocked_s: float, stall_ms: int
) -> None:
    """The thread stops with the loop's last sign of life, so that others go on with the work."""
    async with _polled(_with(place, stall_timeout_ms=stall_ms)) as member:
        await asyncio.sleep(1)
        before = member.consumer.generation
        _block(blocked_s)
        await waiting.until(lambda: len(member.assignments) > 1)
        assert member.consumer.generation > before
        assert len(member.revocations[-1]) == broker_places.PARTITIONS  # others might have had them


async def test_member_whose_session_ends_before_it_joins_again_has_everything_revoked(
    place: broker_places.Place, blocked_s: float
) -> None:
    """It had begun to go on with its partitions; but others may have them by then."""

    class Slow(broker_places.Member):
        """A member that hangs when it is about to join again."""

        async def rejoining(self) -> None:
            await super().rejoining()
            _block(blocked_s)

    member = Slow(_with(place, stall_timeout_ms=0))
    await member.consumer.start(member)
    try:
        await member.until(lambda: bool(member.assignments))
        member.consumer.decline(frozenset({records.Position(place.topic, 0)}))  # makes it join again
        await member.until(lambda: len(member.assignments) > 1)
        revoked = [len(one) for one in member.revocations]
        assert (member.rejoins, revoked) == (1, [0, broker_places.PARTITIONS])
    finally:
        await member.consumer.close()


async def test_member_that_leaves_gives_its_partitions_away_at_once(place: broker_places.Place) -> None:
    """Also with an instance id: nothing waits for the end of its session."""
    async with _polled(_with(place, instance_id="one")) as one:
        async with _polled(_with(place, instance_id="two", session_timeout_ms=90_000)) as two:
            await _until_shared(one, two)
        left_s = time.monotonic()
        await _until_shared(one)
        assert time.monotonic() - left_s < 60
        assert one.revocations == [frozenset()]


async def test_member_with_an_id_comes_back_and_disturbs_nobody(place: broker_places.Place) -> None:
    """The group keeps its partitions for its return, for longer than its session, and gives it the same."""
    async with _polled(_with(place, instance_id="one")) as one:
        async with _polled(_with(place, instance_id="two", restart_hold_ms=90_000)) as two:
            await _until_shared(one, two)
            kept = two.assignments[-1]
        before, seen = one.consumer.generation, len(one.assignments)
        await asyncio.sleep(2 * _SESSION_MS / 1000)
        async with _polled(_with(place, instance_id="two")) as again:
            assert again.assignments[-1] == kept
            assert (one.consumer.generation, len(one.assignments), one.rejoins) == (before, seen, seen - 1)


async def test_killed_member_with_an_id_comes_back_within_its_session(place: broker_places.Place) -> None:
    """It could not say that it ends; its place is kept for the session."""
    async with _polled(_with(place, instance_id="one")) as one:
        gone = broker_places.Member(_with(place, instance_id="two", session_timeout_ms=90_000))
        await gone.consumer.start(gone)
        await gone.until(lambda: bool(gone.assignments))
        await _until_shared(one, gone)
        seen = len(one.assignments)
        async with _polled(_with(place, instance_id="two")) as again:
            assert again.assignments[-1] == gone.assignments[-1]
            with pytest.raises(errors.InstanceReplaced):
                await gone.until(lambda: False)  # it was no kill, to the end
            assert len(one.assignments) == seen
        await gone.consumer.close()


async def test_second_process_with_an_id_ends_the_first_one_for_good(place: broker_places.Place) -> None:
    """The first one says which id is used twice, joins no more, and the second one works undisturbed."""
    async with asyncio.timeout(waiting.LIMIT_S), contextlib.AsyncExitStack() as stack:
        first = broker_places.Member(_with(place, instance_id="same"))
        await first.consumer.start(first)
        stack.push_async_callback(first.consumer.close)
        await first.until(lambda: bool(first.assignments))
        second = await stack.enter_async_context(_polled(_with(place, instance_id="same")))
        position = next(iter(first.assignments[-1]))
        with contextlib.suppress(errors.StreamDown):
            await first.consumer.commit({position: 0})  # its refusal must not make it join again
        with pytest.raises(errors.InstanceReplaced, match=r"kafka\.instance_id, same: expected one process"):
            await first.until(lambda: False)
        await asyncio.sleep(3)
        with pytest.raises(errors.InstanceReplaced):
            await first.poll()

        assert (len(second.assignments), len(second.assignments[-1])) == (1, broker_places.PARTITIONS)


async def test_runtime_whose_id_is_used_by_another_process_is_not_started_again(place: broker_places.Place) -> None:
    """Also where other tenants work on: a new start would end the other process in turn."""
    kafka = _with(place, instance_id="same").kafka

    work = supervisor.Supervisor(
        lambda: runtime.Runtime(kafka, client.KafkaBroker(kafka), runtime_process.number, clock.SystemClock()),
        place.topic,
    )
    running = asyncio.create_task(work.run(lambda: True))
    async with asyncio.timeout(waiting.LIMIT_S):
        await work.ready()
        async with _polled(_with(place, instance_id="same")) as second:
            with pytest.raises(errors.InstanceReplaced):
                await running
            assert len(second.assignments) == 1
