"""
Keep this process in its consumer group, with one worker for each assigned partition.

    listener   assignments → workers: park, resume, end, start
    poll       records → the inboxes of the workers; `record_poller.py`
    mirror     committed offsets → the group, for lag tools; `offset_mirror.py`
    watch      checks that Kafka answers, and that our consumer still receives records

`run` checks the topics, joins the group, works until `stop`, drains and leaves. An outage of Kafka never ends it. Wrong
settings, another deployment under the same name, and a consumer that hangs do. After a consumer that hangs,
`supervisor.py` starts another runtime with another consumer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.common import clock, tasks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import (
    cold_records,
    consumer_health,
    offset_mirror,
    record_poller,
    records,
    settings,
    worker_context,
)
from mrs_relay.kafka import counts as runtime_counts
from mrs_relay.kafka import hooks as hooking
from mrs_relay.kafka import leaders as leading
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import partition_worker as partition_workers
from mrs_relay.kafka import status as statuses
from mrs_relay.kafka.topics import topic_monitor

T = TypeVar("T")

_CLOSING_S = 8.0  # part of the shutdown's time, for closing while nothing answers; milliseconds if Kafka does
_LAST_MIRROR_S = 2.0
_COMING_UP = frozenset({partition_workers.State.RESTORING, partition_workers.State.WAITING})

log = structlog.get_logger(__name__)


class Runtime(Generic[T]):
    """
    Run `handler` once for every partition of the requests topic that the group assigns to us.

    Attributes:
        counts: for metrics; to be replaced before `run`, so that they continue those of an earlier runtime.

    Args:
        kafka: the settings.
        broker: the Kafka to use.
        handler: works on a restored lease of ours, and returns after `inbox.Closed`. An exception restarts its
        partition alone.
        time: measures the silence of Kafka, also over a suspension of the machine.
        hooks: further functions of the application.
        cold: tells which values of the ledgers need not be held in memory; None: all are.
    """

    def __init__(
        self,
        kafka: settings.KafkaSettings,
        broker: brokers.Broker,
        handler: worker_context.Handler[T],
        time: clock.Clock,
        *,
        hooks: hooking.Hooks = hooking.NONE,
        cold: cold_records.ColdRule | None = None,
    ) -> None:
        self._kafka = kafka
        self._hooks = hooks
        self._cold = cold
        self.counts = runtime_counts.RuntimeCounts()
        self._broker = broker
        self._handler = handler
        self._time = time
        self._task_supervisor = tasks.TaskSupervisor(self._broke)
        self._consumer: brokers.GroupConsumer | None = None
        self._common: worker_context.WorkerContext[T] | None = None
        self._workers: dict[records.Position, partition_workers.PartitionWorker[T]] = {}
        self._tasks: dict[records.Position, asyncio.Task[None]] = {}
        self._joined = False
        self._settled = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ready = asyncio.Event()
        self._fatal: errors.RelayError | None = None

        self._health = consumer_health.ConsumerHealth(kafka, broker, self._look_again)
        self._poller = record_poller.RecordPoller(
            self._workers, self._health, self._stopping, kafka.retry_first_s, self._give_up
        )
        self._mirror = offset_mirror.OffsetMirror(self._workers, kafka.mirror_interval_s)
        self._topic_monitor = topic_monitor.TopicMonitor(kafka, broker, self._share_changed)
        self._leaders = leading.Leaders(kafka.topics)

    async def run(self) -> None:
        """
        Work until `stop`, then drain and leave within `kafka.shutdown_s`. A cancellation leaves without draining.

        Raises:
            SettingsError: a setting or the set-up of Kafka is wrong; the message says which.
            ConsumerStuck: our consumer receives nothing although Kafka answers; start another runtime.
        """
        try:
            if await self._prepare():
                await self._stopping.wait()
                await self._drain()
        finally:
            await self._leave()
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        """Begin the shutdown; `run` returns when it is done."""
        self._stopping.set()
        self._look_again()

    async def ready(self) -> None:
        """Return once all of our partitions are being worked on."""
        await self._ready.wait()

    def status(self) -> statuses.Status:
        """Return the present state, for health and metrics; cheap."""
        shares = [self._workers[position] for position in sorted(self._workers)]
        return statuses.Status(
            connected=self._health.connected,
            joined=self._joined,
            stopping=self._stopping.is_set(),
            partitions=tuple(statuses.describe(worker, self._consumer) for worker in shares),
            error=str(self._fatal) if self._fatal is not None else self._health.error or self._topic_monitor.problem,
            silent_s=self._health.silent_s,
        )

    @property
    def topic(self) -> str:
        """The input topic."""
        return self._kafka.topics.requests

    @property
    def membership(self) -> statuses.Membership | None:
        """Our part of the group's present assignment; None while there is none."""
        if self._consumer is None or not self._settled.is_set() or self._stopping.is_set():
            return None
        generation = self._consumer.generation
        owned = frozenset(position.partition for position in self._workers)
        return statuses.Membership(generation, owned, self._partition_count) if generation >= 0 else None

    async def read_notes(self) -> Mapping[int, str]:
        """Return the texts that all replicas keep beside the group's offsets, by partition. Raises StreamDown."""
        positions = [records.Position(self.topic, partition) for partition in range(self._partition_count)]
        found = await self._require_consumer().notes(positions)
        return {position.partition: one.text for position, one in found.items()}

    async def write_note(self, partition: int, text: str) -> bool:
        """
        Keep a text beside our offset of one partition, until the next assignment.

        Returns False if the group has no offset of ours to write it to. Raises StreamDown.
        """
        return await self._mirror.write_note(self._require_consumer(), records.Position(self.topic, partition), text)

    # broker.Listener

    async def rejoining(self) -> None:
        """Go on with all partitions; one that fails now is restored after the next assignment, if it is still ours."""
        self._settled.clear()
        self._mirror.revoked()
        log.info("group_rejoining", topic=self.topic)

    async def revoked(self, positions: frozenset[records.Position]) -> None:
        """Finish running commits within a deadline, then park all partitions until the next assignment."""
        self._joined = False
        self._settled.clear()
        self._poller.rebalanced()
        self._mirror.revoked()
        partitions = sorted(position.partition for position in positions)
        log.info("partitions_revoked", topic=self.topic, partitions=partitions)

        running = [worker for worker in self._workers.values() if worker.state is partition_workers.State.RUNNING]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._kafka.longest_drain_s), asyncio.TaskGroup() as group:
                for worker in running:
                    group.create_task(worker.drain(), name=f"drain {worker.position}")

        for worker in self._workers.values():
            worker.park()
        self._look_again()

    async def assigned(self, positions: frozenset[records.Position]) -> None:
        """Compare our workers with the assignment: hand over or end what is gone, resume or start what is ours."""
        stayed, self._joined = self._joined, True
        self.counts.rebalances += 1
        if not stayed:
            self._poller.rebalanced()
        self._settled.set()
        self._mirror.assigned()
        self._health.polled()  # a poll that the rebalance has blocked returns only now
        partitions = sorted(position.partition for position in positions)
        log.info("partitions_assigned", topic=self.topic, partitions=partitions)

        leaving = []
        for position, worker in list(self._workers.items()):
            if position in positions and worker.resume():
                continue
            if position in positions or not stayed:
                worker.dispose()
            else:
                leaving.append(worker)
            self._health.forget(position)
            del self._workers[position]
        if leaving:
            ending = [self._tasks[worker.position] for worker in leaving]
            self._task_supervisor.start(self._hand_over(leaving, ending), name="kafka hand-over")
        for position in sorted(positions - self._workers.keys()):
            self._start(position)
        self._share_changed()

    async def _hand_over(
        self, leaving: Sequence[partition_workers.PartitionWorker[T]], ending: Sequence[asyncio.Task[None]]
    ) -> None:
        """Let workers finish what they hold, then let the group give their partitions to others."""
        for worker in leaving:
            worker.stop()
        await asyncio.wait(ending, timeout=self._kafka.longest_drain_s)
        for worker in leaving:
            worker.dispose()
        if self._consumer is not None:
            self._consumer.release(frozenset(worker.position for worker in leaving))

    async def _prepare(self) -> bool:
        """Check the topics, join, start the loops; False if a stop came first."""
        attempts = consumer_health.Attempts(self._health, self._kafka, self._stopping)
        report = await attempts.repeat(lambda: self._topic_monitor.require(self._health.heard))
        if report is None:
            return False

        limits = ledgers.options(self._kafka, report.abilities, report.limits_bytes, self._cold)
        consumer = await attempts.repeat(lambda: self._join(limits))
        if consumer is None:
            return False

        self._health.heard()
        self._health.polled()
        self._task_supervisor.start(self._poller.run(consumer), name="kafka poll")
        self._task_supervisor.start(self._mirror.run(consumer), name="kafka mirror")
        self._task_supervisor.start(self._look_out(consumer), name="kafka watch")
        self._task_supervisor.start(self._look_after(consumer), name="kafka set-up")
        return True

    async def _join(self, options: ledgers.Options) -> brokers.GroupConsumer:
        await self._hooks.before_join()
        consumer = self._broker.consumer()
        self._common = worker_context.WorkerContext(
            kafka=self._kafka,
            broker=self._broker,
            consumer=consumer,
            options=options,
            handler=self._handler,
            clock=self._time,
            first_partitions=self._topic_monitor.first_partitions,
            leaders=self._leaders,
            counts=self.counts,
            settled=self._settled,
            on_room=self._poller.wake,
            on_change=self._look_again,
            on_fatal=self._give_up,
        )

        self._consumer = consumer
        await consumer.start(self)
        return consumer

    async def _drain(self) -> None:
        """Let the handlers finish, within the time for the shutdown."""
        log.info("drain_started", topic=self._kafka.topics.requests, partitions=len(self._workers))
        for worker in self._workers.values():
            worker.stop()

        running = [task for task in self._tasks.values() if not task.done()]
        if running:
            reserve_s = min(_CLOSING_S, 0.4 * self._kafka.shutdown_s)
            _, late = await asyncio.wait(running, timeout=self._kafka.shutdown_s - reserve_s)
            if late:
                log.warning("drain_incomplete", tasks=sorted(task.get_name() for task in late))

        if self._consumer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_MIRROR_S):
                    await self._mirror.write(self._consumer)

    async def _leave(self) -> None:
        """End the remaining workers at once and leave the group."""
        self._stopping.set()
        consumer, self._consumer = self._consumer, None
        for worker in self._workers.values():
            worker.dispose()
        await self._task_supervisor.close()
        if consumer is not None:
            await consumer.close()

    # The loops

    async def _look_out(self, consumer: brokers.GroupConsumer) -> None:
        while True:
            await asyncio.sleep(consumer_health.INTERVAL_S)
            self._decline(consumer)

            for position, worker in list(self._workers.items()):
                expected = worker.accepts_records and not self._leaders.is_missing(position)
                if self._health.answered(position, consumer.last_answer(position), expected=expected):
                    worker.touch()
                worker.check_fresh()

            await self._health.check()
            if not self._leaders.all_there:
                self._health.excuse()

            error = self._health.hanging(
                consumer.silent_since_s, is_answered=consumer.is_answered, rebalancing=not self._settled.is_set()
            )
            if error is not None:
                self._give_up(error)

    def _decline(self, consumer: brokers.GroupConsumer) -> None:
        """Decline partitions that only a newer version can read, so that its replicas get them; all others continue."""
        too_new = frozenset(position for position, worker in self._workers.items() if worker.is_too_new)
        if too_new:
            consumer.decline(too_new)

    async def _look_after(self, consumer: brokers.GroupConsumer) -> None:
        while True:
            await asyncio.sleep(topic_monitor.SOON_S)
            await self._look_at_topics(consumer)
            trouble = any(worker.state in _COMING_UP for worker in self._workers.values())
            await self._topic_monitor.check(trouble=trouble)

    async def _look_at_topics(self, consumer: brokers.GroupConsumer) -> None:
        """Update the leaders of the partitions, and check that the input topic has not been created again."""
        try:
            cluster = await consumer.cluster(self._leaders.topics)
        except errors.StreamDown as error:
            log.debug("topics_unknown", error=str(error))
            return

        requests = cluster.topics.get(self.topic)
        for worker in self._workers.values():
            worker.check_topic(requests.topic_id if requests is not None else None)

        if self._leaders.update(cluster.leaderless):
            self._look_again()

    def _share_changed(self) -> None:
        self._hooks.on_share(len(self._workers), self._partition_count)
        self._look_again()

    @property
    def _partition_count(self) -> int:
        """Number of the topic's partitions: a new one may be ours before the topic monitor has counted it."""
        return max(self._topic_monitor.partitions, 0, *(position.partition + 1 for position in self._workers))

    def _require_consumer(self) -> brokers.GroupConsumer:
        if self._consumer is None:
            raise errors.StreamDown("the consumer is closed")
        return self._consumer

    def _start(self, position: records.Position) -> None:
        if self._common is None or self._stopping.is_set():
            return
        predecessor = self._tasks.get(position)
        running = predecessor if predecessor is not None and not predecessor.done() else None
        worker = partition_workers.PartitionWorker(position, self._common, running)
        self._workers[position] = worker
        self._tasks[position] = self._task_supervisor.start(worker.run(), name=str(position))

    def _look_again(self) -> None:
        if self.status().ready:
            self._ready.set()
        else:
            self._ready.clear()
        self._poller.wake()

    def _give_up(self, error: errors.RelayError) -> None:
        if self._fatal is None:
            self._fatal = error
            log.error("kafka_given_up", error=str(error))
        self.stop()

    def _broke(self, name: str, error: BaseException) -> None:
        log.error("task_failed", task=name, error=repr(error))
        self._give_up(errors.StreamError(f"{name} has failed: {error!r}"))
