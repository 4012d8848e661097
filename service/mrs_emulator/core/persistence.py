"""
What survives a restart: a file of rows, written behind the emulator's back. The one door to sqlite3.

A part that remembers things asks for a table once and says how to restore it:

    self._table = state_file.table("job-binaries", self._restore)     # before `open`; the name never changes
    self._table.put(binary.id, binary)                            # at every change; a frozen value
    self._table.drop(binary.id)

    def _restore(self, rows: Iterable[keeping.Row]) -> None:      # called by `open`, if the file has rows
        for row in rows:
            self._binaries[row.key] = row.read(Binary)

Rows come back in the order in which they were first put; tables in the order in which they were asked for. Changes
are written as one transaction by a thread: when a reply waits for them (`written`), at the latest half a second after
they were noted. So a kill of the process loses nothing that a reply has shown. Replies that wait at the same time
share a transaction. Without a file all of this costs one call that does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from mrs_emulator.core import failures, tasks

_log = structlog.get_logger(__name__)

VERSION = 1
"""Version of the file's layout; a file of another version is refused, never guessed at."""

_DEBOUNCE_S = 0.5
_SCHEMA = f"""
CREATE TABLE rows (
  place INTEGER PRIMARY KEY, shelf TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, UNIQUE (shelf, key)
) STRICT;
CREATE TABLE starts (number INTEGER PRIMARY KEY) STRICT;
PRAGMA user_version = {VERSION};
"""
_PUT = (
    "INSERT INTO rows (shelf, key, value) VALUES (?, ?, ?) "
    "ON CONFLICT (shelf, key) DO UPDATE SET value = excluded.value"
)
_DROP = "DELETE FROM rows WHERE shelf = ? AND key = ?"

_T = TypeVar("_T")
_GONE = object()
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Row:
    """A row that was kept: its key, and its value as JSON."""

    key: str
    value: bytes

    def read(self, kind: type[_T]) -> _T:
        """
        Return the value as the type it had.

        Raises:
            CannotStart: the row does not have this type.
        """
        try:
            return msgspec.json.decode(self.value, type=kind)
        except msgspec.DecodeError as error:
            raise failures.CannotStart(f"the state file has an unreadable row ({self.key}): {error}") from error


Restore = Callable[[Iterable[Row]], None]


class Table:
    """
    The rows of one part, by key.

    Values are dataclasses, structs, or plain JSON values. They are encoded later, by another thread: pass frozen
    values, or copies.
    """

    def __init__(self, name: str, state_file: StateFile) -> None:
        self._name = name
        self._state_file = state_file

    def put(self, key: str, value: object) -> None:
        """Keep a row, in place of the one with the same key."""
        self._state_file.change(self._name, key, value)

    def drop(self, key: str) -> None:
        """Forget a row."""
        self._state_file.change(self._name, key, _GONE)


class StateFile:
    """
    All tables, and the file behind them.

    Args:
        path: the file; None keeps nothing.
        task_supervisor: owns the task that writes.
    """

    def __init__(self, path: Path | None, task_supervisor: tasks.TaskSupervisor) -> None:
        self._path = path
        self._task_supervisor = task_supervisor
        self._restores: dict[str, Restore] = {}
        self._changes: dict[tuple[str, str], object] = {}
        self._writing = False
        self._one_writer = asyncio.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._file: sqlite3.Connection | None = None

    def table(self, name: str, restore: Restore) -> Table:
        """Return a table under a name of its own; `restore` gets its rows when the file is opened."""
        if name in self._restores:
            raise ValueError(f"there is a table {name} already")
        self._restores[name] = restore
        return Table(name, self)

    @property
    def on(self) -> bool:
        """Whether anything is kept."""
        return self._path is not None

    def change(self, shelf: str, key: str, value: object) -> None:
        """Note a change; `Table` is the way to call this."""
        if self._path is None:
            return
        self._changes[shelf, key] = value
        self._write_later()

    async def written(self) -> None:
        """
        Wait until all changes noted so far are in the file.

        Raises:
            sqlite3.Error, TypeError: they could not be written; they stay noted for the next time.
        """
        if self._file is None or not (self._changes or self._one_writer.locked()):
            return
        async with self._one_writer:  # what was noted while another wrote is written by the first who waited
            if self._changes:
                await self._write()

    def _write_later(self) -> None:
        if self._changes and self._file is not None and not self._writing:
            self._writing = True
            self._task_supervisor.start(self._write_soon(), name="emulator-state-file")

    async def open(self) -> int:
        """
        Open the file and restore all tables; blocks nothing.

        Returns:
            How many times the file was opened before; 0 without a file.

        Raises:
            CannotStart: the file cannot be read, belongs to a running emulator, or is of another version.
        """
        if self._path is None:
            return 0

        self._pool = ThreadPoolExecutor(1, thread_name_prefix="emulator-state")
        try:
            starts, rows = await self._in_thread(self._load, self._path)
        except sqlite3.Error as error:
            raise failures.CannotStart(f"the state file {self._path} cannot be used: {error}") from error

        self._forget_defaults(rows)
        for name, restore in self._restores.items():
            if name in rows:
                restore(rows[name])

        if unknown := rows.keys() - self._restores.keys():
            _log.warning("emulator.unknown_tables_found", tables=sorted(unknown))
        self._write_later()
        return starts

    def _forget_defaults(self, rows: Mapping[str, list[Row]]) -> None:
        """Drop what was put before the file was read, unless the file lacks it."""
        kept = {(shelf, row.key) for shelf in rows for row in rows[shelf]} if self._changes else set()
        self._changes = {place: value for place, value in self._changes.items() if place not in kept}

    async def close(self) -> None:
        """Write what waits and let go of the file."""
        if self._pool is None:
            return
        if self._file is not None:
            with contextlib.suppress(sqlite3.Error, TypeError):  # reported where it was raised
                await self.written()
            await self._in_thread(self._file.close)
            self._file = None
        self._pool.shutdown(wait=False)

    def _in_thread(self, work: Callable[..., _T], *arguments: object) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    async def _write_soon(self) -> None:
        try:
            while self._changes:
                await asyncio.sleep(_DEBOUNCE_S)
                with contextlib.suppress(sqlite3.Error, TypeError):  # reported where it was raised
                    await self.written()
        finally:
            self._writing = False

    async def _write(self) -> None:
        """Write all changes noted so far; when that fails they stay noted for the next time."""
        changes, self._changes = self._changes, {}
        try:
            await asyncio.shield(self._in_thread(self._store, changes))
        except (sqlite3.Error, TypeError) as error:
            _log.error("emulator.state_not_written", rows=len(changes), error=str(error))
            self._changes = {**changes, **self._changes}
            raise

    def _load(self, path: Path) -> tuple[int, dict[str, list[Row]]]:
        file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
        try:
            file.execute("PRAGMA locking_mode = EXCLUSIVE")
            file.execute("BEGIN EXCLUSIVE")
            version = file.execute("PRAGMA user_version").fetchone()[0]
            tables = file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            file.execute("COMMIT")

            if version == 0 and not tables:
                file.executescript(_SCHEMA)
            elif version != VERSION:
                text = f"the state file {path} has version {version}, this emulator writes {VERSION}"
                raise failures.CannotStart(text)  # noqa: TRY301 - the file must be closed for it, too

            starts = file.execute("SELECT count(*) FROM starts").fetchone()[0]
            rows: dict[str, list[Row]] = {}
            for shelf, key, value in file.execute("SELECT shelf, key, value FROM rows ORDER BY place"):
                rows.setdefault(shelf, []).append(Row(key, value))
            file.execute("INSERT INTO starts DEFAULT VALUES")
        except BaseException:
            file.close()
            raise

        self._file = file
        return starts, rows

    def _store(self, changes: Mapping[tuple[str, str], object]) -> None:
        file = self._file
        if file is None:
            return
        puts = ((shelf, key, _encoder.encode(value)) for (shelf, key), value in changes.items() if value is not _GONE)
        drops = (place for place, value in changes.items() if value is _GONE)
        file.execute("BEGIN")
        try:
            file.executemany(_PUT, puts)
            file.executemany(_DROP, drops)
            file.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                file.execute("ROLLBACK")
            raise
