"""
Make one CSV text of the objects of a folder, which have a JSON object a line. Pure.

A piece may end anywhere, an object ends with its last row. Memory holds one piece and one unfinished row.
"""

from __future__ import annotations

from typing import Final

from mrs_relay import errors
from mrs_relay.engine.work import json_lines

_LONGEST: Final = 16 * 1024 * 1024
"""A row is read as a whole; of a longer one there is no text."""


class JsonText:
    """
    The text of one folder.

    Args:
        has_names: the names in the objects are those of the columns, and are the first line.
    """

    def __init__(self, *, has_names: bool) -> None:
        self._has_names = has_names
        self._lines = json_lines.JsonLines()
        self._unfinished: list[bytes] = []
        self._held = 0
        self._count = 0

    def add(self, piece: bytes) -> bytes:
        """
        Take the next piece of an object; return the text of the rows that are whole.

        Raises:
            ObsRefused: a row cannot be read.
        """
        *whole, rest = piece.split(b"\n")
        made = []
        for line in whole:
            self._hold(line)
            made.append(self._taken())
        self._hold(rest)
        return "".join(made).encode()

    def end_object(self) -> bytes:
        """Take the end of an object, whose last row may end without a line break; as `add`."""
        return self._taken().encode()

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > _LONGEST:
            raise errors.ObsRefused(f"row {self._count + 1} of the folder has more than {_LONGEST} bytes")
        if part:
            self._unfinished.append(part)

    def _taken(self) -> str:
        line = b"".join(self._unfinished).strip()
        self._unfinished, self._held = [], 0
        if not line:
            return ""
        self._count += 1
        text = self._lines.csv(self._lines.read(line, self._count))
        return self._lines.header() + text if self._has_names and self._count == 1 else text
