"""
Find requests by a part of their words: by trigrams, in FTS5 of SQLite or by pg_trgm of PostgreSQL.

It finds those that match anywhere among millions; `queries` looks first among the newest, where what matches often is
found at once. Where the database has no trigrams, there is no index, and `queries` only looks on.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext import asyncio as sa_asyncio

from mrs_relay.read_model import database, tables

_SHORTEST: Final = 3
_MOST_TRIGRAMS: Final = 40
_MOST: Final = 2_000
"""Most requests that are found; of a text that matches more, the newest are found without an index."""

_ROWS_BITS: Final = 16
"""Each request has a range of so many bits among the row numbers of FTS5: a row for each event that brings words."""

_ASKED_AT_ONCE: Final = 10_000

_words: Final = tables.WORDS
_requests: Final = tables.REQUESTS.c
_INSERT: Final = (
    sa.insert(_words).prefix_with("OR REPLACE").values(rowid=sa.bindparam("rowid"), words=sa.bindparam("words"))
)


async def write(connection: sa_asyncio.AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """
    Note words of requests that are written; PostgreSQL does so by itself.

    Args:
        connection: within a transaction.
        rows: key, sequence and words of each.
    """
    if connection.dialect.name != "sqlite":
        return
    numbers: dict[bytes, int] = {}
    keys = [row["key"] for row in rows]
    for first in range(0, len(keys), _ASKED_AT_ONCE):
        some = _requests.key.in_(keys[first : first + _ASKED_AT_ONCE])
        asked = sa.select(_requests.key, _requests.number).where(some)
        numbers |= {row.key: row.number for row in await connection.execute(asked)}

    places = ((numbers[row["key"]] << _ROWS_BITS) + row["sequence"] % (1 << _ROWS_BITS) for row in rows)
    found = [{"rowid": place, "words": row["words"]} for place, row in zip(places, rows, strict=True)]
    # FTS5 writes what it has in memory whenever a row has a lower number than the one before.
    await database.write_rows(connection, _INSERT, sorted(found, key=operator.itemgetter("rowid")))


async def remove(connection: sa_asyncio.AsyncConnection, numbers: Sequence[int]) -> None:
    """Remove the words of requests, by their numbers; PostgreSQL does so by itself."""
    if connection.dialect.name == "sqlite":
        first = sa.bindparam("first", type_=sa.Integer)
        ranges = [{"first": one << _ROWS_BITS, "last": ((one + 1) << _ROWS_BITS) - 1} for one in numbers]
        gone = sa.delete(_words).where(_words.c.rowid.between(first, sa.bindparam("last", type_=sa.Integer)))
        await connection.execute(gone, ranges)


async def numbers(opened: database.Database, text: str) -> Sequence[int] | None:
    """
    Return the numbers of all requests that may contain a text in lower case; None: not known, or too many.

    Raises:
        DatabaseDown.
    """
    if not opened.has_text_index or len(text) < _SHORTEST:
        return None
    if opened.has_one_writer:
        trigrams = sorted({text[at : at + _SHORTEST] for at in range(len(text) - _SHORTEST + 1)})[:_MOST_TRIGRAMS]
        wanted = " AND ".join('"' + one.replace('"', '""') + '"' for one in trigrams)
        number = _words.c.rowid.op(">>")(_ROWS_BITS).label("number")
        statement = sa.select(number).where(sa.literal_column(_words.name).op("MATCH")(wanted))
        (rows,) = await opened.rows(statement.limit(_MOST + 1))
    else:
        # The planner takes a text to be more frequent than it is, and would read the whole table.
        no_scan = sa.select(sa.func.set_config("enable_seqscan", "off", True))
        statement = sa.select(_requests.number).where(_requests.words.contains(text, autoescape=True))
        _, rows = await opened.rows(no_scan, statement.limit(_MOST + 1))
    return sorted({row.number for row in rows}) if len(rows) <= _MOST else None
