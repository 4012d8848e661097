"""
Write events, and what they say of their requests: one statement for all rows of a kind. `store` calls it.

The present rows are read first. A request that is not there yet is written whole; of one that continues, only what an
event changes is written, because each column that is written costs the indexes in which it is.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext import asyncio as sa_asyncio

from mrs_relay.read_model import database, record_reader, tables, text_index

_State = tuple[record_reader.Event, int]
"""The event that brought a state, and when the request began."""

_KNOWN_AT_ONCE: Final = 10_000
"""Requests that one query asks for; drivers take about 32,000 values."""

_FIXED: Final = frozenset(
    {"number", "key", "tenant", "source", "id", "kind", "started_ms", "cluster", "labels", "reason_class", "kafka_key"}
)
"""Columns that an event does not change as long as cluster and class of the reason stay the same."""

_requests = tables.REQUESTS.c


async def write(
    connection: sa_asyncio.AsyncConnection, log: int, found: Sequence[record_reader.Event], *, indexes_words: bool
) -> None:
    """
    Write events of one log, and the states that they bring.

    Args:
        connection: within a transaction.
        log: number of the log.
        found: its events, in order.
        indexes_words: whether the database has an index of words.
    """
    dialect = connection.dialect.name
    rows = [{"log": log, **record_reader.event_row(one)} for one in found]
    await database.write_rows(connection, _event_insert(dialect), rows)

    states = _last_states(found)
    known = await _known(connection, [one.key for one, _ in states])
    whole, later = _compared(states, known)

    fresh = [{"log": log, **record_reader.request_row(*state)} for state in whole]
    await database.write_rows(connection, _upsert(dialect), fresh)
    moved = [{"log": log, "of": one.key, **record_reader.request_row(one, 0)} for one in later]
    await database.write_rows(connection, _update(), moved)

    labelled = [
        {"label": label, "started_ms": started_ms, "key": one.key}
        for one, started_ms in whole
        for label in record_reader.labels(one)
    ]
    await database.write_rows(connection, _label_insert(dialect), labelled)
    if indexes_words:
        more = [_with_new_words(row, known[row["key"]].words) for row in moved]
        await text_index.write(connection, [*(row for row in more if row["words"]), *fresh])


def _last_states(found: Iterable[record_reader.Event]) -> list[_State]:
    """Return the last state of each request; a repeated one only of a request that has no other."""
    changed: dict[bytes, _State] = {}
    repeated: dict[bytes, _State] = {}
    for one in found:
        if not one.concerns_state:
            continue
        last, started_ms = changed.get(one.key, (None, one.time_ms))
        if not one.changes:
            repeated.setdefault(one.key, (one, one.time_ms))
        elif last is None or one.sequence > last.sequence:
            changed[one.key] = one, started_ms
        elif last.ended and one.time_ms > last.time_ms:  # the id was sent again, see `_is_sent_again`
            changed[one.key] = one, one.time_ms
    return list({**repeated, **changed}.values())


def _compared(
    states: Sequence[_State], known: Mapping[bytes, database.Row]
) -> tuple[list[_State], list[record_reader.Event]]:
    """Return the states of requests that are written whole, and the events that only move a request on."""
    whole: list[_State] = []
    later: list[record_reader.Event] = []
    for one, started_ms in states:
        before = known.get(one.key)
        if before is None or (one.changes and _is_sent_again(one, before)):
            whole.append((one, started_ms))
        elif not one.changes or one.sequence <= before.sequence:
            continue
        elif before.ended or (before.cluster, before.reason_class or "") != (one.data.cluster, one.reason_class):
            whole.append((one, before.started_ms))
        else:
            later.append(one)
    return whole, later


def _with_new_words(row: Mapping[str, Any], before: str) -> Mapping[str, Any]:
    """Return a row with those words only that it did not have before."""
    known = before.split("\n")
    return {**row, "words": "\n".join(word for word in row["words"].split("\n") if word not in known)}


async def _known(connection: sa_asyncio.AsyncConnection, keys: Sequence[bytes]) -> Mapping[bytes, database.Row]:
    """Return what is written of these requests."""
    columns = (
        _requests.key,
        _requests.sequence,
        _requests.ended,
        _requests.started_ms,
        _requests.updated_ms,
        _requests.cluster,
        _requests.reason_class,
        _requests.words,
    )

    found: dict[bytes, database.Row] = {}
    for first in range(0, len(keys), _KNOWN_AT_ONCE):
        some = sa.select(*columns).where(_requests.key.in_(keys[first : first + _KNOWN_AT_ONCE]))
        found |= {row.key: row for row in await connection.execute(some)}

    return found


def _is_sent_again(one: record_reader.Event, before: database.Row) -> bool:
    """
    Return whether an event begins another life of a request that has ended.

    Its sequence begins again after a last event: the id was sent again, long after the relay had forgotten it.
    """
    return bool(one.sequence <= before.sequence and before.ended and one.time_ms > before.updated_ms)


@functools.cache
def _event_insert(dialect: str) -> sa.Insert:
    statement: sa.Insert = database.INSERTS[dialect](tables.EVENTS).on_conflict_do_nothing()
    return statement


@functools.cache
def _label_insert(dialect: str) -> sa.Insert:
    statement: sa.Insert = database.INSERTS[dialect](tables.LABELS).on_conflict_do_nothing()
    return statement


@functools.cache
def _upsert(dialect: str) -> sa.Insert:
    statement = database.INSERTS[dialect](tables.REQUESTS)
    names = [column.name for column in _requests if column.name != "number"]
    statement = statement.values({name: sa.bindparam(name) for name in names})
    values = {name: statement.excluded[name] for name in names if name != "key"}
    upsert: sa.Insert = statement.on_conflict_do_update(index_elements=["key"], set_=values)
    return upsert


@functools.cache
def _update() -> sa.Update:
    values: dict[str, Any] = {
        column.name: sa.bindparam(column.name) for column in _requests if column.name not in _FIXED
    }
    return sa.update(tables.REQUESTS).where(_requests.key == sa.bindparam("of")).values(values)
