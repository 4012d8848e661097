"""
Read the events in the order of their logs, from a position on.

A position is an offset for each log of events; `positions` writes it as text that any replica understands: it names
Kafka's partitions and offsets, not rows of a database. Reading on from a position neither repeats an event nor leaves
one out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from mrs_relay.read_model import database, positions, store, tables


class Gone(Exception):  # noqa: N818 - not an error of the service: the reader begins again
    """
    Events behind the position are no longer there, or its topic is another one now.

    Attributes:
        reason: for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Stored(msgspec.Struct, frozen=True):
    """An event as it is stored: its log and offset, and itself as CloudEvents JSON."""

    log: store.Log
    offset: int
    event: str


async def current(opened: database.Database, topics: Collection[str]) -> list[store.Log]:
    """Return the present logs of these topics, ordered by topic and partition. Raises DatabaseDown."""
    (rows,) = await opened.rows(_current(topics))
    return [store.log_of(row) for row in rows]


def _current(topics: Collection[str]) -> sa.Select[tuple[object, ...]]:
    logs = tables.LOGS
    chosen = sa.select(logs).where(logs.c.current, logs.c.topic.in_(sorted(topics)))
    return chosen.order_by(logs.c.topic, logs.c.partition)


def end(logs: Sequence[store.Log]) -> positions.Position:
    """Return the position behind all events that have been read."""
    return _position(logs, {log.log: log.next for log in logs})


def beginning(logs: Sequence[store.Log]) -> positions.Position:
    """Return the position before the first event after which none is missing."""
    return _position(logs, {log.log: log.first for log in logs})


def _position(logs: Sequence[store.Log], offsets: Mapping[int, int]) -> positions.Position:
    found: dict[str, positions.Place] = {}
    for log in logs:
        place = found.setdefault(log.topic, positions.Place(log.life, {}))
        place.offsets[log.partition] = offsets[log.log]
    return found


class Cursor:
    """
    A place in the logs that moves forward as events are read.

    Args:
        opened: the database.
        topics: names of the topics of events.
        position: where to begin.

    Attributes:
        topics: see above.
    """

    def __init__(self, opened: database.Database, topics: Collection[str], position: positions.Position) -> None:
        self._database = opened
        self.topics = topics
        self._position = position

    @property
    def position(self) -> positions.Position:
        """Where the next event is read."""
        return self._position

    def passed(self, stored: Stored) -> None:
        """Note that an event has been delivered."""
        self._move(stored.log, stored.offset + 1)

    def passed_all(self, ends: Mapping[str, positions.Place]) -> None:
        """Note that everything before these ends has been delivered, or was not asked for."""
        self._position = ends

    async def read(self, limit: int) -> tuple[list[Stored], positions.Position]:
        """
        Read the next events, in order within each partition, and the position behind them and all that is no event.

        The cursor itself does not move: `passed` is called for each event that was delivered.

        Raises:
            Gone: some of the events are no longer there. DatabaseDown.
        """
        if foreign := self._position.keys() - set(self.topics):
            raise Gone(f"topic {min(foreign)} is not read here")
        logs = await current(self._database, self.topics)
        starts = {log.log: self._start(log) for log in logs}
        unread = [log for log in logs if starts[log.log] < log.next]
        if not unread:
            return [], {**self._position, **_position(logs, starts)}

        share = max(1, limit // len(unread))
        found: list[Stored] = []
        ends = dict(starts)
        answers = await self._database.rows(
            *(_after(log, starts[log.log], share) for log in unread), _current(self.topics)
        )
        for log, rows in zip(unread, answers, strict=False):
            found += [Stored(log, row.offset, row.event) for row in rows]
            ends[log.log] = rows[-1].offset + 1 if len(rows) == share else log.next

        # What was deleted meanwhile is missing from the answers: compare with the logs' beginnings after reading.
        for log in map(store.log_of, answers[-1]):
            self._start(log)
        return found, {**self._position, **_position(logs, ends)}

    async def go_to_end(self) -> None:
        """Leave out everything that has been read so far. Raises DatabaseDown."""
        self._position = end(await current(self._database, self.topics))

    def _start(self, log: store.Log) -> int:
        """
        Return the offset at which the reading of a log begins.

        Raises:
            Gone: events behind it have been deleted.
        """
        place = self._position.get(log.topic)
        if place is None:
            return log.first  # a topic that is new to the reader
        if place.life != log.life:
            raise Gone(f"topic {log.topic} was deleted and created again, or has lost records")
        offset = place.offsets.get(log.partition, log.first)
        if offset < log.first:
            raise Gone(f"events before offset {log.first} of {log.topic}-{log.partition} are no longer kept")
        return offset

    def _move(self, log: store.Log, offset: int) -> None:
        place = self._position.get(log.topic) or positions.Place(log.life, {})
        moved = positions.Place(place.life, {**place.offsets, log.partition: offset})
        self._position = {**self._position, log.topic: moved}


def _after(log: store.Log, offset: int, limit: int) -> sa.Select[tuple[object, ...]]:
    events = tables.EVENTS
    chosen = sa.select(events.c.offset, events.c.event).where(
        events.c.log == log.log, events.c.offset >= offset, events.c.offset < log.next
    )
    return chosen.order_by(events.c.offset).limit(limit)
