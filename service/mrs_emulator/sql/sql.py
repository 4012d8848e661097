"""
The one door to DuckDB: an in-memory warehouse over the files of a folder, run by a few threads behind a queue.

Files stay files: each is a view until a statement writes to it, which turns it into a table in memory. The folder is
never written. Readers run side by side, writers one at a time. Whatever runs can be interrupted.
DuckDB may touch no file but those of the tables, whatever a statement says.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from mrs_emulator.core import failures, settings
from mrs_emulator.sql import catalogue, dialect, directories, macros, obs, refusing, statement, tables, wording

try:
    import duckdb
except ImportError:  # the extra `emulator` is not installed
    AVAILABLE = False
else:
    AVAILABLE = dialect.AVAILABLE

_log = structlog.get_logger(__name__)

Row = tuple[Any, ...]
Sink = Callable[[Sequence[str], Iterator[list[Row]]], None]

_BATCH_ROWS = 2048
_INTERRUPT_AGAIN_S = 0.1
_INTERRUPTED = "the statement was interrupted"


@dataclass(frozen=True, slots=True)
class Work:
    """
    SQL to run.

    Attributes:
        read: gives the text; called on the worker thread, so it may read a file.
        dialect: the SQL dialect of the text.
        database: where unqualified names are looked up.
        sink: takes the rows of a query, on the worker thread; without it they are kept, up to the setting's number.
        variables: variables of Hive and Spark that are set before the first statement.
        folder: OBS, where INSERT OVERWRITE DIRECTORY writes; None: it is not played.
    """

    read: Callable[[], str]
    dialect: statement.Dialect
    database: str = "default"
    sink: Sink | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: obs.Obs | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What one statement answered.

    Attributes:
        columns: names of the columns; none when the statement has no rows to give.
        rows: the rows, unless a sink took them.
        cut: there were more rows than are kept.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    How a piece of work ended.

    Attributes:
        answers: of the statements that succeeded, in order.
        error: what ended the work early, or None.
        line: line of the error in the text, from 1, if known.
        column: column of the error in the text, from 1, if known.
    """

    answers: tuple[Answer, ...]
    error: str | None = None
    line: int | None = None
    column: int | None = None


class Ticket:
    """A piece of work in the queue or under way; belongs to the event loop, except for what the worker notes in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._started = False
        self._cancelled = False

    @property
    def started(self) -> bool:
        """Whether a thread has taken it up."""
        return self._started

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled

    def cancel(self) -> None:
        """
        Stop it as soon as possible; its outcome is then an error, unless it was just ending.

        NB: DuckDB forgets an interrupt that comes just before a statement starts, so it is repeated until the end.
        """
        with self._lock:
            self._cancelled = True
            if self._cursor is None:
                return
            self._cursor.interrupt()
        asyncio.get_running_loop().call_later(_INTERRUPT_AGAIN_S, self.cancel)

    @contextmanager
    def using(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Let `cancel` interrupt this cursor while the block runs."""
        with self._lock:
            self._started = True
            self._cursor = cursor
        try:
            yield
        finally:
            with self._lock:
                self._cursor = None


