"""
Take rows out of a CSV text that comes in pieces, as far as they fit into an event. Pure.

A piece may end anywhere, also within a character or a quoted line break. Memory holds the rows that are kept and one
unfinished row, whatever the size of the text; all further rows are only counted.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from typing import Final

from mrs_relay.common import csv_text
from mrs_relay.messages import codec, events

_MOST_HEADER: Final = 16_384
"""Longest row of columns' names that is kept, in characters: they come beside the rows, whatever the limit of those."""


class CsvRows:
    """
    Rows of one CSV text.

    Args:
        has_header: its first row holds the names of the columns.
        as_text: keep the text of the rows, not their values.
        max_rows: rows that are kept at most.
        max_bytes: bytes that they take at most, as JSON or as text; the header of a text is part of it.
    """

    def __init__(self, *, has_header: bool, as_text: bool, max_rows: int, max_bytes: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._awaits_header = has_header
        self._as_text = as_text
        self._rows_left = max_rows
        self._room = max_bytes
        self._count = 0
        self._is_cut = False
        self._columns: list[str] = []
        self._rows: list[list[str]] = []
        self._texts: list[str] = []
        self._unfinished: list[str] = []
        self._is_quoted = False
        self._held = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        self._take(self._decoder.decode(piece))

    def end(self) -> events.Result:
        """Return what was kept, when all pieces have been taken."""
        self._take(self._decoder.decode(b"", final=True))
        if self._unfinished:  # the last row may end without a line break
            self._take_row("".join(self._unfinished))
        shown = events.StatementResult(
            rows=self._rows,
            row_count=self._count,
            columns=[events.Column(name=name) for name in self._columns],
            csv="".join(self._texts) if self._as_text else None,
        )
        return events.Result(statements=[shown], truncated=self._is_cut)

    def _take(self, text: str) -> None:
        if self._is_cut:
            self._count_rows(text)
            return
        # NB: `splitlines` would also end a row at characters that are none of CSV's line ends.
        *whole, rest = text.split("\n")
        for line in whole:
            self._take_line(f"{line}\n")
        if rest:
            self._take_line(rest)

    def _take_line(self, line: str) -> None:
        """Put lines together until quotes are even and the line is whole: then they are a row."""
        self._is_quoted ^= bool(line.count('"') & 1)
        is_whole = line.endswith("\n") and not self._is_quoted
        if self._unfinished or not is_whole:
            self._hold(line)
            if not is_whole:
                return
            line = "".join(self._unfinished)
            self._unfinished, self._held = [], 0
        self._take_row(line)

    def _count_rows(self, text: str) -> None:
        """Count the rows that end in the text: no further one is kept."""
        if not text:
            return
        parts = text.split('"')
        self._count += sum(part.count("\n") for part in parts[int(self._is_quoted) :: 2])
        self._is_quoted ^= len(parts) % 2 == 0
        is_whole = text.endswith("\n") and not self._is_quoted
        self._unfinished = [] if is_whole else [text[-1]]

    def _hold(self, part: str) -> None:
        """Keep a part of a row that is not whole yet; of one that cannot fit any more only its beginning."""
        if self._held <= self._room or not self._unfinished:
            self._unfinished.append(part)
            self._held += len(part)

    def _take_row(self, text: str) -> None:
        if self._awaits_header:
            self._awaits_header = False
            self._columns = next(_parsed(text), []) if len(text) <= min(_MOST_HEADER, self._room) else []
            if self._as_text:
                self._keep_text(text)
            return

        self._count += 1
        if self._is_cut:
            return
        if self._rows_left <= 0:
            self._is_cut = True
        elif self._as_text:
            self._keep_text(text)
        else:
            self._keep_values(text)
        self._rows_left -= 1

    def _keep_text(self, text: str) -> None:
        size = len(text.encode())
        if size > self._room:
            self._is_cut = True
            return
        self._room -= size
        self._texts.append(text)

    def _keep_values(self, text: str) -> None:
        row = next(_parsed(text), None) if len(text) <= self._room else None
        size = len(codec.encode(row)) + 1 if row is not None else 0
        if row is None or size > self._room:
            self._is_cut = True
            return
        self._room -= size
        self._rows.append(row or [""])  # an empty line is a row of one empty value


def _parsed(text: str) -> Iterator[list[str]]:
    """Parse the text of one row; yields nothing if it cannot be read."""
    try:
        yield from csv_text.rows([text])
    except csv.Error:
        return
