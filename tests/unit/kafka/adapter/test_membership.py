"""What becomes of the library's assignment, and of what the leader is informed of, through rebalances."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.consumer import subscription_state
from aiokafka.coordinator.protocol import ConsumerProtocol, ConsumerProtocolMemberAssignment
from aiokafka.protocol import commit, group
from tests.support import clocks, runtimes

from mrs_relay import errors
from mrs_relay.kafka.adapter import assignor, group_requests, membership, stand_in

_ZERO, _ONE, _TWO = (TopicPartition(runtimes.IN, number) for number in range(3))


class _Coordinator:
    """The parts of the library's coordinator that are replaced, and those that are used."""

    def __init__(self) -> None:
        self.group_id = "group"
        self.member_id = "member"
        self.generation = 1
        self.reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.revoked = 0
        self.rejoins = 0
        self.sent: list[str] = []
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

    async def complete(self, *now: TopicPartition, user_data: bytes = b"") -> None:
        """Get these partitions."""
        share = ConsumerProtocolMemberAssignment(0, [(runtimes.IN, [one.partition for one in now])], user_data)
        await self._on_join_complete(self.generation, self.member_id, "sticky", share.encode())

    def request_rejoin(self) -> None:
        self.rejoins += 1

    async def _send_req(self, request: object) -> Any:
        self.sent.append(type(request).__name__)
        return await self.reply

    def reset_generation(self) -> None:
        self.member_id = ""

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

    def __init__(self, **settings: object) -> None:
        self.coordinator = _Coordinator()
        self.changes: list[tuple[frozenset[TopicPartition], frozenset[TopicPartition]]] = []
        self.rejoining = 0
        fetcher = SimpleNamespace(_records={_ONE: "fetched"}, _wait_consume_future=None, _notify=lambda _future: None)
        client: Any = SimpleNamespace(_coordinator=self.coordinator, _fetcher=fetcher)
        kafka = runtimes.kafka_settings(**settings)
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


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [("member", "member", True), ("", "", False), ("member", "", False), ("member", "new", False)],
)
async def test_only_a_refusal_of_the_present_member_means_that_its_id_is_used_elsewhere(
    before: str, after: str, *, ends: bool
) -> None:
    """Our own joining replaces the member that we were, and a commit of that one may still be under way."""
    stage = _Stage(instance_id="one")
    stage.coordinator.member_id = before
    sending = asyncio.create_task(stage.coordinator._send_req(commit.OffsetCommitRequest("group", 1, before, -1, [])))
    await asyncio.sleep(0)
    stage.coordinator.member_id = after
    stage.coordinator.reply.set_result(SimpleNamespace(error_code=group_requests.FENCED_INSTANCE_ID))
    with contextlib.suppress(kafka_errors.RebalanceInProgressError):
        await sending
    with pytest.raises(errors.InstanceReplaced) if ends else contextlib.nullcontext():
        stage.membership.check()


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


async def test_member_whose_everything_is_revoked_reports_nothing_that_it_still_finishes() -> None:
    """Others may work on it already: the end of a hand-over must not bring it back."""
    stage = _Stage()
    await stage.coordinator.rebalance(_ZERO)
    stage.coordinator.member_id = ""
    await stage.coordinator._on_join_prepare(stage.coordinator.assignment)
    stage.membership.release(frozenset({_ONE}))
    assert stage.reported == set()


@pytest.mark.parametrize("is_member", [True, False])
async def test_request_to_share_again_is_not_lost_while_the_group_does(*, is_member: bool) -> None:
    """The library forgets it when it learns its share, which was computed without what is new."""
    stage = _Stage()
    stage.coordinator.member_id = "member" if is_member else ""
    await stage.coordinator._on_join_prepare(stage.coordinator.assignment)
    await stage.coordinator._do_rejoin_group(stage.coordinator._subscription.subscription)
    stage.membership.share_again()
    stage.coordinator.rejoins = 0
    await stage.coordinator.complete(_ZERO)
    assert stage.coordinator.rejoins == 1
    await stage.coordinator.rebalance(_ZERO)
    assert stage.coordinator.rejoins == 1


async def test_member_back_in_a_place_that_was_to_hand_partitions_over_has_the_group_share_them() -> None:
    """It came back without a rebalance, and nothing else would begin one: no member would ever have them."""
    for user_data, rejoins in ((b"", 0), (assignor.HANDING_OVER, 1)):
        stage = _Stage(instance_id="one")
        await stage.coordinator._on_join_prepare(None)
        await stage.coordinator._do_rejoin_group(stage.coordinator._subscription.subscription)
        await stage.coordinator.complete(_ZERO, user_data=user_data)
        assert stage.coordinator.rejoins == rejoins
        await stage.coordinator.rebalance(_ZERO)
        assert stage.coordinator.rejoins == rejoins


async def test_member_that_hands_partitions_over_when_it_stops_leaves_instead_of_being_waited_for() -> None:
    """They have no owner until the group shares again."""
    for kept, sent in (((_ZERO, _ONE), "JoinGroupRequest"), ((_ZERO,), "LeaveGroup")):
        stage = _Stage(instance_id="one", restart_hold_ms=60_000)
        await stage.coordinator.rebalance(*kept)
        stage.coordinator._closing.set_result(None)
        stage.coordinator.reply.set_result(SimpleNamespace(error_code=0, generation_id=1, member_id="new"))
        await stage.coordinator._maybe_leave_group()
        assert stage.coordinator.sent[0] == sent


async def test_no_offset_is_committed_while_the_member_joins() -> None:
    """The coordinator may take it in the next generation, and its refusal would cost the member its place."""
    stage = _Stage()
    before = asyncio.create_task(stage.coordinator._send_req(commit.OffsetCommitRequest("group", 1, "member", -1, [])))
    await asyncio.sleep(0)
    joining = asyncio.create_task(
        stage.coordinator._send_req(group.JoinGroupRequest("group", 1, 1, "member", None, "consumer", []))
    )
    await asyncio.sleep(0)
    offset = commit.OffsetCommitRequest("group", 1, "member", -1, [])
    with pytest.raises(kafka_errors.RebalanceInProgressError):
        await stage.coordinator._send_req(offset)
    stage.coordinator.reply.set_result(SimpleNamespace(error_code=0))
    await joining

    for refused in (before, stage.coordinator._send_req(offset)):
        with pytest.raises(kafka_errors.RebalanceInProgressError):
            await refused

    await stage.coordinator._send_req(group.SyncGroupRequest("group", 2, "member", None, []))
    await stage.coordinator._send_req(offset)

    assert stage.coordinator.sent == [
        "OffsetCommitRequest",
        "JoinGroupRequest",
        "SyncGroupRequest",
        "OffsetCommitRequest",
    ]
