"""
Cut a CSV text that comes in pieces into chunks that end with a row, and count its rows. Pure.

Only a row that is longer than a chunk is cut. Memory holds one chunk and one piece, whatever the size of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_QUOTE: Final = b'"'
_LINE_END: Final = b"\n"
_OTHERS: Final = bytes(code for code in range(256) if bytes([code]) not in {_QUOTE, _LINE_END})


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
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._is_quoted = False
        self._is_open = False
        self.lines = 0

    def add(self, piece: bytes) -> Iterator[bytes]:
        """Take the next piece; yields the chunks that are whole."""
        while piece and self._held_bytes + len(piece) > self._most_bytes:
            window = piece[: self._most_bytes - self._held_bytes]
            end = _last_row_end(window, is_quoted=self._is_quoted)
            if end or not self._held:
                end = end or len(window)  # a row that is longer than a chunk
                self._hold(piece[:end])
                piece = piece[end:]
                yield self._taken()
            elif (whole := self._last_held_row_end()) > 0:
                yield self._taken(whole)
            else:
                self._hold(window)
                piece = piece[len(window) :]
                yield self._taken()
        self._hold(piece)

    def end(self) -> Iterator[bytes]:
        """Yield the last chunk, when all pieces have been taken."""
        if self._held:
            yield self._taken()
        if self._is_open:  # the last row may end without a line break
            self.lines += 1
            self._is_open = False

    def _hold(self, part: bytes) -> None:
        if not part:
            return
        self._held.append(part)
        self._held_bytes += len(part)
        # Of a quoted text without a line end two quotes are left, which go, too: few parts remain.
        marks = part.translate(None, _OTHERS).replace(_QUOTE * 2, b"").split(_QUOTE)
        self.lines += sum(mark.count(_LINE_END) for mark in marks[int(self._is_quoted) :: 2])
        self._is_quoted ^= len(marks) % 2 == 0
        self._is_open = self._is_quoted or not part.endswith(_LINE_END)

    def _last_held_row_end(self) -> int:
        """Return where the last whole row of what is held ends; 0: none does."""
        text = b"".join(self._held)
        return _last_row_end(text, is_quoted=self._is_quoted ^ bool(text.count(_QUOTE) & 1))

    def _taken(self, end: int | None = None) -> bytes:
        """Return what is held, or its beginning; the rest stays held."""
        text = b"".join(self._held)
        chunk, rest = (text, b"") if end is None else (text[:end], text[end:])
        self._held, self._held_bytes = [rest] if rest else [], len(rest)
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
