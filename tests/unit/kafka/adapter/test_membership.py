"""What becomes of the library's assignment, and of what the leader is informed of, through rebalances."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import subscription_state
from aiokafka.coordinator.protocol import ConsumerProtocol, ConsumerProtocolMemberAssignment
from tests.support import clocks, runtimes

from mrs_relay.kafka.adapter import assignor, membership, stand_in

_ZERO, _ONE, _TWO = (TopicPartition(runtimes.IN, number) for number in range(3))


class _Coordinator:
    """The parts of the library's coordinator that are replaced, and those that are used."""

    def __init__(self) -> None:
        self.member_id = "member"
        self.generation = 1
        self.revoked = 0
        self.rejoins = 0
        self._assignors = (assignor.made(),)
        self._closing = asyncio.get_running_loop().create_future()
        self._subscription = subscription_state.SubscriptionState()
        self._subscription.subscribe({runtimes.IN})
        self._subscription.assign_from_subscribed({_ZERO, _ONE})

    @property
    def assignment(self) -> Any:
        return self._subscription.subscription.assignment

    async def rebalance(self, *now: TopicPartition) -> None:
        """Join again, as the library does, and get these partitions."""
        await self._on_join_prepare(self.assignment)
        await self._do_rejoin_group(self._subscription.subscription)
        await self.complete(*now)

    async def complete(self, *now: TopicPartition) -> None:
        """Get these partitions."""
        share = ConsumerProtocolMemberAssignment(0, [(runtimes.IN, [one.partition for one in now])], b"")
        await self._on_join_complete(self.generation, self.member_id, "sticky", share.encode())

    def request_rejoin(self) -> None:
        self.rejoins += 1

    async def _send_req(self, request: object) -> Any:
        raise AssertionError(f"{request} is not expected")

    async def _maybe_leave_group(self) -> None:
        raise AssertionError("the membership leaves in its own way")

    async def _on_join_prepare(self, _previous: object) -> None:
        self.revoked += 1

    async def _do_rejoin_group(self, _subscription: object) -> bool:
        return True

    async def _on_join_complete(self, _generation: int, _member: str, _protocol: str, encoded: bytes) -> None:
        self._subscription.assign_from_subscribed(ConsumerProtocol.ASSIGNMENT.decode(encoded).partitions())


class _Stage:
    """A membership of a consumer whose coordinator the test plays."""

    def __init__(self) -> None:
        self.coordinator = _Coordinator()
        self.changes: list[tuple[frozenset[TopicPartition], frozenset[TopicPartition]]] = []
        self.rejoining = 0
        fetcher = SimpleNamespace(_records={_ONE: "fetched"}, _wait_consume_future=None, _notify=lambda _future: None)
        client: Any = SimpleNamespace(_coordinator=self.coordinator, _fetcher=fetcher)
        kafka = runtimes.kafka_settings()
        substitute = stand_in.StandIn(kafka, clocks.HandClock())
        self.records = fetcher._records
        self.membership = membership.Membership(client, kafka, substitute, self._begins, self._changed)

    async def _begins(self) -> None:
        self.rejoining += 1

    async def _changed(self, now: frozenset[TopicPartition], lost: frozenset[TopicPartition]) -> None:
        self.changes.append((now, lost))

    @property
    def reported(self) -> set[TopicPartition]:
        """What the next request to join says that we work on."""
        return set(self.coordinator._assignors[0].member_assignment or ())


async def test_positions_of_what_is_kept_survive_and_what_is_new_is_parked() -> None:
    """What is lost has no position, so that a fetch under way for it is dropped."""
    stage = _Stage()
    before = stage.coordinator.assignment
    before.state_value(_ZERO).seek(7)
    before.state_value(_ONE).seek(8)
    await stage.coordinator.rebalance(_ZERO, _TWO)
    assert stage.coordinator.assignment is before
    assert before.tps == {_ZERO, _TWO}
    kept, lost, new = (before.state_value(one) for one in (_ZERO, _ONE, _TWO))
    assert (kept.position, kept.paused, new.position, new.paused) == (7, False, 0, True)
    assert (lost.has_valid_position, lost.paused, stage.records) == (False, True, {})
    assert stage.changes == [(frozenset({_ZERO, _TWO}), frozenset({_ONE}))]
    assert (stage.rejoining, stage.coordinator.revoked) == (1, 0)


async def test_what_is_handed_over_is_reported_until_it_is_released() -> None:
    """Then the group shares again; what was released after it had been reported needs one more rebalance."""
    stage = _Stage()
    await stage.coordinator.rebalance(_ZERO)
    assert (stage.reported, stage.coordinator.rejoins) == ({_ZERO, _ONE}, 0)
    await stage.coordinator._on_join_prepare(stage.coordinator.assignment)
    await stage.coordinator._do_rejoin_group(stage.coordinator._subscription.subscription)
    stage.membership.release(frozenset({_ONE}))
    assert (stage.reported, stage.coordinator.rejoins) == ({_ZERO}, 1)
    await stage.coordinator.complete(_ZERO)
    assert stage.coordinator.rejoins == 2
    await stage.coordinator.rebalance(_ZERO)
    assert stage.coordinator.rejoins == 2


async def test_member_without_a_place_has_everything_revoked_and_reports_nothing() -> None:
    """Whether it finds out before it joins, or by the answer to that."""
    for late in (False, True):
        stage = _Stage()
        if late:
            await stage.coordinator._on_join_prepare(stage.coordinator.assignment)
        stage.coordinator.member_id = ""
        if not late:
            await stage.coordinator._on_join_prepare(stage.coordinator.assignment)
        await stage.coordinator._do_rejoin_group(stage.coordinator._subscription.subscription)
        assert (stage.coordinator.revoked, stage.reported) == (1, set())
        before = stage.coordinator.assignment
        await stage.coordinator.complete(_ZERO, _ONE)
        assert stage.coordinator.assignment is not before
        assert stage.changes == []
