"""
Write rows to the tables, together with the offsets that they stand for.

One process writes at a time: it holds a lease in the database, and each transaction also requires that the offsets are
still those that it began with. Two writers that believe in the lease at once therefore write nothing twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext import asyncio as sa_asyncio

from mrs_relay import errors
from mrs_relay.kafka import broker
from mrs_relay.read_model import database, event_writer, positions, record_reader, tables, text_index

_PRUNED_AT_ONCE: Final = 500
"""Rows of one kind deleted in one transaction: SQLite's other writers wait for it, the lease among them."""


class Shorter(errors.StreamDown):
    """A topic ends before what was read of it: its leader has just changed, or it has lost records."""


class Overtaken(errors.RelayError):
    """Another process writes to the database; read the offsets again before the next write."""


class Log(msgspec.Struct, frozen=True):
    """A row of the table of logs; see `tables.LOGS`."""

    log: int
    topic: str
    topic_id: str
    partition: int
    first: int
    next: int
    epoch: int = 0

    @property
    def life(self) -> str:
        """Short text that is another one after the topic was created again, or has lost records."""
        return positions.life(self.topic_id, self.epoch)


class Batch(msgspec.Struct):
    """
    What one transaction writes.

    Attributes:
        events: by log, in the order of the logs.
        dead_letters: rows of dead letters by log.
        decisions: rows of decisions by log.
        moves: for each log the offset of its first unread record, before and after this batch.
    """

    events: dict[int, list[record_reader.Event]] = msgspec.field(default_factory=dict)
    dead_letters: dict[int, list[dict[str, Any]]] = msgspec.field(default_factory=dict)
    decisions: dict[int, list[dict[str, Any]]] = msgspec.field(default_factory=dict)
    moves: dict[int, tuple[int, int]] = msgspec.field(default_factory=dict)


