"""
Cut a CSV text that comes in pieces into chunks that end with a row, and count its rows. Pure.

A chunk has as many whole rows as fit, so the chunks are the same however the text comes in pieces. Only a row that is
longer than a chunk is cut. Each step is one pass over the bytes of a chunk in C: no Python code runs for each row.
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
        self._held: list[bytes | memoryview] = []
        self._held_bytes = 0
        self._is_quoted = False
        self._is_open = False
        self.lines = 0

    def add(self, piece: bytes) -> Iterator[bytes]:
        """Take the next piece; yields the chunks that are whole."""
        left = memoryview(piece)
        while self._held_bytes + len(left) > self._most_bytes:
            room = self._most_bytes - self._held_bytes
            window = b"".join((*self._held, left[:room]))
            left = left[room:]
            end = self._measure(window) or len(window)  # or a row that is longer than a chunk
            self._held, self._held_bytes = [window[end:]], len(window) - end
            yield window[:end]
        if left:
            self._held.append(left)
            self._held_bytes += len(left)

    def end(self) -> Iterator[bytes]:
        """Yield the last chunk, when all pieces have been taken."""
        last = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        if last:
            self._is_open = self._measure(last) != len(last)
            yield last
        self.lines += self._is_open  # the last row may end without a line break

    def _measure(self, window: bytes) -> int:
        """Count the rows that end in a window, and return where the last one does; 0: none does."""
        end = window.rfind(_LINE_END) + 1
        marks = window[:end].translate(None, _OTHERS)
        lines = marks.count(_LINE_END)
        if end and not self._is_quoted and lines + 2 * marks.count(_QUOTE * 2) == len(marks):
            # The number of quotes before each line end is even: no line end is within quotes.
            self.lines += lines
            return end

        # Line ends outside and within quotes, in turns. Pairs of quotes are gone, so only the first and last can be "".
        runs = window.translate(None, _OTHERS).replace(_QUOTE * 2, b"").split(_QUOTE)
        self.lines += len(b"".join(runs[int(self._is_quoted) :: 2]))
        self._is_quoted ^= len(runs) % 2 == 0
        behind = b""
        if self._is_quoted:
            behind = runs.pop()
        elif not runs[-1] and len(runs) > 2:  # noqa: PLR2004 - a run outside, and one within quotes behind it
            behind = runs[-2]
            del runs[-2:]
        if not runs or not runs[-1]:
            return 0
        self._is_quoted = False
        return len(window.rsplit(_LINE_END, len(behind) + 1)[0]) + 1
