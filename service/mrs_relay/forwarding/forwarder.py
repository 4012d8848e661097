"""
Forward the records of a topic in order, a task for each partition that has any; offsets follow the answers.

A record is sent until its answer is final. While one waits, its partition is not read on, and the others are. What is
under way when a partition moves to another forwarder is sent again there.

Neighbours: `status` says how it fares, `metrics` shows that to Prometheus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, tasks
from mrs_relay.forwarding import endpoint, status
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, topic_io

_log = structlog.get_logger(__name__)

_LIMIT: Final = 500
"""Records that one poll returns at most."""

_POLL_S: Final = 0.5
_AGAIN_S: Final = 2.0
"""Seconds until the group is joined again after Kafka could not be reached."""

_LOOK_S: Final = 10.0
"""Seconds between two looks at the ends of the partitions, for the lag."""

Send = Callable[[bytes], Awaitable[endpoint.Answer]]


@dataclass(slots=True, eq=False)
class _Lane:
    """
    One partition of ours.

    Attributes:
        next_offset: of the first record whose answer is not final; None while that is not known.
        committed: the offset that the group has.
        task: sends the records that were read last.
        end: of the partition's readable records; None while that is not known.
        fault: why the endpoint has not taken the first of them; "" if nothing waits for another try.
        failing_since_s: of the first try of that one, on the event loop's clock.
    """

    position: records.Position
    next_offset: int | None = None
    committed: int | None = None
    task: asyncio.Task[None] | None = None
    end: int | None = None
    fault: str = ""
    failing_since_s: float = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether its next records may be read."""
        return self.next_offset is not None and (self.task is None or self.task.done())


