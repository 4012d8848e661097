"""The in-memory consumer group: what a rebalance asks of its members, and when it is over."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import runtimes

from mrs_relay.kafka import records
from mrs_relay.kafka.memory import memory_broker, memory_group

pytestmark = pytest.mark.looptime


class _Member:
    """A member that takes what it is given and keeps count."""

    def __init__(self, group: memory_group.Group) -> None:
        self.consumer = memory_group.MemoryGroupConsumer(group)
        self.share: frozenset[records.Position] = frozenset()
        self.rebalances = 0

    async def assigned(self, positions: frozenset[records.Position]) -> None:
        self.rebalances += 1
        lost, self.share = self.share - positions, positions
        if lost:
            self.consumer.release(lost)

    async def rejoining(self) -> None:
        """Go on."""

    async def revoked(self, positions: frozenset[records.Position]) -> None:
        del positions
        self.share = frozenset()


async def _members(count: int) -> tuple[memory_group.Group, list[_Member]]:
    broker: memory_broker.MemoryBroker = runtimes.cluster(runtimes.kafka_settings())
    members = [_Member(broker.group) for _ in range(count)]
    for member in members:
        await member.consumer.start(member)
    await asyncio.sleep(60)
    return broker.group, members


async def _close(members: list[_Member]) -> None:
    for member in members:
        await member.consumer.close()


async def test_rebalance_that_is_called_while_members_join_ends_with_them() -> None:
    """A member that joins has answered whatever called it meanwhile: the group does not go round for ever."""
    group, members = await _members(3)
    group.rebalance()
    await asyncio.sleep(group.kafka.heartbeat_interval_ms / 1000)  # they have noticed and are about to join
    for member in members:
        member.consumer.notice(0.5)
    await asyncio.sleep(60)
    before = [member.rebalances for member in members]
    await asyncio.sleep(600)
    assert [member.rebalances for member in members] == before
    assert sorted(len(member.share) for member in members) == [1, 1, 2]
    await _close(members)


async def test_member_that_is_put_out_while_it_waits_for_the_others_joins_again() -> None:
    """Its place in the rebalance is lost, and it gets an error: no member waits for an answer that never comes."""
    group, members = await _members(2)
    first, second = (member.consumer for member in members)
    second.notice(group.kafka.rebalance_timeout_ms / 2000)  # until then it notices nothing else
    first.notice(0.0)
    await asyncio.sleep(1)
    first.evict()
    await asyncio.sleep(2 * group.kafka.session_timeout_ms / 1000)
    assert all(member.share for member in members)
    await _close(members)
