"""
Heartbeats from a thread of its own while the event loop is late with them.

The library sends a member's heartbeats from the event loop, which also decodes ledgers, unpacks batches and decides. If
it stands still for a session, the group gives our partitions to others although we live. So a thread watches when
the loop's last heartbeat was answered, and sends them in its place, by a connection and an event loop of its own.

It does so only for `kafka.stall_timeout_ms`: a loop that hangs for good must lose its partitions. Correctness does not
depend on it: an owner is fenced by its transactional id, a lease that Kafka has not answered for a session may not act,
and all that the thread can do is to keep a member in its group for a little longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import client as kafka_client
from aiokafka import errors as kafka_errors
from aiokafka.protocol import api

from mrs_relay.common import clock as clocks
from mrs_relay.kafka import settings
from mrs_relay.kafka.adapter import connection, group_requests, login, open_connections

_LATE_PART: Final = 3
"""A third of a session without an answered heartbeat makes the loop late; two thirds are left for the thread."""

_ELSEWHERE: Final = frozenset({15, 16})
"""Kafka's error codes of a broker that does not coordinate the group: unavailable, not the coordinator."""

_UNRECOGNISED: Final = frozenset({22, 25, group_requests.FENCED_INSTANCE_ID})
"""Kafka's error codes for a member that the group does not know: illegal generation, unknown member, fenced."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """
    The member for which heartbeats are sent.

    Attributes:
        generation: of the group, in which it is a member.
        member_id: given by the coordinator.
    """

    generation: int
    member_id: str


class StandIn:
    """
    Sends heartbeats for one member while its event loop is late; `close` ends it.

    The event loop calls all methods but `due` and `unknown`; they return at once.

    Args:
        kafka: the settings; `stall_timeout_ms` of 0 sends none.
        clock: measures how late the loop is, also over a suspension of the machine.
    """

    def __init__(self, kafka: settings.KafkaSettings, clock: clocks.Clock) -> None:
        self._kafka = kafka
        self._clock = clock
        self._interval_s = kafka.heartbeat_interval_ms / 1000
        self._late_s = max(2 * self._interval_s, kafka.session_timeout_ms / 1000 / _LATE_PART)
        self._patience_s = kafka.stall_timeout_ms / 1000
        self._member: Member | None = None
        self._unknown: Member | None = None
        self._beaten_s = self._clock.boottime_s()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def stand_in_for(self, generation: int, member_id: str) -> None:
        """Watch the heartbeats of a member; starts the thread at the first call."""
        self._beaten_s = self._clock.boottime_s()
        self._member = Member(generation, member_id)
        if self._thread is None and self._patience_s:
            self._thread = threading.Thread(target=self._watch, name="kafka heartbeats", daemon=True)
            self._thread.start()

    def beaten(self) -> None:
        """Note that a heartbeat of the event loop was answered."""
        self._beaten_s = self._clock.boottime_s()

    def rest(self) -> None:
        """Send none until the next `stand_in_for`: the member joins, or leaves."""
        self._member = None

    def close(self) -> None:
        """End the thread; it ends by itself soon after."""
        self._member = None
        self._closed.set()

    def due(self) -> Member | None:
        """Return the member that needs a heartbeat now: its loop is late, and not for too long."""
        member, late_s = self._member, self._clock.boottime_s() - self._beaten_s
        return member if self._late_s < late_s < self._patience_s and member is not self._unknown else None

    def _watch(self) -> None:
        while not self._closed.wait(self._interval_s / 2):
            if self.due() is None:
                continue
            try:
                asyncio.run(self._stand_in())
            except Exception as error:  # noqa: BLE001 - a thread that has ended would be missed at the next stall
                log.warning("heartbeat_failed", error=repr(error))

    async def _stand_in(self) -> None:
        """Send heartbeats until the loop turns again, or has stood still for too long."""
        log.warning("heartbeats_late", late_s=round(self._clock.boottime_s() - self._beaten_s, 1))
        kafka = self._kafka
        # Certificates and tokens are read again: those of the other clients belong to the loop that stands still.
        options = connection.connect(kafka).options("heartbeat")
        client = kafka_client.AIOKafkaClient(**options, request_timeout_ms=kafka.request_timeout_ms)
        opened = open_connections.OpenConnections(client)
        login.attend(client, kafka.security)

        try:
            await client.bootstrap()
            coordinator = await client.coordinator_lookup(kafka_client.CoordinationType.GROUP, kafka.group_id)
            while (member := self.due()) is not None and not self._closed.is_set():
                request = group_requests.Heartbeat(
                    kafka.group_id, member.generation, member.member_id, kafka.instance_id
                )
                if not await _sent(client, coordinator, request):
                    self.unknown(member)
                await asyncio.sleep(self._interval_s)
        finally:
            try:
                with contextlib.suppress(kafka_errors.KafkaError):
                    await client.close()
            finally:
                opened.close()

    def unknown(self, member: Member) -> None:
        """Send no more for a member that the group does not know; for the thread. The loop finds it out by itself."""
        self._unknown = member


async def _sent(client: kafka_client.AIOKafkaClient, node_id: int, request: api.Request) -> bool:
    """Send one heartbeat; False if the group does not know the member. Raises KafkaError: look up the coordinator."""
    if not await client.ready(node_id):
        raise kafka_errors.NodeNotReadyError(f"no connection to broker {node_id}")
    reply = await client.send(node_id, request)
    if reply.error_code in _ELSEWHERE:
        raise kafka_errors.for_code(reply.error_code)(f"broker {node_id}")
    return reply.error_code not in _UNRECOGNISED
