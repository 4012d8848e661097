"""
Find the types of the columns of a folder, whose objects have a JSON object a line, before its rows are written. Pure.

Every chunk of a result has the same schema, so all rows are seen before the first chunk is made.
"""

from __future__ import annotations

from mrs_relay.engine.work import column_types, json_lines, json_text, whole_lines


class JsonTypes:
    """
    The types of one folder; `add` takes what that of `json_text.JsonText` takes.

    Attributes:
        types: of the columns, as far as they have been seen.
    """

    def __init__(self) -> None:
        self.types = column_types.ColumnTypes()
        self._whole = whole_lines.WholeLines(json_text.LONGEST)
        self._lines = json_lines.JsonLines()

    def add(self, piece: bytes | None) -> None:
        """
        Take the next piece of an object; None: the object ends.

        Raises:
            ObsRefused: a row cannot be read.
        """
        for line in self._whole.add(piece):
            row = self._lines.read(json_text.whole(line, self._whole.count), self._whole.count)
            self.types.add(self._lines.values(row))
