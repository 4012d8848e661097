"""
Follow the topics and write what they say to the database: the one task of the read model.

It reads committed records without a consumer group, each topic from the offsets in the database. Of several processes
on one database one writes; the others look whether the offsets have moved, and take over when the writer goes silent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.client import reading
from mrs_relay.common import clock, histograms
from mrs_relay.kafka import broker, records, topic_io
from mrs_relay.read_model import changes, controls, database, event_log, record_reader, settings, status_reader, store

_TAKE_S: Final = 0.5
_AGAIN_S: Final = 2.0
_ABSENT_S: Final = 10.0
_LOOK_S: Final = 0.25
_PRUNE_S: Final = 600.0
_MARKERS: Final = 100
_TAKE_BYTES: Final = 16_000_000
_SHORTER_S: Final = 60.0
"""So long a new leader may take until it shows all records that the old one has shown."""
_DAY_MS: Final = 86_400_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Topics:
    """
    What is read.

    Attributes:
        events: names of the topics of events.
        dead_letters: names of the topics of dead letters.
        tenants: name of each tenant by the CloudEvents `source` of its events.
        tenants_by_topic: name of each tenant by its topic of requests.
        control: name of the topic of controls.
        audit: name of the topic of decisions; it may be missing.
        status: topic of the relays' status; None: there is none.
    """

    events: frozenset[str]
    dead_letters: frozenset[str]
    tenants: Mapping[str, str]
    tenants_by_topic: Mapping[str, str]
    control: str = "mrs.control"
    audit: str = "mrs.audit"
    status: str | None = None


@dataclass(slots=True)
class Progress:
    """
    How far the projection is.

    Attributes:
        writes: this process writes to the database; else another one does.
        behind: offsets between the topics' ends and what is written, by topic; only of a process that writes.
        caught_up: everything that the topics held at the start has been written once.
        skipped: records that are no event and no dead letter of this service.
        written: records written by this process.
        failure: why nothing is written at present, for people; None: nothing is wrong.
        topic_failures: the same of single topics, by their names.
        delay: from the first record of each batch's being written to Kafka to its being in the database.
    """

    writes: bool = False
    behind: dict[str, int] | None = None
    caught_up: bool = False
    skipped: int = 0
    written: int = 0
    failure: str | None = "the topics have not been read yet"
    topic_failures: dict[str, str] = field(default_factory=dict)
    delay: histograms.Histogram = field(default_factory=histograms.Histogram)

    @property
    def problem(self) -> str | None:
        """All that is wrong at present, for people; None: nothing is."""
        found = [f"topic {topic}: {failure}" for topic, failure in sorted(self.topic_failures.items())]
        return "; ".join(filter(None, [self.failure, *found])) or None


class Projector:
    """
    Reads the topics into the database, until cancelled.

    Args:
        kafka: opens the topics.
        topics: what is read.
        opened: the database.
        chosen: the settings.
        time: the clock.
        owner: name of this process for the lease, unlike that of any other.
    """

    def __init__(
        self,
        kafka: topic_io.TopicClient,
        topics: Topics,
        opened: database.Database,
        chosen: settings.ReadModelSettings,
        time: clock.Clock,
        owner: str,
    ) -> None:
        self._kafka = kafka
        self._topics = topics
        self._database = opened
        self._settings = chosen
        self._time = time
        self._store = store.Store(opened, owner, chosen.lease_s)
        self._shorter_since_s: dict[str, float] = {}
        self.progress = Progress()
        self.changes = changes.Changes()
        self.controls = controls.ControlProjection(
            kafka, topics.control, self._store, lambda: self.progress.writes, self.changes.announce
        )
        self.status = status_reader.StatusReader(kafka, topics.status)

    def now_ms(self) -> int:
        """Return the present moment, epoch milliseconds."""
        return self._time.now_ms()

    async def run(self) -> None:
        """Write, or wait for the turn to write; failures are logged and tried again."""
        try:
            while True:
                try:
                    await self._turn()
                except* errors.RelayError as group:
                    error = group.exceptions[0]
                    self.progress.failure = str(error)
                    _log.warning("read_model_delayed", error=str(error))
                    await asyncio.sleep(_AGAIN_S)
        finally:
            with contextlib.suppress(errors.RelayError):
                await self._store.release()

    async def _turn(self) -> None:
        """Write for as long as the lease is ours, or watch until it is free."""
        self.progress.writes = await self._claim()
        self.progress.topic_failures.clear()
        if not self.progress.writes:
            await self._watch()
            return

        _log.info("read_model_writing")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hold(), name="read model: lease")
            group.create_task(self._prune(), name="read model: prune")
            for topic in sorted(self._topics.events | self._topics.dead_letters | {self._topics.audit}):
                group.create_task(self._follow(topic), name=f"read model: {topic}")

    async def _claim(self) -> bool:
        return await self._store.claim(self._time.now_ms(), complete=self.progress.caught_up)

    async def _hold(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            if not await self._claim():
                raise store.Overtaken("another process writes to the read model now")

    async def _watch(self) -> None:
        """Announce what the other process writes, until the lease may be free."""
        self.progress.behind = None
        before: Mapping[int, int] = {}
        for _ in range(max(1, round(self._settings.lease_s / _LOOK_S / 3))):
            logs = await event_log.current(self._database, self._topics.events | self._topics.dead_letters)
            after = {log.log: log.next for log in logs}
            self.progress.caught_up = await self._store.is_complete()
            self.progress.failure = None if self.progress.caught_up else "another process is reading the topics"
            if after != before:
                self.changes.announce()
            before = after
            await asyncio.sleep(_LOOK_S)

    async def _prune(self) -> None:
        while True:
            before_ms = self._time.now_ms() - round(self._settings.keep_days * _DAY_MS)
            count = 0
            while pruned := await self._store.prune(before_ms):
                count += pruned
            await self._store.prune_others(before_ms)
            await self._store.prune_decisions(self._time.now_ms() - round(self._settings.audit_days * _DAY_MS))
            if count:
                _log.info("read_model_pruned", requests=count)
            await asyncio.sleep(_PRUNE_S)

    async def _follow(self, topic: str) -> None:
        """Write the records of one topic; failures are logged and tried again, and stop no other topic."""
        said = ""
        while True:
            try:
                await self._read(topic)
            except store.Overtaken:
                raise
            except errors.RelayError as error:
                if topic == self._topics.audit and isinstance(error, errors.SettingsError):
                    if said != str(error):
                        _log.warning("decisions_not_read", topic=topic, error=str(error))
                    said = str(error)
                    await asyncio.sleep(_ABSENT_S)  # there is none, or it is hidden: no decisions are shown
                    continue
                self.progress.failure = None
                self.progress.topic_failures[topic] = str(error)
                _log.warning("read_model_topic_delayed", topic=topic, error=str(error))
                await asyncio.sleep(_AGAIN_S)

    async def _read(self, topic: str) -> None:
        """Write the records of one topic, from the offsets in the database on."""
        bounds = await topic_io.bounds_of(self._kafka, topic)
        logs = await self._open_logs(topic, bounds)
        places = {partition: log.next for partition, log in logs.items()}

        async with reading.Follower(self._kafka, topic, topic_io.Start(at=places)) as follower:
            while True:
                await self._report(topic, follower)
                found = await self._take(follower)
                if found:
                    await self._require_whole(topic, places, found)
                    await self._write(topic, logs, places, found)
                else:
                    await self._pass_markers(logs, places, await follower.positions())

    async def _open_logs(self, topic: str, bounds: Mapping[int, broker.Bounds]) -> Mapping[int, store.Log]:
        """Open the logs of a topic; one that stays shorter than it was is read again from its beginning."""
        now_s = self._time.monotonic_s()
        since_s = self._shorter_since_s.get(topic, now_s)
        try:
            logs = await self._store.open_logs(topic, bounds, accept_shorter=now_s - since_s > _SHORTER_S)
        except store.Shorter:
            self._shorter_since_s[topic] = since_s
            raise
        self._shorter_since_s.pop(topic, None)
        return logs

    async def _require_whole(self, topic: str, places: Mapping[int, int], found: Sequence[records.Record]) -> None:
        """
        Make sure that these records follow those that are written.

        Raises:
            StreamDown: the topic has changed; to begin again takes it up as it is now.
        """
        firsts: dict[int, int] = {}
        for record in found:
            firsts.setdefault(record.partition, record.offset)
        if not firsts.keys() <= places.keys():
            raise errors.StreamDown(f"topic {topic} has got more partitions")
        if any(offset < places[partition] for partition, offset in firsts.items()):
            raise errors.StreamDown(f"topic {topic} begins again at an earlier offset: it was cut, or created again")

        # Markers of transactions leave small gaps. A large one may be what retention has deleted before we read it.
        if any(offset - places[partition] > _MARKERS for partition, offset in firsts.items()):
            bounds = await topic_io.bounds_of(self._kafka, topic)
            if any(places[partition] < bounds[partition].first for partition in firsts):
                raise errors.StreamDown(f"records of topic {topic} were deleted before they were read")

    async def _take(self, follower: reading.Follower) -> Sequence[records.Record]:
        """Return the next records; several answers of the broker are written together while there are more."""
        found: list[records.Record] = []
        size, timeout_s = 0, _TAKE_S
        while len(found) < self._settings.batch_records and size < _TAKE_BYTES:
            more = await follower.take(timeout_s)
            if not more:
                break
            found += more
            size += sum(len(record.value or b"") for record in more)
            timeout_s = 0
        return found

    async def _pass_markers(
        self, logs: Mapping[int, store.Log], places: dict[int, int], positions: Mapping[int, int]
    ) -> None:
        """
        Note that only transaction markers lie between the last records and these positions.

        Else it would look, once retention has deleted the markers, as if unread records had been deleted.
        """
        # A larger gap may be what retention has deleted before we read it; `_require_whole` decides at the next record.
        after = {
            partition: position
            for partition, position in positions.items()
            if partition in places and 0 < position - places[partition] <= _MARKERS
        }
        if after:
            moves = {logs[partition].log: (places[partition], offset) for partition, offset in after.items()}
            await self._store.apply(store.Batch(moves=moves))
            places.update(after)

    async def _write(
        self, topic: str, logs: Mapping[int, store.Log], places: dict[int, int], found: Sequence[records.Record]
    ) -> None:
        batch, after = store.Batch(), dict(places)
        for record in found:
            log = logs[record.partition].log
            after[record.partition] = record.offset + 1
            if topic in self._topics.events:
                event = record_reader.event(record, self._topics.tenants)
                if event is not None:
                    batch.events.setdefault(log, []).append(event)
                self.progress.skipped += event is None
            elif topic == self._topics.audit:
                decided = record_reader.decision(record)
                if decided is not None:
                    batch.decisions.setdefault(log, []).append(decided)
                self.progress.skipped += decided is None
            else:
                letter = record_reader.dead_letter(record, self._topics.tenants_by_topic)
                if letter is not None:
                    batch.dead_letters.setdefault(log, []).append(letter)
                self.progress.skipped += letter is None

        batch.moves = {
            logs[partition].log: (places[partition], offset)
            for partition, offset in after.items()
            if offset != places[partition]
        }
        await self._store.apply(batch)
        places.update(after)
        self.progress.written += len(found)
        self.progress.delay.add(max(0, self._time.now_ms() - found[0].timestamp_ms) / 1000)
        self.changes.announce()

    async def _report(self, topic: str, follower: reading.Follower) -> None:
        """Note how far we are behind the topic's end."""
        behind = await follower.behind()
        self.progress.failure = None
        if behind is None or follower.problem is not None:
            self.progress.topic_failures[topic] = follower.problem or "Kafka does not answer"
            return
        self.progress.topic_failures.pop(topic, None)
        self.progress.behind = {**(self.progress.behind or {}), topic: behind}

        topics = self._topics.events | self._topics.dead_letters
        if self.progress.behind.keys() >= topics and not any(self.progress.behind.values()):
            self.progress.caught_up = True
