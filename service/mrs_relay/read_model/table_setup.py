"""Make the tables of this version and their index of words, or make them again where they are of another version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy import exc
from sqlalchemy.ext import asyncio as sa_asyncio

from mrs_relay.read_model import tables

_TEXT_INDEX: Final[Mapping[str, Sequence[str]]] = {
    "sqlite": (
        f"DROP TABLE IF EXISTS {tables.WORDS.name}",
        f"CREATE VIRTUAL TABLE {tables.WORDS.name} USING fts5(words, tokenize = 'trigram', detail = 'none')",
    ),
    "postgresql": (
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        f"CREATE INDEX {tables.WORDS_INDEX} ON {tables.REQUESTS.name} USING gin (words gin_trgm_ops)",
    ),
}

_log = structlog.get_logger(__name__)


async def prepare(engine: sa_asyncio.AsyncEngine) -> bool:
    """Make what is missing; returns whether there is an index of words."""
    async with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # replicas that start together make them one after the other
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(7411970051)"))
        if await connection.run_sync(lambda one: sa.inspect(one).has_table(tables.VERSIONS.name)):
            found = (await connection.execute(sa.select(tables.VERSIONS.c.version))).scalar()
            if found == tables.VERSION:
                return await connection.run_sync(_has_text_index)
            _log.warning("read_model_replaced", found=found, expected=tables.VERSION)
            await connection.run_sync(tables.METADATA.drop_all)

        await connection.run_sync(tables.METADATA.create_all)
        await connection.execute(sa.insert(tables.VERSIONS).values(version=tables.VERSION))
        await connection.execute(sa.insert(tables.WRITER).values(number=1, owner="", until_ms=0, complete=False))
        return await _make_text_index(connection)


async def _make_text_index(connection: sa_asyncio.AsyncConnection) -> bool:
    """Make the index of words; False: the database has no trigrams, or we may not use them."""
    try:
        async with connection.begin_nested():
            for statement in _TEXT_INDEX[connection.dialect.name]:
                await connection.exec_driver_sql(statement)
    except exc.DBAPIError as error:
        _log.warning("read_model_without_text_index", reason=str(error.orig))
        return False
    return True


def _has_text_index(connection: sa.Connection) -> bool:
    inspected = sa.inspect(connection)
    indexes = {index["name"] for index in inspected.get_indexes(tables.REQUESTS.name)}
    return tables.WORDS_INDEX in indexes or inspected.has_table(tables.WORDS.name)
