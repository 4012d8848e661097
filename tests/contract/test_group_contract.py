"""What the Kafka part relies on in a consumer group, tested against every broker that it may meet."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract import broker_places

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records


class TestGroup:
    """Membership, parking, reading, offsets."""

    async def test_lone_member_gets_everything_parked(self, place: broker_places.Place) -> None:
        """Nothing is read before the partition is let flow, and then from where it was reported."""
        await place.create()
        await place.send("a", "b", "c")
        async with broker_places.joined(place, flows=False) as member:
            everything = frozenset(records.Position(place.topic, n) for n in range(broker_places.PARTITIONS))
            assert member.assignments == [everything]
            assert await member.poll() == []
            member.consumer.flow(records.Position(place.topic, 0), 1)
            found = await _gather(member, 2)
            assert [(record.offset, record.value) for record in found] == [(1, b"b"), (2, b"c")]

    async def test_only_wanted_partitions_are_read_and_nothing_is_lost(self, place: broker_places.Place) -> None:
        """A partition that is not wanted for a while continues where it stopped."""
        await place.create()
        await place.send("a", partition=0)
        await place.send("b", partition=1)
        async with broker_places.joined(place) as member:
            one = frozenset({records.Position(place.topic, 1)})
            found: list[records.Record] = []
            async with asyncio.timeout(broker_places.SOON_S):
                while not found:
                    arrived = await member.consumer.poll(one, limit=10, timeout_s=0.5)
                    assert arrived.keys() <= one
                    found += [record for some in arrived.values() for record in some]
            assert [record.value for record in found] == [b"b"]
            assert await member.consumer.poll(frozenset(), limit=10, timeout_s=0.1) == {}
            assert [record.value for record in await _gather(member, 1)] == [b"a"]

    async def test_limit_is_kept(self, place: broker_places.Place) -> None:
        """No poll returns more records than asked for; the rest follows."""
        await place.create()
        await place.send(*(str(number) for number in range(10)))
        async with broker_places.joined(place) as member:
            found: list[records.Record] = []
            async with asyncio.timeout(broker_places.SOON_S):
                while len(found) < 10:
                    some = await member.poll(limit=4)
                    assert len(some) <= 4
                    found += some
            assert [record.value for record in found] == [b"%d" % number for number in range(10)]

    async def test_parked_partition_is_silent(self, place: broker_places.Place) -> None:
        """After parking nothing more is read; parking what is not ours does nothing."""
        await place.create()
        async with broker_places.joined(place) as member:
            member.consumer.park(records.Position(place.topic, 0))
            member.consumer.park(records.Position("elsewhere", 0))
            await place.send("a", partition=0)
            assert await member.poll() == []

    async def test_flowing_what_is_not_ours_is_refused(self, place: broker_places.Place) -> None:
        """The partition may have gone in the meantime."""
        await place.create()
        async with broker_places.joined(place) as member:
            with pytest.raises(errors.StreamDown):
                member.consumer.flow(records.Position(place.topic, 99), 0)

    async def test_second_member_takes_half_and_the_leavers_share_comes_back(self, place: broker_places.Place) -> None:
        """With transactions work continues until the new shares are known; without them everything is revoked."""
        await place.create()
        everything = frozenset(records.Position(place.topic, n) for n in range(broker_places.PARTITIONS))

        async with broker_places.joined(place) as first:
            async with asyncio.TaskGroup() as group:
                polling = group.create_task(first.until(lambda: len(first.assignments) > 1))
                async with broker_places.joined(place) as second:
                    await polling
                    await second.until(lambda: bool(second.assignments[-1]))
                    revoked = everything if not place.transactional else frozenset()
                    assert (first.revocations[-1], first.rejoins > 0) == (revoked, place.transactional)
                    assert {len(first.assignments[-1]), len(second.assignments[-1])} == {2}
                    assert first.assignments[-1] | second.assignments[-1] == everything
            seen = len(first.assignments)
            await first.until(lambda: len(first.assignments) > seen)
            assert first.assignments[-1] == everything

    async def test_what_a_member_keeps_is_read_on_through_a_rebalance(self, strong: broker_places.Place) -> None:
        """Also while the group waits for a member; what is new is parked, what is lost is silent."""
        await strong.create()
        async with broker_places.joined(strong) as first:
            stays = records.Position(strong.topic, 0)
            async with asyncio.TaskGroup() as group:
                polling = group.create_task(first.until(lambda: len(first.assignments) > 1))
                async with broker_places.joined(strong, flows=False) as second:
                    await polling
                    await second.until(lambda: bool(second.assignments[-1]))
                    stays, goes = min(first.assignments[-1]), min(second.assignments[-1])
                    ends = [first.consumer.read_to(position) for position in (stays, goes)]
                    assert (ends[0] is not None, ends[1]) == (True, None)
                    await strong.send("a", partition=stays.partition)
                    await strong.send("b", partition=goes.partition)
                    assert [record.value for record in await _gather(first, 1)] == [b"a"]
                    assert (await first.poll(), await second.poll()) == ([], [])

            await strong.send("c", partition=stays.partition)
            assert {record.value for record in await _gather(first, 2)} == {b"b", b"c"}
            assert first.revocations == [frozenset()]

    async def test_what_a_member_gets_in_a_rebalance_is_parked(self, strong: broker_places.Place) -> None:
        """Its reading begins where the ledger says, so nothing may arrive before that is known."""
        await strong.create()
        for number in range(broker_places.PARTITIONS):
            await strong.send("a", partition=number)
        async with broker_places.joined(strong) as first:
            assert len(await _gather(first, broker_places.PARTITIONS)) == broker_places.PARTITIONS
            async with asyncio.TaskGroup() as group:
                polling = group.create_task(first.until(lambda: len(first.assignments) > 1))
                async with broker_places.joined(strong, flows=False):
                    await polling
                    first.lets_flow = False  # before the other leaves: the next assignment may come while it does
            await first.until(lambda: len(first.assignments[-1]) == broker_places.PARTITIONS)
            assert (await first.poll(), await first.poll()) == ([], [])

    async def test_offsets_of_the_group_are_kept(self, place: broker_places.Place) -> None:
        """A committed offset is returned, also to the next member; others are None."""
        await place.create()
        await place.send("a", "b")
        mine, other = records.Position(place.topic, 0), records.Position(place.topic, 1)
        async with broker_places.joined(place) as member:
            assert await member.consumer.committed(mine) is None
            await member.consumer.commit({mine: 2, records.Position(place.topic, 99): 5})
            assert await member.consumer.committed(mine) == 2
            assert await member.consumer.is_mirror(mine) == (place.name != "embedded")  # Tansu keeps no notes
            assert not await member.consumer.is_mirror(other)
        async with broker_places.joined(place) as member:
            assert (await member.consumer.committed(mine), await member.consumer.committed(other)) == (2, None)

    async def test_a_note_beside_an_offset_is_read_by_all_members(self, place: broker_places.Place) -> None:
        """Also one of thousands of characters; it leaves the offset a mirror, and Tansu keeps none."""
        await place.create()
        await place.send("a", "b")
        mine, other = records.Position(place.topic, 0), records.Position(place.topic, 1)
        text = "{" + "é" * 1000 + "x" * 1900 + "}"
        kept = "" if place.name == "embedded" else text
        async with broker_places.joined(place) as member:
            await member.consumer.commit({mine: 2}, notes={mine: text})
            found = await member.consumer.notes([mine, other])
            assert {position: (one.offset, one.text) for position, one in found.items()} == {mine: (2, kept)}
            assert await member.consumer.is_mirror(mine) == (place.name != "embedded")
            assert member.consumer.generation >= 0
            await member.consumer.commit({mine: 2})
            assert (await member.consumer.notes([mine]))[mine].text == ""

    async def test_partition_that_does_not_exist_is_an_error_soon(self, place: broker_places.Place) -> None:
        """A topic has fewer partitions than another one: writing and reading there end with an error, not a hang."""
        await place.create()
        beyond = records.Position(place.topic, broker_places.PARTITIONS)
        async with asyncio.timeout(60):
            async with place.sending() as producer:
                with pytest.raises(errors.StreamError):
                    await producer.write([records.Outgoing(beyond.topic, b"k", b"v", (), beyond.partition)])
            with pytest.raises(errors.StreamError):
                async with place.broker.reader(beyond, None) as reader:
                    await reader.read(1.0)

    async def test_bounds_of_an_empty_partition(self, place: broker_places.Place) -> None:
        """Begin and end are equal where nothing is."""
        await place.create()
        async with broker_places.joined(place) as member:
            empty = await member.consumer.bounds(records.Position(place.topic, 3))
            assert (empty.first, empty.end) == (0, 0)

    async def test_bounds_and_end_tell_what_is_there(self, strong: broker_places.Place) -> None:
        """The end is behind the last record; the embedded broker tells a wrong one."""
        await strong.create()
        await strong.send("a", "b", "c")
        position = records.Position(strong.topic, 0)
        async with broker_places.joined(strong) as member:
            found = await member.consumer.bounds(position)
            assert (found.first, found.end) == (0, 3)
            await member.until(lambda: member.consumer.end_offset(position) == 3)

    async def test_answers_keep_coming_without_records(self, place: broker_places.Place) -> None:
        """A quiet partition still tells that the broker is there."""
        await place.create()
        position = records.Position(place.topic, 0)
        async with broker_places.joined(place) as member:
            await member.until(lambda: member.consumer.last_answer(position) is not None)
            before = member.consumer.last_answer(position)
            await member.until(lambda: member.consumer.last_answer(position) != before)

    async def test_offset_that_is_not_there_parks_and_tells(self, strong: broker_places.Place) -> None:
        """Reading where nothing is raises OffsetGone once; the other partitions continue."""
        await strong.create()
        await strong.send("a", partition=1)
        bad = records.Position(strong.topic, 0)
        async with broker_places.joined(strong) as member:
            member.consumer.flow(bad, 1000)
            with pytest.raises(brokers.OffsetGone) as raised:
                await member.until(lambda: False)
            assert raised.value.positions == {bad}
            await strong.send("b", partition=1)
            assert (await _gather(member, 1))[-1].value == b"b"


async def _gather(member: broker_places.Member, count: int) -> list[records.Record]:
    found: list[records.Record] = []
    async with asyncio.timeout(broker_places.SOON_S):
        while len(found) < count:
            found += await member.poll()
    return found