class Store:
    """
    The writing side of the read model.

    Args:
        opened: the database.
        owner: name of this process, unlike that of any other.
        lease_s: how long the lease holds, in seconds.
    """

    def __init__(self, opened: database.Database, owner: str, lease_s: float) -> None:
        self._database = opened
        self._owner = owner
        self._lease_ms = round(lease_s * 1000)
        self._writing = asyncio.Lock()  # SQLite has one writer at a time; waiting here needs no busy timeout
        self._claiming: contextlib.AbstractAsyncContextManager[Any] = (
            self._writing if opened.has_one_writer else contextlib.nullcontext()
        )

    async def claim(self, now_ms: int, *, complete: bool) -> bool:
        """
        Take or extend the lease; False: another process holds it.

        Args:
            now_ms: the time, epoch milliseconds.
            complete: all that the topics held has been written once.

        Raises:
            DatabaseDown.
        """
        writer = tables.WRITER
        free = sa.or_(writer.c.owner == self._owner, writer.c.until_ms < now_ms)
        statement = (
            sa.update(writer).where(free).values(owner=self._owner, until_ms=now_ms + self._lease_ms, complete=complete)
        )
        async with self._claiming, self._database.transaction() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def is_complete(self) -> bool:
        """Return whether the process that writes has once written all that the topics held. Raises DatabaseDown."""
        (rows,) = await self._database.rows(sa.select(tables.WRITER.c.complete))
        return bool(rows and rows[0].complete)

    async def release(self) -> None:
        """Give the lease back, so that another process need not wait for its end. Raises DatabaseDown."""
        statement = sa.update(tables.WRITER).where(tables.WRITER.c.owner == self._owner).values(owner="", until_ms=0)
        async with self._writing, self._database.transaction() as connection:
            await connection.execute(statement)

    async def open_logs(
        self, topic: str, bounds: Mapping[int, broker.Bounds], *, accept_shorter: bool = False
    ) -> dict[int, Log]:
        """
        Return the logs of a topic by partition, made where there are none.

        A log whose next record has left the topic continues at the topic's beginning: `first` says that events are
        missing before it.

        Args:
            topic: its name.
            bounds: begin and end of each partition.
            accept_shorter: if the topic ends before what was read, read it again from its beginning.

        Raises:
            Shorter: it does, and this is not accepted. DatabaseDown.
        """
        topic_id = next((bound.topic_id for bound in bounds.values()), None) or ""
        logs = tables.LOGS
        if accept_shorter:
            await self._empty_shorter(topic, topic_id, bounds)
        async with self._writing, self._database.transaction() as connection:
            present = sa.update(logs).where(logs.c.topic == topic).values(current=logs.c.topic_id == topic_id)
            await connection.execute(present)
            found = sa.select(logs).where(logs.c.topic == topic, logs.c.topic_id == topic_id)
            known = {row.partition: log_of(row) for row in await connection.execute(found)}

            is_shorter = _is_shorter(known, bounds)
            if is_shorter and not accept_shorter:
                raise Shorter(f"topic {topic} ends before what was read of it")
            if is_shorter:
                known = {
                    partition: await _read_again(connection, log, bounds[partition].first)
                    for partition, log in known.items()
                    if partition in bounds
                }

            epoch = max((log.epoch for log in known.values()), default=0)  # all partitions of a topic have the same
            for partition, bound in bounds.items():
                log = known.get(partition)
                if log is None:
                    values = {"topic": topic, "topic_id": topic_id, "partition": partition, "epoch": epoch}
                    log = await _new_log(connection, {**values, "first": bound.first, "next": bound.first})
                elif log.next < bound.first:
                    log = msgspec.structs.replace(log, first=bound.first, next=bound.first)
                    moved = sa.update(logs).where(logs.c.log == log.log).values(first=log.first, next=log.next)
                    await connection.execute(moved)
                known[partition] = log
        return known

    async def _empty_shorter(self, topic: str, topic_id: str, bounds: Mapping[int, broker.Bounds]) -> None:
        """Delete the events of a topic that is shorter than its logs, in steps, before it is read again."""
        logs = tables.LOGS
        (rows,) = await self._database.rows(sa.select(logs).where(logs.c.topic == topic, logs.c.topic_id == topic_id))
        known = {row.partition: log_of(row) for row in rows}
        if not _is_shorter(known, bounds):
            return
        for log in known.values():
            while await self._delete_first(log.log):
                pass

    async def _delete_first(self, log: int) -> bool:
        """Delete some events at the beginning of a log; False: fewer are left than one step deletes."""
        events = tables.EVENTS
        last = sa.select(events.c.offset).where(events.c.log == log).order_by(events.c.offset)
        async with self._writing, self._database.transaction() as connection:
            end = (await connection.execute(last.offset(_PRUNED_AT_ONCE - 1).limit(1))).scalar()
            if end is None:
                return False
            await connection.execute(_raise_first(log, end + 1))
            await connection.execute(sa.delete(events).where(events.c.log == log, events.c.offset <= end))
        return True

    async def apply(self, batch: Batch) -> None:
        """
        Write a batch: all of it or nothing.

        Raises:
            Overtaken: another process has moved the offsets. DatabaseDown.
        """
        async with self._writing, self._database.transaction() as connection:
            await self._move(connection, batch.moves)
            for log, events in batch.events.items():
                await event_writer.write(connection, log, events, indexes_words=self._database.has_text_index)

            for table, by_log in ((tables.DEAD_LETTERS, batch.dead_letters), (tables.DECISIONS, batch.decisions)):
                found = [{"log": log, **row} for log, rows in by_log.items() for row in rows]
                if found:
                    insert = database.INSERTS[connection.dialect.name]
                    await connection.execute(insert(table).on_conflict_do_nothing(), found)

    async def replace_controls(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the table of controls again. Raises DatabaseDown."""
        async with self._writing, self._database.transaction() as connection:
            await connection.execute(sa.delete(tables.CONTROLS))
            if rows:
                await connection.execute(sa.insert(tables.CONTROLS), rows)

    async def _move(self, connection: sa_asyncio.AsyncConnection, moves: Mapping[int, tuple[int, int]]) -> None:
        logs = tables.LOGS
        # In one order, so that two writers never wait for each other.
        for log, (before, after) in sorted(moves.items()):
            statement = sa.update(logs).where(logs.c.log == log, logs.c.next == before).values(next=after)
            if (await connection.execute(statement)).rowcount != 1:
                raise Overtaken(f"another process has written to the log {log} of the read model")

    async def prune(self, before_ms: int) -> int:
        """
        Delete some requests that ended before a moment, with their events; returns their number.

        The logs then begin behind the last deleted event, so a reader that asks for earlier ones learns of it. Later
        events of these requests, which only repeat their last state, stay until their own time.
        """
        requests, events, labels = tables.REQUESTS, tables.EVENTS, tables.LABELS
        ended = tables.HAS_ENDED, requests.c.updated_ms < before_ms
        async with self._writing, self._database.transaction() as connection:
            old = sa.select(requests.c.key, requests.c.number).where(*ended).limit(_PRUNED_AT_ONCE)
            found = (await connection.execute(old)).all()
            keys = [row.key for row in found]
            if not keys:
                return 0

            gone = events.c.key.in_(keys), events.c.time_ms < before_ms
            ends = sa.select(events.c.log, sa.func.max(events.c.offset)).where(*gone).group_by(events.c.log)
            for log, last in (await connection.execute(ends)).all():
                await connection.execute(_raise_first(log, last + 1))
            await connection.execute(sa.delete(events).where(*gone))
            await connection.execute(sa.delete(labels).where(labels.c.key.in_(keys), labels.c.started_ms < before_ms))
            await connection.execute(sa.delete(requests).where(requests.c.key.in_(keys)))
            if self._database.has_text_index:
                await text_index.remove(connection, [row.number for row in found])
        return len(keys)

    async def prune_others(self, before_ms: int) -> None:
        """
        Delete what belongs to no request: dead letters and sent digests before a moment, and events before their log.

        The latter are refusals of messages about requests that never existed, and late repeats. Each step deletes a
        bounded number of rows, and others may write between the steps.
        """
        letters, sent, logs = tables.DEAD_LETTERS, tables.SENT, tables.LOGS
        place = sa.tuple_(letters.c.log, letters.c.offset)
        old_letters = sa.select(letters.c.log, letters.c.offset).where(letters.c.written_ms < before_ms)
        await self._delete_all(sa.delete(letters).where(place.in_(old_letters.limit(_PRUNED_AT_ONCE))))
        old_sent = sa.select(sent.c.key).where(sent.c.sent_ms < before_ms).limit(_PRUNED_AT_ONCE)
        await self._delete_all(sa.delete(sent).where(sent.c.key.in_(old_sent)))

        (rows,) = await self._database.rows(sa.select(logs.c.log, logs.c.first))
        for row in rows:
            offset: int | None = 0
            while offset is not None:
                offset = await self._prune_log(row.log, offset, row.first, before_ms)

    async def prune_decisions(self, before_ms: int) -> None:
        """Delete the records of decisions before a moment, in steps."""
        decisions = tables.DECISIONS
        place = sa.tuple_(decisions.c.log, decisions.c.offset)
        old = sa.select(decisions.c.log, decisions.c.offset).where(decisions.c.time_ms < before_ms)
        await self._delete_all(sa.delete(decisions).where(place.in_(old.limit(_PRUNED_AT_ONCE))))

    async def _delete_all(self, some: sa.Delete) -> None:
        """Repeat a statement that deletes some rows until none is left."""
        count = _PRUNED_AT_ONCE
        while count == _PRUNED_AT_ONCE:
            async with self._writing, self._database.transaction() as connection:
                count = (await connection.execute(some)).rowcount

    async def _prune_log(self, log: int, start: int, first: int, before_ms: int) -> int | None:
        """Delete events of no request among some before the log's first one; returns where the next ones begin."""
        events = tables.EVENTS
        passed = events.c.log == log, events.c.offset >= start, events.c.offset < first
        last = sa.select(events.c.offset).where(*passed).order_by(events.c.offset).offset(_PRUNED_AT_ONCE - 1).limit(1)
        is_of_none = ~sa.exists().where(tables.REQUESTS.c.key == events.c.key)
        async with self._writing, self._database.transaction() as connection:
            end = (await connection.execute(last)).scalar()
            some = passed if end is None else (*passed, events.c.offset <= end)
            await connection.execute(sa.delete(events).where(*some, events.c.time_ms < before_ms, is_of_none))
        return None if end is None else int(end) + 1


def log_of(row: database.Row) -> Log:
    """Read a row of the table of logs."""
    return Log(row.log, row.topic, row.topic_id, row.partition, row.first, row.next, row.epoch)


def _is_shorter(known: Mapping[int, Log], bounds: Mapping[int, broker.Bounds]) -> bool:
    """Return whether a partition ends before what was read of it."""
    return any(log.next > bounds[partition].end for partition, log in known.items() if partition in bounds)


async def _new_log(connection: sa_asyncio.AsyncConnection, values: Mapping[str, Any]) -> Log:
    statement = sa.insert(tables.LOGS).values(**values, current=True).returning(tables.LOGS.c.log)
    return Log((await connection.execute(statement)).scalar_one(), **values)


async def _read_again(connection: sa_asyncio.AsyncConnection, log: Log, first: int) -> Log:
    """Forget the events of a log, whose offsets may mean others now, and go back to the beginning of its partition."""
    logs, events = tables.LOGS, tables.EVENTS
    again = msgspec.structs.replace(log, first=first, next=first, epoch=log.epoch + 1)
    await connection.execute(sa.delete(events).where(events.c.log == log.log))
    moved = sa.update(logs).where(logs.c.log == log.log).values(first=first, next=first, epoch=again.epoch)
    await connection.execute(moved)
    return again


def _raise_first(log: int, first: int) -> sa.Update:
    logs = tables.LOGS
    return sa.update(logs).where(logs.c.log == log, logs.c.first < first).values(first=first)
