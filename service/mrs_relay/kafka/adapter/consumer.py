"""
aiokafka's group consumer, made safe: every assigned partition starts parked, and records leave by `poll` alone.

Partitions are parked in the first statements of the assignment callback (paused, and sought to 0 so that the library
looks up no offsets by itself), because records flow while the callback still runs and all pauses are gone after a
rebalance. A partition that is not wanted is left out of the fetch result instead of being paused, so nothing that was
fetched is thrown away.

Source: aiokafka 0.14, consumer/group_coordinator.py, fetcher.py, subscription_state.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka import errors as kafka_errors

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.kafka import broker, records
from mrs_relay.kafka.adapter import assignor, failover, fetches, membership, stand_in, topology, unpacking
from mrs_relay.kafka.adapter import connection as connections
from mrs_relay.kafka.topics import acl_plan

_NOTE = "mrs-relay"
"""Prefix of the metadata of the offsets that we commit for the group: they mirror the ledger."""

_STOP_S = 3.0
_CUT_S = 1.0
_ASK_S = 10.0
_LATELY_S = 15.0
_FETCH_BYTES = 4 * 1024 * 1024  # of all partitions together: at 0.5 MB/s they arrive within the limit of a request
_NOTHING = TopicPartition("", 0)  # polling it returns no records but still raises errors of the group

log = structlog.get_logger(__name__)


class _Relay(ConsumerRebalanceListener):  # type: ignore[misc] # the library ships no types
    """Forwards the library's callbacks; our exceptions must not be swallowed."""

    def __init__(self, owner: KafkaGroupConsumer, listener: broker.Listener) -> None:
        self._owner = owner
        self._listener = listener

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._owner.forget(revoked)
        await self._listener.revoked(frozenset(records.Position(*tp) for tp in revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._owner.park_all(assigned)  # first, and without awaiting: records flow already
        await self._listener.assigned(frozenset(records.Position(*tp) for tp in assigned))

    async def on_partitions_changed(self, assigned: frozenset[TopicPartition], lost: frozenset[TopicPartition]) -> None:
        """Handle a new assignment through which the partitions that we keep were read on; new ones are parked."""
        self._owner.forget(lost)
        await self._listener.assigned(frozenset(records.Position(*tp) for tp in assigned))


class KafkaGroupConsumer:
    """See `broker.GroupConsumer`."""

    def __init__(self, connection: connections.Connection) -> None:
        self._connection = connection
        self._kafka = connection.kafka
        self._client: AIOKafkaConsumer | None = None
        self._failover: failover.Failover | None = None
        self._unpacker: unpacking.Unpacker | None = None
        self._membership: membership.Membership | None = None
        self._stand_in = stand_in.StandIn(connection.kafka, clock.SystemClock())
        self._assignor = assignor.made()
        self._flowing: set[TopicPartition] = set()
        self._silent_since_s: float | None = None

    @property
    def silent_since_s(self) -> float | None:
        """Time of our first request that got no answer in time; None while all get one."""
        return self._silent_since_s

    @property
    def is_answered(self) -> bool:
        """Whether any broker has answered lately, even by refusing a request."""
        failover, now_s = self._failover, asyncio.get_running_loop().time()
        return failover is not None and failover.heard_s > now_s - _LATELY_S

    async def start(self, listener: broker.Listener) -> None:
        """Connect and join; assignments come to the listener."""
        self._client = self._make_client()
        self._failover = self._connection.attend(self._client._client)  # noqa: SLF001 - the library's connections

        try:
            async with self._connection.asking("join the consumer group", _ASK_S):
                await self._client.start()
        except BaseException:
            await self.close()
            raise

        self._unpacker = unpacking.Unpacker(self._client, self._kafka.unpacked_bytes)
        relay = _Relay(self, listener)
        self._membership = membership.Membership(
            self._client, self._kafka, self._stand_in, listener.rejoining, relay.on_partitions_changed
        )
        # Subscribing after the start keeps the start short: it would wait for the first assignment, however long.
        self._client.subscribe([self._kafka.topics.requests], listener=relay)

    async def poll(
        self, wanted: frozenset[records.Position], *, limit: int, timeout_s: float
    ) -> Mapping[records.Position, Sequence[records.Record]]:
        """Wait for records of the wanted partitions; without any, raise errors of the group at once."""
        self._raise_replaced()
        self._raise_unreadable()
        self._raise_dead()
        partitions = [TopicPartition(*position) for position in wanted] or [_NOTHING]

        # The library disables its own supervision when this call is cancelled, so its timeout is short instead.
        try:
            fetched = await self._started.getmany(
                *partitions, timeout_ms=int(timeout_s * 1000) if wanted else 0, max_records=limit
            )
        except (kafka_errors.OffsetOutOfRangeError, kafka_errors.NoOffsetForPartitionError) as error:
            return self._offset_gone(error)
        except kafka_errors.KafkaError as error:
            self._raise_replaced()
            raise self._connection.down("read", error) from error

        return {records.Position(*tp): [fetches.record(fact, fact) for fact in facts] for tp, facts in fetched.items()}

    def flow(self, position: records.Position, offset: int) -> None:
        """Let an assigned, parked partition be read, from `offset` on."""
        tp = TopicPartition(*position)
        if tp not in self._started.assignment():
            raise errors.StreamDown(f"{position} is not assigned to us any more")
        self._started.seek(tp, offset)
        self._started.resume(tp)
        self._flowing.add(tp)

    def park(self, position: records.Position) -> None:
        """Stop reading a partition; does nothing if it is not assigned."""
        tp = TopicPartition(*position)
        if tp in self._started.assignment():
            self.park_all({tp})

    def decline(self, positions: frozenset[records.Position]) -> None:
        """Ask the group to assign partitions to another member; joins again for those not declined before."""
        declined = self._assignor.declined.union(TopicPartition(*position) for position in positions)
        if declined != self._assignor.declined and self._membership is not None:
            self._assignor.declined = declined
            self._membership.share_again()

    def release(self, positions: frozenset[records.Position]) -> None:
        """Let the group give partitions to others that the last assignment has taken from us."""
        if self._client is not None and self._membership is not None:
            self._membership.release(frozenset(TopicPartition(*position) for position in positions))

    def park_all(self, partitions: set[TopicPartition]) -> None:
        """Pause partitions, and set a position so that the library does not look one up."""
        self._flowing -= partitions
        self._started.pause(*partitions)
        for tp in partitions:
            self._started.seek(tp, 0)

    def forget(self, partitions: AbstractSet[TopicPartition]) -> None:
        """Note that partitions are being revoked, or are already lost."""
        self._flowing -= partitions

    async def committed(self, position: records.Position) -> int | None:
        """Return the offset that the group has committed, or None."""
        async with self._sending(f"read the group's offset of {position}"):
            offset = await self._started.committed(TopicPartition(*position))
        return None if offset is None else int(offset)

    async def is_mirror(self, position: records.Position) -> bool:
        """Return whether the group's offset carries our note; the library's own method leaves notes out."""
        found = (await self.notes([position])).get(position)
        return found is not None and found.is_mirror

    @property
    def generation(self) -> int:
        """Number of the group's present assignment; a private attribute of the library."""
        return int(self._started._coordinator.generation)  # noqa: SLF001 - see above

    async def notes(self, positions: Sequence[records.Position]) -> Mapping[records.Position, broker.Mirrored]:
        """Return committed offsets and notes, by one request for all partitions."""
        partitions = [TopicPartition(*position) for position in positions]
        async with self._sending("read the notes at the group's offsets"):
            found = await self._started._coordinator.fetch_committed_offsets(partitions)  # noqa: SLF001 - see above
        return {records.Position(*tp): _mirrored(one.offset, one.metadata or "") for tp, one in found.items()}

    async def commit(
        self,
        offsets: Mapping[records.Position, int],
        *,
        mirror: bool = True,
        notes: Mapping[records.Position, str] = broker.NO_NOTES,
    ) -> None:
        """Commit offsets for the group; partitions that are not assigned are left out."""
        ours = self._started.assignment()
        known = {
            tp: (offset, f"{_NOTE} {notes.get(position, '')}".rstrip() if mirror else "")
            for position, offset in offsets.items()
            if (tp := TopicPartition(*position)) in ours
        }
        if known:
            async with self._sending("commit the group's offsets"):
                await self._started.commit(known)

    async def bounds(self, position: records.Position) -> broker.Bounds:
        """Return the present begin and end of a partition."""
        tp = TopicPartition(*position)
        async with self._sending(f"look up the offsets of {position}"):
            first = await self._started.beginning_offsets([tp])
            end = await self._started.end_offsets([tp])
            # NB: the id is asked last, so that a new topic's bounds never come with the id of the one it replaces.
            cluster = await topology.describe(self._started._client, [tp.topic])  # noqa: SLF001 - the library's own
        described = cluster.topics.get(tp.topic)
        return broker.Bounds(first[tp], end[tp], None if described is None else described.topic_id)

    async def cluster(self, topics: Sequence[str]) -> broker.Cluster:
        """
        Describe topics over the present connections; does not count for `silent_since_s`.

        If the group's topic has more partitions by now, the library must refresh its metadata: by itself it would
        notice them, and have the group share them, only when its metadata is five minutes old.
        """
        client = self._started._client  # noqa: SLF001 - the library's own
        async with self._connection.asking("describe the topics", _ASK_S):
            described = await topology.describe(client, topics)
            for topic in self._started.subscription():
                known = client.cluster.partitions_for_topic(topic) or ()
                if topic in described.topics and len(described.topics[topic].partitions) > len(known):
                    await client.force_metadata_update()
            return dataclasses.replace(described, asker=acl_plan.asker(self._connection.kafka))

    def last_answer(self, position: records.Position) -> int | None:
        """Return a value that changes with each answer to a fetch for the partition."""
        tp = TopicPartition(*position)
        if tp not in self._started.assignment():
            return None
        answered_ms: int | None = self._started.last_poll_timestamp(tp)
        return answered_ms

    def end_offset(self, position: records.Position) -> int | None:
        """Return the end of the partition's readable records by the last fetch."""
        tp = TopicPartition(*position)
        if tp not in self._started.assignment():
            return None
        end: int | None = self._started.highwater(tp)
        stable: int | None = self._started.last_stable_offset(tp)
        return end if end is None or stable is None or stable < 0 else min(end, stable)

    def read_to(self, position: records.Position) -> int | None:
        """Return the offset up to which `poll` has returned all records; the library moves it in `getmany` alone."""
        tp = TopicPartition(*position)
        return self._unpacker.position(tp) if self._unpacker is not None and tp in self._flowing else None

    async def close(self) -> None:
        """Leave the group. If the library hangs in waiting for the group, it is abandoned until the process ends."""
        client, self._client = self._client, None
        if client is None or self._failover is None:
            return
        self._stand_in.close()
        stop = connections.stop_consumer(client)
        if (error := await connections.stopped(self._failover, stop, _STOP_S)) is not None:
            log.warning("consumer_stop_failed", error=repr(error))
            await _stop_requests(client, self._failover)

    @asynccontextmanager
    async def _sending(self, what: str) -> AsyncIterator[None]:
        """Send a request through the library's consumer, and record its silence."""
        try:
            async with self._connection.asking(what, _ASK_S):
                yield
        except errors.StreamDown as error:
            if isinstance(error.__cause__, TimeoutError) and self._silent_since_s is None:
                self._silent_since_s = asyncio.get_running_loop().time()
            raise
        self._silent_since_s = None

    @property
    def _started(self) -> AIOKafkaConsumer:
        if self._client is None:
            raise errors.StreamDown("the consumer is closed")
        return self._client

    def _make_client(self) -> AIOKafkaConsumer:
        kafka = self._kafka

        return AIOKafkaConsumer(
            **self._connection.options("consumer"),
            group_id=kafka.group_id,
            group_instance_id=kafka.instance_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=kafka.session_timeout_ms,
            heartbeat_interval_ms=kafka.heartbeat_interval_ms,
            rebalance_timeout_ms=kafka.rebalance_timeout_ms,
            request_timeout_ms=kafka.request_timeout_ms,
            max_poll_interval_ms=kafka.max_poll_interval_ms,
            max_partition_fetch_bytes=kafka.max_partition_fetch_bytes,
            fetch_max_bytes=max(_FETCH_BYTES, kafka.max_partition_fetch_bytes),
            partition_assignment_strategy=(self._assignor,),
            **unpacking.OPTIONS,
        )

    def _raise_replaced(self) -> None:
        """Raise InstanceReplaced once another process uses our instance id."""
        if self._membership is not None:
            self._membership.check()

    def _raise_dead(self) -> None:
        """
        Raise ConsumerStuck once a task of the library has ended that must live as long as the consumer.

        Source: aiokafka 0.14: none of them is started again, and `getmany` watches only the one that coordinates.
        """
        client = self._started
        lives = {
            "fetching": client._fetcher._fetch_task,  # noqa: SLF001 - the library keeps them to itself
            "coordination": client._coordinator._coordination_task,  # noqa: SLF001 - the same
            "metadata": client._client._sync_task,  # noqa: SLF001 - the same
        }
        for name, task in lives.items():
            if task.done():
                error = None if task.cancelled() else task.exception()
                raise errors.ConsumerStuck(f"the consumer's {name} has ended: {error!r}") from error

    def _raise_unreadable(self) -> None:
        """Park a partition before an unreadable batch, and raise the error for it."""
        while self._unpacker is not None and (bad := self._unpacker.take_bad()) is not None:
            tp = TopicPartition(*bad.position)
            if tp in self._flowing:
                self.park_all({tp})
                raise bad

    def _offset_gone(self, error: kafka_errors.KafkaError) -> Mapping[records.Position, Sequence[records.Record]]:
        """Park the partitions without our offset and raise; an error about a parked partition has no meaning."""
        complained = set(error.args[0]) if isinstance(error, kafka_errors.OffsetOutOfRangeError) else set()
        if not (gone := complained & self._flowing):
            return {}
        self.park_all(gone)
        raise broker.OffsetGone(frozenset(records.Position(*tp) for tp in gone)) from error


def _mirrored(offset: int, note: str) -> broker.Mirrored:
    ours, _, text = note.partition(" ")
    return broker.Mirrored(offset, ours == _NOTE, text if ours == _NOTE else "")


async def _stop_requests(client: AIOKafkaConsumer, attended: failover.Failover) -> None:
    """Stop all requests of a consumer that hangs: the group must notice that it is gone."""
    client._client.send = connections.silence  # noqa: SLF001 - the library offers no way to stop without waiting
    fetcher, coordinator = client._fetcher, client._coordinator  # noqa: SLF001 - the same
    for task in (fetcher and fetcher._fetch_task, coordinator and coordinator._heartbeat_task):  # noqa: SLF001 - the same
        if task is not None:
            task.cancel()
    await connections.stopped(attended, client._client.close(), _CUT_S)  # noqa: SLF001 - the same
