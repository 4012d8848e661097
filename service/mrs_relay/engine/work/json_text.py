"""
Make one CSV text of the objects of a folder, which have a JSON object a line. Pure.

Memory holds one piece and one unfinished row.
"""

from __future__ import annotations

from typing import Final

from mrs_relay import errors
from mrs_relay.engine.work import json_lines, whole_lines

LONGEST: Final = 16 * 1024 * 1024
"""A row is read as a whole; of a longer one there is no text."""


class JsonText:
    """
    The text of one folder.

    Args:
        has_names: the names in the objects are those of the columns, and are the first line.
    """

    def __init__(self, *, has_names: bool) -> None:
        self._has_names = has_names
        self._whole = whole_lines.WholeLines(LONGEST)
        self._lines = json_lines.JsonLines()

    def add(self, piece: bytes | None) -> bytes:
        """
        Take the next piece of an object, None: the object ends; return the text of the rows that are whole.

        Raises:
            ObsRefused: a row cannot be read.
        """
        return "".join(map(self._text, self._whole.add(piece))).encode()

    def _text(self, line: bytes | None) -> str:
        number = self._whole.count
        text = self._lines.csv(self._lines.read(whole(line, number), number))
        return self._lines.header() + text if self._has_names and number == 1 else text


def whole(line: bytes | None, number: int) -> bytes:
    """
    Return a row that is held as a whole.

    Raises:
        ObsRefused: it is longer than `LONGEST`.
    """
    if line is None:
        raise errors.ObsRefused(f"row {number} of the folder has more than {LONGEST} bytes")
    return line
