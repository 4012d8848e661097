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

    async def read(self, limit: int, most_bytes: int) -> tuple[list[Stored], positions.Position]:
        """
        Read the next events, in order within each partition, and the position behind them and all that is no event.

        The cursor itself does not move: `passed` is called for each event that was delivered.

        Args:
            limit: most events.
            most_bytes: of all events together; one event of each partition may come beyond it.

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

        share, share_bytes = max(1, limit // len(unread)), max(1, most_bytes // len(unread))
        found: list[Stored] = []
        ends = dict(starts)
        answers = await self._database.rows(
            *(_after(log, starts[log.log], share, share_bytes) for log in unread), _current(self.topics)
        )
        for log, rows in zip(unread, answers, strict=False):
            found += [Stored(log, row.offset, row.event) for row in rows]
            is_cut = len(rows) == share or sum(row.size_bytes for row in rows) >= share_bytes
            ends[log.log] = rows[-1].offset + 1 if is_cut else log.next

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


def _after(log: store.Log, offset: int, limit: int, most_bytes: int) -> sa.Select[tuple[object, ...]]:
    """Return a query for some events from an offset on: the last of them is the first that reaches the bytes."""
    events = tables.EVENTS.c
    some = sa.select(events.offset, events.size_bytes).where(
        events.log == log.log, events.offset >= offset, events.offset < log.next
    )
    sizes = some.order_by(events.offset).limit(limit).subquery()
    before = sa.func.sum(sizes.c.size_bytes).over(order_by=sizes.c.offset) - sizes.c.size_bytes
    sums = sa.select(sizes.c.offset, before.label("before")).subquery()
    chosen = sa.select(events.offset, events.size_bytes, events.event).join(sums, events.offset == sums.c.offset)
    return chosen.where(events.log == log.log, sums.c.before < most_bytes).order_by(events.offset)


async def events_of(opened: database.Database, key: bytes, *, limit: int) -> list[str]:
    """Return the last events of a request, oldest first, as CloudEvents JSON. Raises DatabaseDown."""
    events = tables.EVENTS.c
    newest = sa.select(events.event).where(events.key == key)
    (rows,) = await opened.rows(newest.order_by(events.time_ms.desc(), events.sequence.desc()).limit(limit))
    return [row.event for row in reversed(rows)]


async def event_at(opened: database.Database, log: int, offset: int, key: bytes) -> str | None:
    """
    Return one event as CloudEvents JSON; None: it is not kept.

    Args:
        opened: the database.
        log: its log.
        offset: its offset.
        key: of its request; another request's event is at the place of an earlier one after the log was read again.

    Raises:
        DatabaseDown.
    """
    events = tables.EVENTS.c
    at = sa.select(events.event).where(events.log == log, events.offset == offset, events.key == key)
    (rows,) = await opened.rows(at)
    return rows[0].event if rows else None