class Warehouse:
    """
    Tables and the threads that run SQL on them.

    Args:
        limits: threads, queue and rows kept.
        data: folder whose files are tables, or None.
    """

    def __init__(self, limits: settings.Sql, data: Path | None) -> None:
        self._limits = limits
        self._data = data
        self._pool: ThreadPoolExecutor | None = None
        self._opening = threading.Lock()
        self._writing = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._files: set[tuple[str, str]] = set()
        self._tickets: set[Ticket] = set()

    async def open(self) -> None:
        """
        Open the database and its files now, so that a fault shows at the start; otherwise the first statement does it.

        Raises:
            SqlMissing: DuckDB or sqlglot is not installed.
            CannotStart: the data folder or a file in it cannot be read.
        """
        check_installed()
        await asyncio.get_running_loop().run_in_executor(self._threads(), self._opened)

    def submit(self, work: Work) -> tuple[Ticket, asyncio.Future[Outcome]]:
        """
        Queue a piece of work; the future ends with its outcome, errors included.

        Raises:
            SqlMissing: DuckDB or sqlglot is not installed.
            SqlQueueFull: too much waits already; nothing was queued.
        """
        check_installed()
        if len(self._tickets) >= self._limits.queue_size:
            raise failures.SqlQueueFull(f"{len(self._tickets)} statements wait or run")
        ticket = Ticket()
        self._tickets.add(ticket)
        outcome = asyncio.get_running_loop().run_in_executor(self._threads(), self._run, ticket, work)
        outcome.add_done_callback(lambda ended: self._drop(ticket) if ended.cancelled() else None)
        return ticket, outcome

    def _threads(self) -> ThreadPoolExecutor:
        """Return the threads; there are none before the first statement."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._limits.threads, thread_name_prefix="emulator-sql")
        return self._pool

    def _drop(self, ticket: Ticket) -> None:
        """Forget work that was cancelled in the queue; work under way forgets itself when it ends."""
        if not ticket.started:
            self._tickets.discard(ticket)

    async def close(self) -> None:
        """Interrupt what runs, drop what waits, end the threads."""
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        for ticket in list(self._tickets):
            ticket.cancel()
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)
        if self._database is not None:
            self._database.close()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self._database is None:
                # NB: sqlglot logs the text of statements it does not know; SQL text has no place in a log.
                logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
                database = duckdb.connect(config={"threads": self._limits.engine_threads})
                try:
                    self._files = _load(database, self._data)
                except duckdb.Error as error:
                    database.close()
                    raise failures.CannotStart(
                        f"the data folder {self._data} cannot be read: {_first_line(error)}"
                    ) from error
                self._database = database
            return self._database

    def _run(self, ticket: Ticket, work: Work) -> Outcome:
        answers: list[Answer] = []
        try:
            with closing(self._opened().cursor()) as cursor, ticket.using(cursor):
                _prepare(cursor, work)
                known = self._catalogue(cursor)
                for wanted in dialect.translations(work.read(), work.dialect, work.variables, known):
                    if ticket.cancelled:
                        return Outcome(tuple(answers), _INTERRUPTED)
                    answers.append(self._answer(cursor, ticket, wanted, work))
        except failures.SqlRefused as error:
            return Outcome(tuple(answers), error.message, error.line, error.column)
        except (duckdb.Error, failures.EmulatorError, OSError) as error:
            return Outcome(tuple(answers), _said(error, work.dialect))
        except Exception as error:  # noqa: BLE001 - a fault of the translator ends one statement, not the emulator
            _log.error("emulator.sql_crashed", kind=type(error).__name__)  # its text may quote the SQL
            return Outcome(tuple(answers), f"the emulator cannot run this statement ({type(error).__name__})")
        finally:
            self._tickets.discard(ticket)

        return Outcome(tuple(answers))

    def _catalogue(self, cursor: duckdb.DuckDBPyConnection) -> catalogue.Catalogue:
        """Return what a session sees; it asks while no statement of the session runs."""
        return catalogue.Catalogue(
            lambda query, values: cursor.execute(query, list(values)).fetchall(), frozenset(self._files)
        )

    def _answer(
        self, cursor: duckdb.DuckDBPyConnection, ticket: Ticket, wanted: statement.Statement, work: Work
    ) -> Answer:
        match wanted.kind:
            case statement.Kind.NOTHING:
                return Answer()
            case statement.Kind.ROWS:
                cursor.execute(wanted.steps[0])
                return self._fetch(cursor, wanted, work)
            case statement.Kind.DIRECTORY:
                return self._write_directory(cursor, wanted, work)
            case statement.Kind.SESSION | statement.Kind.WRITE:
                writes = wanted.kind is statement.Kind.WRITE
                with self._writing if writes else nullcontext():
                    if ticket.cancelled:
                        raise duckdb.InterruptException(_INTERRUPTED)
                    self._change(cursor, wanted)
                return Answer()

    def _write_directory(self, cursor: duckdb.DuckDBPyConnection, wanted: statement.Statement, work: Work) -> Answer:
        if work.folder is None or wanted.directory is None:
            raise refusing.not_played("INSERT OVERWRITE DIRECTORY", "run it as a SQL job")
        cursor.execute(wanted.steps[0])
        columns = [str(column[0]) for column in cursor.description or ()]
        batches = iter(lambda: cursor.fetchmany(_BATCH_ROWS), [])
        directories.write(wanted.directory, work.dialect, work.folder, columns, batches)
        return Answer()

    def _change(self, cursor: duckdb.DuckDBPyConnection, wanted: statement.Statement) -> None:
        self._make_writable(cursor, wanted.target)
        if len(wanted.steps) == 1:
            cursor.execute(wanted.steps[0])
            return
        cursor.execute("BEGIN")
        try:
            for step in wanted.steps:
                cursor.execute(step)
        except duckdb.Error:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")

    def _make_writable(self, cursor: duckdb.DuckDBPyConnection, target: tuple[str | None, str] | None) -> None:
        """Turn a file into a table in memory before it is written for the first time."""
        if target is None or not self._files:
            return

        schema = target[0]
        if schema is None:
            found = cursor.execute("SELECT current_schema()").fetchone()
            schema = str(found[0]) if found else "main"

        key = (schema.lower(), target[1].lower())
        if key not in self._files:
            return

        name = f"{statement.quoted(key[0])}.{statement.quoted(key[1])}"
        cursor.execute("BEGIN")
        cursor.execute(f"CREATE TEMP TABLE __copied AS SELECT * FROM {name}")  # noqa: S608 - quoted above
        cursor.execute(f"DROP VIEW {name}")
        cursor.execute(f"CREATE TABLE {name} AS SELECT * FROM __copied")  # noqa: S608 - quoted above
        cursor.execute("DROP TABLE __copied")
        cursor.execute("COMMIT")
        self._files.discard(key)

    def _fetch(self, cursor: duckdb.DuckDBPyConnection, wanted: statement.Statement, work: Work) -> Answer:
        columns = tuple(str(column[0]) for column in cursor.description or ())
        if work.sink is not None:
            work.sink(columns, iter(lambda: cursor.fetchmany(_BATCH_ROWS), []))
            return Answer(columns)
        rows: list[Row] = cursor.fetchmany(self._limits.rows_kept + 1)
        cut = len(rows) > self._limits.rows_kept
        if wanted.types_column is not None:
            rows = [_with_type_name(row, wanted.types_column, work.dialect) for row in rows]
        return Answer(columns, tuple(rows[: self._limits.rows_kept]), cut)


def check_installed() -> None:
    """
    Make sure that SQL can run.

    Raises:
        SqlMissing: DuckDB or sqlglot is not installed.
    """
    if not AVAILABLE:
        raise failures.SqlMissing("SQL needs DuckDB and sqlglot: pip install 'mrs-relay[emulator]'")


def _load(database: duckdb.DuckDBPyConnection, data: Path | None) -> set[tuple[str, str]]:
    """Make a view per table of the folder; then lock DuckDB into their files, which no statement can undo."""
    found = tables.find(data) if data else []
    for table in found:
        name = statement.quoted(table.name)
        database.execute(f"CREATE VIEW main.{name} AS SELECT * FROM {table.source}")  # noqa: S608 - quoted there
    allowed = ", ".join(tables.literal(file) for table in found for file in table.files)
    database.execute(f"SET allowed_paths = [{allowed}]")
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    for macro in macros.MACROS:
        database.execute(macro)
    database.execute("SET python_enable_replacements = false")
    database.execute("SET enable_external_access = false")
    return {("main", table.name.lower()) for table in found}


def _prepare(cursor: duckdb.DuckDBPyConnection, work: Work) -> None:
    """Make a fresh session behave as the dialect's own: its database, and what `/` does to integers."""
    if work.dialect == "presto":
        cursor.execute("SET integer_division = true")
    cursor.execute(f"SET VARIABLE spoken = '{work.dialect}'")
    cursor.execute(f"USE {statement.quoted(statement.schema_name(work.database))}")


def _with_type_name(row: Row, index: int, spoken: statement.Dialect) -> Row:
    return (*row[:index], dialect.type_name(str(row[index]), spoken), *row[index + 1 :])


def _said(error: Exception, spoken: statement.Dialect) -> str:
    """Return an error of a statement as it is shown."""
    if isinstance(error, duckdb.InterruptException):
        return _INTERRUPTED
    return wording.said(str(error), spoken, _first_line) if isinstance(error, duckdb.Error) else _first_line(error)


def _first_line(error: BaseException | str) -> str:
    """Return the first line of a message, without the name of DuckDB's error class; the rest repeats the statement."""
    line = str(error).partition("\n")[0]
    kind, colon, rest = line.partition(" Error: ")
    return rest if colon and " " not in kind else line
