"""
Read the control topic, for all partitions and tenants of this process, from its beginning and then on and on.

The reader has no group: every replica reads every control. No runtime joins its group before the topic was read to its
end as of the start, and after a failure once more, so no replica submits what a control holds. Without the topic there
are no controls, and readiness says so; it is looked for again and again, and counts from the moment when it has been
read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, clock
from mrs_relay.engine import drains, timers
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records
from mrs_relay.messages import controls

_READ_S: Final = 10.0
_ABSENT_S: Final = 5.0
"""Seconds between two looks for a topic that is missing."""

_LOOKS: Final = 4
_LOOK_S: Final = 1.0
"""A topic is missing when this many looks, so many seconds apart, do not see it: one broker may not know it yet."""

_WATCH_S: Final = 30.0
"""Seconds between two looks at what the silence of the topic means."""

_WAIT_S: Final = 5.0
_STEP_S: Final = 1.0
_EMPTY_READS: Final = 3
_BACKOFF: Final = backoff.Backoff(first_s=0.2, most_s=5.0)

_Pending = dict[controls.Scope, controls.Control] | None
"""The controls that were read so far; None: all are known."""

log = structlog.get_logger(__name__)


class ControlReader:
    """
    Keep `controls` as the topic says.

    Args:
        broker: the Kafka to read from.
        topic: the control topic.
        found: is kept up to date.
        time: wall clock.

    Attributes:
        controls: those in effect.
        time: the clock.
        drains: counts what drains wait for.
    """

    def __init__(self, broker: brokers.Broker, topic: str, found: standing.Controls, time: clock.Clock) -> None:
        self.controls: Final = found
        self.time: Final = time
        self.drains: Final = drains.Drains(found)
        self._broker = broker
        self._topic = topic
        self._read = asyncio.Event()
        self._failures = 0
        self._timers = timers.Timers(time.now_ms)
        self._due_ms = 0
        self._rejected: set[tuple[int, int]] = set()
        found.on_change(self._set_timer)

    async def require(self) -> None:
        """
        Return once all controls that were there at the start, or after the last failure, are known.

        Raises:
            StreamDown: the topic could not be read yet, or again.
        """
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._read.wait()
        except TimeoutError:
            why = self.controls.problem or "Kafka does not answer"
            raise errors.StreamDown(f"the controls in topic {self._topic} have not been read yet: {why}") from None

    async def run(self) -> None:
        """Read until cancelled; an outage of Kafka leaves the controls as they are."""
        while True:
            try:
                count = await self._find()
                if count:
                    await self._follow(count)
                else:
                    self._note_absent()
                    await asyncio.sleep(_ABSENT_S)
            except* errors.StreamError as several:
                error = _first(several)
                log.warning("controls_unreachable", topic=self._topic, error=str(error))
                await self._pause(error)
            except* Exception as several:  # after a bug, too, what comes later must count
                log.exception("task_failed", task="controls")
                await self._pause(_first(several))

    def failed(self, task: str, error: BaseException) -> None:
        """Note that a task has ended by a bug: the controls stay as they are."""
        self.controls.problem = f"the controls may be out of date: {task} has failed with {error!r}"
        log.error("task_failed", task=task, exc_info=error)

    def close(self) -> None:
        """Cancel the timer."""
        self._timers.close()

    async def _find(self) -> int:
        """Return the number of the topic's partitions; 0: it is missing."""
        for _ in range(_LOOKS - 1):
            if count := await self._partition_count():
                return count
            await asyncio.sleep(_LOOK_S)
        return await self._partition_count()

    async def _partition_count(self) -> int:
        async with self._broker.admin() as admin:
            return (await admin.partition_counts()).get(self._topic, 0)

    async def _follow(self, partitions: int) -> None:
        """
        Read all partitions to their ends, replace all controls by what was found, and read on.

        Returns when the topic has vanished, or has another number of partitions.
        """
        self._read.clear()
        pending: _Pending = {}
        behind = set(range(partitions))

        async def follow(position: records.Position, offset: int | None) -> None:
            nonlocal pending
            async with self._broker.reader(position, offset) as reader:
                async for found in self._to_end(reader, position):
                    self._take(found, pending)

                # The last partition that reaches its end makes the controls known.
                behind.discard(position.partition)
                if not behind and pending is not None:
                    self.controls.replace(pending)
                    pending = None
                    self._settle()

                while True:
                    self._take(await reader.read(_READ_S), pending)

        async def follow_all(position: records.Position) -> None:
            offset: int | None = None
            while True:
                try:
                    await follow(position, offset)
                except brokers.BatchUnreadable as error:  # no record stops a worker, nor does a batch of them
                    self._reject(position.partition, error.first, error)
                    offset = error.next_offset

        async with asyncio.TaskGroup() as group:
            positions = [records.Position(self._topic, partition) for partition in range(partitions)]
            followers = [group.create_task(follow_all(one), name=f"controls {one.partition}") for one in positions]
            await self._watch(positions)
            for follower in followers:
                follower.cancel()

    async def _watch(self, positions: Sequence[records.Position]) -> None:
        """
        Return once the topic has other partitions than these.

        Silence alone proves nothing: the leader of each partition must answer from time to time.
        """
        while True:
            await asyncio.sleep(_WATCH_S)
            if await self._partition_count() != len(positions):
                return
            for position in positions:
                async with self._broker.reader(position, None):
                    pass

    async def _to_end(
        self, reader: brokers.LogReader, position: records.Position
    ) -> AsyncIterator[Sequence[records.Record]]:
        """Yield all records that could be read when the reader began."""
        empty = 0
        while not reader.caught_up:
            found = await reader.read(_STEP_S)
            yield found

            # Compaction may have removed the last records. Silence alone proves nothing: the leader must answer, too.
            empty = 0 if found else empty + 1
            if empty >= _EMPTY_READS:
                async with self._broker.reader(position, None):
                    return

    def _take(self, found: Sequence[records.Record], pending: _Pending) -> None:
        changes: list[tuple[controls.Scope, controls.Control | None]] = []
        for record in found:
            try:
                scope, control = controls.read(record.key, record.value, record.timestamp_ms)
            except ValueError as error:
                self._reject(record.partition, record.offset, error)
                continue

            if pending is None:
                changes.append((scope, control))
                what = {"mode": control.mode, "by": control.by, "reason": control.reason} if control else {}
                log.info("control_changed", scope=str(scope), lifted=control is None, **what)
                continue
            controls.put(pending, scope, control)
        self.controls.put_all(changes)

    def _reject(self, partition: int, offset: int, error: Exception) -> None:
        """Count a record that is no control, once; the control that its scope has is left as it is."""
        if (partition, offset) not in self._rejected:
            self._rejected.add((partition, offset))
            self.controls.rejected += 1
            log.error("control_rejected", partition=partition, offset=offset, error=str(error))

    def _settle(self) -> None:
        self.controls.problem = None
        self._failures = 0
        self._read.set()
        log.info("controls_known", topic=self._topic, count=len(list(self.controls)))

    def _note_absent(self) -> None:
        """Go on without controls; those that were read before the topic vanished stay."""
        problem = (
            f"topic {self._topic} (kafka.topics.control) is missing, so controls cannot be set or lifted; "
            "`mrs-relay topics create` makes it; one that is there and not seen needs the right to describe it"
        )
        if problem != self.controls.problem:
            self.controls.problem = problem
            log.warning("control_topic_missing", topic=self._topic)
        self._read.set()

    async def _pause(self, error: Exception) -> None:
        """Keep the controls as they are, and let no runtime join a group before they have been read again."""
        why = str(error) if isinstance(error, errors.StreamError) else f"reading them has failed with {error!r}"
        self.controls.problem = f"the controls may be out of date: {why}"
        self._read.clear()
        self._failures += 1
        await asyncio.sleep(_BACKOFF.delay_s(self._failures))

    def _set_timer(self) -> None:
        """Wake up when the next control ends by itself."""
        due_ms = min((one.until_ms for one in self.controls if one.until_ms), default=0)
        if due_ms and due_ms != self._due_ms:
            self._due_ms = due_ms
            self._timers.at(due_ms, self._end_due)

    def _end_due(self) -> None:
        self._due_ms = 0
        for one in self.controls.end_due():
            log.info("control_ended", scope=str(one.scope), mode=one.mode)
        self._set_timer()


def _first(several: ExceptionGroup[Exception]) -> Exception:
    found: Exception = several
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found
