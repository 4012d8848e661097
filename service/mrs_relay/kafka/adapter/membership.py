"""
The membership of one consumer in its group: aiokafka's coordinator, with some of its ways replaced.

    staying       while the group shares its partitions again, those that we have are read on; `revoked` is called only
                  when the group may have given them away already: the session has ended, or a rebalance left us behind
    handing over  a partition moves to another member in two rebalances. The first one takes it from us; once we have
                  finished what we hold of it, `release` begins the second one. See `shares.handed_over`
    instance      a member with an instance id returns after a restart without a rebalance. A second process with
                  the same id takes its place: then we are fenced, and join no more
    stopping      a member that stops leaves the group at once, so that others get its partitions. With
                  `restart_hold_ms` the group keeps them for its return instead
    stand-in      heartbeats go on while the event loop is busy; see `stand_in.py`

Staying needs transactions: Kafka gives no partition away before all members have joined again, and the new owner fences
the former one by the partition's transactional id. Without them partitions are revoked first.

Source: aiokafka 0.14, consumer/group_coordinator.py, subscription_state.py, fetcher.py; Kafka 4.3,
GroupMetadataManager.updateStaticMemberThenRebalanceOrCompleteJoin.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.consumer import subscription_state
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.protocol import commit, group

from mrs_relay import errors
from mrs_relay.kafka import settings
from mrs_relay.kafka.adapter import assignor, group_requests, stand_in

_LEAVE_S: Final = 2.0

log = structlog.get_logger(__name__)


class Membership:
    """
    Replaces parts of a started consumer's coordinator; to be made before the consumer subscribes.

    Args:
        client: the consumer.
        kafka: the settings.
        substitute: sends heartbeats while the event loop is busy.
        on_rejoining: awaited when the group is about to share its partitions again and ours are read on meanwhile.
        on_assigned: awaited after that, with our partitions and with those that are gone.
    """

    def __init__(
        self,
        client: AIOKafkaConsumer,
        kafka: settings.KafkaSettings,
        substitute: stand_in.StandIn,
        on_rejoining: Callable[[], Awaitable[None]],
        on_assigned: Callable[[frozenset[TopicPartition], frozenset[TopicPartition]], Awaitable[None]],
    ) -> None:
        self._fetcher = client._fetcher  # noqa: SLF001 - the library keeps its parts to itself
        self._coordinator = coordinator = client._coordinator  # noqa: SLF001 - the same
        self._kafka = kafka
        self._instance_id = kafka.instance_id
        self._substitute = substitute
        self._on_rejoining = on_rejoining
        self._on_assigned = on_assigned
        self._staying = False
        self._fenced = False
        self._joins = 0
        self._is_joining = False
        self._asked_again = False
        self._handing_over: frozenset[TopicPartition] = frozenset()
        self._assignor: type[assignor.Assignor] = coordinator._assignors[0]  # noqa: SLF001 - the same

        self._send_usual = coordinator._send_req  # noqa: SLF001 - the same
        self._prepare_usual = coordinator._on_join_prepare  # noqa: SLF001 - the same
        self._rejoin_usual = coordinator._do_rejoin_group  # noqa: SLF001 - the same
        self._complete_usual = coordinator._on_join_complete  # noqa: SLF001 - the same

        coordinator._send_req = self._send  # noqa: SLF001 - the same
        coordinator._maybe_leave_group = self._leave  # noqa: SLF001 - the same
        coordinator._do_rejoin_group = self._rejoin  # noqa: SLF001 - the same
        coordinator._on_join_complete = self._complete  # noqa: SLF001 - the same
        if kafka.transactional:
            self._assignor.hands_over = True
            coordinator._on_join_prepare = self._prepare  # noqa: SLF001 - the same

    def check(self) -> None:
        """
        Raise if another process uses our instance id.

        Raises:
            InstanceReplaced: give each replica an id of its own.
        """
        if self._fenced:
            raise errors.InstanceReplaced(
                f"another process has joined the consumer group {self._kafka.group_id} with our kafka.instance_id, "
                f"{self._instance_id}: expected one process for each id; give each replica its own, or none"
            )

    async def _send(self, request: Any) -> Any:  # noqa: ANN401 - the library ships no types
        """Send a request to the coordinator, with our instance id; note what the reply says of our membership."""
        member = self._coordinator
        if isinstance(request, group.JoinGroupRequest | group_requests.LeaveGroup):
            self._substitute.rest()
        if isinstance(request, group.JoinGroupRequest):
            self._joins += 1
            self._is_joining = True
        is_commit = isinstance(request, commit.OffsetCommitRequest)
        if is_commit and self._is_joining:  # it may arrive in the next generation
            raise kafka_errors.RebalanceInProgressError
        sent_as = member.member_id, self._joins

        if self._instance_id is not None and isinstance(request, group.HeartbeatRequest):
            request = group_requests.Heartbeat(member.group_id, member.generation, member.member_id, self._instance_id)
        elif self._instance_id is not None and is_commit:
            request = group_requests.OffsetCommit(request, self._instance_id)

        reply = await self._send_usual(request)
        if group_requests.is_fenced(reply):
            # A commit that meets our own way back into the group is refused in the same way.
            self._fenced = self._fenced or (bool(sent_as[0]) and sent_as == (member.member_id, self._joins))
            self._substitute.rest()
        elif isinstance(request, group.SyncGroupRequest) and reply.error_code == 0:
            self._is_joining = False
            self._substitute.stand_in_for(member.generation, member.member_id)
        elif isinstance(request, group.HeartbeatRequest | group_requests.Heartbeat):
            self._substitute.beaten()

        if is_commit and sent_as != (member.member_id, self._joins):
            # A refusal of the generation that we have left: the library would give up our place in the present one.
            raise kafka_errors.RebalanceInProgressError
        return reply

    async def _prepare(self, previous: subscription_state.Assignment | None) -> None:
        """Begin a rebalance: go on with what we have, as long as we are a member."""
        member = self._coordinator
        self._staying = bool(member.member_id) and previous is not None and previous.active
        if not self._staying:
            await self._revoke(previous)
            return
        member._group_subscription = None  # noqa: SLF001 - as the library does; its leader sets it again
        await self._on_rejoining()

    async def _rejoin(self, subscription: subscription_state.Subscription) -> bool:
        """Join again; the library calls it until it succeeds."""
        if self._staying and not self._coordinator.member_id:
            # The group has gone on without us: others may have our partitions already.
            self._staying = False
            await self._revoke(subscription.assignment)
        self._asked_again = False
        return bool(await self._rejoin_usual(subscription))

    async def _revoke(self, previous: subscription_state.Assignment | None) -> None:
        """Have everything revoked, and report no partition to the leader: others may work on them already."""
        self._handing_over = frozenset()
        self._assignor.hold(())
        await self._prepare_usual(previous)

    def release(self, partitions: frozenset[TopicPartition]) -> None:
        """Let the group give partitions to others that the last assignment has taken from us."""
        self._handing_over -= partitions
        gone = partitions - self._coordinator._subscription.assigned_partitions()  # noqa: SLF001 - where the library keeps it
        self._assignor.hold(frozenset(self._assignor.member_assignment or ()) - gone)
        self.share_again()

    def share_again(self) -> None:
        """Join again, for what we report to the leader has changed; also if we are joining now, with the old report."""
        self._asked_again = True
        self._coordinator.request_rejoin()

    async def _complete(self, generation: int, member_id: str, protocol: str, encoded: bytes) -> None:
        """Take over the new assignment; what we keep is read on without a gap."""
        member = self._coordinator
        state = member._subscription  # noqa: SLF001 - where the library keeps it
        current = None if state.subscription is None else state.subscription.assignment
        assigned = ConsumerProtocol.ASSIGNMENT.decode(encoded)
        if self._asked_again:
            member.request_rejoin()  # the library has forgotten the request that came while it joined
        if not self._staying or current is None or not current.active:
            if assigned.user_data == assignor.HANDING_OVER:
                member.request_rejoin()  # we are back in a place that was to hand partitions over: we hold none
            await self._complete_usual(generation, member_id, protocol, encoded)
            return

        self._staying = False
        before, now = frozenset(current.tps), frozenset(assigned.partitions())
        self._handing_over = (self._handing_over | before) - now
        self._assignor.hold(now | self._handing_over)
        self._change(current, now)
        state._notify_assignment_waiters()  # noqa: SLF001 - as the library does
        if not member._closing.done():  # noqa: SLF001 - the consumer waits for this task to end, and then leaves
            await self._on_assigned(now, before - now)

    def _change(self, current: subscription_state.Assignment, now: frozenset[TopicPartition]) -> None:
        """Change the library's present assignment; a new one would throw away fetches under way and positions."""
        fetcher, states = self._fetcher, current._tp_state  # noqa: SLF001 - the library only ever makes new ones
        for tp in current.tps - now:
            # A fetch under way looks its state up, so that stays: without a position, its records are dropped.
            states[tp].pause()
            states[tp].await_reset(None)
            fetcher._records.pop(tp, None)  # noqa: SLF001 - the same
        for tp in now - current.tps:
            states[tp] = subscription_state.TopicPartitionState(current)
            states[tp].pause()
            states[tp].seek(0)
        current._topic_partitions = now  # noqa: SLF001 - the same
        fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001 - its loop watches the partitions that it knew

    async def _leave(self) -> None:
        """Leave the group, or have it keep our partitions for our return; asks once, since a session ends anyway."""
        member = self._coordinator
        stops = member._closing.done()  # noqa: SLF001 - else it leaves because it has not been polled for too long
        holds = stops and self._instance_id is not None and self._kafka.restart_hold_ms > 0
        holds = holds and not self._handing_over  # they have no owner until the group shares its partitions again
        if member.generation > 0 and not self._fenced:
            with contextlib.suppress(kafka_errors.KafkaError, TimeoutError):
                async with asyncio.timeout(_LEAVE_S):
                    if not (holds and await self._hold()):
                        await self._send(
                            group_requests.LeaveGroup(member.group_id, member.member_id, self._instance_id)
                        )
        self._substitute.rest()
        member.reset_generation()

    async def _hold(self) -> bool:
        """
        Lengthen our session to the time that a restart may take; False if Kafka refuses.

        A member that joins with a known instance id takes the place of the last one, with a session of its own length,
        and without a rebalance; its first heartbeat begins that session.
        """
        member, hold_ms = self._coordinator, self._kafka.restart_hold_ms
        metadata = [(one.name, _encoded(one.metadata(self._topics))) for one in member._assignors]  # noqa: SLF001 - as the library does
        reply = await self._send(
            group.JoinGroupRequest(
                member.group_id,
                hold_ms,
                self._kafka.rebalance_timeout_ms,
                group.JoinGroupRequest.UNKNOWN_MEMBER_ID,
                self._instance_id,
                ConsumerProtocol.PROTOCOL_TYPE,
                metadata,
            )
        )
        if reply.error_code != 0:
            log.warning("partitions_not_held", instance_id=self._instance_id, hold_ms=hold_ms, code=reply.error_code)
            return False

        await self._send_usual(
            group_requests.Heartbeat(member.group_id, reply.generation_id, reply.member_id, self._instance_id)
        )
        log.info("partitions_held", instance_id=self._instance_id, hold_ms=hold_ms)
        return True

    @property
    def _topics(self) -> frozenset[str]:
        return frozenset({self._kafka.topics.requests})


def _encoded(metadata: Any) -> bytes:  # noqa: ANN401 - the same
    encoded: bytes = metadata if isinstance(metadata, bytes) else metadata.encode()
    return encoded
