"""
Keep the present controls in the database.

Unlike events they are read from the topic's beginning at each start, and the table is written again: compaction may
have removed a tombstone that was never read. Every process follows the topic; only the one that writes to the database
writes the table.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import sqlalchemy as sa
import structlog

from mrs_relay import errors
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import controls
from mrs_relay.read_model import database, record_reader, store, tables

_TAKE_S: Final = 0.5
_AGAIN_S: Final = 2.0
_ABSENT_S: Final = 10.0

_log = structlog.get_logger(__name__)


class ControlProjection:
    """
    Writes the controls of a topic to their table.

    Args:
        kafka: opens the topic.
        topic: the control topic.
        writer: writes to the database.
        writes: whether this process is the one that writes.
        on_change: called after each write.

    Attributes:
        problem: why the table may be out of date; None: it is not.
        is_absent: the topic is missing.
    """

    def __init__(
        self,
        kafka: topic_io.TopicClient,
        topic: str,
        writer: store.Store,
        writes: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._store = writer
        self._writes = writes
        self._on_change = on_change
        self.problem: str | None = "the controls have not been read yet"
        self.is_absent = False

    async def run(self) -> None:
        """Follow the topic; failures of Kafka and of the database are logged and tried again."""
        while True:
            try:
                await self._read()
            except errors.SettingsError as error:  # the topic is missing, or hidden: there are no controls
                if self.problem != str(error):
                    _log.warning("controls_not_read", topic=self._topic, error=str(error))
                self.problem, self.is_absent = str(error), True
                with contextlib.suppress(database.DatabaseDown):  # tried again
                    await self._write({})
                await asyncio.sleep(_ABSENT_S)
            except (errors.StreamError, database.DatabaseDown) as error:
                self.problem = str(error)
                _log.warning("controls_delayed", topic=self._topic, error=self.problem)
                await asyncio.sleep(_AGAIN_S)

    async def _read(self) -> None:
        present: dict[controls.Scope, controls.Control] = {}
        is_whole = is_written = False
        async with topic_io.tail(self._kafka, self._topic, topic_io.BEGINNING) as tail:
            self.is_absent = False
            while not tail.grown:
                found = await tail.take(_TAKE_S)
                _take(present, found)

                # Until the end was reached, the table keeps what it has.
                if not is_whole and (behind := await tail.behind()) is not None:
                    is_whole = not behind or not found
                if is_whole:
                    is_written = await self._write(present) if found or not is_written else self._writes()
                    self.problem = None

    async def _write(self, present: dict[controls.Scope, controls.Control]) -> bool:
        """Write the table if this process is the one that writes; returns whether it is."""
        if not self._writes():
            return False
        await self._store.replace_controls([row(one) for one in present.values()])
        self._on_change()
        return True


def _take(present: dict[controls.Scope, controls.Control], found: Iterable[records.Record]) -> None:
    for record in found:
        try:
            scope, control = controls.read(record.key, record.value, record.timestamp_ms)
        except ValueError:
            continue  # the relay reports it
        controls.put(present, scope, control)


def row(control: controls.Control) -> dict[str, Any]:
    """Return a control as a row."""
    row = {
        "scope": str(control.scope),
        "mode": control.mode,
        "reason": control.reason,
        "by": control.by,
        "at_ms": control.at_ms,
        "until_ms": control.until_ms,
    }
    return record_reader.storable(row)


async def in_effect(opened: database.Database, now_ms: int) -> list[controls.Control]:
    """Return the controls that have not ended, those set first first. Raises DatabaseDown."""
    found = tables.CONTROLS.c
    is_on = sa.or_(found.until_ms == 0, found.until_ms > now_ms)
    (rows,) = await opened.rows(sa.select(tables.CONTROLS).where(is_on).order_by(found.at_ms, found.scope))
    return [controls.Control(**{**one._asdict(), "scope": controls.scope(one.scope)}) for one in rows]
