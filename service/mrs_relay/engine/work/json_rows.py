"""
Take rows out of the objects of a folder, which have a JSON object a line, as far as they fit into an event. Pure.

A piece may end anywhere, an object ends with its last row. Memory holds the rows that are kept and one unfinished row;
all further rows are only counted.
"""

from __future__ import annotations

from typing import Any, Final

from mrs_relay.engine.work import json_lines
from mrs_relay.messages import codec, events

_TIMES_AS_LONG: Final = 4
_LEAST: Final = 1024
"""A row that is to fit may be so much longer in the object: names are repeated there, and characters escaped."""


class JsonRows:
    """
    Rows of one folder.

    Args:
        has_names: the names in the objects are those of the columns; otherwise rows are lists.
        as_text: keep the rows as CSV, names of columns first, not their values; NULL is an empty text without quotes.
        max_rows: rows that are kept at most.
        max_bytes: bytes that they take at most, as JSON or as text.
    """

    def __init__(self, *, has_names: bool, as_text: bool, max_rows: int, max_bytes: int) -> None:
        self._has_names = has_names
        self._as_text = as_text
        self._rows_left = max_rows
        self._room = max_bytes
        self._longest = _TIMES_AS_LONG * (max_bytes + _LEAST)
        self._count = 0
        self._is_cut = False
        self._lines = json_lines.JsonLines()
        self._rows: list[dict[str, Any] | list[Any]] = []
        self._texts: list[str] = []
        self._unfinished: list[bytes] = []
        self._held = 0

    def add(self, piece: bytes) -> None:
        """
        Take the next piece of an object.

        Raises:
            ObsRefused: a row cannot be read.
        """
        *whole, rest = piece.split(b"\n")
        for line in whole:
            self._hold(line)
            self._take_unfinished()
        if rest:
            self._hold(rest)

    def end_object(self) -> None:
        """Take the end of an object, whose last row may end without a line break; raises like `add`."""
        if self._unfinished:
            self._take_unfinished()

    def end(self) -> events.Result:
        """Return what was kept, when all objects have been taken."""
        shown = events.StatementResult(
            rows=self._rows,
            row_count=self._count,
            columns=[events.Column(name=name) for name in self._lines.columns or ()] if self._has_names else [],
            csv="".join(self._texts) if self._as_text else None,
        )
        return events.Result(statements=[shown], truncated=self._is_cut)

    def _hold(self, part: bytes) -> None:
        """Keep a part of a row; of one that cannot fit, or is only counted, its beginning says that it is there."""
        self._held += len(part)
        if part and (not self._unfinished or not (self._is_cut or self._held > self._longest)):
            self._unfinished.append(part[:1] if self._is_cut else part)

    def _take_unfinished(self) -> None:
        is_too_long = self._held > self._longest
        line = b"".join(self._unfinished).strip()
        self._unfinished, self._held = [], 0
        if not line:
            return
        self._count += 1
        if self._is_cut:
            return
        if self._rows_left <= 0 or is_too_long:
            self._is_cut = True
            return
        self._keep(line)

    def _keep(self, line: bytes) -> None:
        row = self._lines.read(line, self._count)
        shown = row if self._has_names else self._lines.values(row)
        text = self._as_csv(row) if self._as_text else None
        size = len(codec.encode(shown)) + 1 if text is None else len(text.encode())
        if size > self._room:
            self._is_cut = True
            return
        self._room -= size
        self._rows_left -= 1
        if text is None:
            self._rows.append(shown)
            self._lines.add_columns(row)
        else:
            self._texts.append(text)

    def _as_csv(self, row: dict[str, Any]) -> str:
        header = self._lines.header() if self._has_names and not self._texts else ""
        return header + self._lines.csv(row)
