"""
Keep the last value of each key of a ledger partition outside memory, in key order.

The values lie in a private temporary database of SQLite: in its cache as long as they fit, then in a file without a
name in TMPDIR, which the operating system removes with the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

_CACHE_KIB: Final = 64 * 1024


class LastValues:
    """The last value of each key; a deleted key is known, too. To be used as a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("CREATE TABLE last (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def __setitem__(self, key: bytes, value: bytes) -> None:
        """Keep the value of a key."""
        self._put(key, value)

    def pop(self, key: bytes, default: None, /) -> None:
        """Note that a key was deleted."""
        del default
        self._put(key, None)

    def __len__(self) -> int:
        """Return the number of keys that have a value."""
        return int(self._db.execute("SELECT count(value) FROM last").fetchone()[0])

    def __contains__(self, key: bytes) -> bool:
        """Whether the key has a value or has been deleted."""
        return self._db.execute("SELECT 1 FROM last WHERE key = ?", (key,)).fetchone() is not None

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        found = self._db.execute("SELECT value FROM last WHERE key = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values in the order of the keys."""
        yield from self._db.execute("SELECT key, value FROM last WHERE value IS NOT NULL ORDER BY key")

    def _put(self, key: bytes, value: bytes | None) -> None:
        self._db.execute(
            "INSERT INTO last VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )
