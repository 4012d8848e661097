"""
Cut a CSV text that comes in pieces into Arrow IPC streams, each of which can be read alone. Pure.

The text is cut as chunks of CSV are, so streams are the same however it comes in pieces; those that are too long for a
record are cut in halves.
"""

from __future__ import annotations

from collections.abc import Iterator

from mrs_relay import errors
from mrs_relay.engine.work import arrow_stream, csv_chunks


class ArrowChunks:
    """
    Streams of one text; used like `csv_chunks.CsvChunks`, by one thread at a time.

    Args:
        rows: makes the rows of the text.
        most_bytes: of a stream.

    Attributes:
        lines: rows so far, without the names of the columns.
    """

    def __init__(self, rows: arrow_stream.Rows, most_bytes: int) -> None:
        self._rows = rows
        self._most_bytes = most_bytes
        self._text = csv_chunks.CsvChunks(most_bytes)
        self._is_first = True
        self.lines = 0

    def add(self, piece: bytes) -> Iterator[bytes]:
        """
        Take the next piece; yields the streams that are whole.

        Raises:
            ObsRefused: the rows cannot be Arrow, or one is too long for a record.
        """
        for text in self._text.add(piece):
            if not text.endswith(b"\n") or text.count(b'"') % 2:
                limit = f"a row has more than {self._most_bytes} bytes, which is all that a record takes"
                raise errors.ObsRefused(f"{limit}: ask for csv")
            yield from self._made(text)

    def end(self) -> Iterator[bytes]:
        """Yield the last streams, when all pieces have been taken; raises like `add`."""
        for text in self._text.end():
            yield from self._made(text)

    def _made(self, text: bytes) -> Iterator[bytes]:
        batch = self._rows.add(text)
        self.lines += batch.num_rows
        if batch.num_rows or self._is_first:
            yield from arrow_stream.streams(batch, self._most_bytes)
        self._is_first = False