@dataclass(slots=True, eq=False)
class Forwarder:
    """
    Forward the topic of a broker's settings; a member of their consumer group.

    Attributes:
        topic: its name.
        broker: reads the topic.
        send: sends one event.
        wait: how long to wait before an event is sent again.
        counts: since the start.
    """

    topic: str
    broker: brokers.Broker
    send: Send
    wait: backoff.Backoff = field(default_factory=lambda: backoff.Backoff(0.5, 60.0))
    counts: status.Counts = field(default_factory=status.Counts)
    _lanes: dict[records.Position, _Lane] = field(default_factory=dict)
    _consumer: brokers.GroupConsumer | None = None
    _bugs: list[BaseException] = field(default_factory=list)
    _is_joined: bool = False
    _kafka_error: str = ""
    _looked_s: float | None = None

    async def run(self) -> None:
        """
        Forward until cancelled; through every failure of Kafka and of the endpoint.

        Raises:
            SettingsError: another process has replaced this one in the group.
        """
        while True:
            try:
                await self._member()
            except errors.StreamDown as error:
                self._kafka_error = str(error)
                _log.warning("forwarder_delayed", error=self._kafka_error)
            await asyncio.sleep(_AGAIN_S)

    def status(self) -> status.Status:
        """Describe how the topic fares here."""
        now_s = asyncio.get_running_loop().time()
        failing = [lane for lane in self._lanes.values() if lane.fault]
        return status.Status(
            topic=self.topic,
            is_joined=self._is_joined,
            kafka_error=self._kafka_error,
            faults=tuple(sorted({lane.fault for lane in failing})),
            delayed_s=max((now_s - lane.failing_since_s for lane in failing), default=0.0),
            lags={position.partition: self._lag(lane) for position, lane in self._lanes.items()},
            counts=self.counts,
        )

    def _lag(self, lane: _Lane) -> int | None:
        """Count the records that have no final answer; where all that was read has one, markers behind do not count."""
        if lane.end is None or lane.next_offset is None:
            return None
        read_to = self._consumer.read_to(lane.position) if self._consumer is not None and lane.is_idle else None
        return max(0, lane.end - max(lane.next_offset, read_to or 0))

    async def _member(self) -> None:
        """Forward as one member of the group, until Kafka fails."""
        self._consumer = consumer = self.broker.consumer()
        async with tasks.TaskSupervisor(lambda _name, error: self._bugs.append(error)) as supervisor:
            try:
                await consumer.start(self)
                while True:
                    await self._begin(consumer)
                    await self._read(consumer, supervisor)
                    await self._commit(consumer)
                    await self._look(consumer)
                    if self._bugs:
                        raise self._bugs[0]
            finally:
                self._is_joined = False
                self._drop(self._lanes.keys())
                await consumer.close()

    async def _begin(self, consumer: brokers.GroupConsumer) -> None:
        """Find out where new partitions continue; without an offset of the group, at their beginning."""
        for lane in [one for one in self._lanes.values() if one.next_offset is None]:
            offset = await consumer.committed(lane.position)
            if offset is None:
                offset = (await consumer.bounds(lane.position)).first
            if self._lanes.get(lane.position) is lane:
                consumer.flow(lane.position, offset)
                lane.next_offset = lane.committed = offset

    async def _read(self, consumer: brokers.GroupConsumer, supervisor: tasks.TaskSupervisor) -> None:
        wanted = frozenset(position for position, lane in self._lanes.items() if lane.is_idle)
        try:
            found = await consumer.poll(wanted, limit=_LIMIT, timeout_s=_POLL_S)
        except brokers.OffsetGone as error:
            await self._skip_gone(consumer, error)
            return
        except brokers.BatchUnreadable as error:
            _log.error("lineage_unreadable", error=str(error))
            self.counts.lost += error.next_offset - error.first
            self._go_on(consumer, error.position, error.next_offset)
            return

        for position, some in found.items():
            lane = self._lanes.get(position)
            if lane is not None and lane.next_offset is not None and some:
                lane.task = supervisor.start(self._send_all(lane, some), name=f"forward {position}")
        if not wanted:
            await asyncio.sleep(_POLL_S)  # a poll without wanted partitions returns at once

    async def _skip_gone(self, consumer: brokers.GroupConsumer, error: brokers.OffsetGone) -> None:
        """Continue at the oldest record where the topic has forgotten ours."""
        for position in error.positions:
            first = (await consumer.bounds(position)).first
            _log.error("lineage_forgotten", partition=position.partition, next_offset=first)
            lane = self._lanes.get(position)
            if lane is not None and lane.next_offset is not None:
                self.counts.lost += max(0, first - lane.next_offset)
            self._go_on(consumer, position, first)

    def _go_on(self, consumer: brokers.GroupConsumer, position: records.Position, offset: int) -> None:
        lane = self._lanes.get(position)
        if lane is not None:
            consumer.flow(position, offset)
            lane.next_offset = offset

    async def _send_all(self, lane: _Lane, some: Sequence[records.Record]) -> None:
        for record in some:
            if record.value:
                await self._send(record.value, lane, record.offset)
            lane.next_offset = record.offset + 1

    async def _send(self, event: bytes, lane: _Lane, offset: int) -> None:
        """Send one event until the answer is final."""
        failures, position = 0, lane.position
        while not (answer := await self.send(event)).is_final:
            failures += 1
            self.counts.repeated += 1
            lane.fault = answer.fault
            if failures == 1:
                lane.failing_since_s = asyncio.get_running_loop().time()
                _log.warning("lineage_delayed", partition=position.partition, offset=offset, reason=answer.fault)
            await asyncio.sleep(self.wait.delay_s(failures))

        lane.fault = ""
        if answer.fault:
            self.counts.refused += 1
            _log.error("lineage_refused", partition=position.partition, offset=offset, reason=answer.fault)
            return
        self.counts.sent += 1
        if failures:
            _log.info("lineage_resumed", partition=position.partition, offset=offset, failures=failures)

    async def _commit(self, consumer: brokers.GroupConsumer) -> None:
        """Commit the offsets of all partitions that have moved."""
        moved = {
            position: lane.next_offset
            for position, lane in self._lanes.items()
            if lane.next_offset is not None and lane.next_offset != lane.committed
        }
        if not moved:
            return
        try:
            await consumer.commit(moved, mirror=False)
        except errors.StreamDown:
            return  # the group is changing, or Kafka is away: the next turn of the loop tries again
        for position, offset in moved.items():
            if (lane := self._lanes.get(position)) is not None:
                lane.committed = offset

    async def _look(self, consumer: brokers.GroupConsumer) -> None:
        """
        Look at the topic and the ends of our partitions, now and then.

        The group assigns no partition of a topic that Kafka hides, without an error; and one that waits is not fetched.
        """
        now_s = asyncio.get_running_loop().time()
        if self._looked_s is not None and now_s - self._looked_s < _LOOK_S:
            return

        self._looked_s = now_s
        try:
            found = await consumer.cluster([self.topic])
            for lane in list(self._lanes.values()):
                lane.end = (await consumer.bounds(lane.position)).end
        except errors.StreamDown as error:
            self._kafka_error = str(error)
            return

        is_there = self.topic in found.topics
        problem = "" if is_there else topic_io.absence([self.topic], found, "Read")
        if problem and problem != self._kafka_error:
            _log.error("lineage_topic_missing", error=problem)
        self._kafka_error = problem

    # What the group calls

    async def rejoining(self) -> None:
        """Go on: partitions stay ours until they are assigned again."""

    async def revoked(self, positions: frozenset[records.Position]) -> None:
        """Stop sending: the partitions are another's, or are assigned again soon."""
        self._is_joined = False
        self._drop(positions)

    async def assigned(self, positions: frozenset[records.Position]) -> None:
        """Stop what is gone, and let others have it; new partitions begin at the next turn of the loop."""
        gone = self._lanes.keys() - positions
        self._drop(gone)
        if gone and self._consumer is not None:
            self._consumer.release(frozenset(gone))
        for position in positions - self._lanes.keys():
            self._lanes[position] = _Lane(position)
        self._is_joined, self._looked_s = True, None

    def _drop(self, positions: Iterable[records.Position]) -> None:
        for position in list(positions):
            lane = self._lanes.pop(position, None)
            if lane is not None and lane.task is not None:
                lane.task.cancel()
