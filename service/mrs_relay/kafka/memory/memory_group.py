"""
The in-memory broker's consumer group: rebalances in generations, and its members.

A rebalance follows Kafka's classic protocol: each member notices it at its next heartbeat, joins, and waits until all
others have joined or were removed after the rebalance timeout. With transactions it reads its partitions meanwhile;
without them, and if it was evicted, it has all of them revoked first. An evicted member notices at its next heartbeat,
too; until then it continues as before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from mrs_relay import errors
from mrs_relay.common import tasks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, settings
from mrs_relay.kafka import shares as sharing
from mrs_relay.kafka.memory import memory_log

log = structlog.get_logger(__name__)

_TICK_S = 1e-6  # a virtual clock may stop this much short of a deadline
_NO_POSITIONS: frozenset[records.Position] = frozenset()


class Cluster(Protocol):
    """The part of the broker that the group uses."""

    async def reach(self) -> None:
        """Take the time of a request. Raises StreamDown while the broker is down."""

    def log(self, position: records.Position) -> memory_log.Log:
        """Return the log of a partition."""

    def partitions(self, topic: str) -> int:
        """Return the number of a topic's partitions."""

    def describe(self) -> brokers.Cluster:
        """Describe the broker and its topics."""

    async def reach_leader(self, position: records.Position) -> None:
        """Take the time of a request to the partition's leader. Raises StreamDown if there is none."""

    def has_leader(self, position: records.Position) -> bool:
        """Return whether a partition answers."""

    async def changed(self, timeout_s: float) -> None:
        """Wait for the next write, at most for the given time."""

    @property
    def up(self) -> bool:
        """Whether the broker answers."""


class Group:
    """The coordinator's side of one group."""

    def __init__(self, cluster: Cluster, kafka: settings.KafkaSettings) -> None:
        self.cluster = cluster
        self.kafka = kafka
        self.generation = 0
        self.offsets: dict[records.Position, int] = {}
        self.mirrored: dict[records.Position, str] = {}
        self.members: list[MemoryGroupConsumer] = []
        self._joined: dict[MemoryGroupConsumer, asyncio.Future[frozenset[records.Position]]] = {}
        self._deadline: asyncio.TimerHandle | None = None

    def rebalance(self, but: MemoryGroupConsumer | None = None) -> None:
        """Make all members join again, except `but`, which is about to."""
        for member in self.members:
            if member is not but and member not in self._joined:
                member.notice(self.kafka.heartbeat_interval_ms / 1000)
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self.kafka.rebalance_timeout_ms / 1000, self._throw_out)

    async def join(self, member: MemoryGroupConsumer) -> frozenset[records.Position]:
        """Wait for the others and return the member's partitions."""
        if member not in self.members:
            self.members.append(member)
        member.heed()
        share: asyncio.Future[frozenset[records.Position]] = asyncio.get_running_loop().create_future()
        self._joined[member] = share
        self.rebalance(but=member)
        self._complete_if_all_joined()
        return await share

    def remove(self, member: MemoryGroupConsumer, *, notices: bool) -> None:
        """Remove a member: it left, or (`notices`) its session ended, which it notices at its next heartbeat."""
        if member not in self.members:
            return
        self.members.remove(member)
        if (share := self._joined.pop(member, None)) is not None and not share.done():
            share.set_exception(errors.StreamDown("the session has ended while the group was waiting for others"))
        if notices:
            member.notice(self.kafka.session_timeout_ms / 1000)
        if self.members:
            self.rebalance()
            self._complete_if_all_joined()
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _throw_out(self) -> None:
        for member in [member for member in self.members if member not in self._joined]:
            self.members.remove(member)
            member.notice(0.0)
        self._complete_if_all_joined()

    def _complete_if_all_joined(self) -> None:
        if not self.members or any(member not in self._joined for member in self.members):
            return
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.generation += 1
        shares = self._shares()
        for member, future in self._joined.items():
            if not future.done():
                future.set_result(shares[member])
        self._joined.clear()

    def _shares(self) -> dict[MemoryGroupConsumer, frozenset[records.Position]]:
        """Compute even shares; members keep their partitions as far as possible."""
        topic = self.kafka.topics.requests
        left = {records.Position(topic, number) for number in range(self.cluster.partitions(topic))}
        least, more = divmod(len(left), len(self.members))
        shares: dict[MemoryGroupConsumer, set[records.Position]] = {}

        for number, member in enumerate(self.members):
            most = least + (number < more)
            shares[member] = set(sorted(member.last_share & left)[:most])
            left -= shares[member]

        for number, member in enumerate(self.members):
            while len(shares[member]) < least + (number < more):
                shares[member].add(first := min(left))
                left.discard(first)

        declined = {member: member.declined for member in self.members}
        moved = sharing.respecting({member: frozenset(share) for member, share in shares.items()}, declined)
        return sharing.handed_over(moved, {member: member.held for member in self.members})


