"""No run event is lost on its way to the endpoint, and those of a request stay in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from tests.support import runtimes

from mrs_relay.common import backoff
from mrs_relay.forwarding import endpoint, forwarder, status
from mrs_relay.kafka import records, settings
from mrs_relay.kafka.memory import memory_broker

pytestmark = pytest.mark.looptime

_TOPIC = "mrs.lineage"
_TAKEN = endpoint.Answer(is_final=True)
_AWAY = endpoint.Answer(is_final=False, fault="HTTP 503")
_REFUSED = endpoint.Answer(is_final=True, fault="HTTP 422")


class _Endpoint:
    """An endpoint with a script; keeps what it took."""

    def __init__(self, answer: Callable[[bytes], endpoint.Answer] = lambda _event: _TAKEN) -> None:
        self.answer = answer
        self.taken: list[bytes] = []
        self.tries: list[float] = []

    async def send(self, event: bytes) -> endpoint.Answer:
        await asyncio.sleep(0.01)
        self.tries.append(asyncio.get_running_loop().time())
        answer = self.answer(event)
        if answer == _TAKEN:
            self.taken.append(event)
        return answer


class _World:
    def __init__(self, partitions: int) -> None:
        topics = settings.Topics(requests=_TOPIC, status=None)
        self.kafka = runtimes.kafka_settings(topics=topics, group_id="relay.lineage")
        self.broker = memory_broker.MemoryBroker(self.kafka)
        self.broker.create_topic(_TOPIC, partitions)

    def put(self, *values: bytes, partition: int = 0) -> None:
        for value in values:
            self.broker.put(_TOPIC, partition, b"k", value)

    @contextlib.asynccontextmanager
    async def forwarding(self, to: _Endpoint) -> AsyncIterator[forwarder.Forwarder]:
        made = forwarder.Forwarder(_TOPIC, self.broker.for_group(self.kafka), to.send, backoff.Backoff(0.5, 60.0))
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def committed(self, partition: int = 0) -> int | None:
        """Ask the group as a member would."""
        return await self.broker.for_group(self.kafka).consumer().committed(records.Position(_TOPIC, partition))


async def _until(is_done: Callable[[], bool], within_s: float = 3600) -> None:
    async with asyncio.timeout(within_s):
        while not is_done():
            await asyncio.sleep(0.5)


async def test_events_are_sent_in_the_order_of_their_partition_and_once() -> None:
    """From the beginning of the topic; the offset of the group follows, so a successor sends nothing again."""
    world, to = _World(partitions=1), _Endpoint()
    events = [b"%d" % number for number in range(20)]
    world.put(*events[:10])
    async with world.forwarding(to):
        await _until(lambda: len(to.taken) == 10)
        world.put(*events[10:])
        await _until(lambda: len(to.taken) == 20)
        await asyncio.sleep(2)
    assert (to.taken, await world.committed()) == (events, 20)
    async with world.forwarding(to):
        await asyncio.sleep(30)
    assert to.taken == events


async def test_endpoint_that_is_away_for_an_hour_loses_nothing() -> None:
    """Events are tried again and again, at last once a minute, and then sent in order."""
    world = _World(partitions=1)
    hour_s = 3600
    to = _Endpoint(lambda _event: _TAKEN if asyncio.get_running_loop().time() > hour_s else _AWAY)
    world.put(b"1", b"2")
    async with world.forwarding(to) as made:
        await asyncio.sleep(hour_s - 60)
        assert (to.taken, await world.committed()) == ([], None)
        world.put(b"3")
        await _until(lambda: len(to.taken) == 3)
        assert to.taken == [b"1", b"2", b"3"]
        assert 60 <= made.counts.repeated < 150


async def test_killed_forwarder_s_successor_sends_what_had_no_answer() -> None:
    """The offset does not go past an event that the endpoint has not taken."""
    world = _World(partitions=1)
    to = _Endpoint(lambda event: _AWAY if event == b"2" else _TAKEN)
    world.put(b"1", b"2", b"3")
    async with world.forwarding(to):
        await asyncio.sleep(10)
    assert (to.taken, await world.committed()) == ([b"1"], 1)
    after = _Endpoint()
    async with world.forwarding(after):
        await _until(lambda: len(after.taken) == 2)
    assert after.taken == [b"2", b"3"]


async def test_event_that_the_endpoint_refuses_holds_up_no_other() -> None:
    """It is named in the log, and counted."""
    world, to = _World(partitions=1), _Endpoint(lambda event: _REFUSED if event == b"bad" else _TAKEN)
    world.put(b"1", b"bad", b"2")
    async with world.forwarding(to) as made:
        await _until(lambda: len(to.taken) == 2)
        assert (made.counts.sent, made.counts.refused, made.counts.repeated) == (2, 1, 0)


async def test_partition_whose_event_waits_holds_up_no_other() -> None:
    """Each partition is a line of its own."""
    world, to = _World(partitions=2), _Endpoint(lambda event: _AWAY if event == b"stuck" else _TAKEN)
    world.put(b"stuck", partition=0)
    async with world.forwarding(to):
        await asyncio.sleep(5)
        world.put(b"1", b"2", partition=1)
        await _until(lambda: len(to.taken) == 2, within_s=10)
        assert to.taken == [b"1", b"2"]


async def test_two_forwarders_share_the_partitions_and_lose_nothing() -> None:
    """One joins while the other works, and leaves again; what was under way may be sent twice."""
    world, first, second = _World(partitions=4), _Endpoint(), _Endpoint()

    def put(numbers: range) -> None:
        for number in numbers:
            world.put(b"%d" % number, partition=number % 4)

    async with world.forwarding(first):
        put(range(40))
        await asyncio.sleep(1)
        async with world.forwarding(second):
            await asyncio.sleep(30)
            put(range(40, 200))
            await _until(lambda: len({*first.taken, *second.taken}) == 200)
            assert first.taken
            assert second.taken
            await asyncio.sleep(5)
        put(range(200, 240))
        await _until(lambda: len({*first.taken, *second.taken}) == 240)
    for taken in (first.taken, second.taken):
        for partition in range(4):
            numbers = [int(event) for event in taken if int(event) % 4 == partition]
            assert list(dict.fromkeys(numbers)) == sorted(set(numbers))


async def test_kafka_that_is_away_is_waited_for() -> None:
    """The group is joined again."""
    world, to = _World(partitions=1), _Endpoint()
    async with world.forwarding(to):
        await asyncio.sleep(5)
        world.broker.go_down()
        await asyncio.sleep(60)
        world.broker.come_up()
        world.put(b"1")
        await _until(lambda: to.taken == [b"1"], within_s=120)


async def test_status_says_what_waits_for_how_long_and_why() -> None:
    """The lag grows while the endpoint is away, although nothing is read on; markers of transactions do not count."""
    world, is_away = _World(partitions=2), True
    to = _Endpoint(lambda _event: _AWAY if is_away else _TAKEN)
    world.put(b"1", b"2")
    async with world.forwarding(to) as made:
        assert list(status.reasons([made.status()])) == [f"{_TOPIC}: the consumer group has not given us our share yet"]
        await asyncio.sleep(60)
        world.put(b"3")
        await asyncio.sleep(15)
        now = made.status()
        assert (now.is_joined, now.faults, now.lags) == (True, ("HTTP 503",), {0: 3, 1: 0})
        assert 70 < now.delayed_s < 80
        assert [one.partition(" for ")[0] for one in status.reasons([now])] == [
            f"{_TOPIC}: the endpoint has taken no event"
        ]

        is_away = False
        await _until(lambda: len(to.taken) == 3)
        await asyncio.sleep(15)
        now = made.status()
        assert (now.faults, now.delayed_s, now.lags, now.counts.sent) == ((), 0.0, {0: 0, 1: 0}, 3)
        assert list(status.reasons([now])) == []

        world.broker.go_down()
        await asyncio.sleep(60)
        assert made.status().kafka_error
        assert len(list(status.reasons([made.status()]))) == 1


async def test_records_that_cannot_be_read_are_passed_over_and_counted() -> None:
    """Those behind them are sent."""
    world, to = _World(partitions=1), _Endpoint()
    world.put(*(b"%d" % number for number in range(5)))
    world.broker.log(records.Position(_TOPIC, 0)).spoil(1, 4, "its checksum is wrong")
    async with world.forwarding(to) as made:
        await _until(lambda: to.taken == [b"0", b"4"])
        assert (made.counts.sent, made.counts.lost) == (2, 3)
