"""Put the lines of a folder's objects together, which come in pieces. Pure."""

from __future__ import annotations

from collections.abc import Iterator


class WholeLines:
    """
    The lines of one folder that are not blank; a piece may end anywhere, an object ends with its last line.

    Args:
        longest: bytes of a line that is handed out; of a longer one only a beginning is held.

    Attributes:
        longest: as above; a change holds for the lines that follow.
        count: lines so far.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.count = 0
        self._held: list[bytes] = []
        self._held_bytes = 0

    def add(self, piece: bytes | None) -> Iterator[bytes | None]:
        """
        Take the next piece of an object; yields the lines that are whole now, None for one that is too long.

        Args:
            piece: None: the object ends, and so does its last line, with a line break or without.
        """
        *whole, rest = (b"", b"") if piece is None else piece.split(b"\n")
        for part in whole:
            self._hold(part)
            yield from self._whole()
        self._hold(rest)

    def _whole(self) -> Iterator[bytes | None]:
        if not self._held:
            return
        line = None if self._held_bytes > self.longest else b"".join(self._held).rstrip()
        self._held, self._held_bytes = [], 0
        self.count += 1
        yield line

    def _hold(self, part: bytes) -> None:
        part = part if self._held else part.lstrip()
        self._held_bytes += len(part)
        if part and (not self._held or self._held_bytes <= self.longest):
            self._held.append(part)