class MemoryGroupConsumer:
    """See `broker.GroupConsumer`."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._cluster = group.cluster
        self.last_share = _NO_POSITIONS
        self.declined = _NO_POSITIONS
        self.held = _NO_POSITIONS
        self.silent_since_s: float | None = None
        self._assigned = _NO_POSITIONS
        self._generation = 0
        self._positions: dict[records.Position, int] = {}
        self._answers: dict[records.Position, int] = {}
        self._rejoin = asyncio.Event()
        self._stable = asyncio.Event()
        self._notice: asyncio.TimerHandle | None = None
        self._task_supervisor = tasks.TaskSupervisor(
            lambda name, error: log.error("group_failed", task=name, error=repr(error))
        )

    async def start(self, listener: brokers.Listener) -> None:
        """Connect and join."""
        await self._cluster.reach()
        self._rejoin.set()
        self._task_supervisor.start(self._coordinate(listener), name="memory group member")

    def notice(self, delay_s: float) -> None:
        """Make the member notice in `delay_s` seconds that it must join again; for the group."""
        if self._notice is None and not self._rejoin.is_set():
            self._notice = asyncio.get_running_loop().call_later(delay_s, self._noticed)

    def heed(self) -> None:
        """Cancel the pending notice: the member joins."""
        if self._notice is not None:
            self._notice.cancel()
            self._notice = None
        self._rejoin.clear()

    async def poll(
        self, wanted: frozenset[records.Position], *, limit: int, timeout_s: float
    ) -> Mapping[records.Position, Sequence[records.Record]]:
        """Wait for records of the wanted partitions."""
        await self._stable.wait()
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while not (found := self._fetch(wanted, limit)):
            left_s = deadline_s - loop.time()
            if left_s < _TICK_S or not wanted:
                return {}
            await self._cluster.changed(left_s)
        return found

    def flow(self, position: records.Position, offset: int) -> None:
        """Let an assigned, parked partition be read, from `offset` on."""
        if position not in self._assigned:
            raise errors.StreamDown(f"{position} is not assigned")
        self._positions[position] = offset

    def park(self, position: records.Position) -> None:
        """Stop reading a partition."""
        self._positions.pop(position, None)

    def decline(self, positions: frozenset[records.Position]) -> None:
        """Ask the group to assign partitions to another member; joins again for those not declined before."""
        if not positions <= self.declined:
            self.declined |= positions
            self._noticed()

    def release(self, positions: frozenset[records.Position]) -> None:
        """Let the group give partitions to others that the last assignment has taken from us."""
        self.held -= positions - self._assigned
        self._noticed()

    async def committed(self, position: records.Position) -> int | None:
        """Return the offset that the group has committed, or None."""
        await self._cluster.reach()
        return self._group.offsets.get(position)

    async def is_mirror(self, position: records.Position) -> bool:
        """Return whether `commit` wrote the offset that the group has committed."""
        return position in self._group.mirrored

    @property
    def generation(self) -> int:
        """Number of our present assignment."""
        return self._generation

    async def notes(self, positions: Sequence[records.Position]) -> Mapping[records.Position, brokers.Mirrored]:
        """Return committed offsets with their texts."""
        await self._cluster.reach()
        offsets, mirrored = self._group.offsets, self._group.mirrored
        return {
            position: brokers.Mirrored(offsets[position], position in mirrored, mirrored.get(position, ""))
            for position in positions
            if position in offsets
        }

    async def commit(
        self,
        offsets: Mapping[records.Position, int],
        *,
        mirror: bool = True,
        notes: Mapping[records.Position, str] = brokers.NO_NOTES,
    ) -> None:
        """Commit offsets for the group; refused while it rebalances or has moved on."""
        await self._cluster.reach()
        if self._generation != self._group.generation or self not in self._group.members:
            if self not in self._group.members:
                self._noticed()  # the refusal makes the member join again
            raise errors.StreamDown("the group has moved on")
        ours = {where: offset for where, offset in offsets.items() if where in self._assigned}
        self._group.offsets.update(ours)
        for position in ours:
            if mirror:
                self._group.mirrored[position] = notes.get(position, "")
            else:
                self._group.mirrored.pop(position, None)

    async def bounds(self, position: records.Position) -> brokers.Bounds:
        """Return begin and end of a partition."""
        try:
            await self._cluster.reach_leader(position)
        except errors.StreamDown:
            if self.silent_since_s is None:
                self.silent_since_s = asyncio.get_running_loop().time()
            raise
        self.silent_since_s = None
        partition = self._cluster.log(position)
        topic_id = self._cluster.describe().topics[position.topic].topic_id
        return brokers.Bounds(partition.first, partition.stable_end, topic_id)

    async def cluster(self, topics: Sequence[str]) -> brokers.Cluster:
        """Describe topics as far as they exist."""
        await self._cluster.reach()
        found = self._cluster.describe()
        return brokers.Cluster(found.brokers, {name: topic for name, topic in found.topics.items() if name in topics})

    def last_answer(self, position: records.Position) -> int | None:
        """Return a value that changes with each answer to a fetch."""
        return self._answers.get(position)

    @property
    def is_answered(self) -> bool:
        """Whether the broker has answered by a refusal: it never refuses a request."""
        return False

    def end_offset(self, position: records.Position) -> int | None:
        """Return the end of the partition's readable records."""
        return self._cluster.log(position).stable_end if self._cluster.up else None

    def read_to(self, position: records.Position) -> int | None:
        """Return the offset up to which all records have been returned."""
        return self._positions.get(position)

    async def close(self) -> None:
        """Leave the group."""
        if self._notice is not None:
            self._notice.cancel()
        await self._task_supervisor.close()
        self._group.remove(self, notices=False)

    def evict(self) -> None:
        """End this member's session, as if its heartbeats had not arrived; for tests."""
        self._group.remove(self, notices=True)

    def _noticed(self) -> None:
        self.heed()
        self._rejoin.set()

    async def _coordinate(self, listener: brokers.Listener) -> None:
        while True:
            await self._rejoin.wait()
            if self._group.kafka.transactional and self._stable.is_set() and self in self._group.members:
                await listener.rejoining()
            else:
                await self._revoke(listener)

            self._rejoin.clear()
            share = await self._join(listener)
            if self._group.kafka.transactional:
                self.held = self.held | share
            self._assigned = self.last_share = share
            self._positions = {one: offset for one, offset in self._positions.items() if one in share}
            self._generation = self._group.generation
            self._stable.set()
            await listener.assigned(share)

    async def _join(self, listener: brokers.Listener) -> frozenset[records.Position]:
        while True:
            with contextlib.suppress(errors.StreamDown):
                await self._cluster.reach()
                if self._stable.is_set() and self not in self._group.members:
                    await self._revoke(listener)  # evicted meanwhile: others may have our partitions already
                return await self._group.join(self)

    async def _revoke(self, listener: brokers.Listener) -> None:
        self._stable.clear()
        await listener.revoked(self._assigned)
        self._assigned, self._positions, self.held = _NO_POSITIONS, {}, _NO_POSITIONS

    def _fetch(
        self, wanted: frozenset[records.Position], limit: int
    ) -> dict[records.Position, Sequence[records.Record]]:
        found: dict[records.Position, Sequence[records.Record]] = {}
        for position in sorted(wanted & self._positions.keys()) if self._cluster.up else ():
            if not self._cluster.has_leader(position):
                continue
            partition, offset = self._cluster.log(position), self._positions[position]
            self._answers[position] = self._answers.get(position, 0) + 1

            try:
                read, self._positions[position] = _read(partition, position, offset, limit)
            except (brokers.OffsetGone, brokers.BatchUnreadable):
                if found:  # an error now would lose the records of the others
                    break
                self.park(position)
                raise

            if read:
                found[position] = read
                limit -= len(read)
            if limit <= 0:
                break
        return found


def _read(
    partition: memory_log.Log, position: records.Position, offset: int, limit: int
) -> tuple[list[records.Record], int]:
    if not partition.first <= offset <= partition.end:
        raise brokers.OffsetGone(frozenset({position}))
    return partition.read(offset, limit)
