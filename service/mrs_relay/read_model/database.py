"""
Open the database, SQLite or PostgreSQL by SQLAlchemy.

Every error of the database becomes `DatabaseDown`. Neighbours: `table_setup` makes the tables, `store` writes,
`queries` and `event_log` read.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import pathlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext import asyncio as sa_asyncio

from mrs_relay import errors
from mrs_relay.read_model import settings, table_setup

_SQLITE_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=NORMAL",  # a crash of the machine may lose the last transactions, offsets and rows together
    "busy_timeout=10000",
    "cache_size=-65536",
    "temp_store=MEMORY",
)
_CONNECT_S: Final = 10.0
_COMMAND_S: Final = 30.0
_POSTGRESQL: Final = {  # of each session, so that a lost replica holds no locks
    "idle_in_transaction_session_timeout": "30000",
    "lock_timeout": "10000",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

Row = sa.Row[Any]

INSERTS: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""The `insert` that knows conflicts, by dialect."""


class DatabaseDown(errors.RelayError):
    """The database cannot be reached or refuses a statement; what was being written is not written."""


class Database:
    """
    An open database. Made by `opened`.

    Args:
        engine: SQLAlchemy's.

    Attributes:
        has_text_index: whether words of requests are indexed, see `text_index`.
    """

    def __init__(self, engine: sa_asyncio.AsyncEngine, *, has_text_index: bool) -> None:
        self._engine = engine
        self.has_text_index = has_text_index

    @property
    def has_one_writer(self) -> bool:
        """Whether a transaction that writes keeps all others from writing, as in SQLite."""
        return self._engine.dialect.name == "sqlite"

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[sa_asyncio.AsyncConnection]:
        """Run statements in one transaction: all of it is written, or nothing. Raises DatabaseDown."""
        with _mapped():
            async with self._engine.begin() as connection:
                yield connection

    async def rows(self, *statements: sa.Select[Any]) -> list[Sequence[Row]]:
        """Run queries on one state of the database; returns the rows of each. Raises DatabaseDown."""
        with _mapped():
            async with self._engine.connect() as connection:
                if len(statements) > 1:
                    await _SNAPSHOTS[connection.dialect.name](connection)
                return [(await connection.execute(statement)).all() for statement in statements]


async def _begin(connection: sa_asyncio.AsyncConnection) -> None:
    """Keep one state of SQLite until the connection is given back; its driver begins no transaction for queries."""
    await connection.exec_driver_sql("BEGIN")


async def _repeat_reads(connection: sa_asyncio.AsyncConnection) -> None:
    """Keep one state of PostgreSQL for the transaction."""
    await connection.execution_options(isolation_level="REPEATABLE READ")


_SNAPSHOTS: Final = {"sqlite": _begin, "postgresql": _repeat_reads}


async def write_rows(
    connection: sa_asyncio.AsyncConnection, statement: sa.UpdateBase, rows: Sequence[Mapping[str, Any]]
) -> None:
    """
    Run a statement for each row, by the driver alone: SQLAlchemy's work on each value costs as much as the database's.

    Args:
        connection: within a transaction.
        statement: one of a few, because its SQL is kept.
        rows: values of all its parameters, by name, which the drivers take as they are.
    """
    if rows:
        text, values_of = _driver_text(statement, connection.dialect)
        await connection.exec_driver_sql(text, [values_of(row) for row in rows])


@functools.lru_cache(maxsize=64)
def _driver_text(
    statement: sa.UpdateBase, dialect: sa.Dialect
) -> tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """Return a statement as text for the driver, and what takes its values from a row in their order."""
    compiled = statement.compile(dialect=dialect)
    names = compiled.positiontup
    if names is None:
        raise RuntimeError(f"the statement's parameters have no order: {compiled.string}")
    return compiled.string, operator.itemgetter(*names)


@contextlib.contextmanager
def _mapped() -> Any:  # noqa: ANN401 - a context manager of no value
    try:
        yield
    except (exc.SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseDown(f"the database does not answer: {str(cause) or type(cause).__name__}") from error


@contextlib.asynccontextmanager
async def opened(chosen: settings.ReadModelSettings) -> AsyncIterator[Database]:
    """
    Open the database of the settings for the length of the context, with tables of this version.

    Raises:
        DatabaseDown: it cannot be reached, or its tables cannot be made. SettingsError: its address cannot be read.
    """
    with contextlib.ExitStack() as stack:
        address = chosen.address
        if address is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mrs-relay-web-"))
            address = f"sqlite+aiosqlite:///{pathlib.Path(folder) / 'read-model.db'}"
        engine = _engine(address)
        try:
            with _mapped():
                has_text_index = await table_setup.prepare(engine)
            yield Database(engine, has_text_index=has_text_index)
        finally:
            await engine.dispose()


def _engine(address: str) -> sa_asyncio.AsyncEngine:
    try:
        url = sa.make_url(address)
    except (ValueError, exc.ArgumentError):  # their texts may hold the password
        raise errors.SettingsError(f"read_model.database: {settings.EXPECTED_ADDRESS}") from None

    if url.get_backend_name() != "sqlite":
        limits = {"timeout": _CONNECT_S, "command_timeout": _COMMAND_S, "server_settings": _POSTGRESQL}
        return sa_asyncio.create_async_engine(url, pool_size=10, pool_pre_ping=True, connect_args=limits)

    engine = sa_asyncio.create_async_engine(url, pool_size=4, max_overflow=4)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine
