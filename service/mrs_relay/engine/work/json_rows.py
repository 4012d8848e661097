"""
Take rows out of the objects of a folder, which have a JSON object a line, as far as they fit into an event. Pure.

Memory holds the rows that are kept and one unfinished row; all further rows are only counted.
"""

from __future__ import annotations

from typing import Any, Final

from mrs_relay.engine.work import column_types, json_lines, whole_lines
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

    Attributes:
        types: of the columns of the rows that are kept as text.
    """

    def __init__(self, *, has_names: bool, as_text: bool, max_rows: int, max_bytes: int) -> None:
        self._has_names = has_names
        self._as_text = as_text
        self._rows_left = max_rows
        self._room = max_bytes
        self._is_cut = False
        self._whole = whole_lines.WholeLines(_TIMES_AS_LONG * (max_bytes + _LEAST))
        self._lines = json_lines.JsonLines()
        self._rows: list[dict[str, Any] | list[Any]] = []
        self._texts: list[str] = []
        self.types = column_types.ColumnTypes()

    def add(self, piece: bytes | None) -> None:
        """
        Take the next piece of an object; None: the object ends.

        Raises:
            ObsRefused: a row cannot be read.
        """
        for line in self._whole.add(piece):
            if line is None or self._rows_left <= 0:
                self._cut()
            else:
                self._keep(line)

    def end(self) -> events.Result:
        """Return what was kept, when all objects have been taken."""
        shown = events.StatementResult(
            rows=self._rows,
            row_count=self._whole.count,
            columns=[events.Column(name=name) for name in self._lines.columns or ()] if self._has_names else [],
            csv="".join(self._texts) if self._as_text else None,
        )
        return events.Result(statements=[shown], truncated=self._is_cut)

    def _cut(self) -> None:
        """Keep no further row."""
        self._is_cut = True
        self._whole.longest = 0

    def _keep(self, line: bytes) -> None:
        row = self._lines.read(line, self._whole.count)
        shown = row if self._has_names else self._lines.values(row)
        text = self._as_csv(row) if self._as_text else None
        size = len(codec.encode(shown)) + 1 if text is None else len(text.encode())
        if size > self._room:
            self._cut()
            return

        self._room -= size
        self._rows_left -= 1

        if text is None:
            self._rows.append(shown)
            self._lines.add_columns(row)
        else:
            self._texts.append(text)
            self.types.add(self._lines.values(row))

    def _as_csv(self, row: dict[str, Any]) -> str:
        header = self._lines.header() if self._has_names and not self._texts else ""
        return header + self._lines.csv(row)
