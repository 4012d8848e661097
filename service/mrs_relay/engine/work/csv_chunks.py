"""
Cut a CSV text that comes in pieces into chunks that end with a row, and count its rows. Pure.

Only a row that is longer than a chunk is cut. Memory holds one chunk and one piece, whatever the size of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_QUOTE: Final = b'"'
_LINE_END: Final = b"\n"


class CsvChunks:
    """
    Chunks of one CSV text.

    Args:
        most_bytes: of a chunk.

    Attributes:
        lines: rows so far, the one with the names of the columns included.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held = bytearray()
        self._is_quoted = False
        self._is_open = False
        self.lines = 0

    def add(self, piece: bytes) -> Iterator[bytes]:
        """Take the next piece; yields the chunks that are whole."""
        self._held += piece
        while len(self._held) > self._most_bytes:
            window = bytes(memoryview(self._held)[: self._most_bytes])
            yield self._taken(window[: _last_row_end(window, is_quoted=self._is_quoted) or self._most_bytes])

    def end(self) -> Iterator[bytes]:
        """Yield the last chunk, when all pieces have been taken."""
        if self._held:
            yield self._taken(bytes(self._held))
        if self._is_open:  # the last row may end without a line break
            self.lines += 1
            self._is_open = False

    def _taken(self, chunk: bytes) -> bytes:
        del self._held[: len(chunk)]
        parts = chunk.split(_QUOTE)
        self.lines += sum(part.count(_LINE_END) for part in parts[int(self._is_quoted) :: 2])
        self._is_quoted ^= len(parts) % 2 == 0
        self._is_open = self._is_quoted or not chunk.endswith(_LINE_END)
        return chunk


def _last_row_end(window: bytes, *, is_quoted: bool) -> int:
    """Return where the last whole row ends; 0: no row ends. `is_quoted`: the window begins within quotes."""
    inside = is_quoted ^ bool(window.count(_QUOTE) & 1)
    end = len(window)
    while (found := window.rfind(_LINE_END, 0, end)) >= 0:
        inside ^= bool(window.count(_QUOTE, found, end) & 1)
        if not inside:
            return found + 1
        end = found
    return 0
